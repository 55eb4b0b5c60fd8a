// The texts of the drawing: numbers, the rows of a unit, and texts on a plate.

import { svg } from "../dom.mjs";
import { shortNumber } from "./figures.mjs";

const ROW = 22; // distance of a unit's rows

// A number as a tspan, which carries its name and its full precision; a factor begins with ×.
export function numberText({ name, value }, { isFactor = false, room = 7 } = {}) {
  const text = isFactor ? `×\u2009${shortNumber(value, 7)}` : shortNumber(value, room);
  return svg("tspan", { "data-q": name, "data-value": String(value) }, text);
}

// A row of a unit, `step` rows below its middle: symbol and number; in a compact unit, one above
// the other. The layer is said by the column's title and the sample by the legend, so that a
// symbol has its unit's index alone: an italic z with a lowered 1 for z0[1].
export function unitRow({ x, y, w }, { name, value }, { step, isFirst, compact }) {
  const [, letter, index] = /^(?:∂L\/∂)?(\p{L}+)\d*(?:\[(?:.*,)?(\d+)\])?$/u.exec(name);
  const symbol = [svg("tspan", { class: "nn-letter" }, letter)];
  if (name.startsWith("∂")) symbol.unshift("∂");
  if (index) symbol.push(svg("tspan", { class: "nn-index", dy: 3 }, index));
  const room = compact || name.startsWith("∂") ? 6 : 7;
  const number = value === undefined ? null : numberText({ name, value }, { room });
  const line = y + 4 + ROW * step;
  if (compact) {
    const above = number ? 8 : 0;
    return [
      svg("text", { x, y: line - above, class: "nn-name" }, ...symbol),
      svg("text", { x, y: line + 7 }, number),
    ];
  }
  number?.setAttribute("dx", 4);
  if (index) number?.setAttribute("dy", -3);
  const text = svg("text", { x, y: line }, symbol, number);
  if (isFirst) return [text];
  const [x1, x2, above] = [x - w / 2 + 5, x + w / 2 - 5, line - 15];
  return [svg("line", { class: "nn-rule", x1, x2, y1: above, y2: above }), text];
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
