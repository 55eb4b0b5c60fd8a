"""A finding seen again, made smaller and explained, while there is time.

    explainer = Explainer(bench, seconds)            seconds for all findings together
    explainer.alone(finding)                         as a fresh engine shows it, or None
    explainer.after(finding, recent)                 as it is after the cases that came before
    explainer.smaller(finding)                       minimal, and with its diagnosis
    explainer.diagnosed(finding)                     with its diagnosis

A finding that a fresh engine does not show is the history's: it is looked for after the case before
it, and after all recent ones. The more time is spent, the less is left for each.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from manualnn.oracle.checks.table import JUDGEMENTS, judge, rejudge
from manualnn.oracle.checks.trial import Declined, Trial
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.diagnose import diagnose, is_about_numbers
from manualnn.oracle.diagnosis.shrink import same_failure, shrink
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import Diagnosis, Finding
from manualnn.oracle.protocol.case import Case


@dataclass
class Explainer:
    """Explains an engine's findings: see the module."""

    bench: EngineClient
    seconds: float
    """Left for all findings together."""
    known: dict[str, Diagnosis] = field(default_factory=dict)
    """The diagnoses of wrong numbers that there was time for, by the calls that show them."""

    def alone(self, finding: Finding) -> Finding | None:
        """Return it as a fresh engine shows it; None if it does not."""
        if finding.kind == "hang":
            return finding
        return rejudge(self.bench, finding.check, finding.case)

    def after(self, finding: Finding, recent: list[Case]) -> Finding:
        """Return it with the calls that a fresh engine needs to show it, as far as known."""
        for before in (recent[-1:], recent):
            self.bench.fresh()
            for case in before:
                self.bench.run(case)
            try:
                again = judge(Trial(self.bench, finding.check, finding.case))
            except Declined:
                continue
            if again is not None:
                calls = (*before, *again.calls)
                said = f"only after {len(before)} other calls: {again.message}"
                return replace(again, calls=calls, message=said)
        return replace(finding, message=f"seen once and not again: {finding.message}")

    def smaller(self, finding: Finding) -> Finding:
        """Return it smaller, and with its diagnosis, if there is time left."""
        left = self.seconds
        if left <= 0 or finding.kind == "hang":
            return finding
        budget = Budget(left)
        seconds = max(0.2, min(2.0, left / 10))
        alone = len(finding.calls) == 1 or rejudge(self.bench, finding.check, finding.case)
        if alone:
            small = shrink(finding.case, _still(self.bench, finding), seconds=seconds)
            smaller = rejudge(self.bench, finding.check, small)
            finding = replace(smaller, minimal=True) if smaller else finding
        if finding.kind == "wrong":
            finding = self.diagnosed(finding, seconds)
        self.seconds -= budget.spent
        return finding

    def diagnosed(self, finding: Finding, seconds: float = 2.0) -> Finding:
        """Return it with its diagnosis; wrong numbers for the same calls have the same."""
        calls = ",".join(case.id for case in finding.calls or (finding.case,))
        diagnosis = self.known.get(calls) if is_about_numbers(finding) else None
        if diagnosis is None:
            diagnosis = diagnose(self.bench, finding, seconds=seconds, suspects=self._suspects())
            if is_about_numbers(finding) and not diagnosis.hurried:
                self.known[calls] = diagnosis
        return replace(finding, diagnosis=diagnosis)

    def _suspects(self) -> dict[str, None]:
        """Return the mistakes that have been named alone, in order, each once."""
        named = (diagnosis.likely for diagnosis in self.known.values())
        return dict.fromkeys(likely[0].bug for likely in named if len(likely) == 1)


def _still(bench: EngineClient, finding: Finding) -> Callable[[Case], bool]:
    """Return whether a case shows the same kind of finding, on a fresh engine if that is cheap."""
    restarts = bench.in_process or JUDGEMENTS[finding.check.rpartition(":")[2]].restarts

    def fails(case: Case) -> bool:
        if bench.capabilities.refuses(case):
            return False
        if restarts:
            bench.fresh()
        try:
            found = judge(Trial(bench, finding.check, case))
        except Declined:
            return False
        return same_failure(found, finding)

    return fails
