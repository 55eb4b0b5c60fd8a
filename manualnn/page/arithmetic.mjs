// Kinds of numbers. Every kernel of the engine is written once, over an arithmetic that it is given:
//
//     floats         JavaScript's numbers
//     exact          decimal numbers with 50 digits
//     rounded(4)     decimal numbers, rounded to 4 decimals after every operation, as by hand
//     traced(base)   numbers of `base` that remember how they were computed
//     duals(base)    numbers of `base` with their derivatives (duals.mjs)
//
// An arithmetic is an object of functions. Numbers of a run (inputs, targets, parameters) are read
// with `read`; numbers of a formula (a learning rate, an ε) are made with `constant` and never
// rounded. Functions that need several operations (sigmoid, softmax …) belong to the arithmetic as
// well: the textbook's formula where nothing can overflow, otherwise one that cannot.

import {
  ONE, absolute, exponential, fromExact, fromShortest, greatestDivisor, hyperbolicTangent, isAbove,
  logarithm, logarithm1p, negative, over, plus, roundDecimal, squareRoot, subtract, times, toNumber,
} from "./decimal.mjs";
import { decimalCdf, decimalPdf, floatCdf, floatPdf } from "./normal.mjs";

// Add the functions that follow from others, unless the arithmetic has better ones.
export function complete(own) {
  const { add, constant, div, greater, mul } = own;
  const [zero, one] = [constant(0), constant(1)];
  const A = {
    zero,
    one,
    sum: (terms) => (terms.length ? terms.reduce((total, term) => add(total, term)) : zero),
    dot: (u, v) => A.sum(u.map((a, i) => mul(a, v[i]))),
    maximum: (a, b) => (greater(a, b) ? a : b),
    minimum: (a, b) => (greater(a, b) ? b : a),
    rectified: (a) => (greater(a, zero) ? a : zero),
    positive: (a) => (greater(a, zero) ? one : zero),
    sign: (a) => (greater(a, zero) ? 1 : greater(zero, a) ? -1 : 0),
    ratio: (p, q) => div(constant(p), constant(q)),
    power: (a, t) => Array.from({ length: t - 1 }).reduce((product) => mul(product, a), a),
    round: (a) => a,
    name: (a) => a, // only traced numbers have names
    bare: (a) => a, // the number of the base
    number: (a) => a,
    adopt: (a) => a,
    ...own,
  };
  return A;
}

export const textbook = ({ add, div, exp, log, neg, one, sub, sum }) => ({
  sigmoid: (z) => div(one, add(one, exp(neg(z)))),
  softplus: (z) => log(add(one, exp(z))),
  softmax(row) {
    const powers = row.map(exp);
    const total = sum(powers);
    return powers.map((power) => div(power, total));
  },
  logSoftmax(row) {
    const total = log(sum(row.map(exp)));
    return row.map((z) => sub(z, total));
  },
});

// The same functions where exp could overflow: its argument is never positive.
export function stable(A) {
  const { add, constant, div, exp, greater, log, log1p, maximum, neg, one, sub, sum, zero } = A;
  const belowHighest = (row) => {
    const highest = constant(row.reduce((most, z) => Math.max(most, A.value(z)), -Infinity));
    return row.map((z) => sub(z, highest));
  };
  const lowest = constant(-Number.MAX_VALUE);
  return {
    sigmoid(z) {
      const power = exp(greater(z, zero) ? neg(z) : z);
      return div(greater(z, zero) ? one : power, add(one, power));
    },
    softplus: (z) => (greater(z, zero) ? add(z, log1p(exp(neg(z)))) : log1p(exp(z))),
    softmax: (row) => textbook({ div, exp, sum }).softmax(belowHighest(row)),
    logSoftmax(row) {
      const below = belowHighest(row).map((z) => maximum(z, lowest));
      return textbook({ exp, log, sub, sum }).logSoftmax(below);
    },
  };
}

function makeFloats() {
  const A = complete({
    read: Number,
    constant: Number,
    value: (a) => a,
    add: (a, b) => a + b,
    sub: (a, b) => a - b,
    mul: (a, b) => a * b,
    div: (a, b) => a / b,
    neg: (a) => -a,
    greater: (a, b) => a > b,
    abs: Math.abs,
    exp: Math.exp,
    log: Math.log,
    log1p: Math.log1p,
    sqrt: Math.sqrt,
    tanh: Math.tanh,
    normalCdf: floatCdf,
    normalPdf: floatPdf,
    // From here on only for speed, and for NaN, which has to stay NaN.
    maximum: (a, b) => Math.max(a, b),
    minimum: (a, b) => Math.min(a, b),
    rectified: (a) => Math.max(a, 0),
    sign: Math.sign,
    power: (a, t) => a ** t,
    sum(terms) {
      let total = 0;
      for (let i = 0; i < terms.length; i++) total += terms[i];
      return total;
    },
    dot(u, v) {
      let total = 0;
      for (let i = 0; i < u.length; i++) total += u[i] * v[i];
      return total;
    },
  });
  return { ...A, ...stable(A), overflows: true };
}

export const floats = makeFloats();

