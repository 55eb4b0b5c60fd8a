// Losses over an arithmetic A. `terms` are the terms of every output, whose sum divided by D is L;
// `slopes` is ∂L/∂y, where `share(p, q)` is p / (q D); and `divisor` is D. Rows are samples. Names,
// options and their defaults are torch's.

// A loss that adds a term for every output; `at` is its place [n, k].
const entrywise = (term, slope) => ({
  divisor: ({ reduction = "mean" }, y) =>
    ({ sum: 1, batchmean: y.length, mean: y.length * (y[0]?.length ?? 1) })[reduction],
  terms: (A, o, y, t) => y.map((row, n) => row.map((v, k) => term(A, v, t[n][k], o, [n, k]))),
  slopes: (A, o, y, t, share) =>
    y.map((row, n) => row.map((v, k) => slope(A, v, t[n][k], share, o, [n, k]))),
});

const isWithin = ({ constant, greater }, e, limit) =>
  greater(e, constant(-limit)) && !greater(e, constant(limit));

// The weight of an output: one for each column, or any array that fits (N, K) as in torch.
function weightAt(weight, [n, k]) {
  if (!Array.isArray(weight)) return weight ?? 1;
  const row = Array.isArray(weight[0]) ? weight[weight.length > 1 ? n : 0] : weight;
  return row[row.length > 1 ? k : 0];
}

// A slope, with its weight, divided by D.
const weighted = (A, slope, { weight }, at, share) =>
  A.mul(slope, weight ? A.constant(weightAt(weight, at) * A.value(share(1))) : share(1));

const LEAST_LOG = -100;
export const LEAST_ROOM = Math.fround(1e-12); // torch stores 10⁻¹² in float32

