// The texts of the drawing: numbers, the rows of a unit, and texts on a plate.

import { svg } from "../dom.mjs";
import { shortNumber } from "./figures.mjs";

const ROW = 22; // distance of a unit's rows
const RAISED = 9; // px from a lower index to an upper one

// The width of indices, in em.
const widthOf = (text) => [...text].reduce((w, c) => w + (/\d/.test(c) ? 0.56 : 0.32), 0);

// A number as a tspan, which carries its name and its full precision; a factor begins with ×.
export function numberText({ name, value }, { isFactor = false, room = 7 } = {}) {
  const text = isFactor ? `×\u2009${shortNumber(value, 7)}` : shortNumber(value, room);
  return svg("tspan", { "data-q": name, "data-value": String(value) }, text);
}

// A row of a unit, `step` rows below its middle: symbol and number; in a compact unit, one above
// the other. The symbol is that of the formulas: an italic z with (0) above and 1 below for z0[1].
export function unitRow({ x, y, w }, { name, value }, { step, isFirst, compact }) {
  const [, letter, layer, index] = /^(?:∂L\/∂)?(\p{L}+)(\d*)(?:\[([\d,]+)\])?$/u.exec(name);
  const symbol = [svg("tspan", { class: "nn-letter" }, letter)];
  if (name.startsWith("∂")) symbol.unshift("∂");
  const [below, above] = [widthOf(index ?? ""), widthOf(layer && `(${layer})`)];
  if (index) symbol.push(svg("tspan", { class: "nn-index", dy: 3 }, index));
  if (layer) {
    symbol.push(svg("tspan", { class: "nn-index", dx: `${-below}em`, dy: -RAISED }, `(${layer})`));
  }
  const room = compact || name.startsWith("∂") ? 6 : 7;
  const number = value === undefined ? null : numberText({ name, value }, { room });
  const line = y + 4 + ROW * step;
  if (compact) {
    return [
      svg("text", { x, y: line - (number ? 8 : 0), class: "nn-name" }, ...symbol),
      svg("text", { x, y: line + 7 }, number),
    ];
  }
  number?.setAttribute("dx", 3 + (layer ? 9 * Math.max(0, below - above) : 0));
  if (index) number?.setAttribute("dy", layer ? RAISED - 3 : -3);
  const isLong = layer && name.startsWith("∂");
  const text = svg("text", { x, y: line, class: isLong && "nn-long" }, symbol, number);
  if (isFirst) return [text];
  const [x1, x2, top] = [x - w / 2 + 5, x + w / 2 - 5, line - 15];
  return [svg("line", { class: "nn-rule", x1, x2, y1: top, y2: top }), text];
}

// A text in the middle of a plate, which hides the lines behind it. With `left` the plate begins
// there.
export function textOnPlate({ x: middle, y, left }, texts, compact) {
  const spaced = texts.flatMap((text, i) => (i ? [" ", text] : [text]));
  const length = spaced.reduce((total, text) => total + (text.textContent ?? text).length, 0);
  const w = 4 + (compact ? 6.5 : 7.4) * length;
  const x = left === undefined ? middle : left + w / 2;
  return [
    svg("rect", { x: x - w / 2, y: y - 8, width: w, height: 16, rx: 8 }),
    svg("text", { x, y: y + 4 }, spaced),
  ];
}
