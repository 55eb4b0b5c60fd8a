// Layout of the drawing: which units are shown, and where units, edges and labels stand.
//
// Pure geometry without a document, so that Node tests it. Layers become columns: a Linear layer
// and the elementwise layers behind it share one column, because a textbook draws them as one
// neuron; its rows are called stages. Softmax mixes units, so it has a column of its own. After the
// outputs come the terms of the error and the error itself.
//
// All positions are first (along, across): along the direction of the layers, and across it. On a
// wide screen along is x; on a phone it is y, and a reader scrolls as always.

import { outputsOf } from "../layers.mjs";
import { placeLabels } from "./labels.mjs";

const MIXING = new Set([
  "Residual", "Softmax", "Softmin", "LogSoftmax", "LayerNorm", "RMSNorm", "GroupNorm",
]);

// Roomy: a unit shows every stage. Compact: it shows its last stage, and biases are dots alone.
// Sizes in px: of a unit, its rows, the space between units, a weight's label, the least and the
// largest gap between columns, and the gap before the error; `most` units in a column.
const ROOMY = {
  radius: 41, row: 22, clear: 12, label: [60, 17], gap: [72, 150], loss: 44, most: 6,
};
const COMPACT = {
  radius: 22, row: 0, clear: 8, label: [46, 15], gap: [60, 190], loss: 60, most: Infinity,
};
const BIAS = { across: 40, upright: 14 }; // room for a bias and its label before its unit
const UPRIGHT_GAP = 120;
const SPARSE = 3; // units in a column that stand apart also in a compact drawing
const WIDE = 640; // from this width on, a drawing that runs downwards is at most TALL
const TALL = 900;
const LINK = 34; // the gap between an output and its target
const MIXED = 60; // before a layer that mixes all units, such as Softmax
const HEADER = 16; // height of one line of a column's title
const MARGIN = 8;

// Return the columns of a run: {stages: [layer…], size, link, kind}. A stage is the index of a
// layer; -1 is the input, layers.length the terms of the error, layers.length + 1 the error.
export function columnsOf(run) {
  const count = run.layers.length;
  const inputs = run.x?.[0]?.length ?? run.layers.find((layer) => layer.in_features)?.in_features;
  const columns = [{ stages: [-1], size: inputs, link: null, kind: "input" }];
  run.layers.forEach((layer, i) => {
    const last = columns.at(-1);
    if (layer.type === "Linear") {
      columns.push({ stages: [i], size: layer.out_features, link: "weights", kind: "neuron" });
    } else if (MIXING.has(layer.type) || outputsOf(layer, last.size) !== last.size) {
      const size = outputsOf(layer, last.size);
      columns.push({ stages: [i], size, link: "all", kind: "neuron" });
    } else {
      last.stages.push(i);
    }
  });
  const { size } = columns.at(-1);
  columns.push({ stages: [count], size, link: "same", kind: "terms" });
  columns.push({ stages: [count + 1], size: 1, link: "all", kind: "loss" });
  return columns;
}

// Return the columns with the units to show: at most `most` a column, those with the largest
// strength(stage, unit), and those of `wanted`, a list of [stage, unit]. `left` counts the others.
export function chooseUnits(columns, strength, most, wanted = []) {
  const chosen = columns.map(({ stages, size }) => {
    const all = Array.from({ length: size }, (_, j) => j);
    if (size <= most) return all;
    const sizes = new Map(all.map((j) => [j, strength(stages.at(-1), j)]));
    const asked = new Set(wanted.filter(([stage]) => stages.includes(stage)).map(([, j]) => j));
    const order = (a, b) => asked.has(b) - asked.has(a) || sizes.get(b) - sizes.get(a) || a - b;
    return all.sort(order).slice(0, Math.max(most, asked.size)).sort((a, b) => a - b);
  });
  return columns.map((column, c) => {
    const shown = column.kind === "terms" ? chosen[c - 1] : chosen[c];
    return { ...column, shown, left: column.size - shown.length };
  });
}

