"""Error bounds of functions of one entry, from their statement in the table of features.

    found = Evaluation(statement, o, z)       at bounded numbers z, for the options o
    found.value()                             f(z)
    found.slope(at_kink)                      f′(z), from jets through the same formula

A computed z is z₀ + h with |h| ≤ e. Between kinks, Taylor's theorem bounds how far f(z) is from
f(z₀). With the constants of the row, |f(z₀ + h) − f(z₀)| ≤ |h| s, where

    s = min(L₁, |f′| + ½ e c),      c = min(L₂, |f″| + e L₃)

and likewise |f′(z₀ + h) − f′(z₀)| ≤ |h| c. L₁ and L₂ are Lipschitz constants of f and f′; L₃ bounds
|f‴| between kinks. The roundings of the row come on top, relative to the size that it states.

A condition whose two sides differ by less than their errors is undecided: the formula is then
evaluated with the other branch as well. Let d be the distance to the kink. Where f is continuous,
f(z) is at most d s + (e − d) s′ away, with s′ of the other branch. Where f jumps, and for f′, the
distance between the two branches is added. Options are evaluated as given and rounded to the dtype,
because programs use either.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.oracle.protocol.features import Options
from manualnn.oracle.protocol.jets import Jet, Jets
from manualnn.oracle.protocol.rows import MissingEntryError, Statement
from manualnn.oracle.truth.bounded import Array, Bounded


@dataclass
class _Condition:
    """One comparison in a formula."""

    undecided: Array
    """The entries for which rounding decides the comparison."""
    distance: Array
    """The distance from z to the kink."""
    at_kink: Array
    """The entries of z that are exactly on the kink."""


class _Branches(Jets):
    """Jets that note each condition of a formula.

    In the condition with the number `reversed_`, undecided entries take the other branch.
    """

    def __init__(self, z: Bounded, reversed_: int | None = None) -> None:
        super().__init__(z.kind.wide, order=2)
        self.z, self.kind = z, z.kind
        self.reversed = reversed_
        self.conditions: list[_Condition] = []

    def compare(self, operation: Callable[[Any, Any], Any], a: Jet, b: Any) -> Any:
        """Return on which side of a condition each entry is."""
        holds = super().compare(operation, a, b)
        rounding: Any = 0.0
        if isinstance(b, Jet) or b != 0:  # rounding does not change a sign
            sides = (a.c[0], b.c[0] if isinstance(b, Jet) else b)
            rounding = self.kind.u * sum(self.kind.size(side) for side in sides)
        undecided = self._note(a - b, rounding)
        return np.where(undecided, ~holds, holds) if self._is_reversed else holds

    def absolute(self, x: Jet) -> Jet:
        """Return |x|; its derivative at 0 is 0."""
        undecided = self._note(x, 0.0)
        positive, negative = x.c[0] > 0, x.c[0] < 0
        if self._is_reversed:
            positive, negative = (
                np.where(undecided, ~positive, positive),
                np.where(undecided, positive, negative),
            )
        one = self.m.number(1)
        sign = np.where(positive, one, np.where(negative, -one, self.m.number(0)))
        return x * Jet(self, (sign, *[0] * (len(x.c) - 1)))

    @property
    def _is_reversed(self) -> bool:
        return self.reversed == len(self.conditions) - 1

    def _note(self, difference: Jet, rounding: Any) -> Array:
        """Note the condition that a difference decides, and return where it is undecided."""
        kind = self.kind
        apart, steepness = kind.size(difference.c[0]), kind.size(difference.c[1])
        reach = self.z.e * steepness + rounding
        # Negated, so that NaN is undecided.
        undecided = ~(apart > reach) & ~(reach == 0) & (not kind.decided)
        distance = np.asarray(kind.rough.divide(apart, steepness))
        self.conditions.append(_Condition(undecided, distance, apart == 0))
        return undecided


def times_slope(slope: Bounded, da: Bounded) -> Bounded:
    """Return dz = da f′(z) for a bounded slope f′(z)."""
    dz = da.times(slope)
    # A product with 0, 1 or −1 is exact.
    exact = (slope.e == 0) & ((slope.v == 0) | (slope.size == 1))
    e = np.where(exact, dz.e, dz.e + da.kind.rounding(1, dz.most, dz.v))
    return Bounded(dz.v, e, da.kind, known=bool(da.known and exact.all()))


class Evaluation:
    """A statement at bounded numbers z: f(z), and f′(z) from jets through the same formula."""

    def __init__(self, statement: Statement, o: Options, z: Bounded, *rest: Any) -> None:
        if statement.bounds is None:
            raise MissingEntryError("a statement without bounds has no error bound; add bounds.")
        self.statement, self.z, self.kind, self.rest = statement, z, z.kind, rest
        self.bounds = [np.inf if b is None else float(b) for b in statement.bounds(o)]
        self.power = statement.power(o)
        number = z.kind.wide.number
        self.options = o.in_numbers(number)

        def evaluate(branches: _Branches, options: Options) -> list[Array]:
            return branches.derivatives(lambda m, z: statement.formula(m, options, z, *rest), z.v)

        branches = _Branches(z)
        self.derivatives = evaluate(branches, self.options)
        self.conditions = branches.conditions
        # Each condition that rounding may decide, and the derivatives on its other branch.
        self.others = [
            (condition, evaluate(_Branches(z, k), self.options))
            for k, condition in enumerate(self.conditions)
            if condition.undecided.any()
        ]
        self.option_errors: Any = (0.0, 0.0)
        rounded = self.options
        if z.kind.dtype != np.float64:  # which has every option as it is
            rounded = o.in_numbers(lambda value: number(z.kind.dtype.type(value)))
        if rounded != self.options:
            pairs = zip(evaluate(_Branches(z), rounded), self.derivatives, strict=True)
            self.option_errors = [z.kind.size(a - b) for a, b in pairs]

    def value(self) -> Bounded:
        """Return f(z)."""
        steepness = self._steepness(self.derivatives, 1)
        e = self._times_e(steepness)
        for condition, other in self.others:
            beyond = self._steepness(other, 1)
            if np.isinf(self.bounds[0]):
                jump = self.kind.size(other[0] - self.derivatives[0])
                reached = jump + self._times_e(beyond)
            else:
                d = np.minimum(condition.distance, self.z.e)
                reached = d * steepness + (self.z.e - d) * beyond
            e = np.where(condition.undecided, np.maximum(e, reached), e)
        return self._rounded(self.derivatives[0], e, 0)

    def slope(self, at_kink: float | None = None) -> Bounded:
        """Return f′(z); `at_kink` is the slope at a kink if it is not that of the statement.

        Entries are counted as undecided if rounding decides between two slopes.
        """
        value, stated, curvature = self.derivatives
        slope, slopes = stated, [stated]
        if at_kink is not None:
            slopes.append(self.kind.wide.number(at_kink))
            for condition in self.conditions:
                slope = np.where(condition.at_kink, slopes[1], slope)
        e = self._times_e(self._steepness([value, slope, curvature], 2))
        undecided = np.zeros(self.z.v.shape, bool)
        jumps = np.isinf(self.bounds[1])
        for condition, other in self.others:
            apart = [self.kind.size(reachable - slope) for reachable in (other[1], *slopes)]
            reached = np.max(apart, axis=0) + self._times_e(self._steepness(other, 2))
            reached = np.minimum(reached, self._times_e(self.bounds[1]))
            undecided |= condition.undecided & jumps
            e = np.where(condition.undecided, np.maximum(e, reached), e)
        if self.conditions and jumps:
            self.kind.jumps.append((int(np.count_nonzero(undecided)), undecided.size))
        return self._rounded(slope, e, 1)

    def _steepness(self, derivatives: list[Array], k: int) -> Array:
        """Return a bound on the k-th derivative within e of z, on one branch."""
        change = self._steepness(derivatives, 2) / 2 if k == 1 else self.bounds[2]
        bound = self.kind.size(derivatives[k]) + self._times_e(change)
        return np.minimum(bound, self.bounds[k - 1])

    def _times_e(self, factor: Any) -> Array:
        """Return e times a factor, 0 where e is 0 even if the factor is infinite."""
        e = self.z.e
        return e * factor if np.count_nonzero(e) == e.size else np.where(e == 0, 0.0, e * factor)

    def _rounded(self, v: Array, e: Array, k: int) -> Bounded:
        """Return the k-th derivative with the roundings of the row."""
        kind, z = self.kind, self.z
        reached = z.most < kind.max ** (1 / self.power)
        e = np.where(
            (z.e < np.inf) & reached, e + self.option_errors[k], np.inf
        )  # an overflow may give NaN
        rounding = (self.statement.value_rounding, self.statement.slope_rounding)[k]
        count = rounding.operations + rounding.functions * kind.ulps
        if count:
            size = kind.size(v) + e
            if rounding.size is not None:
                scale = rounding.size(kind.wide, self.options, z.v, *self.rest)
                size = np.maximum(size, kind.size(scale))
            e = e + kind.rounding(count, size, v)
        if rounding.functions:  # each may return 0 for a subnormal number, which z may multiply
            e = e + 2 * rounding.functions * kind.tiny * np.maximum(1, z.most)
        return Bounded(v, e, kind, known=not np.count_nonzero(e))
