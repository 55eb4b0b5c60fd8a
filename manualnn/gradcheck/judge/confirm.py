"""The second look at suspects: a right gradient may be ill-conditioned, and a reference may err.

A gradient that is far from the reference is wrong only if that has none of these reasons:

* **Condition.** Rounding the inputs, or anything on the way, moves the derivative. The bound grows
  by 128 u times the change of Jᵀw over a relative change of the inputs, as measured.
* **Cancellation.** tanh′ is 1 − y². Far out, its error is that of the 1, not that of the tiny
  result. The bound grows by 128 u times the largest Σ |w||J| on the way from the input to 0, where
  the terms that cancel have their full size.
  Where several numbers move one output, as in a norm, terms also cancel that have their full size
  where the numbers are exchanged.
* **Roundoff.** Terms may cancel in the gradient alone. The bound grows by 128 times the change of
  the gradient as inputs and cotangents change by roundoffs.
* **The reference.** The worst suspects are perturbed alone, in every way that the function allows.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from manualnn.gradcheck.data import Array, Jacobian, Point, flat
from manualnn.gradcheck.functions.base import FunctionFailed
from manualnn.gradcheck.inputs.array import Array as Spec
from manualnn.gradcheck.judge.places import Places, distance_from, is_outside
from manualnn.gradcheck.reference.jacobian import Reference

SAFETY = 16
"""Ratio of the bound to the error that the reference claims: an estimate may be a little low."""
ROUNDINGS = 256
"""Roundings that a gradient may have where it was looked at twice."""
FACTOR = 128
"""Roundings of the condition and of cancellation."""
ROUNDOFFS = 6
"""Number of random changes by roundoffs."""
NUDGE = 2.0**-12
"""Relative change of the inputs by which the condition is measured."""
FRACTIONS = (0.5, 0.25, 0.1, 0.04, 0.0)
"""Points on the way from an input to 0, as fractions of it."""
IMPRECISE = 2.0**-30
"""Errors up to this part of Σ |w||J| are a lack of digits, as approximations in libraries have."""
TIE_BREAKS = 12
"""Number of random changes that break ties, of each size."""
MOST_TIED = 64
"""Largest number of suspects for which this is done; the others are not judged."""
COARSE, FINE = 2.0**-6, 2.0**-10
"""Relative sizes of these changes: what a smooth function does shrinks with them by 16."""
LOOKED_AT = 6
"""Largest number of suspects that are perturbed alone."""
SURE = 2
"""Number of them that have to be wrong by that as well. Then the others are not looked at."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Jacobians near a point, on the way from it to 0, and with its numbers exchanged."""

    near: list[Jacobian]
    on_the_way: list[Jacobian]
    exchanged: list[Jacobian]
    columns: Array
    """The parameters whose derivatives are known."""

    @classmethod
    def find(
        cls,
        reference: Reference,
        specs: Sequence[Spec],
        arrays: Sequence[Array],
        columns: Array,
        *,
        few: bool = False,
    ) -> "Surroundings":
        """Compute the derivatives by some parameters; those that do not exist are left out.

        With `few`, half of the points have to do, because the function is known to be wrong.
        """
        found = [
            [_jacobian(reference, point, columns) for point in points[:: 1 + few]]
            for points in (
                nearby(specs, arrays),
                on_the_way(specs, arrays),
                exchanged(specs, arrays),
            )
        ]
        near, way, others = (
            [jacobian for jacobian in part if jacobian is not None] for part in found
        )
        return cls(near, way, others, columns)


def nearby(specs: Sequence[Spec], arrays: Sequence[Array]) -> list[tuple[Array, ...]]:
    """Return two points whose inputs are changed a little, relative to their size."""
    rng = np.random.default_rng(0)

    def moved(spec: Spec, array: Array) -> Array:
        signs = rng.choice([-1.0, 1.0], spec.free_size(np.shape(array)))
        return spec.move(array, NUDGE * signs)

    return [tuple(map(moved, specs, arrays)) for _ in range(2)]


def on_the_way(specs: Sequence[Spec], arrays: Sequence[Array]) -> list[tuple[Array, ...]]:
    """Return points of which one input is between itself and 0, or the middle of its domain."""
    inputs = [
        (k, spec, np.asarray(a))
        for k, (spec, a) in enumerate(zip(specs, arrays, strict=True))
        if spec.free_size(np.shape(a))
    ]
    changed = [(k, spec.shrink(a, f)) for k, spec, a in inputs for f in FRACTIONS]
    for k, spec, a in inputs:
        low, high = spec.bounds
        if spec.kind == "real" and np.isfinite(low) and np.isfinite(high):
            changed.append((k, (a / 2 + (low + high) / 4).astype(a.dtype)))
    return [tuple(new if k == place else a for k, a in enumerate(arrays)) for place, new in changed]


def exchanged(specs: Sequence[Spec], arrays: Sequence[Array]) -> list[tuple[Array, ...]]:
    """Return points of which one input has its numbers in other places along the last axis."""
    return [
        tuple(np.roll(b, 1, axis=-1) if b is a else b for b in arrays)
        for spec, a in zip(specs, arrays, strict=True)
        if spec.kind in {"real", "positive", "probabilities"} and np.ndim(a) and spec.axis == -1
    ]


def _jacobian(
    reference: Reference, point: tuple[Array, ...], columns: Array, *, alone: bool = False
) -> Jacobian | None:
    with suppress(FunctionFailed):
        return reference.jacobian(point, columns, alone=alone)
    return None


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
    def _tied(self) -> Array:
        """True for each parameter that equals another one, or at which there is a kink."""
        _, inverse, counts = np.unique(
            self.places.parameters, return_inverse=True, return_counts=True
        )
        tied = np.asarray(counts[inverse] > 1)
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
        torn = (fine_jump > 0) & (fine_jump > coarse_jump / 2)
        # A parameter that moves nothing here may move what jumps nearby.
        places = np.arange(low.size)
        moved = np.isin(places, self.jacobian.cols[torn[self.jacobian.rows]])
        moved |= torn.any() & ~np.isin(places, self.jacobian.cols)
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
        # The slopes nearby are a sample. Where several numbers move one output, it may miss ends.
        widening = np.where(self._shared, highest - lowest, 0)
        return np.where(kinked, lowest - widening, low), np.where(kinked, highest + widening, high)

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
                there = _jacobian(self.reference, arrays, columns, alone=True)
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
        return bool(is_outside(self.got[[column]], alone.low, alone.high, bound)[0])

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
