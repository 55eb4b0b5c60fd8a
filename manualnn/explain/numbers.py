"""Numbers for the engine's kernels that also carry derivatives, error bounds or formulas.

The kernels run on arrays of objects, too. The objects hold a decimal number. It has
either PRECISION digits, so that its rounding error is negligible, or it is rounded to K decimals
after every operation. Each operation states its value and its partial derivatives once, and passes
them to the method `derive`. The classes differ in their use of the partial derivatives:

    Number     none: only the value
    Dual       slopes ∂(this)/∂(each source), by the chain rule, forwards
    Bounded    a bound of the error of float64 in the same computation (see `bounded`)
    Formula    none, but it remembers the operation and its operands

The slopes are independent of the hand-written backward pass. So they are a check of it.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction
from typing import Any, Self

import numpy as np

from manualnn.elementary import Array
from manualnn.explain.normal import normal_cdf, normal_pdf

PRECISION = 50
"""Digits of a number that is not rounded to K decimals: three times the digits of float64."""

# Without traps 1/0 is Infinity and 0/0 is NaN, as in NumPy; the exponents never overflow.
CONTEXT = Context(prec=PRECISION, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])

EXTREME = Decimal(10) ** 17
"""Larger numbers are extreme: beyond 2·10¹⁸, the exponent of exp(x) is too large for a Decimal."""

ZERO, ONE, MINUS_ONE = Decimal(0), Decimal(1), Decimal(-1)


@dataclass(frozen=True)
class Arithmetic:
    """Rounding of results: to `decimals` decimals after every operation, or to PRECISION digits.

    With decimals, a result is computed to PRECISION digits and then rounded to the nearest number
    with these decimals; a tie goes to the even digit. The numbers of a run (x, t, parameters) are
    read as the decimal numbers that people write, and rounded as well. Constants of a formula
    (a learning rate, an ε) are never rounded.
    """

    decimals: int | None = None

    def round(self, value: Decimal) -> Decimal:
        """Return the value after rounding."""
        if self.decimals is None or not value.is_finite():
            return value
        if value.adjusted() + self.decimals >= PRECISION - 1:
            return value  # rounding would change no digit
        # Adding 0 turns -0 into 0.
        return value.quantize(Decimal(1).scaleb(-self.decimals), ROUND_HALF_EVEN) + 0

    def read_constant(self, value: Any) -> Decimal:
        """Return a constant of a formula; with decimals, a float is its shortest decimal form."""
        if isinstance(value, Fraction):
            return Decimal(value.numerator) / Decimal(value.denominator)
        if isinstance(value, int | np.integer):
            return Decimal(int(value))
        if self.decimals is None:
            return +Decimal(float(value))  # to PRECISION digits, as results: 0.3 is 1 * 0.3
        return Decimal(repr(float(value)))

    def read(self, value: Any) -> Decimal:
        """Return a number of the run after rounding."""
        return self.round(self.read_constant(value))


class Number:
    """A real number in an array of objects."""

    __slots__ = ("arithmetic", "value")

    def __init__(self, value: Decimal, arithmetic: Arithmetic) -> None:
        self.value = value
        self.arithmetic = arithmetic

    def derive(self, op: str, value: Decimal, *parts: tuple["Self", Decimal]) -> "Self":  # noqa: ARG002
        """Return the result of an operation; `parts` are pairs of operand and ∂value/∂operand."""
        return type(self)(self.arithmetic.round(value), self.arithmetic)

    def lift(self, other: Any) -> "Self":
        """Return an operand as a number of this kind."""
        if isinstance(other, type(self)):
            return other
        return type(self)(self.arithmetic.read_constant(other), self.arithmetic)

    def __add__(self, other: Any) -> "Self":
        b = self.lift(other)
        return self.derive("+", self.value + b.value, (self, ONE), (b, ONE))

    def __sub__(self, other: Any) -> "Self":
        b = self.lift(other)
        return self.derive("-", self.value - b.value, (self, ONE), (b, MINUS_ONE))

    def __mul__(self, other: Any) -> "Self":
        b = self.lift(other)
        return self.derive("*", self.value * b.value, (self, b.value), (b, self.value))

    def __truediv__(self, other: Any) -> "Self":
        b = self.lift(other)
        quotient = self.value / b.value
        return self.derive("/", quotient, (self, 1 / b.value), (b, -quotient / b.value))

    def __radd__(self, other: Any) -> "Self":
        return self.lift(other) + self

    def __rsub__(self, other: Any) -> "Self":
        return self.lift(other) - self

    def __rmul__(self, other: Any) -> "Self":
        return self.lift(other) * self

    def __rtruediv__(self, other: Any) -> "Self":
        return self.lift(other) / self

    def __pow__(self, exponent: int) -> "Self":
        value = self.value**exponent
        return self.derive("**", value, (self, exponent * value / self.value))

    def __neg__(self) -> "Self":
        return self.derive(
            "neg", self.value.copy_negate() if self.value else ZERO, (self, MINUS_ONE)
        )

    def __pos__(self) -> "Self":
        return self

    def __abs__(self) -> "Self":
        slope = ZERO if self.value == 0 else ONE.copy_sign(self.value)
        return self.derive("abs", self.value.copy_abs(), (self, slope))

    def __gt__(self, other: Any) -> bool:
        return self.value > self.lift(other).value

    def __lt__(self, other: Any) -> bool:
        return self.value < self.lift(other).value

    def __ge__(self, other: Any) -> bool:
        return self.value >= self.lift(other).value

    @property
    def is_extreme(self) -> bool:
        """True for a number whose exponential may be beyond the range of decimals, or its 1/x."""
        return abs(self.value) > EXTREME

    def exp(self) -> "Self":
        """Return e to the power of this number, or of ±EXTREME if the number is beyond that."""
        value = max(-EXTREME, min(self.value, EXTREME)).exp()
        return self.derive("exp", value, (self, value))

    def log(self) -> "Self":
        """Return the natural logarithm."""
        return self.derive("log", self.value.ln(), (self, 1 / self.value))

    def log1p(self) -> "Self":
        """Return the natural logarithm of 1 + this number."""
        value = _extend_precision(self.value, lambda x: (1 + x).ln())
        return self.derive("log1p", value, (self, 1 / (1 + self.value)))

    def sqrt(self) -> "Self":
        """Return the square root."""
        value = self.value.sqrt()
        return self.derive("sqrt", value, (self, 1 / (2 * value)))

    def tanh(self) -> "Self":
        """Return the hyperbolic tangent."""
        value = _extend_precision(self.value, _tanh)
        return self.derive("tanh", value, (self, 1 - value * value))

    def normal_cdf(self) -> "Self":
        """Return Φ of this number, the normal distribution."""
        return self.derive("Φ", normal_cdf(self.value), (self, normal_pdf(self.value)))

    def normal_pdf(self) -> "Self":
        """Return φ of this number, the derivative of Φ."""
        value = normal_pdf(self.value)
        return self.derive("φ", value, (self, -self.value * value))


def _extend_precision(x: Decimal, function: Callable[[Decimal], Decimal]) -> Decimal:
    """Return function(x), computed near 0 with additional digits, because 1 + x would lose some."""
    if x.adjusted() < -PRECISION:
        return x
    with localcontext() as context:
        context.prec += max(0, -x.adjusted())
        result = function(x)
    return +result


def _tanh(x: Decimal) -> Decimal:
    decay = (-2 * abs(x)).exp()
    return ((1 - decay) / (1 + decay)).copy_sign(x)


class Dual(Number):
    """A number with its slopes ∂(this)/∂source; a source is any hashable name.

    A number has slopes for all sources that it depends on. So one pass through a layer gives its
    derivatives with respect to all inputs and parameters. A sum collects the slopes of its terms on
    first use: a sum of k terms costs k operations, and not k².
    """

    __slots__ = ("collected", "summands")

    def __init__(
        self, value: Decimal, arithmetic: Arithmetic, slopes: dict[Hashable, Decimal] | None = None
    ) -> None:
        super().__init__(value, arithmetic)
        self.collected = {} if slopes is None else slopes
        self.summands: tuple[Self, ...] = ()

    @property
    def slopes(self) -> dict[Hashable, Decimal]:
        """The slopes; empty for a constant."""
        if self.summands:
            waiting = list(reversed(self.summands))
            self.summands = ()
            while waiting:
                term = waiting.pop()
                waiting += reversed(term.summands)
                self.collect(ONE, term.collected)
        return self.collected

    def derive(self, op: str, value: Decimal, *parts: tuple["Self", Decimal]) -> "Self":
        """Return the result with slopes by the chain rule, Σ ∂value/∂operand ∂operand/∂source."""
        result = type(self)(self.arithmetic.round(value), self.arithmetic)
        if op == "+":
            result.summands = tuple(operand for operand, _ in parts)
        else:
            for operand, partial in parts:
                result.collect(partial, operand.slopes)
        return result

    def collect(self, factor: Decimal, slopes: dict[Hashable, Decimal]) -> None:
        """Add factor times the slopes of an operand."""
        rounded = self.arithmetic.round
        for source, slope in slopes.items():
            term = slope if factor is ONE else rounded(factor * slope)
            before = self.collected.get(source)
            self.collected[source] = term if before is None else rounded(before + term)


def objects(values: Array, make: Callable[[tuple[int, ...], Any], Any]) -> Array:
    """Return an array of objects with the entries make(index, value)."""
    result = np.empty(values.shape, dtype=object)
    for index, value in np.ndenumerate(values):
        result[index] = make(index, value)
    return result
