"""Elementary functions of bounded numbers, and the functions of rows that contain them.

    exp_of_log(a)  log_softmax(z)                     rows of logits
    sigmoid(z)  tanh(z)  softplus(z)  root(v)         entry by entry
    larger(a, b)

Elementary functions (exp, log, log1p, tanh) are not correctly rounded. NumPy tests its own to 4
units in the last place, and the vector library of torch (SLEEF) states 1: `ulps` is 4 units, 8u.
They may return 0 instead of a subnormal result, which is an absolute error up to the smallest
normal number. An error e of the argument is multiplied by the largest slope within e of it:

    exp         exp(a + e)
    sigmoid     q / (1 + q)²,   q = exp(−p),      p = max(|z| − e, 0) the point nearest to 0
    tanh        4q / (1 + q)²,  q = exp(−2p)
    softplus    σ(z + e)

Stable formulas of one function differ by a few roundings. The bound is the largest of theirs. For
example, 1 / (1 + exp(−z)) has a small relative error, but (1 + tanh(z/2)) / 2 a small absolute one.
"""

import numpy as np

from manualnn.oracle.truth.bounded import Array, Bounded

OVERFLOWS = 2e4
"""An exponent beyond every data type; the digits of mpmath's exp of 1e300 would fill the memory."""


def sigmoid(z: Bounded) -> Bounded:
    """Return σ(z), computed with exp or with tanh."""
    kind, wide, rough = z.kind, z.kind.wide, z.kind.rough
    v = wide.divide(1, 1 + wide.exp(-z.v))
    q = rough.exp(-_nearest_to_0(z))
    a = kind.size(v)
    by_tanh = (kind.ulps + 2) * kind.u / 2
    e = z.e * (q / (1 + q) ** 2) + kind.gamma(kind.ulps + 2) * a + (by_tanh + 2 * kind.tiny)
    return Bounded(v, e, kind)


def tanh(z: Bounded) -> Bounded:
    """Return tanh(z)."""
    kind = z.kind
    v = kind.wide.tanh(z.v)
    q = kind.rough.exp(-2 * _nearest_to_0(z))
    e = z.e * (4 * q / (1 + q) ** 2) + kind.gamma(kind.ulps) * kind.size(v) + 2 * kind.tiny
    return Bounded(v, np.where(z.most == 0, 0.0, e), kind)


def softplus(z: Bounded) -> Bounded:
    """Return log(1 + exp(z)) = max(z, 0) + log1p(exp(−|z|)).

    It is at least σ(z), so the error of exp, ulps u σ(z), is relative to the result as well.
    """
    kind, wide, rough = z.kind, z.kind.wide, z.kind.rough
    v = np.maximum(z.v, 0) + wide.log1p(wide.exp(-np.abs(z.v)))
    steepest = rough.divide(1, 1 + rough.exp(-(z.v.astype(rough.dtype) + z.e)))
    relative = kind.gamma(2 * kind.ulps + 1)
    return Bounded(v, z.e * steepest + relative * kind.size(v) + 2 * kind.tiny, kind)


def log_softmax(z: Bounded) -> Bounded:
    """Return a = (z − m) − log Σ exp(z − m) of every row, m its largest entry.

    m cancels. Two errors remain: the rounding of z − m, and the error εⱼ of each exponent. The
    second moves the logarithm by at most log Σ aⱼ exp(εⱼ) = log1p(Σ aⱼ (exp(εⱼ) − 1)). An engine
    may also compute z − (m + log Σ), which rounds m + log Σ, or the logarithm of softmax, which is
    accurate to its ulps.
    """
    kind, wide, rough = z.kind, z.kind.wide, z.kind.rough
    highest = z.v.max(axis=1, keepdims=True)
    shifted = z.v - highest
    log_sum = wide.log(wide.exp(shifted).sum(axis=1, keepdims=True))
    v = shifted - log_sum
    into = z.e + kind.u * (kind.size(shifted) + z.e)
    logarithm = kind.size(log_sum)
    # exp(a) (exp(ε) − 1), written so that neither factor overflows.
    moved = rough.exp(v.astype(rough.dtype) + into) * -rough.expm1(-into)
    e = into + rough.log1p(moved.sum(axis=1, keepdims=True))
    # Errors relative to Σ are absolute to its logarithm.
    summed = kind.size(kind.summing(z.v.shape[1] - 1, np.ones(1), np.ones(1)))
    e = e + 2 * (summed + kind.u * kind.ulps)
    e = e + kind.u * (kind.ulps * logarithm + 2 * (kind.size(highest) + logarithm))
    return Bounded(v, e, kind).rounded(kind.ulps + 1)


def exp(z: Bounded) -> Bounded:
    """Return exp(z)."""
    kind = z.kind
    v = kind.wide.exp(np.minimum(z.v, OVERFLOWS))
    steepest = kind.rough.exp(z.v.astype(kind.rough.dtype) + z.e)
    e = np.where(z.e == 0, 0.0, z.e * steepest) + 2 * kind.tiny
    return Bounded(v, e, kind).rounded(kind.ulps)


def log(z: Bounded) -> Bounded:
    """Return log z, without a bound where z may be 0 or negative."""
    kind = z.kind
    least = np.maximum(z.size - z.e, 0.0)
    e = np.where(z.e == 0, 0.0, kind.rough.divide(z.e, least))
    return Bounded(kind.wide.log(z.v), np.where(z.v > 0, e, np.inf), kind).rounded(kind.ulps)


def exp_of_log(a: Bounded) -> Bounded:
    """Return exp(a) for a ≤ 0, which no engine computes as more than 1 + u."""
    kind = a.kind
    v = kind.wide.exp(np.minimum(a.v, 0))
    steepest = kind.rough.exp(np.minimum(a.v.astype(kind.rough.dtype) + a.e, 0))
    e = a.e * steepest + kind.gamma(kind.ulps + 1) * kind.size(v) + 2 * kind.tiny
    return Bounded(v, e, kind).within(1 + kind.u)


def root(v: Bounded) -> Bounded:
    """Return √v."""
    kind, rough = v.kind, v.kind.rough
    square = np.maximum(v.v, 0)
    middle = kind.wide.sqrt(square)
    size = kind.size(middle)
    low = rough.divide(v.e, size + rough.sqrt(np.maximum(kind.size(square) - v.e, 0)))
    high = rough.divide(v.e, size + rough.sqrt(v.most))
    # The root ends at 0, so the error is at most √v.
    e = np.where(v.e == 0, 0.0, np.maximum(np.minimum(low, size), high))
    return Bounded(middle, e, kind).rounded()


def larger(a: Bounded, b: Bounded) -> Bounded:
    """Return the larger of the two, entry by entry."""
    return Bounded(np.maximum(a.v, b.v), np.maximum(a.e, b.e), a.kind)


def sign(v: Bounded) -> Bounded:
    """Return 1, −1 or 0; where rounding decides it, a program is off by at most 2."""
    undecided = ~((v.e == 0) | (v.size > v.e))  # NaN, as of 0 · ∞, decides nothing
    plain = np.greater(v.v, 0).astype(float) - np.less(v.v, 0).astype(float)
    e = np.where(undecided, 2.0, 0.0)
    return Bounded(v.kind.wide.array(plain), e, v.kind, known=not e.any())


def _nearest_to_0(z: Bounded) -> Array:
    return np.maximum(z.size - z.e, 0.0)
