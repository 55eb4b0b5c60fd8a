// Everything that can be changed: inputs, targets, weights, biases, and how the page computes.

import { element } from "../../page/dom.mjs";
import { splitKey } from "../../page/engine.mjs";
import { hasNumbers } from "../../page/losses.mjs";
import { namesOf } from "../../page/names.mjs";
import { typeset } from "../../page/typeset.mjs";
import { unitCounts } from "./story.mjs";
import { field, integer, numberIn, optional, plusOrMinusOne } from "./fields.mjs";

const MAX_ENTRIES = 64; // most entries of an array that get a field each
const MAX_ITERATIONS = 10000;

// Where a run keeps the number of a name such as x[1], t[0,2] or 0.weight[1,2]; null if nowhere.
export function placeOf(run, name) {
  const [, array, list] = /^(x|t|\d+(?:\.\w+)+)\[(\d+(?:,\d+)*)\]$/.exec(name.replace(/\s/g, "")) ?? [];
  if (!array) return null;
  let index = list.split(",").map(Number);
  const values = { x: run.x, t: run.t, ...run.parameters }[array];
  const isData = array === "x" || array === "t";
  if (isData && values.length === 1 && Array.isArray(values[0])) index = [0, ...index];
  let row = values;
  for (const i of index.slice(0, -1)) row = row?.[i];
  const last = index[index.length - 1];
  return Array.isArray(row) && typeof row[last] === "number" ? { array, row, last, index } : null;
}

// A copy of the run with another number of that name.
export function edited(run, name, value) {
  const copy = structuredClone(run);
  const { row, last } = placeOf(copy, name);
  row[last] = value;
  return copy;
}

const SIGNED = ["HingeEmbeddingLoss", "SoftMarginLoss"]; // Their targets are 1 and −1.

// What a number of the run may be.
function readerOf(run, array, width) {
  if (array !== "t") return numberIn();
  if (!hasNumbers(run)) return integer(Array.isArray(run.t[0]) ? -1 : 0, width - 1);
  if (SIGNED.includes(run.loss.type)) return plusOrMinusOne;
  const probabilities = run.loss.type.startsWith("BCE") || run.loss.type === "CrossEntropyLoss" ||
    run.loss.type === "MultiLabelSoftMarginLoss";
  return probabilities ? numberIn(0, 1, "a probability from 0 to 1") : numberIn();
}

// Build the fields into their containers. `change` = {entry(name, value), option(name, value),
// choose(name), reset(), saved()}. The result's `show(state)` writes the state into all fields.
export function buildControls({ fields, descent, network }, run, names, change) {
  const entries = new Map();
  const entry = (name, array, width) => {
    const made = field({
      edit: name, label: name, hidden: true, class: "entry", read: readerOf(run, array, width),
      act: (value) => change.entry(name, value),
    });
    entries.set(name, made);
    return made;
  };
  const tables = [];
  const outputs = unitCounts(run).at(-1);
  const plainNames = namesOf({ ...run, x: run.x.slice(0, 1) });
  tables.push(dataTable("Inputs x", run.x, (n, j) => names.unit(-1, n, j), entry, "x"));
  tables.push(dataTable("Targets t", run.t, (n, k) => names.target(n, k), entry, "t", outputs));
  for (const [array, values] of Object.entries(run.parameters)) {
    tables.push(parameterTable(array, values, ...splitKey(array), plainNames, entry));
  }
  const large = tables.some((table) => table.dataset.large);
  const byName = large && anyEntry(run, change, entries);
  fields.replaceChildren(
    ...tables.filter((table) => !table.dataset.large), byName ? byName.node : "",
    element("div", { class: "tools" },
      element("button", { type: "button", click: change.reset }, "Reset all numbers"),
      element("button", { type: "button", click: change.saved }, "Save this run as JSON")),
  );

  const option = (edit, label, read, write) =>
    field({ edit, label, read, write, act: (value) => change.option(edit, value) });
  const empty = (value) => (value === null ? "" : String(value));
  const options = {
    lr: option("lr", "Learning constant α (lr)", numberIn(0, Infinity, "a number such as 0.02, 0 or more")),
    iterations: option("iterations", "Iterations, at most", integer(1, MAX_ITERATIONS)),
    target: option("target", "Target error (optional)", optional(numberIn()), empty),
    decimals: option("decimals", "Round to decimals (empty: do not round)", optional(integer(0, 15)), empty),
  };
  const group = (made) => element("div", { class: "field" }, made.label, made.input, made.message);
  descent.replaceChildren(
    group(options.lr),
    element("div", { class: "field" },
      element("span", { class: "label", id: "try-label" }, "Try"),
      element("div", { class: "buttons", role: "group", "aria-labelledby": "try-label" },
        [["÷ 10", 0.1], ["÷ 2", 0.5], ["× 2", 2], ["× 10", 10]].map(([label, factor]) =>
          element("button", { type: "button", click: () => change.rate((lr) => lr * factor) }, label)))),
    group(options.iterations), group(options.target),
  );
  network.append(group(options.decimals));
  if (run.x.length > 1) {
    options.sample = option("sample", `Sample, of 0 to ${run.x.length - 1}`, integer(0, run.x.length - 1));
    network.prepend(group(options.sample));
  }
  const write = (state, method) => {
    for (const [name, made] of entries) {
      const { row, last } = placeOf(state.run, name);
      made[method](row[last]);
    }
    for (const [name, made] of Object.entries(options)) {
      made[method](name === "lr" ? state.run.optimizer.lr : state[name]);
    }
    if (byName) byName.show(state);
  };
  return {
    show: (state) => write(state, "show"),
    reset: (state) => write(state, "reset"),
  };
}