// Return {vertical, compact, width, height, units, edges, biases, headers, rests}. All boxes are
// {x, y, w, h} around their centre. A roomy drawing shows more than a compact one, but it must fit
// into the available width, and on a wide screen nobody wants to scroll down a tall one.
export function layoutOf(run, columns, available) {
  const slots = Math.max(...columns.map(slotsOf));
  const whole = Math.floor(available);
  const frame = (size, vertical) => frameOf(run, columns, size, vertical, whole);
  const fits = ({ width }) => width <= available;
  const isShort = ({ length }) => available < WIDE || length <= TALL;
  const [across, upright] = [frame(COMPACT, false), frame(COMPACT, true)];
  const scrolls = available >= WIDE && across.width <= 1.5 * available;
  const choices = [[across, fits(across) || scrolls], [upright, fits(upright)]];
  if (slots <= ROOMY.most) {
    const [wide, tall] = [frame(ROOMY, false), frame(ROOMY, true)];
    choices.unshift([wide, fits(wide)], [tall, fits(tall) && isShort(tall)]);
    choices.splice(3, 0, [tall, fits(tall)]);
  }
  const found = choices.find(([, isRight]) => isRight);
  return fill(run, columns, found?.[0] ?? (across.width < upright.width ? across : upright));
}

const slotsOf = ({ shown, left }) => shown.length + (left > 0);

// Measure one way to lay out: the extent of every column, its title, and the size of the whole.
function frameOf(run, columns, size, vertical, available) {
  const isSparse = Math.max(...columns.map(slotsOf)) <= SPARSE; // then labels find room
  const clear = isSparse ? ROOMY.clear + 20 * !size.row : size.clear;
  const extents = columns.map((column) => {
    const rows = size.row ? column.stages.length : 1;
    const w = 2 * size.radius;
    const h = column.kind === "terms" && size.row ? 58 : w + size.row * Math.max(0, rows - 2);
    const room = size.row ? BIAS[vertical ? "upright" : "across"] : 0;
    const bias = hasBias(run, column) ? room : 0;
    const pitch = (vertical ? w : h) + bias + clear;
    return { w, h, bias, pitch, breadth: pitch * slotsOf(column) - clear, depth: vertical ? h : w };
  });
  const breadth = Math.max(...extents.map((extent) => extent.breadth));
  const full = columns.map((column) => titleOf(run, column));
  const overhang = (c) => Math.max(0, titleWidth(full.at(c)) - extents.at(c).depth) / 2;
  const [before, after] = vertical ? [0, 0] : [overhang(0), overhang(-1)]; // titles at the ends
  const weighted = columns.filter(({ link }) => link === "weights").length;
  const fixed = columns.reduce((total, column, c) =>
    total + extents[c].depth + (column.link === "weights" ? 0 : gapOf(column, size, vertical)),
  2 * MARGIN + before + after);
  const [least, most] = vertical ? [UPRIGHT_GAP, UPRIGHT_GAP] : size.gap;
  const free = weighted ? (available - fixed) / weighted : least;
  const gap = Math.max(least, Math.min(most, free));
  const gaps = columns.map((column) =>
    (column.link === "weights" ? gap : gapOf(column, size, vertical)));

  const isTight = vertical
    ? full.some((lines) => titleWidth([lines.join(" · ")]) > available - 2 * MARGIN)
    : full.some((lines, c) => c && titleWidth(lines) + titleWidth(full[c - 1]) + 12
      > extents[c].depth + extents[c - 1].depth + 2 * gaps[c]);
  const brief = (line) => line.replace("layer ", "");
  const titles = isTight ? full.map((lines) => lines.map(brief)) : full;
  const length = fixed + gap * weighted;
  const width = Math.ceil((vertical ? breadth + 2 * MARGIN : length) - 1e-6);
  return { vertical, size, extents, titles, breadth, gaps, before, length, width, available };
}

// The gap before a column without weights.
function gapOf({ link, kind }, size, vertical) {
  if (link === null) return 0;
  if (vertical) return LINK + HEADER;
  if (kind === "terms") return LINK;
  return kind === "loss" ? size.loss : MIXED;
}

function fill(run, columns, frame) {
  const { vertical, size, extents, titles, breadth, gaps } = frame;
  const lines = vertical ? 1 : Math.max(...titles.map(({ length }) => length));
  const top = MARGIN + HEADER * lines + 4;
  const width = Math.max(frame.width, vertical ? Math.min(frame.available, 420) : 0);
  const centre = vertical ? width / 2 : top + breadth / 2;
  const place = (along, across) => (vertical ? { x: across, y: along } : { x: along, y: across });
  const layout = {
    vertical, compact: !size.row, radius: size.radius, width, columns,
    units: [], edges: [], biases: [], headers: [], rests: [],
  };
  let along = vertical ? top : MARGIN + frame.before;
  columns.forEach((column, c) => {
    const { w, h, bias, pitch, depth, breadth: own } = extents[c];
    along += gaps[c];
    // The bias stands before its unit: above it, or left of it when the layers run downwards.
    const first = centre - own / 2 + bias + (vertical ? w : h) / 2;
    const middle = along + depth / 2;
    column.shown.forEach((j, slot) => {
      const at = place(middle, first + pitch * slot);
      const unit = { column: c, j, ...at, w, h, kind: column.kind };
      layout.units.push(unit);
      if (hasBias(run, column)) layout.biases.push(biasOf(column, unit, size, vertical));
    });
    if (column.left > 0) {
      const at = place(middle, first + pitch * column.shown.length);
      layout.rests.push({ column: c, left: column.left, ...at, w, h: 40 });
    }
    layout.headers.push(headerOf(titles[c], column, vertical, vertical ? along : middle, top));
    along += depth;
  });
  layout.height = vertical ? along + MARGIN + 10 : top + breadth + MARGIN + 10;
  connect(layout, size);
  return layout;
}

