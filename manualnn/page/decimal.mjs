// Decimal numbers with 50 digits, as the module `decimal` of Python computes them: every result is
// rounded to the nearest number with 50 digits, a tie goes to the even digit.
//
// A finite number is {n, e}, which stands for n · 10^e with a BigInt n, so that there is no −0. NaN
// and the two infinities are JavaScript's own numbers, and an operation on one of them is JavaScript's.

export const PRECISION = 50;
export const GUARD = 12; // further digits of exp and ln: their 50th digit is wrong once in 10^10 results

export const isDecimal = (a) => typeof a === "object";
const size = (n) => (n < 0n ? -n : n);
const ten = (power) => 10n ** BigInt(power);
const countDigits = (n) => size(n).toString().length;
export const adjusted = (a) => countDigits(a.n) - 1 + a.e; // the exponent of the first digit

// Drop the last digits of n.
function shorten(n, e, drop) {
  if (drop <= 0) return { n, e };
  if (drop > countDigits(n)) return ZERO;
  const unit = ten(drop);
  const quotient = n / unit;
  const twice = 2n * size(n - quotient * unit);
  const isUp = twice > unit || (twice === unit && quotient % 2n !== 0n);
  const away = n < 0n ? -1n : 1n;
  return { n: isUp ? quotient + away : quotient, e: e + drop };
}

export const fit = (n, e, precision) => (n === 0n ? ZERO : shorten(n, e, countDigits(n) - precision));

const ZERO = { n: 0n, e: 0 };
export const ONE = { n: 1n, e: 0 };

export function toNumber(a) {
  return isDecimal(a) ? Number(`${a.n}e${a.e}`) : a;
}

// The decimal number that a person reads in the shortest form of x.
export function fromShortest(x) {
  if (!Number.isFinite(x)) return x;
  const [mantissa, exponent = "0"] = String(x).split("e");
  const [whole, part = ""] = mantissa.split(".");
  return { n: BigInt(whole + part), e: Number(exponent) - part.length };
}

// The number that x is: all digits of a binary fraction.
export function fromExact(x) {
  if (!Number.isFinite(x)) return x;
  let halvings = 0;
  for (; !Number.isInteger(x); x *= 2) halvings += 1;
  return { n: BigInt(x) * 5n ** BigInt(halvings), e: -halvings };
}

export function roundDecimal(a, decimals) {
  return isDecimal(a) ? shorten(a.n, a.e, -decimals - a.e) : a;
}

// The text of a with so many digits after the point, or with so many significant digits: its
// digits and the exponent of the first of them.
export function significant(a, digits) {
  const { n, e } = fit(a.n, a.e, digits);
  const text = size(n).toString();
  return { digits: text.slice(0, digits).padEnd(digits, "0"), exponent: text.length - 1 + e };
}

export function fixed(a, decimals) {
  const { n, e } = shorten(a.n, a.e, -decimals - a.e);
  const text = (size(n) * ten(Math.max(0, decimals + e))).toString().padStart(decimals + 1, "0");
  const point = text.length - decimals;
  return `${n < 0n ? "-" : ""}${text.slice(0, point)}${decimals ? `.${text.slice(point)}` : ""}`;
}

export const isAbove = (a, b) => {
  const difference = subtract(a, b);
  return isDecimal(difference) ? difference.n > 0n : difference > 0;
};

export const negative = (a) => (isDecimal(a) ? { n: -a.n, e: a.e } : -a);
export const absolute = (a) => (isDecimal(a) ? { n: size(a.n), e: a.e } : Math.abs(a));
export const subtract = (a, b, precision) => plus(a, negative(b), precision);

export function plus(a, b, precision = PRECISION) {
  if (!isDecimal(a) || !isDecimal(b)) return special(asNumber(a) + asNumber(b));
  if (a.n === 0n) return fit(b.n, b.e, precision);
  if (b.n === 0n) return fit(a.n, a.e, precision);
  const [high, low] = a.e >= b.e ? [a, b] : [b, a];
  // A number that is so much smaller changes no digit; aligning the two could take all memory.
  if (adjusted(high) - adjusted(low) > 1000 + precision) return fit(high.n, high.e, precision);
  return fit(high.n * ten(high.e - low.e) + low.n, low.e, precision);
}

export function times(a, b, precision = PRECISION) {
  if (!isDecimal(a) || !isDecimal(b)) return special(asNumber(a) * asNumber(b));
  return fit(a.n * b.n, a.e + b.e, precision);
}

export function over(a, b, precision = PRECISION) {
  if (!isDecimal(a) || !isDecimal(b) || b.n === 0n) return special(asNumber(a) / asNumber(b));
  const shift = Math.max(0, precision + 1 + countDigits(b.n) - countDigits(a.n));
  const scaled = a.n * ten(shift);
  const n = scaled / b.n;
  return inexact(n, a.e - b.e - shift, n * b.n === scaled, sign(a) * sign(b), precision);
}

