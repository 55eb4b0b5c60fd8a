"""A run in progress: each recipe draws cases, and its checks judge them.

One engine gets the cases of all recipes one after another. So its memory of one case can spoil the
next one. Each finding is therefore repeated on a fresh engine. If it does not come back, the check
of history reports it. Otherwise its case is shrunk and explained, within a time limit for all
findings together.

A feature that is at fault is avoided in all other recipes, as long as the claims leave another one.
A recipe of one feature does not fail because of another: `Blame` tells which one is at fault, and
the recipe goes on without it. A check that can be judged on no case without it is "not judged".
"""

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import numpy as np

from manualnn.oracle.adequacy import ENDED_EARLY, problems
from manualnn.oracle.cases.catalogue import recipes_for, unclaimed
from manualnn.oracle.cases.partners import Avoided, recipes_at_fault
from manualnn.oracle.cases.recipe import Recipe
from manualnn.oracle.checks.conventions import settle
from manualnn.oracle.checks.ledger import Ledger
from manualnn.oracle.checks.table import JUDGEMENTS, judge, rejudge
from manualnn.oracle.checks.trial import Declined, Follows, Skipped, Trial
from manualnn.oracle.diagnosis.blame import Blame
from manualnn.oracle.diagnosis.explainer import Explainer
from manualnn.oracle.diagnosis.same_cause import client_for
from manualnn.oracle.engines.client import EngineClient, EngineError
from manualnn.oracle.findings import CheckResult, Finding
from manualnn.oracle.profiles import PROFILES, UnknownNameError
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.report.report import Report
from manualnn.oracle.truth.extended import truth_statement

Progress = Callable[[int, int, Report], None]
"""progress(done, total, report): numbers of finished checks and of all checks, and the report."""

ATTEMPTS = 4
"""Draws of one example, until the engine accepts a case."""
MAX_EMPTY_DRAWS = 40
"""Give up on a recipe after this many consecutive examples that produced no case.

A newcomer is given up after one, because an example with a newcomer makes many attempts.
"""
MAX_FAULTS = 3
"""Stop a recipe after this many faults."""
MAX_FINDINGS = 4
"""Stop a check after this many findings, each of another bug."""
MAX_HANGS = 3
"""Stop the run after this many timeouts, or lines that are no answers if there is no answer."""
RESTARTS = 3
"""Number of examples for which a check that starts the engine again starts a new process.

If the engine is in another language, there are no further examples.
"""
MAX_BLOCKED = 1
"""Stop a check after this many cases that fail because of a feature that cannot be avoided."""
REMEMBERED = 30
"""Number of previous cases that are repeated to reproduce a finding."""


def describe_check(recipe: Recipe, judgement: str) -> str:
    """Return the assertion of a check as a sentence."""
    return f"{recipe.sentence}: {JUDGEMENTS[judgement].sentence}"


def fails_text(features: Collection[str]) -> str:
    """Return the reason of a check that cannot be judged: "Tanh fails"."""
    return f"{' and '.join(features)} {'fails' if len(features) == 1 else 'fail'}"


