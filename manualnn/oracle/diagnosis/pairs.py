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
from manualnn.oracle.diagnosis.hypotheses import (
    Engine,
    Hypothesis,
    excess,
    hypotheses_of,
    matching,
    run,
)
from manualnn.oracle.diagnosis.observation import Observation

FIRST, SECOND = 16, 60
"""Largest numbers of first and of second bugs that are tried."""
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
    found: list[Hypothesis] = []
    for pair, target in _candidates(bugs, here, observations, base, budget):
        if budget.over or len(found) >= ENOUGH:
            break
        if pair.explains(target) and all(pair.explains(seen) for seen in observations):
            found.append(pair)
    return found


def _candidates(
    bugs: Sequence[Bug],
    here: Sequence[Hypothesis],
    observations: Sequence[Observation],
    base: Engine,
    budget: Budget,
) -> Iterator[tuple[Hypothesis, Observation]]:
    """Yield pairs, each with the observation that most likely contradicts it."""
    exact = [bug for bug in bugs if bug.exact and bug.kind != "memory"]
    firsts = [h for h in here if h.bug.exact and h.bug.kind != "memory"]
    if firsts:
        hardest = max(observations, key=lambda seen: len(seen.wrong_names))
        seconds = _active(exact, hardest, base, budget)[:SECOND]
        firsts = sorted(firsts, key=lambda h: -matching(h.engine, hardest))
    else:
        hardest = observations[0]
        seconds = _active(exact, hardest, base, budget)[:SECOND]
        firsts = seconds
    for first in firsts[:FIRST]:
        for second in seconds:
            if budget.over:
                return
            if first.bug.id != second.bug.id:
                for engine in (
                    compose(first.alone, second.engine),
                    compose(second.alone, first.engine),
                ):
                    yield Hypothesis(first.bug, engine, first.alone, second), hardest


def _active(
    bugs: Sequence[Bug], seen: Observation, base: Engine, budget: Budget
) -> list[Hypothesis]:
    """Return the bugs that change a number of an observation, those that explain most first."""
    found = []
    for hypothesis in hypotheses_of(bugs, seen, base):
        if budget.over:
            break
        answers = run(hypothesis.engine, np.longdouble, seen)
        if answers is not None and any(
            excess(answers[-1][name], near) > VISIBLE
            for name, (_, near) in seen.compared[-1].items()
            if answers[-1][name].shape == near.v.shape
        ):
            found.append(hypothesis)
    return sorted(found, key=lambda hypothesis: -matching(hypothesis.engine, seen))
