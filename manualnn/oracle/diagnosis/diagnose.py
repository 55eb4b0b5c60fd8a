"""Diagnosis of a finding: what is wrong, when, and which known bug explains it.

    diagnose(bench, finding, seconds=2.0)      a Diagnosis; never raises for the engine's errors
    diagnose(bench, finding, known=known)      the same, for an engine with known bugs

The diagnosis calls the engine again and answers four questions, in this order, until time runs out.
Which quantity is wrong first, and which of its entries (`location`)? Is it wrong by a constant
factor (`factors`)? Which known bugs give the engine's own numbers (`hypotheses`)? And when does the
engine fail (`conditions`)?

The case of a finding is often too small to answer: with one sample and one column, many bugs give
the same numbers. So the case is grown again into cases of other sizes and numbers
(`cases.neighbours`). A known bug is named if it passes the tests of `naming`.

Bugs that were named for earlier findings of the same engine are `known`. If they give all numbers
of the finding, they are its causes. Otherwise a bug is searched for that acts beside them.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from manualnn.oracle.bugs import BUGS
from manualnn.oracle.bugs.bug import Bug
from manualnn.oracle.cases.neighbours import similar_calls
from manualnn.oracle.cases.resize import is_valid
from manualnn.oracle.checks.table import rejudge
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.conditions.history import find_earlier_call
from manualnn.oracle.diagnosis.conditions.outcome import BehaviourJudge, NumbersJudge
from manualnn.oracle.diagnosis.conditions.search import find_condition
from manualnn.oracle.diagnosis.factors import (
    describe_factors,
    describe_precision,
    find_factor,
)
from manualnn.oracle.diagnosis.location import locate
from manualnn.oracle.diagnosis.names.hypotheses import Hypothesis
from manualnn.oracle.diagnosis.names.known import Known
from manualnn.oracle.diagnosis.names.past import Past
from manualnn.oracle.diagnosis.names.search import MOST, NO_TIME, TIME_FOR_NAMED, Search
from manualnn.oracle.diagnosis.observation import Observation, observe
from manualnn.oracle.engines.client import EngineClient, EngineError, connect
from manualnn.oracle.findings import Cause, Diagnosis, Finding
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import buffer_of
from manualnn.oracle.truth.compare import group_of, is_same

NONDETERMINISTIC = (
    "the engine is nondeterministic: a fresh instance gives different numbers for the same case"
)
LEFT_FOR_CONDITIONS = 1.0
"""Seconds for the condition, even if the budget is spent."""
NEIGHBOURS = 40
"""Largest number of the condition's observations that may refute a name."""
REPETITIONS = 3
"""Number of further calls with the same case, to see whether the engine is deterministic."""


def diagnose(
    bench: EngineClient,
    finding: Finding,
    *,
    seconds: float = 2.0,
    known: Known | None = None,
    past: Past | None = None,
) -> Diagnosis:
    """Return the diagnosis of a finding, in about `seconds`.

    `known` are the bugs that are named already. A bug that is named here is added to them. `past`
    are earlier cases of the engine, which may refute a name.
    """
    search = Search(bench, known or Known(), past or Past(), Budget(seconds))
    try:
        # Wrong engines return NaN and infinity, which need no warning.
        with np.errstate(all="ignore"):
            return _diagnose(finding, search)
    except EngineError as error:
        return Diagnosis(finding.entries[0].quantity if finding.entries else "", str(error))


def _diagnose(finding: Finding, search: Search) -> Diagnosis:
    bench, budget = search.bench, search.budget
    own = None if finding.kind != "wrong" else _observe_again(bench, finding, budget)
    if own is None and finding.kind == "wrong" and is_about_numbers(finding):
        return Diagnosis(finding.entries[0].quantity, NONDETERMINISTIC)
    if own is None:
        return _diagnose_behaviour(bench, finding, budget)
    if not _is_deterministic(bench, own):
        return Diagnosis(locate(own)[0], NONDETERMINISTIC)
    same = search.known.explaining(own)
    if same:
        return Diagnosis(*locate(own), likely=causes_of(same), together=True)
    rebased = search.known.rebased(own)
    return _diagnose_numbers(rebased if rebased.is_wrong else own, search)


def _diagnose_numbers(own: Observation, search: Search) -> Diagnosis:
    bench, budget = search.bench, search.budget
    observations = [own]
    time_for_cases = budget.with_at_least(TIME_FOR_NAMED) if search.known.ids else budget
    for calls in similar_calls(own.calls, bench.capabilities):
        if time_for_cases.over:
            break
        neighbour = observe(bench, calls, fresh=False)
        if neighbour is not None:
            observations.append(search.known.rebased(neighbour))
    failing = [seen for seen in observations if seen.is_wrong]
    alike = [seen for seen in failing[1:] if _resembles(seen, own)]
    grown = next(iter(alike), own)
    first, scope = locate(grown)
    if grown is not own:
        scope += f" (seen with N = {grown.case.n}, widths {_widths_text(grown.case)})"
    same = [seen for seen in failing if first in seen.wrong_names]
    factors = [find_factor(seen, first) for seen in same[1:4] or same]
    ratio = describe_factors(factors) or describe_precision(grown)
    naming = search.name(_possible_bugs(own), own, observations[1:])
    budget = budget.with_at_least(LEFT_FOR_CONDITIONS)
    when, neighbours = _find_condition(search, own, budget)
    naming = search.still(naming, neighbours[:NEIGHBOURS])
    search.add(naming)
    return Diagnosis(
        first,
        scope,
        ratio,
        when,
        causes_of(naming.hypotheses),
        naming.reason == NO_TIME,
        naming.together,
        naming.reason,
    )


