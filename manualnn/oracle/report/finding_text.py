"""Text of findings: case, wrong entries, diagnosis and the command to replay.

    FindingText(target, engine).describe(result)     the text of one failed check

    FindingText(target, engine).describe_new(result)     empty if the same mistake was described

Findings of the same mistake are printed once in full, so a `FindingText` object remembers the
mistakes that it has described.
"""

import shlex
from collections.abc import Callable, Iterator

from manualnn.oracle.findings import CheckResult, Diagnosis, Finding
from manualnn.oracle.report.advice import advise
from manualnn.oracle.report.mistakes import Key, Mistakes
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
        self.mistakes = Mistakes()
        self.described: dict[Key, str] = {}
        """For every cause, the check that was described in full."""
        self.advised: set[str] = set()
        """Advice that was printed."""

    def describe(self, result: CheckResult) -> str:
        """Return the text of a failed check: in full, or in one line for a known mistake."""
        return self.describe_new(result) or self._line(result)

    def describe_new(self, result: CheckResult) -> str:
        """Return the text of the mistakes of a failed check that were not described before."""
        texts = [] if result.findings else [self._line(result)]
        for finding in result.findings:
            key = self.mistakes.key(finding)
            if key not in self.described:
                separator = "\n" if self.described else ""
                self.described[key] = result.id
                sentence = result.sentence if finding.check == result.id else ""
                texts.append(separator + self._in_full(finding, sentence))
        return "\n".join(texts)

    def _in_full(self, finding: Finding, sentence: str) -> str:
        diagnosis, entries = finding.diagnosis, finding.entries
        rows = [
            ("asserts", sentence),
            ("minimal" if finding.minimal else "case", case_line(finding.case)),
            *((" ", numbers) for numbers in case_numbers(finding.case)),
            ("drawn for", "" if finding.case.note in sentence else finding.case.note),
        ]
        if not entries or not finding.message.startswith(entries[0].quantity):
            rows.append(("message", shorten(finding.message)))
        rows += [("", entry_line(entry)) for entry in entries[:ENTRIES]]
        if len(entries) > ENTRIES:
            rows.append(("", f"… and {len(entries) - ENTRIES} more quantities"))
        if diagnosis is not None:
            rows += _diagnosis_rows(diagnosis, finding.kind)
        advice = advise(finding)
        rows.append(("claim", "" if advice in self.advised else advice))
        self.advised.add(advice)
        if self.failures is not None:
            rows.append(("replay", replay_command(self.target, finding, self.failures)))
        word = "FAIL" if finding.kind == "wrong" else finding.kind.upper()
        head = f"{self._head(finding.check, word)}  {self.engine} ({finding.case.dtype})"
        lines = [line for label, text in rows if text for line in wrapped(text, label)]
        return "\n".join([head, *lines])

    def _line(self, result: CheckResult) -> str:
        findings = result.findings
        same = self.described[self.mistakes.key(findings[0])] if findings else ""
        text = f"same mistake as {same}" if findings else result.reason
        word = "ERROR" if result.status == "errored" else "FAIL"
        return "\n".join(wrapped(f"{self._head(result.id, word)}  {text}", indent=0))

    def _head(self, check: str, word: str) -> str:
        return f"{self.paint(word, 'bad')}  {check}"


def replay_command(target: str, finding: Finding, failures: str) -> str:
    """Return the command that judges a finding's case again."""
    command = ["manualnn", "check", target, "--replay", finding.case.id]
    if failures != ".manualnn":
        command += ["--failures", failures]
    return shlex.join(command)


def _diagnosis_rows(diagnosis: Diagnosis, kind: str) -> Iterator[tuple[str, str]]:
    """Yield a label and its text for each part of a diagnosis; a text may be empty."""
    yield from (("scope", diagnosis.scope), ("ratio", diagnosis.ratio), ("when", diagnosis.when))
    for cause in diagnosis.likely:
        yield "likely", f"{cause.title} [{cause.bug}]"
        yield "  wrong", cause.wrong
        yield "  right", cause.right
    yield from zip(
        (" ", "likely"), (choice(diagnosis), unknown_cause(diagnosis, kind)), strict=True
    )


def choice(diagnosis: Diagnosis) -> str:
    """Return what several likely causes mean together; empty for one."""
    if len(diagnosis.likely) < 2:
        return ""
    if diagnosis.together:
        return "all of them act in this case"
    return "these cases do not distinguish the causes"


def unknown_cause(diagnosis: Diagnosis, kind: str) -> str:
    """Return why no cause is named; empty if one is."""
    if diagnosis.hurried:
        return "unknown (time limit reached before all known bugs were tried; use a longer profile)"
    if diagnosis.likely or kind != "wrong":
        return ""
    return f"unknown: {diagnosis.unknown or 'no known bug gives these numbers'}"


def shorten(message: str) -> str:
    """Return the first and the last lines of a message."""
    lines = message.strip().splitlines()
    if len(lines) > MESSAGE_LINES:
        lines[FIRST_LINES : FIRST_LINES - MESSAGE_LINES] = ["…"]
    return printable("\n".join(lines))
