"""Text of findings: case, wrong entries, diagnosis and the command to replay.

    FindingText(target, engine).describe(result)     the text of one failed check

Findings with the same likely cause are printed once in full. Every further one takes one line,
so a `FindingText` object remembers the causes that it has described.
"""

import shlex
from collections.abc import Callable, Iterator

from manualnn.oracle.findings import CheckResult, Diagnosis, Finding
from manualnn.oracle.report.wording import (
    case_line,
    case_numbers,
    entry_line,
    printable,
    wrapped,
)

ENTRIES = 6
"""Largest number of wrong quantities that are listed; further ones are counted."""
MESSAGE_LINES, FIRST_LINES = 12, 3
"""Number of lines of an engine's message that are printed, and how many of them come first."""

_UNDIAGNOSED = ("undiagnosed",)

Paint = Callable[[str, str], str]
"""paint(text, kind) colours a text; kind is "bad" or "good"."""


def no_paint(text: str, kind: str) -> str:  # noqa: ARG001
    """Return the text without colours."""
    return text


class FindingText:
    """Text of failed checks of one engine, one after another."""

    def __init__(
        self, target: str, engine: str, failures: str | None = None, paint: Paint = no_paint
    ) -> None:
        """With `failures`, the folder of saved failures, the text has the command to replay."""
        self.target, self.engine, self.failures, self.paint = target, engine, failures, paint
        self.described: dict[tuple[str, ...], str] = {}
        """For every cause, the check that was described in full."""

    def describe(self, result: CheckResult) -> str:
        """Return the text of a failed check, in full or in one line."""
        if not result.findings:
            return self._line(result.id, result.reason)
        finding = result.findings[0]
        family = _family(finding)
        if family in self.described:
            if family == _UNDIAGNOSED:
                return self._line(result.id, f"not diagnosed: {_brief(finding)}")
            return self._line(result.id, f"same as {self.described[family]}")
        separator = "\n" if self.described else ""
        self.described[family] = result.id
        return separator + self._in_full(finding, result.sentence)

    def _in_full(self, finding: Finding, sentence: str) -> str:
        word = "FAIL" if finding.kind == "wrong" else finding.kind.upper()
        lines = [f"{self._head(finding.check, word)}  {self.engine} ({finding.case.dtype})"]
        lines += wrapped(sentence, "asserts")
        lines += wrapped(case_line(finding.case), "minimal" if finding.minimal else "case")
        for numbers in case_numbers(finding.case):
            lines += wrapped(numbers, " ")
        if finding.case.note not in sentence:
            lines += wrapped(finding.case.note, "drawn for")
        if finding.message and not _repeats_an_entry(finding):
            lines += wrapped(_shorten(finding.message), "message")
        for entry in finding.entries[:ENTRIES]:
            lines += wrapped(entry_line(entry))
        if len(finding.entries) > ENTRIES:
            lines.append(f"  … and {len(finding.entries) - ENTRIES} more quantities")
        if finding.diagnosis is not None:
            lines += _diagnosis_lines(finding.diagnosis, finding.kind)
        if self.failures is not None:
            lines += wrapped(replay_command(self.target, finding, self.failures), "replay")
        return "\n".join(lines)

    def _line(self, check: str, text: str) -> str:
        return "\n".join(wrapped(f"{self._head(check)}  {text}", indent=0))

    def _head(self, check: str, word: str = "FAIL") -> str:
        return f"{self.paint(word, 'bad')}  {check}"


def replay_command(target: str, finding: Finding, failures: str) -> str:
    """Return the command that judges a finding's case again."""
    command = ["manualnn", "check", target, "--replay", finding.case.id]
    if failures != ".manualnn":
        command += ["--failures", failures]
    return shlex.join(command)


def _diagnosis_lines(diagnosis: Diagnosis, kind: str) -> Iterator[str]:
    for label, text in (
        ("scope", diagnosis.scope),
        ("ratio", diagnosis.ratio),
        ("when", diagnosis.when),
    ):
        if text:
            yield from wrapped(text, label)
    for cause in diagnosis.likely:
        yield from wrapped(f"{cause.title} [{cause.bug}]", "likely")
        yield from wrapped(cause.wrong, "  wrong")
        yield from wrapped(cause.right, "  right")
    if len(diagnosis.likely) > 1:
        yield from wrapped("these cases do not distinguish the causes", " ")
    if diagnosis.hurried:
        yield from wrapped(
            "unknown (time limit reached before all known bugs were tried; use a longer profile)",
            "likely",
        )
    elif not diagnosis.likely and kind == "wrong":
        yield from wrapped("unknown: no known bug gives these numbers", "likely")


def _family(finding: Finding) -> tuple[str, ...]:
    """Return a key that findings with the same cause share."""
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


def _brief(finding: Finding) -> str:
    if finding.kind != "wrong" or not finding.entries:
        return _last_line(finding.message)
    return entry_line(finding.entries[0])


def _shorten(message: str) -> str:
    lines = message.strip().splitlines()
    if len(lines) > MESSAGE_LINES:
        lines[FIRST_LINES : FIRST_LINES - MESSAGE_LINES] = ["…"]
    return printable("\n".join(lines))


def _last_line(message: str) -> str:
    return printable((message.strip().splitlines() or [""])[-1])