def _resembles(seen: Observation, own: Observation) -> bool:
    """Return True if a similar case has as many calls, and its first error in the same place.

    Another place may be that of another mistake.
    """
    first, own_first = ([group_of(name) for name in each.wrong_names[:1]] for each in (seen, own))
    return len(seen.calls) == len(own.calls) and (first == own_first or not own_first)


def _diagnose_behaviour(bench: EngineClient, finding: Finding, budget: Budget) -> Diagnosis:
    """Return the diagnosis of a fault, or of a failed check whose numbers are right."""

    def shows(case: Case) -> bool:
        if finding.kind == "wrong":
            return rejudge(bench, finding.check, case) is not None
        bench.fresh()
        return bench.run(case).fault == finding.kind

    first = finding.entries[0].quantity if finding.entries else ""
    scope = finding.message.strip().splitlines()[-1] if finding.message.strip() else finding.kind
    likely = _find_causes_of_behaviour(finding, budget)
    budget = budget.with_at_least(LEFT_FOR_CONDITIONS)
    when = ""
    if finding.kind != "hang":
        judge = BehaviourJudge(bench, budget, shows)
        when = find_condition(judge, finding.case, bench.capabilities)
    return Diagnosis(first, scope, when=when, likely=likely)


def _observe_again(bench: EngineClient, finding: Finding, budget: Budget) -> Observation | None:
    """Return the first wrong call again, after as few earlier calls as possible.

    Return None if no number is wrong.
    """
    calls = finding.calls or (finding.case,)
    seen = observe(bench, calls)
    if seen is None:
        return None
    for i, case in enumerate(calls):
        part = Observation(calls[: i + 1], seen.outcomes[: i + 1], seen.truths[: i + 1])
        if part.is_wrong:
            # Calls of the same data type come first, because hypotheses run in longdouble alone.
            earlier = sorted(calls[:i], key=lambda other: other.dtype != case.dtype)
            for shorter in ([case], *([before, case] for before in earlier)):
                again = observe(bench, shorter)
                if again is not None and again.is_wrong:
                    return again
                if budget.over:
                    break
            return part
    return None


def is_about_numbers(finding: Finding) -> bool:
    """Return True if a finding is a comparison with the truth of more than a number of steps."""
    judgement = finding.check.rpartition(":")[2]
    numbers = {entry.quantity for entry in finding.entries} - {"state.step"}
    return judgement in {group_of(quantity) for quantity in numbers}


def _is_deterministic(bench: EngineClient, seen: Observation) -> bool:
    """Return True if further calls with the same cases give the same results."""
    for _ in range(REPETITIONS):
        again = observe(bench, seen.calls)
        if again is None or again.got.keys() != seen.got.keys():
            return False
        if not all(is_same(a, again.got[name]) for name, a in seen.got.items()):
            return False
    return True


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
        if any(map(buffer_of, own.wrong_names)):
            # Layers, not rules, update the buffers.
            excluded -= {"activations"}
    else:
        excluded = {"optimizers"}
    # Some bugs show in every case, such as outputs of the parameters after the update.
    anywhere = len(own.calls) == 1
    return [
        bug
        for bug in BUGS.values()
        if (bug.kind not in excluded or (anywhere and bug.killed_by.startswith("*:")))
        and (not anywhere or bug.acts_in(own.case))
    ]


def _find_causes_of_behaviour(finding: Finding, budget: Budget) -> tuple[Cause, ...]:
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
            if other is not None and signature(other) == signature(finding):
                bugs.append(bug)
                break
    return tuple(Cause(b.id, b.title, b.wrong, b.right) for b in bugs) if len(bugs) <= MOST else ()


def signature(finding: Finding) -> tuple[object, ...]:
    """Return the properties that all findings of the same bug share."""
    lines = finding.message.strip().splitlines()
    entries = tuple(
        (entry.quantity, entry.index, f"{entry.got:.4g}", f"{entry.expected:.4g}")
        for entry in finding.entries
    )
    return finding.kind, lines[-1] if lines else "", entries


def causes_of(hypotheses: Iterable[Hypothesis]) -> tuple[Cause, ...]:
    """Return the bugs as causes, with the constants of their engines."""
    bugs = [hypothesis.bug.of(hypothesis.alone) for hypothesis in hypotheses]
    return tuple(Cause(bug.id, bug.title, bug.wrong, bug.right) for bug in bugs)


def _find_condition(
    search: Search, own: Observation, budget: Budget
) -> tuple[str, list[Observation]]:
    """Return the condition of the failure, and the observations that were made to find it."""
    bench = search.bench
    if len(own.calls) == 1:
        judge = NumbersJudge(bench, own, budget, search.known.rebased)
        return find_condition(judge, own.case, bench.capabilities), judge.observations
    observations: list[Observation] = []

    def calls_fail(calls: Sequence[Case]) -> bool | None:
        refused = any(bench.capabilities.refuses(case) or not is_valid(case) for case in calls)
        if refused or budget.over:
            return None
        seen = observe(bench, calls, fresh=False)
        if seen is None:
            return None
        observations.append(seen)
        return seen.is_wrong

    return find_earlier_call(calls_fail, own.case), observations


def _widths_text(case: Case) -> str:
    linear = [layer["out_features"] for layer in case.layers if layer["type"] == "Linear"]
    return "→".join(map(str, [case.widths[0], *linear]))
