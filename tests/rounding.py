"""Numbers with a bound on the rounding error of a float in their place.

Every operation on floats has a relative error δ, |δ| ≤ u = eps/2 [Higham 2002, section 2.2].
The error that this makes, in units of u and to first order in u, follows the operations:

    a b         |a| E_b + |b| E_a + |a b|
    Σ aᵢ        Σ Eᵢ + (n − 1) Σ |aᵢ|           n terms, added in any order
    f(a)        |f′(a)| E_a + c |f(a)|          c = 1 for a division

The engine computes with these numbers as with any objects. So its own operations determine the
bounds, and no table of bounds is needed.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import wraps
from typing import Any

import mpmath
import numpy as np

COST = 4
"""Units of u by which exp, log, log1p and tanh may be wrong themselves."""

SHIFT = 20
"""The floats' softmax takes the row's maximum m from each z first, which an object's does not: an
error of u |z − m| in the exponent. In the tests |z − m| is below this."""

SECOND_ORDER = mpmath.mpf("1.01")
"""Terms of the order of E u are left out: below one percent of E in the tests, even in float32."""


def exactly(number: Any) -> Any:
    """Return a float of any type, a fraction or an mpmath number as the last; nothing is lost."""
    if isinstance(number, Fraction):
        return mpmath.mpf(number.numerator) / number.denominator
    if isinstance(number, np.floating):
        high = float(number)
        return mpmath.mpf(high) + mpmath.mpf(float(number - type(number)(high)))
    return mpmath.mpf(number)


as_mpmath = np.frompyfunc(exactly, 1, 1)
"""Do the same to every entry of an array."""


def _with_a_number(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Leave an array on the right to NumPy, which takes the operation to each of its entries."""

    @wraps(operation)
    def operate(number: Any, other: Any) -> Any:
        return NotImplemented if isinstance(other, np.ndarray) else operation(number, other)

    return operate


class Rounded:
    """A value; the error inherited from the terms that it is a sum of, their number and size."""

    __slots__ = ("inherited", "size", "terms", "value")

    def __init__(self, value: Any, inherited: Any = 0, terms: int = 1, size: Any = None) -> None:
        self.value = mpmath.mpf(value)
        self.inherited = inherited
        self.terms = terms
        self.size = abs(self.value) if size is None else size

    @property
    def error(self) -> Any:
        """The largest error, in units of u."""
        return self.inherited + (self.terms - 1) * self.size

    @_with_a_number
    def __add__(self, other: Any) -> "Rounded":
        other = as_rounded(other)
        return Rounded(
            self.value + other.value,
            self.inherited + other.inherited,
            self.terms + other.terms,
            self.size + other.size,
        )

    @_with_a_number
    def __mul__(self, other: Any) -> "Rounded":
        other = as_rounded(other)
        value = self.value * other.value
        inherited = abs(self.value) * other.error + abs(other.value) * self.error + abs(value)
        return Rounded(value, inherited)

    def __eq__(self, other: object) -> bool:
        """Return True for the same number with the same bound, which tells a number from others."""
        if not isinstance(other, Rounded):
            return NotImplemented
        return (self.value, self.error) == (other.value, other.error)

    __hash__ = None

    def __neg__(self) -> "Rounded":
        return Rounded(-self.value, self.inherited, self.terms, self.size)

    def __pos__(self) -> "Rounded":
        return self

    def __abs__(self) -> "Rounded":
        return self if self > 0 else -self

    @_with_a_number
    def __sub__(self, other: Any) -> "Rounded":
        return self + -as_rounded(other)

    def __rsub__(self, other: Any) -> "Rounded":
        return as_rounded(other) + -self

    @_with_a_number
    def __truediv__(self, other: Any) -> "Rounded":
        return self * as_rounded(other).function(lambda v: 1 / v, lambda v: -1 / v**2, 1)

    def __rtruediv__(self, other: Any) -> "Rounded":
        return as_rounded(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    @_with_a_number
    def __gt__(self, other: Any) -> bool:
        return bool(self.value > as_rounded(other).value)

    @_with_a_number
    def __ge__(self, other: Any) -> bool:
        return bool(self.value >= as_rounded(other).value)

    @_with_a_number
    def __le__(self, other: Any) -> bool:
        return bool(self.value <= as_rounded(other).value)

    def function(
        self, f: Callable[[Any], Any], slope: Callable[[Any], Any], cost: int = COST
    ) -> "Rounded":
        """Return f of it, given f and f′."""
        value = f(self.value)
        return Rounded(value, abs(slope(self.value)) * self.error + cost * abs(value))

    def exp(self) -> "Rounded":
        return self.function(mpmath.exp, mpmath.exp, COST + SHIFT)

    def log(self) -> "Rounded":
        return self.function(mpmath.log, lambda v: 1 / v)

    def log1p(self) -> "Rounded":
        return self.function(mpmath.log1p, lambda v: 1 / (1 + v))

    def normal_cdf(self) -> "Rounded":
        return self.function(mpmath.ncdf, mpmath.npdf, 16 + self.value**2)

    def normal_pdf(self) -> "Rounded":
        return self.function(mpmath.npdf, lambda v: v * mpmath.npdf(v), 16 + self.value**2)

    def tanh(self) -> "Rounded":
        return self.function(mpmath.tanh, lambda v: 1 - mpmath.tanh(v) ** 2)

    def sqrt(self) -> "Rounded":
        return self.function(mpmath.sqrt, lambda v: 1 / (2 * mpmath.sqrt(v)), 1)


def as_rounded(value: Any) -> Rounded:
    """Return a Rounded number unchanged; any other is rounded once if no float holds it."""
    if isinstance(value, Rounded):
        return value
    exact = mpmath.mpf(getattr(value, "numerator", value)) / getattr(value, "denominator", 1)
    return Rounded(exact, 0 if exact == int(exact) else abs(exact))


def bound(number: Any, dtype: Any) -> Any:
    """Return how far a computation in that type may be from the value."""
    return SECOND_ORDER * as_rounded(number).error * mpmath.mpf(float(np.finfo(dtype).eps)) / 2
