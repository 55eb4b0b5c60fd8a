"""Judgements: what is asserted of an engine on a case, each by a name and in a sentence.

    JUDGEMENTS["batch.shards"].judge(trial)        a Finding, or None where the engine is right
    rejudge(bench, "relations:batch.shards", case)     the same, on an engine without history
    judge(trial)                                   the same, on an engine as it is

A check is a recipe and a judgement, "loss.MSELoss.mean:grads". Six judgements hold the engine
against the truth, quantity by quantity in the order of a step; a case that goes wrong fails under
the first of them that it violates, and what follows from a wrong number is not held against the
engine twice. The others are in `relations`, `slopes`, `paths`, `repetition` and `sharing`. Whatever
a judgement does beyond the case is deterministic.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from manualnn.oracle.cases.recipe import DIFFERENTIAL
from manualnn.oracle.checks import finite_differences as slopes
from manualnn.oracle.checks import memory as sharing
from manualnn.oracle.checks import metamorphic as relations
from manualnn.oracle.checks import path_sums as paths
from manualnn.oracle.checks import repeatability as repetition
from manualnn.oracle.checks.trial import Declined, Faulty, Trial
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import Entry, Finding
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.truth.bounded import Precision
from manualnn.oracle.truth.step import truth


@dataclass(frozen=True)
class Judgement:
    """An assertion about an engine."""

    name: str
    sentence: str
    judge: Callable[[Trial], Finding | None]
    needs: Callable[[Capabilities], bool] = lambda _: True
    """Whether the claims admit it."""
    shares_memory: bool = False
    """Only for engines in this process."""
    restarts: bool = False
    """It starts the engine anew, which takes long for a process."""


def rejudge(bench: EngineClient, check: str, case: Case) -> Finding | None:
    """Run one check on one case, on a fresh engine; None also where it has nothing to say."""
    bench.fresh()
    try:
        return judge(Trial(bench, check, case))
    except Declined:
        return None


def judge(trial: Trial) -> Finding | None:
    """Return what the trial's check finds, faults included; Declined if it has nothing to say."""
    trial.calls.clear()
    try:
        return JUDGEMENTS[trial.check.rpartition(":")[2]].judge(trial)
    except Faulty as fault:
        kind, said = fault.outcome.fault or "error", fault.outcome.message
        return replace(trial.finding(said), kind=kind)


def _differential(name: str) -> Callable[[Trial], Finding | None]:
    def judged(trial: Trial) -> Finding | None:
        trial.asked()
        entries, right = trial.verdict
        wrong = [_judgement(entry.quantity) for entry in entries]
        if name not in wrong:
            return None
        if wrong[0] != name:
            raise Declined(f"what it follows from is wrong already: {entries[0].quantity}")
        return trial.finding(described_entry(entries[0]), entries, right)

    return judged


def _judgement(quantity: str) -> str:
    return quantity.partition(".")[0]


def described_entry(entry: Entry) -> str:
    """Return in words what is wrong with an entry."""
    index = f"[{', '.join(map(str, entry.index))}]" if entry.index else ""
    within = f"to within {entry.bound:.2g}" if entry.bound else "exactly"
    return (
        f"{entry.quantity}{index} is {entry.got:.17g}; it has to be {entry.expected:.17g} {within}"
    )


def _exact(trial: Trial) -> Finding | None:
    """Judge a case in which the forward pass need not round: of its jumps none is undecided.

    The outputs are exact, for sums are in any order. Of what follows a right program may round
    something: a square of a root, a third of a batch.
    """
    got = trial.asked()
    kind = Precision.of(trial.case.dtype, trial.bench.capabilities)
    kind.decided = True
    expected = truth(trial.case, kind)
    near = expected.quantities()
    outputs = near["outputs"]
    if np.any(np.asarray(outputs.v).astype(kind.dtype) != outputs.v):
        raise Declined("not every output is a number of the dtype")
    near["outputs"] = kind.exact(outputs.v)
    entries, right = trial.compare(got, near, expected)
    if not entries:
        return None
    return trial.finding(described_entry(entries[0]), entries, right)


def _finite(trial: Trial) -> Finding | None:
    got, expected = trial.asked(), trial.truth(trial.case)
    entries = []
    for name, near in expected.quantities().items():
        if name in got:
            bad = ~np.isfinite(got[name]) & np.isfinite(np.asarray(near.e + abs(near.v), float))
            if bad.any():
                i = tuple(int(j) for j in np.argwhere(bad)[0])
                entry = Entry(name, i, float(got[name][i]), float(near.v[i]), float(near.e[i]))
                entries.append(replace(entry, wrong=int(bad.sum()), size=bad.size))
    return trial.finding(described_entry(entries[0]), entries) if entries else None


def _returned(name: str) -> Callable[[Capabilities], bool]:
    return lambda claims: name in claims.returns


_SENTENCES = {
    "outputs": "the network's outputs are the truth's, within the bound",
    "loss": "the loss is the truth's, within the bound",
    "grads": "every entry of every gradient is the truth's, within the bound",
    "input_grad": "the gradient with respect to the input is the truth's, within the bound",
    "state": "the optimizer's new state is the truth's, within the bound, and counts its steps",
    "params": "every updated parameter is the truth's, within the bound",
}

JUDGEMENTS: dict[str, Judgement] = {
    entry.name: entry
    for entry in (
        *(Judgement(n, _SENTENCES[n], _differential(n), _returned(n)) for n in DIFFERENTIAL),
        Judgement(
            "exact",
            "where no sum has to round, the outputs are exact, every slope at a kink is decided, "
            "and all other numbers are the truth's, within the bound",
            _exact,
        ),
        Judgement("finite", "no result is NaN or infinite where the truth is finite", _finite),
        *(Judgement(*row) for row in relations.TABLE),
        *(Judgement(*row, restarts=True) for row in repetition.RESTARTING),
        *(Judgement(*row) for row in repetition.TABLE),
        *(Judgement(*row, shares_memory=True) for row in sharing.TABLE),
        *(Judgement(*row) for row in slopes.TABLE),
        *(Judgement(*row) for row in paths.TABLE),
    )
}