export const LOSSES = {
  MSELoss: entrywise(
    ({ mul, sub }, y, t) => {
      const e = sub(y, t);
      return mul(e, e);
    },
    ({ mul, sub }, y, t, share) => mul(sub(y, t), share(2)),
  ),
  L1Loss: entrywise(
    ({ abs, sub }, y, t) => abs(sub(y, t)),
    ({ sign, sub }, y, t, share) => share(sign(sub(y, t))),
  ),
  // e²/2 where |e| ≤ δ, else δ (|e| − δ/2).
  HuberLoss: entrywise(
    (A, y, t, { delta = 1 }) => {
      const { constant, mul, ratio, sub } = A;
      const size = A.abs(sub(y, t));
      const isLarge = A.greater(size, constant(delta));
      if (isLarge) return mul(constant(delta), sub(size, constant(delta / 2)));
      return mul(size, sub(size, mul(size, ratio(1, 2))));
    },
    (A, y, t, share, { delta = 1 }) => {
      const e = A.sub(y, t);
      if (isWithin(A, e, delta)) return A.mul(e, share(1));
      return A.constant(A.sign(e) * delta * A.value(share(1)));
    },
  ),
  // e²/(2β) where |e| ≤ β, else |e| − β/2.
  SmoothL1Loss: entrywise(
    (A, y, t, { beta = 1 }) => {
      const { abs, constant, div, greater, mul, sub } = A;
      const size = abs(sub(y, t));
      if (beta === 0) return size;
      if (greater(size, constant(beta))) return sub(size, constant(beta / 2));
      return mul(div(size, constant(beta)), sub(size, div(size, constant(2))));
    },
    (A, y, t, share, { beta = 1 }) => {
      const e = A.sub(y, t);
      if (beta === 0) return share(A.sign(e));
      if (isWithin(A, e, beta)) return A.mul(A.div(e, A.constant(beta)), share(1));
      return A.constant(A.sign(e) * A.value(share(1)));
    },
  ),
  // t log y + (1 − t) log(1 − y), with torch's two limits: at y = 0 and y = 1 all stays finite.
  BCELoss: entrywise(
    (A, y, t, { weight }, at) => {
      const { add, constant, log, log1p, maximum, mul, neg, one, sub, zero } = A;
      const yes = maximum(log(y), constant(LEAST_LOG));
      const no = maximum(log1p(neg(y)), constant(LEAST_LOG));
      const both = add(mul(t, yes), mul(sub(one, t), no));
      return sub(zero, mul(constant(weightAt(weight, at)), both));
    },
    (A, y, t, share, o, at) => {
      const { constant, div, maximum, mul, one, sub } = A;
      const room = maximum(mul(y, sub(one, y)), constant(LEAST_ROOM));
      return weighted(A, div(sub(y, t), room), o, at, share);
    },
  ),
  BCEWithLogitsLoss: entrywise(
    (A, y, t, { weight, pos_weight: positive }, at) => {
      const { add, constant, mul, neg, one, softplus, sub } = A;
      const yes = mul(mul(constant(weightAt(positive, at)), t), softplus(neg(y)));
      return mul(constant(weightAt(weight, at)), add(yes, mul(sub(one, t), softplus(y))));
    },
    (A, y, t, share, o, at) => {
      const { constant, mul, neg, one, sigmoid, sub } = A;
      const yes = mul(mul(constant(weightAt(o.pos_weight, at)), t), sigmoid(neg(y)));
      return weighted(A, sub(mul(sub(one, t), sigmoid(y)), yes), o, at, share);
    },
  ),
  // The cross-entropy of a sigmoid, divided by the number of outputs.
  MultiLabelSoftMarginLoss: {
    divisor: ({ reduction = "mean" }, y) => (reduction === "sum" ? 1 : y.length),
    terms: (A, o, y, t) => y.map((row, n) => row.map((v, k) => {
      const { add, constant, div, mul, neg, one, softplus, sub } = A;
      const both = add(mul(t[n][k], softplus(neg(v))), mul(sub(one, t[n][k]), softplus(v)));
      return div(mul(constant(weightAt(o.weight, [n, k])), both), constant(row.length));
    })),
    slopes: (A, o, y, t, share) => y.map((row, n) => row.map((v, k) => {
      const { mul, neg, one, sigmoid, sub } = A;
      const slope = sub(mul(sub(one, t[n][k]), sigmoid(v)), mul(t[n][k], sigmoid(neg(v))));
      return mul(weighted(A, slope, o, [n, k], () => one), share(1, row.length));
    })),
  },
  CrossEntropyLoss: {
    divisor: countClasses,
    terms(A, o, y, t) {
      const { q } = classTargets(A, o, y, t);
      return y.map((row, n) =>
        A.logSoftmax(row).map((log, k) => A.sub(A.zero, A.mul(q[n][k], log))));
    },
    slopes(A, o, y, t, share, D) {
      const { q, totals } = classTargets(A, o, y, t);
      return y.map((row, n) =>
        A.softmax(row).map((a, k) => A.div(A.sub(A.mul(a, totals[n]), q[n][k]), D)));
    },
  },
  // −w y of the class that is the target, 0 of all others.
  NLLLoss: {
    divisor: countClasses,
    terms: (A, o, y, t) => y.map((row, n) => row.map((v, k) => {
      const w = A.constant(o.weight?.[k] ?? 1);
      return isTarget(o, t[n], k) ? A.sub(A.zero, A.mul(w, v)) : A.zero;
    })),
    slopes: (A, o, y, t, share, D) => y.map((row, n) => row.map((_, k) => {
      if (!isTarget(o, t[n], k)) return A.zero;
      return o.weight ? A.constant(-o.weight[k] / A.value(D)) : share(-1);
    })),
  },
  // max(0, Δ − y of the target + y of another class)ᵖ, divided by the number of classes.
  MultiMarginLoss: {
    divisor: ({ reduction = "mean" }, y) => (reduction === "sum" ? 1 : y.length),
    terms: (A, o, y, t) => y.map((row, n) => row.map((_, k) => {
      const gap = excess(A, o, row, t[n], k);
      if (!A.greater(gap, A.zero)) return A.zero;
      return ofClasses(A, o.p === 2 ? A.mul(gap, gap) : gap, o, row, t[n]);
    })),
    slopes: (A, o, y, t, share) => y.map((row, n) => {
      const gaps = row.map((_, k) => excess(A, o, row, t[n], k));
      const counts = gaps.map((gap) => Number(A.greater(gap, A.zero)));
      if (o.p !== 2) { // numbers of the formula: nothing to round
        counts[t[n]] = 0 - total(counts);
        const weight = (count) => (o.weight ? count * (o.weight[t[n]] / row.length)
          : count / row.length);
        return counts.map((count) => A.constant(weight(count) * A.value(share(1))));
      }
      const slopes = gaps.map((gap, k) => (counts[k] ? A.mul(A.constant(2), gap) : A.zero));
      slopes[t[n]] = A.sub(A.zero, A.sum(slopes));
      return slopes.map((slope) => A.mul(ofClasses(A, slope, o, row, t[n]), share(1)));
    }),
  },
  // Σ max(0, 1 − y of a class of the sample + y of another class), divided by the number of classes.
  MultiLabelMarginLoss: {
    takesLists: true,
    divisor: ({ reduction = "mean" }, y) => (reduction === "sum" ? 1 : y.length),
    terms: (A, o, y, t) => y.map((row, n) => row.map((_, k) => {
      const gaps = gapsOf(A, row, listed(t[n])).map((own) => own[k]);
      const above = (gap) => (A.greater(gap, A.zero) ? gap : A.zero);
      return A.div(gaps.map(above).reduce(A.add, A.zero), A.constant(row.length));
    })),
    slopes: (A, o, y, t, share) => y.map((row, n) => {
      const slopes = row.map(() => 0);
      const labels = listed(t[n]);
      gapsOf(A, row, labels).forEach((gaps, i) => gaps.forEach((gap, k) => {
        if (!A.greater(gap, A.zero)) return;
        slopes[k] += 1;
        slopes[labels[i]] -= 1;
      }));
      return slopes.map((count) => share(count, row.length));
    }),
  },
  // exp(y) − t y, or of rates y − t log(y + ε); with `full` also Stirling's formula for log t!.
  PoissonNLLLoss: entrywise(
    (A, y, t, { log_input: isLog = true, full, eps = 1e-8 }) => {
      const { add, constant, div, exp, greater, log, mul, one, sub } = A;
      const term = isLog ? sub(exp(y), mul(t, y))
        : sub(y, mul(t, log(add(y, constant(eps)))));
      if (!full) return term;
      if (!greater(t, one)) return add(term, A.zero);
      const logT = log(t);
      const half = div(add(logT, constant(Math.log(2 * Math.PI))), constant(2));
      return add(term, add(sub(mul(t, logT), t), half));
    },
    (A, y, t, share, { log_input: isLog = true, eps = 1e-8 }) => {
      const { add, constant, div, exp, mul, one, sub } = A;
      const slope = isLog ? sub(exp(y), t) : sub(one, div(t, add(y, constant(eps))));
      return mul(slope, share(1));
    },
  ),
  // y of a pair that belongs together (t = 1), and what the margin is above it elsewhere.
  HingeEmbeddingLoss: entrywise(
    ({ constant, greater, sub, zero }, y, t, { margin = 1 }) => {
      const gap = sub(constant(margin), y);
      return greater(t, zero) ? y : greater(gap, zero) ? gap : zero;
    },
    ({ constant, greater, zero }, y, t, share, { margin = 1 }) => {
      if (greater(t, zero)) return share(1);
      return greater(y, constant(margin)) ? zero : share(-1);
    },
  ),
  SoftMarginLoss: entrywise(
    ({ mul, neg, softplus }, y, t) => softplus(mul(neg(t), y)),
    ({ mul, neg, sigmoid }, y, t, share) => mul(mul(sigmoid(mul(neg(t), y)), t), share(-1)),
  ),
  // t (log t − y), 0 where t = 0; or exp(t) (t − y) of targets that are logarithms.
  KLDivLoss: entrywise(
    ({ exp, greater, log, mul, sub, zero }, y, t, { log_target: isLog }) =>
      (isLog ? mul(exp(t), sub(t, y)) : mul(t, sub(greater(t, zero) ? log(t) : zero, y))),
    ({ exp, mul }, y, t, share, { log_target: isLog }) => mul(isLog ? exp(t) : t, share(-1)),
  ),
};

