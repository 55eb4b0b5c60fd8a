"""The derivative of a function by its values alone, with an error of its own.

reference = Reference(function, specs)
reference.jacobian(arrays)           all entries, or None if they are too many
reference.directional(arrays, v)     the derivative of all outputs along v
reference.along(arrays, column, w)   the derivative of wᵀf by one parameter, in every way
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.gradcheck.data import Jacobian
from manualnn.gradcheck.functions.base import Function, FunctionFailed, Unsupported
from manualnn.gradcheck.inputs.array import Array as Spec
from manualnn.gradcheck.inputs.draws import draw_points
from manualnn.gradcheck.reference.estimate import Estimate, Samples, estimate
from manualnn.gradcheck.reference.noise import POINTS, SPACING, measured_noise
from manualnn.gradcheck.reference.sampling import Place, Values
from manualnn.gradcheck.reference.sparsity import REACH, Pattern, find_pattern, united
from manualnn.gradcheck.reference.tiny_steps import refined

Array = NDArray[Any]

BUDGET = 300
"""Largest number of colors."""
MOST_ENTRIES = 200_000
CHUNK = 20_000
"""Entries that are estimated at once, to bound the memory."""
PLACES = 3
"""Points, beside that of the call, where dependences are looked for."""
LEVELS = 12
"""Levels of a block of steps, each half of the one before."""
FIRST = 2
"""The largest step is 2^-FIRST of the size of x."""
BLOCKS = 4
METHODS = {"mpmath": "differences with 50 digits (mpmath)", "complex128": "complex step"}
SHORT = 0.1
"""Share of outputs with the noise of float64 that shows float64 numbers inside."""
NOISE_BITS = 50
WIDEST_SPACING = 2.0**-20
LARGEST_NOISE = 2.0**-6
ACCURATE = 1e-9
ROUGH = 1e-6
NOISY = 64
FINEST = 2.0**3.5
"""Relative error at which no finer steps are needed."""


class Reference:
    """The derivatives of one function; what is found out about it is kept from point to point."""

    def __init__(
        self, function: Function, specs: Sequence[Spec] | None = None, budget: int = BUDGET
    ) -> None:
        self.function, self.specs, self.budget = function, specs, budget
        self._patterns: dict[tuple[tuple[int, ...], ...], Pattern | None] = {}
        self._refused: set[str] = set()
        self._is_short = False

    def jacobian(self, arrays: Sequence[Array]) -> Jacobian | None:
        """Return all derivatives at a point; None if they need too many evaluations.

        Raises FunctionFailed if the function has no value there.
        """
        place = Place(self.function, self.specs, arrays)
        values = self._values(place)
        shape = values.center.size, place.x.size
        key = tuple(a.shape for a in place.base)
        if key not in self._patterns:
            self._patterns[key] = self._first_pattern(values, shape)
        pattern = self._patterns[key]
        while pattern is not None and pattern.rows.size <= MOST_ENTRIES:
            self._patterns[key] = pattern
            found = self._differences(values, pattern)
            missing = ~self._is_confirmed(values, pattern, found)
            if not missing.any():
                break
            wider = self._wider(pattern, values, shape)
            if wider is None or wider.rows.size == pattern.rows.size:
                error = np.where(missing[pattern.rows], np.inf, found.error)
                found = Estimate(found.low, found.high, error)
                break
            pattern = wider
        else:
            self._patterns[key] = None
            return None
        found, method = self._refined(values, pattern, found)
        return Jacobian(pattern.rows, pattern.cols, *_in_float64(found), method, shape)

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

    def _refined(self, values: Values, pattern: Pattern, found: Estimate) -> tuple[Estimate, str]:
        """Return the derivatives by the best way that the function admits, and its name."""
        for kind in ("mpmath", "complex128"):
            if kind in self.function.kinds and kind not in self._refused:
                better = refined(values, pattern, found, kind)
                if better is not None:
                    return better, METHODS[kind]
        return found, self._method(values)

    @staticmethod
    def _method(values: Values) -> str:
        if values.kind == "own":
            return f"differences in its own {values.place.coarsest}"
        return f"differences in {values.kind}"

    def _first_pattern(self, values: Values, shape: tuple[int, int]) -> Pattern | None:
        """Return the dependences at the point and at others, where f may not be flat."""
        pattern = self._find_pattern(values, shape)
        if self.specs is None:
            return pattern
        rng = np.random.default_rng(shape[1])
        for point in draw_points(self.specs, rng, PLACES):
            same = [a.shape for a in point.arrays] == [a.shape for a in values.place.base]
            with suppress(FunctionFailed, Unsupported):
                if pattern and same:
                    there = Values(Place(self.function, self.specs, point.arrays), values.kind)
                    pattern = self._wider(pattern, there, shape) or pattern
        return pattern

    def _wider(self, pattern: Pattern, values: Values, shape: tuple[int, int]) -> Pattern | None:
        """Return a pattern with the dependences at a point; None if it has too many colors."""
        if (values.center.size, values.place.x.size) != shape:
            return pattern
        here = self._find_pattern(values, shape)
        return here and united(pattern, here, shape, self.budget)

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

    def _noise(self, values: Values, size: Array, start: Array | float = 0.0) -> Array:
        """Return the noise of each output, measured on a short line that starts near the point."""
        place = values.place
        # The points must be different numbers of the dtype; those of float16 would be too far away.
        spacing = max(SPACING, 4 * values.unit) if values.kind == "own" else SPACING
        if spacing > WIDEST_SPACING:
            return np.zeros_like(values.center)
        low, high = place.limits
        x = place.x + start
        # Few bits keep x + k step exact; they are random, because powers of 2 round alike.
        rng = np.random.default_rng(place.x.size)
        bits = NOISE_BITS if spacing == SPACING else 1 - math.log2(2 * values.unit)
        unit = np.ldexp(1.0, np.frexp(size)[1] - int(bits))
        step = np.rint(spacing * size * rng.uniform(0.5, 1, x.size) / unit) * unit
        end = (POINTS[-1] + 1) * step
        up, down = x + end <= high, x - end >= low
        step *= np.where(up & down, rng.choice([-1, 1], x.size), np.where(up, 1, -1))
        step *= up | down
        x = x.astype(values.dtype)
        return measured_noise(np.stack([values.at(x + k * step) for k in POINTS]))

    def _far_noise(self, values: Values) -> tuple[Array, NDArray[np.bool_]]:
        """Return the noise of each output at a coarse step, and if it is larger than rounding.

        It shows numbers of a shorter dtype inside f also where f is near 0.
        """
        place = values.place
        step = np.ldexp(place.scale, -FIRST)
        step = np.where(place.x + 2 * step <= place.limits[1], step, -step)
        step = np.where(place.x + 2 * step >= place.limits[0], step, 0)
        noise = self._noise(values, place.scale, step)
        size = np.fmax(np.abs(values.center), np.abs(values.at(place.x + step)))
        if values.unit < 2.0**-60 and (noise > 2.0**-55 * size).sum() > SHORT * size.size:
            self._is_short = True  # a float64 function inside, such as math.erf
        return noise, (noise > NOISY * values.unit * size) & (noise < LARGEST_NOISE * size)

    def _differences(self, values: Values, pattern: Pattern) -> Estimate:
        """Return the estimates of all entries of a pattern."""
        parts: list[Estimate] = []
        noise = [self._noise(values, values.place.scale)]
        far = self._far_noise(values)
        with np.errstate(all="ignore"):
            relative = noise[0] / np.abs(values.center)
        values.relative_noise = np.where(relative < LARGEST_NOISE, relative, 0).astype(float)
        entries = np.argsort(pattern.colors[pattern.cols], kind="stable")
        counts = np.bincount(pattern.colors[pattern.cols], minlength=1)
        chunk = np.cumsum(counts) // CHUNK
        for k in range(int(chunk[-1]) + 1):
            mine = entries[chunk[pattern.colors[pattern.cols[entries]]] == k]
            parts.append(self._estimates(values, pattern, mine, noise, far))
        order = np.argsort(entries, kind="stable")
        low, high, error = (
            np.concatenate([getattr(p, name) for p in parts])[order]
            for name in ("low", "high", "error")
        )
        return Estimate(low, high, error)

    def _estimates(
        self,
        values: Values,
        pattern: Pattern,
        entries: Array,
        noise: list[Array],
        far: tuple[Array, Array],
    ) -> Estimate:
        rows, cols = pattern.rows[entries], pattern.cols[entries]
        place = values.place
        shape = (3, entries.size)
        low, high, error = np.full(shape, np.nan, values.dtype)
        todo = np.arange(entries.size)
        blocks: list[Samples] = []
        for block, size in enumerate(_sizes(place)):
            if block == len(noise):
                noise.append(self._noise(values, size))
            columns = np.unique(cols[todo])
            steps = np.full((LEVELS, place.x.size), np.nan, values.dtype)
            steps[:, columns] = np.ldexp(size[columns], -FIRST - np.arange(LEVELS)[:, None])
            right, left = (np.full((LEVELS, todo.size), np.nan, values.dtype) for _ in range(2))
            for one in np.unique(pattern.colors[columns]):
                group = columns[pattern.colors[columns] == one]
                at = np.flatnonzero(pattern.colors[cols[todo]] == one)
                position = np.searchsorted(group, cols[todo[at]])
                entry = rows[todo[at]], position
                right[:, at], left[:, at] = values.around(group, entry, steps[:, group])
            center, h = values.center[rows[todo]], steps[:, cols[todo]]
            scale = place.scale[cols[todo]]
            grown, is_short = far[0][rows[todo]], far[1]
            relative = np.where(is_short[rows[todo]], 1, np.minimum(1, h * 2**FIRST / scale))
            blocks.append(
                Samples(center, right, left, h, np.fmax(noise[block][rows[todo]], grown * relative))
            )
            found = estimate(blocks, scale, max(values.unit, 2.0**-53 * self._is_short))
            low[todo], high[todo], error[todo] = found.low, found.high, found.error
            open_ = _is_open(found, blocks[-1], size[cols[todo]], values.unit)
            if not open_.any():
                break
            todo, blocks = todo[open_], [b.of(open_) for b in blocks]
        return Estimate(low, high, error)

    def _along_vector(self, values: Values, v: Array, blocks: int) -> Estimate:
        """Return the derivative of all outputs along v."""
        place = values.place
        size = _reach(place, v)
        if not np.isfinite(size):
            zero = np.zeros_like(values.center)
            return Estimate(zero, zero, zero)
        samples: list[Samples] = []
        n = values.center.size
        found = Estimate(*(np.full(n, np.nan) for _ in range(3)))
        for block in range(blocks):
            first = np.ldexp(size, -LEVELS * block)
            h = np.ldexp(np.full(LEVELS, first, values.dtype), -FIRST - np.arange(LEVELS))
            right, left = (np.stack([values.along(v, sign * t) for t in h]) for sign in (1, -1))
            # The numbers x + h v are rounded, and the more the larger h is.
            ends = (0.0, v * float(h[0]))
            noise = np.maximum(*(self._noise(values, np.abs(v) * first, end) for end in ends))
            samples.append(Samples(values.center, right, left, np.repeat(h[:, None], n, 1), noise))
            reach = np.full(n, first)
            found = estimate(samples, np.maximum(1, reach), values.unit)
            if not _is_open(found, samples[-1], reach, values.unit).any():
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
        unit = max(2.0**-50, 2.0**LEVELS * values.unit)  # the steps of one block are rounded
        with np.errstate(invalid="ignore"):
            sums = [
                np.bincount(pattern.rows, weights=term.astype(float), minlength=n)
                for term in (
                    np.minimum(factor * found.low, factor * found.high),
                    np.maximum(factor * found.low, factor * found.high),
                    np.abs(factor) * (found.error + unit * found.size()),
                )
            ]
            bound = 2 * (sums[2] + along.error)
            inside = (along.low >= sums[0] - bound) & (along.high <= sums[1] + bound)
        # Only a direction that one block of steps decides can be compared.
        rough = along.error > ROUGH * np.fmax(np.abs(along.low), sums[2])
        return inside | rough | (along.low < along.high) | ~np.isfinite(bound)


def _reach(place: Place, v: Array) -> float:
    """Return the largest t for which no entry of t v is larger than the size of x."""
    with np.errstate(divide="ignore"):
        return float(np.min(place.scale / np.abs(v), initial=np.inf))


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
        # Finer steps help if the finest ones were the best, so that noise is not the error.
        finer = (found.error > enough) & ~(found.step > FINEST * s.steps[-1])
        gap = found.high - found.low
        # What is as large as f is no noise.
        measured = s.noise[-1]
        noise = np.where(measured < LARGEST_NOISE * values, measured, 0)
        kink = gap > NOISY * np.fmax(noise, unit * values) / s.steps[-1]
        return ~np.isfinite(found.error) | finer | kink | (measured > LARGEST_NOISE * values)


def _in_float64(found: Estimate) -> tuple[Array, Array, Array]:
    """Return low, high and error, rounded to float64; the error covers that."""
    low, high, error = (np.asarray(a, np.float64) for a in (found.low, found.high, found.error))
    if found.low.dtype != np.float64:
        error = error + 2.0**-53 * np.maximum(np.abs(low), np.abs(high))
    known = np.isfinite(error)
    return np.where(known, low, 0), np.where(known, high, 0), np.where(known, error, np.inf)
