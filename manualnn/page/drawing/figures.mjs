// Numbers of a run for the drawing, and how the drawing writes them.

import { hasNumbers, listed } from "../losses.mjs";
import { namesOf } from "../names.mjs";

export const textOf = ({ layer, name, index }) => `${layer}.${name}[${index.join(",")}]`;
export const isSameKey = (a, b) => Boolean(a && b) && textOf(a) === textOf(b);

// Return a number in at most `room` characters: 4 digits, fewer if they do not fit.
export function shortNumber(value, room = 7, most = 4) {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
  for (let digits = most; ; digits -= 1) {
    const rounded = Number(value.toPrecision(digits));
    const power = rounded.toExponential(digits - 1).replace(/\.?0*e/, "e");
    // Zeros that stand for unknown digits would be wrong: 123456 is 1.235e5, not 123500.
    const isPlain = rounded === value || Math.abs(rounded) < 10 ** digits;
    const texts = [...(isPlain ? [String(rounded)] : []), power]
      .map((text) => text.replace(/-/g, "−").replace("+", ""));
    const fitting = texts.find(({ length }) => length <= room);
    if (fitting || digits === 1) return fitting ?? texts.at(-1);
  }
}

// Numbers of the drawing's state {run, pass, A, colourBy, sample}; undefined where there is none.
// A stage is a layer; -1 is the input, layers.length the terms of the error, the next the error.
export function figuresOf({ run, pass, A, colourBy, sample }) {
  const terms = run.layers.length;
  const isGradient = colourBy === "gradient";
  const names = namesOf(run);
  const at = (array, j) => {
    const found = array?.[sample]?.[j];
    return found === undefined ? undefined : A.value(found);
  };
  const value = (stage, j) => {
    if (stage > terms) return pass ? A.value(pass.loss) : undefined;
    if (stage === terms) return at(pass?.terms, j);
    return stage < 0 ? A.value(A.read(run.x[sample][j])) : at(pass?.outputs[stage], j);
  };
  const slope = (stage, j) => at(stage < 0 ? pass?.inputSlopes : pass?.slopes[stage], j);

  // The target of an output: {name, value}; a class stands beside its own output only.
  const target = (j) => {
    const found = run.t?.[sample];
    const hasClasses = !Array.isArray(found);
    if (found === undefined || (hasClasses && found !== j)) return null;
    if (hasClasses) return { name: names.target(sample), value: found };
    if (!hasNumbers(run)) {
      const place = listed(found).indexOf(j);
      return place < 0 ? null : { name: names.target(sample, place), value: j };
    }
    return { name: names.target(sample, j), value: A.value(A.read(found[j])) };
  };

  return {
    names,
    parameter(key, gradient = isGradient) {
      const array = (gradient ? pass?.grads : run.parameters)?.[`${key.layer}.${key.name}`];
      const found = key.index.reduce((part, i) => part?.[i], array);
      if (found === undefined) return undefined;
      return A.value(gradient ? found : A.read(found));
    },

    // The lines of a unit, top down: {name, value, stage}.
    rows(stages, j) {
      const rows = stages.map((stage) => {
        if (stage > terms) return { name: "L", value: value(stage, j), stage };
        if (stage === terms) return { name: names.term(sample, j), value: value(stage, j), stage };
        return isGradient
          ? { name: names.slope(stage, sample, j), value: slope(stage, j), stage }
          : { name: names.unit(stage, sample, j), value: value(stage, j), stage };
      });
      const wanted = stages[0] === terms ? target(j) : null;
      return wanted ? [{ ...wanted, stage: terms }, ...rows] : rows;
    },

    // How much a unit matters: |value · ∂L/∂value|. Before a Linear layer this is |Σ w · ∂L/∂w| of
    // the weights that leave the unit. Without a pass it is their Σ |w|.
    strength(stage, j) {
      if (pass) return Math.abs(value(stage, j) * slope(stage, j)) || 0;
      const rows = run.parameters?.[`${stage + 1}.weight`] ?? [];
      return rows.reduce((sum, row) => sum + Math.abs(row[j] ?? 0), 0);
    },

    // A parameter in words, for the caption and for screen readers.
    sentence(key) {
      const { layer, name, index } = key;
      const isLinear = run.layers[layer].type === "Linear";
      const from = isLinear && name === "weight" ? ` from ${names.unit(layer - 1, sample, index[1])}` : "";
      const into = isLinear ? names.unit(layer, sample, index[0]) : `layer ${layer}`;
      const write = (label, number) =>
        (number === undefined ? "" : `, ${label} ${shortNumber(number, 12, 6)}`);
      return `${name} ${textOf(key)}${from} into ${into}`
        + write("value", this.parameter(key, false)) + write("gradient", this.parameter(key, true));
    },
  };
}