// What another class's output exceeds that of the target by, with the margin; 0 of the target.
function excess(A, { margin = 1 }, row, own, k) {
  return k === own ? A.zero : A.add(A.sub(A.constant(margin), row[own]), row[k]);
}

// The excess of every class over each of the sample's; 0 of the sample's own.
const gapsOf = (A, row, labels) => labels.map((own) =>
  row.map((_, k) => (labels.includes(k) ? A.zero : excess(A, {}, row, own, k))));

// The classes of a list: those before the first −1.
export const listed = (list) => {
  const end = list.findIndex((label) => label < 0);
  return end < 0 ? list : list.slice(0, end);
};

// Targets are numbers, and no indices of classes.
export const hasNumbers = ({ t, loss }) => Array.isArray(t[0]) && !LOSSES[loss.type].takesLists;

function ofClasses(A, term, { weight }, row, own) {
  return weight ? A.mul(term, A.constant(weight[own] / row.length))
    : A.div(term, A.constant(row.length));
}

const isTarget = ({ ignore_index: ignored = -100 }, label, k) => label === k && label !== ignored;

const areIndices = (t) => !Array.isArray(t[0]);
const total = (numbers) => numbers.reduce((a, b) => a + b, 0);

function countClasses({ reduction = "mean", weight, ignore_index: ignored = -100 }, y, t) {
  if (reduction !== "mean" || !areIndices(t)) return reduction === "sum" ? 1 : y.length;
  const counted = t.filter((label) => label !== ignored);
  return total(counted.map((label) => weight?.[label] ?? 1));
}

// w[k] q[n,k], where q are the probabilities of the target's classes, and its sums Σₖ.
function classTargets(A, o, y, t) {
  const { weight, ignore_index: ignored = -100, label_smoothing: smoothing = 0 } = o;
  const [certain, spread] = [1 - smoothing, smoothing / (y[0]?.length ?? 1)];
  if (areIndices(t)) { // numbers of the formula, as the weights are: nothing to round
    const q = y.map((row, n) => row.map((_, k) => (t[n] === ignored ? 0
      : (Number(t[n] === k) * certain + spread) * (weight?.[k] ?? 1))));
    return {
      q: q.map((row) => row.map((v) => A.constant(v))),
      totals: q.map((row) => A.constant(total(row))),
    };
  }
  const q = t.map((row) => row.map((p, k) => {
    const smoothed = smoothing ? A.add(A.mul(p, A.constant(certain)), A.constant(spread)) : p;
    return weight ? A.mul(smoothed, A.constant(weight[k])) : smoothed;
  }));
  return { q, totals: q.map(A.sum) };
}
