// Names of the quantities of a run: x[1], z0[1], a1[1], y[1], t[0], e[0], 0.weight[1,2], L, and
// ∂L/∂z0[1]. With several samples the sample comes first: z0[n,1]. All indices count from 0.

// The letters of outputs, where they are not an activation's a.
const OUTPUTS = { Linear: "z", LayerNorm: "y", RMSNorm: "y", GroupNorm: "y", BatchNorm1d: "y" };

export function namesOf(run) {
  const last = run.layers.length - 1;
  const isSingle = run.x.length === 1;
  const at = (name, n, j) => `${name}[${isSingle ? j : `${n},${j}`}]`;
  const names = {
    // A unit of a layer's output; the layer −1 is the input.
    unit(layer, n, j) {
      if (layer < 0) return at("x", n, j);
      if (layer === last) return at("y", n, j);
      return at(`${OUTPUTS[run.layers[layer].type] ?? "a"}${layer}`, n, j);
    },
    target: (n, k) => (k === undefined ? `t[${n}]` : at("t", n, k)),
    term: (n, k) => at("e", n, k),
    parameter: (layer, name, index) => `${layer}.${name}[${index.join(",")}]`,
    slope: (layer, n, j) => derivative("L", names.unit(layer, n, j)),
    gradient: (layer, name, index) => derivative("L", names.parameter(layer, name, index)),
    updated: (layer, name, index) => `${names.parameter(layer, name, index)}′`,
    // ∂(unit of a layer)/∂(source): {name, index} of a parameter, or a number, a unit before it.
    edge(layer, source, n, j) {
      const isUnit = typeof source === "number";
      const tail = isUnit
        ? names.unit(layer - 1, n, source) : names.parameter(layer, source.name, source.index);
      return derivative(names.unit(layer, n, j), tail);
    },
  };
  return names;
}

export const derivative = (top, bottom) => `∂${top}/∂${bottom}`;
