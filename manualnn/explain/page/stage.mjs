// The stage: the buttons and the slider of the steps, and the step that is shown.

import { element, parsed } from "../../page/dom.mjs";
import { formula, math, symbol } from "../../page/mathml.mjs";
import { formulaText } from "../../page/notation.mjs";
import { typeset } from "../../page/typeset.mjs";
import { PHASES } from "./story.mjs";
import { updatesText } from "./writing.mjs";

// Build the stage's controls; `go(step)` changes the step. The result's `show(step, view)` shows one.
export function buildStage({ tools, article, announcement }, list, go) {
  let current = 0;
  const move = (by) => go(Math.max(0, Math.min(list.length - 1, current + by)));
  const previous = element("button", { type: "button", click: () => move(-1) }, "Previous");
  const next = element("button", { type: "button", class: "main", click: () => move(1) }, "Next");
  const slider = element("input", {
    type: "range", id: "step-slider", min: 0, max: list.length - 1, step: 1, "aria-label": "Step",
    input: () => go(Number(slider.value)),
  });
  const count = element("span", { class: "small muted count" });
  const phases = PHASES.filter((phase) => list.some((step) => step.phase === phase));
  const buttons = phases.map((phase) => element("button", {
    type: "button", click: () => go(list.findIndex((step) => step.phase === phase)),
  }, phase));
  tools.replaceChildren(
    element("nav", { class: "phases", "aria-label": "Parts of the story" }, buttons),
    element("div", { class: "stepper" }, previous, slider, next, count),
  );
  document.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const busy = event.target.closest("input, select, textarea, [data-own-keys], svg");
    if (!by || busy || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    move(by);
  });
  return {
    show(index, view) {
      const moved = index !== current || !article.hasChildNodes();
      current = index;
      const step = list[index];
      const title = stepTitle(step, view);
      slider.value = index;
      slider.setAttribute("aria-valuetext", `${index + 1} of ${list.length}: ${title}`);
      const later = view.iteration ? `, after ${updatesText(view.iteration)}` : "";
      count.replaceChildren(...typeset(`Step ${index + 1} of ${list.length}${later}: ${title}`));
      // Not `disabled`, which would take the focus from a reader who has come to the end.
      previous.setAttribute("aria-disabled", String(index === 0));
      next.setAttribute("aria-disabled", String(index === list.length - 1));
      buttons.forEach((button, i) => {
        if (phases[i] === step.phase) button.setAttribute("aria-current", "step");
        else button.removeAttribute("aria-current");
      });
      article.dataset.step = index;
      article.dataset.steps = list.length;
      article.replaceChildren(...stepContent(step, view, "step-title"));
      for (const row of article.querySelectorAll(".quantity")) {
        if (row.scrollWidth > row.clientWidth) row.tabIndex = 0; // to scroll by keyboard
      }
      if (moved) announcement.textContent = `Step ${index + 1} of ${list.length}. ${title}. ${step.sentence(view)}`;
    },
  };
}

// All steps one below the other, for paper.
export function allSteps(list, view) {
  return list.map((step) => element("section", { class: "step" }, ...stepContent(step, view)));
}

const stepTitle = ({ title }, view) => (typeof title === "function" ? title(view) : title);

function stepContent(step, view, id) {
  return [
    element("p", { class: "phase small muted" }, step.phase),
    element("h3", { id }, typeset(stepTitle(step, view))),
    element("p", {}, typeset(step.sentence(view))),
    ...quantities(step.rows(view), view),
    step.more && element("p", { class: "small muted" }, step.more),
    step.extra && step.extra(view),
  ].filter(Boolean);
}

// Many quantities take one line each, few of them a line for each of their forms.
const quantities = (rows, view) => rows.map((row) => quantity(row, view, rows.length > 3));

// A quantity: its name, its formula with names, with numbers, and its value.
function quantity(row, { T, format, shown }, isShort) {
  const value = T.value(row);
  const line = (content) => element("span", { class: "line" }, element("span", { class: "sign" }, "="), content);
  const forms = { "": [], "=": [false] }[row.op] ?? [false, true]; // in names, in numbers
  return element("div", { class: `quantity ${isShort ? "short" : ""}` },
    element("span", { class: "name" }, parsed(math(symbol(row.symbol), row.symbol))),
    element("span", { class: "lines" },
      forms.map((numbers) => line(breakable(row, { ...format, numbers }))),
      line(element("b", {
        "data-q": row.symbol.replace("′", "'"), "data-value": String(value),
      }, shown(value)))));
}

// A formula that may be broken before each term of its sum, because browsers break no MathML.
function breakable(row, options) {
  const label = formulaText(row, options).replace(/\blr\b/g, "α");
  const pieces = formula(row, { ...options, separator: "\n" }).split("\n");
  if (pieces.length === 1) return element("span", {}, parsed(math(pieces, label)));
  const terms = pieces.map((piece) =>
    `<math aria-hidden="true">${piece.replace(/^<mo>/, '<mo form="infix">')}</math>`);
  return element("span", { role: "math", "aria-label": label }, parsed(terms.join(" ")));
}
