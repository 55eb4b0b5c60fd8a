"""Known bugs of the engine under test: bugs that earlier findings of a run have named.

    known = Known()
    known.add(hypothesis)            name one more bug
    known.explaining(observation)    the named bugs that together give the observation's numbers
    known.rebased(observation)       the observation, with their numbers in place of the truth
    known.shows_more(observation)    True if a number differs from the truth in another way
    known.engine                     an engine with all of them

An engine often has several bugs. Once a bug is named, the catalogue's engine with this bug is the
truth of that part: a result that it reproduces shows nothing new, and a result that it does not
reproduce shows another bug. For several named bugs it is their composite (`bugs.composite`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import combinations
from typing import Any

import numpy as np

from manualnn.oracle.bugs.composite import compose
from manualnn.oracle.diagnosis.names.agreement import Engine, excess, reproduces, room, run
from manualnn.oracle.diagnosis.names.hypotheses import Hypothesis
from manualnn.oracle.diagnosis.observation import Observation
from manualnn.oracle.findings import Finding, Outcome
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.bounded import Bounded, Precision

UPDATES = ("state", "params")
VISIBLE = 8.0
"""An error of so many times the bound is visible whatever the rounding."""


@dataclass(frozen=True)
class Stated:
    """Numbers that stand in for the truth of a call."""

    named: dict[str, Bounded]
    kind: Precision

    def quantities(self) -> dict[str, Bounded]:
        """Return every array under its full name, in the order of a step."""
        return self.named


@dataclass
class Known:
    """The bugs that are named, and the engine that has all of them."""

    hypotheses: list[Hypothesis] = field(default_factory=list)
    alternatives: dict[str, tuple[Hypothesis, ...]] = field(default_factory=dict)
    """Bugs that the cases so far do not distinguish from a named one, by its id."""
    ids: set[str] = field(default_factory=set)
    """The ids of all bugs that were named, those of rounding and of memory included."""

    @property
    def engine(self) -> Engine:
        """The engine with all named bugs; the textbook engine if there are none."""
        return _composite(self.hypotheses)

    @property
    def of_rules(self) -> list[Hypothesis]:
        """The named bugs of update rules."""
        return [h for h in self.hypotheses if h.bug.kind == "optimizers"]

    @property
    def names(self) -> set[str]:
        """The ids of the named bugs, and of those that are not distinguished from them."""
        others = (h for some in self.alternatives.values() for h in some)
        return {h.bug.id for h in (*self.hypotheses, *others)}

    def add(self, hypothesis: Hypothesis, alternatives: Sequence[Hypothesis] = ()) -> None:
        """Name one more bug. Bugs of rounding and of memory are not part of the composite.

        A bug that was narrowed to some parts may be named again for others.
        """
        bug = hypothesis.bug
        self.ids |= {bug.id, *(other.bug.id for other in alternatives)}
        named = [h for h in self.hypotheses if h.bug.id == bug.id]
        parts = [h.only for h in (*named, hypothesis)]
        is_new = not named or (() not in parts and hypothesis.only not in parts[:-1])
        if is_new and bug.exact and bug.kind != "memory":
            self.hypotheses.append(hypothesis)
            self.alternatives[bug.id] = (*self.alternatives.get(bug.id, ()), *alternatives)

    def reproduces(self, observation: Observation) -> bool:
        """Return True if the named bugs give all numbers of an observation."""
        return bool(self.hypotheses) and reproduces(self.engine, observation)

    def covers(self, observation: Observation) -> bool:
        """Return True if the named bugs act in an observation, and nothing shows another bug."""
        if self.reproduces(observation):
            return observation.is_wrong
        return self.acts_in(observation) and not self.rebased(observation).is_wrong

    def acts_in(self, observation: Observation) -> bool:
        """Return True if the named bugs change visible numbers of an observation."""
        answers = run(self.engine, None, observation) if self.hypotheses else None
        return answers is not None and any(
            name in answer and excess(answer[name], near) > VISIBLE
            for answer, call in zip(answers, observation.compared, strict=True)
            for name, (_, near) in call.items()
        )

    def explains_update(self, case: Case, outcome: Outcome, near: Mapping[str, Bounded]) -> bool:
        """Return True if the named bugs give an update, given the engine's own gradients.

        `near` are the right numbers after the update by those gradients.
        """
        grads = (outcome.result or {})["grads"]

        class Given(_composite(self.of_rules)):  # type: ignore[misc]
            def backward(self, dy: Array) -> Array:
                dx = super().backward(dy)
                self.grads = {key: np.asarray(a, self.kind) for key, a in grads.items()}
                return np.asarray(dx)

        kind = next(iter(near.values())).kind
        updates = {name: part for name, part in (outcome.result or {}).items() if name in UPDATES}
        seen = Observation((case,), (Outcome(result=updates),), (Stated(dict(near), kind),))
        return bool(self.of_rules) and seen.is_wrong and reproduces(Given, seen)

    def explaining(self, observation: Observation) -> list[Hypothesis]:
        """Return the fewest named bugs that together give all numbers; empty if none do."""
        if not self.reproduces(observation):
            return []
        for count in range(1, len(self.hypotheses)):
            for some in combinations(self.hypotheses, count):
                if reproduces(_composite(some), observation):
                    return list(some)
        return list(self.hypotheses)

    def shows_more(self, observation: Observation) -> bool:
        """Return True if the observation has a wrong number that the named bugs do not give."""
        return observation.is_wrong and not self.covers(observation)

    def parts_at_fault(self, finding: Finding) -> tuple[str, ...]:
        """Return the features of a case that have the bug that is named last."""
        last = self.hypotheses[-1]
        types = [spec["type"] for spec in last.parts_of(finding.case)]
        is_of_linear = last.bug.kind == "backward"
        return tuple(dict.fromkeys(["Linear"] if is_of_linear else types)) or finding.blamed

    def rebased(self, observation: Observation) -> Observation:
        """Return the observation with the numbers of the named bugs in place of the truth.

        It is the observation itself if they have no numbers for it.
        """
        if not self.hypotheses:
            return observation
        answers = run(self.engine, np.longdouble, observation)
        rounded = run(self.engine, None, observation)
        if answers is None or rounded is None:
            return observation
        stated = []
        for i, call in enumerate(observation.compared):
            named = {}
            for name, (got, near) in call.items():
                h, noise = answers[i].get(name), rounded[i].get(name)
                if h is None or noise is None or h.shape != got.shape:
                    return observation
                named[name] = _stated(h, noise, near)
            stated.append(Stated(named, observation.truths[i].kind))
        return replace(observation, truths=tuple(stated))


def _composite(hypotheses: Iterable[Hypothesis]) -> Engine:
    return reduce(lambda base, added: compose(added.alone, base), hypotheses, Textbook)


def _stated(h: Any, rounded: Any, near: Bounded) -> Bounded:
    """Return the numbers of an engine with the distance that rounding may cause."""
    with np.errstate(all="ignore"):
        noise = np.abs(rounded - h)
        noise = np.where(np.isnan(noise), 0, noise)
        e = np.where(np.isfinite(near.bounds), room(h, near, noise), np.inf)
        return Bounded(h, np.asarray(e, float), near.kind)
