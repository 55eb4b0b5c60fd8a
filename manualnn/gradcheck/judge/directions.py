"""Large dense Jacobians: the gradient against differences along random signed directions.

With v of random signs, v·g must be the derivative of wᵀf along v. A single wrong entry shows in
every direction, because no sign is 0. Several wrong entries cancel in one direction with a
probability of at most 1/2, so k directions miss them with at most 2⁻ᵏ. A direction that fails is
halved until one entry is left, and that entry is perturbed alone.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from manualnn.gradcheck.data import Array, Point
from manualnn.gradcheck.functions.base import FunctionFailed
from manualnn.gradcheck.inputs.array import Array as Spec
from manualnn.gradcheck.judge.confirm import FACTOR, ROUNDINGS, SAFETY, SURE
from manualnn.gradcheck.judge.places import Places
from manualnn.gradcheck.judge.surroundings import NUDGE, nearby, on_the_way
from manualnn.gradcheck.reference.jacobian import Reference

DIRECTIONS = 6
"""Directions of each gradient: they miss several wrong entries with probability 2⁻⁶ or less."""
SINGLE = 4
"""Number of entries that are perturbed alone in any case."""


@dataclass(frozen=True, eq=False)
class Wrong:
    """An entry that is wrong."""

    low: float
    high: float
    bound: float


class Directions:
    """The judge of one gradient whose Jacobian has too many entries."""

    def __init__(  # noqa: PLR0917 - what is judged, and by what
        self,
        reference: Reference,
        specs: Sequence[Spec],
        places: Places,
        point: Point,
        w: Array,
        got: Array,
    ) -> None:
        self.specs = specs
        self.reference, self.places, self.point, self.w, self.got = reference, places, point, w, got
        self.wrong: dict[int, Wrong] = {}
        self.sharpness: list[float] = []
        self.undecided = 0
        self._rng = np.random.default_rng(got.size)
        self._rounding = float(places.units.max(initial=0)) * (ROUNDINGS + np.sqrt(got.size))

    def judge(self) -> None:
        """Fill in the wrong entries, the sharpness, and the number of undecided directions.

        Two wrong entries are enough, because the function is wrong then.
        """
        count = self.got.size
        for column in self._rng.choice(count, min(SINGLE, count), replace=False):
            self._look_at(int(column))
            if len(self.wrong) == SURE:
                return
        everything = np.arange(count)
        for _ in range(DIRECTIONS):
            signs = self._rng.choice([-1.0, 1.0], count)
            off, bound, size = self._along(signs, everything)
            if not np.isfinite(bound):
                self.undecided += 1
                continue
            self.sharpness.append(bound / size if size else 0.0)
            if not off <= bound:
                column = self._halve(signs)
                if column is not None:
                    self._look_at(column)
                if len(self.wrong) == SURE:
                    return

    def _along(self, signs: Array, columns: Array) -> tuple[float, float, float]:
        """Return the distance from wᵀ D_v f, its bound, and Σ |v g|, for v of some columns."""
        v = np.zeros(self.got.size)
        v[columns] = signs[columns]
        d = self.reference.directional(self.point.arrays, v)
        low, high, error, terms = d.product(self.w)
        mine = float(self.got[columns] @ signs[columns])
        size = float(np.abs(self.got[columns]).sum()) + terms
        error *= SAFETY
        if not np.isfinite(mine):
            return np.inf, error, 0.0
        bound = error + self._rounding * size + self.places.smallest
        return float(max(low - mine, mine - high, 0.0)), bound, size

    def _halve(self, signs: Array) -> int | None:
        """Return a column whose entry is off, found by halving; None if no half is off."""
        columns = np.arange(self.got.size)
        while columns.size > 1:
            for half in np.array_split(columns, 2):
                off, bound, _ = self._along(signs, half)
                if off > bound:
                    columns = half
                    break
            else:
                return None
        return int(columns[0])

    def _look_at(self, column: int) -> None:
        """Judge one entry by perturbing it alone."""
        alone = self.reference.along(self.point.arrays, column, self.w)
        mine = float(self.got[column])
        finite = np.abs(self.got[np.isfinite(self.got)]).max(initial=0.0)
        size = max(abs(alone.low), abs(alone.high), float(finite))
        bound = SAFETY * alone.error + self._rounding * size + self.places.smallest
        if np.isfinite(alone.error) and max(alone.low - mine, mine - alone.high) > bound:
            bound += self._ill_conditioned(column, float(alone.low))
        if not np.isfinite(bound):
            self.undecided += 1
        elif not max(alone.low - mine, mine - alone.high) <= bound:
            self.wrong[column] = Wrong(float(alone.low), float(alone.high), float(bound))

    def _ill_conditioned(self, column: int, here: float) -> float:
        """Return the rounding error that a right entry may have, as `confirm` explains."""
        condition = [abs(v - here) / NUDGE for v in self._elsewhere(column, nearby)]
        way = [abs(v) for v in self._elsewhere(column, on_the_way)]
        unit = float(self.places.units[column])
        return FACTOR * unit * (max(condition, default=0.0) + max(way, default=0.0))

    def _elsewhere(
        self, column: int, around: Callable[..., list[tuple[Array, ...]]]
    ) -> list[float]:
        """Return the entry's derivatives at points around, where they are known."""
        found = []
        for arrays in around(self.specs, self.point.arrays):
            with suppress(FunctionFailed):
                there = self.reference.along(arrays, column, self.w)
                if np.isfinite(there.error):
                    found.append(float(there.low))
        return found
