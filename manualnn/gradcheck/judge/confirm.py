"""The second look at suspects: a right gradient may be ill-conditioned, and a reference may err.

A gradient that is far from the reference is wrong only if that has none of these reasons:

* **Condition.** Rounding the inputs, or anything on the way, moves the derivative. The bound grows
  by 512 u times the change of Jᵀw over a relative change of the inputs, as measured.
* **Cancellation.** tanh′ is 1 − y². Far out, its error is that of the 1, not that of the tiny
  result. The bound grows by 512 u times the largest Σ |w||J| on the way from the input to 0, where
  the terms that cancel have their full size.
  Where several numbers move one output, as in a norm, terms also cancel that have their full size
  where the numbers are exchanged.
* **Roundoff.** Terms may cancel in the gradient alone. The bound grows by 512 times the change of
  the gradient as inputs and cotangents change by roundoffs.
* **The reference.** The worst suspects are perturbed alone, in every way that the function allows.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from manualnn.gradcheck.data import Array, Jacobian, Point, flat
from manualnn.gradcheck.functions.base import FunctionFailed
from manualnn.gradcheck.inputs.array import Array as Spec
from manualnn.gradcheck.judge.places import Places, distance_from, is_outside
from manualnn.gradcheck.judge.surroundings import NUDGE, Surroundings, jacobian_at
from manualnn.gradcheck.reference.jacobian import Reference

SAFETY = 16
"""Ratio of the bound to the error that the reference claims: an estimate may be a little low."""
ROUNDINGS = 256
"""Roundings that a gradient may have where it was looked at twice."""
FACTOR = 512
"""Roundings of the condition and of cancellation."""
ROUNDOFFS = 6
"""Number of random changes by roundoffs."""
IMPRECISE = 2.0**-30
"""Errors up to this part of Σ |w||J| are a lack of digits, as approximations in libraries have."""
TIE_BREAKS = 12
"""Number of random changes that break ties, of each size."""
COARSE, FINE = 2.0**-6, 2.0**-10
"""Relative sizes of these changes: what a smooth function does shrinks with them by 16."""
MOST_TIED = 64
"""Largest number of suspects whose ties are broken; the others are not judged."""
MISSED = 64
"""Ratio of slopes that these changes may have missed to the range of those that they show."""
LOOKED_AT = 6
"""Largest number of suspects that are perturbed alone."""
SURE = 2
"""Number of them that have to be wrong by that as well. Then the others are not looked at."""


@dataclass(eq=False)
class Suspicion:
    """Entries of a gradient that are outside of their first bounds."""

    reference: Reference
    specs: list[Spec]
    jacobian: Jacobian
    around: Surroundings
    places: Places
    point: Point
    w: Array
    got: Array
    bound: Array
    declared: frozenset[float]
    """Values of an input at which the user declared the slope."""
    imprecise: float = 0.0
    """Largest error, relative to Σ |w||J|, that was found to be a lack of digits."""

    def confirm(self, suspects: Array, *, look: bool = True) -> tuple[Array, Array]:
        """Return the bounds of all entries, wider where suspected, and the wrong entries.

        `look` perturbs the worst entries alone, and breaks ties; without it, suspects that tie are
        undecided.
        """
        low, high, error, size = self.jacobian.transposed_product(self.w)
        rounding = ROUNDINGS * size
        rounding += FACTOR * (self._condition(low, high) + self._largest_on_the_way(size))
        bound = self.bound.copy()
        bound[suspects] += (self.places.units * rounding + (SAFETY - 1) * error)[suspects]
        if is_outside(self.got, low, high, bound).any():
            bound[suspects] += FACTOR * self._scatter()[suspects]
        distance = distance_from(self.got, low, high)
        few_digits = is_outside(self.got, low, high, bound) & (distance <= IMPRECISE * size)
        if few_digits.any():
            self.imprecise = float((distance[few_digits] / size[few_digits]).max())
            bound[few_digits] = IMPRECISE * size[few_digits]
        wrong = np.flatnonzero(is_outside(self.got, low, high, bound))
        tied = wrong[self._tied[wrong]]
        if tied.size:
            looked_at = tied[: MOST_TIED if look else 0]
            if looked_at.size:
                low, high = self._with_ties(looked_at, low, high)
            still = looked_at[is_outside(self.got, low, high, bound)[looked_at]]
            undecided = np.setdiff1d(tied, still)
            bound[undecided] = np.inf
            wrong = np.setdiff1d(wrong, undecided)
        if not wrong.size or not look:
            return bound, wrong
        excess = distance[wrong] / bound[wrong]
        order = np.argsort(-np.nan_to_num(excess, nan=np.inf), kind="stable")
        worst = wrong[order[:LOOKED_AT]]
        doubted: list[int] = []
        sure = 0
        for c in map(int, worst):
            if self._is_sure(c, float(bound[c] - SAFETY * error[c])):
                sure += 1
                if sure == SURE:
                    break
            else:
                doubted.append(c)
        # Where the reference is not sure of itself, the entry is undecided.
        bound[doubted if sure else wrong] = np.inf
        return bound, wrong[np.isfinite(bound[wrong])]

    @property
    def _is_elementwise(self) -> bool:
        """True if each output depends on one parameter of its own.

        The pattern of such a function is the same at a tie, where sorting has another one.
        """
        parts = self.jacobian.rows, self.jacobian.cols
        return all(
            part.size == n and np.unique(part).size == n
            for part, n in zip(parts, self.jacobian.shape, strict=True)
        )

    @cached_property
    def _group(self) -> Array:
        """The number of each parameter's group; equal parameters are one group."""
        return np.unique(self.places.parameters, return_inverse=True)[1]

    @cached_property
    def _tied(self) -> Array:
        """True for each parameter that equals another one, or at which there is a kink."""
        tied = np.asarray(np.bincount(self._group)[self._group] > 1)
        tied[self.jacobian.cols[self.jacobian.low < self.jacobian.high]] = True
        return tied

    def _with_ties(self, columns: Array, low: Array, high: Array) -> tuple[Array, Array]:
        """Return the intervals, widened where the slopes nearby differ by a kink.

        Where several numbers tie, moving one of them alone does not show all slopes: the third
        largest of four equal numbers stays the same. A gradient of any place nearby is right. Where
        the function itself jumps nearby, any gradient is.
        """
        coarse, coarse_jump = self._nearby(columns, COARSE)
        fine, fine_jump = self._nearby(columns, FINE)
        if coarse and fine:
            low, high = self._widened(low, high, coarse, fine)
        low, high = self._with_groups(columns, low, high)
        torn = (fine_jump > 0) & (fine_jump > coarse_jump / 2)
        # A parameter that moves nothing here may move what jumps nearby.
        places = np.arange(low.size)
        moved = np.isin(places, self.jacobian.cols[torn[self.jacobian.rows]])
        moved |= torn.any() & ~np.isin(places, self.jacobian.cols)
        # At an end of a domain, the slopes of one side alone are seen.
        moved |= self._tied & self._shared & self.places.at_an_end
        return np.where(moved, -np.inf, low), np.where(moved, np.inf, high)

    def _widened(
        self,
        low: Array,
        high: Array,
        coarse: list[tuple[Array, Array]],
        fine: list[tuple[Array, Array]],
    ) -> tuple[Array, Array]:
        """Return the intervals with the slopes nearby, where these differ by a kink."""
        lowest, highest = (
            edge([a[k] for a in (*fine, (low, high))], axis=0)
            for k, edge in enumerate((np.nanmin, np.nanmax))
        )
        spread = np.nanmax([a[1] for a in coarse], axis=0) - np.nanmin(
            [a[0] for a in coarse], axis=0
        )
        kinked = highest - lowest > spread / 2
        kinked &= highest - lowest > 2.0**-20 * np.maximum(np.abs(lowest), np.abs(highest))
        # What is seen of one of several equal numbers holds for each of them.
        for number in np.unique(self._group[kinked]):
            alike = self._group == number
            lowest[alike] = lowest[alike & kinked].min()
            highest[alike] = highest[alike & kinked].max()
        kinked = np.isin(self._group, self._group[kinked])
        # The slopes nearby are a sample. Where several numbers move one output, it may miss the
        # largest ones; the check of sums over ties then tells right from wrong.
        widening = np.where(self._shared, MISSED * (highest - lowest), 0)
        return np.where(kinked, lowest - widening, low), np.where(kinked, highest + widening, high)

    def _with_groups(self, columns: Array, low: Array, high: Array) -> tuple[Array, Array]:
        """Return the intervals, widened where equal numbers together move what none moves alone.

        So it is with the median of many equal numbers.
        """
        low, high = low.copy(), high.copy()
        for number in np.unique(self._group[columns]):
            group = (self._group == number) & self._shared
            if group.sum() < 2:
                continue
            with suppress(FunctionFailed):
                together = self.reference.directional(self.point.arrays, group.astype(float))
                start, end, error, _ = together.product(self.w)
                least, most = low[group].sum(), high[group].sum()
                if start > most + SAFETY * error or end < least - SAFETY * error:
                    reach = MISSED * max(abs(start), abs(end))
                    low[group] -= reach
                    high[group] += reach
        return low, high

    def _nearby(self, columns: Array, part: float) -> tuple[list[tuple[Array, Array]], Array]:
        """Return the intervals of Jᵀw at points nearby, and how far the outputs moved there.

        Of an elementwise function no intervals are needed: all slopes of each output are known.
        """
        rng = np.random.default_rng(0)
        pairs = list(zip(self.specs, self.point.arrays, strict=True))
        found = []
        value = self.reference.function.value
        center = flat(value(self.point.arrays))
        moved = np.zeros_like(center)
        for _ in range(TIE_BREAKS):
            arrays = tuple(spec.nudge(a, part, rng) for spec, a in pairs)
            if not self._is_elementwise:
                there = jacobian_at(self.reference, arrays, columns, alone=True)
                if there is None or there.shape != self.jacobian.shape:
                    continue
                low, high, error, _ = there.transposed_product(self.w)
                known = np.isfinite(error)
                found.append((np.where(known, low, np.nan), np.where(known, high, np.nan)))
            with suppress(FunctionFailed):
                moved = np.fmax(moved, np.abs(flat(value(arrays)) - center))
        return found, moved

    def _is_sure(self, column: int, room: float) -> bool:
        """Return True if the entry is wrong by the reference of this parameter alone as well."""
        if float(self.places.parameters[column]) in self.declared:
            return True
        if not np.isfinite(self.got[column]):
            return True  # no rounding explains it, and the reference is finite
        # An output that is not finite has no derivative. If it depended on this parameter, the
        # entry would not be a suspect.
        undecided = self.jacobian.rows[~np.isfinite(self.jacobian.error)]
        w = self.w.copy()
        w[undecided] = 0
        alone = self.reference.along(self.point.arrays, column, w)
        bound = SAFETY * float(alone.error) + room
        if not is_outside(self.got[[column]], alone.low, alone.high, bound)[0]:
            return False
        if self.got[column]:
            return True
        # Stairs, as of a number rounded to two decimals, have the slope 0.
        slope = float(np.maximum(np.abs(alone.low), np.abs(alone.high)))
        moved = self.jacobian.rows[self.jacobian.cols == column]
        w[~np.isin(np.arange(w.size), moved)] = 0
        return not self.reference.is_stair(self.point.arrays, column, w, slope)

    def _scatter(self) -> Array:
        """Return how much the gradient itself changes as inputs and cotangents change by roundoffs.

        That is the rounding error of a gradient whose own terms cancel.
        """
        rng = np.random.default_rng(0)
        unit = 2 * float(self.places.units.max(initial=0))
        scatter = np.zeros_like(self.got)
        for _ in range(ROUNDOFFS):
            arrays = [
                spec.move(a, unit * rng.choice([-1.0, 0.0, 1.0], spec.free_size(np.shape(a))))
                for spec, a in zip(self.specs, self.point.arrays, strict=True)
            ]
            w = [
                (c * (1 + unit * rng.choice([-1.0, 0.0, 1.0], c.shape))).astype(c.dtype)
                for c in self.point.cotangents
            ]
            with suppress(FunctionFailed):
                there = self.places.pull(self.reference.function.vjp(arrays, w))
                scatter = np.fmax(scatter, np.abs(there - self.got))
        return np.where(np.isfinite(scatter), scatter, 0)

    def _condition(self, low: Array, high: Array) -> Array:
        """Return how much Jᵀw changes over a relative change of the inputs."""
        largest = np.zeros_like(low)
        for there in self.around.near:
            if there.shape == self.jacobian.shape:
                low2, high2, error2, _ = there.transposed_product(self.w)
                with np.errstate(invalid="ignore"):
                    change = np.maximum(np.abs(low2 - low), np.abs(high2 - high)) / NUDGE
                largest = np.fmax(largest, np.where(np.isfinite(error2), change, 0))
        return largest

    def _largest_on_the_way(self, size: Array) -> Array:
        """Return the largest Σ |w||J| of each parameter between the inputs and 0."""
        largest, shared = size, self._shared
        for points, counts in ((self.around.on_the_way, True), (self.around.exchanged, shared)):
            for there in points:
                if there.shape == self.jacobian.shape:
                    _, _, error, size2 = there.transposed_product(self.w)
                    largest = np.fmax(largest, np.where(np.isfinite(error) & counts, size2, 0))
        return largest

    @cached_property
    def _shared(self) -> Array:
        """True for each parameter that moves an output together with others."""
        together = np.bincount(self.jacobian.rows, minlength=1) > 1
        shared = np.zeros(self.got.size, bool)
        shared[self.jacobian.cols[together[self.jacobian.rows]]] = True
        return shared
