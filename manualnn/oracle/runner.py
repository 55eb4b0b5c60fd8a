"""The whole run: recipes draw cases, judgements judge them, a report tells what became of them.

    check_engine(target, profile="quick", seed=0)      everything that the engine claims
    checks_for(capabilities)                           [(check id, sentence), …] that would run
    run_check(bench, check_id, profile, seed)          one of them
    run_recipe(bench, name, profile, seed)             all of one recipe, which share its cases

The cases of a recipe, and of all recipes, are put to one engine in a row: what it remembers of one
meets the next. A finding is seen again on a fresh engine before it is believed to be the case's
own; if it is not, it is the history's. Then it is made smaller and explained, within a time that
is shared out among all findings. A feature that fails in its own recipe is avoided in later ones,
while the claims leave another. The same target, profile and seed give the same cases.
"""

import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from manualnn.errors import OracleError
from manualnn.oracle.adequacy import problems
from manualnn.oracle.cases.catalogue import recipes_for, unclaimed
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.cases.recipe import Recipe
from manualnn.oracle.checks.table import JUDGEMENTS, judge, rejudge
from manualnn.oracle.checks.trial import Declined, Ledger, Skipped, Trial
from manualnn.oracle.diagnosis.explainer import Explainer
from manualnn.oracle.engines.client import EngineClient, connect
from manualnn.oracle.findings import CheckResult, Finding, Report
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.report import expected_failures as expectations
from manualnn.oracle.truth.extended import truth_statement

Progress = Callable[[int, int, Report], None]


class UnknownNameError(OracleError, ValueError):
    """There is no profile, recipe or check of the given name."""


@dataclass(frozen=True)
class Profile:
    """How much is run."""

    examples: int
    """Cases of a recipe."""
    size: Size
    explaining: float
    """Seconds for shrinking and explaining, all findings together."""


PROFILES = {
    "quick": Profile(25, Size(), 30),
    "ci": Profile(200, Size(33, 257, 4, 13, (257, 300, 511, 1025)), 60),
    "nightly": Profile(5000, Size(512, 4097, 5, 40, (257, 1023, 1024, 1025, 4097)), 600),
}
ATTEMPTS = 4
"""Draws for a case that the engine takes."""
BARREN = 40
"""Draws without a case, after which a recipe has none."""
FAULTS = 3
"""Faults after which a recipe is left."""
HANGS = 3
"""Calls without an answer after which the run ends."""
RESTARTS = 3
"""Examples of a judgement that starts a process anew for each."""
REMEMBERED = 30
"""Cases before a finding that are tried again with it."""


def check_engine(
    target: Any,
    *,
    profile: str = "quick",
    seed: int = 0,
    only: Iterable[str] = (),
    expected: Any = None,
    time_limit: float = 10.0,
    progress: Progress | None = None,
) -> Report:
    """Judge an engine and return the report; EngineError if it cannot be used.

    `only` are patterns of check ids (`*` as in file names), `expected` a file of expected
    failures, or its text. A call that takes longer than `time_limit` seconds is a hang.
    `progress(done, total, report)` is called now and then with the report as far as it has come.
    """
    known = expectations.read(expected) if expected is not None else None
    with connect(target, time_limit=time_limit) as bench:
        run = _Run(bench, profile, seed, tuple(only), progress)
        run.all()
        if known is not None:
            ids = [check for check, _ in checks_for(bench.capabilities)]
            expectations.apply(run.report, known, datetime.now(UTC).date(), ids)
        return run.report


def checks_for(claims: Capabilities) -> list[tuple[str, str]]:
    """Return the id and the sentence of every check that the claims admit, in order."""
    return [
        (f"{recipe.name}:{name}", _sentence(recipe, name))
        for recipe in recipes_for(claims)
        for name in recipe.judgements
        if JUDGEMENTS[name].needs(claims)
    ]


