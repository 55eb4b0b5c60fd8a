"""File of expected failures: known failures of an engine, one on each line.

    # known differences of this engine
    loss.MSELoss.mean:grads | averages over rows only | https://example.org/issues/8 | 2030-01-31
    optimizer.Adam.*        | ε is inside the root

A line has a pattern of check ids (`*`, `?`, `[…]` as in file names) and a reason. A link and the
last day on which the line is valid are optional.

    read(path_or_text)                      the lines; raises ExpectedFileError
    apply(report, failures, today, known)   sets statuses and adds to the report's problems

A failed check that a line matches is "expected". A pattern must match at least one failing check,
because lines must not stay when the engine is fixed. If every check it matches passes, those are
"unexpected" and the run fails. A pattern that matches no check that ran, or has expired, is a
problem of the report, and the run fails too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from manualnn.errors import OracleError
from manualnn.oracle.findings import FAILING
from manualnn.oracle.report.report import Report

_FORM = "check-id pattern | reason | link | YYYY-MM-DD; link and date are optional"


class ExpectedFileError(OracleError, ValueError):
    """A file of expected failures cannot be read."""


@dataclass(frozen=True)
class ExpectedFailure:
    """One line of the file."""

    pattern: str
    reason: str
    link: str = ""
    expires: date | None = None
    """The last day on which the line is valid, or None for no limit."""
    line: int = 0
    """Line number in the file, from 1."""

    def matches(self, check: str) -> bool:
        """Return True if the pattern matches a check's id."""
        return fnmatchcase(check, self.pattern)

    def expired(self, today: date) -> bool:
        """Return True if the last valid day is in the past."""
        return self.expires is not None and today > self.expires

    def __str__(self) -> str:
        return f"{self.reason} ({self.link})" if self.link else self.reason


def read(path_or_text: str | Path) -> list[ExpectedFailure]:
    """Return the lines of a file or of a text; a string with a "|" or a line break is a text."""
    name, text = "expected failures", str(path_or_text)
    if isinstance(path_or_text, Path) or not ("|" in text or "\n" in text or not text):
        name = text
        try:
            text = Path(path_or_text).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ExpectedFileError(
                f"the file of expected failures, {name}, cannot be read: {error}. Expected one "
                f"line for each failure: {_FORM}."
            ) from error
    return [
        _parse(line, number, f"{name}, line {number}")
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def apply(
    report: Report,
    failures: Sequence[ExpectedFailure],
    today: date,
    known: Iterable[str] | None = None,
) -> None:
    """Set the statuses "expected" and "unexpected", and report lines that match no failure.

    `known` are the ids of all checks of the engine. They are needed where only some checks ran,
    because a line about a check that was left out or not judged is not a problem. By default they
    are the report's checks.
    """
    judged = {result.id for result in report.results if result.status != "not_judged"}
    elsewhere = {*(known or ()), *(result.id for result in report.results)} - judged
    wrong = {result.id for result in report.results if result.status in FAILING}
    valid = [failure for failure in failures if not failure.expired(today)]
    stale = [failure for failure in valid if not any(map(failure.matches, wrong | elsewhere))]
    for result in report.results:
        lines = valid if result.id in wrong else stale
        failure = next((f for f in lines if f.matches(result.id)), None)
        if failure is None:
            continue
        if result.id in wrong:
            result.status, result.reason = "expected", str(failure)
        elif result.status == "passed":
            result.status = "unexpected"
            result.reason = (
                f"line {failure.line} of the expected failures matches it ({failure}), but every "
                "check that the line matches passes; remove the line if the engine is fixed"
            )
    ran = {r.id for r in report.results if r.status not in {"not_claimed", "skipped"}}
    for failure in failures:
        line = f"expected failures, line {failure.line}: {failure.pattern!r}"
        if failure.expired(today):
            report.problems.append(
                f"{line} expired on {failure.expires}; fix the engine, or set a later date."
            )
        elif not any(map(failure.matches, ran | elsewhere)):
            found = any(map(failure.matches, judged))
            matched = "only checks that did not run" if found else "no check"
            report.problems.append(
                f"{line} matches {matched}; remove the line, or fix its pattern."
            )


def _parse(line: str, number: int, place: str) -> ExpectedFailure:
    pattern, *rest = (part.strip() for part in line.split("|"))
    if not 1 <= len(rest) <= 3:
        raise ExpectedFileError(
            f"{place}: got {len(rest) + 1} parts between bars in {line.strip()!r}, expected 2 to "
            f"4: {_FORM}."
        )
    reason, link, day = [*rest, "", ""][:3]
    if not pattern or not reason:
        missing = "reason" if pattern else "check id"
        raise ExpectedFileError(f"{place}: the {missing} is missing; expected {_FORM}.")
    if _parse_date(link):
        raise ExpectedFileError(
            f"{place}: the date {link} is where the link belongs; write '… | {reason} | | {link}'."
        )
    expires = _parse_date(day)
    if day and expires is None:
        raise ExpectedFileError(
            f"{place}: {day!r} is not a date; expected YYYY-MM-DD, such as 2030-01-31."
        )
    return ExpectedFailure(pattern, reason, link, expires, number)


def _parse_date(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None
