"""Explanation of findings: each one is repeated, made smaller and diagnosed, while there is time.

    explainer = Explainer(bench, seconds)            seconds for all findings together
    explainer.alone(finding)                         the finding on a fresh engine, or None
    explainer.after(finding, recent)                 the finding after the calls before it
    explainer.smaller(finding)                       a minimal finding, with its diagnosis
    explainer.diagnosed(finding)                     the finding with its diagnosis
    explainer.again(finding)                         the same at the end, with all named bugs

A finding that a fresh engine does not show depends on earlier calls. It is repeated after the case
before it, and then after all recent cases. The more time is spent, the less is left for each.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

import numpy as np

from manualnn.oracle.cases.recipe import DIFFERENTIAL
from manualnn.oracle.checks.table import judgement_of, rejudge
from manualnn.oracle.checks.trial import Trial
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.diagnose import causes_of, diagnose, is_about_numbers
from manualnn.oracle.diagnosis.likeness import place_of, same_failure
from manualnn.oracle.diagnosis.names.known import Known
from manualnn.oracle.diagnosis.names.past import Past
from manualnn.oracle.diagnosis.observation import Observation, observe
from manualnn.oracle.diagnosis.same_cause import acting_causes, client_for, gives, named_causes
from manualnn.oracle.diagnosis.shrink import shrink
from manualnn.oracle.diagnosis.updates import explains_update, is_update
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import Diagnosis, Finding
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.truth.compare import group_of

MOST_SECONDS = 9.0
"""Largest number of seconds to diagnose a finding. Shrinking takes up to a third of it."""


@dataclass
class Explainer:
    """Explains the findings of one engine."""

    bench: EngineClient
    seconds: float
    """Seconds that are left for all findings together."""
    diagnoses: dict[str, Diagnosis] = field(default_factory=dict)
    """Complete diagnoses of wrong numbers, by the ids of the calls."""
    known: Known = field(default_factory=Known)
    """The bugs that are named so far."""
    past: Past = field(default_factory=Past)
    """Earlier cases of the run."""
    named: dict[str, Finding] = field(default_factory=dict)
    """The finding that named each bug."""
    unexplained: set[str] = field(default_factory=set)
    """Features with a finding that no known bug explains."""
    tried: dict[str, int] = field(default_factory=dict)
    """The number of named bugs at the time of a diagnosis, by the ids of the calls."""
    slow_restarts: int = 5
    """Number of findings that are repeated in a new process where that is not cheap."""

    def alone(self, finding: Finding) -> Finding | None:
        """Return the finding in a fresh process; None if a fresh process does not show it."""
        if finding.kind == "hang":
            return finding
        if self.bench.restarts_cheaply or self.slow_restarts > 0:
            self.bench.restart()
            self.slow_restarts -= 1
        return self._rejudge(finding, finding.case)

    def after(self, finding: Finding, recent: list[Case]) -> Finding:
        """Return the finding with the earlier calls that a fresh engine needs to show it."""
        for before in (recent[-1:], recent):
            self.bench.restart()
            for case in before:
                self.bench.run(case)
            again = self._rejudge(finding, finding.case, fresh=False)
            if again is not None:
                message = f"only after {len(before)} other calls: {again.message}"
                return replace(again, calls=(*before, *again.calls), message=message)
        message = f"failed once, but passed when repeated: {finding.message}"
        return replace(finding, message=message, repeatable=False)

    def smaller(self, finding: Finding) -> Finding:
        """Return a smaller finding with its diagnosis, if there is time left."""
        left = self.seconds
        if left <= 0 or finding.kind == "hang":
            return finding
        budget = Budget(left)
        seconds = max(0.2, min(MOST_SECONDS, left / 5))
        alone = len(finding.calls) == 1 or self._rejudge(finding, finding.case)
        if alone:
            small = shrink(finding.case, self._still_fails(finding), seconds=seconds / 3)
            smaller = self._judged_anew(finding, small)
            if smaller is not None:
                finding = replace(smaller, minimal=True, blamed=finding.blamed)
        if finding.kind == "wrong":
            finding = self.diagnosed(finding, seconds)
        self.seconds -= budget.spent
        return finding

    def diagnosed(self, finding: Finding, seconds: float = 2.0) -> Finding:
        """Return the finding with its diagnosis. Findings of the same calls share one."""
        calls = _ids(finding)
        self.tried[calls] = len(self.known.ids)
        before = len(self.known.hypotheses)
        diagnosis = self.diagnoses.get(calls) if is_about_numbers(finding) else None
        if diagnosis is None:
            client = client_for(self.bench, finding.check)
            diagnosis = diagnose(client, finding, seconds=seconds, known=self.known, past=self.past)
            if is_about_numbers(finding) and not diagnosis.hurried:
                self.diagnoses[calls] = diagnosis
        found = replace(finding, diagnosis=diagnosis)
        if self.is_named(found):
            if self.named and len(self.known.hypotheses) > before:
                found = replace(found, blamed=self.known.parts_at_fault(found))
            for cause in diagnosis.likely:
                self.named.setdefault(cause.bug, found)
        else:
            self.unexplained |= set(finding.blamed)
        return found

    def again(self, finding: Finding) -> Finding:
        """Return a finding without a name again, at the end of a run, with all named bugs.

        It has their names if they explain it. Otherwise it is diagnosed again, if a bug was named
        since, or if the time limit was reached.
        """
        if finding.kind != "wrong" or self.is_named(finding) or not self.known.ids:
            return finding
        if finding.diagnosis is not None and finding.diagnosis.likely:
            return finding
        causes = named_causes(self.bench, self.known, finding)
        if causes:
            first = finding.entries[0].quantity if finding.entries else ""
            diagnosis = finding.diagnosis or Diagnosis(first, "")
            diagnosis = replace(
                diagnosis, likely=causes_of(causes), together=True, hurried=False, unknown=""
            )
            blamed = {f for h in causes for f in self.named[h.bug.id].blamed}
            return replace(finding, diagnosis=diagnosis, blamed=tuple(sorted(blamed)))
        is_stale = self.tried.get(_ids(finding), -1) < len(self.known.ids)
        if not is_stale or not is_about_numbers(finding) or self.seconds <= 0:
            return finding
        budget = Budget(self.seconds)
        self.diagnoses.pop(_ids(finding), None)
        found = self.diagnosed(finding, min(MOST_SECONDS, self.seconds / 5))
        self.seconds -= budget.spent
        return found if found.diagnosis and found.diagnosis.likely else finding

    def note(self, trial: Trial) -> None:
        """Remember the case of a trial, if its numbers were compared with the truth."""
        seen = _observed(trial)
        if seen is not None:
            self.past.note(seen, is_wrong=bool(trial.verdict[0]))

    def known_finding(self, trial: Trial, finding: Finding, feature: str) -> Finding | None:
        """Return a finding that the named bugs explain, with their names; None if they do not.

        It has the minimal case of the bug, if the check fails there as well. A finding of a feature
        without the named bugs gets no names, which saves time.
        """
        if finding.kind != "wrong" or not self.known.hypotheses:
            return None
        seen = _observed(trial)
        wrong = seen if seen is not None and seen.is_wrong else None
        if not (
            self._covers(wrong, finding.check) if wrong else gives(self.bench, self.known, finding)
        ):
            if not explains_update(self.bench, self.known, finding):
                return None
            wrong = None
        acting = {h.bug.id for h in self.known.hypotheses if feature and h.acts_on(feature)}
        if not acting and not any(feature in named.blamed for named in self.named.values()):
            return finding
        causes = self.known.explaining(wrong) if wrong else []
        causes = causes or acting_causes(self.known, finding)
        # Of several bugs, those of update rules show in updates, and the others before.
        of_update = is_update(finding)
        causes = [h for h in causes if (h.bug.kind == "optimizers") == of_update] or causes
        names = {hypothesis.bug.id for hypothesis in causes}
        known = next((f for name, f in self.named.items() if {name} == names), None)
        small = known and self._rejudge(finding, known.case)
        if known and small:
            finding = replace(small, minimal=True)
        blamed = {name for bug in names for name in self.named[bug].blamed}
        blamed |= {feature} if names & acting else set()
        first = finding.entries[0].quantity if finding.entries else ""
        diagnosis = Diagnosis(first, "", likely=causes_of(causes), together=True)
        return replace(finding, diagnosis=diagnosis, blamed=tuple(sorted(blamed)))

    def _covers(self, seen: Observation, check: str) -> bool:
        """Return True if the named bugs explain what a check compares.

        Beside them, another bug may show in other quantities, which have checks of their own.
        """
        if self.known.covers(seen):
            return True
        judgement = check.rpartition(":")[2]
        beyond = {group_of(name) for name in self.known.rebased(seen).wrong_names}
        return judgement in DIFFERENTIAL and judgement not in beyond and self.known.acts_in(seen)

    def explains(self, trial: Trial) -> bool:
        """Return True if a check of numbers fails only because of the named bugs."""
        if trial.check.rpartition(":")[2] not in DIFFERENTIAL or not self.known.hypotheses:
            return False
        seen = _observed(trial)
        return seen is not None and seen.is_wrong and self.known.covers(seen)

    def shows_more(self, trial: Trial, blamed: Collection[str]) -> bool:
        """Return True if features show another bug than the named ones, for the first time."""
        seen = _observed(trial)
        features = {feature for finding in self.named.values() for feature in finding.blamed}
        if seen is None or not set(blamed) <= features - self.unexplained:
            return False
        return self.known.shows_more(seen)

    def _rejudge(self, finding: Finding, case: Case, *, fresh: bool = True) -> Finding | None:
        """Return the finding of the same check for a case; None if there is none."""
        return rejudge(client_for(self.bench, finding.check), finding.check, case, fresh=fresh)

    def is_named(self, finding: Finding) -> bool:
        """Return True if the causes of a finding are among the named bugs."""
        likely = finding.diagnosis.likely if finding.diagnosis else ()
        return bool(likely) and {cause.bug for cause in likely} <= self.known.names

    def _still_fails(self, finding: Finding) -> Callable[[Case], bool]:
        """Return a predicate: a case shows the same failure, on a fresh engine if that is cheap.

        If there are named bugs, the case has to show more than they explain.
        """
        bench = self.bench
        fresh = bench.is_python or judgement_of(finding.check).restarts
        place = self._place_beyond(finding)

        def case_fails(case: Case) -> bool:
            if bench.capabilities.refuses(case):
                return False
            if place is not None:
                return self._place_in(case, finding.check, fresh=fresh) == place
            found = self._rejudge(finding, case, fresh=fresh)
            return same_failure(found, finding)

        return case_fails

    def _place_beyond(self, finding: Finding) -> tuple[object, ...] | None:
        """Return where a finding shows more than the named bugs; None if there are none."""
        if not self.known.hypotheses or not is_about_numbers(finding) or len(finding.calls) > 1:
            return None
        return self._place_in(finding.case, finding.check, fresh=True)

    def _place_in(self, case: Case, check: str, *, fresh: bool) -> tuple[object, ...] | None:
        """Return the first quantity of a case that the named bugs do not explain."""
        seen = observe(client_for(self.bench, check), [case], fresh=fresh)
        if seen is None or not self.known.shows_more(seen):
            return None
        beyond = self.known.rebased(seen)
        if not beyond.is_wrong:
            return None
        name = beyond.wrong_names[0]
        return (*place_of(name), bool(np.isfinite(beyond.got[name]).all()))

    def _judged_anew(self, finding: Finding, case: Case) -> Finding | None:
        """Return the finding for a smaller case.

        A bug beside named ones fails the check of the first quantity that those do not explain.
        """
        place = self._place_beyond(replace(finding, case=case))
        recipe, _, judgement = finding.check.rpartition(":")
        checks = dict.fromkeys((str(place[0]) if place else judgement, judgement, *DIFFERENTIAL))
        client = client_for(self.bench, recipe)
        every = (rejudge(client, f"{recipe}:{check}", case) for check in checks)
        return next((found for found in every if found is not None), None)


def _ids(finding: Finding) -> str:
    """Return the ids of the calls of a finding."""
    return ",".join(case.id for case in finding.calls or (finding.case,))


def _observed(trial: Trial) -> Observation | None:
    """Return the observation of a trial's own case; None if it was not compared with the truth."""
    if trial.outcome is None or trial.outcome.result is None or not trial.has_truth:
        return None
    return Observation((trial.case,), (trial.outcome,), (trial.truth(trial.case),))
