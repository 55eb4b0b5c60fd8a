"""What is seen at the terminal while the checks run: a bar, and each finding as it comes.

    with Watch(target, failures, known) as watch:
        check_engine(target, progress=watch.see)
    watch.tell(report)                                  what has not been told yet

The bar stands on standard error, and only where that is a terminal and tqdm is installed.
"""

import importlib
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import click

from manualnn.oracle.findings import Report
from manualnn.oracle.report.expected_failures import ExpectedFailure
from manualnn.oracle.report.report import FAILING, Teller, engine_name


class Watch:
    """Tells findings while they come; a context manager, which ends the bar."""

    def __init__(
        self, target: str, failures: str | None, known: Sequence[ExpectedFailure] = ()
    ) -> None:
        self.teller = Teller(target, "", failures, paint)
        self.known = known
        self.report: Report | None = None
        """The report as far as it has come."""
        self.done = self.total = 0
        self._told: set[str] = set()
        self._bar: Any = None

    def see(self, done: int, total: int, report: Report) -> None:
        """Take note of so many checks done, and tell what is new."""
        self.done, self.total, self.report = done, total, report
        if self._bar is None:
            self._bar = _bar(total)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        self.tell(report)

    def tell(self, report: Report) -> None:
        """Print the findings that have not been told, but for those that are expected."""
        self.teller.engine = engine_name(report)
        for result in report.results:
            expected = any(failure.matches(result.id) for failure in self.known)
            if result.status in FAILING and not expected and result.id not in self._told:
                self._told.add(result.id)
                self._print(self.teller.tell(result))

    def _print(self, text: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        click.echo(text)
        if self._bar is not None:
            self._bar.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def paint(text: str, kind: str) -> str:
    """Colour a text; click takes colours away again where no terminal reads it."""
    return click.style(text, fg="green" if kind == "good" else "red", bold=True)


def _bar(total: int) -> Any:
    """Return a bar if a person is looking and tqdm is there."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    try:
        tqdm = importlib.import_module("tqdm").tqdm
    except ImportError:
        return None
    return tqdm(total=total, unit="check", desc="checking", leave=False)
