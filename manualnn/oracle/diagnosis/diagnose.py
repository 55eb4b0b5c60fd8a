"""Diagnosis of a finding: what is wrong, when, and which known bug explains it.

    diagnose(bench, finding, seconds=2.0)      a Diagnosis; never raises for the engine's errors
    diagnose(bench, finding, suspects=ids)     the same; these known bugs are tried first

The diagnosis calls the engine again and answers four questions, in this order, until time runs out.
Which quantity is wrong first, and which of its entries (`location`)? Is it wrong by a constant
factor (`factors`)? Which known bugs give the engine's own numbers (`causes`)? Under which condition
does the engine fail (`conditions`)?

The case of a finding is often too small to answer: with one sample and one column, many bugs give
the same numbers. So the case is grown again into cases of other sizes and numbers
(`cases.neighbours`), and the results for those decide. A known bug is named if it reproduces all
results. If several do, cases further away (`far`) are tried until one bug is left or none differs;
then each is named. If no bug reproduces all results, none is named.

Bugs that were named for earlier findings of the same engine are suspects. A suspect that
reproduces all results is named again without trying the rest of the catalogue. The same engine gets
the same diagnosis, unless time runs out. An engine that gives different results for the same case
gets no further diagnosis.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from manualnn.oracle.bugs import BUGS
from manualnn.oracle.bugs.bug import Bug
from manualnn.oracle.cases.neighbours import similar_calls
from manualnn.oracle.cases.resize import is_valid
from manualnn.oracle.checks.table import rejudge
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.causes import (
    causes_of,
    find_causes_of_behaviour,
    find_likely_bugs,
)
from manualnn.oracle.diagnosis.conditions import find_condition, find_earlier_call
from manualnn.oracle.diagnosis.factors import (
    describe_factors,
    describe_precision,
    find_factor,
    passes_as_float32,
)
from manualnn.oracle.diagnosis.hypotheses import surviving
from manualnn.oracle.diagnosis.location import locate
from manualnn.oracle.diagnosis.observation import Observation, observe, observe_calls
from manualnn.oracle.engines.client import EngineClient, EngineError
from manualnn.oracle.findings import Diagnosis, Finding
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.truth.compare import group_of, is_same

NONDETERMINISTIC = (
    "the engine is nondeterministic: a fresh instance gives different numbers for the same case"
)
LEFT_FOR_CONDITIONS = 0.5
"""Seconds for the condition, even if the budget is spent."""
REPETITIONS = 3
"""Number of further calls with the same case, to see whether the engine is deterministic."""


def diagnose(
    bench: EngineClient, finding: Finding, *, seconds: float = 2.0, suspects: Iterable[str] = ()
) -> Diagnosis:
    """Return the diagnosis of a finding, in about `seconds`."""
    try:
        # Wrong engines return NaN and infinity, which need no warning.
        with np.errstate(all="ignore"):
            return _diagnose(bench, finding, Budget(seconds), [BUGS[name] for name in suspects])
    except EngineError as error:
        return Diagnosis(finding.entries[0].quantity if finding.entries else "", str(error))


def _diagnose(
    bench: EngineClient, finding: Finding, budget: Budget, suspects: Sequence[Bug]
) -> Diagnosis:
    own = None if finding.kind != "wrong" else _observe_again(bench, finding, budget)
    if own is None and finding.kind == "wrong" and is_about_numbers(finding):
        return Diagnosis(finding.entries[0].quantity, NONDETERMINISTIC)
    if own is None:
        return _diagnose_behaviour(bench, finding, budget)
    if not _is_deterministic(bench, own):
        return Diagnosis(locate(own)[0], NONDETERMINISTIC)
    return _diagnose_numbers(bench, own, budget, suspects)


def _diagnose_numbers(
    bench: EngineClient, own: Observation, budget: Budget, suspects: Sequence[Bug]
) -> Diagnosis:
    observations = [own, *_observe_neighbours(bench, own, budget)]
    failing = [seen for seen in observations if seen.is_wrong]
    grown = next((seen for seen in failing[1:] if len(seen.calls) == len(own.calls)), own)
    first, scope = locate(grown)
    if grown is not own:
        scope += f" (seen with N = {grown.case.n}, widths {_widths_text(grown.case)})"
    same = [seen for seen in failing if first in seen.wrong_names]
    factors = [find_factor(seen, first) for seen in same[1:4] or same]
    ratio = describe_factors(factors) or describe_precision(grown)
    bugs = find_likely_bugs(bench, own, observations, budget, suspects)
    hurried = not bugs and budget.over
    budget = budget.with_at_least(LEFT_FOR_CONDITIONS)
    when, neighbours = _find_condition(bench, own, budget)
    for seen in neighbours if len(bugs) > 1 else ():
        bugs = surviving(bugs, [seen], budget) or bugs
    return Diagnosis(first, scope, ratio, when, causes_of(bugs), hurried)


def _diagnose_behaviour(bench: EngineClient, finding: Finding, budget: Budget) -> Diagnosis:
    """Return the diagnosis of a fault, or of a failed check whose numbers are right."""

    def case_fails(case: Case) -> bool | None:
        if budget.over or bench.capabilities.refuses(case) or not is_valid(case):
            return None
        if finding.kind == "wrong":
            return rejudge(bench, finding.check, case) is not None
        bench.fresh()
        return bench.run(case).fault == finding.kind

    first = finding.entries[0].quantity if finding.entries else ""
    scope = finding.message.strip().splitlines()[-1] if finding.message.strip() else finding.kind
    likely = find_causes_of_behaviour(finding, budget)
    budget = budget.with_at_least(LEFT_FOR_CONDITIONS)
    when = ""
    if finding.kind != "hang":
        when = find_condition(case_fails, finding.case, bench.capabilities)
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
            alone = observe(bench, [case])
            if alone is not None and alone.is_wrong:
                return alone
            return _after_one_call(bench, part, budget)
    return None


def is_about_numbers(finding: Finding) -> bool:
    """Return whether a finding is a comparison with the truth of more than a number of steps."""
    judgement = finding.check.rpartition(":")[2]
    numbers = {entry.quantity for entry in finding.entries} - {"state.step"}
    return judgement in {group_of(quantity) for quantity in numbers}


def _is_deterministic(bench: EngineClient, seen: Observation) -> bool:
    """Return whether further calls with the same cases give the same results."""
    for _ in range(REPETITIONS):
        again = observe(bench, seen.calls)
        if again is None or again.got.keys() != seen.got.keys():
            return False
        if not all(is_same(a, again.got[name]) for name, a in seen.got.items()):
            return False
    return True


def _after_one_call(bench: EngineClient, seen: Observation, budget: Budget) -> Observation:
    """Return the same failure after one earlier call, if one is enough.

    Calls of the same data type come first, because hypotheses run all calls in longdouble.
    """
    *earlier, case = seen.calls
    for before in sorted(earlier, key=lambda other: other.dtype != case.dtype):
        pair = observe(bench, [before, case])
        if pair is not None and pair.is_wrong:
            return pair
        if budget.over:
            break
    return seen


def _observe_neighbours(
    bench: EngineClient, own: Observation, budget: Budget
) -> Iterator[Observation]:
    """Yield observations of cases near the case of the finding."""
    for calls in similar_calls(own.calls, bench.capabilities):
        if budget.over:
            return
        seen = observe_calls(bench, calls)
        if seen is not None:
            yield seen


def _find_condition(
    bench: EngineClient, own: Observation, budget: Budget
) -> tuple[str, list[Observation]]:
    """Return when the engine fails, and the observations that were made to find it."""
    observations: list[Observation] = []
    # An error that only the wider bounds of float32 hide does not depend on the data type.
    hidden = "float32" if own.case.dtype == "float64" and passes_as_float32(own) else None

    def calls_fail(calls: Sequence[Case]) -> bool | None:
        if calls[-1].dtype == hidden:
            return None
        refused = any(bench.capabilities.refuses(case) or not is_valid(case) for case in calls)
        if refused or budget.over:
            return None
        seen = observe_calls(bench, calls)
        if seen is None:
            return None
        observations.append(seen)
        return seen.is_wrong

    if len(own.calls) > 1:
        return find_earlier_call(calls_fail, own.case), observations
    when = find_condition(lambda case: calls_fail([case]), own.case, bench.capabilities)
    return when, observations


def _widths_text(case: Case) -> str:
    linear = [layer["out_features"] for layer in case.layers if layer["type"] == "Linear"]
    return "→".join(map(str, [case.widths[0], *linear]))
