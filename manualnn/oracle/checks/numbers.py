"""Checks of a result's numbers: against the truth, against exact numbers, finite or not.

Six differential checks compare one kind of quantity each with the truth, in the order of a step. A
check does not fail because an earlier quantity is wrong: gradients do not follow from the value of
the loss, and updates are judged by the engine's own gradients if those are wrong.
"""

from functools import partial

import numpy as np

from manualnn.oracle.cases.lattice import is_exact
from manualnn.oracle.cases.recipe import DIFFERENTIAL
from manualnn.oracle.checks.judgement import Judgement, check, returning
from manualnn.oracle.checks.trajectory import judge_own_updates
from manualnn.oracle.checks.trial import Declined, Faulty, Follows, Trial
from manualnn.oracle.findings import Entry, Finding
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import LAYER_ROWS, LOSS_ROWS
from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.compare import first_entry, group_of, true_values
from manualnn.oracle.truth.step import truth


def _differential(name: str, trial: Trial) -> Finding | None:
    trial.ask_base()
    entries, right = trial.verdict
    if name in {"grads", "input_grad"} and "outputs" in right:
        entries = tuple(entry for entry in entries if entry.quantity != "loss")
    wrong = [group_of(entry.quantity) for entry in entries]
    if name == "grads" and not trial.case.learned:
        raise Declined("no case has a parameter, so there is no gradient")
    if name not in wrong:
        return None
    if wrong[0] == name:
        return trial.finding(describe_entry(entries[0]), entries, right)
    if name in {"state", "params"} and wrong[0] not in {"state", "params"}:
        return judge_own_updates(trial, name)
    raise Follows(f"{wrong[0]} is wrong already, and {name} follows from it")


def describe_entry(entry: Entry) -> str:
    """Return a sentence on a wrong entry: the number, the expected number and the bound."""
    within = f"to within {entry.bound:.2g}" if entry.bound else "exactly"
    place = describe_place(entry)
    return f"{place} is {entry.got:.17g}; it has to be {entry.expected:.17g} {within}"


def describe_place(entry: Entry) -> str:
    """Return the quantity and the index of an entry."""
    return entry.quantity + (f"[{', '.join(map(str, entry.index))}]" if entry.index else "")


@check(
    "exact",
    "where no correct program rounds, numbers are exact, every slope at a kink is decided, "
    "and all other numbers are the truth's, within the bound",
)
def _exact(trial: Trial) -> Finding | None:
    """Judge a case in which no sum has to round, so that every slope at a kink is decided.

    `is_exact` names the quantities that no correct program rounds. The others keep their bounds.
    """
    got = trial.ask_base()
    kind = Precision.of(trial.case.dtype, trial.bench.capabilities)
    kind.decided = True
    expected = truth(trial.case, kind)
    truths = expected.quantities()
    exact = [name for name in truths if is_exact(trial.case, name)]
    if not all(_is_power_of_two(truths[name].v) for name in exact if name.startswith("grads")):
        exact = ["outputs"]
    for name in exact:
        number = truths[name]
        if np.any(np.asarray(number.v).astype(kind.dtype) != number.v):
            raise Declined(f"{name} has numbers that the dtype does not have")
        e = np.where(number.bounded, kind.exact(number.v).e, np.inf)
        truths[name] = Bounded(number.v, e, kind)
    entries, right = trial.compare(got, truths, expected.steps)
    return trial.finding(describe_entry(entries[0]), entries, right) if entries else None


def _is_power_of_two(v: Array) -> bool:
    """Return True if every number is 0 or a power of two, with any sign."""
    mantissas, _ = np.frexp(np.abs(np.asarray(v)).astype(np.float64))
    return bool(np.all((mantissas == 0) | (mantissas == 0.5)))


@check("finite", "no result is NaN or infinite where the truth is finite")
def _finite(trial: Trial) -> Finding | None:
    got, truths = trial.ask_base(), trial.truth(trial.case).quantities()
    entries = []
    for name in [name for name in truths if name in got]:
        bounds = truths[name].bounds
        wrong = ~np.isfinite(got[name]) & np.isfinite(bounds)
        if wrong.any():
            entries.append(first_entry(name, wrong, got[name], truths[name].v, bounds))
    return trial.finding(describe_entry(entries[0]), entries) if entries else None


@check("overflow", "no result is finite where the truth is far beyond the dtype's range")
def _overflow(trial: Trial) -> Finding | None:
    """Judge numbers that no program can hold: the result is infinite or NaN.

    The bound is that of a dtype without a largest number, and rules out results within the range.
    An engine may report an error instead, as Python does for the square of a large float.
    A correct program may return to finite numbers only by an operation that infinity leaves finite,
    such as a quotient or a saturating function. The cases have none.
    """
    case = trial.case
    if not _keeps_infinity(case):
        raise Declined("the case has operations whose result is finite for infinite numbers")
    try:
        got = trial.ask_base()
    except Faulty as faulty:
        if faulty.outcome.fault in ("crash", "hang"):
            raise
        raise Declined("the engine reports an error for numbers beyond the range") from None
    kind = Precision.of(case.dtype, trial.bench.capabilities)
    for numbers in filter(None, (kind, kind.sums)):
        numbers.max, numbers.to_the_edge, numbers.rough = np.inf, 1.0, numbers.wide
    beyond = 2 * np.finfo(case.dtype).max.astype(np.longdouble)
    for name, number in truth(case, kind).quantities().items():
        least = np.abs(true_values(number)) - number.bounds
        wrong = np.isfinite(got.get(name, np.inf)) & (least > beyond)
        if wrong.any():
            entry = first_entry(name, wrong, got[name], np.inf * np.sign(number.v), 0.0)
            value = np.format_float_scientific(true_values(number)[entry.index], precision=2)
            message = (
                f"{describe_place(entry)} is {entry.got:.17g}; the truth is {value}, beyond the "
                f"range of {case.dtype}, so that it has to be infinite or NaN"
            )
            return trial.finding(message, [entry])
    return None


def _keeps_infinity(case: Case) -> bool:
    """Return True if all operations on large positive numbers are sums and products."""
    arrays = [case.x, *case.params.values()]
    return (
        all(LAYER_ROWS[layer["type"]].is_homogeneous for layer in case.layers)
        and LOSS_ROWS[case.loss["type"]].statement is not None
        and (case.optimizer is None or case.optimizer["type"] == "SGD")
        and all(np.all(array > 0) for array in arrays)
    )


_SENTENCES = {
    "outputs": "the network's outputs are the truth's, within the bound",
    "loss": "the loss is the truth's, within the bound",
    "grads": "every entry of every gradient is the truth's, within the bound",
    "input_grad": "the gradient with respect to the input is the truth's, within the bound",
    "state": "the optimizer's new state is the truth's, within the bound, and counts its steps",
    "params": "every updated parameter is the truth's, within the bound",
}
CHECKS = (
    *(Judgement(n, _SENTENCES[n], partial(_differential, n), returning(n)) for n in DIFFERENTIAL),
    _exact,
    _finite,
    _overflow,
)
