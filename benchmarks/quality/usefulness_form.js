"use strict";
(() => {
  const FORMAT = 1;
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);
  const BUTTONS = [1, 2, 3, 4].map((number) => find(`set${number}`));
  let judge = "", steps = [], chosen = [], saving = true;

  // Numbers 0 <= x < 1 that depend on the text alone: FNV-1a makes a state of it, xorshift goes on from there.
  function stream(text) {
    let state = 0x811c9dc5;
    for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
    state = state || 1;
    const next = () => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) / 4294967296;
    };
    for (let i = 0; i < 16; i++) next();
    return next;
  }

  function shuffled(list, next) {
    const result = [...list];
    for (let i = result.length - 1; i > 0; i--) {
      const j = Math.floor(next() * (i + 1));
      [result[i], result[j]] = [result[j], result[i]];
    }
    return result;
  }

  // Every participant sees a unit once, with one of its texts: an offset of their own, and the units in turn. Order and
  // places of the sets are theirs too.
  function plan(name) {
    const next = stream(DATA.form + "\n" + name.toLowerCase());
    const count = DATA.trials[0].texts.length;
    const offset = Math.floor(next() * count);
    const steps = DATA.trials.map((trial, place) => ({ trial, text: (offset + place) % count }));
    return shuffled(steps, next).map((step) => ({ ...step, order: shuffled([0, 1, 2, 3], next) }));
  }

  const place = () => `maia-usefulness/${DATA.form}/${judge.toLowerCase()}`;

  function save() {
    try {
      localStorage.setItem(place(), JSON.stringify(chosen));
    } catch (error) {
      saving = false;
    }
    find("unsaved").hidden = saving;
  }

  function restore() {
    try {
      const kept = JSON.parse(localStorage.getItem(place()) || "[]");
      const whole = Array.isArray(kept) && kept.length <= steps.length && kept.every((one) => [0, 1, 2, 3].includes(one));
      return whole ? kept : [];
    } catch (error) {
      return [];
    }
  }

  function show() {
    const finished = chosen.length === steps.length;
    find("start").hidden = true;
    find("trial").hidden = finished;
    find("done").hidden = !finished;
    find("bar").max = steps.length;
    find("bar").value = chosen.length;
    find("back").disabled = chosen.length === 0;
    if (finished) {
      find("download").focus();
      return;
    }
    const { trial, text, order } = steps[chosen.length];
    find("count").textContent = `Question ${chosen.length + 1} of ${steps.length}`;
    find("text").textContent = trial.texts[text];
    order.forEach((set, place) => {
      const pictures = trial.sets[set].map((data) => {
        const picture = document.createElement("img");
        picture.src = data;
        picture.alt = "";
        return picture;
      });
      BUTTONS[place].querySelector(".pictures").replaceChildren(...pictures);
    });
    // No set is in focus beforehand: a stray Enter answers nothing.
    if (document.activeElement) document.activeElement.blur();
  }

  function choose(place) {
    chosen.push(steps[chosen.length].order[place]);
    save();
    show();
  }

  function back() {
    if (chosen.length === 0) return;
    chosen.pop();
    save();
    show();
  }

  function download() {
    const answers = chosen.map((one, i) => ({
      trial: steps[i].trial.id, text: steps[i].text, order: steps[i].order, chosen: one,
    }));
    const result = { format: FORMAT, form: DATA.form, judge, asked: steps.length, answers };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(result, null, 1) + "\n"], { type: "application/json" }));
    link.download = `answers-${DATA.form.slice(0, 8)}-${judge.replace(/[^\p{L}\p{N}]+/gu, "_")}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    find("file").textContent = `Saved as ${link.download} where your browser keeps downloads.`;
  }

  find("who").addEventListener("submit", (event) => {
    event.preventDefault();
    judge = find("judge").value.trim().replace(/\s+/g, " ");
    if (!judge) return;
    steps = plan(judge);
    chosen = restore();
    save();
    show();
  });
  BUTTONS.forEach((button, place) => button.addEventListener("click", () => choose(place)));
  find("back").addEventListener("click", back);
  find("again").addEventListener("click", back);
  find("early").addEventListener("click", download);
  find("download").addEventListener("click", download);
  document.addEventListener("keydown", (event) => {
    if (find("trial").hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = { 1: () => choose(0), 2: () => choose(1), 3: () => choose(2), 4: () => choose(3), Backspace: back };
    if (!Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key]();
  });
  try {
    localStorage.setItem("maia-usefulness", "1");
  } catch (error) {
    saving = false;
    find("unsaved").hidden = false;
  }
})();
