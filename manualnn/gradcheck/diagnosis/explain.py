"""Explanation of wrong gradients: the smallest point, the region, and the likely causes.

explain(check, judge, judged)      a finding for each input whose gradient is wrong
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from manualnn.gradcheck.data import Entry, Finding, Point
from manualnn.gradcheck.diagnosis.causes import likely_causes
from manualnn.gradcheck.diagnosis.observation import Bench, Limit, Observation
from manualnn.gradcheck.diagnosis.region import find_region
from manualnn.gradcheck.diagnosis.shrink import shrink
from manualnn.gradcheck.functions.base import FunctionFailed
from manualnn.gradcheck.judge.compare import Judge, Judgement
from manualnn.oracle.report.wording import counted

REGION, SHRINKING = 40, 80
"""Number of calls for each input, to find the region and to shrink the point."""
SECONDS = 2.0
"""Time of either where calls are slow."""
MOST_POINTS = 12
"""Largest number of wrong points, and of right ones, from which the region is made."""
MOST_INPUTS = 2
"""Largest number of inputs whose wrong gradients are explained."""
FOR_CAUSES = 3
"""Number of wrong points whose numbers a cause has to give."""

SAME = "the earlier check shows the same mistake. Mend that one first, and run the check again"

Judged = Sequence[tuple[Point, Judgement]]


def explain(
    check: str,
    judge: Judge,
    judged: Judged,
    elsewhere: Sequence[tuple[Judge, Judged]] = (),
    *,
    brief: bool = False,
    seconds: float = SECONDS,
) -> list[Finding]:
    """Return a finding for each input whose gradient is wrong, the worst input first.

    `judged` are points of the run, right and wrong ones; `elsewhere` are some of other shapes, with
    their judges. With `brief`, there is one finding without an explanation, because an earlier
    check has it. `seconds` are for slow functions; other ones get a number of calls.
    """
    wrong = [(point, judgement) for point, judgement in judged if judgement.entries]
    if brief:
        point, judgement = min(wrong, key=lambda pair: sum(a.size for a in pair[0].arrays))
        found = _finding(check, point, judgement, judgement.entries)
        return [replace(found, likely=(SAME,))]
    names = list(dict.fromkeys(e.input for _, j in wrong for e in j.entries))[:MOST_INPUTS]
    bench = Bench(judge)
    seen = _observe(bench, judged)
    for other, points in elsewhere:
        seen += _observe(Bench(other), points)
    return [_explain(check, name, bench, wrong, seen, seconds / len(names)) for name in names]


def _observe(bench: Bench, judged: Judged) -> list[Observation]:
    """Return observations of wrong points, then of right ones."""
    wrong = [(p, j) for p, j in judged if j.entries]
    right = [(p, j) for p, j in judged if not j.entries]
    some = [*wrong[:MOST_POINTS], *right[:MOST_POINTS]]
    for is_clear in (True, False):  # where every error is near the bound, the judge is trusted
        seen = [
            bench.observe(p, j.is_wrong if j.is_wrong.size else None, is_clear=is_clear)
            for p, j in some
        ]
        found = [o for o in seen if o is not None]
        if any(o.wrong.any() for o in found) or not wrong:
            break
    return found


def _explain(  # noqa: PLR0917 - what is known of a failure
    check: str, name: str, bench: Bench, wrong: Judged, seen: list[Observation], seconds: float
) -> Finding:
    limit = Limit(bench, REGION, seconds)
    views = [v for o in seen if (v := o.view(name)) is not None]
    bad = sorted((v for v in views if v.wrong.any()), key=lambda v: -int(v.wrong.sum()))
    # Other cotangents at the same inputs come last, because they have the same ratios.
    first = {id(v.seen.point.arrays): v for v in reversed(bad)}
    bad.sort(key=lambda v: first[id(v.seen.point.arrays)] is not v)
    right = [v for v in views if not v.wrong.any() and v.reference.any()]
    causes = likely_causes(bench, bad[:FOR_CAUSES], right[:FOR_CAUSES])
    everywhere = any(cause.everywhere for cause in causes)
    with np.errstate(all="ignore"):
        region = find_region(bench, seen, name, limit, everywhere=everywhere) if bad else ""
        point, judgement, entries = _smallest(bench, name, wrong, Limit(bench, SHRINKING, seconds))
    found = _finding(check, point, judgement, entries)
    return replace(found, region=region, likely=tuple(cause.text for cause in causes))


def _finding(check: str, point: Point, judgement: Judgement, entries: tuple[Entry, ...]) -> Finding:
    whole = judgement.compared
    count = len(entries) if len(entries) < len(judgement.entries) else judgement.wrong
    inputs = " and ".join(dict.fromkeys(entry.input for entry in entries))
    message = f"the gradient of {inputs} is wrong in {count} of {counted(whole, 'number')}"
    return Finding(check, message, point, entries, count, whole, judgement.method)


def _smallest(
    bench: Bench, name: str, wrong: Judged, limit: Limit
) -> tuple[Point, Judgement, tuple[Entry, ...]]:
    """Return the smallest point that the judge finds wrong, with the wrong entries of an input."""
    trail: list[Point] = []

    def fails(point: Point) -> bool:
        seen = bench.observe(point)
        view = seen.view(name) if seen is not None else None
        if view is not None and view.wrong.any():
            trail.append(point)
            return True
        return False

    start = next((pair for pair in wrong if _entries(pair[1], name)), wrong[0])
    smallest = shrink(bench.function, bench.specs, start[0], fails, limit)
    # What the exploration takes for wrong, the judge need not; then an earlier point is tried.
    tried = [smallest, *trail[-2:-4:-1], *trail[: len(trail) // 2 : -2]][:4]
    for point in tried if trail else []:
        try:
            judgement = bench.judge_of(point).judge(point)
        except FunctionFailed:
            continue
        if entries := _entries(judgement, name):
            return point, judgement, entries
    return *start, _entries(start[1], name)


def _entries(judgement: Judgement, name: str) -> tuple[Entry, ...]:
    return tuple(entry for entry in judgement.entries if entry.input == name)
