"""The normal distribution: Φ(x) and φ(x) = Φ′(x), of floating-point numbers or of symbols.

    φ(x) = exp(−x²/2) / √(2π)               Φ(x) = ∫ φ from −∞ to x = ½ (1 + erf(x / √2))

NumPy has no erf, and ½ (1 + erf) loses all digits for x ≪ 0. Here Φ(−y) = exp(−y²/2) R(y) for
y ≥ 0, and Φ(y) = 1 − Φ(−y). R falls from ½ like a multiple of 1/y. One quotient of
polynomials approximates it for all y up to where Φ(−y) is 0. All coefficients are positive, so
nothing cancels.

GELU's approximation by tanh has ½ (1 + tanh(s)) = σ(2 s) for Φ. It is computed in the same way,
from Φ(−y) = exp(−2 s) / (1 + exp(−2 s)).

The relative error of Φ is below (16 + x²) u, u the unit of rounding: x² u comes from rounding x²/2
in the exponent, and half of it from rounding x itself would do as much.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from manualnn.elementary import Array, is_symbolic, minimum, of_symbols, sigmoid
from manualnn.special import constant

Polynomials = tuple[Sequence[Any], Sequence[Any]]

# Least maximum of the relative error, by Lawson's iteration (tests/test_normal.py): 2⁻²⁷ for
# y ≤ 14.5, from where float32 has exp(−y²/2) = 0, and 2⁻⁶⁸ for y ≤ 152, as far as longdouble goes.
SHORT = (
    """0.500000002922524753527571 0.438320171737808978932636 0.18325381728874079078365
    0.0406395170528298520334625 0.00411723962866968895489738""",
    """1 1.67452532424741748055797 1.2025807447847812793296 0.469519928155300875316334
    0.101874601446729016605075 0.0103202697138733051171938""",
)
LONG = (
    """0.500000000000000000001178 0.952094427464060302093758 0.89926666930372563493501
    0.549803462145526167037521 0.240536241006193989286286 0.0789991011191760590950826
    0.0199327570454702839682274 0.00389207743399913866482005 0.000584410786373508683888147
    6.59899163812933428320198e-5 5.34305608035701961828773e-6 2.80480449831293684599589e-7
    7.29988278119868552642293e-9""",
    """1 2.70207341573098596076169 3.45447599917506718383581 2.77080480209901966724891
    1.55826440854063407148303 0.650101729967818760019511 0.207453578118426774751555
    0.0514023098721998723176827 0.00991999741291548972699522 0.00147825706038181970910727
    0.000166115250467915321522475 1.34113535365428256247753e-5 7.0306022602834263029622e-7
    1.82980925808446103758641e-8""",
)
FARTHEST = {np.dtype(np.float32): 14.5}
"""From here on, exp(−y²/2) is 0; 152 in wider types."""


@lru_cache(maxsize=4)
def polynomials(dtype: "np.dtype[Any]") -> Polynomials:
    """Return the coefficients of numerator and denominator of R, the constants first."""
    texts = SHORT if dtype.itemsize == 4 else LONG
    numerator, denominator = (tuple(map(dtype.type, text.split())) for text in texts)
    return numerator, denominator


def normal_tail(y: Array, /) -> Array:
    """Return Φ(−y), y ≥ 0, for floating-point numbers."""
    y = minimum(y, FARTHEST.get(y.dtype, 152.0))
    power = _gaussian(y)
    numerator, denominator = polynomials(y.dtype)
    tail = _polynomial(numerator, y)
    np.divide(tail, _polynomial(denominator, y), out=tail)
    return np.multiply(tail, power, out=tail)


def normal_cdf(x: Array, /) -> Array:
    """Return Φ(x) of symbols."""
    return of_symbols("normal_cdf", x)


def normal_pdf(x: Array, /) -> Array:
    """Return φ(x)."""
    if is_symbolic(x):
        return of_symbols("normal_pdf", x)
    y = np.abs(x)
    pdf = _gaussian(minimum(y, FARTHEST.get(x.dtype, 152.0), out=y))
    return np.multiply(pdf, pdf.dtype.type(INVERSE_ROOT), out=pdf)


def _gaussian(y: Array) -> Array:
    """Return exp(−y²/2)."""
    power = np.multiply(y, y)
    np.multiply(power, -0.5, out=power)
    return np.exp(power, out=power)


INVERSE_ROOT = "0.398942280401432677939946059934"
"""1 / √(2π)."""


ROOT, CUBIC = 0.7978845608028654, 0.044715
"""√(2/π) and the factor of the cube in s(x) = √(2/π) (x + 0.044715 x³)."""
FLAT = 100
"""From here on, σ(2 s) is 1."""


def _constants(like: Array) -> tuple[Any, Any]:
    """Return 2 √(2/π) and the factor of the cube, in the dtype of like or of its symbols."""
    if is_symbolic(like):
        return 2 * constant(ROOT, like), constant(CUBIC, like)
    return like.dtype.type(2 * ROOT), like.dtype.type(CUBIC)


def cubic_tail(y: Array, /) -> Array:
    """Return σ(−2 s(y)), y ≥ 0, for floating-point numbers: Φ(−y) to three digits."""
    power = _exp_of_cubic(minimum(y, FLAT))
    return np.divide(power, power + 1, out=power)


def cubic_cdf(x: Array, /) -> Array:
    """Return σ(2 s(x)) of symbols."""
    root, cubic = _constants(x)
    return sigmoid((x * x * cubic + 1) * root * x)


def cubic_pdf(x: Array, /) -> Array:
    """Return the derivative of σ(2 s(x)): 2 s′ exp(−2 s) / (1 + exp(−2 s))², even in x."""
    root, cubic = _constants(x)
    if is_symbolic(x):
        gate = cubic_cdf(x)
        return (1 - gate) * gate * ((x * x * cubic * 3 + 1) * root)
    y = np.abs(x)
    minimum(y, FLAT, out=y)
    power = _exp_of_cubic(y)
    divisor = np.add(power, 1)
    np.divide(power, divisor, out=power)
    np.divide(power, divisor, out=power)
    np.multiply(y, y, out=y)
    np.multiply(y, 3 * root * cubic, out=y)
    np.add(y, root, out=y)
    return np.multiply(power, y, out=power)


def _exp_of_cubic(y: Array) -> Array:
    """Return exp(−2 s(y))."""
    root, cubic = _constants(y)
    power = np.multiply(y, y)
    np.multiply(power, -root * cubic, out=power)
    np.subtract(power, root, out=power)
    np.multiply(power, y, out=power)
    return np.exp(power, out=power)


def _polynomial(coefficients: Sequence[Any], y: Array) -> Array:
    """Return Σ cₖ yᵏ by Horner's rule."""
    *lower, highest = coefficients
    result = np.multiply(y, highest)
    for k, coefficient in enumerate(reversed(lower)):
        if k:
            np.multiply(result, y, out=result)
        np.add(result, coefficient, out=result)
    return result
