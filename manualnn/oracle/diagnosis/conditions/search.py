"""Search for the condition of a failure among options, sizes, steps and numbers.

    find_condition(judge, case, claims)     "only when N is not a multiple of 8", or ""

One property is varied at a time, with ordinary random numbers. If these fail at generic sizes,
N = 5 and widths that all differ, the search starts from these sizes. If they fail only at the
case's own sizes, it starts from those. If they pass at both, the numbers of the case matter.

A condition is stated only if fresh cases agree with it on both sides. It is left out if that
cannot be seen.
"""

from collections.abc import Iterator
from itertools import islice

from manualnn.oracle.cases.neighbours import distinct_widths
from manualnn.oracle.cases.resize import segments
from manualnn.oracle.diagnosis.conditions import options, sizes
from manualnn.oracle.diagnosis.conditions.activations import ranges
from manualnn.oracle.diagnosis.conditions.depth import depths, position
from manualnn.oracle.diagnosis.conditions.outcome import Judge, NumbersJudge
from manualnn.oracle.diagnosis.conditions.results import range_of_results
from manualnn.oracle.diagnosis.conditions.setting import SEEDS, Condition, Setting
from manualnn.oracle.diagnosis.conditions.targets import targets
from manualnn.oracle.diagnosis.conditions.values import of_numbers
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case

MOST = 2
"""Largest number of conditions that are reported, the surest first."""


def find_condition(judge: Judge, case: Case, claims: Capabilities) -> str:
    """Return the condition of the failure; empty if none is known."""
    base = _base(judge, case)
    own = (case.n, *(case.widths[run[0]] for run in segments(case)))
    start = base or Setting(case.but(steps=1), own)
    if isinstance(judge, NumbersJudge) and start.case.steps == 1:
        limits = range_of_results(judge, base or start.but(sizes=(5, *distinct_widths(case))))
        if limits:
            return limits
    found: list[str] = []
    if base and (place := position(judge, base)):
        found.append(place)
    for condition in _candidates(judge, start, claims) if base else targets(judge, start):
        implied = found and condition.text.startswith("only when the number of Linear")
        if condition.text not in found and not implied and condition.holds(judge):
            found.append(condition.text)
            if len(found) == MOST:
                break
    found += islice(ranges(judge, case, claims), MOST - len(found))
    if base or found:
        return "; ".join(found)
    # That ordinary numbers do not fail may be unknown, for example because time ran out.
    passes = any(judge(start.draw(seed)) is False for seed in SEEDS)
    return of_numbers(judge, case) if passes else ""


def _base(judge: Judge, case: Case) -> Setting | None:
    """Return the most ordinary setting that fails, in one step if possible."""
    own = (case.n, *(case.widths[run[0]] for run in segments(case)))
    for steps in dict.fromkeys((1, case.steps)):
        for chosen in dict.fromkeys(((5, *distinct_widths(case)), own)):
            setting = Setting(case.but(steps=steps), chosen)
            if setting.fails(judge):
                if isinstance(judge, NumbersJudge) and steps < case.steps:
                    judge.focus(judge.observations[-1])
                return setting
    return None


def _candidates(judge: Judge, base: Setting, claims: Capabilities) -> Iterator[Condition]:
    """Yield possible conditions, the surest and the cheapest first."""
    if base.case.steps > 1:
        # Numbers grow from step to step, so that most other conditions would be shadows of that.
        yield from sizes.steps(judge, base, claims)
        return
    yield from options.options(judge, base)
    yield from options.biases(judge, base)
    yield from options.dtype(judge, base, claims)
    yield from targets(judge, base)
    yield from options.learning_rate(judge, base)
    yield from sizes.steps(judge, base, claims)
    yield from depths(judge, base)
    equal = list(sizes.equal_sizes(judge, base))
    yield from equal or sizes.single_sizes(judge, base)
