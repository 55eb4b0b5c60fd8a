"""Constants of families of bugs, found in the numbers of an engine.

    Constant([1, 5, 10], largest("grads"))     the largest gradient is the level of a clip
    Constant([1e-8], solved())                 the ε that gives the engine's wrong number

`solved` runs the family with some values and solves for the value that gives the engine's own
number, at the entry with the largest error. An error is mostly a power of the constant, or linear
in it, so that few runs suffice. People write round constants, so a round number close by comes
first. Fitted values are hypotheses: the diagnosis tries them on all numbers and on other cases.
A number within its bound says nothing about a constant, however large its relative error is.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Answer, Fit, Make, Numbers
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.case import Case

RUNS = 12
"""Largest number of runs of an engine to solve for one constant."""
ROUNDINGS = 64
"""An error of fewer roundings says nothing about a constant."""
MATERIAL = 1e-3
"""Errors below this share of the largest relative error may be consequences or roundings."""


def largest(group: str, *, inverse: Callable[[float], float] = float) -> Fit:
    """Return a fit of a bound: the largest number of a group, if the truth exceeds it.

    `inverse` returns the bound of a function's argument from that of its value.
    """

    def fit(make: Make, answer: Answer) -> Iterator[Any]:
        names = _of_group(answer, group)
        bound, right = (
            max((float(np.abs(n[name]).max(initial=0)) for name in names), default=0)
            for n in (answer.got, answer.truth)
        )
        value, least = inverse(bound), ROUNDINGS * _unit(answer.case)
        if 0 < bound < right * (1 - least) and np.isfinite(value) and value:
            error = abs(inverse(bound * (1 - least)) / value - 1)
            yield from _rounded(value, error)

    return fit


def norm(*, of_each: bool) -> Fit:
    """Return a fit of a bound of the norm of all gradients, or of each of them."""
    join = max if of_each else sum

    def fit(make: Make, answer: Answer) -> Iterator[Any]:
        least = ROUNDINGS * _unit(answer.case)
        if names := _of_group(answer, "grads"):
            bound, right = (
                join(float((np.asarray(n[k], np.longdouble) ** 2).sum()) for k in names) ** 0.5
                for n in (answer.got, answer.truth)
            )
            if 0 < bound < right * (1 - least):
                yield from _rounded(bound, least)

    return fit


def _of_group(answer: Answer, group: str) -> list[str]:
    """Return the quantities of a group that an answer has; none if all of them are right."""

    def of_group(names: Iterable[str]) -> list[str]:
        return [name for name in names if name.partition(".")[0] == group]

    is_wrong = of_group(answer.wrong_names)
    return [n for n in of_group(answer.truth) if n in answer.got] if is_wrong else []


def digits(make: Make, answer: Answer) -> Iterator[str]:
    """Yield the shortest forms, .6g or .6f, in which all numbers of a result can be written.

    The correct numbers need more digits, or the form says nothing.
    """
    got, truth, dtype = answer.got, answer.truth, answer.case.dtype

    def fits(named: Numbers, form: str) -> bool:
        arrays = [np.asarray(named[name], dtype).ravel() for name in got if name in truth]
        numbers = [v for a in arrays for v in a if np.isfinite(v)]
        return all(np.asarray(float(format(float(v), form)), dtype) == v for v in numbers)

    for kind in "gf":
        forms = [f".{count}{kind}" for count in range(1, np.finfo(dtype).precision + 1)]
        form = next((form for form in forms if fits(got, form)), "")
        if form and not fits(truth, form):
            yield form


def solved(
    *starts: float, linear: bool = False, but: Callable[[Case], tuple[float, ...]] | None = None
) -> Fit:
    """Return a fit that solves for a positive constant, or `linear` for any constant.

    The solution starts from `starts`; for a linear one, these are two values. Values of `but` have
    bugs of their own.
    """

    def fit(make: Make, answer: Answer) -> Iterator[Any]:
        place = _most_wrong(answer)
        if place is None:
            return
        case, got, truth = answer.case, answer.got, answer.truth
        name, index, error = place
        right = np.asarray(truth[name])[index]
        goal = np.asarray(got[name], np.longdouble)[index] - right
        if _is_wrong_earlier(_run(make(starts[0]), case), truth, name):
            return

        def error_of(value: Any) -> Any:
            numbers = _run(make(value), case)
            return np.longdouble(numbers[name][index] if name in numbers else np.nan) - right

        others = but(case) if but else ()
        solve = _linear if linear else _powers
        for value in solve(error_of, goal, starts):
            if not any(abs(value - other) <= max(error, 1e-9) * abs(other) for other in others):
                yield from _rounded(value, error)

    return fit


def _linear(
    error_of: Callable[[Any], Any], goal: Any, starts: tuple[float, ...]
) -> Iterator[float]:
    """Solve error_of(c) = goal by secants from two values."""
    points = [(value, error_of(value) - goal) for value in starts]
    for _ in range(RUNS):
        (a, left), (b, right) = points[-2:]
        if not np.isfinite([left, right]).all() or left == right:
            return
        points.append((c := float(b - right * (b - a) / (right - left)), error_of(c) - goal))
        if abs(c - b) <= 1e-15 * abs(c) or abs(points[-1][1]) <= 1e-18 * abs(goal):
            yield c
            return
    c, rest = points[-1]
    if abs(rest) <= MATERIAL * abs(goal):
        yield c


def _powers(
    error_of: Callable[[Any], Any], goal: Any, starts: tuple[float, ...]
) -> Iterator[float]:
    """Solve error_of(c) = goal for c > 0 by secants in logarithms."""
    for start in starts:
        points: list[tuple[float, float]] = []
        at = float(np.log(start))
        for _ in range(RUNS):
            share = error_of(float(np.exp(at))) / goal
            if not (np.isfinite(share) and share > 0):
                break
            points.append((at, float(np.log(share))))
            if abs(points[-1][1]) <= 1e-15:
                break
            slope = 1.0
            for (u, left), (v, right) in pairwise(points[-2:]):
                slope = (right - left) / (v - u) if v != u and right != left else 1.0
            at = float(np.clip(at - points[-1][1] / slope, -100, 20))
        if points and abs(points[-1][1]) <= MATERIAL:
            yield float(np.exp(points[-1][0]))
            return


def _run(engine: Any, case: Case) -> dict[str, Any]:
    """Return the numbers of an engine in extended precision; none if it fails."""
    try:
        return Outcome(result=engine(dtype=np.longdouble).step(case.copy())).quantities()
    except Exception:  # noqa: BLE001 - a wrong engine may raise anything
        return {}


def _largest_errors(got: Numbers, truth: Numbers) -> dict[str, tuple[tuple[Any, ...], float]]:
    """Return the entry with the largest error of each quantity, and its relative error."""
    errors = {}
    for name, right in truth.items():
        if name in got and np.shape(got[name]) == np.shape(right) and np.size(right):
            distance = np.abs(np.asarray(got[name], np.longdouble) - right)
            size = max(np.abs(right).max(), np.abs(got[name]).max())
            if np.isfinite(distance).all() and distance.max():
                at = np.unravel_index(int(distance.argmax()), distance.shape)
                errors[name] = (at, float(distance[at] / size))
    return errors


def _is_wrong_earlier(numbers: Numbers, truth: Numbers, name: str) -> bool:
    """Return True if a wrong engine has an error before the first wrong quantity of the engine."""
    least = max(ROUNDINGS * float(np.finfo(np.longdouble).eps), 1e-15)
    errors = {n: e for n, e in _largest_errors(numbers, truth).items() if e[1] > least}
    if name not in errors:
        return False
    earlier = list(truth)[: list(truth).index(name)]
    return any(n in errors and errors[n][1] > errors[name][1] / 10 for n in earlier)


def _most_wrong(answer: Answer) -> tuple[str, tuple[Any, ...], float] | None:
    """Return the entry with the largest error of the first wrong quantity with a material one.

    The third value is the part of the error that may be rounding.
    """
    least = ROUNDINGS * _unit(answer.case)
    wrong = {name: answer.truth[name] for name in answer.wrong_names}
    errors = {n: e for n, e in _largest_errors(answer.got, wrong).items() if e[1] > least}
    if not errors:
        return None
    most = max(error for _, error in errors.values())
    name, (at, error) = next((n, e) for n, e in errors.items() if e[1] >= MATERIAL * most)
    return name, at, least / error


def _unit(case: Case) -> float:
    return float(np.finfo(case.dtype).eps)


def _rounded(value: float, error: float) -> Iterator[float]:
    """Yield the shortest number within a relative error, and the value itself."""
    for digits in range(1, 7):
        short = float(f"{value:.{digits - 1}e}")
        if abs(short - value) <= max(error, 1e-12) * abs(value):
            yield short
            if short == value:
                return
            break
    yield value