def run_recipe(
    bench: EngineClient, name: str, profile: str = "quick", seed: int = 0
) -> list[CheckResult]:
    """Run the checks of one recipe, which share its cases; raises UnknownNameError."""
    recipe = next((r for r in recipes_for(bench.capabilities) if r.name == name), None)
    if recipe is None:
        raise UnknownNameError(
            f"{bench.target} has no recipe {name!r}; `manualnn check --list` has all."
        )
    run = _Run(bench, profile, seed, (), None)
    run.recipe(recipe)
    return run.report.results


def run_check(
    bench: EngineClient, check: str, profile: str = "quick", seed: int = 0
) -> CheckResult:
    """Return what becomes of one check; UnknownNameError if no check has that id."""
    results = run_recipe(bench, check.rpartition(":")[0], profile, seed)
    found = next((result for result in results if result.id == check), None)
    if found is None:
        raise UnknownNameError(
            f"{bench.target} has no check {check!r}; `manualnn check --list` has all."
        )
    return found


def _sentence(recipe: Recipe, judgement: str) -> str:
    return f"{recipe.sentence}: {JUDGEMENTS[judgement].sentence}"


@dataclass
class _Run:
    """A run in progress."""

    bench: EngineClient
    name: str
    seed: int
    only: tuple[str, ...]
    progress: Progress | None
    ledger: Ledger = field(default_factory=Ledger)
    avoid: set[str] = field(default_factory=set)
    recent: list[Case] = field(default_factory=list)
    remembers: bool = False
    """Whether the engine has been found to remember; from then on it is fresh for every case."""
    hangs: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        if self.name not in PROFILES:
            raise UnknownNameError(
                f"there is no profile {self.name!r}; there are {', '.join(PROFILES)}."
            )
        self.profile = PROFILES[self.name]
        self.claims = self.bench.capabilities
        self.explainer = Explainer(self.bench, self.profile.explaining)
        self.began = time.perf_counter()
        self.report = Report(
            self.bench.target, self.claims, self.name, self.seed, truth_statement()
        )

    def all(self) -> None:
        """Run every recipe, and see whether it was enough."""
        recipes = recipes_for(self.claims)
        self.total = sum(len(self._results(recipe)) for recipe in recipes)
        for recipe in recipes:
            self.recipe(recipe)
        for recipe in unclaimed(self.claims):
            check = f"{recipe.name}:*"
            if self._wanted(check):
                reason = "not claimed"
                self._done(CheckResult(check, recipe.sentence, "not_claimed", reason=reason))
        self._tell()
        self.report.problems += problems(self.report, self.ledger, narrowed=bool(self.only))

    def recipe(self, recipe: Recipe) -> None:
        """Put the cases of one recipe to all of its judgements."""
        results = self._results(recipe)
        waiting = {name: result for name, result in results.items() if self._admits(name, result)}
        if self.hangs >= HANGS:
            for result in waiting.values():
                result.reason = f"not run, after {HANGS} calls without an answer"
            waiting = {}
        size = replace(self.profile.size, avoid=frozenset(self.avoid))
        examples = max(1, round(self.profile.examples * recipe.share))
        faults = barren = 0
        for i in range(examples):
            for name in [n for n in waiting if self._enough(n, results[n])]:
                del waiting[name]
            if not waiting or faults >= FAULTS or self.hangs >= HANGS:
                break
            drawn, fault = self._example(recipe, size, i, waiting)
            faults += fault
            barren = 0 if drawn else barren + 1
            if barren == BARREN:
                break
        for result in results.values():
            if not result.findings:
                self._done(result)
            elif recipe.name.startswith(("loss.", "layer.", "optimizer.")):
                self.avoid.add(recipe.name)
        self._tell()

    def _example(
        self, recipe: Recipe, size: Size, i: int, waiting: dict[str, CheckResult]
    ) -> tuple[bool, bool]:
        """Judge one case; return whether there was one, and whether it ended in a fault."""
        rng = np.random.default_rng([self.seed, zlib.crc32(recipe.name.encode()), i])
        dtype = self.claims.dtypes[i % len(self.claims.dtypes)]
        claims = replace(self.claims, dtypes=(dtype,))
        drawn = refused = False
        for _ in range(ATTEMPTS):
            case = recipe.draw(rng, claims, size)
            if case is None:
                continue
            drawn, judged, refused = True, False, False
            if self.remembers and self.bench.in_process:
                self.bench.fresh()
            trial = Trial(self.bench, "", case, self.ledger)
            for name, result in list(waiting.items()):
                trial.check = result.id
                try:
                    finding = self._judged(trial, result)
                except Declined as reason:
                    refused = refused or isinstance(reason, Skipped)
                    result.reason = str(reason)
                    continue
                judged = True
                if isinstance(finding, Finding):
                    del waiting[name]
                    if finding.kind != "wrong":
                        return True, True
            self.recent = [*self.recent[-REMEMBERED:], case]
            if judged:
                return True, False
        for result in waiting.values():
            result.skipped += refused
        return drawn, False

    def _judged(self, trial: Trial, result: CheckResult) -> Finding | None:
        """Return what a judgement finds, and settle it; Declined if it has nothing to say."""
        finding = judge(trial)
        result.cases += 1
        if finding is None:
            return None
        self.hangs += finding.kind == "hang"
        confirmed = self.explainer.alone(finding)
        if confirmed is None and self._historical(finding.case):
            return None
        confirmed = confirmed or self.explainer.after(finding, self.recent)
        result.findings.append(self.explainer.smaller(confirmed))
        self._done(result)
        self._tell()
        return confirmed

    def _historical(self, case: Case) -> bool:
        """Report the engine's memory, if a case shows it; return whether that has been done."""
        check, known = "history:history", self.remembers
        self.remembers = True
        if known or not self._wanted(check):
            return known
        finding = rejudge(self.bench, check, case)
        if finding is None:
            return False
        recipe = next(r for r in recipes_for(self.claims) if r.name == "history")
        result = CheckResult(check, _sentence(recipe, "history"), "failed", cases=1)
        result.findings.append(self.explainer.smaller(finding))
        self._done(result)
        self._tell()
        return True

    def _results(self, recipe: Recipe) -> dict[str, CheckResult]:
        settled = {result.id for result in self.report.results}
        return {
            name: CheckResult(check, _sentence(recipe, name), "skipped")
            for name in recipe.judgements
            if self._wanted(check := f"{recipe.name}:{name}") and check not in settled
        }

    def _wanted(self, check: str) -> bool:
        return not self.only or any(fnmatchcase(check, pattern) for pattern in self.only)

    def _admits(self, name: str, result: CheckResult) -> bool:
        """Return whether the engine can be put to a judgement; say in the result why not."""
        if not JUDGEMENTS[name].needs(self.claims):
            result.status, result.reason = "not_claimed", "the claims do not admit it"
        elif JUDGEMENTS[name].shares_memory and not self.bench.in_process:
            result.status, result.reason = "not_claimed", "another process shares no memory"
        return result.status != "not_claimed"

    def _enough(self, name: str, result: CheckResult) -> bool:
        slow = JUDGEMENTS[name].restarts and not self.bench.in_process
        return slow and result.cases >= RESTARTS

    def _done(self, result: CheckResult) -> None:
        """Settle what became of a check, and add it to the report."""
        if result.findings:
            result.status = "failed" if result.findings[0].kind == "wrong" else "errored"
            result.reason = ""
        elif result.cases:
            result.status, result.reason = "passed", ""
        elif result.status == "skipped" and not result.reason:
            result.status, result.reason = "not_claimed", "the claims admit no such case"
        self.report.results.append(result)

    def _tell(self) -> None:
        """Bring the report's figures up to date, and pass it on."""
        report, ledger = self.report, self.ledger
        report.cases, report.entries = ledger.calls, ledger.entries
        report.sharpness = ledger.sharpness(plain=True)
        report.sharpness_overall = ledger.sharpness()
        report.undecided = ledger.undecided / ledger.jumps if ledger.jumps else 0.0
        report.seconds = time.perf_counter() - self.began
        if self.progress:
            self.progress(min(len(report.results), self.total), self.total, report)
