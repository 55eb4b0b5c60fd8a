// The drawing together with the list of a weight's paths: choose a weight, see its paths light up,
// follow one of them, and compare their sum with what the backward pass gave.

import { element, parsed } from "../dom.mjs";
import { isSameKey, shortNumber, textOf } from "./figures.mjs";
import { math, symbol } from "../mathml.mjs";
import { drawNetwork } from "./network.mjs";
import { formatNumber } from "../notation.mjs";
import { pathsOf } from "./paths.mjs";

const INVITATION = "Choose a weight or a bias in the drawing. All its paths to the error light up, "
  + "and their factors stand here.";
const MOST_DRAWN = 64; // paths whose factors stand in the drawing
const NEGLIGIBLE = 1e-14; // of Σ |product|: what rounding explains when the products cancel

// Draw a network, and list the paths of the chosen weight. `boxes` = {drawing, paths}, two
// elements; options as for `drawNetwork`. Return {update(changes)}; changes as for `drawNetwork`, without
// `paths` and `only`. A run with other layers needs a new call.
export function exploreNetwork(boxes, run, options = {}) {
  const state = { run, pass: null, A: null, selected: null, sample: options.sample ?? 0 };
  let [hovered, pinned, listed] = [null, null, null]; // listed: the key whose paths are listed

  const drawing = drawNetwork(boxes.drawing, run, {
    ...options,
    onHover(key) {
      hovered = key;
      if (key && !state.selected) list(key);
      drawing.update({ paths: drawn(hovered ?? state.selected), only: null });
    },
  });
  boxes.paths.classList.add("paths");
  say(INVITATION);

  function pathsFor(key, most) {
    return key && state.pass ? pathsOf(state.run, state.pass, key, state.A, most) : null;
  }

  // Paths for the drawing: all or none, because a part of the factors would mislead.
  function drawn(key) {
    const found = pathsFor(key, MOST_DRAWN);
    return found?.count === found?.paths.length ? (found?.paths ?? null) : null;
  }

  function say(text) {
    boxes.paths.replaceChildren(element("p", { class: "path-hint" }, text));
  }

  // Light one path alone, or all. A path of another sample needs the numbers of that sample.
  function show(path) {
    const all = drawn(state.selected ?? listed);
    const key = path ? (state.selected ?? listed) : state.selected;
    drawing.update({ only: path, paths: all, selected: key, sample: path?.sample ?? state.sample });
  }

  function pin(index, found) {
    pinned = pinned === index ? null : index;
    for (const button of boxes.paths.querySelectorAll("[data-path]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.path) === pinned));
    }
    show(pinned === null ? null : found.paths[pinned]);
  }

  function list(key) {
    listed = key;
    const found = pathsFor(key);
    if (!found) return;
    const { paths, count } = found;
    const rest = count - paths.length;
    const largest = Math.max(...paths.map(({ product }) => Math.abs(product)));
    const rows = paths.map((path, i) => row(path, i, found, largest));
    const lead = element("p", { class: "path-lead" }, ...leadOf(key, found));
    const left = rest > 0 ? [element("p", { class: "path-rest" },
      `… and ${rest.toLocaleString("en")} weaker paths. The ${paths.length} listed ones have `
      + `${shortNumber(100 * found.share)} % of Σ |product|.`)] : [];
    const all = element("ol", { class: "path-list" }, rows);
    boxes.paths.replaceChildren(lead, all, ...left, totalOf(key, found));
  }

  function leadOf(key, { count }) {
    const samples = state.run.x.length;
    const per = count / samples;
    const paths = (n) => `${n.toLocaleString("en")} ${n === 1 ? "path" : "paths"}`;
    const batch = samples > 1 ? `, ${paths(per)} in each of ${samples} samples` : "";
    const task = count > 1 ? "Multiply the factors along each path, then add the products."
      : "The product of its factors is the gradient.";
    const number = element("strong", {}, paths(count));
    return [symbolOf(textOf(key)), " reaches the error over ", number, `${batch}. ${task}`];
  }

  function row({ sample, factors, product }, i, found, largest) {
    const button = element("button", {
      type: "button", "data-path": i, "aria-pressed": "false", "aria-label": `Path ${i + 1} alone`,
    }, String(i + 1));
    const format = { decimals: state.A.decimals };
    const cells = factors.flatMap(({ name, value }, f) => [
      ...(f ? [element("span", { class: "path-times" }, "·")] : []),
      element("span", { class: "path-factor" },
        symbolOf(name), numberOf(name, value, format, f > 0)),
    ]);
    const share = largest ? (100 * Math.abs(product)) / largest : 0;
    const bar = element("span", { class: "path-bar", "aria-hidden": "true" }, element("span", {
      class: product < 0 ? "negative" : "positive", style: `width: ${share.toFixed(1)}%`,
    }));
    const where = state.run.x.length > 1
      && element("span", { class: "path-sample" }, `sample ${sample}`);
    cells.push(element("span", { class: "path-product" }, "= ", numberOf("path", product, format)));
    const line = element("span", { class: "path-factors" }, cells);
    const light = () => show(found.paths[i]);
    const unlight = () => show(pinned === null ? null : found.paths[pinned]);
    const byPointer = (f) => ({ pointerType }) => pointerType !== "touch" && f();
    const item = element("li", {
      click: () => pin(i, found), pointerenter: byPointer(light), pointerleave: byPointer(unlight),
    }, button, where, line, bar);
    button.addEventListener("focus", light);
    button.addEventListener("blur", unlight);
    return item;
  }

  function totalOf(key, { sum, backward, size }) {
    const name = `∂L/∂${textOf(key)}`;
    const full = (value) =>
      element("span", { "data-q": name, "data-value": String(value) }, withMinus(String(value)));
    const [isRight, words] = verdict(sum, backward, size, state.A.decimals);
    const rows = [
      ["sum of all paths", "path-sum", full(sum)],
      ["backward gave", "path-backward", full(backward)],
      ["so they are", isRight ? "right" : "wrong", words],
    ];
    return element("dl", { class: "path-total" }, rows.flatMap(([term, kind, content]) =>
      [element("dt", {}, term), element("dd", { class: kind }, content)]));
  }

  function update(changes = {}) {
    const before = state.selected;
    Object.assign(state, changes);
    const shown = state.selected ?? (isSameKey(before, listed) ? null : listed);
    if (!isSameKey(before, state.selected)) pinned = null;
    if (shown) list(shown);
    else if (before) say(INVITATION);
    listed = shown;
    const only = pinned === null ? null : pathsFor(state.selected)?.paths[pinned] ?? null;
    drawing.update({ ...changes, paths: drawn(hovered ?? state.selected), only });
  }

  return { update };
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

const symbolOf = (name) =>
  element("span", { class: "path-symbol" }, parsed(math(symbol(name), name)));

function numberOf(name, value, format, inBrackets = false) {
  const text = withMinus(formatNumber(value, format));
  const shown = inBrackets && text.startsWith("−") ? `(${text})` : text;
  const data = { "data-q": name, "data-value": String(value) };
  return element("span", { class: "path-number", ...data }, shown);
}
