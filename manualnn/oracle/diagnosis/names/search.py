"""Naming: the known bug that explains the observations of an engine, if one can be relied on.

    Search(bench, known, past, budget).name(bugs, own, others)      a Naming

A name has to pass four tests, because a wrong name costs more than none.

1. It reproduces the failing case, with one engine, whose constants stay the same from here on.
2. It reproduces every similar case, of other sizes and numbers.
3. No earlier case of the run refutes it: the engine is not right where the bug must show.
4. No experiment refutes it. An experiment is a case far away from the failing one, for which some
   hypothesis gives other numbers than the truth.

If no bug passes the first two tests, two bugs may act at once. Later quantities of a step follow
from earlier ones. So a bug is named that explains the failing case, and that explains the first
wrong quantity of every similar case. If there is none, pairs of bugs are tried (`pairs`). Both have
to pass the other tests. If more than MOST bugs pass all tests, none of them is named.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from manualnn.oracle.bugs import BUGS
from manualnn.oracle.bugs.bug import Bug
from manualnn.oracle.bugs.composite import compose, restrict
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.names.agreement import Verdict
from manualnn.oracle.diagnosis.names.experiments import experiments
from manualnn.oracle.diagnosis.names.hypotheses import Hypothesis, hypotheses_of, surviving
from manualnn.oracle.diagnosis.names.known import Known
from manualnn.oracle.diagnosis.names.pairs import find_pairs
from manualnn.oracle.diagnosis.names.past import SEVERAL_UPDATES, Past, traits_of
from manualnn.oracle.diagnosis.observation import Observation, observe
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.protocol.case import Spec
from manualnn.oracle.protocol.features import options_of

MOST = 3
"""Largest number of bugs that are named together."""
LEAST = 3
"""Least number of similar cases for a bug that explains only the first wrong numbers."""
TIME_FOR_NAMED = 1.0
"""Seconds at least for bugs that earlier findings have named."""
TIME_FOR_PAIRS = 1.0
"""Seconds at least for pairs of bugs."""

NO_BUG = "no known bug gives these numbers"
REFUTED = "other cases refute the known bugs that give these numbers"
SEVERAL = "several known bugs give these numbers in all cases tried: {}"
NO_TIME = "time limit reached before all known bugs were tried; use a longer profile"


@dataclass(frozen=True)
class Naming:
    """The bugs that explain an observation, or the reason why none is named."""

    hypotheses: tuple[Hypothesis, ...] = ()
    """One for each bug."""
    together: bool = False
    """True if all of the bugs act in the observation; otherwise they are alternatives."""
    reason: str = ""


@dataclass
class Search:
    """The search for the bug that explains some observations."""

    bench: EngineClient
    known: Known
    past: Past
    budget: Budget
    view: Callable[[Observation], Observation | None] = lambda seen: seen
    """The part of an observation that counts; None if none does."""
    against: list[Observation] = field(default_factory=list)
    """Experiments that no hypothesis explained."""

    def name(self, bugs: Sequence[Bug], own: Observation, others: Sequence[Observation]) -> Naming:
        """Return the bugs that explain an observation and others of similar cases.

        The observations have the numbers of the known bugs in place of the truth.
        """
        # Many wrong quantities contradict most bugs at once, so such an observation comes first.
        others = sorted(others, key=lambda seen: -len(seen.wrong_names))
        # One line of code often serves several rules or layers, so its bug is likely in all.
        named = [bug for bug in bugs if bug.id in self.known.ids and bug.rank == 0]
        if named:
            budget = self.budget.with_at_least(TIME_FOR_NAMED)
            part = replace(self, budget=budget, against=[])
            naming, _ = part._among(named, own, others)  # noqa: SLF001 - a copy of this object
            if naming.hypotheses:
                return naming
        naming, here = self._among(bugs, own, others)
        if naming.reason == NO_BUG and self.budget.over:
            return Naming(reason=NO_TIME)
        if naming.hypotheses or (naming.reason != NO_BUG and not self.against):
            return naming
        return self._beside_another(bugs, here, own, others) or naming

    def _among(
        self, bugs: Sequence[Bug], own: Observation, others: Sequence[Observation]
    ) -> tuple[Naming, list[Hypothesis]]:
        """Return a single bug that passes all tests, and the bugs that explain `own`."""
        here: list[Hypothesis] = []
        naming = Naming(reason=NO_BUG)
        # A family is named only if no single bug is, so families are tried afterwards.
        for rank in sorted({bug.rank for bug in bugs}):
            candidates = [bug for bug in bugs if bug.rank == rank]
            found = everywhere = self._explaining(candidates, own, others[:1])
            here += found
            for seen in others:
                everywhere = surviving(everywhere, seen, self.budget)
            if everywhere:
                naming = self._named(self._unrefuted(everywhere, own), own)
            if naming.reason not in {NO_BUG, REFUTED} or self.budget.over:
                break
        return naming, here

    def _beside_another(
        self,
        bugs: Sequence[Bug],
        here: Sequence[Hypothesis],
        own: Observation,
        others: Sequence[Observation],
    ) -> Naming | None:
        """Return a bug that explains `own`, and that explains the rest beside another bug.

        Bugs of an update rule leave all numbers before the update as they are.
        """
        before = own.before_update()
        if before is not None and before.is_wrong and len(before.got) < len(own.got):
            part = replace(self, view=Observation.before_update, against=[])
            rest = [seen.before_update() for seen in others]
            naming = part.name(bugs, before, [seen for seen in rest if seen is not None])
            if naming.hypotheses:
                return naming
        if not self.against:
            left = self._unrefuted(_explaining_first(here, others), own, partly=True)
            naming = self._named(left, own)
            if naming.hypotheses:
                return naming
        budget = self.budget.with_at_least(TIME_FOR_PAIRS)
        base = self.known.engine
        bugs = [bug for bug in BUGS.values() if bug.acts_in(own.case)]
        pairs = find_pairs(bugs, here, [own, *others, *self.against], base, budget)
        return self._named(self._unrefuted(pairs, own), own) if pairs else None

    def _explaining(
        self, bugs: Sequence[Bug], own: Observation, others: Sequence[Observation]
    ) -> list[Hypothesis]:
        """Return the hypotheses of some bugs that explain `own`, with constants of any of both."""
        base = self.known.engine
        candidates = [*hypotheses_of(bugs, own, base)]
        for seen in others:
            candidates += hypotheses_of([bug for bug in bugs if bug.fit], seen, base)
        return surviving(candidates, own, self.budget)

    def still(self, naming: Naming, observations: Sequence[Observation]) -> Naming:
        """Return what is left of a naming after further observations."""
        if not naming.hypotheses:
            return naming
        left = list(naming.hypotheses)
        for seen in map(self.known.rebased, observations):
            left = [h for h in left if h.judge(seen) is not Verdict.REFUTED]
            if len(left) > 1 and seen.is_wrong and not naming.together:
                left = [h for h in left if h.explains(seen)] or left
        if naming.together and len(left) < len(naming.hypotheses):
            left = []
        return replace(naming, hypotheses=tuple(left), reason="" if left else REFUTED)

    def add(self, naming: Naming) -> None:
        """Add the bugs of a naming to those that are known."""
        if naming.together:
            for hypothesis in naming.hypotheses:
                self.known.add(hypothesis)
        elif naming.hypotheses:
            first, *alternatives = naming.hypotheses
            self.known.add(first, alternatives)

    def _named(self, hypotheses: Sequence[Hypothesis], own: Observation) -> Naming:
        """Return the bugs of hypotheses that passed all tests."""
        if not hypotheses:
            return Naming(reason=REFUTED)
        # A bug of every part is likelier than one that was narrowed to the parts of the failure.
        hypotheses = [h for h in hypotheses if not h.only] or list(hypotheses)
        least = min(h.bug.rank for h in hypotheses)
        hypotheses = [h for h in hypotheses if h.bug.rank == least]
        base = self.known.engine
        firsts = {h.bug.id: h.without_second(base) for h in reversed(hypotheses)}
        acting = [h for h in firsts.values() if h.explains(own)][::-1]
        if acting:
            ids = [h.bug.id for h in acting]
            return (
                Naming(reason=SEVERAL.format(", ".join(ids)))
                if len(ids) > MOST
                else Naming(tuple(acting))
            )
        pairs = {h.name: h for h in hypotheses}
        if len(pairs) > 1:
            return Naming(reason=SEVERAL.format(", ".join(map(" + ".join, pairs))))
        both = (hypotheses[0].without_second(base), hypotheses[0].second)
        return Naming(tuple(h for h in both if h is not None), together=True)

    def _unrefuted(
        self, hypotheses: list[Hypothesis], own: Observation, *, partly: bool = False
    ) -> list[Hypothesis]:
        """Return the hypotheses that neither an earlier case nor an experiment refutes.

        With `partly`, another bug may be the reason for numbers that they do not give.
        """
        for seen in self.past.related(own.case) if len(own.calls) == 1 else ():
            if self.budget.over or not hypotheses:
                break
            known = self.view(self.known.rebased(seen) if seen.is_wrong else seen)
            if known is None:
                continue
            left = [h for h in hypotheses if h.judge(known) is not Verdict.REFUTED]
            # Where the named bugs alone are refuted, what is composed with them proves nothing.
            if left == hypotheses or seen.is_wrong or not self.known.acts_in(seen):
                hypotheses = left
        for calls in experiments(own.calls, self.bench.capabilities):
            if self.budget.over or not hypotheses:
                break
            seen_far = observe(self.bench, calls, fresh=False)
            far = None if seen_far is None else self.view(self.known.rebased(seen_far))
            if far is not None:
                hypotheses = self._after(hypotheses, own, far, partly=partly)
        return hypotheses

    def _after(
        self,
        hypotheses: list[Hypothesis],
        own: Observation,
        seen: Observation,
        *,
        partly: bool,
    ) -> list[Hypothesis]:
        """Return the hypotheses that are left after an experiment.

        Other parts of a network may have other bugs. But if a case has no other part than the
        failing one, the bug of that case explains it.
        """
        # Of a bug that explains all numbers of a step, several steps follow.
        traits = traits_of(seen.case) - (frozenset() if partly else {SEVERAL_UPDATES})
        is_its_own = traits <= traits_of(own.case) and seen.is_finite
        verdicts = [(h, h.judge(seen)) for h in hypotheses]
        best = {verdict for _, verdict in verdicts}
        for kind in (Verdict.CONFIRMED, Verdict.PARTLY):
            if kind in best and (partly or kind is Verdict.CONFIRMED):
                return [h for h, verdict in verdicts if verdict is kind]
        left = []
        for hypothesis, verdict in verdicts:
            if verdict is Verdict.REFUTED:
                left += self._narrowed(hypothesis, own, seen)
            elif (
                not is_its_own or verdict is Verdict.SILENT or (partly and verdict is Verdict.OPEN)
            ):
                left.append(hypothesis)
        if not left and is_its_own and seen.is_wrong:
            self.against.append(seen)
        return left

    def _narrowed(
        self, hypothesis: Hypothesis, own: Observation, seen: Observation
    ) -> list[Hypothesis]:
        """Return a hypothesis that a case with other parts refutes, for the parts of the failure.

        The same line may be written for each optimizer or reduction, and be wrong in one of them.
        """
        specs = [vars(options_of(spec)) for spec in hypothesis.parts_of(own.case)]
        others = [vars(options_of(spec)) for _, spec in seen.case.parts()]
        only = tuple(switches for spec in specs if (switches := _distinguishing(spec, others)))
        if not only or hypothesis.second:
            return []
        alone = restrict(hypothesis.alone, only)
        engine = compose(alone, self.known.engine)
        narrowed = replace(hypothesis, engine=engine, alone=alone, only=only)
        return [narrowed] if narrowed.judge(seen) is not Verdict.REFUTED else []


def _explaining_first(
    hypotheses: Sequence[Hypothesis], others: Sequence[Observation]
) -> list[Hypothesis]:
    """Return the hypotheses that give the first wrong numbers of all observations."""
    wrong = [seen for seen in others if seen.is_wrong]
    found = list(hypotheses) if len(wrong) >= LEAST else []
    for seen in wrong:
        found = [h for h in found if h.judge(seen) in {Verdict.CONFIRMED, Verdict.PARTLY}]
    return found


def _distinguishing(spec: Spec, others: Sequence[Spec]) -> Spec:
    """Return the type and those switches of a part that no other part has; empty if one has all.

    Switches are options that code branches on: strings and truth values.
    """
    same = [other for other in others if other["type"] == spec["type"]]
    switches = {
        option: value
        for option, value in spec.items()
        if isinstance(value, str | bool) and any(other[option] != value for other in same)
    }
    return {} if same and not switches else {"type": spec["type"], **switches}
