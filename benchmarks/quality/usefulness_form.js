// Four sets of pictures beside a text. An answer is the number of a set, 0 to 3, whatever its place on the page.
blindForm({
  name: "usefulness",
  // Every participant sees a unit once, with one of its texts: an offset of their own, and the units in turn. Order and
  // places of the sets are theirs too.
  plan(next, shuffled, data) {
    const count = data.trials[0].texts.length;
    const offset = Math.floor(next() * count);
    const steps = data.trials.map((trial, place) => ({ trial, text: (offset + place) % count }));
    return shuffled(steps, next).map((step) => ({ ...step, order: shuffled([0, 1, 2, 3], next) }));
  },
  valid: (one) => [0, 1, 2, 3].includes(one),
  show({ trial, text, order }, find) {
    find("text").textContent = trial.texts[text];
    order.forEach((set, place) => {
      const pictures = trial.sets[set].map((data) => {
        const picture = document.createElement("img");
        picture.src = data;
        picture.alt = "";
        return picture;
      });
      find(`set${place + 1}`).querySelector(".pictures").replaceChildren(...pictures);
    });
  },
  chosen: ({ order }, place) => order[place],
  saved: ({ trial, text, order }) => ({ trial: trial.id, text, order }),
  buttons: { set1: 0, set2: 1, set3: 2, set4: 3 },
  keys: { 1: 0, 2: 1, 3: 2, 4: 3 },
});
