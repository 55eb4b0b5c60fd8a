"""Report of a run: its data, and its text for a person.

    Report                      target, capabilities, results, figures, problems
    text(report, failures)      the whole report; `failures` is the folder of `replay.save`
    summary(report)             counts, sharpness, truth, verdict and distinct mistakes
    verdict(report)             one sentence

Each distinct mistake is printed once in full. The summary lists the checks that it fails.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from manualnn.oracle.findings import FAILING, STATUSES, CheckResult
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.report.finding_text import FindingText, Paint, no_paint
from manualnn.oracle.report.mistakes import distinct_mistakes
from manualnn.oracle.report.wording import counted, wrapped

MOST_CHECKS = 5
"""Largest number of checks that are listed for one mistake."""


@dataclass(repr=False)
class Report:
    """Results of all checks of one engine; `print` shows the same text as the command."""

    target: str
    capabilities: Capabilities
    profile: str
    seed: int
    truth: str
    """A sentence about the precision in which the truth was computed."""
    results: list[CheckResult] = field(default_factory=list)
    cases: int = 0
    """Number of judged calls of `step`."""
    entries: int = 0
    """Number of compared array entries."""
    sharpness: dict[str, float] = field(default_factory=dict)
    """Median of bound / |value| for each dtype, over the plain recipes."""
    sharpness_overall: dict[str, float] = field(default_factory=dict)
    """The same over all recipes, including those that provoke rounding errors."""
    undecided: float = 0.0
    """Share of the slopes at kinks that rounding decides."""
    seconds: float = 0.0
    avoided: list[str] = field(default_factory=list)
    """Features that fail, and that the checks of other features therefore do without."""
    problems: list[str] = field(default_factory=list)
    """Reasons why the run proves little, such as "only 3 cases ran"."""

    @property
    def engine_name(self) -> str:
        """The engine's name with its version."""
        return f"{self.capabilities.name} {self.capabilities.version}".strip()

    def counts(self) -> dict[str, int]:
        """Return the number of checks of each status."""
        return {s: sum(result.status == s for result in self.results) for s in STATUSES}

    @property
    def exit_code(self) -> int:
        """0: no failure; 1: a check failed, errored or passed unexpectedly; 3: problems."""
        counts = self.counts()
        if counts["failed"] or counts["errored"] or counts["unexpected"]:
            return 1
        return 3 if self.problems else 0

    def __repr__(self) -> str:
        """Return the target and the number of checks of each status, on one line."""
        counts = ", ".join(f"{count} {status}" for status, count in self.counts().items() if count)
        return f"Report({self.target!r}, {self.profile}: {counts}; exit code {self.exit_code})"

    def __str__(self) -> str:
        """Return the report as text."""
        return text(self)


def text(report: Report, failures: str | None = None) -> str:
    """Return the whole report; with `failures`, each finding has the command to replay it."""
    findings = FindingText(report.target, report.engine_name, failures)
    described = [findings.describe_new(r) for r in report.results if r.status in FAILING]
    described = [words for words in described if words]
    return "\n".join([*described, *([""] if described else []), summary(report)]) + "\n"


def summary(report: Report, paint: Paint = no_paint) -> str:
    """Return what was not judged, figures, problems, verdict, mistakes and what is not claimed."""
    lines: list[str] = []
    for status in ("unexpected", "expected", "skipped", "not_judged"):
        reasons: dict[str, list[str]] = {}
        for result in (result for result in report.results if result.status == status):
            reasons.setdefault(result.reason, []).append(result.id)
        for reason, ids in reasons.items():
            names = ids if status in {"unexpected", "expected"} else _shorten(report, ids)
            listed = ", ".join(names) + (f": {reason}" if reason else "")
            lines += wrapped(listed, status.replace("_", " "), indent=0)
    if report.avoided:
        words = f"{', '.join(report.avoided)}: because of the failure, other checks do without it"
        lines += wrapped(words, "avoided", indent=0)
    if lines:
        lines.append("")
    for label, words in (*_figures(report), *(("problem", p) for p in report.problems)):
        lines += wrapped(words, label, indent=0)
    kind = "bad" if report.exit_code else "good"
    lines += [paint(line, kind) for line in wrapped(verdict(report), "verdict", indent=0)]
    for number, mistake in enumerate(distinct_mistakes(report.results), 1):
        lines += wrapped(mistake.title, f"mistake {number}", indent=0)
        lines += wrapped(_listed(mistake.checks), " ", indent=0)
    return "\n".join([*lines, *_not_claimed(report)])


