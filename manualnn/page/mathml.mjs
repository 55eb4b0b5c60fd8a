// Names, numbers and formulas as MathML Core. All functions but `math` return fragments, which
// `math` puts together and gives a plain text for those who hear the page.

import { ATOM, formatNumber, formulaText, PRODUCT, SIGN, SUM, write } from "./notation.mjs";

const escaped = (text) =>
  text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const mi = (text) => `<mi>${escaped(text)}</mi>`;
const mo = (text) => `<mo>${escaped(text)}</mo>`;
const row = (...parts) => `<mrow>${parts.join("")}</mrow>`;

// Only a fraction needs tall brackets: without a mathematical font others would grow, too.
function bracketed(open, inside, close) {
  const mark = (text) => (inside.includes("<mfrac>") ? mo(text) : `<mo stretchy="false">${text}</mo>`);
  return row(mark(open), inside, mark(close));
}

// A whole <math>; `label` is its plain text. As a block it stands on a line of its own.
export function math(fragments, label, { block = false } = {}) {
  const shown = block ? ' display="block"' : "";
  return `<math${shown} aria-label="${escaped(label)}">${[fragments].flat().join("")}</math>`;
}

const LETTERS = { weight: "W", bias: "b" };

const indices = (text) =>
  row(text.split(",").map((i) => (/^\d+$/.test(i) ? `<mn>${i}</mn>` : mi(i))).join(mo(",")));

// The symbol of a quantity by its plain name: W with (0) above and 1,2 below for 0.weight[1,2], and
// without the indices for the whole array.
export function symbol(name) {
  if (name.startsWith("∂")) {
    const [top, bottom] = name.slice(1).split("/∂");
    return `<mfrac>${row(mo("∂"), symbol(top))}${row(mo("∂"), symbol(bottom))}</mfrac>`;
  }
  const prime = name.endsWith("′") ? mo("′") : "";
  if (name === "lr") return mi("α");
  const parameter = /^(\d+)\.(\w+)(?:\[(.*)\])?/.exec(name);
  if (parameter) {
    const [, layer, kind, index] = parameter;
    return withIndices(LETTERS[kind] ?? kind, index, layer, prime);
  }
  const unit = /^([a-z])(\d*)\[(.*)\]/.exec(name);
  if (unit) return withIndices(unit[1], unit[3], unit[2], prime);
  const after = /^L after (\d+)$/.exec(name);
  if (after) return `<msub>${mi("L")}<mn>${after[1]}</mn></msub>`;
  const subscript = /^β([₁₂])$/.exec(name);
  if (subscript) return `<msub>${mi("β")}<mn>${"₀₁₂".indexOf(subscript[1])}</mn></msub>`;
  return mi(name);
}

function withIndices(letter, index, layer, prime) {
  if (!index) return `<msup>${mi(letter)}${row(mo("("), `<mn>${layer}</mn>`, mo(")"), prime)}</msup>`;
  const above = (layer ? mo("(") + `<mn>${layer}</mn>` + mo(")") : "") + prime;
  if (!above) return `<msub>${mi(letter)}${indices(index)}</msub>`;
  return `<msubsup>${mi(letter)}${indices(index)}${row(above)}</msubsup>`;
}

// A number, with the options of formatNumber.
export const number = (value, options) => numeral(formatNumber(value, options));

function numeral(text) {
  if (text.startsWith("-")) return row(mo("−"), numeral(text.slice(1)));
  const [mantissa, exponent] = text.split("e");
  if (exponent === undefined) return `<mn>${text}</mn>`;
  const power = `<msup><mn>10</mn>${numeral(String(Number(exponent)))}</msup>`;
  return row(`<mn>${mantissa}</mn>`, mo("×"), power);
}

// `apply` is the invisible operator of a function applied to its argument.
const call = (name, inside) => row(mi(name), mo("\u2061"), bracketed("(", inside, ")"));
const FUNCTIONS_IN_MATHML = {
  sqrt: (a) => `<msqrt>${a}</msqrt>`,
  abs: (a) => bracketed("|", a, "|"),
  log1p: (a) => call("log", `<mn>1</mn>${mo("+")}${a}`),
  rectified: (a) => call("max", `${a}${mo(",")}<mn>0</mn>`),
  positive: (a) => bracketed("[", `${a}${mo(">")}<mn>0</mn>`, "]"),
};

const MATHML = {
  symbol,
  number: numeral,
  levelOf: (text) => (/^-|e/.test(text) ? SIGN : ATOM),
  bracket: (a) => bracketed("(", a, ")"),
  operator: (op) => mo(op === "-" ? "−" : op),
  times: mo("·"),
  minus: (a) => row(mo("−"), a), // first in its row, and so a sign
  quotient: (a, b) => `<mfrac>${row(a)}${row(b)}</mfrac>`,
  quotientLevels: [SUM, SUM, ATOM],
  // A name gets brackets because it has an index.
  square(a) {
    const base = /^<mn>|^<mrow><mo[^>]*>\(/.test(a) ? a : bracketed("(", a, ")");
    return `<msup>${base}<mn>2</mn></msup>`;
  },
  squareLevel: ATOM,
  ellipsis: (count) => `${mo("⋯")}<mtext>(${count} more)</mtext>${mo("⋯")}`,
  call: (op, a) => FUNCTIONS_IN_MATHML[op]?.(a) ?? call(op, a),
};

// The formula of a traced number: in names, or with {numbers: true} in numbers.
export const formula = (traced, options) => write(MATHML, traced, options);

// A product of named factors, such as the derivatives along a path; negative numbers get brackets.
export function product(factors, { numbers = false, ...format } = {}) {
  const shown = factors.map(({ name, value }) => {
    if (!numbers) return symbol(name);
    const text = formatNumber(value, format);
    return MATHML.levelOf(text) < ATOM ? MATHML.bracket(numeral(text)) : numeral(text);
  });
  return shown.join(mo("·"));
}
