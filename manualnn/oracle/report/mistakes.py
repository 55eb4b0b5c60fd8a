"""Distinct mistakes of an engine: findings grouped by their cause.

    family(finding)               a key that findings with the same cause share
    distinct_mistakes(results)    [Mistake(title, checks), …] in the order of the results

Findings with the same likely bug belong together. Without a likely bug, those belong together that
blame the same feature for the same kind of quantity.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from manualnn.oracle.findings import FAILING, CheckResult, Finding
from manualnn.oracle.report.wording import printable

GRADIENTS = ("grads", "input_grad")


@dataclass
class Mistake:
    """One mistake, and the checks that fail because of it."""

    title: str
    checks: list[str] = field(default_factory=list)


def distinct_mistakes(results: Iterable[CheckResult]) -> list[Mistake]:
    """Return the mistakes of the failed checks, in the order in which they were found."""
    mistakes: dict[object, Mistake] = {}
    for result in results:
        for finding in result.findings if result.status in FAILING else ():
            for key, title in _titles(finding):
                mistake = mistakes.setdefault(key, Mistake(title))
                mistake.checks += [result.id] if result.id not in mistake.checks else []
    return list(mistakes.values())


def family(finding: Finding) -> tuple[str, ...]:
    """Return a key that findings with the same cause share."""
    diagnosis = finding.diagnosis
    if diagnosis is not None and diagnosis.likely:
        return ("cause", *(cause.bug for cause in diagnosis.likely))
    if finding.kind != "wrong":
        return (finding.kind, *finding.blamed, last_line(finding.message))
    return ("unknown", _part(finding), *finding.blamed)


def kind_of_bug(finding: Finding) -> str:
    """Return a phrase for a bug without a name: "unknown bug of Tanh: wrong gradients"."""
    blamed = " or ".join(finding.blamed)
    if finding.kind != "wrong":
        return f"{finding.kind}{blamed and f' in {blamed}'}: {last_line(finding.message)}"
    return f"unknown bug{blamed and f' of {blamed}'}: {_part(finding)}"


def _titles(finding: Finding) -> list[tuple[object, str]]:
    """Return the key and the title of every mistake that a finding shows."""
    diagnosis = finding.diagnosis
    if diagnosis is None or not diagnosis.likely:
        return [(family(finding), kind_of_bug(finding))]
    named = [(("cause", cause.bug), f"{cause.title} [{cause.bug}]") for cause in diagnosis.likely]
    if diagnosis.together or len(named) == 1:
        return list(named)
    return [(family(finding), " Or: ".join(title for _, title in named))]


def _part(finding: Finding) -> str:
    """Return the part of a step that is wrong, in words."""
    if not finding.entries:
        return finding.message.partition(":")[0] or finding.check
    group, _, rest = finding.entries[0].quantity.partition(".")
    judgement = finding.check.rpartition(":")[2]
    if "." in judgement or judgement in {"repeat", "history", "interleaved"}:
        return finding.message.partition(":")[0] or judgement
    if group in GRADIENTS:
        of = f" of the {rest.rpartition('.')[2]}" if finding.blamed == ("Linear",) and rest else ""
        return f"wrong gradients{of}"
    return f"wrong {group}"


def last_line(message: str) -> str:
    """Return the last line of a message, which names the error at the end of a traceback."""
    return printable((message.strip().splitlines() or [""])[-1])