function makeDecimals(decimals) {
  const round = decimals === undefined ? (a) => a : (a) => roundDecimal(a, decimals);
  // An exact constant has PRECISION digits, as results: 0.3 is 1 * 0.3.
  const constant = decimals === undefined ? (x) => times(fromExact(x), ONE) : fromShortest;
  const A = complete({
    decimals,
    round,
    constant,
    read: (x) => round(constant(Number(x))),
    value: toNumber,
    add: (a, b) => round(plus(a, b)),
    sub: (a, b) => round(subtract(a, b)),
    mul: (a, b) => round(times(a, b)),
    div: (a, b) => round(over(a, b)),
    neg: negative,
    greater: isAbove,
    abs: absolute,
    exp: (a) => round(exponential(a)),
    log: (a) => round(logarithm(a)),
    log1p: (a) => round(logarithm1p(a)),
    sqrt: (a) => round(squareRoot(a)),
    tanh: (a) => round(hyperbolicTangent(a)),
    normalCdf: (a) => round(decimalCdf(a)),
    normalPdf: (a) => round(decimalPdf(a)),
    ratio: (p, q) => over(constant(p), constant(q)),
  });
  return { ...A, ...textbook(A), unrounded: decimals === undefined ? undefined : unroundedWith(A) };
}

export const exact = makeDecimals();
export const rounded = makeDecimals;

// Nothing is rounded, but numbers are read as people write them: 0.1 is one tenth.
const unroundedWith = ({ constant }) => ({ ...exact, constant, read: (x) => constant(Number(x)) });

// A traced number is {value, op, args, symbol, literal, decimals}. With a symbol it stands for its
// name in the formulas of others. A literal is a plain 0 or 1, such as the derivative of a number
// with respect to itself; operations with it that change nothing are left out: 1 · a is a.
export function traced(base) {
  const { decimals } = base;
  const made = (value, op, ...args) =>
    simplified(op, args) ?? { value, op, args, symbol: null, literal: null, decimals };
  const leaf = (value, literal = null) =>
    ({ value, op: "", args: [], symbol: null, literal, decimals });
  const unary = (op, f) => (a) => made(f(a.value), op, a);
  const binary = (op, f) => (a, b) => made(f(a.value, b.value), op, a, b);
  const valued = (a, value) => ({ ...a, value });
  const A = complete({
    base,
    decimals,
    bare: (a) => a.value,
    number: leaf, // a number of the base, which has no name yet
    adopt: (a) => ({ ...a, decimals }), // a number of another arithmetic, under its name
    read: (x) => leaf(base.read(x)),
    // A constant keeps its digits. With a symbol it is an option of a rule, such as lr.
    constant: (x, symbol = null) => ({
      ...leaf(base.constant(x), !symbol && (x === 0 || x === 1) ? x : null),
      symbol,
      decimals: undefined,
    }),
    value: (a) => base.value(a.value),
    round: (a) => valued(a, base.round(a.value)),
    name: (a, symbol) => (a.symbol
      ? { ...leaf(a.value), op: "=", args: [a], symbol }
      : { ...a, symbol, literal: null, decimals }),
    add: binary("+", base.add),
    sub: (a, b) => (a.literal === 0 && b !== a ? A.neg(b) : difference(a, b)),
    mul: (a, b) => (a === b && a.literal === null
      ? made(base.mul(a.value, a.value), "square", a)
      : product(a, b)),
    div: (a, b) => (a.literal === 0 && base.value(b.value) !== 0 ? a : quotient(a, b)),
    neg: unary("neg", base.neg),
    greater: (a, b) => base.greater(a.value, b.value),
    rectified: unary("rectified", base.rectified),
    positive: unary("positive", base.positive),
    ratio(p, q) {
      const isFraction = Number.isInteger(p) && Number.isInteger(q);
      const common = isFraction ? Math.abs(greatestDivisor(p, q)) || 1 : 1;
      return valued(A.div(A.constant(p / common), A.constant(q / common)), base.ratio(p, q));
    },
  });
  const difference = binary("-", base.sub);
  const product = binary("*", base.mul);
  const quotient = binary("/", base.div);
  for (const op of ["abs", "exp", "log", "log1p", "sqrt", "tanh"]) A[op] = unary(op, base[op]);
  A.normalCdf = unary("Φ", base.normalCdf);
  A.normalPdf = unary("φ", base.normalPdf);
  const { sigmoid, softplus, softmax, logSoftmax } = textbook(A);
  const row = (f, ours) => (z) => {
    const values = ours(z.map((a) => a.value));
    return f(z).map((a, i) => valued(a, values[i]));
  };
  return {
    ...A,
    sigmoid: (z) => valued(sigmoid(z), base.sigmoid(z.value)),
    softplus: (z) => valued(softplus(z), base.softplus(z.value)),
    softmax: row(softmax, base.softmax),
    logSoftmax: row(logSoftmax, base.logSoftmax),
    unrounded: base.unrounded && base.unrounded !== base ? traced(base.unrounded) : undefined,
  };
}

// 1 · a, 0 · a, 0 + a, a − 0, a / 1, −0, √0 and √1.
function simplified(op, args) {
  const [a, b = a] = args;
  const zero = args.find((arg) => arg.literal === 0);
  if ((op === "*" || op === "neg") && zero) return zero;
  if (op === "+" && zero) return a === zero ? b : a;
  if (op === "-" && b === zero) return a;
  if ((op === "*" || op === "/") && b.literal === 1) return a;
  if (op === "*" && a.literal === 1) return b;
  if (op === "sqrt" && a.literal !== null) return a;
  return undefined;
}
