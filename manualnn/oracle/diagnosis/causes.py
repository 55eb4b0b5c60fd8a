"""Likely causes of a finding: the known bugs that explain it.

find_likely_bugs(bench, own, …)          bugs that reproduce the engine's wrong numbers
find_causes_of_behaviour(finding, …)     bugs for which the same check gives the same finding
"""

from collections.abc import Sequence

from manualnn.oracle.bugs import BUGS
from manualnn.oracle.bugs.bug import Bug
from manualnn.oracle.cases.neighbours import contrasting_calls
from manualnn.oracle.checks.table import rejudge
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.hypotheses import surviving
from manualnn.oracle.diagnosis.observation import Observation, observe_calls
from manualnn.oracle.engines.client import EngineClient, connect
from manualnn.oracle.findings import Cause, Finding
from manualnn.oracle.truth.compare import group_of

MOST = 3
"""Largest number of causes that are named."""


def find_likely_bugs(
    bench: EngineClient,
    own: Observation,
    observations: Sequence[Observation],
    budget: Budget,
    suspects: Sequence[Bug],
) -> list[Bug]:
    """Return the known bugs that reproduce these observations, and more if several do."""
    # An observation with many wrong quantities contradicts most bugs at once, so it comes first.
    hardest = sorted(observations, key=lambda seen: -len(seen.wrong_names))
    bugs: list[Bug] = []
    for candidates in (suspects, _possible_bugs(own)):
        bugs = list(candidates)
        for seen in (*hardest[:1], own, *hardest[1:]):
            bugs = surviving(bugs, [seen], budget)
        if bugs:
            break
    for calls in contrasting_calls(own.case, bench.capabilities):
        if len(bugs) < 2 or budget.over:
            break
        seen_far = observe_calls(bench, calls)
        # If no bug explains an observation far away, that observation shows another bug.
        if seen_far is not None:
            bugs = surviving(bugs, [seen_far], budget) or bugs
    return bugs


def _possible_bugs(own: Observation) -> list[Bug]:
    """Return the bugs that can cause the wrong quantities: none of a later part of a step."""
    if len(own.calls) > 1:
        excluded = {kind for bug in BUGS.values() if (kind := bug.kind) != "memory"}
    elif own.case.steps > 1:
        excluded = set()
    elif "outputs" in own.wrong_names:
        excluded = {"optimizers", "losses"}
    elif {group_of(name) for name in own.wrong_names} <= {"state", "params"}:
        # An engine that returns no gradient shows its errors in the update.
        gradients = any(name.startswith("grads.") for name in own.got)
        excluded = {"losses", "activations"} if gradients else set()
    else:
        excluded = {"optimizers"}
    # Some bugs show in every case, such as outputs of the parameters after the update.
    anywhere = len(own.calls) == 1
    return [
        bug
        for bug in BUGS.values()
        if bug.kind not in excluded or (anywhere and bug.killed_by.startswith("*:"))
    ]


def find_causes_of_behaviour(finding: Finding, budget: Budget) -> tuple[Cause, ...]:
    """Return the known bugs for which the same check gives the same finding."""
    bugs = []
    judgement = finding.check.rpartition(":")[2]
    of_memory = judgement.startswith("memory.") or judgement in {"repeat", "interleaved", "history"}
    for bug in BUGS.values():
        if of_memory and bug.kind != "memory":
            continue
        for factory in bug.engines:
            if budget.over:
                return ()
            with connect(factory) as hypothesis:
                other = rejudge(hypothesis, finding.check, finding.case)
            if other is not None and _signature(other) == _signature(finding):
                bugs.append(bug)
                break
    return causes_of(bugs) if len(bugs) <= MOST else ()


def _signature(finding: Finding) -> tuple[object, ...]:
    """Return what two findings of the same bug have in common."""
    lines = finding.message.strip().splitlines()
    entries = tuple((entry.quantity, entry.index) for entry in finding.entries)
    return finding.kind, lines[-1] if lines else "", entries


def causes_of(bugs: Sequence[Bug]) -> tuple[Cause, ...]:
    """Return the first bugs as causes, MOST at most."""
    return tuple(Cause(bug.id, bug.title, bug.wrong, bug.right) for bug in bugs[:MOST])
