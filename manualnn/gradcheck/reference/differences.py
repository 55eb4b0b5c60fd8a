"""Extrapolated differences of a function at one point: of all entries, or along a vector.

Steps come in blocks of twelve levels, each half of the one before. The first block starts from a
quarter of the size of x. Entries that it does not decide get finer blocks.
"""

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.gradcheck.reference.estimate import Estimate, Samples, estimate
from manualnn.gradcheck.reference.noise import POINTS, SPACING, measured_noise
from manualnn.gradcheck.reference.sampling import Place, Values
from manualnn.gradcheck.reference.sparsity import Pattern

Array = NDArray[Any]

CHUNK = 20_000
"""Entries that are estimated at once, to bound the memory."""
LEVELS = 12
"""Levels of a block of steps."""
FIRST = 2
"""The largest step is 2^-FIRST of the size of x."""
BLOCKS = 4
ACCURATE = 1e-9
"""Relative error at which no finer steps are needed."""
FINEST = 2.0**3.5
"""The levels up to this ratio above the finest step count as the finest."""
NOISY = 64
"""Noise of more roundoffs than that shows a shorter dtype inside f."""
LARGEST_NOISE = 2.0**-6
"""What is larger, relative to f, is no noise, but f itself at steps that are too coarse."""
SMALLEST_JUMP = 2.0**-10
"""Noise of a function that jumps from integer to integer is larger."""
OFF_THE_LINE = 2.0**-6
"""Relative difference, from the derivatives, of what f does over a short line."""
SHORT = 0.1
"""Share of outputs with the noise of float64 that shows float64 numbers inside."""
NOISE_BITS = 50
"""Bits of the steps at which noise is measured."""
WIDEST_SPACING = 2.0**-20
"""Largest spacing, relative to x, at which f counts as smooth."""


