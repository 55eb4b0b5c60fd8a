"""Distinct mistakes of an engine: findings grouped by their cause.

    mistakes = Mistakes()
    mistakes.key(finding)         a key that findings with the same cause share
    distinct_mistakes(results)    [Mistake(title, checks), …] in the order of the results
    grouped_findings(results)     the same, each with its findings

Findings with the same likely bug belong together. Without a likely bug, those belong together that
blame the same feature for the same kind of quantity, and those that are alike: one line of code
often serves several features, and a wrong update shows in several quantities.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from manualnn.oracle.findings import FAILING, CheckResult, Finding
from manualnn.oracle.protocol.features import OPTIMIZER_ROWS
from manualnn.oracle.report.wording import printable

GRADIENTS = ("grads", "input_grad")
UPDATES = ("state", "params")
FRAME = re.compile(r'File "([^"]+)", line (\d+)')
"""A position in a traceback of Python."""
CASE_ID = re.compile(r"R-[0-9a-f]{8}")
NUMBER = re.compile(r"-?\d+(\.\d*)?(e[+-]?\d+)?")

Key = tuple[object, ...]


@dataclass
class Mistake:
    """One mistake, and the checks that fail because of it."""

    title: str
    checks: list[str] = field(default_factory=list)


class Mistakes:
    """Groups of findings without a name, one finding after another."""

    def __init__(self) -> None:
        self._groups: dict[Key, Key] = {}
        """The key of the group of each family."""
        self._findings: dict[Key, list[Finding]] = {}
        """The findings of each group."""

    def key(self, finding: Finding) -> Key:
        """Return a key that findings with the same cause share; note the finding."""
        own = _family(finding)
        if own not in self._groups:
            like = (
                key
                for key, some in self._findings.items()
                if any(_is_alike(finding, other) for other in some)
            )
            self._groups[own] = next(like, own)
        key = self._groups[own]
        some = self._findings.setdefault(key, [])
        some += [] if finding in some else [finding]
        return key

    def title(self, key: Key) -> str:
        """Return a phrase for a group without a name: "unknown bug of Tanh: wrong gradients"."""
        findings = self._findings[key]
        blamed = dict.fromkeys(" or ".join(finding.blamed) for finding in findings)
        names = ", ".join(filter(None, blamed))
        if findings[0].kind != "wrong":
            of = f" in {names}" if names else ""
            return f"{findings[0].kind}{of}: {fault_line(findings[0])}"
        parts = dict.fromkeys(map(_part, findings))
        return f"unknown bug{f' of {names}' if names else ''}: {', '.join(parts)}"


def distinct_mistakes(results: Iterable[CheckResult]) -> list[Mistake]:
    """Return the mistakes of the failed checks, in the order in which they were found."""
    return [mistake for mistake, _ in grouped_findings(results)]


def grouped_findings(results: Iterable[CheckResult]) -> list[tuple[Mistake, list[Finding]]]:
    """Return each mistake with the findings that show it, in the order of the results."""
    groups, mistakes = Mistakes(), dict[Key, tuple[Mistake, list[Finding]]]()
    for result in results:
        for finding in result.findings if result.status in FAILING else ():
            named = _titles(finding)
            for key, title in named or [(groups.key(finding), "")]:
                mistake, found = mistakes.setdefault(key, (Mistake(title), []))
                mistake.title = title or groups.title(key)
                mistake.checks += [result.id] if result.id not in mistake.checks else []
                found.append(finding)
    return list(mistakes.values())


def _titles(finding: Finding) -> list[tuple[Key, str]]:
    """Return the key and the title of every named bug that a finding shows."""
    diagnosis = finding.diagnosis
    if diagnosis is None or not diagnosis.likely:
        return []
    named: list[tuple[Key, str]] = [
        (("cause", cause.bug), f"{cause.title} [{cause.bug}]") for cause in diagnosis.likely
    ]
    if diagnosis.together or len(named) == 1:
        return named
    return [(_family(finding), " Or: ".join(title for _, title in named))]


def _family(finding: Finding) -> Key:
    """Return a key that findings share whose cause is the same for certain."""
    diagnosis = finding.diagnosis
    if diagnosis is not None and diagnosis.likely:
        return ("cause", *(cause.bug for cause in diagnosis.likely))
    if finding.kind == "wrong":
        return ("unknown", _part(finding), *finding.blamed)
    frames = FRAME.findall(finding.message)
    if frames:  # The same error at the same line has the same cause, whatever the feature.
        return (finding.kind, *frames[-1], NUMBER.sub("#", last_line(finding.message)))
    return (finding.kind, *finding.blamed, CASE_ID.sub("", last_line(finding.message)))


def _is_alike(finding: Finding, other: Finding) -> bool:
    """Return True if two findings of wrong numbers without a name are likely of one bug."""
    if not finding.entries or not other.entries or {finding.kind, other.kind} != {"wrong"}:
        return False
    if any(found.diagnosis and found.diagnosis.likely for found in (finding, other)):
        return False
    if finding.case.id == other.case.id and finding.entries[0] == other.entries[0]:
        return True
    if finding.blamed == other.blamed and set(finding.blamed) <= OPTIMIZER_ROWS.keys():
        return bool(finding.blamed)  # Wrong parameters are wrong outputs in the next step.
    if _group(finding) != _group(other) or not _types(finding) & _types(other):
        return False
    a, b = finding.diagnosis, other.diagnosis
    return bool(a and b and ((a.ratio and a.ratio == b.ratio) or (a.when and a.when == b.when)))


def _group(finding: Finding) -> str:
    """Return the group of the first wrong quantity, of the gradients or of the update together."""
    group = finding.entries[0].quantity.partition(".")[0]
    return GRADIENTS[0] if group in GRADIENTS else UPDATES[0] if group in UPDATES else group


def _types(finding: Finding) -> set[str]:
    return {spec["type"] for _, spec in finding.case.parts()}


def _part(finding: Finding) -> str:
    """Return the part of a step that is wrong, in words."""
    if not finding.entries:
        return finding.message.partition(":")[0] or finding.check
    group, _, rest = finding.entries[0].quantity.partition(".")
    judgement = finding.check.rpartition(":")[2]
    if judgement != "update.own_gradient" and (
        "." in judgement or judgement in {"repeat", "history", "interleaved"}
    ):
        return finding.message.partition(":")[0] or judgement
    if group in GRADIENTS:
        of = f" of the {rest.rpartition('.')[2]}" if finding.blamed == ("Linear",) and rest else ""
        return f"wrong gradients{of}"
    return f"wrong {group}"


def fault_line(finding: Finding) -> str:
    """Return the line of a failed call's message that says most.

    A crash ends with a list of loaded modules, and an exception with the error.
    """
    if finding.kind == "crash":
        return last_line("".join(finding.message.strip().splitlines()[:1]))
    return last_line(finding.message)


def last_line(message: str) -> str:
    """Return the last line of a message, which names the error at the end of a traceback.

    Python marks a position below a line of code by a line of ^ alone.
    """
    lines = [line for line in message.splitlines() if line.strip(" ^~")]
    return printable(lines[-1] if lines else "")
