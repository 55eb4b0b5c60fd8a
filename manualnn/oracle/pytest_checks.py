"""Checks of an engine as tests of a pytest suite, one test for each check.

    from manualnn.oracle import parametrize_with_checks

    @parametrize_with_checks(Engine, profile="quick")
    def test_engine(check):
        check()

    checks(target, profile="quick", seed=0, only=())    [Check, …], to collect them in another way

Collecting reads the engine's capabilities and runs no case. A failed check raises
`CheckFailedError` with the report's text, and its case is saved in `.manualnn/` for
`manualnn check … --replay`. A check is skipped, with the reason, if the engine does not claim the
feature or skips all cases.
"""

import atexit
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol

from manualnn.errors import OracleError
from manualnn.oracle import replay
from manualnn.oracle.engines.client import EngineClient, connect
from manualnn.oracle.findings import FAILING, CheckResult
from manualnn.oracle.profiles import UnknownNameError
from manualnn.oracle.report.finding_text import FindingText
from manualnn.oracle.report.mistakes import last_line
from manualnn.oracle.report.report import Report
from manualnn.oracle.runner import checks_for, run_recipe


class CheckFailedError(OracleError, AssertionError):
    """A check failed; the message is one line, and then the check's text in the report."""

    # pytest's summary starts with the module of an error, unless it is this one. Only then does the
    # message fit into the line.
    __module__ = "builtins"


class Subject(Protocol):
    """The object that is checked: an engine, or a function with its gradient."""

    def result(self, check: str) -> Any:
        """Return the result of a check, with its status and the reason of it; run it if needed."""

    def describe(self, result: Any) -> str:
        """Return one line about a failed check, then its text in the report."""


@dataclass(frozen=True)
class Check:
    """One check of one subject; calling it runs the check."""

    id: str
    sentence: str
    """The assertion."""
    subject: Subject

    def __call__(self) -> None:
        """Run the check; raises CheckFailedError, or skips the test if nothing was judged."""
        __tracebackhide__ = True  # the author needs the report, not this frame
        import pytest

        result = self.subject.result(self.id)
        if result.status in {"not_judged", "not_claimed", "skipped"}:
            pytest.skip(f"{result.status.replace('_', ' ')}: {result.reason}")
        if result.status in FAILING:
            raise CheckFailedError(self.subject.describe(result))

    def __repr__(self) -> str:
        return self.id


def checks(
    target: Any,
    *,
    profile: str = "quick",
    seed: int = 0,
    only: Sequence[str] = (),
    time_limit: float | None = None,
    in_process: bool = False,
) -> list[Check]:
    """Return the checks of an engine in the order of a run; `only` are patterns of ids."""
    client = connect(target, time_limit=time_limit, in_process=in_process)
    engine = _Engine(client, profile, seed)
    found = [
        Check(name, sentence, engine)
        for name, sentence in checks_for(client.capabilities)
        if not only or any(fnmatchcase(name, pattern) for pattern in only)
    ]
    if not found:
        client.close()
        raise UnknownNameError(f"no check of {client.target} matches {list(only)}; see `--list`.")
    atexit.register(client.close)  # the tests run long after they are collected
    return found


def parametrize_with_checks(target: Any, **options: Any) -> Any:
    """Return a decorator that repeats a test with the argument `check`, once for each check.

    `target` is an engine as for `check_engine`; the options are those of `checks`.
    """
    import pytest

    return pytest.mark.parametrize("check", checks(target, **options), ids=repr)


@dataclass(frozen=True)
class _Engine:
    """Results of an engine's checks; a recipe runs once for all of its checks."""

    client: EngineClient
    profile: str
    seed: int
    results: dict[str, CheckResult] = field(default_factory=dict)

    def result(self, check: str) -> CheckResult:
        """Return the result of a check; run its recipe if needed."""
        if check not in self.results:
            recipe = check.rpartition(":")[0]
            for result in run_recipe(self.client, recipe, self.profile, self.seed):
                self.results[result.id] = result
        result = self.results[check]
        if result.status == "passed" and not result.cases:
            raise CheckFailedError(f"{check}: no case was judged.")
        return result

    def describe(self, result: CheckResult) -> str:
        """Return one line, then the report's text of a failure; save its case."""
        claims = self.client.capabilities
        report = Report(self.client.target, claims, self.profile, self.seed, "", [result])
        found = FindingText(report.target, report.engine_name, replay.FOLDER).describe(result)
        text = f"{_in_one_line(result)}\n\n{found}"
        try:
            replay.save(report)
        except replay.ReplayError as error:
            return f"{text}\n{error}"
        return text


def _in_one_line(result: CheckResult) -> str:
    """Return the likely bug of a failed check, or else its first wrong number or message."""
    if not result.findings:
        return result.reason
    finding = result.findings[0]
    likely = finding.diagnosis.likely if finding.diagnosis else ()
    return likely[0].title if len(likely) == 1 else last_line(finding.message)
