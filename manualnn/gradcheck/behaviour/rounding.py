"""The distance of two right computations of one gradient, by the measured condition.

Two right gradients of the same numbers may differ by rounding, because another memory layout, a
batch or a compiler sums in another order. The condition is measured. All inputs and cotangents are
moved by some units in the last place, each entry by an own amount, and each set of moves in both
directions. The largest change of the gradients stands for u·Σ|terms|. A sum of n terms in another
order differs by at most n times that, and with overwhelming probability by less than 8·√n times
that (Higham and Mary, 2019).

Some rounding errors are the same at all points so near: y·(dy − Σ y·dy) of a softmax is one, if the
difference cancels. So the noise is measured by ECnoise as well, at points that are farther apart.

The moves break ties and leave zeros. So a gradient that depends on the side of a kink, or on the
order of equal entries, gets a bound as large as its jump.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from manualnn.gradcheck.data import Array, Entry, Point
from manualnn.gradcheck.functions.base import Function, FunctionFailed
from manualnn.gradcheck.reference.noise import POINTS, measured_noise

MOVES = 4
"""Number of random moves, each made in both directions."""
MOST_ENTRIES = 8
"""Largest number of wrong entries that a finding lists."""
UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Unit roundoff of each dtype."""
WIDTHS = {"float64": 128, "float32": 128, "float16": 4, "bfloat16": 4}
"""Largest move in unit roundoffs. A move of one unit is often rounded away inside a function."""

Call = Callable[[Point], Sequence[Array]]


class Rounding:
    """The rounding errors of the gradients of a function."""

    def __init__(self, function: Function, rng: np.random.Generator) -> None:
        self.function, self.rng = function, rng
        kinds = [slot.dtype for slot in function.inputs if slot.is_differentiable]
        self.dtype = max(kinds, key=lambda kind: UNITS.get(kind, 0.0), default="float64")
        self.unit = UNITS.get(self.dtype, UNITS["float64"])

    def bounds(self, point: Point) -> tuple[Array, ...]:
        """Return the largest distance of each entry of two right gradients at a point."""
        return self.bounds_of(lambda p: self.function.vjp(p.arrays, p.cotangents), point)

    def bounds_of(self, call: Call, point: Point) -> tuple[Array, ...]:
        """Return the largest distance of each entry of two right results of a call."""
        base = _floats(call(point))
        try:
            with np.errstate(all="ignore"):
                change = [np.stack(each) for each in self._results(call, self._near(point))]
                along = [np.stack(each) for each in self._results(call, self._along(point))]
        except FunctionFailed:  # a moved point is outside the domain
            return tuple(np.full(array.shape, np.inf) for array in base)
        n = sum(array.size for array in (*point.arrays, *point.cotangents))
        factor = 8 + min(n, 8 * np.sqrt(n))
        bounds = []
        for array, near, far in zip(base, change, along, strict=True):
            with np.errstate(all="ignore"):
                spread = np.abs(near - array).max(axis=0) + measured_noise(far)
                bound = factor * (spread + self.unit * np.abs(array)) + self.floor
            bounds.append(np.where(np.isfinite(far).all(axis=0), bound, np.inf))
        return tuple(np.nan_to_num(bound, nan=np.inf, posinf=np.inf) for bound in bounds)

    @property
    def floor(self) -> float:
        """The size of a result whose terms may have underflowed."""
        kind = "float32" if self.dtype == "bfloat16" else self.dtype
        tiny = float(np.finfo(kind).tiny)
        return tiny if kind == "float16" else float(np.sqrt(tiny))

    @staticmethod
    def _results(call: Call, points: Iterator[Point]) -> Iterator[tuple[Array, ...]]:
        """Return the results at all points, for one output after the other."""
        return zip(*(_floats(call(point)) for point in points), strict=True)

    def _near(self, point: Point) -> Iterator[Point]:
        """Yield points that are moved by some units in the last place, in pairs to both sides."""
        for _ in range(MOVES):
            direction = self._direction(point)
            for sign in (1, -1):
                yield _moved(point, direction, sign * self.unit * WIDTHS.get(self.dtype, 128))

    def _along(self, point: Point) -> Iterator[Point]:
        """Yield equally spaced points in a random direction, by half of the digits apart."""
        direction = self._direction(point)
        for i in range(POINTS):
            yield _moved(point, direction, i * np.sqrt(self.unit))

    def _direction(self, point: Point) -> list[Array | None]:
        """Return the random change of each entry in parts of itself, and of zeros by the floor."""
        changes: list[Array | None] = []
        for array in (*point.arrays, *point.cotangents):
            part = self.rng.uniform(0.5, 1.0, array.shape) * self.rng.choice((-1, 1), array.shape)
            size = np.where(array == 0, self.floor, np.abs(array))
            changes.append(part * size if array.dtype.kind == "f" else None)
        return changes


def _moved(point: Point, direction: list[Array | None], length: float) -> Point:
    arrays, split = (*point.arrays, *point.cotangents), len(point.arrays)
    moved = [
        array if change is None else (array + length * change).astype(array.dtype)
        for array, change in zip(arrays, direction, strict=True)
    ]
    return Point(tuple(moved[:split]), tuple(moved[split:]))


def _floats(results: Sequence[Array]) -> list[Array]:
    return [np.asarray(array, float) for array in results]


def find_differences(
    names: Sequence[str],
    got: Sequence[Array | None],
    expected: Sequence[Array],
    bounds: Callable[[], Sequence[Array]],
) -> tuple[tuple[Entry, ...], int, int]:
    """Return the worst entries that differ by more than their bound, their number, and all entries.

    Entries that are not finite in `expected` are not compared.
    """
    pairs = [(i, a) for i, a in enumerate(got) if a is not None and not is_same(a, expected[i])]
    size = sum(np.size(array) for array in got if array is not None)
    if not pairs:
        return (), 0, size
    limits, entries, count = bounds(), [], 0
    for i, array in pairs:
        value, limit = np.asarray(expected[i], float), limits[i]
        if np.shape(array) != value.shape:
            count += value.size
            continue
        with np.errstate(all="ignore"):
            distance = np.abs(np.asarray(array, float) - value)
            wrong = ~(distance <= limit) & np.isfinite(limit) & np.isfinite(value)
        count += int(wrong.sum())
        for index in map(tuple, np.argwhere(wrong).tolist()):
            true, bound = float(value[index]), float(limit[index])
            entries.append(Entry(names[i], index, float(array[index]), true, true, bound))
    entries.sort(key=_error, reverse=True)
    return tuple(entries[:MOST_ENTRIES]), count, size


def _error(entry: Entry) -> float:
    error = abs(entry.got - entry.low)
    return np.inf if np.isnan(error) else error


def is_same(one: Array, other: Array) -> bool:
    """Return True if two arrays have one shape and equal entries, and NaN in the same places."""
    return np.shape(one) == np.shape(other) and np.array_equal(one, other, equal_nan=True)
