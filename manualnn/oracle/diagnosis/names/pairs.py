"""Pairs of known bugs, for engines with two bugs that act in the same case.

    find_pairs(bugs, here, observations, base, budget)      hypotheses with a second bug

`here` are hypotheses that explain the first observation but not all of them. Each is put beside a
second bug. If there are none, both bugs act in the first observation, and all pairs are tried of
bugs that change a number there. Bugs that explain most quantities of a step come first: quantities
follow from each other, so the first bug of a step explains the first wrong quantities alone.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from manualnn.oracle.bugs.bug import Bug
from manualnn.oracle.bugs.composite import compose
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.names.agreement import Engine, excess, matching, run
from manualnn.oracle.diagnosis.names.hypotheses import Hypothesis, hypotheses_of
from manualnn.oracle.diagnosis.observation import Observation

FIRST, SECOND = 12, 120
"""Largest numbers of groups of first and of second bugs that are tried."""
MEMBERS = 5
"""Largest number of bugs of the same numbers that are tried in their place."""
ENOUGH = 8
"""Number of pairs after which the search ends."""
VISIBLE = 8.0
"""An error of so many times the bound is visible whatever the rounding."""


def find_pairs(
    bugs: Sequence[Bug],
    here: Sequence[Hypothesis],
    observations: Sequence[Observation],
    base: Engine,
    budget: Budget,
) -> list[Hypothesis]:
    """Return hypotheses of two bugs that together explain all observations."""
    exact = [bug for bug in bugs if bug.exact and bug.kind != "memory"]
    first = [h for h in here if h.bug.exact and h.bug.kind != "memory"]
    target = observations[0]
    if first:
        left = [seen for seen in observations if seen.is_wrong and not first[0].explains(seen)]
        target = max(left or observations, key=lambda seen: len(seen.wrong_names))
    seconds = _alike(_active(exact, target, base, budget), target)
    firsts = _alike(first, target) if first else seconds
    found: list[Hypothesis] = []
    for alike in firsts[:FIRST]:
        for others in seconds[:SECOND]:
            if budget.over or len(found) >= ENOUGH:
                return found
            for above, _ in _pairs(alike[:1], others[:1]):
                if above.explains(target):
                    found += [
                        pair
                        for pair, swapped in _pairs(alike[:MEMBERS], others[:MEMBERS])
                        if all(pair.explains(seen) for seen in (target, *observations))
                        and swapped.explains(target)
                    ]
    return found


def _pairs(
    firsts: Sequence[Hypothesis], seconds: Sequence[Hypothesis]
) -> Iterator[tuple[Hypothesis, Hypothesis]]:
    """Yield two engines with two bugs, either of which is on top of the other.

    If only one of the engines explains the numbers, the upper bug hides a part of the lower one, so
    that nothing shows the lower bug as a whole.
    """
    for first in firsts:
        for second in seconds:
            if first.bug.id != second.bug.id:
                above = compose(first.alone, second.engine)
                below = compose(second.alone, first.engine)
                yield (
                    Hypothesis(first.bug, above, first.alone, second),
                    Hypothesis(first.bug, below, first.alone, second),
                )


def _alike(hypotheses: Sequence[Hypothesis], seen: Observation) -> list[list[Hypothesis]]:
    """Return groups of hypotheses with the same numbers, those that explain most first."""
    groups: dict[bytes, list[Hypothesis]] = {}
    for hypothesis in sorted(hypotheses, key=lambda hypothesis: hypothesis.bug.rank):
        answers = run(hypothesis.engine, np.longdouble, seen)
        if answers is not None:
            numbers = b"".join(a.astype(np.float32).tobytes() for a in answers[-1].values())
            groups.setdefault(numbers, []).append(hypothesis)
    return sorted(groups.values(), key=lambda group: -matching(group[0].engine, seen))


def _active(
    bugs: Sequence[Bug], seen: Observation, base: Engine, budget: Budget
) -> list[Hypothesis]:
    """Return the bugs that change a number of an observation."""
    found = []
    for hypothesis in hypotheses_of(bugs, seen, base):
        if budget.over:
            break
        answers = run(hypothesis.engine, np.longdouble, seen)
        if answers is not None and any(
            excess(answers[-1][name], near) > VISIBLE
            for name, (_, near) in seen.compared[-1].items()
            if name in answers[-1] and answers[-1][name].shape == near.v.shape
        ):
            found.append(hypothesis)
    return found
