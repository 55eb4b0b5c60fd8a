"""Special functions of activations, of arrays of floating-point numbers or of symbols.

The contract is that of `elementary`. A floating-point number is not chosen entry by entry, because
`np.where` costs as much as ten operations, and no plan of a step can record it. A comparison is
cast to 0 or 1 instead and becomes a factor.
"""

from fractions import Fraction
from typing import Any

import numpy as np

from manualnn.elementary import (
    Array,
    exp,
    greater,
    is_symbolic,
    maximum,
    minimum,
    own_number,
    sigmoid,
    softplus,
    step,
    store,
    tanh,
    where,
)
from manualnn.errstate import run_quietly


def constant(value: float, like: Array) -> Any:
    """Return a constant; for SymPy's and mpmath's symbols, the same number without rounding."""
    exact = own_number(like)(Fraction(value)) if is_symbolic(like) else value
    return value if isinstance(exact, Fraction) else exact


def quotient(x: Array, divisor: Any, /, *, out: Array | None = None) -> Array:
    """Return x / divisor, which is infinite where it is beyond the largest number."""
    if is_symbolic(x):
        return np.divide(x, divisor, out=out)
    out = np.empty_like(x, order="C") if out is None else out
    return run_quietly(np.divide, x, divisor, out)


def falling_sigmoid(x: Array, /, *, out: Array | None = None) -> Array:
    """Return 1 / (1 + exp(x)) = 1 − σ(x), accurate to a few units in the last place."""
    if is_symbolic(x):
        return store(1 / (1 + exp(x)), out)
    out = np.empty_like(x, order="C") if out is None else out
    run_quietly(np.exp, x, out)  # exp may overflow: 1 / (1 + ∞) = 0 is correct
    np.add(out, 1, out=out)
    return np.reciprocal(out, out=out)


def clip(x: Array, low: Any, high: Any, /, *, out: Array | None = None) -> Array:
    """Return x, but low where it is smaller and high where it is larger, with slope 0 at both."""
    above = maximum(x, low, out=out)
    if is_symbolic(x):
        own = own_number(x)
        return store(where(greater(-above, own(-high)), above, own(high)), out)
    return np.minimum(above, high, out=out)


def cut(x: Array, limit: Any, /, *, out: Array | None = None) -> Array:
    """Return x, but ±limit where it is farther from 0, with slope 1 at ±limit."""
    if is_symbolic(x):
        own = own_number(x)
        return minimum(where(greater(-x, own(limit)), own(-limit), x), limit, out=out)
    return clip(x, -limit, limit, out=out)


def inside(x: Array, low: Any, high: Any, /, *, out: Array | None = None) -> Array:
    """Return 1 where low < x < high, and 0 elsewhere, in x's dtype."""
    if is_symbolic(x):
        own = own_number(x)
        is_below = where(greater(-x, own(-high)), own(1), own(0))
        return store(where(greater(x, own(low)), is_below, own(0)), out)
    is_below = np.less(x, high)
    out = np.empty_like(x, order="C") if out is None else out
    return np.logical_and(np.greater(x, low), is_below, out=out, casting="unsafe")


def hard_gate(x: Array, /, *, out: Array | None = None) -> Array:
    """Return (x + 3) / 6, but 0 below −3 and 1 above 3."""
    out = clip(np.add(x, 3, out=out), 0, 6, out=out)
    return np.divide(out, 6, out=out)


def one_over(x: Array, limit: Any, /, *, out: Array | None = None) -> Array:
    """Return 1 where x > limit, and 0 elsewhere, in x's dtype. NaN counts as larger."""
    if is_symbolic(x):
        own = own_number(x)
        return store(where(greater(x, own(limit)), own(1), own(0)), out)
    is_low = np.less_equal(x, limit)
    out = np.empty_like(x, order="C") if out is None else out
    return np.logical_not(is_low, out=out, casting="unsafe")


def above_or(x: Array, limit: Any, value: Any, /, *, out: Array | None = None) -> Array:
    """Return x where x > limit, and the number `value` elsewhere. NaN counts as larger."""
    if is_symbolic(x):
        own = own_number(x)
        return store(where(greater(x, own(limit)), x, own(value)), out)
    is_low = np.less_equal(x, limit)
    out = np.maximum(x, limit, out=out)  # so that no infinity meets the factor 0
    np.multiply(out, np.logical_not(is_low), out=out)
    return np.add(out, np.multiply(is_low, value, dtype=x.dtype), out=out)


FLAT = 30
"""From here on, tanh(log(1 + exp(x))) rounds to 1 in every data type."""


def tanh_of_softplus(x: Array, /, *, out: Array | None = None) -> Array:
    """Return t = tanh(log(1 + exp(x))) = n / (n + 2), n = e (e + 2), e = exp(x)."""
    if is_symbolic(x):
        return store(tanh(softplus(x)), out)
    e = np.minimum(x, FLAT)
    np.exp(e, out=e)
    n = np.multiply(e, e + 2)
    return np.divide(n, n + 2, out=out)


def tanh_of_softplus_and_slope(x: Array, /) -> tuple[Array, Array]:
    """Return t, and x t′(x) = x σ(x) (1 − t²) = 4 x e (e + 1) / (n + 2)², where nothing cancels."""
    if is_symbolic(x):
        t = tanh_of_softplus(x)
        return t, x * sigmoid(x) * (1 - t * t)
    below = np.minimum(x, FLAT)
    e = np.exp(below)
    n = np.multiply(e, e + 2)
    divisor = n + 2
    slope = e + 1
    np.multiply(slope, e, out=slope)
    for _ in range(2):  # the square might overflow
        np.divide(slope, divisor, out=slope)
    np.multiply(slope, 4, out=slope)
    np.multiply(slope, below, out=slope)
    return np.divide(n, divisor, out=n), slope


def share(product: Array, x: Array, /) -> Array:
    """Return g ≥ 0, given x g and x; where both are 0, it is ½, which the gate of 0 is.

    Near 0, where x g has lost digits, ½ is mixed in. Far from 0, g itself may be 0.
    """
    g, divisor = np.abs(product), np.abs(x)
    half = np.multiply(np.less(divisor, 1), np.finfo(x.dtype).tiny, dtype=x.dtype)
    np.add(g, half, out=g)
    np.add(divisor, np.multiply(half, 2, out=half), out=divisor)
    return np.divide(g, divisor, out=g)


def one_above(x: Array, other: Any, /) -> Array:
    """Return 1 where x > 0, and the number `other` elsewhere (also at 0), in x's dtype."""
    if is_symbolic(x):
        own = own_number(x)
        return where(greater(x, 0), own(1), own(other))
    is_above = step(x)
    result = np.subtract(1, is_above)
    np.multiply(result, other, out=result)
    return np.add(result, is_above, out=result)


def exp_below(x: Array, /, *, out: Array | None = None) -> Array:
    """Return exp(x) where x ≤ 0, and 1 elsewhere."""
    if is_symbolic(x):
        return store(where(greater(x, 0), own_number(x)(1), exp(x)), out)
    out = minimum(x, 0, out=out)
    return np.exp(out, out=out)


def expm1_below(x: Array, /, *, out: Array | None = None) -> Array:
    """Return exp(x) − 1 where x ≤ 0, and 0 elsewhere."""
    if is_symbolic(x):
        return store(where(greater(x, 0), own_number(x)(0), exp(x) - 1), out)
    out = minimum(x, 0, out=out)
    return np.expm1(out, out=out)
