"""The distance of two right computations of one gradient: six digits, and the condition.

Two right gradients of the same numbers may differ by rounding, because another memory layout, a
batch or a compiler sums in another order. The faults that the checks of behaviour look for read
wrong numbers. So six digits have to agree, or half of the digits of a short dtype. More is not
asked, because some functions of float64 compute in float32 inside.

The digits are those of the largest entry, or of |w||y| / |x|, the size of the terms of a gradient.
Terms cancel to nothing in the gradient y·(dy − Σ y·dy) of a saturated softmax. What is left of them
is a rounding error.

A bad condition makes right gradients differ by more. So all inputs and cotangents are moved by some
units in the last place, to both sides, and the largest change counts. A sum of n terms in another
order differs by at most n times that, and with overwhelming probability by less than 8·√n times
that (Higham and Mary, 2019). The moves break ties and leave zeros. So a gradient that depends on
the side of a kink, or on the order of equal entries, gets a bound as large as its jump.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from manualnn.gradcheck.data import Array, Entry, Point
from manualnn.gradcheck.functions.base import Function, FunctionFailed
from manualnn.gradcheck.inputs.numbers import unit_roundoff

MOVES = 4
"""Number of random moves, each made in both directions."""
AGREEMENT = 2.0**-20
"""Six digits."""
MOST_ENTRIES = 8
"""Largest number of wrong entries that a finding lists."""
WIDTHS = {"float64": 128, "float32": 128, "float16": 4, "bfloat16": 4}
"""Largest move in unit roundoffs. A move of one unit is often rounded away inside a function."""

Call = Callable[[Point], Sequence[Array]]


class Rounding:
    """The rounding errors of the gradients of a function, by its dtypes and some outputs."""

    def __init__(
        self, function: Function, outputs: Sequence[Array], rng: np.random.Generator
    ) -> None:
        self.function, self.rng = function, rng
        kinds = [slot.dtype for slot in function.inputs if slot.is_differentiable]
        kinds += map(_dtype_of, outputs)
        self.dtype = max(kinds, key=unit_roundoff, default="float64")
        self.unit = unit_roundoff(self.dtype)

    def bounds(self, point: Point) -> tuple[Array, ...]:
        """Return the largest distance of each entry of two right gradients at a point."""
        return self.bounds_of(lambda p: self.function.vjp(p.arrays, p.cotangents), point)

    def bounds_of(self, call: Call, point: Point) -> tuple[Array, ...]:
        """Return the largest distance of each entry of two right results of a call."""
        base = _floats(call(point))
        change = [np.zeros(array.shape) for array in base]
        with np.errstate(all="ignore"):
            for moved in self._moved(point):
                try:
                    results = call(moved)
                except FunctionFailed:  # the moved point is outside the domain
                    return tuple(np.full(array.shape, np.inf) for array in base)
                for each, array, result in zip(change, base, _floats(results), strict=True):
                    np.maximum(each, np.nan_to_num(np.abs(result - array), nan=np.inf), out=each)
        n = sum(array.size for array in (*point.arrays, *point.cotangents))
        factor = 8 + min(n, 8 * np.sqrt(n))
        terms = self._size_of_terms(point)
        return tuple(
            factor * each + self.agreement * (_largest(array) + terms) + self.floor
            for each, array in zip(change, base, strict=True)
        )

    def repeat_bounds(self, first: Sequence[Array]) -> tuple[Array, ...]:
        """Return the largest distances of a call that is repeated, without any more calls."""
        limits = (self.agreement * _largest(array) + self.floor for array in first)
        return tuple(map(np.full, map(np.shape, first), limits))

    @property
    def agreement(self) -> float:
        """The relative error up to which two gradients agree."""
        return max(AGREEMENT, float(np.sqrt(self.unit)))

    @property
    def floor(self) -> float:
        """The size of a result whose terms may have underflowed."""
        kind = "float32" if self.dtype == "bfloat16" else self.dtype
        tiny = float(np.finfo(kind).tiny)
        return tiny if kind == "float16" else float(np.sqrt(tiny))

    def _size_of_terms(self, point: Point) -> float:
        """Return |w||y| / |x|, the size of the terms of a gradient, from the largest of each."""
        outputs = self.function.value(point.arrays)
        inputs = [array for array in point.arrays if array.dtype.kind == "f"]
        w, y, x = (
            max(map(_largest, each), default=0.0) for each in (point.cotangents, outputs, inputs)
        )
        return w * y / min(x or 1.0, 1.0)

    def _moved(self, point: Point) -> Iterator[Point]:
        """Yield points that are moved by some units in the last place, in pairs to both sides."""
        arrays, split = (*point.arrays, *point.cotangents), len(point.arrays)
        for _ in range(MOVES):
            steps = [self._step(array) for array in arrays]
            for sign in (1, -1):
                moved = [
                    array if step is None else (array + sign * step).astype(array.dtype)
                    for array, step in zip(arrays, steps, strict=True)
                ]
                yield Point(tuple(moved[:split]), tuple(moved[split:]))

    def _step(self, array: Array) -> Array | None:
        """Return a random change of each entry; None for an array without derivatives."""
        if array.dtype.kind != "f":
            return None
        part = self.rng.uniform(0.5, 1.0, array.shape) * self.rng.choice((-1, 1), array.shape)
        size = np.where(array == 0, self.floor, np.abs(array))
        return np.asarray(part * self.unit * WIDTHS.get(self.dtype, 128) * size)


def _dtype_of(output: Array) -> str:
    """Return the dtype of an output; bfloat16 travels as float32 with 16 bits that are zero."""
    is_short = (
        output.dtype == np.float32 and output.any() and not (output.view(np.uint32) & 0xFFFF).any()
    )
    return "bfloat16" if is_short else str(output.dtype)


def _largest(array: Array) -> float:
    """Return the largest finite size of an entry."""
    return float(np.max(np.abs(array), initial=0.0, where=np.isfinite(array)))


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


def is_near(one: Array, other: Array) -> bool:
    """Return True if half of the digits of the largest entry agree."""
    if one.shape != other.shape:
        return False
    size = np.max(np.abs(other), initial=0.0, where=np.isfinite(other))
    return np.allclose(one, other, 0.0, np.sqrt(np.finfo(one.dtype).eps) * size, equal_nan=True)
