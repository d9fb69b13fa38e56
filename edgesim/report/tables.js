// Sorting of tables: a click on a header sorts by its column, another one turns it round.
"use strict";
(() => {
  const key = (row, place, isNumber) => {
    const text = row.cells[place].textContent.trim();
    if (!isNumber) return text === "" ? null : text;
    const number = parseFloat(text.replaceAll(",", "").replace("\u2212", "-"));
    return Number.isNaN(number) ? null : number;
  };
  const sort = (table, head, place) => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    const isNumber = head.classList.contains("number");
    const body = table.tBodies[0];
    const keyed = Array.from(body.rows, (row) => [key(row, place, isNumber), row]);
    keyed.sort(([a], [b]) => {
      // Empty cells are last in both directions.
      if (a === null || b === null) return (a === null) - (b === null);
      const order = isNumber ? a - b : a < b ? -1 : Number(a > b);
      return up ? order : -order;
    });
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...keyed.map(([, row]) => row));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    Array.from(table.tHead.rows[0].cells).forEach((head, place) => {
      head.classList.add("sorts");
      head.tabIndex = 0;
      head.title = "sort";
      head.addEventListener("click", () => sort(table, head, place));
      head.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        sort(table, head, place);
      });
    });
  }
})();
