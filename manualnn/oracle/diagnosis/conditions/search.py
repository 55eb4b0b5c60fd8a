"""Search for the condition of a failure among options, sizes, steps and numbers.

    find_condition(judge, case, claims)     "only when N is not a multiple of 8", or ""

One property is varied at a time, with ordinary random numbers. If these fail at generic sizes,
N = 5 and widths that all differ, the search starts from these sizes. If they fail only at the
case's own sizes, it starts from those. If they pass at both, the numbers of the case matter.

A condition is stated only if fresh cases agree with it on both sides. It is left out if that
cannot be seen.
"""

from collections.abc import Iterator

from manualnn.oracle.cases.neighbours import distinct_widths
from manualnn.oracle.cases.resize import segments
from manualnn.oracle.diagnosis.conditions import options, sizes, values
from manualnn.oracle.diagnosis.conditions.outcome import Judge
from manualnn.oracle.diagnosis.conditions.setting import Condition, Setting
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case

MOST = 2
"""Largest number of conditions that are reported, the surest first."""


def find_condition(judge: Judge, case: Case, claims: Capabilities) -> str:
    """Return the condition of the failure; empty if none is known."""
    base = _base(judge, case)
    if base is None:
        return values.of_numbers(judge, case)
    found: list[str] = []
    for condition in _candidates(judge, base, claims):
        if condition.text not in found and condition.holds(judge):
            found.append(condition.text)
            if len(found) == MOST:
                break
    return "; ".join(found)


def _base(judge: Judge, case: Case) -> Setting | None:
    """Return the most ordinary setting that fails, in one step if possible."""
    own = (case.n, *(case.widths[run[0]] for run in segments(case)))
    for steps in dict.fromkeys((1, case.steps)):
        for chosen in dict.fromkeys(((5, *distinct_widths(case)), own)):
            setting = Setting(case.but(steps=steps), chosen)
            if setting.fails(judge):
                return setting
    return None


def _candidates(judge: Judge, base: Setting, claims: Capabilities) -> Iterator[Condition]:
    """Yield possible conditions, the surest first."""
    if base.case.steps > 1:
        yield from sizes.steps(judge, base, claims)
    yield from options.options(judge, base)
    yield from options.biases(judge, base)
    yield from options.dtype(judge, base, claims)
    yield from options.learning_rate(judge, base)
    if base.case.steps == 1:
        yield from sizes.steps(judge, base, claims)
    equal = list(sizes.equal_sizes(judge, base))
    yield from equal or sizes.single_sizes(judge, base)