@dataclass
class Run:
    """State of a run in progress."""

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
    recent: list[Case] = field(default_factory=list)
    has_memory: bool = False
    """True if the engine seems to remember earlier cases. Every case then gets a fresh engine."""
    blocked: Counter[str] = field(default_factory=Counter)
    """The number of cases of a check that a feature at fault made useless, by the check's id."""
    silent: Counter[str] = field(default_factory=Counter)
    """Numbers of timeouts ("hang") and of lines that are no answers ("garbage")."""
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

    def run_all(self) -> None:
        """Run every recipe, and report whether the run is adequate."""
        recipes = recipes_for(self.claims)
        self.total = sum(len(self._new_results(recipe)) for recipe in recipes)
        for recipe in recipes:
            self.run_recipe(recipe)
        self._report_rest()
        self._look_again()
        self.report.avoided = Avoided(self.claims, frozenset(self.avoid), "").left_out
        for recipe in unclaimed(self.claims):
            check = f"{recipe.name}:*"
            if self._is_wanted(check):
                reason = "not claimed"
                self._finish(CheckResult(check, recipe.sentence, "not_claimed", reason=reason))
        self._publish()
        self.report.problems += problems(self.report, self.ledger, narrowed=bool(self.only))

    def run_recipe(self, recipe: Recipe) -> None:
        """Draw the cases of a recipe, and judge each by all of its checks."""
        results = self._new_results(recipe)
        waiting = {n: result for n, result in results.items() if result.status != "not_claimed"}
        if self.silent["hang"] >= MAX_HANGS:
            for result in waiting.values():
                result.reason = ENDED_EARLY
            waiting = {}
        faults = empty = 0
        for newcomer, i in recipe.examples(self.claims, self.profile.examples):
            empty = empty if i else 0
            for name in [n for n in waiting if self._has_enough(n, results[n])]:
                del waiting[name]
            if not waiting or faults >= MAX_FAULTS or self.silent["hang"] >= MAX_HANGS:
                break
            if empty < (1 if newcomer else MAX_EMPTY_DRAWS):
                drawn, fault = self._judge_example(recipe, newcomer, i, waiting)
                faults += fault
                empty = 0 if drawn else empty + 1
        for result in results.values():
            if not result.findings:
                self._finish(result)
        self._publish()

    def _judge_example(
        self, recipe: Recipe, newcomer: str, i: int, waiting: dict[str, CheckResult]
    ) -> tuple[bool, bool]:
        """Draw and judge one case; return True if there was a case, and whether a call failed."""
        rng = np.random.default_rng([self.seed, *recipe.key(i, newcomer)])
        drawn = refused = False
        avoided = Avoided(self.claims, frozenset(self.avoid), recipe.name)
        for attempt in range(ATTEMPTS):
            # A case of features at fault is better than none.
            claims = avoided.claims if attempt < ATTEMPTS - 1 or drawn else self.claims
            count = len(self.claims.dtypes)
            claims = replace(claims, dtypes=(self.claims.dtypes[i % count],))
            size = replace(self.profile.size, avoid=avoided.recipes)
            case = recipe.draw(rng, claims, size, newcomer, i // count)
            if case is None:
                continue
            drawn, judged, refused = True, False, False
            trial = Trial(client_for(self.client, recipe.name), "", case, self.ledger)
            if self.has_memory and self.client.is_python:
                trial.renew()
            for name, result in list(waiting.items()):
                trial.check = result.id
                trial.in_new_process = result.cases < RESTARTS
                try:
                    finding = self._judge(trial, result, recipe)
                except Declined as reason:
                    refused = refused or isinstance(reason, Skipped)
                    result.reason = str(reason)
                    result.status = "not_judged" if isinstance(reason, Follows) else result.status
                    continue
                judged = True
                if isinstance(finding, Finding):
                    self._end_if_unknown(name, waiting)
                    if finding.kind != "wrong":
                        return True, True
            self.explainer.note(trial)
            self.recent = [*self.recent[-REMEMBERED:], case]
            if judged:
                return True, False
        for result in waiting.values():
            result.skipped += refused
        return drawn, False

    def _judge(self, trial: Trial, result: CheckResult, recipe: Recipe) -> Finding | None:
        """Return and report the finding of a check; raises Declined if the check does not apply."""
        try:
            finding = judge(trial)
        except Declined:
            if not self.explainer.explains(trial):
                raise
            finding = None  # What follows from a known bug is right beside it.
        result.cases += 1
        if finding is None:
            return None
        if finding.kind in {"garbage", "hang"}:
            self._note_silence(finding)
        own = recipe.feature.partition(".")[0]
        known = self.explainer.known_finding(trial, finding, "" if result.findings else own)
        if known is not None:
            # Apart from the known bugs, the result is right.
            if own in known.blamed and not result.findings:
                self._add(result, known)
            return None
        blamed = self.blame.features_at_fault(finding, self.faulty)
        is_elsewhere = blamed and own not in blamed and (own or self.faulty.issuperset(blamed))
        if is_elsewhere and not self.explainer.shows_more(trial, blamed):
            self._put_off(result, finding, blamed, is_right=own in self.blame.cleared)
            return None
        confirmed = self.explainer.alone(finding)
        if confirmed is None and self._reports_memory(finding.case):
            return None
        confirmed = confirmed or self.explainer.after(finding, self.recent)
        self._fail(result, replace(confirmed, blamed=(own,) if own in blamed else blamed), recipe)
        return confirmed

    def _note_silence(self, finding: Finding) -> None:
        """Count a call without an answer; raises EngineError after several, and no answer ever."""
        kind = finding.kind
        self.silent[kind] += 1
        if self.silent[kind] >= MAX_HANGS and not self.ledger.entries:
            raise EngineError(
                f"{self.client.target} answered none of its first cases. The last failure: {kind}, "
                f"{finding.message}"
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
        return results

    def _is_wanted(self, check: str) -> bool:
        return not self.only or any(fnmatchcase(check, pattern) for pattern in self.only)

    def _has_enough(self, name: str, result: CheckResult) -> bool:
        is_slow = JUDGEMENTS[name].restarts and not self.client.is_python
        return (is_slow and result.cases >= RESTARTS) or self.blocked[result.id] >= MAX_BLOCKED

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

    def _fail(self, result: CheckResult, finding: Finding, recipe: Recipe) -> None:
        """Shrink and explain a finding, and report it."""
        own, blamed = recipe.feature.partition(".")[0], finding.blamed
        finding = self.explainer.smaller(finding)
        if own and (own in blamed or not blamed):
            self.avoid.add(recipe.name)
            self.faulty.add(own)
        if self.explainer.is_named(finding):
            # The engine with the named bug is the truth of these features from now on.
            self.avoid = {name for name in self.avoid if name.split(".")[1] not in blamed}
        self._add(result, finding)
        self._publish()

    def _add(self, result: CheckResult, finding: Finding) -> None:
        result.findings.append(finding)
        if len(result.findings) == 1:
            self._finish(result)

    def _end_if_unknown(self, name: str, waiting: dict[str, CheckResult]) -> None:
        """End a failed check, unless its bugs are named, so that it can show further ones."""
        findings = waiting[name].findings
        if not self.explainer.is_named(findings[-1]) or len(findings) >= MAX_FINDINGS:
            del waiting[name]

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
