"""The derivative of a function by its values alone, with an error of its own.

reference = Reference(function, specs)
reference.jacobian(arrays)           all entries, or None if they are too many
reference.directional(arrays, v)     the derivative of all outputs along v
reference.along(arrays, column, w)   the derivative of wᵀf by one parameter, in every way
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manualnn.gradcheck.data import Jacobian
from manualnn.gradcheck.functions.base import Function, FunctionFailed, Unsupported
from manualnn.gradcheck.inputs.array import Array as Spec
from manualnn.gradcheck.inputs.draws import draw_points
from manualnn.gradcheck.reference.differences import LEVELS, Differences
from manualnn.gradcheck.reference.estimate import Estimate
from manualnn.gradcheck.reference.noise import short_unit
from manualnn.gradcheck.reference.sampling import Place, Values
from manualnn.gradcheck.reference.sparsity import REACH, Pattern, find_pattern, united
from manualnn.gradcheck.reference.tiny_steps import refined
from manualnn.oracle.truth.extended import MissingMpmathError

Array = NDArray[Any]

BUDGET = 300
"""Largest number of colors."""
MOST_ENTRIES = 30_000
"""Largest number of entries. Of larger Jacobians, directions are compared."""
PLACES = 3
"""Points, beside that of the call, where dependences are looked for."""
LOOKS = 3
"""Points of a shape at which the pattern of an elementwise function is confirmed."""
FEW_BLOCKS = 2
"""Blocks of steps where a rough derivative is enough."""
OTHER_STEPS = 1.37
"""Ratio of the second series of steps to the first, when a parameter is perturbed alone."""
STAIR = 8
"""Roundoffs of an input that are no rounding of a function."""
ROUGH = 1e-6
"""Relative error of a direction that is too large to be compared."""
METHODS = {"mpmath": "differences with 50 digits (mpmath)", "complex128": "complex step"}


class Reference:
    """The derivatives of one function; what is found out about it is kept from point to point."""

    def __init__(
        self, function: Function, specs: Sequence[Spec] | None = None, budget: int = BUDGET
    ) -> None:
        self.function, self.specs, self.budget = function, specs, budget
        self._patterns: dict[tuple[tuple[int, ...], ...], Pattern | None] = {}
        self._looks: Counter[tuple[tuple[int, ...], ...]] = Counter()
        self._refused: set[str] = set()
        self._is_short = False
        self._unit = 0.0

    def jacobian(
        self, arrays: Sequence[Array], columns: Array | None = None, *, alone: bool = False
    ) -> Jacobian | None:
        """Return all derivatives at a point; None if they need too many evaluations.

        With `columns`, only the entries of these parameters are returned, and by fewer steps; with
        `alone`, each is perturbed alone, because what depends on what may differ at this point.
        Raises FunctionFailed if the function has no value there.
        """
        place = Place(self.function, self.specs, arrays)
        values = self._values(place)
        shape = values.center.size, place.x.size
        key = tuple(a.shape for a in place.base)
        if key not in self._patterns:
            self._patterns[key] = self._first_pattern(values, shape)
        pattern = self._patterns[key]
        if pattern is not None and self._reveals(values, pattern):
            pattern = self._patterns[key] = self._wider(pattern, values, shape)
        differences = Differences(values, is_short=self._is_short)
        if columns is not None and pattern is not None:
            kept = np.isin(pattern.cols, columns)
            if alone:
                rows, cols = np.indices((shape[0], columns.size)).reshape(2, -1)
                pattern = Pattern(rows, columns[cols], np.arange(shape[1]))
            else:
                pattern = Pattern(pattern.rows[kept], pattern.cols[kept], pattern.colors)
            found = differences.entries(pattern, blocks=FEW_BLOCKS)
            method = self._method(values)
            return Jacobian(pattern.rows, pattern.cols, *_in_float64(found), method, shape)
        while pattern is not None and pattern.rows.size <= MOST_ENTRIES:
            self._patterns[key] = pattern
            found = differences.entries(pattern)
            self._looks[key] += 1
            if pattern.count == 1 and self._looks[key] > LOOKS:
                break
            missing = ~_confirmed(differences, pattern, found)
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
        self._is_short = differences.is_short
        found, method = self._refined(values, pattern, found)
        return Jacobian(pattern.rows, pattern.cols, *_in_float64(found), method, shape)

    def colors(self, arrays: Sequence[Array]) -> int:
        """Return the colors of Jacobians at arrays of these shapes: the cost of one.

        It is 0 as long as there was none, and for one with too many.
        """
        pattern = self._patterns.get(tuple(np.shape(a) for a in arrays))
        return 0 if pattern is None else int(pattern.count)

    def directional(self, arrays: Sequence[Array], tangent: Array) -> Estimate:
        """Return the derivative of all outputs along a vector of all free parameters."""
        place = Place(self.function, self.specs, arrays)
        values = self._values(place)
        if not values.center.size:
            return Estimate(*np.zeros((3, 0)))
        found = Differences(values).along(np.asarray(tangent, np.float64))
        return Estimate(*_in_float64(found))

    def along(self, arrays: Sequence[Array], column: int, cotangent: Array) -> Estimate:
        """Return the derivative of wᵀf by one free parameter alone, as arrays without axes."""
        place = Place(self.function, self.specs, arrays)
        values = self._values(place)
        if not values.center.size:
            return Estimate(*np.zeros(3))  # no output, no slope
        rows = np.arange(values.center.size)
        is_column = np.arange(place.x.size) == column
        pattern = Pattern(rows, np.full(rows.size, column), np.where(is_column, 0, -1))
        differences = Differences(values, is_short=self._is_short)
        found = differences.entries(pattern)
        # Steps that are no powers of 2 round in another way, and miss a feature in another way.
        other = differences.along(OTHER_STEPS * is_column)
        doubt = found.error + other.error / OTHER_STEPS
        with np.errstate(invalid="ignore"):
            off = np.abs(found.low - other.low / OTHER_STEPS)
            off = np.fmax(off, np.abs(found.high - other.high / OTHER_STEPS))
        error = np.where(np.isfinite(other.error) & ~(off <= 2 * doubt), np.inf, found.error)
        found, _ = self._refined(values, pattern, Estimate(found.low, found.high, error))
        found = Estimate(*_in_float64(found))
        ends = found.product(np.asarray(cotangent, np.float64))[:3]
        return Estimate(*map(np.asarray, ends))

    def is_stair(
        self, arrays: Sequence[Array], column: int, cotangent: Array, slope: float
    ) -> bool:
        """Return True if steps of a parameter that are no roundoffs leave the outputs as they are.

        Only outputs with a cotangent w other than 0 count. `slope` is the derivative of wᵀf that
        the steps should show.
        """
        place = Place(self.function, self.specs, arrays)
        values = self._values(place)
        w = np.asarray(cotangent)
        terms = np.abs(w * values.center)[w != 0]
        size = np.fmax(place.scale[column], terms.max(initial=0) / abs(slope))
        h = STAIR * max(values.unit, 2.0**-53) * size
        steps = h * (np.arange(place.x.size) == column)
        sides = [values.at((place.x + s).astype(values.dtype)) for s in (steps, -steps)]
        return all(np.array_equal(side[w != 0], values.center[w != 0]) for side in sides)

    def _values(self, place: Place) -> Values:
        """Return the function in the widest numbers in which differences can be taken."""
        for kind in ("longdouble", "float64"):
            if kind in self.function.kinds and kind not in self._refused:
                try:
                    return Values(place, kind, self._unit)
                except Unsupported:
                    self._refused.add(kind)
        return Values(place, "own", self._unit)

    def _refined(self, values: Values, pattern: Pattern, found: Estimate) -> tuple[Estimate, str]:
        """Return the derivatives by the best way that the function admits, and its name."""
        for kind in ("mpmath", "complex128"):
            if kind in self.function.kinds and kind not in self._refused:
                try:
                    better = refined(values, pattern, found, kind)
                except MissingMpmathError:
                    self._refused.add(kind)
                    continue
                if better is not None:
                    return better, METHODS[kind]
                if kind == "complex128":
                    self._refused.add(kind)  # not analytic at one point: not to be trusted at any
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
        noise = [Differences(values).relative_noise()]
        for point in draw_points(self.specs, rng, PLACES):
            same = [a.shape for a in point.arrays] == [a.shape for a in values.place.base]
            with suppress(FunctionFailed, Unsupported):
                if pattern and same:
                    there = Values(Place(self.function, self.specs, point.arrays), values.kind)
                    pattern = self._wider(pattern, there, shape) or pattern
                    noise.append(Differences(there).relative_noise())
        self._unit = short_unit(np.concatenate(noise))
        values.unit = max(values.unit, self._unit)
        return pattern

    def _wider(self, pattern: Pattern, values: Values, shape: tuple[int, int]) -> Pattern | None:
        """Return a pattern with the dependences at a point; None if it has too many colors."""
        if (values.center.size, values.place.x.size) != shape:
            return pattern
        here = self._find_pattern(values, shape)
        return here and united(pattern, here, shape, self.budget)

    def _find_pattern(self, values: Values, shape: tuple[int, int]) -> Pattern | None:
        return find_pattern(_probe(values), shape, self.budget)

    @staticmethod
    def _reveals(values: Values, pattern: Pattern) -> bool:
        """Return True if an output that was flat at all points so far is not flat here.

        An entry of relu may have been negative everywhere.
        """
        idle = np.bincount(pattern.rows, minlength=values.center.size) == 0
        everything = np.ones(values.place.x.size, bool)
        return bool(idle.any() and _probe(values)(everything)[idle].any())


def _probe(values: Values) -> Callable[[NDArray[np.bool_]], NDArray[np.bool_]]:
    """Return a function that moves the parameters of a mask and says which outputs change."""
    place = values.place
    rng = np.random.default_rng(place.x.size)
    size = REACH * place.scale * rng.uniform(0.5, 1, place.x.size)
    low, high = place.limits
    steps = np.minimum(size, (high - place.x) / 2), -np.minimum(size, (place.x - low) / 2)

    def respond(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        changed = np.zeros(values.center.size, bool)
        for step in steps:
            there = values.at((place.x + np.where(mask, step, 0)).astype(values.dtype))
            changed |= (there != values.center) & ~(np.isnan(there) & np.isnan(values.center))
        return changed

    return respond


def _confirmed(differences: Differences, pattern: Pattern, found: Estimate) -> Array:
    """Return for each output whether its row of the Jacobian explains a random direction."""
    values = differences.values
    place = values.place
    if pattern.rows.size == values.center.size * place.x.size:
        return np.ones(values.center.size, bool)
    rng = np.random.default_rng(place.x.size + 1)
    low, high = place.limits
    signs = rng.choice([-1.0, 1.0], place.x.size)
    signs = np.where(place.x >= high, -1, np.where(place.x <= low, 1, signs))
    v = signs * place.scale * rng.uniform(0.5, 1, place.x.size)
    along = differences.along(v, blocks=1)
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


def _in_float64(found: Estimate) -> tuple[Array, Array, Array]:
    """Return low, high and error, rounded to float64; the error covers that."""
    low, high, error = (np.asarray(a, np.float64) for a in (found.low, found.high, found.error))
    if found.low.dtype != np.float64:
        error = error + 2.0**-53 * np.maximum(np.abs(low), np.abs(high))
    known = np.isfinite(error)
    return np.where(known, low, 0), np.where(known, high, 0), np.where(known, error, np.inf)
