// Answers questions about the story of an explanation, a JSON line each, without a document.

import { createInterface } from "node:readline";
import { agreement, agreementText } from "../../manualnn/explain/page/agreement.mjs";
import { edited, placeOf } from "../../manualnn/explain/page/controls.mjs";
import { courseOf, descend, tracedState } from "../../manualnn/explain/page/descent.mjs";
import { steps } from "../../manualnn/explain/page/story.mjs";
import { FORWARD, SLOPE, TERM } from "../../manualnn/explain/page/words.mjs";
import { writtenNumber } from "../../manualnn/explain/page/writing.mjs";
import { floats, rounded, traced } from "../../manualnn/page/arithmetic.mjs";
import { localDerivatives } from "../../manualnn/page/derivatives.mjs";
import { propagate, update } from "../../manualnn/page/engine.mjs";
import { namesOf } from "../../manualnn/page/names.mjs";

const arithmeticOf = (decimals) => (decimals === null ? floats : rounded(decimals));

const viewOf = ({ run, state = null, decimals = null, sample = 0 }) => {
  const T = traced(arithmeticOf(decimals));
  const pass = propagate(run, T);
  return {
    run, pass, T, n: sample, names: namesOf(run), shown: String,
    updated: update(run, pass, tracedState(state, run, T), T),
    local: (i) => localDerivatives(run, pass, i, T),
  };
};

const descentOf = ({ run, decimals = null, iterations = 10, target = null }) =>
  new Promise((resolve) => {
    const descent = descend(run, arithmeticOf(decimals), { iterations, target }, () => {
      if (descent.stopped) resolve(descent);
    });
    if (descent.stopped) resolve(descent);
  });

const ANSWERS = {
  steps(question) {
    const view = viewOf(question);
    return steps(question.run).map((step) => ({
      phase: step.phase, sentence: step.sentence(view), more: step.more,
      title: typeof step.title === "function" ? step.title(view) : step.title,
      rows: step.rows(view).map((row) => [row.symbol, view.T.value(row)]),
    }));
  },
  async descent(question) {
    const descent = await descentOf(question);
    return {
      errors: descent.points.map(({ error }) => String(error)), stopped: descent.stopped,
      text: courseOf(descent, question.run.optimizer, question.target ?? null, String),
    };
  },
  async agreement({ explanation }) {
    const { spec: run, decimals, errors } = explanation;
    const descent = await descentOf({ run, decimals, iterations: errors.length - 1 });
    const found = agreement(
      explanation, viewOf({ run, decimals }), descent.points.map(({ error }) => error),
    );
    return { ...found, text: agreementText(found) };
  },
  words: () => [FORWARD, SLOPE, TERM].map(Object.keys),
  edit: ({ run, name, value }) => (placeOf(run, name) ? edited(run, name, value) : null),
  written: ({ values, options }) => values.map((value) => writtenNumber(value, options)),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { kind, ...question } = JSON.parse(line);
  console.log(JSON.stringify(await ANSWERS[kind](question)));
}
