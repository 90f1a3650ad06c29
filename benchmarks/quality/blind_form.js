"use strict";
// What the forms for people have in common: an order of one's own, answers kept by the browser, one file in the end.
//
// name: of the form's kind. plan(next, shuffled, data): the steps of a participant, drawn with next. valid(one): whether
// that can be an answer kept from before. show(step, find): puts a step on the page. chosen(step, act): the answer that
// an action means. saved(step, one): what the file says of it, beside "chosen". buttons, keys: to actions, by id and key.
function blindForm({ name, plan, valid, show, chosen: meant, saved, buttons, keys }) {
  const FORMAT = 1;
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);
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

  const place = () => `maia-${name}/${DATA.form}/${judge.toLowerCase()}`;

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
      return Array.isArray(kept) && kept.length <= steps.length && kept.every(valid) ? kept : [];
    } catch (error) {
      return [];
    }
  }

  function present() {
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
    find("count").textContent = `Question ${chosen.length + 1} of ${steps.length}`;
    show(steps[chosen.length], find);
    // No choice is in focus beforehand: a stray Enter answers nothing.
    if (document.activeElement) document.activeElement.blur();
  }

  function choose(action) {
    chosen.push(meant(steps[chosen.length], action));
    save();
    present();
  }

  function back() {
    if (chosen.length === 0) return;
    chosen.pop();
    save();
    present();
  }

  function download() {
    const answers = chosen.map((one, i) => ({ ...saved(steps[i]), chosen: one }));
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
    steps = plan(stream(DATA.form + "\n" + judge.toLowerCase()), shuffled, DATA);
    chosen = restore();
    save();
    present();
  });
  for (const [id, action] of Object.entries(buttons)) find(id).addEventListener("click", () => choose(action));
  find("back").addEventListener("click", back);
  find("again").addEventListener("click", back);
  find("early").addEventListener("click", download);
  find("download").addEventListener("click", download);
  document.addEventListener("keydown", (event) => {
    if (find("trial").hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key !== "Backspace" && !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    if (event.key === "Backspace") back();
    else choose(keys[event.key]);
  });
  try {
    localStorage.setItem(`maia-${name}`, "1");
  } catch (error) {
    saving = false;
    find("unsaved").hidden = false;
  }
}
