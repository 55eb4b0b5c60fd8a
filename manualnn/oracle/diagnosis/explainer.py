"""Explanation of findings: each one is repeated, made smaller and diagnosed, while there is time.

    explainer = Explainer(bench, seconds)            seconds for all findings together
    explainer.alone(finding)                         the finding on a fresh engine, or None
    explainer.after(finding, recent)                 the finding after the calls before it
    explainer.smaller(finding)                       a minimal finding, with its diagnosis
    explainer.diagnosed(finding)                     the finding with its diagnosis

A finding that a fresh engine does not show depends on earlier calls. It is repeated after the case
before it, and then after all recent cases. The more time is spent, the less is left for each.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from manualnn.oracle.checks.table import judgement_of, rejudge
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.diagnose import diagnose, is_about_numbers
from manualnn.oracle.diagnosis.known import Known
from manualnn.oracle.diagnosis.likeness import same_failure
from manualnn.oracle.diagnosis.past import Past
from manualnn.oracle.diagnosis.shrink import shrink
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import Diagnosis, Finding
from manualnn.oracle.protocol.case import Case


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
    slow_restarts: int = 5
    """Number of findings that are repeated in a new process where that is not cheap."""

    def alone(self, finding: Finding) -> Finding | None:
        """Return the finding in a fresh process; None if a fresh process does not show it."""
        if finding.kind == "hang":
            return finding
        if self.bench.restarts_cheaply or self.slow_restarts > 0:
            self.bench.restart()
            self.slow_restarts -= 1
        return rejudge(self.bench, finding.check, finding.case)

    def after(self, finding: Finding, recent: list[Case]) -> Finding:
        """Return the finding with the earlier calls that a fresh engine needs to show it."""
        for before in (recent[-1:], recent):
            self.bench.restart()
            for case in before:
                self.bench.run(case)
            again = rejudge(self.bench, finding.check, finding.case, fresh=False)
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
        seconds = max(0.2, min(2.0, left / 10))
        alone = len(finding.calls) == 1 or rejudge(self.bench, finding.check, finding.case)
        if alone:
            small = shrink(finding.case, _still_fails(self.bench, finding), seconds=seconds)
            smaller = rejudge(self.bench, finding.check, small)
            finding = replace(smaller, minimal=True, blamed=finding.blamed) if smaller else finding
        if finding.kind == "wrong":
            finding = self.diagnosed(finding, seconds)
        self.seconds -= budget.spent
        return finding

    def diagnosed(self, finding: Finding, seconds: float = 2.0) -> Finding:
        """Return the finding with its diagnosis. Findings of the same calls share one."""
        calls = ",".join(case.id for case in finding.calls or (finding.case,))
        diagnosis = self.diagnoses.get(calls) if is_about_numbers(finding) else None
        if diagnosis is None:
            diagnosis = diagnose(
                self.bench, finding, seconds=seconds, known=self.known, past=self.past
            )
            if is_about_numbers(finding) and not diagnosis.hurried:
                self.diagnoses[calls] = diagnosis
        return replace(finding, diagnosis=diagnosis)


def _still_fails(bench: EngineClient, finding: Finding) -> Callable[[Case], bool]:
    """Return a predicate: a case shows the same failure, on a fresh engine if that is cheap."""
    fresh = bench.is_python or judgement_of(finding.check).restarts

    def case_fails(case: Case) -> bool:
        if bench.capabilities.refuses(case):
            return False
        found = rejudge(bench, finding.check, case, fresh=fresh)
        return same_failure(found, finding)

    return case_fails
