// The table of checks: a filter by text and by status, and sorting by any column.

// Fill the form of a table's filter; `clear()` shows all rows again.
export function offerFilter(form, table) {
  const rows = [...table.tBodies[0].rows];
  const counts = new Map();
  for (const { dataset } of rows) {
    counts.set(dataset.status, (counts.get(dataset.status) ?? 0) + 1);
  }
  const search = document.createElement("input");
  search.type = "search";
  search.id = "search";
  search.placeholder = "layer.Tanh, bias, …";
  const label = document.createElement("label");
  label.htmlFor = search.id;
  label.textContent = "Show checks with the words";
  const boxes = [...counts].map(([status, count]) => statusBox(status, count));
  const choice = document.createElement("fieldset");
  const legend = document.createElement("legend");
  legend.textContent = "and the status";
  choice.append(legend, ...boxes.map((box) => box.parentElement));
  const shown = document.createElement("p");
  shown.setAttribute("role", "status");
  shown.className = "small muted";
  form.append(label, search, choice, shown);
  form.hidden = false;

  function apply() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const statuses = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !statuses.has(row.dataset.status) || !words.every((word) => text.includes(word));
      count += row.hidden ? 0 : 1;
    }
    shown.textContent = `${count} of ${rows.length} checks are shown.`;
  }

  function clear() {
    search.value = "";
    for (const box of boxes) box.checked = true;
    apply();
  }

  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
  return { clear };
}

function statusBox(status, count) {
  const box = document.createElement("input");
  box.type = "checkbox";
  box.value = status;
  box.checked = status !== "not_claimed"; // what an engine does not claim is rarely of interest
  const label = document.createElement("label");
  label.append(box, ` ${status.replaceAll("_", " ")} (${count})`);
  return box;
}

// Give each head of a table a button that sorts by its column; a second press reverses.
export function offerSorting(table) {
  const body = table.tBodies[0];
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      body.append(...[...body.rows].sort((a, b) => sign * compareCells(a, b, head.cellIndex)));
    });
  }
}

function compareCells(a, b, column) {
  const [left, right] = [a, b].map((row) => row.cells[column]);
  const sortKey = (cell) => cell.dataset.sort ?? cell.textContent;
  return sortKey(left).localeCompare(sortKey(right), "en", { numeric: true });
}