def verdict(report: Report) -> str:
    """Return one sentence on the correctness of everything that was judged."""
    name, counts = report.engine_name, report.counts()
    bad = counts["failed"] + counts["errored"]
    judged = bad + counts["passed"] + counts["expected"] + counts["unexpected"]
    if bad:
        mistakes = counted(len(distinct_mistakes(report.results)), "distinct mistake")
        return f"{name} is wrong: {mistakes}; {bad} of {counted(judged, 'check')} failed."
    if counts["unexpected"]:
        return (
            f"{name} is better than expected: {counted(counts['unexpected'], 'expected failure')} "
            "passed. Remove the lines that no longer match from the file of expected failures."
        )
    if report.problems:
        return f"{name}: no check failed, but the run proves little; see the problems above."
    known = counts["expected"]
    exceptions = f", except for {counted(known, 'known failure')}" if known else ""
    return (
        f"{name} is correct in what it claims, as far as tested: "
        f"{judged - known:,} of {counted(judged, 'check')} passed{exceptions}."
    )


def _listed(checks: list[str]) -> str:
    """Return the ids of the checks that a mistake fails, at most MOST_CHECKS of them."""
    shown = ", ".join(checks[:MOST_CHECKS])
    more = len(checks) - MOST_CHECKS
    return f"fails {shown}" + (f" and {more} more" if more > 0 else "")


def _not_claimed(report: Report) -> list[str]:
    """Return the line of the features that are not claimed; as many as the width allows."""
    ids = [r.id for r in report.results if r.status == "not_claimed"]
    names = _shorten(report, [check for check in ids if check.endswith(":*")])
    other = sum(not check.endswith(":*") for check in ids)
    end = f"{counted(other, 'check')} {'does' if other == 1 else 'do'} not apply" if other else ""
    for shown in range(len(names), -1, -1):
        more = [f"{len(names) - shown} more features"] if shown < len(names) else []
        words = "; ".join(filter(None, (", ".join([*names[:shown], *more]), end)))
        lines = wrapped(words, "not claimed", indent=0)
        if len(lines) == 1:
            return lines if words else []
    return lines


def _shorten(report: Report, ids: list[str]) -> list[str]:
    """Return check ids as fewer words.

    A feature that is not claimed at all is listed by its name. Checks with the same assertion in
    several recipes are counted.
    """
    claims = report.capabilities
    claimed = {*claims.layers, *claims.losses, *claims.optimizers}
    features: dict[str, None] = {}
    judgements: dict[str, list[str]] = {}
    for check in ids:
        recipe, _, judgement = check.partition(":")
        kind, _, feature = recipe.partition(".")
        name = feature.partition(".")[0]
        if judgement != "*":
            judgements.setdefault(judgement, []).append(check)
        elif kind in {"layer", "loss", "optimizer"}:
            features[feature if name in claimed else name] = None
        else:
            features[recipe] = None
    grouped = (
        checks[0] if len(checks) == 1 else f"{name} in {counted(len(checks), 'recipe')}"
        for name, checks in judgements.items()
    )
    return [*features, *grouped]


def _figures(report: Report) -> Iterator[tuple[str, str]]:
    """Yield a label and its text for each line of figures."""
    counts = report.counts()
    yield "checks", ", ".join(f"{n:,} {status.replace('_', ' ')}" for status, n in counts.items())
    rate = f" ({report.cases / report.seconds:,.0f} a second)" if report.seconds else ""
    yield "cases", f"{report.cases:,} in {report.seconds:.1f} s{rate}"
    yield " ", f"{report.entries:,} numbers compared; profile {report.profile}, seed {report.seed}"
    medians = {"plain": report.sharpness, "all": report.sharpness_overall}
    lines = [
        ", ".join(f"{value:.1g} ({dtype})" for dtype, value in of.items()) + f" in {which} recipes"
        for which, of in medians.items()
        if of
    ]
    first, *others = lines or ["nothing was compared"]
    yield "sharpness", f"median of bound/|value|: {first}"
    for other in others:
        yield " ", other
    yield " ", f"{report.undecided:.2%} of slopes at kinks undecided by rounding"
    yield "truth", report.truth.removeprefix("truth: ")
    for convention in report.capabilities.described_conventions():
        yield "convention", convention
    for relaxation in report.capabilities.relaxations():
        yield "relaxed", relaxation
