"""Jets: truncated Taylor series, which carry the derivatives of a function through its formula.

A statement is a formula such as `z / (1 + abs(z))`, written once, in an arithmetic m that somebody
passes in: `m.exp(z)`, `m.where(z > 0, z, 0)`. Evaluated on numbers it gives the function. Evaluated
on jets it gives the function and its first derivatives, in the same numbers:

    jets = Jets(m, order=2)
    a, da, d2a = jets.derivatives(lambda m, z: z / (1 + abs(z)), z)

A jet of order n holds the coefficients c₀ … cₙ of f(z + h) = c₀ + c₁ h + … + cₙ hⁿ, so that cₖ is
the k-th derivative divided by k!. Sums, products and quotients of series follow schoolbook rules.
A function F of a series x needs F(x₀) and the series of F′(x) alone, of one order less, because
(F(x))′ = F′(x) x′. So each elementary function states its derivative once, for every order.

An arithmetic m has these functions: exp, expm1, log, log1p, sqrt, tanh, sigmoid, softplus,
normal_cdf and normal_pdf (Φ and Φ′), where(condition, yes, no), and number(value), which makes a
plain number one of its own. The derivative at a kink is that of the branch which holds there.
"""

import operator
from collections.abc import Callable
from functools import partial, reduce
from math import factorial
from typing import Any

DERIVATIVES: dict[str, Callable[[Any, Any], Any]] = {
    "exp": lambda m, x: m.exp(x),
    "expm1": lambda m, x: m.exp(x),
    "normal_cdf": lambda m, x: m.normal_pdf(x),
    "normal_pdf": lambda m, x: m.normal_pdf(x) * -x,
    "log": lambda _, x: 1 / x,
    "log1p": lambda _, x: 1 / (1 + x),
    "sqrt": lambda m, x: 1 / (2 * m.sqrt(x)),
    "sigmoid": lambda m, x: m.sigmoid(x) * m.sigmoid(-x),
    "softplus": lambda m, x: m.sigmoid(x),
    "tanh": lambda m, x: 4 * m.sigmoid(2 * x) * m.sigmoid(-2 * x),
}
"""F′ of each elementary function F, in a form in which nothing cancels."""


class Jet:
    """A truncated Taylor series: see the module. `c` are its coefficients."""

    __slots__ = ("c", "jets")
    __array_ufunc__ = None  # NumPy leaves operators to this class

    def __init__(self, jets: "Jets", coefficients: Any) -> None:
        self.jets = jets
        self.c: tuple[Any, ...] = tuple(coefficients)

    def __neg__(self) -> "Jet":
        return Jet(self.jets, [-a for a in self.c])

    def __add__(self, other: Any) -> "Jet":
        if not isinstance(other, Jet):
            return Jet(self.jets, (_sum(self.c[0], other), *self.c[1:]))
        return Jet(self.jets, [_sum(a, b) for a, b in zip(self.c, other.c, strict=True)])

    def __sub__(self, other: Any) -> "Jet":
        return self + -other

    def __rsub__(self, other: Any) -> "Jet":
        return -self + other

    def __mul__(self, other: Any) -> "Jet":
        a = self.c
        if not isinstance(other, Jet):
            return Jet(self.jets, [_product(coefficient, other) for coefficient in a])
        b = other.c
        return Jet(self.jets, [_convolution(a[: k + 1], b[: k + 1]) for k in range(len(a))])

    __radd__ = __add__
    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Jet":
        if not isinstance(other, Jet):
            numbers = (a if _is_zero(a) else self.jets.number_of(a) for a in self.c)
            return Jet(self.jets, [a if _is_zero(a) else a / other for a in numbers])
        quotient: list[Any] = []
        for k, a in enumerate(self.c):  # a = quotient · other, solved for the last coefficient
            rest = _convolution(quotient, other.c[1 : k + 1])
            quotient.append(_sum(a, rest if _is_zero(rest) else -rest) / other.c[0])
        return Jet(self.jets, quotient)

    def __rtruediv__(self, other: Any) -> "Jet":
        return Jet(self.jets, _coefficients(other, len(self.c))) / self

    def __abs__(self) -> "Jet":
        return self.jets.absolute(self)

    def __gt__(self, other: Any) -> Any:
        return self.jets.compare(operator.gt, self, other)

    def __ge__(self, other: Any) -> Any:
        return self.jets.compare(operator.ge, self, other)

    def __lt__(self, other: Any) -> Any:
        return self.jets.compare(operator.lt, self, other)

    def __le__(self, other: Any) -> Any:
        return self.jets.compare(operator.le, self, other)


