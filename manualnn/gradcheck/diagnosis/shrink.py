"""Shrinking: the smallest point that still fails, with simple numbers.

    shrink(function, specs, point, fails, budget)      fails(point) is the predicate

The moves are those of the oracle's shrinking of cases: fewer sizes first, with equal sizes of
several inputs together, then simpler numbers, and simpler cotangents. `minimise` repeats them until
none succeeds or the budget is spent.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial

import numpy as np

from manualnn.gradcheck.data import Array, Point
from manualnn.gradcheck.diagnosis.observation import Limit
from manualnn.gradcheck.functions.base import Function
from manualnn.gradcheck.inputs import array as inputs
from manualnn.oracle.cases.simplify import digits_of, rounded
from manualnn.oracle.diagnosis.shrink import fewer, minimise

Move = Generator[Point | None, bool, None]
SIMPLE = (1.0, 0.0, -1.0, 2.0, 0.5, -2.0, 3.0)
MOST_ENTRIES = 64
"""Number of entries above which numbers are simplified all at once only."""


def shrink(
    function: Function,
    specs: Sequence[inputs.Array],
    point: Point,
    fails: Callable[[Point], bool],
    budget: Limit,
) -> Point:
    """Return the smallest point found that fails; `point` itself if there is none."""
    tools = _Tools(function, specs)
    moves = (tools.sizes, tools.axes, tools.numbers, tools.cotangents)
    return minimise(point, moves, fails, _key, budget)


class _Tools:
    """Moves of the points of one function."""

    def __init__(self, function: Function, specs: Sequence[inputs.Array]) -> None:
        self.function, self.specs = function, specs

    def sizes(self, point: Point) -> Move:
        """Cut all axes of one size together, in all inputs."""
        for size in sorted({n for a in point.arrays for n in a.shape}, reverse=True):
            where = [
                [axis for axis, n in enumerate(a.shape) if n == size and not _is_fixed(spec)]
                for a, spec in zip(point.arrays, self.specs, strict=True)
            ]
            length = size
            for keep in fewer(size):
                if keep[-1] < length and len(keep) < length:
                    smaller = self._cut(point, where, length, keep)
                    if (yield smaller) and smaller is not None:
                        point, length = smaller, len(keep)

    def axes(self, point: Point) -> Move:
        """Cut one axis of one input alone, because sizes may be equal by chance."""
        for k, array in enumerate(point.arrays):
            for axis in range(0 if _is_fixed(self.specs[k]) else array.ndim):
                size = point.arrays[k].shape[axis]
                for keep in fewer(size):
                    length = point.arrays[k].shape[axis]
                    if keep[-1] < length and len(keep) < length:
                        where = [[axis] if k == n else [] for n in range(len(point.arrays))]
                        smaller = self._cut(point, where, length, keep)
                        if (yield smaller) and smaller is not None:
                            point = smaller

    def numbers(self, point: Point) -> Move:
        """Simplify whole arrays, then each entry."""
        for k in range(len(point.arrays)):
            for change in self._changes():
                changed = self._with_array(point, k, change(point.arrays[k]))
                if (yield changed) and changed is not None:
                    point = changed
                    break
        for k in range(len(point.arrays)):
            if point.arrays[k].size > MOST_ENTRIES:
                continue
            for index in np.ndindex(point.arrays[k].shape):
                for value in _simpler(float(point.arrays[k][index])):
                    array = point.arrays[k].copy()
                    array[index] = value
                    changed = self._with_array(point, k, array)
                    if (yield changed) and changed is not None:
                        point = changed
                        break

    def cotangents(self, point: Point) -> Move:
        """Replace cotangents by ones, by 0 and one 1, and by rounded numbers."""
        for k in range(len(point.cotangents)):
            c = point.cotangents[k]
            largest = np.zeros_like(c)
            if c.size:
                largest.ravel()[np.argmax(np.abs(c))] = 1
            if (c == 1).all():
                continue
            for new in (np.ones_like(c), largest, np.rint(c), np.sign(c)):
                parts = (*point.cotangents[:k], new, *point.cotangents[k + 1 :])
                changed = Point(point.arrays, parts, point.style)
                simpler = not np.array_equal(new, c) and _length(new) <= _length(c)
                if simpler and (yield changed):
                    point = changed
                    break

    def _changes(self) -> Iterator[Callable[[Array], Array]]:
        for value in SIMPLE[:3]:
            yield partial(np.full_like, fill_value=value)
        for digits in (0, 1, 2):
            yield np.vectorize(partial(rounded, digits=digits), otypes=[float])

    def _with_array(self, point: Point, k: int, array: Array) -> Point | None:
        """Return the point with another array, if that is simpler and in the input's domain."""
        old, spec = point.arrays[k], self.specs[k]
        array = array.astype(old.dtype)
        if old.dtype.kind != "f" or not old.size or array.tobytes() == old.tobytes():
            return None
        if _length(array) > _length(old) or not spec.contains(array):
            return None
        arrays = (*point.arrays[:k], array, *point.arrays[k + 1 :])
        return Point(arrays, point.cotangents, point.style)

    def _cut(
        self, point: Point, where: Sequence[Sequence[int]], length: int, keep: list[int]
    ) -> Point | None:
        """Return the point with some indices kept along axes; None if the function refuses it."""
        arrays = []
        for array, axes, spec in zip(point.arrays, where, self.specs, strict=True):
            cut = array
            for axis in axes:
                cut = cut.take(keep, axis)
            if spec.kind == "classes" and spec.high == length:
                cut = np.minimum(cut, len(keep) - 1)
            if spec.kind == "probabilities" and axes:
                total = cut.sum(spec.axis, keepdims=True)
                cut = np.where(
                    total > 0, cut / np.where(total > 0, total, 1), 1 / cut.shape[spec.axis]
                )
            arrays.append(cut.astype(array.dtype))
        try:
            shapes = [y.shape for y in self.function.value(tuple(arrays))]
        except Exception:  # noqa: BLE001  a function of anybody may refuse the shapes in any way
            return None
        cotangents = [
            _cut_to(c, shape, keep, length)
            for c, shape in zip(point.cotangents, shapes, strict=True)
        ]
        return Point(tuple(arrays), tuple(cotangents), point.style)


def _is_fixed(spec: inputs.Array) -> bool:
    """Return True for a parameter of a module: torch's kernels may crash at other sizes."""
    return bool(getattr(spec, "is_parameter", False) or getattr(spec, "fixed", False))


def _cut_to(c: Array, shape: tuple[int, ...], keep: list[int], length: int) -> Array:
    """Return a cotangent cut to the shape of the output; ones where it does not fit."""
    if c.ndim == len(shape):
        for axis, size in enumerate(shape):
            if c.shape[axis] == length and size == len(keep):
                c = c.take(keep, axis)
    return c if c.shape == shape else np.ones(shape, c.dtype)


def _simpler(value: float) -> list[float]:
    """Return simpler numbers to try in place of an entry, the simplest first."""
    if float(value) in SIMPLE and not (value == 0 and np.signbit(value)):
        return list(SIMPLE[: SIMPLE.index(float(value))])
    near = [rounded(value, digits) for digits in (0, 1, 2, 3)]
    return [*SIMPLE, *(r for r in near if digits_of(r) < digits_of(value) and r not in SIMPLE)]


def _length(array: Array) -> int:
    return sum(map(digits_of, array.ravel()))


def _key(point: Point) -> int:
    arrays = (*point.arrays, *point.cotangents)
    return hash(tuple((a.shape, a.strides, a.tobytes()) for a in arrays))
