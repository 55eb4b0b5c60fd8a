"""Roughness of an engine's errors: how much its distance from the truth changes close to a case.

A relation between two results holds to within rounding, and the bound of rounding is the truth's.
An engine whose numbers are wrong has errors of its own, which the bound does not cover. It prints
six digits, it reads exp from a table, or its gradients and their rounding errors are a thousand
times too large. Such an engine may keep the relation. Its error then changes between close cases as
much as between the two results. A broken relation shows a difference as large as the error itself,
and the errors of close cases are nearly the same.

    unexplained(trial, got, values, bounds, used)    the comparison, with this allowance
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from manualnn.oracle.checks.trial import Declined, Faulty, Trial
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import is_count
from manualnn.oracle.truth.compare import Comparison, compare, find_wrong, group_of

NEIGHBOURS = 5
"""Number of close cases."""
DISTANCE = 0.03
"""Largest relative change of a number of a close case."""
MARGIN = 4
"""Factor from the largest change found to the largest change allowed."""

Used = Iterable[tuple[Case, Mapping[str, Any], Any]]
"""The cases of a relation: the case, the engine's result for it, and its share in the relation."""


def unexplained(
    trial: Trial,
    got: Mapping[str, Any],
    values: Mapping[str, Array],
    bounds: Mapping[str, Array],
    used: Used,
    *,
    even_if_right: bool = False,
) -> Comparison:
    """Compare a result with the values that a relation demands, as `compare` does.

    Raises Declined if numbers of the cases are wrong already, and the roughness of their errors
    explains every difference beyond the bounds. `even_if_right`: the numbers need not be wrong,
    because the relation has narrower bounds than they have.
    """
    entries, right = compare(got, values, bounds)
    if not entries:
        return entries, right
    rough: dict[str, float] = {}
    for case, answer, share in used:
        for group, size in roughness(trial, case, answer, even_if_right=even_if_right).items():
            rough[group] = rough.get(group, 0.0) + MARGIN * float(abs(share)) * size
    if not rough:
        return entries, right
    wider = {name: bound + rough.get(group_of(name), 0.0) for name, bound in bounds.items()}
    if not (found := compare(got, values, wider))[0]:
        raise Declined(f"{entries[0].quantity} is wrong already, and by its own error")
    return found


def roughness(
    trial: Trial, case: Case, answer: Mapping[str, Any], *, even_if_right: bool = False
) -> dict[str, float]:
    """Return the largest change of the error near the case by group; {} if no number is wrong."""
    errors, is_wrong = _errors(trial, case, answer)
    if not (is_wrong or even_if_right):
        return {}
    rough: dict[str, float] = {}
    calls = list(trial.calls)
    for k in range(NEIGHBOURS):
        close = _close_case(case, k)
        try:
            others, _ = _errors(trial, close, trial.ask(close))
        except (Declined, Faulty):
            continue
        for name in errors.keys() & others.keys():
            with np.errstate(invalid="ignore"):
                changes = np.abs(errors[name] - others[name])
            largest = float(np.max(changes, initial=0.0, where=np.isfinite(changes)))
            rough[group_of(name)] = max(rough.get(group_of(name), 0.0), largest)
    trial.calls[:] = calls
    return rough


def _errors(trial: Trial, case: Case, answer: Mapping[str, Any]) -> tuple[dict[str, Array], bool]:
    """Return the distance from the truth of every quantity, and True if it refutes one."""
    errors, is_wrong = {}, False
    with np.errstate(all="ignore"):
        for name, near in trial.truth(case).quantities().items():
            if name in answer:
                v = np.asarray(near.v).astype(np.longdouble)
                errors[name] = np.where(near.bounded, np.asarray(answer[name]) - v, np.nan)
                is_wrong = is_wrong or bool(find_wrong(answer[name], near.v, near.bounds).any())
    return errors, is_wrong


def _close_case(case: Case, k: int) -> Case:
    """Return the case with x, parameters and state a little smaller.

    Then probabilities stay below 1. One factor for the state keeps averages of squares above the
    squares of averages.
    """
    rng = np.random.default_rng(k)
    of_state = 1 - DISTANCE * rng.random()

    def change(name: str, a: Array) -> Array:
        if group_of(name) == "state":
            return np.asarray(a * of_state).astype(a.dtype)
        if group_of(name) not in ("x", "params") or is_count(name):
            return a
        return np.asarray(a * (1 - DISTANCE * rng.random(a.shape))).astype(a.dtype)

    return case.map(change)
