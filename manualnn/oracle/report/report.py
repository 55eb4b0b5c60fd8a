"""The report that a person reads: each finding with its cause, and what the whole run is worth.

    text(report, failures)      the report; `failures` is the folder that `replay.save` wrote to
    Teller(report.target, …)    the findings of one check after another, while they come
    summary(report)             counts, sharpness, truth, and a verdict in plain words

Findings with the same likely cause are one mistake: the first is told in full, the others in a
line each.
"""

import shlex
from collections import Counter
from collections.abc import Callable, Iterator

from manualnn.oracle.findings import CheckResult, Diagnosis, Finding, Report
from manualnn.oracle.report.wording import (
    case_line,
    case_numbers,
    counted,
    entry_line,
    printable,
    wrapped,
)

FAILING = ("failed", "errored")
ENTRIES = 6
"""Quantities told of a finding; the rest are counted."""
TRACE, FIRST = 12, 3
"""Lines told of an engine's own message: the first ones and the last."""

_UNDIAGNOSED = ("undiagnosed",)

Paint = Callable[[str, str], str]
"""paint(text, kind) colours a text; kind is "bad" or "good"."""


def text(report: Report, failures: str | None = None) -> str:
    """Return the whole report; with `failures`, each finding has the command that replays it."""
    teller = Teller(report.target, engine_name(report), failures)
    told = [teller.tell(result) for result in report.results if result.status in FAILING]
    return "\n".join([*told, *([""] if told else []), summary(report)]) + "\n"


def summary(report: Report, paint: Paint = lambda text, _: text) -> str:
    """Return what became of all checks, what that is worth, and a verdict."""
    lines: list[str] = []
    for status in ("unexpected", "expected", "skipped", "not_claimed"):
        for reason, ids in _by_reason(report, status).items():
            names = ids if status in {"unexpected", "expected"} else _shortened(report, ids)
            told = ", ".join(names) + (f": {reason}" if reason else "")
            lines += wrapped(told, status.replace("_", " "), indent=0)
    if lines:
        lines.append("")
    for label, told in _figures(report):
        lines += wrapped(told, label, indent=0)
    for problem in report.problems:
        lines += wrapped(problem, "problem", indent=0)
    first, *rest = wrapped(verdict(report), "verdict", indent=0)
    kind = "bad" if report.exit_code else "good"
    lines += [paint(line, kind) for line in (first, *rest)]
    for cause, checks in _causes(report).most_common():
        lines += wrapped(f"{cause} ({counted(checks, 'check')})", "likely", indent=0)
    return "\n".join(lines)


def verdict(report: Report) -> str:
    """Return in a sentence whether the engine is right, as far as it was judged."""
    name, counts = engine_name(report), report.counts()
    bad = counts["failed"] + counts["errored"]
    judged = bad + counts["passed"] + counts["expected"] + counts["unexpected"]
    if bad:
        return f"{name} is wrong: {bad} of {counted(judged, 'check')} failed."
    if counts["unexpected"]:
        return (
            f"{name} is better than expected: {counted(counts['unexpected'], 'expected failure')} "
            "passed. Remove what no longer fails from the file of expected failures."
        )
    if report.problems:
        return f"{name}: no check failed, but that is worth little: see the problems above."
    known = (
        f", but for {counted(counts['expected'], 'known failure')}" if counts["expected"] else ""
    )
    return f"{name} is right in what it claims, as far as {counted(judged, 'check')} tell{known}."


def engine_name(report: Report) -> str:
    """Return the engine's name with its version."""
    return f"{report.capabilities.name} {report.capabilities.version}".strip()


class Teller:
    """Tells findings, one check after another; remembers the causes that it has told of."""

    def __init__(
        self,
        target: str,
        engine: str,
        failures: str | None = None,
        paint: Paint = lambda text, _: text,
    ) -> None:
        self.target, self.engine, self.failures, self.paint = target, engine, failures, paint
        self.told: dict[tuple[str, ...], str] = {}
        """The check that was told in full, for every cause."""

    def tell(self, result: CheckResult) -> str:
        """Return what is to be told of a check that failed: in full, or in a line."""
        if not result.findings:
            return "\n".join(wrapped(f"{self._head(result.id)}  {result.reason}", indent=0))
        finding = result.findings[0]
        family = _family(finding)
        if family in self.told and family != _UNDIAGNOSED:
            line = f"{self._head(result.id)}  as {self.told[family]}"
            return "\n".join(wrapped(line, indent=0))
        if family in self.told:
            line = f"{self._head(result.id)}  not diagnosed: {_briefly(finding)}"
            return "\n".join(wrapped(line, indent=0))
        apart = "\n" if self.told else ""
        self.told[family] = result.id
        return apart + self._in_full(finding, result.sentence)

    def _in_full(self, finding: Finding, sentence: str) -> str:
        """Return everything that is known of a finding."""
        word = "FAIL" if finding.kind == "wrong" else finding.kind.upper()
        lines = [f"{self._head(finding.check, word)}  {self.engine} ({finding.case.dtype})"]
        lines += wrapped(sentence, "asserts")
        lines += wrapped(case_line(finding.case), "minimal" if finding.minimal else "case")
        for numbers in case_numbers(finding.case):
            lines += wrapped(numbers, " ")
        if finding.case.note not in sentence:
            lines += wrapped(finding.case.note, "drawn for")
        if finding.message and not _repeats_an_entry(finding):
            lines += wrapped(_trace(finding.message), "message")
        for entry in finding.entries[:ENTRIES]:
            lines += wrapped(entry_line(entry))
        if len(finding.entries) > ENTRIES:
            lines.append(f"  … and {len(finding.entries) - ENTRIES} more quantities")
        if finding.diagnosis is not None:
            lines += _explained(finding.diagnosis, finding.kind)
        if self.failures is not None:
            lines += wrapped(replay_command(self.target, finding, self.failures), "replay")
        return "\n".join(lines)

    def _head(self, check: str, word: str = "FAIL") -> str:
        return f"{self.paint(word, 'bad')}  {check}"


