// An engine in JavaScript, which speaks manualnn/oracle/PROTOCOL.md in float64: it is the engine of
// the explanation's page, so the numbers that the page shows are judged.
//
//     manualnn check "node engine.mjs"

import { createInterface } from "node:readline";
import { floats } from "../../manualnn/page/arithmetic.mjs";
import { mapEntries, propagate, update } from "../../manualnn/page/engine.mjs";
import { LAYERS } from "../../manualnn/page/layers.mjs";
import { LOSSES } from "../../manualnn/page/losses.mjs";
import { RULES } from "../../manualnn/page/rules.mjs";

const withAllOptions = (table) =>
  Object.fromEntries(Object.keys(table).map((name) => [name, "any"]));

// The page has BatchNorm1d as it predicts, and trains none.
const { BatchNorm1d, ...layers } = withAllOptions(LAYERS);

const CLAIMS = {
  name: "plain JavaScript",
  version: "2",
  layers,
  losses: withAllOptions(LOSSES),
  optimizers: withAllOptions(RULES),
  returns: ["loss", "grads", "params", "outputs", "input_grad", "state"],
  accepts_state: true,
  max_steps: 100000,
  sample_weights: true,
};

// JSON has no NaN and no infinity: they come and go as strings.
const read = (arrays) => Object.fromEntries(
  Object.entries(arrays).map(([name, array]) => [name, mapEntries(array, Number)]));
const spelt = (_, v) => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v);

function step({ params: start, noise, state: before, steps, ...run }) {
  run = { ...run, parameters: start, masks: noise };
  const { step: taken = 0, ...vectors } = before ?? {};
  let params;
  let state = { step: taken };
  for (const [name, arrays] of Object.entries(vectors)) state[name] = read(arrays);
  let pass;
  for (let i = 0; i < steps; i++) {
    pass = propagate(run, floats, params);
    if (run.optimizer) ({ params, state } = update(run, pass, state, floats));
  }
  const { loss, outputs, grads, inputSlopes } = pass;
  return { loss, grads, outputs: outputs.at(-1), input_grad: inputSlopes, params, state };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { type, seq, case: asked } = JSON.parse(line);
  if (type === "stop") break;
  let answer = { type: "hello", ...CLAIMS };
  if (type === "run") {
    try {
      answer = { type: "ok", seq, result: step(asked) };
    } catch (error) {
      answer = { type: "errored", seq, trace: error.stack };
    }
  }
  process.stdout.write(`${JSON.stringify(answer, spelt)}\n`);
}
