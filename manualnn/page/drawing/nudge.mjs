// Moving a weight: by a slider, with everything that follows; and by a little up and down, which
// measures the slope of the error without any rule of differentiation.

import { floats } from "../arithmetic.mjs";
import { element } from "../dom.mjs";
import { entryAt, propagate } from "../engine.mjs";
import { shortNumber, textOf } from "./figures.mjs";
import { symbolOf } from "./listing.mjs";

const STEP = 1e-4; // of the weight, or of 1 if it is small: the error of the slope is about STEP²
const MOST_REACH = Number.MAX_VALUE / 4;
const MOST_WEIGHTS = 20000; // a larger network would take too long at every change

const valueOf = (run, { layer, name, index }) =>
  entryAt(run.parameters[`${layer}.${name}`], index);

// Return {up, down, step, slope}: the error with the weight moved up and down by a step, and the
// quotient of differences; null if the network is too large.
export function measuredSlope(run, key) {
  const count = Object.values(run.parameters).flat(2).length;
  if (count > MOST_WEIGHTS) return null;
  const value = valueOf(run, key);
  const step = STEP * Math.max(1, Math.abs(value));
  const errorAt = (moved) => {
    const array = `${key.layer}.${key.name}`;
    const copy = structuredClone(run.parameters[array]);
    const [i, j] = key.index;
    if (j === undefined) copy[i] = moved;
    else copy[i][j] = moved;
    return propagate({ ...run, parameters: { ...run.parameters, [array]: copy } }, floats).loss;
  };
  const [up, down] = [errorAt(value + step), errorAt(value - step)];
  return { up, down, step, slope: (up - down) / (2 * step) };
}

// Return {node, show(run)}: a slider for a weight, which calls onEdit(key, value). It reaches as
// far as 1 or twice the weight's size, and stays where it is while a reader moves it.
export function makeSlider(run, key, onEdit) {
  const value = valueOf(run, key);
  const reach = Math.min(Math.max(1, 2 * Math.abs(value)), MOST_REACH);
  const number = element("output", { class: "path-value" });
  const slider = element("input", {
    type: "range", min: value - reach, max: value + reach, step: reach / 100,
    "aria-label": `Move ${textOf(key)}`,
    input: () => onEdit(key, Number(Number(slider.value).toPrecision(12))),
  });
  const show = (now) => {
    const current = valueOf(now, key);
    const text = `= ${shortNumber(current, 12, 6)}`;
    if (number.textContent !== text) number.textContent = text;
    if (document.activeElement !== slider) slider.value = current;
  };
  show(run);
  const label = element("span", {}, symbolOf(textOf(key)), " ", number);
  return { node: element("p", { class: "path-slider screen" }, label, slider), show };
}
