// Two descriptions beside a truth. An answer is 0 or 1, of the trial's texts.
blindForm({
  name: "agreement",
  // Every judge has an order and sides of their own. What is asked again stands in the first half, and comes in the
  // second with its sides swapped.
  plan(next, shuffled, data) {
    const order = shuffled(data.trials, next).map((trial) => ({ trial, repeat: false, left: next() < 0.5 ? 0 : 1 }));
    const half = Math.ceil(order.length / 2);
    const early = order.slice(0, half);
    const again = shuffled(early, next)
      .slice(0, data.repeats)
      .map((step) => ({ trial: step.trial, repeat: true, left: 1 - step.left }));
    return [...early, ...shuffled([...order.slice(half), ...again], next)];
  },
  valid: (one) => one === 0 || one === 1,
  show({ trial, left }, find) {
    find("truth").textContent = trial.truth;
    find("left").querySelector("span").textContent = trial.texts[left];
    find("right").querySelector("span").textContent = trial.texts[1 - left];
  },
  chosen: ({ left }, side) => (side === "left" ? left : 1 - left),
  saved: ({ trial, repeat, left }) => ({ trial: trial.id, repeat, left }),
  buttons: { left: "left", right: "right" },
  keys: { 1: "left", ArrowLeft: "left", 2: "right", ArrowRight: "right" },
});