def replay_command(target: str, finding: Finding, failures: str) -> str:
    """Return the command that judges a finding's case once more."""
    command = ["manualnn", "check", target, "--replay", finding.case.id]
    if failures != ".manualnn":
        command += ["--failures", failures]
    return shlex.join(command)


def _explained(diagnosis: Diagnosis, kind: str) -> Iterator[str]:
    for label, told in (
        ("scope", diagnosis.scope),
        ("ratio", diagnosis.ratio),
        ("when", diagnosis.when),
    ):
        if told:
            yield from wrapped(told, label)
    for cause in diagnosis.likely:
        yield from wrapped(f"{cause.title} [{cause.bug}]", "likely")
        yield from wrapped(cause.wrong, "  wrong")
        yield from wrapped(cause.right, "  right")
    if len(diagnosis.likely) > 1:
        yield from wrapped("these cases do not tell the causes apart", " ")
    if diagnosis.hurried:
        told = "not known: time ran out before every mistake of the catalogue was tried"
        yield from wrapped(told, "likely")
    elif not diagnosis.likely and kind == "wrong":
        yield from wrapped("unknown: no mistake of the catalogue gives these numbers", "likely")


def _family(finding: Finding) -> tuple[str, ...]:
    """Return what findings with the same cause have in common."""
    diagnosis = finding.diagnosis
    if diagnosis is not None and diagnosis.likely:
        return ("cause", *(cause.bug for cause in diagnosis.likely))
    if finding.kind != "wrong":
        return (finding.kind, _last_line(finding.message))
    if diagnosis is None:
        return _UNDIAGNOSED
    return ("unknown", diagnosis.first, diagnosis.ratio, diagnosis.when)


def _repeats_an_entry(finding: Finding) -> bool:
    return bool(finding.entries) and finding.message.startswith(finding.entries[0].quantity)


def _briefly(finding: Finding) -> str:
    if finding.kind != "wrong" or not finding.entries:
        return _last_line(finding.message)
    return entry_line(finding.entries[0])


def _trace(message: str) -> str:
    lines = message.strip().splitlines()
    if len(lines) > TRACE:
        lines[FIRST : FIRST - TRACE] = ["…"]
    return printable("\n".join(lines))


def _last_line(message: str) -> str:
    return printable((message.strip().splitlines() or [""])[-1])


def _causes(report: Report) -> Counter[str]:
    """Return how many checks failed for each likely cause."""
    found = (r.findings[0] if r.findings else None for r in report.results if r.status in FAILING)
    return Counter(map(_cause, found))


def _cause(finding: Finding | None) -> str:
    if finding is not None and finding.kind != "wrong":
        return f"not known, {finding.kind}"
    diagnosis = finding and finding.diagnosis
    if not diagnosis or not diagnosis.likely:
        return "not known" if diagnosis and not diagnosis.hurried else "not diagnosed"
    return " Or: ".join(cause.title for cause in diagnosis.likely)


def _by_reason(report: Report, status: str) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for result in report.results:
        if result.status == status:
            reasons.setdefault(result.reason, []).append(result.id)
    return reasons


def _shortened(report: Report, ids: list[str]) -> list[str]:
    """Return ids in fewer words: features not claimed at all by their name, others by judgement."""
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
        found[0] if len(found) == 1 else f"{name} in {counted(len(found), 'recipe')}"
        for name, found in judgements.items()
    )
    return [*features, *grouped]


def _figures(report: Report) -> Iterator[tuple[str, str]]:
    counts = report.counts()
    yield "checks", ", ".join(f"{n:,} {status.replace('_', ' ')}" for status, n in counts.items())
    rate = f" ({report.cases / report.seconds:,.0f} a second)" if report.seconds else ""
    yield "cases", f"{report.cases:,} in {report.seconds:.1f} s{rate}"
    yield " ", f"{report.entries:,} numbers compared; profile {report.profile}, seed {report.seed}"
    medians = {"plain": report.sharpness, "all": report.sharpness_overall}
    told = [
        ", ".join(f"{value:.1g} ({dtype})" for dtype, value in of.items()) + f" in {which} recipes"
        for which, of in medians.items()
        if of
    ]
    first, *others = told or ["nothing was compared"]
    yield "sharpness", f"median of bound/|value|: {first}"
    for other in others:
        yield " ", other
    yield " ", f"{report.undecided:.2%} of slopes at kinks undecided by rounding"
    yield "truth", report.truth.removeprefix("truth: ")
    for relaxation in report.capabilities.relaxations():
        yield "relaxed", relaxation
