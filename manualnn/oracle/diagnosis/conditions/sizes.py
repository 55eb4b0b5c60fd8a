"""Conditions on sizes: N, the widths, sizes that are equal, the number of steps."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

from manualnn.oracle.cases.neighbours import case_after_steps
from manualnn.oracle.cases.resize import segments
from manualnn.oracle.diagnosis.conditions.outcome import Judge
from manualnn.oracle.diagnosis.conditions.rules import Outcomes, find_rule, refine
from manualnn.oracle.diagnosis.conditions.setting import SEEDS, Condition, Setting
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case

FEW_SIZES = (1, 2, 3, 4, 6, 8, 12, 64)
"""Sizes that show whether a size matters at all."""
SIZES = (*FEW_SIZES, 5, 7, 9, 15, 16, 17, 31, 32, 33, 63, 65, 128, 255, 256, 257, 300)
STEPS = (0, 1, 2, 3, 5, 10, 30, 100, 300, 1000, 3000, 10_000, 1_000_000)
MORE_SEEDS = tuple(range(34, 41))
"""Further seeds for the passing sizes closest to the base, because one draw may hide the error."""
CLOSEST = 3
"""Number of passing sizes that get MORE_SEEDS."""


def equal_sizes(judge: Judge, base: Setting) -> Iterator[Condition]:
    """Yield conditions that two sizes are equal."""
    names, own = size_names(base.case), base.sizes
    for i, j in combinations(range(len(own)), 2):
        if own[i] != own[j]:
            continue
        both = tuple(base.with_size(i, s).with_size(j, s) for s in (own[i] + 2, own[i] + 3))
        one = (base.with_size(i, own[i] + 2), base.with_size(j, own[i] + 2))
        if one[0].fails(judge) is False and one[1].fails(judge) is False:
            text = f"only when {names[i]} equals {names[j]}"
            if i and j == i + 1:
                text = f"only where a weight is square ({names[i]} equals {names[j]})"
            yield Condition(text, both, one, about_sizes=True)


def single_sizes(judge: Judge, base: Setting) -> Iterator[Condition]:
    """Yield conditions on N and on every width, one at a time."""
    names = size_names(base.case)
    for k, name in enumerate(names):

        def fails(size: int, seeds: Sequence[int] = SEEDS, k: int = k) -> bool | None:
            return base.with_size(k, size).fails(judge, seeds)

        own = base.sizes[k]
        few = {*FEW_SIZES, own - 1, own, own + 1, *base.sizes} - {0}
        outcomes: Outcomes = {size: fails(size) for size in sorted(few)}
        if False not in outcomes.values():
            continue
        outcomes |= {size: fails(size) for size in SIZES if size not in outcomes}
        refine(outcomes, fails)
        others = {names[j]: base.sizes[j] for j in range(len(names)) if j != k}
        rule = find_rule(name, outcomes, others)
        passing = [size for size in sorted(outcomes) if outcomes[size] is False]
        closest = sorted(passing, key=lambda size: abs(size - own))[:CLOSEST]
        if rule and not any(fails(size, MORE_SEEDS) for size in closest):
            inside, outside = (
                tuple(base.with_size(k, s) for s in rule.examples(failing=f, known=outcomes))
                for f in (True, False)
            )
            yield Condition(f"only when {rule.text}", inside, outside, about_sizes=True)


def steps(judge: Judge, base: Setting, claims: Capabilities) -> Iterator[Condition]:
    """Yield conditions on the number of updates, before the case or in it."""
    if base.case.optimizer is None:
        return
    if claims.accepts_state:
        single = base.case.but(steps=1)

        def after(step: int) -> Setting:
            return base.but(case=case_after_steps(single, step))

        yield from _counted(judge, "state['step']", after, STEPS, 0)
    most = min(claims.max_steps, 12)
    if base.case.steps > 1 or not claims.accepts_state:

        def lasting(count: int) -> Setting:
            return base.but(case=base.case.but(steps=count))

        yield from _counted(judge, "the number of steps", lasting, range(1, most + 1), 1)


def _counted(
    judge: Judge, name: str, setting: Callable[[int], Setting], values: Sequence[int], least: int
) -> Iterator[Condition]:
    outcomes: Outcomes = {value: setting(value).fails(judge, SEEDS[:1]) for value in values}
    if False not in outcomes.values():
        return
    refine(outcomes, lambda value: setting(value).fails(judge, SEEDS[:1]))
    rule = find_rule(name, outcomes, {}, least_passing=least)
    if rule is not None:
        sides = (
            [value for value in sorted(outcomes) if outcomes[value] is failed]
            for failed in (True, False)
        )
        inside, outside = (
            tuple(map(setting, dict.fromkeys((*side[:2], *side[-2:])))) for side in sides
        )
        yield Condition(f"only when {rule.text}", inside, outside)


def size_names(case: Case) -> list[str]:
    """Return names for N and for the width of every segment."""
    count = len(segments(case))
    if count == 1:
        return ["N", "the width"]
    hidden = [f"hidden width {i}" for i in range(1, count - 1)]
    if count == 3:
        hidden = ["the hidden width"]
    return ["N", "the input width", *hidden, "the output width"]
