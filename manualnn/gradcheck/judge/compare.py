"""The decision whether a gradient is wrong: distance from the reference against its error bound.

    judge = Judge(function, reference, specs)
    judgement = judge.judge(point)        its wrong entries; empty if the gradient is right

With a cotangent w, the gradient has to be g = Jᵀw. The reference gives J between `low` and `high`
with an error. An entry of g is right if its distance from that interval is at most

    error + u · (16 + n) · Σ |w| |J|

with the unit roundoff u of the function's numbers and n summands. An entry outside is only a
suspect, because a right gradient may be ill-conditioned there. `confirm` decides about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from manualnn.gradcheck.data import Array, Entry, Jacobian, Point, flat
from manualnn.gradcheck.functions.base import Function
from manualnn.gradcheck.inputs.array import Array as Spec
from manualnn.gradcheck.judge.confirm import SAFETY, Suspicion
from manualnn.gradcheck.judge.directions import Directions
from manualnn.gradcheck.judge.places import Places, is_outside
from manualnn.gradcheck.judge.surroundings import Surroundings
from manualnn.gradcheck.judge.ties import Groups, find_groups
from manualnn.gradcheck.reference.jacobian import Reference

ROUNDINGS = 16
"""Number of roundings, beside those of a sum, that a right gradient may have."""
OF_SECOND = 2.0**-20
"""Relative error of second derivatives that passes: their terms cancel more often, and a mistake is
never small. Those that are not finite are not judged."""
KNOWN = 64
"""Number of points whose Jacobians are kept, because the explanation of a failure needs them."""
CONFIRMATIONS = 4
"""Number of wrong gradients after which the function is wrong for sure, and others are not looked
at by perturbing single inputs."""


@dataclass(frozen=True)
class Kink:
    """A place where the slopes from both sides differ, and the slope that the function takes."""

    input: str
    x: float
    low: float
    high: float
    got: float

    @property
    def sentence(self) -> str:
        """Return the convention as a sentence."""
        slopes = f"the slopes are {self.low:.6g} and {self.high:.6g}"
        return f"at {self.input} = {self.x:g} the gradient is {self.got:.6g}; {slopes}"


def _none() -> Array:
    return np.zeros(0)


@dataclass(frozen=True, eq=False)
class Judgement:
    """What is wrong with the gradient at a point."""

    entries: tuple[Entry, ...] = ()
    """The wrong entries, the worst first; at most `MOST_ENTRIES`."""
    wrong: int = 0
    compared: int = 0
    undecided: int = 0
    """Number of entries whose derivative the function's values do not decide."""
    sharpness: Array | None = None
    """Error bound over |value| of each compared entry other than 0."""
    kinks: tuple[Kink, ...] = ()
    method: str = ""
    tied: Entry | None = None
    """The sum of the gradients of numbers that tie, where that sum is wrong."""
    imprecise: float = 0.0
    """Largest error beyond rounding, relative to Σ |w||J|, that is a lack of digits."""
    got: Array = field(default_factory=_none)
    """The gradient of all free parameters; like the next four empty where it has a wrong shape or
    where the Jacobian has too many entries."""
    low: Array = field(default_factory=_none)
    high: Array = field(default_factory=_none)
    bound: Array = field(default_factory=_none)
    is_wrong: Array = field(default_factory=_none)


@dataclass
class Confirmed:
    """Number of gradients of one function that were looked at closely and are wrong."""

    count: int = 0


