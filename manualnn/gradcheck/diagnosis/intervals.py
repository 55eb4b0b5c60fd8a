"""Intervals of a number in which a gradient is wrong, found by multisection.

    line = refine(bench, view, "x", Line.of(values, wrong, excess), budget)
    describe(line, "x")           "for x > 4", "for |x| < 0.001", "only at x = 0", …
    simplest(3.9991, 4.0002)      "4", the number of fewest digits in a range

Between neighbouring right and wrong numbers lies an end of an interval. A new point has numbers
from that range in all of its entries, so that one call narrows the range by as many times.
"""

from dataclasses import dataclass

import numpy as np

from manualnn.gradcheck.data import Array, Point
from manualnn.gradcheck.diagnosis.observation import Bench, Limit, View
from manualnn.gradcheck.diagnosis.samples import gather

End = tuple[str | None, bool]
"""The number at an end of an interval, and whether the end is sharp."""
NO_END: End = (None, False)
EVERYWHERE = "everywhere"
MOST = 3
"""Largest number of intervals that are described."""
ROUNDS = 10
SHARP = 1e5
"""Smallest `Samples.excess` next to a sharp end."""
USUAL = (0.1, 3.0)
"""Sizes of numbers that have to be wrong if everything is."""
EXACT = 2e-3
"""Relative width of a range that is narrow enough."""


@dataclass(frozen=True, eq=False)
class Line:
    """Numbers in order, the wrong ones among them, and by how much they are wrong."""

    values: Array
    wrong: Array
    excess: Array

    @classmethod
    def of(cls, values: Array, wrong: Array, excess: Array) -> "Line":
        """Return the numbers in order."""
        order = np.lexsort((wrong, values))
        return cls(values[order], wrong[order], excess[order])

    @property
    def is_clear(self) -> bool:
        """True if the wrong numbers make a few intervals without right numbers in them."""
        change = np.diff(self.wrong.astype(int))
        if (np.diff(self.values) == 0)[change != 0].any():
            return False
        return 0 < int(self.wrong[:1].sum() + (change == 1).sum()) <= MOST

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """The ranges between neighbouring right and wrong numbers that are wide."""
        v = self.values
        ends = np.flatnonzero(self.wrong[1:] != self.wrong[:-1])
        return [(v[k], v[k + 1]) for k in ends if not _is_narrow(v[k], v[k + 1])]


def refine(bench: Bench, start: View, of: str, line: Line, budget: Limit) -> Line | None:
    """Return more numbers around the ends; None if wrong and right numbers are mixed.

    `start` is a view with a wrong entry, and `of` is the input that has the numbers.
    """
    for _ in range(ROUNDS):
        if not line.is_clear:
            return None
        gaps = line.gaps
        more = _try(bench, start, of, gaps) if gaps and not budget.over else None
        if more is None or not more.values.size:
            break
        both = zip(vars(line).values(), vars(more).values(), strict=True)
        line = Line.of(*(np.concatenate(pair) for pair in both))
    return line if line.is_clear else None


def describe(line: Line, of: str, *, sharply: bool = False) -> str:
    """Return the intervals of wrong numbers in words; empty if there is no clear one.

    An end is sharp if the error jumps there, and not if it fades into the error bound. With
    `sharply`, an interval needs a sharp end.
    """
    found = _intervals(line)
    if not any(sharp for _, sharp in (end for ends in found for end in ends)):
        middle = line.wrong[(np.abs(line.values) > USUAL[0]) & (np.abs(line.values) < USUAL[1])]
        return "" if sharply else EVERYWHERE if middle.size and middle.all() else _words(found, of)
    # An error that fades towards an end is there, too, but too small to be seen.
    first, last = found[0], found[-1]
    if first[0] != NO_END and not first[0][1] and (first[1][1] or len(found) > 1):
        found[0] = NO_END, first[1]
    if last[1] != NO_END and not last[1][1] and (last[0][1] or len(found) > 1):
        found[-1] = found[-1][0], NO_END
    return _words(found, of)


def _words(found: list[tuple[End, End]], of: str) -> str:
    intervals = [(low[0], high[0]) for low, high in found]
    if len(intervals) == 2:
        (a, b), (c, d) = intervals
        if a is None and d is None and b is not None and c is not None and b == _negative(c):
            return f"for |{of}| > {c}"
    if len(intervals) == 1:
        low, high = intervals[0]
        if low is not None and high is not None and low == _negative(high) and low != high:
            return f"for |{of}| < {high}"
    return " and ".join(_interval(low, high, of) for low, high in intervals)


