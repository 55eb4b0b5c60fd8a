"""Record of a run: its report so far, the features at fault, and the findings that are put off.

A feature that is at fault is avoided in all other recipes, as long as the claims leave another one.
A finding that blames the feature of another recipe is left to that recipe. It is reported at the
end of the run if that recipe has not failed.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from manualnn.oracle.cases.catalogue import recipes_for
from manualnn.oracle.cases.partners import recipes_at_fault
from manualnn.oracle.cases.recipe import Recipe
from manualnn.oracle.checks.conventions import settle
from manualnn.oracle.checks.ledger import Ledger
from manualnn.oracle.checks.table import JUDGEMENTS, rejudge
from manualnn.oracle.diagnosis.blame import Blame
from manualnn.oracle.diagnosis.explainer import Explainer
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import CheckResult, Finding
from manualnn.oracle.profiles import PROFILES, UnknownNameError
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.report.report import Report
from manualnn.oracle.truth.extended import truth_statement

Progress = Callable[[int, int, Report], None]
"""progress(done, total, report): numbers of finished checks and of all checks, and the report."""


def describe_check(recipe: Recipe, judgement: str) -> str:
    """Return the assertion of a check as a sentence."""
    return f"{recipe.sentence}: {JUDGEMENTS[judgement].sentence}"


def fails_text(features: Collection[str]) -> str:
    """Return the reason of a check that cannot be judged: "Tanh fails"."""
    return f"{' and '.join(features)} {'fails' if len(features) == 1 else 'fail'}"


@dataclass
class Record:
    """What a run has found so far."""

    client: EngineClient
    profile_name: str
    seed: int
    only: tuple[str, ...]
    progress: Progress | None
    ledger: Ledger = field(default_factory=Ledger)
    avoid: set[str] = field(default_factory=set)
    """Recipes of features that are at fault, such as "layer.Tanh" or "loss.MSELoss.mean"."""
    faulty: set[str] = field(default_factory=set)
    """Names of the features that a reported finding blames."""
    unreported: dict[str, tuple[CheckResult, Finding]] = field(default_factory=dict)
    """Findings in the recipe of another feature, by the feature at fault."""
    has_memory: bool = False
    """True if the engine seems to remember earlier cases. Every case then gets a fresh engine."""
    results: dict[str, CheckResult] = field(default_factory=dict)
    """The results of the latest recipe, by the ids of the checks."""
    shown: Counter[str] = field(default_factory=Counter)
    """The number of findings that a check led to, by the check's id."""
    blocked: Counter[str] = field(default_factory=Counter)
    """The number of cases of a check that a feature at fault made useless, by the check's id."""
    total: int = 0
    """Number of checks of the run."""

    def __post_init__(self) -> None:
        if self.profile_name not in PROFILES:
            raise UnknownNameError(
                f"there is no profile {self.profile_name!r}; expected one of {', '.join(PROFILES)}."
            )
        self.profile = PROFILES[self.profile_name]
        settle(self.client)
        self.claims = self.client.capabilities
        self.explainer = Explainer(self.client, self.profile.explaining)
        self.blame = Blame(self.client)
        self.began = time.perf_counter()
        self.report = Report(
            self.client.target, self.claims, self.profile_name, self.seed, truth_statement()
        )

    def _reports_memory(self, case: Case) -> bool:
        """Report the check of history if it fails on a case; return True if it has failed."""
        check, known = "history:history", self.has_memory
        self.has_memory = True
        if known or not self._is_wanted(check):
            return known
        finding = rejudge(self.client, check, case)
        if finding is None:
            return False
        recipe = next(r for r in recipes_for(self.claims) if r.name == "history")
        result = CheckResult(check, describe_check(recipe, "history"), "failed", cases=1)
        self._fail(result, finding, recipe)
        return True

    def _new_results(self, recipe: Recipe) -> dict[str, CheckResult]:
        """Return empty results of the wanted checks that are not finished."""
        finished = {result.id for result in self.report.results}
        results = {}
        for name in recipe.judgements:
            if self._is_wanted(check := f"{recipe.name}:{name}") and check not in finished:
                reason = JUDGEMENTS[name].refuses(self.client)
                status = "not_claimed" if reason else "skipped"
                sentence = describe_check(recipe, name)
                results[name] = CheckResult(check, sentence, status, reason=reason)
        self.results = {result.id: result for result in results.values()}
        return results

    def _is_wanted(self, check: str) -> bool:
        return not self.only or any(fnmatchcase(check, pattern) for pattern in self.only)

    def _put_off(
        self, result: CheckResult, finding: Finding, blamed: Collection[str], *, is_right: bool
    ) -> None:
        """Leave a finding to the recipes of the features at fault, which it blames.

        `is_right`: the recipe's own feature was judged all the same, without them.
        """
        for name in blamed:
            self.unreported.setdefault(name, (result, finding))
        at_fault = recipes_at_fault(finding.case, blamed)
        if not is_right:
            result.cases -= 1
            if at_fault <= self.avoid:
                self.blocked[result.id] += 1
                result.reason = fails_text(blamed)
        self.avoid |= at_fault

    def _report_rest(self) -> None:
        """Report the findings that blame a feature whose own recipe has not failed."""
        for name, (result, finding) in self.unreported.items():
            if name in self.faulty:
                continue
            self.faulty.add(name)
            confirmed = self.explainer.alone(finding)
            if confirmed is not None or not self._reports_memory(finding.case):
                confirmed = replace(confirmed or finding, blamed=(name,))
                result.findings.append(self.explainer.smaller(confirmed))
                result.settle(blocked=bool(self.blocked[result.id]))
                self._publish()

    def _look_again(self) -> None:
        """Explain the findings without a name again, because further bugs are named by now."""
        self.explainer.seconds = max(self.explainer.seconds, self.profile.explaining / 3)
        for result in self.report.results:
            result.findings = [self.explainer.again(finding) for finding in result.findings]
        self._publish()

    def _fail(self, result: CheckResult, finding: Finding, recipe: Recipe) -> Finding:
        """Shrink and explain a finding, report it, and return it."""
        own, blamed = recipe.feature.partition(".")[0], finding.blamed
        finding = self.explainer.smaller(finding)
        if own and (own in blamed or not blamed):
            self.avoid.add(recipe.name)
            self.faulty.add(own)
        if self.explainer.is_named(finding):
            # The engine with the named bug is the truth of these features from now on.
            self.avoid = {name for name in self.avoid if name.split(".")[1] not in blamed}
        self.shown[result.id] += 1
        if result.findings:  # Beside named bugs, another quantity may be the first wrong one.
            result = self.results.get(finding.check, result)
        self._add(result, finding)
        self._publish()
        return finding

    def _add(self, result: CheckResult, finding: Finding) -> None:
        result.findings.append(finding)
        if len(result.findings) == 1:
            self._finish(result)

    def _finish(self, result: CheckResult) -> None:
        """Set the final status of a check, and add it to the report."""
        result.settle(blocked=bool(self.blocked[result.id]))
        is_known = any(result.id == known.id for known in self.report.results)
        if not is_known:  # the check of history may have been reported before its recipe
            self.report.results.append(result)

    def _publish(self) -> None:
        """Update the report's figures, and call `progress`."""
        report, ledger = self.report, self.ledger
        report.cases, report.entries = ledger.calls, ledger.entries
        report.sharpness = ledger.sharpness(plain=True)
        report.sharpness_overall = ledger.sharpness()
        report.undecided = ledger.undecided_share()
        report.seconds = time.perf_counter() - self.began
        if self.progress:
            self.progress(min(len(report.results), self.total), self.total, report)