// The sign alone decides how an operation with NaN or an infinity ends.
const asNumber = (a) => (isDecimal(a) ? sign(a) : a);
const sign = (a) => (a.n > 0n ? 1 : a.n < 0n ? -1 : 0);
const special = (x) => (x === 0 ? ZERO : x); // 1 / ∞ is 0

// n was cut off: one more digit says whether something was left, so that a tie is a tie.
const inexact = (n, e, isExact, way, precision) =>
  fit(n * 10n + (isExact ? 0n : BigInt(way)), e - 1, precision);

export function squareRoot(a, precision = PRECISION) {
  if (!isDecimal(a) || a.n < 0n) return Math.sqrt(asNumber(a));
  if (a.n === 0n) return ZERO;
  let shift = Math.max(0, 2 * precision + 2 - countDigits(a.n));
  if ((a.e - shift) % 2) shift += 1;
  const scaled = a.n * ten(shift);
  let root = ten(Math.ceil(countDigits(scaled) / 2));
  for (;;) { // Newton's method, from above
    const next = (root + scaled / root) / 2n;
    if (next >= root) break;
    root = next;
  }
  return inexact(root, (a.e - shift) / 2, root * root === scaled, 1, precision);
}

// Fixed-point numbers: BigInts that stand for n / 2^bits.
const bitsOf = (digits) => BigInt(Math.ceil(digits * 3.3219281));
const toFixedPoint = ({ n, e }, bits) => (e < 0 ? (n << bits) / ten(-e) : (n << bits) * ten(e));

// exp(r) for |r| < 3: the series at r / 256, squared eight times.
function expFixedPoint(r, bits) {
  const small = r >> 8n;
  let term = 1n << bits;
  let total = term;
  for (let k = 1n; term !== 0n && term !== -1n; k += 1n) {
    term = ((term * small) >> bits) / k;
    total += term;
  }
  for (let k = 0; k < 8; k++) total = (total * total) >> bits;
  return total;
}

// ln(m) for 1 ≤ m ≤ 10 by Halley's method, which triples the number of right digits.
function lnFixedPoint(m, bits) {
  const start = Math.log(Number(m >> (bits - 60n)) / 2 ** 60);
  let y = toFixedPoint(fromExact(start), bits);
  for (let right = 15n; right < bits; right *= 3n) {
    const power = expFixedPoint(y, bits);
    y += ((2n * (m - power)) << bits) / (m + power);
  }
  return y;
}

const LN10 = new Map();
function ln10(bits) {
  if (!LN10.has(bits)) LN10.set(bits, lnFixedPoint(10n << bits, bits));
  return LN10.get(bits);
}

export function exponential(a, precision = PRECISION) {
  if (!isDecimal(a)) return special(Math.exp(a));
  if (a.n === 0n) return ONE;
  const first = adjusted(a);
  if (first < -precision - 2) return plus(ONE, a, precision);
  if (first > 14) return sign(a) > 0 ? Infinity : ZERO; // the exponent would not be an integer
  const digits = precision + GUARD;
  const bits = bitsOf(digits + GUARD + Math.max(0, first));
  const x = toFixedPoint(a, bits);
  let tens = x / ln10(bits);
  if (x < 0n) tens -= 1n;
  const power = expFixedPoint(x - tens * ln10(bits), bits);
  return inexact((power * ten(digits)) >> bits, Number(tens) - digits, false, 1, precision);
}

export function logarithm(a, precision = PRECISION) {
  if (!isDecimal(a) || a.n <= 0n) return Math.log(asNumber(a));
  const distance = plus(a, negative(ONE), 2 * precision);
  if (distance.n === 0n) return ZERO;
  // Near 1 the first digits of the result are zeros.
  const digits = precision + GUARD + Math.max(0, -adjusted(distance));
  const bits = bitsOf(digits + GUARD);
  const tens = adjusted(a);
  const m = toFixedPoint({ n: a.n, e: a.e - tens }, bits);
  const y = lnFixedPoint(m, bits) + BigInt(tens) * ln10(bits);
  return inexact((y * ten(digits)) >> bits, -digits, false, sign(distance), precision);
}

// Near 0 the operations of f need more digits, because 1 + a would lose some.
function extended(a, f) {
  if (!isDecimal(a)) return f(a, PRECISION);
  if (a.n === 0n || adjusted(a) < -PRECISION) return a;
  const result = f(a, PRECISION + Math.max(0, -adjusted(a)));
  return isDecimal(result) ? fit(result.n, result.e, PRECISION) : result;
}

export const logarithm1p = (a) => extended(a, (x, p) => logarithm(plus(ONE, x, p), p));

export const hyperbolicTangent = (a) => extended(a, (x, p) => {
  const decay = exponential(times({ n: -2n, e: 0 }, absolute(x), p), p);
  const result = over(subtract(ONE, decay, p), plus(ONE, decay, p), p);
  return isDecimal(x) && x.n < 0n ? negative(result) : result;
});

// The greatest common divisor of two integers, up to its sign: of two Numbers or of two BigInts.
export function greatestDivisor(a, b) {
  let [common, rest] = [a, b];
  while (rest) [common, rest] = [rest, common % rest];
  return common;
}
