"use strict";
// The page reads without this: it sorts the overview, opens what a link points into, and folds all at once.
(() => {
  const table = document.querySelector("table.overview");
  const body = table.tBodies[0];
  table.querySelectorAll("th[data-sort]").forEach((head) => {
    const column = head.cellIndex;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numeric = head.dataset.sort === "number";
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : numeric;
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.value;
      const rows = [...body.rows].sort((a, b) => {
        if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === "");
        const order = numeric ? value(a) - value(b) : value(a).localeCompare(value(b), "en", { numeric: true });
        return down ? -order : order;
      });
      body.append(...rows);
    });
  });

  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    target.scrollIntoView();
  };
  window.addEventListener("hashchange", reveal);
  reveal();

  const dialogues = [...document.querySelectorAll("details.dialogue")];
  if (dialogues.length) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "all";
    const name = () => {
      button.textContent = dialogues.every((one) => one.open) ? "Fold all dialogues" : "Open all dialogues";
    };
    button.addEventListener("click", () => {
      const open = !dialogues.every((one) => one.open);
      dialogues.forEach((one) => { one.open = open; });
      name();
    });
    dialogues.forEach((one) => one.addEventListener("toggle", name));
    name();
    document.getElementById("overview").append(button);
  }
})();
