// Formulas and numbers as plain text: 1 / (1 + exp(-0.3)). mathml.mjs writes the same formulas as
// MathML; `write` serves both.

import { fixed, fromExact, fromShortest, significant, toNumber } from "./decimal.mjs";

const MOST_TERMS = 8; // a longer sum shows only its first and last terms
const DIGITS = 6;

// Precedence of an expression. It gets brackets where its place requires a higher one.
export const [SUM, SIGN, PRODUCT, ATOM] = [0, 1, 2, 3];

// A number with so many significant digits, or with so many decimals; a tie goes to the even digit.
export function formatNumber(value, { digits = DIGITS, decimals } = {}) {
  const x = toNumber(value);
  if (!Number.isFinite(x)) return String(x).replace("Infinity", "∞");
  if (decimals !== undefined) return fixed(value === x ? fromShortest(x) : value, decimals);
  if (x === 0) return "0";
  const shown = significant(fromExact(x), digits);
  const sign = x < 0 ? "-" : "";
  const { exponent } = shown;
  if (exponent < -4 || exponent >= digits) {
    const mantissa = withPoint(shown.digits, 1);
    const power = String(Math.abs(exponent)).padStart(2, "0");
    return `${sign}${mantissa}e${exponent < 0 ? "-" : "+"}${power}`;
  }
  const padded = shown.digits.padStart(shown.digits.length - Math.min(0, exponent), "0");
  return sign + withPoint(padded, Math.max(0, exponent) + 1);
}

const withPoint = (digits, point) =>
  `${digits.slice(0, point)}.${digits.slice(point)}`.replace(/\.?0*$/, "");

const FUNCTIONS = {
  sqrt: (a) => `√(${a})`,
  abs: (a) => `|${a}|`,
  rectified: (a) => `max(${a}, 0)`,
  positive: (a) => `[${a} > 0]`,
};

const TEXT = {
  symbol: (name) => name,
  number: (text) => text,
  levelOf: (text) => (text.startsWith("-") ? SIGN : ATOM),
  bracket: (a) => `(${a})`,
  operator: (op) => ` ${op} `,
  times: "·",
  minus: (a) => `-${a}`,
  quotient: (a, b) => `${a} / ${b}`,
  quotientLevels: [PRODUCT, ATOM, PRODUCT], // of dividend, divisor and the whole
  square: (a) => `${a}²`,
  squareLevel: ATOM,
  ellipsis: (count) => `… (${count} more) …`,
  call: (op, a) => FUNCTIONS[op]?.(a) ?? `${op}(${a})`,
};

// The formula of a traced number in the names of its quantities, or with `numbers` in their values.
export const formulaText = (traced, options) => write(TEXT, traced, options);

// With `separator`, it stands between the terms of the whole sum: a place to break the line.
export function write(notation, traced, { numbers = false, separator = "", ...format } = {}) {
  const whole = traced.op ? { ...traced, symbol: null } : traced;
  function expression(node) { // [text, precedence]
    const operand = (argument, least) => {
      const [text, level] = expression(argument);
      return level >= least ? text : notation.bracket(text);
    };
    const [a, b] = node.args;
    switch (node.symbol ? "" : node.op) {
      case "": {
        if (node.symbol && !numbers) return [notation.symbol(node.symbol), ATOM];
        // A constant of the formula keeps its digits.
        const decimals = node.symbol || node.op ? node.decimals : undefined;
        const text = formatNumber(node.value, { ...format, decimals });
        return [notation.number(text), notation.levelOf(text)];
      }
      case "=":
        return expression(a);
      case "+":
      case "-":
        return [sum(node, operand), SUM];
      case "*":
        return [operand(a, PRODUCT) + notation.times + operand(b, ATOM), PRODUCT];
      case "/": {
        const [above, below, whole] = notation.quotientLevels;
        return [notation.quotient(operand(a, above), operand(b, below)), whole];
      }
      case "neg":
        return [notation.minus(operand(a, ATOM)), SIGN];
      case "square":
        return [notation.square(operand(a, notation.squareLevel)), PRODUCT];
      default:
        return [notation.call(node.op, operand(a, SUM)), ATOM];
    }
  }

  function sum(node, operand) {
    const between = node === whole ? separator : "";
    const terms = []; // a loop, because a long sum is nested too deeply for recursion
    for (; !node.symbol && (node.op === "+" || node.op === "-"); [node] = node.args) {
      terms.unshift([node.op, node.args[1]]);
    }
    terms.unshift(["", node]);
    const pieces = terms.map(([op, term]) =>
      (op ? notation.operator(op) : "") + operand(term, op ? PRODUCT : SUM));
    const leftOut = terms.length - MOST_TERMS;
    if (leftOut > 1) {
      const gap = notation.operator("+") + notation.ellipsis(leftOut);
      pieces.splice(MOST_TERMS - 2, leftOut, gap);
    }
    return pieces.join(between);
  }

  return expression(whole)[0];
}