function titleOf(run, { stages, kind }) {
  if (kind === "terms") return ["target, error"];
  if (kind === "loss") return [run.loss.type];
  return stages.map((i) => (i < 0 ? "input" : `layer ${i} ${run.layers[i].type}`));
}

const titleWidth = (lines) => 7 * Math.max(...lines.map(({ length }) => length));

// A column's title: above all columns, or when the layers run downwards at the left before its row.
function headerOf(lines, { link }, vertical, along, top) {
  const text = vertical ? [lines.join(" · ")] : lines;
  const w = titleWidth(text);
  const h = HEADER * text.length;
  if (vertical) {
    const y = along - (link === "weights" ? 36 : 12); // above the labels of biases
    return { text, x: MARGIN + w / 2, y, w, h, anchor: "start" };
  }
  return { text, x: along, y: top - 4 - h / 2, w, h, anchor: "middle" };
}

const hasBias = (run, { link, stages }) =>
  link === "weights" && run.layers[stages[0]].bias !== false;

// A bias: its dot, the line to its unit, and its label. Upright or compact it stands on the unit's
// shoulder, otherwise above the unit.
function biasOf({ stages }, unit, size, vertical) {
  const key = { layer: stages[0], name: "bias", index: [unit.j] };
  const onShoulder = vertical || !size.row;
  const r = unit.w / 2;
  const away = onShoulder ? r * Math.SQRT1_2 + 5 : 0;
  const x = unit.x - away;
  const y = onShoulder ? unit.y - unit.h / 2 + r - away : unit.y - unit.h / 2 - 20;
  const [w, h] = size.label;
  const label = onShoulder ? { x: x + 2, y: y - 16, w: 52, h }
    : { x: x + 8 + w / 2, y, w, h, left: x + 8 };
  const line = lineBetween({ x, y, w: 0, h: 0 }, unit);
  return { key, unit, x, y, ...line, label: size.row ? label : null };
}

// Add the edges between neighbouring columns, and the place of each weight's label.
function connect(layout, size) {
  const of = (c) => layout.units.filter(({ column }) => column === c);
  layout.columns.forEach(({ link, stages }, c) => {
    if (link === null) return;
    const edges = [];
    for (const to of of(c)) {
      for (const from of of(c - 1)) {
        if (link === "same" && from.j !== to.j) continue;
        const weights = link === "weights";
        const key = weights ? { layer: stages[0], name: "weight", index: [to.j, from.j] } : null;
        edges.push({ key, from, to, link, ...lineBetween(from, to) });
      }
    }
    const obstacles = [
      ...layout.units, ...layout.headers, ...layout.rests,
      ...layout.biases.map(({ label }) => label).filter(Boolean),
    ];
    placeLabels(edges, obstacles, size.label);
    layout.edges.push(...edges);
  });
}

// Return the straight line between the outlines of two units. An outline is a circle that is drawn
// out to the unit's width or height, so the line leads from one circle's centre to the other's.
function lineBetween(from, to) {
  const clamp = (v, middle, reach) => Math.max(middle - reach, Math.min(middle + reach, v));
  const radius = ({ w, h }) => Math.min(w, h) / 2;
  const anchor = (unit, other) => ({
    x: clamp(other.x, unit.x, unit.w / 2 - radius(unit)),
    y: clamp(other.y, unit.y, unit.h / 2 - radius(unit)),
  });
  const [a, b] = [anchor(from, to), anchor(to, from)];
  const distance = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const [dx, dy] = [(b.x - a.x) / distance, (b.y - a.y) / distance];
  const [r, s] = [radius(from) + 1, radius(to) + 1];
  return { x1: a.x + r * dx, y1: a.y + r * dy, x2: b.x - s * dx, y2: b.y - s * dy };
}