class Jets:
    """The arithmetic of jets over an arithmetic m of numbers: see the module."""

    def __init__(self, m: Any, order: int) -> None:
        self.m = m
        self.order = order

    def derivatives(self, f: Callable[..., Any], z: Any, *rest: Any) -> list[Any]:
        """Return f(z, *rest) and its derivatives by z, up to the order; f takes this arithmetic."""
        found = f(self, Jet(self, (z, 1, *[0] * (self.order - 1))[: self.order + 1]), *rest)
        shape = z == z  # noqa: PLR0124 - a mask of the shape of z, which is False where z is NaN
        numbers = [self.number_of(c if k < 2 else c * factorial(k)) for k, c in enumerate(found.c)]
        return [self.m.where(shape, number, number) for number in numbers]

    def compare(self, operation: Callable[[Any, Any], Any], a: Jet, b: Any) -> Any:
        """Return on which side of a condition each entry is."""
        return operation(a.c[0], b.c[0] if isinstance(b, Jet) else b)

    def absolute(self, x: Jet) -> Jet:
        """Return |x|; its derivative at 0 is 0."""
        return self.where(x > 0, x, self.where(x < 0, -x, x * 0))

    def where(self, condition: Any, yes: Any, no: Any) -> Any:
        """Return yes where the condition holds, and no elsewhere."""
        if not isinstance(yes, Jet) and not isinstance(no, Jet):
            return self.m.where(condition, self.number_of(yes), self.number_of(no))
        terms = len(yes.c if isinstance(yes, Jet) else no.c)
        pairs = zip(_coefficients(yes, terms), _coefficients(no, terms), strict=True)
        return Jet(
            self,
            (
                0
                if _is_zero(a) and _is_zero(b)
                else self.m.where(condition, self.number_of(a), self.number_of(b))
                for a, b in pairs
            ),
        )

    def number_of(self, a: Any) -> Any:
        """Return a coefficient; an integer, such as the slope 1 of z itself, in the arithmetic."""
        return self.m.number(a) if isinstance(a, int) else a

    def number(self, value: Any) -> Any:
        """Return a constant of a formula."""
        return self.m.number(value)

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        """Return an elementary function of jets, such as exp; of a constant, its value."""
        return partial(self._function, getattr(self.m, name), DERIVATIVES[name])

    def _function(
        self, value: Callable[[Any], Any], derivative: Callable[[Any, Any], Any], x: Any
    ) -> Any:
        """Return F(x) from F(x₀) and F′: k cₖ = Σⱼ j xⱼ F′(x)ₖ₋ⱼ, j from 1 to k."""
        if not isinstance(x, Jet):
            return value(x)
        coefficients = [value(x.c[0])]
        if len(x.c) > 1:
            slope = derivative(self, Jet(self, x.c[:-1])).c
            for k in range(1, len(x.c)):
                terms = [_product(j * x.c[j], slope[k - j]) for j in range(1, k + 1)]
                total = reduce(_sum, terms)
                coefficients.append(total if k == 1 else total / k)
        return Jet(self, coefficients)


def _coefficients(a: Any, terms: int) -> tuple[Any, ...]:
    return a.c if isinstance(a, Jet) else (a, *[0] * (terms - 1))


def _is_zero(a: Any) -> bool:
    """Return True if a is the plain number 0, which even an infinite factor leaves 0."""
    return type(a) is int and a == 0


def _product(a: Any, b: Any) -> Any:
    return 0 if _is_zero(a) or _is_zero(b) else a * b


def _sum(a: Any, b: Any) -> Any:
    return b if _is_zero(a) else a if _is_zero(b) else a + b


def _convolution(a: Any, b: Any) -> Any:
    """Return Σ aⱼ bₖ₋ⱼ, k the last index of both."""
    total: Any = 0
    for x, y in zip(a, reversed(b), strict=True):
        total = _sum(total, _product(x, y))
    return total
