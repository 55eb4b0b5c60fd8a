"""Text of a report for a person.

    text(report, failures)      the whole report; `failures` is the folder of `replay.save`
    summary(report)             counts, sharpness, truth, verdict and distinct mistakes
    verdict(report)             one sentence
    unjudged(report)            status, reason and names of what was not judged
    figures(report)             a label and its text for each line of figures

Each distinct mistake is printed once in full. The summary lists the checks that it fails.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from manualnn.oracle.findings import FAILING
from manualnn.oracle.report.finding_text import FindingText, Paint, no_paint
from manualnn.oracle.report.mistakes import distinct_mistakes
from manualnn.oracle.report.wording import counted, wrapped

if TYPE_CHECKING:
    from manualnn.oracle.report.report import Report

MOST_CHECKS = 5
"""Largest number of checks that are listed for one mistake."""


def text(report: "Report", failures: str | None = None) -> str:
    """Return the whole report; with `failures`, each finding has the command to replay it."""
    findings = FindingText(report.target, report.engine_name, failures)
    described = [findings.describe_new(r) for r in report.results if r.status in FAILING]
    described = [words for words in described if words]
    return "\n".join([*described, *([""] if described else []), summary(report)]) + "\n"


def summary(report: "Report", paint: Paint = no_paint) -> str:
    """Return what was not judged, figures, problems, verdict, mistakes and what is not claimed."""
    lines: list[str] = []
    for status, reason, names in unjudged(report):
        listed = ", ".join(names) + (f": {reason}" if reason else "")
        lines += wrapped(listed, status.replace("_", " "), indent=0)
    if report.avoided:
        words = f"{', '.join(report.avoided)}: because of the failure, other checks do without it"
        lines += wrapped(words, "avoided", indent=0)
    if lines:
        lines.append("")
    for label, words in (*figures(report), *(("problem", p) for p in report.problems)):
        lines += wrapped(words, label, indent=0)
    kind = "bad" if report.exit_code else "good"
    lines += [paint(line, kind) for line in wrapped(verdict(report), "verdict", indent=0)]
    for number, mistake in enumerate(distinct_mistakes(report.results), 1):
        lines += wrapped(mistake.title, f"mistake {number}", indent=0)
        lines += wrapped(_listed(mistake.checks), " ", indent=0)
    return "\n".join([*lines, *_not_claimed(report)])


def unjudged(
    report: "Report", statuses: Iterable[str] = ("unexpected", "expected", "skipped", "not_judged")
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield status, reason and names of the checks of some statuses, grouped by the reason."""
    for status in statuses:
        reasons: dict[str, list[str]] = {}
        for result in (result for result in report.results if result.status == status):
            reasons.setdefault(result.reason, []).append(result.id)
        for reason, ids in reasons.items():
            names = ids if status in {"unexpected", "expected"} else _shorten(report, ids)
            yield status, reason, names


def verdict(report: "Report") -> str:
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
        return f"{name}: no check failed, but the run proves little; see the problems."
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


def _not_claimed(report: "Report") -> list[str]:
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


def _shorten(report: "Report", ids: list[str]) -> list[str]:
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


def figures(report: "Report") -> Iterator[tuple[str, str]]:
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
