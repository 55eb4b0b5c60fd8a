// The table of checks: a filter by text and by status, and sorting by any column.

import { element } from "../../../page/dom.mjs";

// Fill the form of a table's filter; `clear()` shows all rows again.
export function offerFilter(form, table) {
  const rows = [...table.tBodies[0].rows];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const search = element("input", { type: "search", id: "search", placeholder: "Tanh gradient" });
  const boxes = statusesOf(rows).map(([status, count]) => statusBox(status, count));
  const counted = element("p", { role: "status", class: "small muted" });
  form.append(
    element("label", { for: "search" }, "Show the checks with all of these words"),
    search,
    element("fieldset", {}, element("legend", {}, "and with the status"), boxes.map(({ label }) => label)),
    counted,
  );
  form.hidden = false;

  function apply() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const statuses = new Set(boxes.filter(({ box }) => box.checked).map(({ box }) => box.value));
    for (const row of rows) {
      const hasWords = words.every((word) => texts.get(row).includes(word));
      row.hidden = !hasWords || !statuses.has(row.dataset.status);
    }
    const shown = rows.filter((row) => !row.hidden).length;
    counted.textContent = `${shown} of ${rows.length} checks are shown.`;
  }

  function clear() {
    search.value = "";
    for (const { box } of boxes) box.checked = true;
    apply();
  }

  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
  return { clear };
}

function statusesOf(rows) {
  const counts = new Map();
  for (const { dataset: { status } } of rows) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts];
}

function statusBox(status, count) {
  const checked = status !== "not_claimed"; // what an engine does not claim is rarely looked for
  const box = element("input", { type: "checkbox", value: status, checked });
  return { box, label: element("label", {}, box, ` ${status.replaceAll("_", " ")} (${count})`) };
}

// Give each head of a table a button that sorts by its column; a second press reverses the order.
export function offerSorting(table) {
  const [body] = table.tBodies;
  const heads = [...table.tHead.rows[0].cells];
  for (const head of heads) {
    const sort = () => {
      const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      const sign = order === "ascending" ? 1 : -1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      body.append(...[...body.rows].sort((a, b) => sign * compareCells(a, b, head.cellIndex)));
    };
    head.replaceChildren(element("button", { type: "button", click: sort }, ...head.childNodes));
  }
}

function compareCells(a, b, column) {
  const [left, right] = [a, b].map(({ cells }) => cells[column]);
  const sortKey = (cell) => cell.dataset.sort ?? cell.textContent;
  return sortKey(left).localeCompare(sortKey(right), "en", { numeric: true });
}
