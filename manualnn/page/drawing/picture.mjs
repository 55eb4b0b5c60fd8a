// The SVG elements of a drawing: made once for a layout, then filled with numbers and classes.

import { element, svg } from "../dom.mjs";
import { isSameKey, shortNumber, textOf } from "./figures.mjs";
import { numberText, textOnPlate, unitRow } from "./shapes.mjs";

const CROSS = "✗"; // beside what is wrong

// Return the elements of a layout: {svg, chips, edges: [{item, group, plate}…], units: [{unit,
// group, rows, title}…], weights: a Map from "0.weight[1,2]" to {key, group}}.
export function makePicture(layout) {
  const { width, height, compact } = layout;
  const groups = ["edges", "units", "labels", "chips"]
    .map((name) => svg("g", { class: `nn-${name}` }));
  const [lines, units, labels, chips] = groups;
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` }, groups);
  root.classList.toggle("nn-compact", compact);
  labels.append(...layout.headers.flatMap(titleTexts));
  for (const { x, y, left } of layout.rests) {
    units.append(svg("text", { class: "nn-rest", x, y: y - 4 }, `… ${left}`));
    units.append(svg("text", { class: "nn-rest", x, y: y + 10 }, "more"));
  }
  const edgeParts = [...layout.edges, ...layout.biases].map(makeEdge);
  const unitParts = layout.units.map(makeUnit);
  lines.append(...edgeParts.map(({ group }) => group));
  labels.append(...edgeParts.map(({ plate }) => plate).filter(Boolean));
  units.append(...unitParts.map(({ group }) => group));
  const weights = new Map(edgeParts.filter(({ item }) => item.key)
    .map(({ item: { key }, group }) => [textOf(key), { key, group }]));
  return { svg: root, chips, edges: edgeParts, units: unitParts, weights };
}

function titleTexts({ text, x, y, w, h, anchor }) {
  const left = anchor === "start" ? x - w / 2 : x;
  const style = `text-anchor: ${anchor}`;
  return text.map((line, i) =>
    svg("text", { class: "nn-title", x: left, y: y - h / 2 + 12 + 16 * i, style }, line));
}

function makeEdge(item) {
  const { key, label, x, y, x1, y1, x2, y2 } = item;
  const isBias = key?.name === "bias";
  const group = svg("g", { class: key ? "nn-weight" : "nn-link" },
    key && svg("line", { class: "nn-halo", x1, y1, x2, y2 }),
    svg("line", { class: "nn-line", x1, y1, x2, y2 }),
    isBias && svg("circle", { class: "nn-dot", cx: x, cy: y, r: 5 }));
  const plate = label && svg("g", { class: "nn-label", "data-of": key && textOf(key) });
  return { item, group, plate };
}

function makeUnit(unit) {
  const { x, y, w, h, kind } = unit;
  const corner = { terms: 8, loss: 18 }[kind] ?? w / 2;
  const place = { x: x - w / 2, y: y - h / 2, width: w, height: h, rx: corner };
  const [rows, title] = [svg("g"), svg("title")];
  const frame = svg("rect", { class: "nn-frame", ...place });
  return { unit, group: svg("g", { class: `nn-unit nn-${kind}` }, frame, rows, title), rows, title };
}

// The view of a picture at one moment: {state, layout, figures, lit, largest, marks}; `largest` is
// the number of the thickest line.
export function fillPicture(picture, view) {
  const { lit } = view;
  picture.svg.classList.toggle("nn-dimmed", lit.key !== null);
  picture.chips.replaceChildren();
  for (const part of picture.edges) fillEdge(part, view);
  for (const part of picture.units) fillUnit(part, view, picture.chips);
}

function fillEdge(part, { state, layout, figures, lit, largest, marks }) {
  const { item, group, plate } = part;
  const { key } = item;
  const value = key ? figures.parameter(key) : undefined;
  const isAmong = (keys) => Boolean(key && keys?.some((other) => isSameKey(other, key)));
  const [isLit, isWrong] = [lit.edges.has(item), isAmong(marks.weights)];
  const isInFocus = isAmong(state.focus?.edges);
  setClasses(group, {
    lit: isLit, wrong: isWrong, negative: value < 0,
    chosen: isSameKey(key, state.selected), focus: isInFocus,
  });
  const share = largest && Number.isFinite(value) ? Math.abs(value) / largest : 0;
  if (key) group.style.setProperty("--width", `${(1 + 5 * share).toFixed(2)}px`);
  if (!plate) {
    cross(group, isWrong, item);
    return;
  }
  const factors = lit.factors.get(item);
  const isAlone = isSameKey(key, lit.key) || (isLit && state.only !== null);
  const isShown = (item.fits ?? true) || isAlone || isWrong;
  setClasses(plate, { lit: isLit, focus: isInFocus, "nn-factor": Boolean(factors), "nn-hidden": !isShown });
  const name = key && (state.colourBy === "gradient" ? `∂L/∂${textOf(key)}` : textOf(key));
  const own = value === undefined ? [] : [{ name, value }];
  if (!isNew(part, factors ?? own, [Boolean(factors), isWrong])) return;
  const texts = factors?.map((factor) => numberText(factor, { isFactor: true }))
    ?? own.map((number) => numberText(number, { room: layout.compact ? 6 : 7 }));
  if (isWrong) texts.unshift(svg("tspan", { class: "nn-cross" }, `${CROSS} `));
  plate.replaceChildren(...(texts.length ? textOnPlate(item.label, texts, layout.compact) : []));
}

// Most changes leave most numbers as they are, and elements are slow to make: are these numbers, or
// the other things that a part shows, not yet written into it?
function isNew(part, numbers, others = []) {
  const content = [...numbers.flatMap(({ name, value }) => [name, value]), ...others].join();
  if (part.content === content) return false;
  part.content = content;
  return true;
}

// A unit shows a row for every stage; a compact one its last, or the one that a step is about.
function fillUnit(part, view, chips) {
  const { unit, group, rows, title } = part;
  const { state, layout: { columns, compact }, figures, lit, marks } = view;
  const { stages } = columns[unit.column];
  const isOf = ([stage, j]) => j === unit.j && stages.includes(stage);
  const focus = state.focus?.units?.filter(isOf) ?? [];
  const all = figures.rows(stages, unit.j);
  const asked = all.filter(({ stage }) => focus.some(([i]) => i === stage));
  const shown = compact ? [asked.at(-1) ?? all.at(-1)] : all;
  if (isNew(part, [...shown, ...all])) {
    rows.replaceChildren(...shown.flatMap((row, i) =>
      unitRow(unit, row, { step: i - (shown.length - 1) / 2, isFirst: i === 0, compact })));
    title.textContent = all
      .map(({ name, value }) => (value === undefined ? name : `${name} = ${value}`)).join("\n");
  }
  const isWrong = Boolean(marks.units?.some(isOf) || (unit.kind === "loss" && marks.loss));
  setClasses(group, { lit: lit.units.has(unit), focus: focus.length > 0, wrong: isWrong });
  cross(group, isWrong, { x: unit.x + unit.w / 2 - 7, y: unit.y - unit.h / 2 + 7 });
  const texts = lit.factors.get(unit)?.map((factor) => numberText(factor, { isFactor: true }));
  if (!texts) return;
  const bottom = { x: unit.x, y: unit.y + unit.h / 2 };
  chips.append(svg("g", { class: "nn-chip" }, textOnPlate(bottom, texts, compact)));
}

function setClasses(node, classes) {
  for (const [name, isOn] of Object.entries(classes)) node.classList.toggle(name, isOn);
}

function cross(group, isWrong, { x, y }) {
  group.querySelector(".nn-cross")?.remove();
  if (isWrong) group.append(svg("text", { class: "nn-cross", x, y: y + 5 }, CROSS));
}

// What colours, widths and shortened numbers mean, as elements for a line under the drawing.
export function legendOf({ state: { run, colourBy, sample }, layout, largest, marks }) {
  const what = colourBy === "gradient" ? "gradient" : "weight";
  const swatch = (sign) => svg("svg", { width: 34, height: 12, "aria-hidden": "true" },
    svg("g", { class: `nn-weight ${sign}`, style: "--width: 3px" },
      svg("line", { class: "nn-line", x1: 0, x2: 34, y1: 6, y2: 6 })));
  const samples = run.x?.length ?? 1;
  const isMarked = marks.weights?.length || marks.units?.length || marks.loss;
  const words = [
    `the thickest line is |${what}| = ${shortNumber(largest)}`,
    "numbers have at most 4 digits",
    colourBy === "gradient" && "∂z is short for ∂L/∂z",
    samples > 1 && `sample ${sample} of ${samples} (0 is the first)`,
    isMarked && `${CROSS} wrong`,
    layout.rests.length && "of a large layer, only the units that matter most are drawn",
  ];
  return [
    element("span", {}, swatch(""), ` positive ${what}`),
    element("span", {}, swatch("negative"), ` negative ${what}, dashed`),
    ...words.filter(Boolean).map((text) => element("span", {}, text)),
  ];
}
