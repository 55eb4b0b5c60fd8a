// The normal distribution Φ and its derivative φ, for decimal numbers and for JavaScript's.

import {
  absolute, adjusted, exponential, fit, fromShortest, GUARD, isAbove, isDecimal, negative, ONE, over,
  plus, PRECISION, subtract, times, toNumber,
} from "./decimal.mjs";

const [HALF, THREE] = [0.5, 3].map(fromShortest);
const INVERSE_ROOT = { // 1 / √(2π)
  n: BigInt("39894228040143267793994605993438186847585863116493465766592582967065792589930183850125"),
  e: -86,
};

export function decimalPdf(x, precision = PRECISION) {
  if (!isDecimal(x)) return Number.isNaN(x) ? x : fromShortest(0);
  const digits = precision + GUARD + Math.max(0, 2 * adjusted(x));
  const power = exponential(negative(times(times(x, x, digits), HALF, digits)), digits);
  const result = times(INVERSE_ROOT, power, digits);
  return fit(result.n, result.e, precision);
}

export function decimalCdf(x) {
  if (!isDecimal(x)) return Number.isNaN(x) ? x : fromShortest(x > 0 ? 1 : 0);
  const p = PRECISION + GUARD;
  const y = absolute(x);
  const density = decimalPdf(x, p);
  const tail = isAbove(THREE, y)
    ? subtract(HALF, times(density, series(y, p), p), p)
    : over(density, continuedFraction(y, p), p);
  const result = x.n > 0n ? subtract(ONE, tail, p) : tail;
  return fit(result.n, result.e, PRECISION);
}

// Σ y²ᵏ⁺¹ / (1·3·…·(2k + 1))
function series(y, p) {
  let [term, total] = [y, y];
  const least = { n: 1n, e: -p };
  for (let k = 3; isAbove(term, least); k += 2) {
    term = over(times(times(term, y, p), y, p), fromShortest(k), p);
    total = plus(total, term, p);
  }
  return total;
}

// y + 1/(y + 2/(y + 3/(y + …)))
function continuedFraction(y, p) {
  let fraction = y;
  for (let k = 60 + Math.floor(6000 / toNumber(y) ** 2); k > 0; k--) {
    fraction = plus(y, over(fromShortest(k), fraction, p), p);
  }
  return fraction;
}

// JavaScript's numbers: the same fraction where it converges fast, and the series elsewhere.
export const floatPdf = (x) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

export function floatCdf(x) {
  const y = Math.min(Math.abs(x), 40);
  let tail;
  if (y < 3) {
    let [term, total] = [y, y];
    for (let k = 3; term > total * 2 ** -56; k += 2) {
      term *= (y * y) / k;
      total += term;
    }
    tail = 0.5 - floatPdf(y) * total;
  } else {
    let fraction = y;
    for (let k = 20 + Math.floor(520 / (y * y)); k > 0; k--) fraction = y + k / fraction;
    tail = floatPdf(y) / fraction;
  }
  return x > 0 ? 1 - tail : tail;
}
