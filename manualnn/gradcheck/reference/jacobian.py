"""The derivative of a function by its values alone, with an error of its own.

reference = Reference(function, specs)
reference.jacobian(arrays)           all entries, or None if they are too many
reference.directional(arrays, v)     the derivative of all outputs along v
reference.along(arrays, column, w)   the derivative of wᵀf by one parameter, in every way
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.gradcheck.data import Jacobian
from manualnn.gradcheck.functions.base import Function, Unsupported
from manualnn.gradcheck.inputs.array import Array as Spec
from manualnn.gradcheck.reference.estimate import Estimate, Samples, estimate
from manualnn.gradcheck.reference.noise import POINTS, SPACING, measured_noise
from manualnn.gradcheck.reference.sampling import Place, Values
from manualnn.gradcheck.reference.sparsity import REACH, Pattern, find_pattern, united

Array = NDArray[Any]

BUDGET = 300
"""Largest number of colors."""
MOST_ENTRIES = 200_000
CHUNK = 20_000
"""Entries that are estimated at once, to bound the memory."""
LEVELS = 12
"""Levels of a block of steps, each half of the one before."""
FIRST = 2
"""The largest step is 2^-FIRST of the size of x."""
BLOCKS = 4
ACCURATE = 1e-9
"""Relative error at which no finer steps are needed."""


class Reference:
    """The derivatives of one function; what is found out about it is kept from point to point."""

    def __init__(
        self, function: Function, specs: Sequence[Spec] | None = None, budget: int = BUDGET
    ) -> None:
        self.function, self.specs, self.budget = function, specs, budget
        self._patterns: dict[tuple[tuple[int, ...], ...], Pattern | None] = {}
        self._refused: set[str] = set()

    def jacobian(self, arrays: Sequence[Array]) -> Jacobian | None:
        """Return all derivatives at a point; None if they need too many evaluations.

        Raises FunctionFailed if the function has no value there.
        """
        place = Place(self.function, self.specs, arrays)
        values = self._values(place)
        shape = values.center.size, place.x.size
        key = tuple(a.shape for a in place.base)
        known = key in self._patterns
        pattern = self._patterns[key] if known else self._find_pattern(values, shape)
        while pattern is not None and pattern.rows.size <= MOST_ENTRIES:
            self._patterns[key] = pattern
            found = self._differences(values, pattern)
            missing = ~self._is_confirmed(values, pattern, found)
            if not missing.any():
                break
            again = self._find_pattern(values, shape)
            wider = again and united(pattern, again, shape, self.budget)
            if wider is None or wider.rows.size == pattern.rows.size:
                error = np.where(missing[pattern.rows], np.inf, found.error)
                found = Estimate(found.low, found.high, error)
                break
            pattern = wider
        else:
            self._patterns[key] = None
            return None
        return Jacobian(
            pattern.rows, pattern.cols, *_in_float64(found), self._method(values), shape
        )

    def directional(self, arrays: Sequence[Array], tangent: Array) -> Estimate:
        """Return the derivative of all outputs along a vector of all free parameters."""
        place = Place(self.function, self.specs, arrays)
        values = self._values(place)
        found = self._along_vector(values, np.asarray(tangent, np.float64), BLOCKS)
        return Estimate(*_in_float64(found))

    def along(self, arrays: Sequence[Array], column: int, cotangent: Array) -> Estimate:
        """Return the derivative of wᵀf by one free parameter alone, as arrays without axes."""
        place = Place(self.function, self.specs, arrays)
        v = np.zeros(place.x.size)
        v[column] = 1
        found = self.directional(arrays, v)
        w = np.asarray(cotangent, np.float64)
        with np.errstate(invalid="ignore"):
            ends = w * found.low, w * found.high
            error = np.where(w == 0, 0, np.abs(w) * found.error)
        low, high = np.minimum(*ends), np.maximum(*ends)
        return Estimate(np.sum(low), np.sum(high), np.sum(error))

    def _values(self, place: Place) -> Values:
        """Return the function in the widest numbers in which differences can be taken."""
        for kind in ("longdouble", "float64"):
            if kind in self.function.kinds and kind not in self._refused:
                try:
                    return Values(place, kind)
                except Unsupported:
                    self._refused.add(kind)
        return Values(place, "own")

    @staticmethod
    def _method(values: Values) -> str:
        if values.kind == "own":
            return f"differences in its own {values.place.coarsest}"
        return f"differences in {values.kind}"

    def _find_pattern(self, values: Values, shape: tuple[int, int]) -> Pattern | None:
        place = values.place
        rng = np.random.default_rng(place.x.size)
        size = REACH * place.scale * rng.uniform(0.5, 1, place.x.size)
        low, high = place.limits
        steps = (
            np.minimum(size, (high - place.x) / 2),
            -np.minimum(size, (place.x - low) / 2),
        )

        def respond(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
            changed = np.zeros(shape[0], bool)
            for step in steps:
                there = values.at((place.x + np.where(mask, step, 0)).astype(values.dtype))
                changed |= (there != values.center) & ~(np.isnan(there) & np.isnan(values.center))
            return changed

        return find_pattern(respond, shape, self.budget)

    def _noise(self, values: Values) -> Array:
        """Return the noise of each output, measured on a short line that starts at the point."""
        place = values.place
        rng = np.random.default_rng(place.x.size)
        low, high = place.limits
        step = SPACING * place.scale * rng.uniform(0.5, 1, place.x.size)
        up = place.x + (POINTS + 1) * step <= high
        down = place.x - (POINTS + 1) * step >= low
        step *= np.where(up & down, rng.choice([-1, 1], place.x.size), np.where(up, 1, -1))
        step *= up | down
        x = place.x.astype(values.dtype)
        return measured_noise(np.stack([values.at(x + k * step) for k in range(1, POINTS + 1)]))

    def _differences(self, values: Values, pattern: Pattern) -> Estimate:
        """Return the estimates of all entries of a pattern."""
        noise = self._noise(values)
        parts: list[Estimate] = []
        entries = np.argsort(pattern.colors[pattern.cols], kind="stable")
        counts = np.bincount(pattern.colors[pattern.cols], minlength=1)
        chunk = np.cumsum(counts) // CHUNK
        for k in range(int(chunk[-1]) + 1):
            mine = entries[chunk[pattern.colors[pattern.cols[entries]]] == k]
            parts.append(self._estimates(values, pattern, mine, noise))
        order = np.argsort(entries, kind="stable")
        low, high, error = (
            np.concatenate([getattr(p, name) for p in parts])[order]
            for name in ("low", "high", "error")
        )
        return Estimate(low, high, error)

    def _estimates(
        self, values: Values, pattern: Pattern, entries: Array, noise: Array
    ) -> Estimate:
        rows, cols = pattern.rows[entries], pattern.cols[entries]
        place = values.place
        shape = (3, entries.size)
        low, high, error = np.full(shape, np.nan, values.dtype)
        todo = np.arange(entries.size)
        blocks: list[Samples] = []
        for size in _sizes(place):
            columns = np.unique(cols[todo])
            steps = np.full((LEVELS, place.x.size), np.nan, values.dtype)
            steps[:, columns] = np.ldexp(size[columns], -FIRST - np.arange(LEVELS)[:, None])
            right, left = (np.full((LEVELS, todo.size), np.nan, values.dtype) for _ in range(2))
            for one in np.unique(pattern.colors[columns]):
                group = columns[pattern.colors[columns] == one]
                at = np.flatnonzero(pattern.colors[cols[todo]] == one)
                position = np.searchsorted(group, cols[todo[at]])
                got = values.around(group, (rows[todo[at]], position), steps[:, group])
                right[:, at], left[:, at] = got.right, got.left
            new = Samples(values.center[rows[todo]], right, left, steps[:, cols[todo]])
            blocks.append(new)
            scale = place.scale[cols[todo]]
            found = estimate(blocks, noise[rows[todo]], scale, values.unit)
            low[todo], high[todo], error[todo] = found.low, found.high, found.error
            open_ = _is_open(found, new, size[cols[todo]], values.unit)
            if not open_.any():
                break
            todo = todo[open_]
            blocks = [
                Samples(b.center[open_], b.right[:, open_], b.left[:, open_], b.steps[:, open_])
                for b in blocks
            ]
        return Estimate(low, high, error)

    def _along_vector(self, values: Values, v: Array, blocks: int) -> Estimate:
        """Return the derivative of all outputs along v."""
        place = values.place
        with np.errstate(divide="ignore"):
            size = np.min(place.scale / np.abs(v), initial=np.inf)
        if not np.isfinite(size):
            zero = np.zeros_like(values.center)
            return Estimate(zero, zero, zero)
        samples: list[Samples] = []
        noise, n = self._noise(values), values.center.size
        found = Estimate(*(np.full(n, np.nan) for _ in range(3)))
        for block in range(blocks):
            first = FIRST + LEVELS * block
            h = np.ldexp(np.full(LEVELS, size, values.dtype), -first - np.arange(LEVELS))
            right, left = (np.stack([values.along(v, sign * t) for t in h]) for sign in (1, -1))
            samples.append(Samples(values.center, right, left, np.repeat(h[:, None], n, 1)))
            unit = np.full(n, float(size))
            found = estimate(samples, noise, np.maximum(1, unit), values.unit)
            if not _is_open(found, samples[-1], unit, values.unit).any():
                break
        return found

    def _is_confirmed(self, values: Values, pattern: Pattern, found: Estimate) -> Array:
        """Return for each output whether its row of the Jacobian explains a random direction."""
        place = values.place
        if pattern.count == place.x.size or not found.error.size:
            return np.ones(values.center.size, bool)
        rng = np.random.default_rng(place.x.size + 1)
        low, high = place.limits
        signs = rng.choice([-1.0, 1.0], place.x.size)
        signs = np.where(place.x >= high, -1, np.where(place.x <= low, 1, signs))
        v = signs * place.scale * rng.uniform(0.5, 1, place.x.size)
        along = self._along_vector(values, v, 1)
        factor = v[pattern.cols]
        n = values.center.size
        with np.errstate(invalid="ignore"):
            sums = [
                np.bincount(pattern.rows, weights=term.astype(float), minlength=n)
                for term in (
                    np.minimum(factor * found.low, factor * found.high),
                    np.maximum(factor * found.low, factor * found.high),
                    np.abs(factor)
                    * (found.error + np.fmax(2.0**-50, 4 * values.unit) * found.size()),
                )
            ]
            bound = 2 * (sums[2] + along.error)
            inside = (along.low >= sums[0] - bound) & (along.high <= sums[1] + bound)
        kink = along.low < along.high
        return inside | kink | ~np.isfinite(bound)


def _sizes(place: Place) -> Iterator[Array]:
    """Yield the sizes of x that blocks of steps start from, the largest first."""
    size = np.abs(place.x)
    coarse = place.scale
    yield coarse
    # log and √ near 0 need steps relative to x itself.
    is_small = (size > 0) & (size < 1)
    if is_small.any():
        yield np.where(is_small, size, np.ldexp(coarse, -LEVELS))
    for block in range(1, BLOCKS):
        yield np.ldexp(coarse, -LEVELS * block)


def _is_open(found: Estimate, s: Samples, size: Array, unit: float) -> NDArray[np.bool_]:
    """Return which entries finer steps may decide, or decide better."""
    with np.errstate(invalid="ignore"):
        values = np.fmax(np.abs(s.center), np.fmax(np.abs(s.right[2]), np.abs(s.left[2])))
        enough = np.fmax(ACCURATE * found.size(), 64 * unit * values / size)
        return ~(found.error <= enough) | (found.low < found.high)


def _in_float64(found: Estimate) -> tuple[Array, Array, Array]:
    """Return low, high and error, rounded to float64; the error covers that."""
    low, high, error = (np.asarray(a, np.float64) for a in (found.low, found.high, found.error))
    if found.low.dtype != np.float64:
        error = error + 2.0**-53 * np.maximum(np.abs(low), np.abs(high))
    known = np.isfinite(error)
    return np.where(known, low, 0), np.where(known, high, 0), np.where(known, error, np.inf)
