// The list of a weight's paths, as elements: each path with its factors and product, then their
// sum beside what the backward pass gave.

import { element, parsed } from "../dom.mjs";
import { math, symbol } from "../mathml.mjs";
import { formatNumber } from "../notation.mjs";
import { shortNumber, textOf } from "./figures.mjs";

const MOST_FACTORS = 16; // that a path shows
const ENDS = 4; // factors at each end of a longer one
const NEGLIGIBLE = 1e-14; // of Σ |product|: what rounding explains when the products cancel

// How many paths a weight has, and what to do with them.
export function leadOf(key, { count }, samples) {
  const paths = (n) => `${n.toLocaleString("en")} ${n === 1 ? "path" : "paths"}`;
  const batch = samples > 1 ? `, ${paths(count / samples)} in each of ${samples} samples` : "";
  const task = count > 1 ? "Multiply the factors along each path, then add the products."
    : "The product of its factors is the gradient.";
  const number = element("strong", {}, paths(count));
  return element("p", { class: "path-lead" },
    symbolOf(textOf(key)), " reaches the error over ", number, `${batch}. ${task}`);
}

// The listed paths; a bar shows each product as a part of the largest. `light(i)` is called when a
// path is pointed at, `unlight()` when it is left, and `pin(i)` when it is chosen.
export function listOf({ paths }, { decimals, samples, light, unlight, pin }) {
  const largest = Math.max(...paths.map(({ product }) => Math.abs(product)));
  return element("ol", { class: "path-list" }, paths.map(({ sample, factors, product }, i) => {
    const button = element("button", {
      type: "button", "data-path": i, "aria-pressed": "false", "aria-label": `Path ${i + 1} alone`,
      focus: () => light(i), blur: unlight,
    }, String(i + 1));
    const cells = shortened(factors).flatMap((factor, f) => [
      f > 0 && element("span", { class: "path-times" }, "·"),
      typeof factor === "number"
        ? element("span", { class: "path-times" }, `⋯ (${factor} more factors) ⋯`)
        : element("span", { class: "path-factor" }, symbolOf(factor.name),
          numberOf(factor.name, factor.value, { decimals, inBrackets: f > 0 })),
    ]);
    const result = element("span", { class: "path-product" },
      "= ", numberOf("path", product, { decimals }));
    const share = largest ? (100 * Math.abs(product)) / largest : 0;
    const bar = element("span", { class: "path-bar", "aria-hidden": "true" }, element("span", {
      class: product < 0 ? "negative" : "positive", style: `width: ${share.toFixed(1)}%`,
    }));
    const byPointer = (f) => ({ pointerType }) => pointerType !== "touch" && f();
    return element("li", {
      click: () => pin(i), pointerenter: byPointer(() => light(i)), pointerleave: byPointer(unlight),
    }, button, samples > 1 && element("span", { class: "path-sample" }, `sample ${sample}`),
    element("span", { class: "path-factors" }, cells, result), bar);
  }));
}

// Of a long path, the factors at its ends, and between them how many are left out.
const shortened = (factors) => (factors.length <= MOST_FACTORS ? factors
  : [...factors.slice(0, ENDS), factors.length - 2 * ENDS, ...factors.slice(-ENDS)]);

// How much the paths that are not listed have of Σ |product|; null if all are listed.
export function restOf({ paths, count, share }) {
  if (count === paths.length) return null;
  const rest = (count - paths.length).toLocaleString("en");
  return element("p", { class: "path-rest" }, `… and ${rest} weaker paths. The ${paths.length} listed `
    + `ones have ${shortNumber(100 * share)} % of Σ |product|.`);
}

// The sum, the result of backward, and whether they agree; `measured` is the slope by difference.
export function totalOf(key, { sum, backward, size }, { decimals, measured }) {
  const name = `∂L/∂${textOf(key)}`;
  const full = (value) =>
    element("span", { "data-q": name, "data-value": String(value) }, withMinus(String(value)));
  const [isRight, words] = verdict(sum, backward, size, decimals);
  const rows = [
    ["sum of all paths", "path-sum", full(sum)],
    ["backward gave", "path-backward", full(backward)],
    ["so they are", isRight ? "right" : "wrong", words],
  ];
  if (measured) {
    const [up, down, slope] = [measured.up, measured.down, measured.slope]
      .map((value, i) => withMinus(formatNumber(value, { digits: i < 2 ? 9 : 6 })));
    const step = shortNumber(measured.step);
    const quotient = `(${up} − ${down}) / ${shortNumber(2 * measured.step)} = ${slope}`;
    rows.push([`moved by ±${step}`, "path-measured", `L changes at the rate ${quotient}`]);
  }
  return element("dl", { class: "path-total" }, rows.flatMap(([term, kind, content]) =>
    [element("dt", {}, term), element("dd", { class: kind }, content)]));
}

// How far two numbers agree: [whether that is as it should be, in words].
export function verdict(sum, backward, size, decimals) {
  const difference = Math.abs(sum - backward);
  if (Number.isNaN(difference)) return [false, "not numbers: the run has diverged"];
  if (difference === 0) return [true, "equal to the last digit"];
  if (decimals !== undefined) {
    const apart = shortNumber(difference);
    return [true, `${apart} apart, because each operation is rounded to ${decimals} decimals`];
  }
  const count = Math.floor(-Math.log10(difference / Math.abs(backward)));
  if (count >= 13) return [true, `equal to ${count} digits`];
  if (difference <= NEGLIGIBLE * size) return [true, "equal up to rounding: the products cancel"];
  return [false, count > 0 ? `equal to ${count} digits only` : "different"];
}

const withMinus = (text) => text.replace(/-/g, "−");

export const symbolOf = (name) =>
  element("span", { class: "path-symbol" }, parsed(math(symbol(name), name)));

function numberOf(name, value, { decimals, inBrackets = false }) {
  const text = withMinus(formatNumber(value, { decimals }));
  const shown = inBrackets && text.startsWith("−") ? `(${text})` : text;
  const data = { "data-q": name, "data-value": String(value) };
  return element("span", { class: "path-number", ...data }, shown);
}
