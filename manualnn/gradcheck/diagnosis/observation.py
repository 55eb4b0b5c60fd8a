"""What is known at one point: the gradient, its reference, and the wrong entries.

    bench = Bench(judge)
    seen = bench.observe(point)          an Observation; None if the point cannot be compared
    view = seen.view("x")                one input's part of it

The judge takes a second look at every suspect, which costs many evaluations. Exploration asks for
hundreds of verdicts, so `observe` leaves the second look out and widens the bound instead. The
smallest point is judged in full.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from manualnn.gradcheck.data import Array, Jacobian, Point, flat
from manualnn.gradcheck.judge.compare import ROUNDINGS, Judge
from manualnn.gradcheck.judge.places import Places, is_outside
from manualnn.gradcheck.reference.jacobian import Reference
from manualnn.oracle.diagnosis.budget import Budget


class Limit:
    """A number of calls, and of seconds in case they are slow. Calls make reports repeatable."""

    def __init__(self, bench: "Bench", calls: int, seconds: float) -> None:
        self._bench, self._end, self._budget = bench, bench.calls + calls, Budget(seconds)

    @property
    def over(self) -> bool:
        """True if nothing is left."""
        return self._bench.calls >= self._end or self._budget.over


ROOM = 64
"""Factor of the rounding errors that `observe` allows beside the reference's error."""


@dataclass(frozen=True, eq=False)
class View:
    """One input's part of an observation. Arrays over parameters have the shape `shape`."""

    name: str
    x: Array
    """The free parameters: the entries of the input, or the lower triangle in one axis."""
    got: Array
    low: Array
    high: Array
    bound: Array
    wrong: Array
    rows: Array
    """Output of each derivative of this input."""
    cols: Array
    """Parameter of this input of each derivative, counted from 0."""
    slopes: Array
    """Each derivative."""
    seen: "Observation"

    @property
    def reference(self) -> Array:
        """The middle of the slopes."""
        return (self.low + self.high) / 2

    @property
    def decided(self) -> Array:
        """True where the reference is known."""
        return np.isfinite(self.bound)

    def product(self, w: Array) -> Array:
        """Return Jᵀw of this input for other cotangents, in the input's shape."""
        terms = w[self.rows] * self.slopes
        return np.bincount(self.cols, terms, minlength=self.x.size).reshape(self.x.shape)

    @cached_property
    def alone(self) -> Array:
        """For each parameter the only output that it moves; −1 if there are none or several."""
        count = np.bincount(self.cols, minlength=self.x.size)
        row = np.full(self.x.size, -1)
        row[self.cols] = self.rows
        return np.where(count == 1, row, -1).reshape(self.x.shape)


@dataclass(frozen=True, eq=False)
class Observation:
    """A point with the gradient there, its reference, and the wrong entries, over parameters."""

    point: Point
    places: Places
    jacobian: Jacobian
    got: Array
    low: Array
    high: Array
    bound: Array
    wrong: Array

    @property
    def w(self) -> Array:
        """The cotangents of all outputs."""
        return flat(self.point.cotangents)

    @property
    def names(self) -> list[str]:
        """Names of the differentiable inputs."""
        return self.places.names

    def view(self, name: str) -> View | None:
        """Return the part of one input; None if the input has no parameters here."""
        for number, size in enumerate(self.places.sizes):
            start = int(self.places.ends[number])
            if size and self.places.locate(start)[0] == name:
                return self._view(name, start, size, self.places.shapes[number])
        return None

    def _view(self, name: str, start: int, size: int, shape: tuple[int, ...]) -> View:
        shape = shape if int(np.prod(shape)) == size else (size,)
        own = (self.jacobian.cols >= start) & (self.jacobian.cols < start + size)
        part = slice(start, start + size)
        got, low, high, bound, wrong = (
            a[part].reshape(shape) for a in (self.got, self.low, self.high, self.bound, self.wrong)
        )
        rows, cols = self.jacobian.rows[own], self.jacobian.cols[own] - start
        slopes = (self.jacobian.low[own] + self.jacobian.high[own]) / 2
        x = self.places.parameters[part].reshape(shape)
        return View(name, x, got, low, high, bound, wrong, rows, cols, slopes, self)


class Bench:
    """Calls of one function that are compared with its reference."""

    def __init__(self, judge: Judge) -> None:
        self.function, self.specs = judge.function, judge.specs
        self._judges = {tuple(spec.shape for spec in judge.specs): judge}
        self._declared = judge.declared
        self.calls = 0
        """Number of observations so far."""

    def judge_of(self, point: Point) -> Judge:
        """Return the judge of a point's shapes; its reference probes points of these shapes."""
        key = tuple(np.shape(a) for a in point.arrays)
        if key not in self._judges:
            specs = [spec.resized(shape) for spec, shape in zip(self.specs, key, strict=True)]
            reference = Reference(self.function, specs)
            self._judges[key] = Judge(self.function, reference, specs, self._declared)
        return self._judges[key]

    def observe(
        self, point: Point, wrong: Array | None = None, *, is_clear: bool = True
    ) -> Observation | None:
        """Return the comparison at a point, with the judge's verdicts if they are given.

        Where the wider bound tells otherwise than the judge, the entry is left undecided, unless
        `is_clear` is False.

        Returns None if the function fails, a gradient has a wrong shape, or there is no Jacobian.
        """
        self.calls += 1
        try:
            gradients = self.function.vjp(point.arrays, point.cotangents)
            places = Places(self.function, self.specs, point.arrays)
            shapes = [np.shape(g) for g in gradients]
            judge = self.judge_of(point)
            jacobian = judge.jacobian(point.arrays) if shapes == places.shapes else None
        except Exception:  # noqa: BLE001  a function of anybody may fail in any way at a new point
            return None
        w = flat(point.cotangents)
        if jacobian is None or jacobian.shape != (w.size, places.ends[-1]):
            return None
        got = places.pull(gradients)
        low, high, error, size = jacobian.transposed_product(w)
        count = np.bincount(jacobian.cols, minlength=got.size)
        bound = 4 * error + ROOM * places.units * (ROUNDINGS + count) * size + places.smallest
        outside = is_outside(got, low, high, bound)
        if wrong is None:
            wrong = outside
        elif is_clear:
            bound = np.where(wrong == outside, bound, np.inf)  # a close case tells nothing
            wrong = wrong & outside
        return Observation(point, places, jacobian, got, low, high, bound, wrong)

    def outputs(self, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the outputs of the function in float64; raises what the function raises."""
        return tuple(np.asarray(y, np.float64) for y in self.function.value(arrays))
