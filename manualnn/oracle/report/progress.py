"""Live output of a run at the terminal: a progress bar, and each finding when it is found.

    with LiveReport(target, failures, known) as live:
        check_engine(target, progress=live.update)
    live.print_new(report)                              findings that were not printed yet

The bar is on standard error. It is shown only on a terminal, and only if tqdm is installed.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import click

from manualnn.oracle.findings import FAILING
from manualnn.oracle.report.expected_failures import ExpectedFailure
from manualnn.oracle.report.finding_text import FindingText
from manualnn.oracle.report.report import Report
from manualnn.output.progress_bar import find_tqdm


class LiveReport(AbstractContextManager["LiveReport"]):
    """Prints findings during a run; leaving the context removes the progress bar."""

    def __init__(
        self, target: str, failures: str | None, known: Sequence[ExpectedFailure] = ()
    ) -> None:
        self.text = FindingText(target, "", failures, paint)
        self.known = known
        self.report: Report | None = None
        """The latest report."""
        self.done = self.total = 0
        """Numbers of finished checks and of all checks."""
        self._bar: Any = None

    def update(self, done: int, total: int, report: Report) -> None:
        """Move the bar and print new findings; the `progress` argument of `check_engine`."""
        self.done, self.total, self.report = done, total, report
        if self._bar is None and (tqdm := find_tqdm()) is not None:
            self._bar = tqdm(total=total, unit="check", desc="checking", leave=False)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        self.print_new(report)

    def print_new(self, report: Report) -> None:
        """Print the mistakes that were not printed yet, except those of expected failures."""
        self.text.engine = report.engine_name
        for result in report.results:
            expected = any(failure.matches(result.id) for failure in self.known)
            if (
                result.status in FAILING
                and not expected
                and (text := self.text.describe_new(result))
            ):
                if self._bar is not None:
                    self._bar.clear()
                click.echo(text)
                if self._bar is not None:
                    self._bar.refresh()

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def paint(text: str, kind: str) -> str:
    """Colour a text; click removes the colours where the output is not a terminal."""
    return click.style(text, fg="green" if kind == "good" else "red", bold=True)
