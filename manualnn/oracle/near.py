"""Running error bounds: numbers that know how far from them a computed result may be.

A `Near` is (v, e): v the true value, as exactly as this machine can say, and e ≥ |computed − v| for
every program that computes v in the usual order or any other order of summation, in a dtype with
unit roundoff u and smallest subnormal number η. Elementwise, with |·| elementwise, and γₙ =
nu/(1−nu) (Higham, Accuracy and Stability of Numerical Algorithms, 2002, sections 2.2, 3.1 and 3.5):

    one operation           fl(a ∘ b) = (a ∘ b)(1 + δ) + η′,      |δ| ≤ u, |η′| ≤ η
    k of them in a row      relative error γₖ
    sum of n terms          γₙ₋₁ Σ|terms|, in whichever order
    product of n-vectors    γₙ |a|ᵀ|b|, in whichever order, with fused operations or without

The errors that the operands bring along are added to that, to all orders:

    a + b       eₐ + e_b
    a b         |a| e_b + |b| eₐ + eₐ e_b
    a / b       (eₐ + |a/b| e_b) / (|b| − e_b)
    f(a)        sup |f(a′) − f(a)| over |a′ − a| ≤ eₐ: at the ends, for a monotone f

Elementary functions (exp, log, log1p, tanh) are not correctly rounded. NumPy tests its own to 4
units in the last place, and the vector library of torch (SLEEF) states 1: 4 units are 8u. Where
their result is subnormal, they may return 0: an absolute error up to the smallest normal number.

v is computed in longdouble. Where that has 64 bits or more of mantissa, v's own error is below
2⁻¹¹ e; where it is only a float64 (ask EXTENDED), v is no better than what it judges, and a result
is judged to 2e.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

EXTENDED = np.finfo(np.longdouble).nmant >= 63
ULPS = 8
"""Error of an elementary function in units of u: 4 units in the last place."""


@dataclass(frozen=True)
class Precision:
    """The dtype of the programs that are judged."""

    dtype: np.dtype[Any]
    jumps: list[tuple[int, int]] = field(default_factory=list)
    """For each array that a function with jumps was applied to: entries undecided, entries."""

    @property
    def u(self) -> Any:
        return np.longdouble(np.finfo(self.dtype).eps) / 2

    @property
    def eta(self) -> Any:
        return np.longdouble(np.finfo(self.dtype).smallest_subnormal)

    @property
    def tiny(self) -> Any:
        return np.longdouble(np.finfo(self.dtype).tiny)

    @property
    def slack(self) -> float:
        """The share of e by which v itself may be wrong, on top of 1."""
        return 1 + 2**-10 if EXTENDED or self.dtype.itemsize < 8 else 2

    @property
    def max(self) -> Any:
        return np.longdouble(np.finfo(self.dtype).max)

    def gamma(self, n: int) -> Any:
        return n * self.u / (1 - n * self.u)

    def rounding(self, operations: int, size: Array) -> Array:
        """Return the error of so many operations on numbers of that size.

        What is exactly zero stays so, and what may overflow may be anything.
        """
        e = self.gamma(operations) * size + operations * self.eta * (size > 0)
        return np.where(size < self.max, e, np.inf)

    def exact(self, value: Any) -> "Near":
        """Return numbers that every program holds exactly: inputs."""
        v = np.asarray(value, np.longdouble)
        return Near(v, np.zeros_like(v), self)

    def number(self, value: Any) -> "Near":
        """Return an option, which a program rounds to its dtype; exact where it fits."""
        v = np.asarray(value, np.longdouble)
        return Near(v, np.abs(v - np.asarray(value, self.dtype)), self)


@dataclass(frozen=True)
class Near:
    """v, and how far from it a computed value may be; arrays of longdouble of one shape."""

    v: Array
    e: Array
    kind: Precision

    __array_ufunc__ = None  # NumPy leaves operators to this class

    def __neg__(self) -> "Near":
        return Near(-self.v, self.e, self.kind)

    def __abs__(self) -> "Near":
        return Near(np.abs(self.v), self.e, self.kind)

    def __add__(self, other: Any) -> "Near":
        other = self._near(other)
        return Near(self.v + other.v, self.e + other.e, self.kind).rounded()

    def __sub__(self, other: Any) -> "Near":
        return self + -self._near(other)

    def __rsub__(self, other: Any) -> "Near":
        return -self + other

    def __mul__(self, other: Any) -> "Near":
        other = self._near(other)
        e = np.abs(self.v) * other.e + self.e * np.abs(other.v) + self.e * other.e
        return Near(self.v * other.v, e, self.kind).rounded()

    __radd__ = __add__
    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Near":
        other = self._near(other)
        quotient = self.v / other.v
        room = np.abs(other.v) - other.e
        e = np.where(room > 0, (self.e + np.abs(quotient) * other.e) / room, np.inf)
        return Near(quotient, e, self.kind).rounded()

    def __matmul__(self, other: "Near") -> "Near":
        a, b = np.abs(self.v), np.abs(other.v)
        brought = self.e @ b + a @ other.e + self.e @ other.e
        size = a @ b + brought
        e = brought + self.kind.rounding(self.v.shape[1], size)
        return Near(self.v @ other.v, e, self.kind)

    @property
    def T(self) -> "Near":  # noqa: N802 - as NumPy has it
        return Near(self.v.T, self.e.T, self.kind)

    def __getitem__(self, index: Any) -> "Near":
        return Near(self.v[index], self.e[index], self.kind)

    def sum(self, axis: int | None = None, *, keepdims: bool = False) -> "Near":
        def total(a: Array) -> Array:
            return np.asarray(a.sum(axis=axis, keepdims=keepdims))

        brought = total(self.e)
        terms = self.v.size if axis is None else self.v.shape[axis]
        size = total(np.abs(self.v)) + brought
        return Near(total(self.v), brought + self.kind.rounding(max(terms - 1, 0), size), self.kind)

    def rounded(self, operations: int = 1, size: Any = None) -> "Near":
        """Return it after that many roundings of numbers as large as size (itself, if None)."""
        size = np.abs(self.v) + self.e if size is None else size
        return self.plus_error(self.kind.rounding(operations, size))

    def plus_error(self, error: Any) -> "Near":
        return Near(self.v, self.e + error, self.kind)

    def through(
        self,
        f: Callable[[Array], Array],
        operations: int = 0,
        turns: Iterable[float] = (),
        *,
        underflows: bool = False,
    ) -> "Near":
        """Return f of it, computed with a relative error of so many u.

        f is monotone between the points in `turns`, where it may also jump.
        """
        low, high = self.v - self.e, self.v + self.e
        v = f(self.v)
        e = np.zeros_like(v)
        for point in [low, high, *(np.clip(turn, low, high) for turn in turns)]:
            e = np.maximum(e, np.abs(f(point) - v))
        result = Near(v, e, self.kind).rounded(operations)
        return result.plus_error(self.kind.tiny) if underflows else result

    def step(self, f: Callable[[Array], Array]) -> "Near":
        """Return f of it, a monotone function that only jumps, and count what is undecided.

        Where rounding may decide to which side of a jump a number falls, nothing but the height of
        the jump can be said of what follows: the share of such entries has to stay small.
        """
        result = self.through(f)
        self.kind.jumps.append((int(np.count_nonzero(result.e)), result.e.size))
        return result

    def within(self, low: Any, high: Any) -> "Near":
        """Return it for programs whose results cannot leave [low, high] by more than rounding."""
        bound = np.maximum(high - self.v, self.v - low) + self.kind.u * np.abs(high)
        return Near(self.v, np.minimum(self.e, bound), self.kind)

    def _near(self, other: Any) -> "Near":
        return other if isinstance(other, Near) else self.kind.number(other)