class Judge:
    """The judge of the gradients of one function."""

    def __init__(
        self,
        function: Function,
        reference: Reference,
        specs: Sequence[Spec],
        kinks: Mapping[float, float] | None = None,
        *,
        is_second: bool = False,
        confirmed: Confirmed | None = None,
    ) -> None:
        """Make a judge; `is_second` judges a gradient of a gradient, more coarsely.

        Judges of one function share what is `confirmed`.
        """
        self.function, self.reference, self.specs = function, reference, list(specs)
        self.declared, self._is_second = dict(kinks or {}), is_second
        self._known: dict[int, tuple[tuple[Array, ...], Jacobian | None]] = {}
        self._confirmed = confirmed or Confirmed()
        self._groups: tuple[tuple[Array, ...], Groups] | None = None
        self._around: tuple[tuple[Array, ...], Surroundings] | None = None

    def judge(self, point: Point) -> Judgement:
        """Return the judgement of vjp(point.arrays, point.cotangents); raises FunctionFailed."""
        gradients = self.function.vjp(point.arrays, point.cotangents)
        places = Places(self.function, self.specs, point.arrays)
        if [np.shape(g) for g in gradients] != places.shapes:
            return Judgement()  # the check of shapes reports it
        w = flat(point.cotangents)
        got = places.pull(gradients)
        jacobian = self.jacobian(point.arrays)
        if jacobian is None:
            return self._judge_directions(places, point, w, got)
        low, high, error, size = jacobian.transposed_product(w)
        count = np.bincount(jacobian.cols, minlength=jacobian.shape[1])
        bound = error + places.units * (ROUNDINGS + count) * size
        bound += places.smallest * max(1.0, np.abs(w).max(initial=0))
        if self._is_second:
            largest = np.abs(got[np.isfinite(got)]).max(initial=0)
            bound = np.maximum(bound, OF_SECOND * (size + largest))
        # 0 · ∞ is NaN in right gradients as well, where the slope is infinite.
        unbounded = np.zeros(got.size, bool)
        unbounded[jacobian.cols[~np.isfinite(jacobian.error)]] = True
        # Without outputs, the mean of nothing is NaN.
        is_open = unbounded | self._is_second | (w.size == 0)
        if not np.isfinite(got).all():
            # Neither has a function a derivative where it is NaN, as the variance of one number.
            is_open |= not np.isfinite(flat(self.function.value(point.arrays))).all()
        bound[~np.isfinite(got) & is_open] = np.inf
        bound[np.maximum(np.abs(low), np.abs(high)) > places.largest] = np.inf
        wrong, imprecise = np.flatnonzero(is_outside(got, low, high, bound)), 0.0
        if wrong.size:
            suspicion = Suspicion(
                self.reference,
                self.specs,
                jacobian,
                self._surroundings(point, wrong),
                places,
                point,
                w,
                got,
                bound,
                frozenset(self.declared),
            )
            bound, wrong = suspicion.confirm(wrong, look=self._confirmed.count < CONFIRMATIONS)
            imprecise = suspicion.imprecise
            self._confirmed.count += wrong.size > 0
        decided = np.isfinite(bound)
        value = np.maximum(np.abs(low), np.abs(high))
        shown = decided & (value > 0)
        return Judgement(
            places.entries(got, low, high, bound, wrong),
            wrong.size,
            int(decided.sum()),
            int((~decided).sum()),
            bound[shown] / value[shown],
            self._find_kinks(jacobian, places, w, got),
            jacobian.method,
            None if wrong.size or self._is_second else self._find_tied(places, point, w, got),
            imprecise,
            got,
            low,
            high,
            bound,
            np.isin(np.arange(got.size), wrong),
        )

    def _find_tied(self, places: Places, point: Point, w: Array, got: Array) -> Entry | None:
        """Return the sum of gradients of equal numbers, if it is wrong.

        Moving all of them together is no kink of max(x, y), where each slope alone is one.
        """
        if self._groups is None or self._groups[0] is not point.arrays:
            self._groups = point.arrays, find_groups(self.reference, places, point.arrays)
        for columns, d in self._groups[1]:
            low, high, error, terms = d.product(w)
            if low < high:
                continue  # the gradients of one side alone are not all that are right
            mine, size = got[columns].sum(), np.abs(got[columns]).sum() + terms
            # Terms that cancel have the size of the largest gradient; a mistake here is as large.
            coarse = max(2.0**-20, 4 * float(places.units[columns].max()))
            bound = SAFETY * error + coarse * max(size, np.abs(got).max()) + places.smallest
            # Where the slopes themselves are 0, as those of a variance, roundoffs are left.
            bound += float(places.units.max()) * np.abs(w).sum()
            if is_outside(np.array([mine]), low, high, bound)[0]:
                name, index = places.locate(int(columns[0]))
                return Entry(name, index, float(mine), low, high, float(bound))
        return None

    def _judge_directions(self, places: Places, point: Point, w: Array, got: Array) -> Judgement:
        """Return the judgement of a gradient whose Jacobian has too many entries.

        It is empty where the function is known to be wrong, because it explains nothing.
        """
        if self._confirmed.count >= CONFIRMATIONS:
            return Judgement()
        trial = Directions(self.reference, self.specs, places, point, w, got)
        trial.judge()
        self._confirmed.count += bool(trial.wrong)
        columns = np.array(sorted(trial.wrong), int)
        low, high, bound = (np.full(got.size, np.nan) for _ in range(3))
        for column, entry in trial.wrong.items():
            low[column], high[column], bound[column] = entry.low, entry.high, entry.bound
        return Judgement(
            places.entries(got, low, high, bound, columns),
            columns.size,
            got.size if trial.sharpness or trial.wrong else 0,
            trial.undecided,
            np.array(trial.sharpness),
            method="differences along random directions",
        )

    def jacobian(self, arrays: tuple[Array, ...]) -> Jacobian | None:
        """Return the Jacobian with declared slopes; None if it has too many colors."""
        if id(arrays) in self._known:
            return self._known[id(arrays)][1]
        jacobian = self.reference.jacobian(arrays)
        if jacobian is not None and self.declared:
            jacobian = self._with_declared(jacobian, arrays)
        if len(self._known) >= KNOWN:
            del self._known[next(iter(self._known))]
        self._known[id(arrays)] = arrays, jacobian  # with the arrays, so that no others get the id
        return jacobian

    def _surroundings(self, point: Point, columns: Array) -> Surroundings:
        """Return what is around a point; the last one is kept for its other cotangents."""
        known = self._around[1] if self._around and self._around[0] is point.arrays else None
        if known is None or not np.isin(columns, known.columns).all():
            columns = columns if known is None else np.union1d(columns, known.columns)
            few = self._confirmed.count >= CONFIRMATIONS
            known = Surroundings.find(self.reference, self.specs, point.arrays, columns, few=few)
            self._around = point.arrays, known
        return known

    def _with_declared(self, jacobian: Jacobian, arrays: tuple[Array, ...]) -> Jacobian:
        x = Places(self.function, self.specs, arrays).parameters[jacobian.cols]
        open_ = (jacobian.low < jacobian.high) | ~np.isfinite(jacobian.error)
        low, high, error = jacobian.low.copy(), jacobian.high.copy(), jacobian.error.copy()
        for at, slope in self.declared.items():
            mask = open_ & (x == at)
            low[mask] = high[mask] = slope
            error[mask] = 0
        return replace(jacobian, low=low, high=high, error=error)

    @staticmethod
    def _find_kinks(jacobian: Jacobian, places: Places, w: Array, got: Array) -> tuple[Kink, ...]:
        """Return kinks of parameters that move one output only, with the slope taken there."""
        alone = np.bincount(jacobian.cols, minlength=jacobian.shape[1]) == 1
        kinked = (jacobian.low < jacobian.high) & alone[jacobian.cols] & (w[jacobian.rows] != 0)
        found = set()
        for k in np.flatnonzero(kinked)[:64]:
            column = int(jacobian.cols[k])
            slope = float(got[column] / w[jacobian.rows[k]])
            x = float(places.parameters[column]) + 0.0
            numbers = (float(f"{n:.6g}") + 0.0 for n in (jacobian.low[k], jacobian.high[k], slope))
            found.add(Kink(places.locate(column)[0], x, *numbers))
        return tuple(found)