// Inputs or targets: a table with a row for each sample, or a list of one sample's numbers.
function dataTable(title, rows, nameOf, entry, array, width) {
  const make = (name) => entry(name, array, width);
  if (!Array.isArray(rows[0])) { // class indices
    return vector(title, rows.length, () => rows.map((_, n) => [nameOf(n), make(nameOf(n))]));
  }
  const [first] = rows;
  if (rows.length === 1) {
    return vector(title, first.length, () => first.map((_, j) => [nameOf(0, j), make(nameOf(0, j))]));
  }
  return table(title, rows.length * first.length, () => rows.map((row, n) =>
    [`sample ${n}`, ...row.map((_, j) => make(nameOf(n, j)))]), first.map((_, j) => j));
}

function parameterTable(array, values, layer, name, names, entry) {
  // The units of the layers in a Residual have no names.
  const unit = (i, j) => (name.includes(".") ? String(j) : names.unit(i, 0, j));
  const make = (...index) => entry(names.parameter(layer, name, index), array);
  if (!Array.isArray(values[0])) {
    return vector(array, values.length, () =>
      values.map((_, j) => [`into ${unit(layer, j)}`, make(j)]));
  }
  return table(array, values.length * values[0].length, () => values.map((row, j) =>
    [`into ${unit(layer, j)}`, ...row.map((_, k) => make(j, k))]),
  values[0].map((_, k) => `from ${unit(layer - 1, k)}`));
}

const tooLarge = () => element("div", { "data-large": "true" });

function vector(title, size, cells) {
  if (size > MAX_ENTRIES) return tooLarge();
  const made = cells();
  return element("fieldset", {}, element("legend", {}, typeset(title)),
    element("div", { class: "vector" },
      made.map(([head, { input }]) =>
        element("span", {}, element("span", {}, typeset(head)), input))),
    made.map(([, { message }]) => message));
}

function table(title, size, rows, heads) {
  if (size > MAX_ENTRIES) return tooLarge();
  const made = rows();
  return element("fieldset", {}, element("legend", {}, typeset(title)), element("div", { class: "scroll" },
    element("table", { class: "entries" },
      element("tr", {}, element("td"), heads.map((head) => element("th", { scope: "col" }, typeset(String(head))))),
      made.map(([head, ...cells]) => element("tr", {}, element("th", { scope: "row" }, typeset(head)),
        cells.map(({ input }) => element("td", {}, input)))))),
  made.flatMap(([, ...cells]) => cells.map(({ message }) => message)));
}

// For arrays of many entries: a name, and the value of the number of that name.
function anyEntry(run, change, entries) {
  let name = null;
  const value = field({
    edit: "value", label: "its value", read: numberIn(), act: (v) => name && change.entry(name, v),
  });
  const choice = field({
    edit: "name", label: "Name of a number", inputmode: "text", placeholder: "0.weight[1,2]",
    read: (content) => (placeOf(run, content) ? { value: content.replace(/\s/g, "") } : {
      problem: `There is no “${content}”: write a name such as x[1], t[0] or 0.weight[1,2].`,
    }),
    act: (chosen) => { name = chosen; change.choose(chosen); },
  });
  const group = (made) => element("div", { class: "field" }, made.label, made.input, made.message);
  return {
    node: element("fieldset", {},
      element("legend", {}, entries.size ? "Numbers of the large arrays" : "Any number"),
      element("div", { class: "tools" }, group(choice), group(value))),
    show: (state) => {
      if (state.selectedName && state.selectedName !== name) {
        name = state.selectedName;
        choice.show(name);
      }
      if (!name) return;
      const { row, last } = placeOf(state.run, name);
      value.show(row[last]);
    },
  };
}
