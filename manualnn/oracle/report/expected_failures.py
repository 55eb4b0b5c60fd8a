"""Failures that are known and accepted: a file with a line for each, which cannot go stale quietly.

    # what this engine is known to do otherwise
    loss.MSELoss.mean:grads | averages over rows only | https://example.org/issues/8 | 2030-01-31
    optimizer.Adam.*        | ε stands inside the root

A line has the pattern of check ids (`*`, `?`, `[…]` as in file names), the reason, and, if wanted,
a link and the last day on which it holds.

    read(path_or_text)                      the lines; ExpectedFileError where one is malformed
    apply(report, failures, today, known)   changes statuses, and adds to the report's problems

A check that fails as expected is "expected". A line with `*` is a family: which of its members
show a deviation is up to the draws, so some may pass, but one at least has to fail. Where none
does, those that pass are "unexpected", which fails the run: an exact id is therefore strict. So do
a line that matches no check that ran, and a line that has expired.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from manualnn.errors import OracleError
from manualnn.oracle.findings import Report

_FORM = "check-id pattern | reason | link | YYYY-MM-DD, the last two if wanted"


class ExpectedFileError(OracleError, ValueError):
    """A file of expected failures cannot be understood."""


@dataclass(frozen=True)
class ExpectedFailure:
    """A line of the file."""

    pattern: str
    reason: str
    link: str = ""
    expires: date | None = None
    """The last day on which it holds; None: for ever."""
    line: int = 0
    """Its number in the file, from 1."""

    def matches(self, check: str) -> bool:
        """Tell whether the line is about the check of that id."""
        return fnmatchcase(check, self.pattern)

    def expired(self, today: date) -> bool:
        """Tell whether its last day is over."""
        return self.expires is not None and today > self.expires

    def __str__(self) -> str:
        return f"{self.reason} ({self.link})" if self.link else self.reason


def read(path_or_text: str | Path) -> list[ExpectedFailure]:
    """Return the lines of a file, or of a text that has a "|" or more than one line."""
    name, text = "expected failures", str(path_or_text)
    if isinstance(path_or_text, Path) or not ("|" in text or "\n" in text or not text):
        name = text
        try:
            text = Path(path_or_text).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ExpectedFileError(
                f"the file of expected failures, {name}, cannot be read: {error}. It has a line "
                f"for each: {_FORM}."
            ) from error
    lines = enumerate(text.splitlines(), 1)
    return [
        _parse(line, number, f"{name}, line {number}")
        for number, line in lines
        if line.strip() and not line.lstrip().startswith("#")
    ]


def apply(
    report: Report,
    failures: Sequence[ExpectedFailure],
    today: date,
    known: Iterable[str] | None = None,
) -> None:
    """Set the statuses of expected failures, and tell what of the file no longer fits.

    `known` are the ids of all checks of the engine, where only some ran: a line about one of the
    others is none of the report's business. None: those of the report.
    """
    judged = {result.id for result in report.results}
    elsewhere = set(known or ()) - judged
    wrong = {result.id for result in report.results if result.status in {"failed", "errored"}}
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
                f"line {failure.line} of the expected failures names it ({failure}), and nothing "
                "that the line names fails; if it is right now, remove the line"
            )
    ran = {r.id for r in report.results if r.status not in {"not_claimed", "skipped"}}
    for failure in failures:
        what = f"expected failures, line {failure.line}: {failure.pattern!r}"
        if failure.expired(today):
            report.problems.append(
                f"{what} expired on {failure.expires}; mend the engine, or give a later day."
            )
        elif not any(map(failure.matches, ran | elsewhere)):
            found = any(map(failure.matches, judged))
            why = "only checks that did not run" if found else "no check"
            report.problems.append(f"{what} matches {why}; remove the line, or mend its pattern.")


def _parse(line: str, number: int, where: str) -> ExpectedFailure:
    pattern, *rest = (part.strip() for part in line.split("|"))
    if not 1 <= len(rest) <= 3:
        raise ExpectedFileError(
            f"{where}: it has {len(rest) + 1} parts between bars, expected 2 to 4: {_FORM}. "
            f"Got {line.strip()!r}."
        )
    reason, link, day = [*rest, "", ""][:3]
    if not pattern or not reason:
        missing = "reason" if pattern else "check id"
        raise ExpectedFileError(f"{where}: the {missing} is missing; write {_FORM}.")
    if _day(link):
        raise ExpectedFileError(
            f"{where}: {link} stands where the link does; write '… | {reason} | | {link}'."
        )
    expires = _day(day)
    if day and expires is None:
        raise ExpectedFileError(
            f"{where}: {day!r} is no day; expected YYYY-MM-DD, such as 2030-01-31."
        )
    return ExpectedFailure(pattern, reason, link, expires, number)


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None
