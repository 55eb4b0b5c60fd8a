"""Running error analysis: numbers with a bound on how far a computed result may be from them.

A `Bounded` is (v, e). v is the true value, as exactly as this machine can compute it. e is a bound
on |computed − v|. It holds for every program that computes v in a dtype with unit roundoff u and
smallest subnormal number η, in any order of summation. The rules are Higham's (Accuracy and
Stability of Numerical Algorithms, 2002, sections 2.2, 3.1, 3.5), with γₙ = nu / (1 − nu):

    one operation           fl(a ∘ b) = (a ∘ b)(1 + δ) + η′,      |δ| ≤ u, |η′| ≤ η
    k of them in a row      relative error γₖ
    sum of n terms          γₙ₋₁ Σ|terms|, in any order
    product of n-vectors    γₙ |a|ᵀ|b|, in any order, with fused operations or without

The errors of the operands are added, to all orders:

    a + b       eₐ + e_b
    a b         |a| e_b + eₐ (|b| + e_b)
    a / b       (eₐ + |a/b| e_b) / (|b| − e_b)
    √a          max(√a − √(a − eₐ), √(a + eₐ) − √a)
    f(a)        eₐ sup |f′| over [a − eₐ, a + eₐ], for the functions in `functions`

v is an extended number, whose own error is below 2⁻¹⁰ e: `allowed` adds as much. e is a float64, or
an mpmath number (`numbers="mpmath"`: the same bits on every machine). e is rounded and may
underflow; therefore each operation counts 4η instead of η.

`Precision` and `Bounded` share this file because each computes with the other.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.truth.extended import FLOAT64, LONGDOUBLE_BITS, mpmath_width, width

Array = NDArray[Any]

HUGE = 1e300
"""A factor that lifts any number but 0 above the smallest numbers of every dtype."""
SLACK = 1 + 2**-10
"""A factor on e that covers the error of v itself."""


class Precision:
    """The arithmetic of the engines that are judged, and of the truth.

    The options are claims of an engine (capabilities.RELAXATIONS), or choose the truth's numbers:
    `numbers` is "native", or "mpmath" for v and e; `longdouble_bits` is longdouble's precision.
    """

    def __init__(
        self,
        dtype: Any,
        *,
        accumulate_dtype: Any = None,
        elementary_ulps: float = 4,
        subnormals: str = "kept",
        kink: Mapping[str, float] | None = None,
        conventions: Mapping[str, str] | None = None,
        numbers: Literal["native", "mpmath"] = "native",
        longdouble_bits: int = LONGDOUBLE_BITS,
    ) -> None:
        self.dtype = np.dtype(dtype)
        info = np.finfo(self.dtype)
        self.u = float(info.eps) / 2
        self.tiny = float(info.tiny)
        self.max = float(info.max) * (1 - 2**-10)
        """A larger number may overflow with its rounding errors."""
        flushed = subnormals == "flushed"
        self.eta = self.tiny if flushed else float(info.smallest_subnormal)
        self.least = self.tiny if flushed else 0.0
        """Smaller numbers may be read as 0."""
        self.ulps = 2 * elementary_ulps
        """Error of an elementary function in units of u: half a unit in the last place."""
        self.kink = dict(kink or {})
        self.conventions = dict(conventions or {})
        self.sums: Precision | None = None
        """The arithmetic of sums, or None if sums are computed in the dtype."""
        widest = self.dtype
        if accumulate_dtype is not None and np.dtype(accumulate_dtype) != self.dtype:
            self.sums = Precision(accumulate_dtype, subnormals=subnormals, numbers=numbers)
            widest = max(self.dtype, self.sums.dtype, key=lambda kind: kind.itemsize)
        if numbers == "mpmath":
            self.wide = self.rough = mpmath_width()
        else:
            self.wide, self.rough = width(widest, longdouble_bits), FLOAT64
        # This factor takes a number beyond the dtype's range beyond float64's.
        is_float64 = self.dtype == np.float64
        self.to_the_edge = 1.0 if is_float64 else float(np.finfo(float).max) / self.max
        self.decided = False
        """True if the forward pass is exact, so that rounding decides no condition."""
        self._numbers: dict[float, Bounded] = {}
        self.jumps: list[tuple[int, int]] = []
        """The numbers of undecided and of all entries, for each array of slopes that jump."""

    @classmethod
    def of(
        cls,
        dtype: Any,
        claims: Capabilities | None = None,
        *,
        numbers: Literal["native", "mpmath"] = "native",
    ) -> "Precision":
        """Return the arithmetic of an engine that makes these claims, for cases of that dtype."""
        if claims is None:
            return cls(dtype, numbers=numbers)
        return cls(
            dtype,
            numbers=numbers,
            accumulate_dtype=claims.accumulate_dtype,
            elementary_ulps=claims.elementary_ulps,
            subnormals=claims.subnormals,
            kink=claims.kink,
            conventions=claims.conventions,
        )

    def gamma(self, n: float) -> float:
        """Return γₙ."""
        return n * self.u / (1 - n * self.u)

    def rounding(self, operations: float, size: Array, product: Any = None) -> Array:
        """Return the error of that many operations on numbers of that size.

        Zero stays exact. A number that may overflow has no bound. The size of a product may
        underflow to 0, so `product` is its value.
        """
        gamma = self.gamma(operations)
        if self.rough is not FLOAT64:
            relative = np.where(size < self.max, size * gamma, np.inf)
        elif self.to_the_edge == 1:
            relative = size * gamma
        else:
            relative = size * self.to_the_edge * (gamma / self.to_the_edge)
        lost = 4 * operations * self.eta
        if self.rough is FLOAT64 and np.count_nonzero(size) == size.size:
            return relative + lost  # what follows gives the same more slowly
        if product is None:
            return relative + np.minimum(size * HUGE, lost)
        if product.dtype == object:
            product, size = np.not_equal(product, 0), np.not_equal(size, 0)
        return relative + np.logical_or(product, size) * lost

    def summing(self, terms: int, size: Array, v: Array) -> Array:
        """Return the error of a sum v with that many roundings in any order; size is Σ|terms|.

        If sums have a dtype of their own, terms are rounded to it, and the sum from it.
        """
        if self.sums is None:
            return self.rounding(terms, size, v)
        inside = self.sums.rounding(terms + 2, size, v)
        return inside + self.rounding(1, self.size(v) + inside, v)

    def exact(self, value: Any) -> "Bounded":
        """Return numbers that every engine has exactly: inputs."""
        v = self.wide.array(value)
        if self.least:
            size = self.size(v)
            return Bounded(v, np.where(size < self.least, size, 0.0), self)
        return Bounded(v, np.zeros(v.shape), self, known=True)

    def returned(self, value: Any) -> "Bounded":
        """Return the numbers that an engine continues with, given those that it returned.

        An engine with more digits inside has rounded them once to return them.
        """
        return self.exact(value).rounded()

    def number(self, value: Any) -> "Bounded":
        """Return an option, which an engine may round to its dtype."""
        if not isinstance(value, float | int):
            return self._option(np.asarray(value, np.float64), _option_error)
        if value not in self._numbers:
            self._numbers[value] = self._option(value, _number_error)
        return self._numbers[value]

    def _option(self, plain: Any, error: Callable[..., Array]) -> "Bounded":
        e = error(plain, self.dtype, self.least)
        return Bounded(self.wide.array(plain), e, self, known=not e.any())

    def size(self, v: Any) -> Array:
        """Return |v| in the numbers that e is kept in."""
        if self.rough is FLOAT64:  # the cast is a copy unless the truth is in float64 as well
            v = np.asarray(v).astype(np.float64, copy=False)
        return np.asarray(np.abs(v))


def _option_error(value: Any, dtype: np.dtype[Any], least: float) -> Array:
    """Return how far options are from themselves in a dtype without numbers below `least`."""
    plain = np.asarray(value, np.float64)
    e = np.abs(plain - plain.astype(dtype).astype(np.float64))
    return np.where(np.abs(plain) < least, np.abs(plain), e)


_number_error = lru_cache(maxsize=1024)(_option_error)
"""The same for one number, which many cases have."""


class Bounded:
    """An array of true values v and an array of the same shape of error bounds e."""

    __slots__ = ("_bounds", "_most", "_size", "e", "evaluation", "kind", "known", "v")
    __array_ufunc__ = None  # NumPy leaves operators to this class

    def __init__(self, v: Any, e: Array, kind: Precision, *, known: bool = False) -> None:
        self.v = v if type(v) is np.ndarray else np.asarray(v)
        self.e = e
        self.kind = kind
        self.known = known
        """True if e is 0, which saves arithmetic."""
        self._size: Array | None = None
        self._most: Array | None = None
        self._bounds: Array | None = None
        self.evaluation: Any = None
        """The evaluation of a statement that gave these values: see `elementwise`."""

    @property
    def size(self) -> Array:
        """|v|, in the numbers that e is kept in."""
        if self._size is None:
            self._size = self.kind.size(self.v)
        return self._size

    @property
    def most(self) -> Array:
        """A bound on the size of the computed value."""
        if self._most is None:
            self._most = self.size if self.known else self.size + self.e
        return self._most

    @property
    def bounded(self) -> Array:
        """A mask of the entries with a bound: no overflow and no division by zero before."""
        with np.errstate(all="ignore"):
            return np.asarray(self.size + self.e < self.kind.max)

    @property
    def allowed(self) -> Array:
        """The bound on |computed − v|, with the error of v."""
        return self.e * SLACK

    @property
    def bounds(self) -> Array:
        """The error bound of every entry, in longdouble; infinity where there is no bound."""
        if self._bounds is None:
            with np.errstate(all="ignore"):
                allowed = np.asarray(self.allowed).astype(np.longdouble)
                self._bounds = np.where(self.bounded, allowed, np.inf)
        return self._bounds

    @classmethod
    def joined(cls, parts: Iterable["Bounded"]) -> "Bounded":
        """Return the entries of one or more arrays as one vector, because a call costs most."""
        arrays = list(parts)
        v = np.concatenate([array.v for array in arrays], axis=None)
        e = np.concatenate([array.e for array in arrays], axis=None)
        return cls(v, e, arrays[0].kind, known=all(array.known for array in arrays))

    def __neg__(self) -> "Bounded":
        return Bounded(-self.v, self.e, self.kind, known=self.known)

    def __abs__(self) -> "Bounded":
        return Bounded(np.abs(self.v), self.e, self.kind, known=self.known)

    def __add__(self, other: Any) -> "Bounded":
        return self.plus(self._near(other)).rounded()

    def __sub__(self, other: Any) -> "Bounded":
        return self.plus(-self._near(other)).rounded()

    def __rsub__(self, other: Any) -> "Bounded":
        return (-self).plus(self._near(other)).rounded()

    def __mul__(self, other: Any) -> "Bounded":
        return self.times(self._near(other)).product_rounded()

    __radd__ = __add__
    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Bounded":
        other = self._near(other)
        quotient = self.kind.wide.divide(self.v, other.v)
        room = other.size - other.e
        e = self.e + self.kind.size(quotient) * other.e
        # Where the divisor may be 0 or of the other sign, there is no bound.
        e = np.where(room > 0, self.kind.rough.divide(e, room), np.inf)
        return Bounded(quotient, e, self.kind).product_rounded()

    def __matmul__(self, other: "Bounded") -> "Bounded":
        v, size = np.dot(self.v, other.v), np.dot(self.size, other.most)
        brought = 0.0 if other.known else _unbounded_kept(np.dot(self.size, other.e), other.e, 0)
        if not self.known:
            own = _unbounded_kept(np.dot(self.e, other.most), self.e, 1)
            brought, size = brought + own, size + own
        return Bounded(v, brought + self.kind.summing(self.v.shape[1], size, v), self.kind)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of both arrays."""
        return self.v.shape

    @property
    def T(self) -> "Bounded":  # noqa: N802 - as NumPy has it
        """The transpose."""
        return Bounded(self.v.T, self.e.T, self.kind, known=self.known)

    def __getitem__(self, index: Any) -> "Bounded":
        return Bounded(self.v[index], self.e[index], self.kind, known=self.known)

    def plus(self, other: "Bounded") -> "Bounded":
        """Return the sum, before it is rounded."""
        return Bounded(
            self.v + other.v, self.e + other.e, self.kind, known=self.known and other.known
        )

    def times(self, other: "Bounded") -> "Bounded":
        """Return the product, before it is rounded."""
        v = self.v * other.v
        if other.known:
            return Bounded(v, self.e * other.size, self.kind, known=self.known)
        e = self.size * other.e
        return Bounded(v, e if self.known else e + self.e * other.most, self.kind)

    def sum(self, axis: int | None = None, *, keepdims: bool = False) -> "Bounded":
        """Return the sum along an axis, or of all."""
        v, size, e = (
            np.asarray(a.sum(axis=axis, keepdims=keepdims)) for a in (self.v, self.size, self.e)
        )
        terms = self.v.size if axis is None else self.v.shape[axis]
        if terms > 1 or self.kind.sums:  # a separate accumulator rounds a single term too
            e = e + self.kind.summing(terms - 1, size + e, v)
        known = self.known and terms < 2 and not self.kind.sums
        return Bounded(v, e, self.kind, known=known)

    def rounded(self, operations: float = 1, size: Any = None) -> "Bounded":
        """Return the number after some roundings at this size (default: its own size)."""
        return self.plus_error(self.kind.rounding(operations, self.most if size is None else size))

    def product_rounded(self, operations: float = 1) -> "Bounded":
        """Return a product or quotient after some roundings."""
        return self.plus_error(self.kind.rounding(operations, self.most, self.v))

    def plus_error(self, error: Any) -> "Bounded":
        """Return the number with a bound larger by `error`."""
        larger = Bounded(self.v, self.e + error, self.kind)
        larger._size = self._size
        return larger

    def within(self, furthest: Any) -> "Bounded":
        """Return the number with a bound of at most `furthest`; an infinite bound stays so."""
        e = np.where(self.e < np.inf, np.minimum(self.e, furthest), np.inf)
        return Bounded(self.v, e, self.kind)

    def _near(self, other: Any) -> "Bounded":
        return other if isinstance(other, Bounded) else self.kind.number(other)


def _unbounded_kept(product: Array, e: Array, axis: int) -> Array:
    """Return a matrix product with infinity where a summand of it has no bound.

    BLAS may skip a product with 0, but infinity times 0 is NaN to an engine.
    """
    finite = e < np.inf
    if np.count_nonzero(finite) == finite.size:
        return product
    return np.where(np.all(finite, axis=axis, keepdims=True), product, np.inf)
