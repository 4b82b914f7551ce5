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
    gallery.querySelectorAll(".card:not([hidden]) a, .card:not([hidden]) button")[FEW]?.focus();
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

// Decisions: a button, or a letter of it that no button before has, decides about a photo; a CSV of
// those that change something.
const save = document.getElementById("save");
if (save) {
  let unsaved = false;
  const groups = [...document.querySelectorAll(".choice")];
  const decision = (group) => group.querySelector("[aria-pressed=true]").dataset.value;
  const tell = () => {
    const judged = groups.filter((group) => group.closest(".card").matches(".judged")).length;
    const changed = groups.filter(decision).length;
    document.getElementById("judged").textContent =
      `${judged} of ${groups.length} judged, ${changed} to change`;
  };
  const decide = (button) => {
    for (const other of button.parentElement.children) {
      other.setAttribute("aria-pressed", other === button);
    }
    button.closest(".card").classList.add("judged");
    unsaved = true;
    tell();
  };
  for (const group of groups) {
    const taken = new Set();
    for (const button of group.children) {
      button.dataset.key = [...button.textContent].find((letter) => !taken.has(letter)) ?? "";
      taken.add(button.dataset.key);
      button.title += ` (${button.dataset.key})`;
    }
    group.addEventListener("click", (event) => {
      if (event.target.matches("button")) decide(event.target);
    });
  }
  document.addEventListener("keydown", (event) => {
    const group = event.target.closest?.(".card")?.querySelector(".choice");
    if (!group || event.ctrlKey || event.altKey || event.metaKey || event.key.length !== 1) return;
    const button = [...group.children].find((b) => b.dataset.key === event.key);
    if (!button) return;
    decide(button);
    const shown = groups.filter((g) => g.offsetParent);
    (shown[shown.indexOf(group) + 1] ?? group).firstElementChild.focus();
  });
  window.addEventListener("beforeunload", (event) => {
    if (unsaved) event.preventDefault();
  });
  const quote = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const line = (cells) => `${cells.map(quote).join(",")}\n`;
  save.addEventListener("click", () => {
    const columns = Object.keys(JSON.parse(groups[0].dataset.cells));
    const made = groups
      .filter(decision)
      .map((group) => line([decision(group), ...Object.values(JSON.parse(group.dataset.cells))]));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([line(["action", ...columns]), ...made], { type: "text/csv" }));
    link.download = "decisions.csv";
    link.click();
    unsaved = false;
  });
  tell();
}
