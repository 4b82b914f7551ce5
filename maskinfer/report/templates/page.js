"use strict";

// Tables: a heading's button sorts by its column, numbers as numbers; pressed again, in reverse.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const body = heading.closest("table").tBodies[0];
    const column = heading.cellIndex;
    const order = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    const value = (row) => {
      const cell = row.cells[column];
      const text = cell.dataset.value ?? cell.textContent.trim();
      return text === "" || Number.isNaN(Number(text)) ? text : Number(text);
    };
    const compare = (a, b) =>
      typeof a === "number" && typeof b === "number"
        ? a - b
        : String(a).localeCompare(String(b), "en", { numeric: true });
    const sign = order === "ascending" ? 1 : -1;
    body.append(...[...body.rows].sort((a, b) => sign * compare(value(a), value(b))));
  });
}

// Galleries: the first photos that match every filter; a button shows the rest.
const FEW = 12;
const fold = (gallery) => {
  const shown = [...gallery.querySelectorAll(".card")].filter((card) => !card.hidden);
  const more = gallery.querySelector(".more");
  const few = more && !gallery.dataset.whole && shown.length > FEW;
  for (const [place, card] of shown.entries()) card.classList.toggle("folded", few && place >= FEW);
  if (!more) return;
  more.hidden = !few;
  more.textContent = `Show ${shown.length - FEW} more`;
};
for (const gallery of document.querySelectorAll(".gallery")) {
  fold(gallery);
  gallery.querySelector(".more")?.addEventListener("click", () => {
    gallery.dataset.whole = "yes";
    fold(gallery);
    gallery.querySelectorAll(".card:not([hidden]) a, .card:not([hidden]) select")[FEW]?.focus();
  });
}

// Photos: shown if they match every filter.
const filters = document.querySelector(".filters");
if (filters) {
  const cards = [...document.querySelectorAll(".card")];
  const selects = [...filters.querySelectorAll("select")];
  const apply = () => {
    for (const card of cards) {
      card.hidden = !selects.every((s) => s.value === "" || card.dataset[s.name] === s.value);
    }
    for (const gallery of document.querySelectorAll(".gallery")) {
      const inside = [...gallery.querySelectorAll(".card")];
      gallery.hidden = inside.length > 0 && inside.every((card) => card.hidden);
      fold(gallery);
    }
    // A photo may be in several galleries.
    const photo = (c) => c.querySelector(".photo").href ?? c.querySelector(".name").title;
    const count = (some) => new Set(some.map(photo)).size;
    const shown = count(cards.filter((card) => !card.hidden));
    filters.querySelector("output").textContent = `${shown} of ${count(cards)} photos shown`;
  };
  filters.addEventListener("change", apply);
  filters.addEventListener("submit", (event) => event.preventDefault());
  apply();
}

// Decisions: a CSV of those that change something.
const save = document.getElementById("save");
if (save) {
  let unsaved = false;
  document.addEventListener("change", (event) => {
    unsaved ||= event.target.matches("select[data-cells]");
  });
  window.addEventListener("beforeunload", (event) => {
    if (unsaved) event.preventDefault();
  });
  const quote = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const line = (cells) => `${cells.map(quote).join(",")}\n`;
  save.addEventListener("click", () => {
    const selects = [...document.querySelectorAll("select[data-cells]")];
    const columns = Object.keys(JSON.parse(selects[0].dataset.cells));
    const made = selects
      .filter((select) => select.selectedIndex > 0)
      .map((select) => line([select.value, ...Object.values(JSON.parse(select.dataset.cells))]));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([line(["action", ...columns]), ...made], { type: "text/csv" }));
    link.download = "decisions.csv";
    link.click();
    unsaved = false;
  });
}