def simplest(low: float, high: float) -> str:
    """Return the number with the fewest digits in a range, as text."""
    if low <= 0 <= high:
        return "0"
    for digits in range(1, 17):
        for value in ((low + high) / 2, low, high):
            text = f"{value:.{digits}g}"
            if low <= float(text) <= high:
                return _plain(float(text))
    return _plain(low)


def _interval(low: str | None, high: str | None, of: str) -> str:
    if low is None and high is None:
        return "everywhere"
    if low is None:
        return f"for {of} < {high}"
    if high is None:
        return f"for {of} > {low}"
    return f"only at {of} = {low}" if low == high else f"for {low} < {of} < {high}"


def _is_narrow(low: float, high: float) -> bool:
    return high - low <= EXACT * max(abs(low), abs(high)) or max(abs(low), abs(high)) < 1e-12


def _try(bench: Bench, start: View, of: str, ranges: list[tuple[float, float]]) -> Line | None:
    """Return the numbers of a point whose entries are from the ranges."""
    point, shape = start.seen.point, start.x.shape
    number = next(k for k, slot in enumerate(bench.function.inputs) if slot.name == of)
    old = point.arrays[number]
    share = max(old.size // len(ranges), 1)
    numbers = [value for low, high in ranges for value in _between(low, high, share)]
    # All entries of the other inputs and of the cotangent are those of one wrong entry.
    at = tuple(int(i) for i in np.argwhere(start.wrong)[0])

    def alike(a: Array) -> Array:
        return np.full_like(a, a[at]) if a.shape == shape else a

    arrays = [alike(a) for a in point.arrays]
    arrays[number] = np.resize(np.asarray(numbers), old.size).reshape(old.shape).astype(old.dtype)
    new = bench.observe(Point(tuple(arrays), tuple(map(alike, point.cotangents))))
    there = new.view(start.name) if new is not None else None
    if there is None:
        return None
    samples = gather([start, there], start)
    mine = samples.point == 1
    return Line(samples.numbers[of][mine], samples.wrong[mine], samples.excess[mine])


def _between(low: float, high: float, count: int) -> Array:
    """Return numbers between two numbers: evenly spaced, or in ratio over several magnitudes."""
    inner = np.linspace(0, 1, count + 2)[1:-1]
    if low * high > 0 and max(abs(low), abs(high)) > 4 * min(abs(low), abs(high)):
        return np.sign(low) * np.exp(np.log(abs(low)) + inner * np.log(high / low))
    if count >= 3 and low <= 0 <= high:
        largest = max(-low, high)
        sign = 1 if high >= -low else -1
        return np.concatenate([[0.0], sign * largest * 2.0 ** -np.arange(1.0, count)])
    return low + inner * (high - low)


def _intervals(line: Line) -> list[tuple[End, End]]:
    """Return both ends of each interval of wrong numbers."""
    v, w = line.values, line.wrong.astype(int)
    sharp = line.excess > SHARP
    starts = np.flatnonzero(np.diff(w, prepend=0) == 1)
    stops = np.flatnonzero(np.diff(w, append=0) == -1)
    found: list[tuple[End, End]] = []
    for first, last in zip(starts, stops, strict=True):
        inside = first > 0 and last < v.size - 1
        near = v[first - 1] if first > 0 else v[-1 if last == v.size - 1 else last + 1]
        # At the end of the domain a single number has a right neighbour on one side only.
        if v[first] == v[last] != near and (inside or _is_narrow(*sorted((near, v[first])))):
            found.append(((_plain(float(v[first])), True),) * 2)
            continue
        low = high = NO_END
        if first > 0:
            low = simplest(float(v[first - 1]), float(v[first])), bool(sharp[first])
        if last < v.size - 1:
            high = simplest(float(v[last]), float(v[last + 1])), bool(sharp[last])
        if found and found[-1][1][0] == low[0]:  # a right number between wrong ones is by chance
            low = found.pop()[0]
        found.append((low, high))
    return found


def _plain(value: float) -> str:
    return f"{value + 0.0:.6g}".replace("-", "−")


def _negative(text: str) -> str:
    return text.removeprefix("−") if text.startswith("−") else f"−{text}"