class Differences:
    """The differences of a function around one point."""

    def __init__(self, values: Values, *, is_short: bool = False) -> None:
        self.values = values
        self._blocks = BLOCKS + 1
        self.is_short = is_short
        """True: longdouble numbers go through float64 inside the function."""
        self._line: tuple[Array, Array] | None = None
        """The short line at the point itself."""

    def relative_noise(self) -> Array:
        """Return the noise of each output near the point, relative to the output."""
        with np.errstate(all="ignore"):
            return self._noise(self.values.place.scale) / np.abs(self.values.center)

    def entries(self, pattern: Pattern, blocks: int = BLOCKS + 1) -> Estimate:
        """Return the estimates of all entries of a pattern."""
        self._blocks = blocks
        parts: list[Estimate] = []
        self._line = self._short_line(self.values.place.scale)
        noise = [self._noise_on(self._line)]
        far = self._far_noise()
        with np.errstate(all="ignore"):
            relative = noise[0] / np.abs(self.values.center)
        self.values.relative_noise = np.where(relative < LARGEST_NOISE, relative, 0).astype(float)
        entries = np.argsort(pattern.colors[pattern.cols], kind="stable")
        counts = np.bincount(pattern.colors[pattern.cols], minlength=1)
        chunk = np.cumsum(counts) // CHUNK
        for k in range(int(chunk[-1]) + 1):
            mine = entries[chunk[pattern.colors[pattern.cols[entries]]] == k]
            parts.append(self._estimates(pattern, mine, noise, far))
        order = np.argsort(entries, kind="stable")
        low, high, error = (
            np.concatenate([getattr(p, name) for p in parts])[order]
            for name in ("low", "high", "error")
        )
        return Estimate(low, high, error)

    def along(self, v: Array, blocks: int = BLOCKS) -> Estimate:
        """Return the derivative of all outputs along v."""
        values, place = self.values, self.values.place
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
            noise = np.maximum(*(self._noise(np.abs(v) * first, end) for end in ends))
            samples.append(Samples(values.center, right, left, np.repeat(h[:, None], n, 1), noise))
            reach = np.full(n, first)
            found = estimate(samples, np.maximum(1, reach), values.unit)
            if not _is_open(found, samples[-1], reach, values.unit).any():
                break
        return found

    def _estimates(
        self,
        pattern: Pattern,
        entries: Array,
        noise: list[Array],
        far: tuple[Array, Array],
    ) -> Estimate:
        rows, cols = pattern.rows[entries], pattern.cols[entries]
        values, place = self.values, self.values.place
        shape = (3, entries.size)
        low, high, error = np.full(shape, np.nan, values.dtype)
        todo = np.arange(entries.size)
        blocks: list[Samples] = []
        for block, size in enumerate(islice(_sizes(place), self._blocks)):
            if block == len(noise):
                noise.append(self._noise(size))
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
            found = estimate(blocks, scale, max(values.unit, 2.0**-53 * self.is_short))
            low[todo], high[todo] = found.low, found.high
            error[todo] = np.where(_is_rounding(blocks[0], values.unit), np.inf, found.error)
            open_ = _is_open(found, blocks[-1], size[cols[todo]], values.unit)
            if block == 0 and entries.size == pattern.rows.size:
                off = self._is_off_the_line(pattern, entries, Estimate(low, high, error))
                open_ |= off[rows[todo]]
            if not open_.any():
                break
            todo, blocks = todo[open_], [b.of(open_) for b in blocks]
        return Estimate(low, high, error)

    def _is_off_the_line(
        self, pattern: Pattern, entries: Array, found: Estimate
    ) -> NDArray[np.bool_]:
        """Return which outputs move along a short line by something else than their derivatives.

        Steps of x/4, x/8, … over a sawtooth or a staircase may all see the same wrong slope.
        """
        values = self.values
        if self._line is None:
            return np.zeros(values.center.size, bool)
        step, outputs = self._line
        with np.errstate(all="ignore"):
            seen = (outputs[-1] - outputs[0]) / (POINTS[-1] - POINTS[0])
        along = step[pattern.cols[entries]]
        n = values.center.size
        middle, size = (
            np.bincount(pattern.rows[entries], weights=term.astype(float), minlength=n)
            for term in (along * (found.low + found.high) / 2, np.abs(along) * found.size())
        )
        error = np.bincount(
            pattern.rows[entries], weights=(np.abs(along) * found.error).astype(float), minlength=n
        )
        rounding = 8 * values.unit * np.abs(values.center)
        kinked = pattern.rows[entries[found.low < found.high]]
        off = np.abs(seen - middle) > OFF_THE_LINE * size + error + rounding
        off[kinked] = False
        return np.asarray(off)

    def _noise(self, size: Array, start: Array | float = 0.0) -> Array:
        """Return the noise of each output, measured on a short line that starts near the point."""
        return self._noise_on(self._short_line(size, start))

    def _noise_on(self, line: tuple[Array, Array] | None) -> Array:
        return np.zeros_like(self.values.center) if line is None else measured_noise(line[1])

    def _short_line(self, size: Array, start: Array | float = 0.0) -> tuple[Array, Array] | None:
        """Return a step, and the outputs at POINTS steps; None if they would be too far away."""
        values, place = self.values, self.values.place
        # The points must be different numbers of the dtype; those of float16 would be too far away.
        spacing = max(SPACING, 4 * values.unit) if values.kind == "own" else SPACING
        if spacing > WIDEST_SPACING:
            return None
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
        # Steps below the spacing of the numbers would see a jump at x as noise.
        step *= (up | down) & (np.abs(step) >= 8 * np.spacing(np.abs(x).astype(values.dtype)))
        x = x.astype(values.dtype)
        return step, np.stack([values.at(x + k * step) for k in POINTS])

    def _far_noise(self) -> tuple[Array, NDArray[np.bool_]]:
        """Return the noise of each output at a coarse step, and if it is larger than rounding.

        It shows numbers of a shorter dtype inside f also where f is near 0.
        """
        values, place = self.values, self.values.place
        # Steps of different lengths: a distance stays the same where all of its points move alike.
        part = np.random.default_rng(place.x.size).uniform(0.5, 1, place.x.size)
        step = np.ldexp(place.scale, -FIRST) * part
        step = np.where(place.x + 2 * step <= place.limits[1], step, -step)
        step = np.where(place.x + 2 * step >= place.limits[0], step, 0)
        noise = self._noise(place.scale, step)
        size = np.fmax(np.abs(values.center), np.abs(values.at(place.x + step)))
        if values.unit < 2.0**-60 and (noise > 2.0**-55 * size).sum() > SHORT * size.size:
            self.is_short = True  # a float64 function inside, such as math.erf
        return noise, (noise > NOISY * values.unit * size) & (noise < LARGEST_NOISE * size)


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


def _is_rounding(s: Samples, unit: float) -> NDArray[np.bool_]:
    """Return which entries are integers with noise: floor(x) at so large an x that all steps jump.

    Values do not tell a step function, whose derivative is 0, from rounding inside a smooth one.
    """
    values = np.concatenate([s.center[None], s.right, s.left])
    fraction = np.isfinite(values) & ((np.rint(values) != values) | (np.abs(values) > 2.0**52))
    noise = s.noise.max(axis=0)
    jumps = noise > np.maximum(NOISY * unit * np.abs(s.center), SMALLEST_JUMP)
    return np.asarray(~fraction.any(axis=0) & jumps)


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
