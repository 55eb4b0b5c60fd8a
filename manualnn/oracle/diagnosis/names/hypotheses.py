"""Hypotheses: known bugs that are run to see which of them gives the engine's own numbers.

    Hypothesis(bug, engine)            one engine of a known bug, with one value of its constants
    hypotheses_of(bugs, observation)   the engines of some bugs, constants fitted to an observation
    hypothesis.judge(observation)      a Verdict
    surviving(hypotheses, seen, …)     the hypotheses that reproduce an observation

A hypothesis is the textbook engine with one known bug. `agreement` compares its numbers with those
of the engine.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from manualnn.oracle.bugs.bug import Answer, Bug
from manualnn.oracle.bugs.composite import compose
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.names.agreement import (
    Engine,
    Verdict,
    compare_first,
    reproduces,
    resembles,
)
from manualnn.oracle.diagnosis.observation import Observation
from manualnn.oracle.protocol.case import Case, Spec
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.compare import true_values

PARTS = {
    "losses": ("losses",),
    "activations": ("layers",),
    "optimizers": ("optimizers",),
    "backward": (),
}
"""The parts of a case that have the bugs of a kind; bugs of other kinds may be in any part."""


@dataclass(frozen=True)
class Hypothesis:
    """A known bug with fixed constants."""

    bug: Bug
    engine: Engine
    """The engine with this bug, and with those that are known already."""
    alone: Engine
    """The engine with this bug alone."""
    second: "Hypothesis | None" = None
    """A second bug, which the engine has too."""
    only: tuple[Spec, ...] = ()
    """Types and options of the parts to which the bug was narrowed; empty: all parts."""

    @property
    def name(self) -> tuple[str, ...]:
        """The ids of its bugs, in alphabetical order."""
        return tuple(sorted({self.bug.id, *(self.second.name if self.second else ())}))

    def without_second(self, base: Engine) -> "Hypothesis":
        """Return the hypothesis of the first bug on top of an engine."""
        return Hypothesis(self.bug, compose(self.alone, base), self.alone)

    def parts_of(self, case: Case) -> list[Spec]:
        """Return the descriptions in a case that may have the bug, other than Linear."""
        groups = PARTS.get(self.bug.kind, ("layers", "losses", "optimizers"))
        every = [spec for group, spec in case.parts() if group in groups]
        return [spec for spec in every if spec["type"] != "Linear"]

    def acts_on(self, feature: str) -> bool:
        """Return True if a layer, loss or optimizer has the bug."""
        is_of_it = not self.only or feature in {spec["type"] for spec in self.only}
        return is_of_it and self.bug.acts_on(feature)

    def explains(self, observation: Observation) -> bool:
        """Return True if it gives every number of the observation."""
        return (reproduces if self.bug.exact else resembles)(self.engine, observation)

    def judge(self, observation: Observation) -> Verdict:
        """Compare the hypothesis with an observation, whose engine may have other bugs too."""
        if self.explains(observation):
            return Verdict.CONFIRMED if observation.is_wrong else Verdict.SILENT
        dtype = np.longdouble if self.bug.exact and observation.is_finite else None
        return compare_first(self.engine, observation, dtype)


def hypotheses_of(
    bugs: Iterable[Bug], observation: Observation, base: Engine = Textbook
) -> Iterator[Hypothesis]:
    """Yield the engines of some bugs on top of `base`, with constants that fit the observation."""
    truths = {name: true_values(near) for name, near in observation.expected.items()}
    answer = Answer(observation.case, observation.got, truths, observation.wrong)
    for bug in bugs:
        alone: dict[Engine, Engine] = {}
        there = bug if base is Textbook else _on_top(bug, base, alone)
        for engine in there.engines_for(answer):
            yield Hypothesis(bug, engine, alone.get(engine, engine))


def _on_top(bug: Bug, base: Engine, alone: dict[Engine, Engine]) -> Bug:
    """Return the bug with engines on top of another one; note the engines of the bug alone."""

    def beside(engine: Engine) -> Engine:
        composite = compose(engine, base)
        alone[composite] = engine
        return composite

    make = bug.make
    return replace(
        bug,
        engines=tuple(map(beside, bug.engines)),
        make=None if make is None else lambda *values: beside(make(*values)),
    )


def surviving(
    hypotheses: Iterable[Hypothesis], observation: Observation, budget: Budget
) -> list[Hypothesis]:
    """Return the hypotheses that explain an observation; none if time ran out before the end."""
    found = []
    for hypothesis in hypotheses:
        if budget.over:
            return []
        if hypothesis.explains(observation):
            found.append(hypothesis)
    return found
