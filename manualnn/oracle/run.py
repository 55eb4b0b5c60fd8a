"""A run in progress: each recipe draws cases, and its checks judge them.

One engine gets the cases of all recipes one after another. So its memory of one case can spoil the
next one. Each finding is therefore repeated on a fresh engine. If it does not come back, the check
of history reports it. Otherwise its case is shrunk and explained, within a time limit for all
findings together.

A feature that is at fault is avoided in all other recipes, as long as the claims leave another one.
A recipe of one feature does not fail because of another: `Blame` tells which one is at fault, and
the recipe goes on without it. A check that can be judged on no case without it is "not judged".
"""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from manualnn.oracle.adequacy import ENDED_EARLY, problems
from manualnn.oracle.cases.catalogue import recipes_for, unclaimed
from manualnn.oracle.cases.partners import Avoided
from manualnn.oracle.cases.recipe import Recipe
from manualnn.oracle.checks.initialization import judge_init
from manualnn.oracle.checks.table import JUDGEMENTS, judge
from manualnn.oracle.checks.trial import Declined, Follows, Skipped, Trial
from manualnn.oracle.diagnosis.places import features_of
from manualnn.oracle.diagnosis.same_cause import client_for
from manualnn.oracle.engines.client import EngineError
from manualnn.oracle.findings import FAILING, CheckResult, Finding
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.record import Record

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


@dataclass
class Run(Record):
    """State of a run in progress."""

    recent: list[Case] = field(default_factory=list)
    silent: Counter[str] = field(default_factory=Counter)
    """Numbers of timeouts ("hang") and of lines that are no answers ("garbage")."""

    def run_all(self) -> None:
        """Run every recipe, and report whether the run is adequate."""
        recipes = recipes_for(self.claims)
        self.total = sum(len(self._new_results(recipe)) for recipe in recipes)
        self.total += len(self.claims.init)
        for recipe in recipes:
            self.run_recipe(recipe)
        self._report_rest()
        self._look_again()
        self._judge_initial_values()
        self.report.avoided = Avoided(self.claims, frozenset(self.avoid), "").left_out
        for recipe in unclaimed(self.claims):
            check = f"{recipe.name}:*"
            if self._is_wanted(check):
                reason = "not claimed"
                self._finish(CheckResult(check, recipe.sentence, "not_claimed", reason=reason))
        self._publish()
        self.report.problems += problems(self.report, self.ledger, narrowed=bool(self.only))

    def _judge_initial_values(self) -> None:
        """Judge every claimed initialisation; of several of a type, the first that is wrong."""
        for spec in self.claims.init:
            check = f"init.{spec['type']}:distribution"
            known = next((r for r in self.report.results if r.id == check), None)
            if not self._is_wanted(check) or (known and known.status in FAILING):
                continue
            if known:
                self.report.results.remove(known)
            self.report.results.append(judge_init(self.client, spec, self.seed))

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
                    self._end_if_unknown(name, waiting, finding)
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
        others = self.explainer.unexplained - {own}
        if own and result.findings and not others.isdisjoint(features_of(finding.case)):
            return None  # The bug of another feature, which has no name, may be the reason.
        blamed = self.blame.features_at_fault(finding, self.faulty)
        is_elsewhere = blamed and own not in blamed and (own or self.faulty.issuperset(blamed))
        if is_elsewhere and not self.explainer.shows_more(trial, blamed):
            self._put_off(result, finding, blamed, is_right=own in self.blame.cleared)
            return None
        confirmed = self.explainer.alone(finding)
        if confirmed is None and self._reports_memory(finding.case):
            return None
        confirmed = confirmed or self.explainer.after(finding, self.recent)
        confirmed = replace(confirmed, blamed=(own,) if own in blamed else blamed)
        return self._fail(result, confirmed, recipe)

    def _note_silence(self, finding: Finding) -> None:
        """Count a call without an answer; raises EngineError after several, and no answer ever."""
        kind = finding.kind
        self.silent[kind] += 1
        if self.silent[kind] >= MAX_HANGS and not self.ledger.entries:
            raise EngineError(
                f"{self.client.target} answered none of its first cases. The last failure: {kind}, "
                f"{finding.message}"
            )

    def _has_enough(self, name: str, result: CheckResult) -> bool:
        is_slow = JUDGEMENTS[name].restarts and not self.client.is_python
        return (is_slow and result.cases >= RESTARTS) or self.blocked[result.id] >= MAX_BLOCKED

    def _end_if_unknown(self, name: str, waiting: dict[str, CheckResult], finding: Finding) -> None:
        """End a failed check, unless its bugs are named, so that it can show further ones."""
        too_many = self.shown[waiting[name].id] >= MAX_FINDINGS
        if too_many or not self.explainer.is_named(finding):
            del waiting[name]
