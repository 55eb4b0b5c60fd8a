"""Checks of a result's numbers: against the truth, against exact outputs, finite or not.

Six differential checks compare one kind of quantity each with the truth, in the order of a step. A
case that goes wrong fails only the first of them that it violates, because later quantities follow
from the wrong one.
"""

from functools import partial

import numpy as np

from manualnn.oracle.cases.recipe import DIFFERENTIAL
from manualnn.oracle.checks.judgement import Judgement, check, returning
from manualnn.oracle.checks.trial import Declined, Trial
from manualnn.oracle.findings import Entry, Finding
from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.compare import first_entry, group_of
from manualnn.oracle.truth.step import truth


def _differential(name: str, trial: Trial) -> Finding | None:
    trial.ask_base()
    entries, right = trial.verdict
    wrong = [group_of(entry.quantity) for entry in entries]
    if name not in wrong:
        return None
    if wrong[0] != name:
        raise Declined(f"{entries[0].quantity} is wrong already, and {name} follows from it")
    return trial.finding(describe_entry(entries[0]), entries, right)


def describe_entry(entry: Entry) -> str:
    """Return a sentence on a wrong entry: the number, the expected number and the bound."""
    index = f"[{', '.join(map(str, entry.index))}]" if entry.index else ""
    within = f"to within {entry.bound:.2g}" if entry.bound else "exactly"
    return (
        f"{entry.quantity}{index} is {entry.got:.17g}; it has to be {entry.expected:.17g} {within}"
    )


@check(
    "exact",
    "where no sum has to round, the outputs are exact, every slope at a kink is decided, "
    "and all other numbers are the truth's, within the bound",
)
def _exact(trial: Trial) -> Finding | None:
    """Judge a case in which no sum has to round, so that every slope at a kink is decided.

    The outputs are exact, because sums are exact in any order. Later quantities keep their bounds:
    a correct program may round the square of a root, or a third of a batch.
    """
    got = trial.ask_base()
    kind = Precision.of(trial.case.dtype, trial.bench.capabilities)
    kind.decided = True
    expected = truth(trial.case, kind)
    truths = expected.quantities()
    outputs = truths["outputs"]
    if np.any(np.asarray(outputs.v).astype(kind.dtype) != outputs.v):
        raise Declined("not every output is a number of the dtype")
    e = np.where(outputs.bounded, kind.exact(outputs.v).e, np.inf)
    truths["outputs"] = Bounded(outputs.v, e, kind)
    entries, right = trial.compare(got, truths, expected.steps)
    return trial.finding(describe_entry(entries[0]), entries, right) if entries else None


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
)
