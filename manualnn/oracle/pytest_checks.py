"""An engine's checks as tests of an author's own pytest suite: one test a check.

    from manualnn.oracle import parametrize_with_checks

    @parametrize_with_checks(Engine, profile="quick")
    def test_engine(check):
        check()

    checks(target, profile="quick", seed=0, only=())    [Check, …], for another way to collect them

Collecting asks the engine for its capabilities and runs nothing. A check that fails raises
`CheckFailedError` with the report's text; its case is kept in `.manualnn/` for
`manualnn check … --replay`. What the engine does not claim, or takes no case of, is skipped with
the reason.
"""

import atexit
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from manualnn.errors import OracleError
from manualnn.oracle import replay
from manualnn.oracle.engines.client import EngineClient, connect
from manualnn.oracle.findings import CheckResult, Report
from manualnn.oracle.report.report import FAILING, Teller, engine_name
from manualnn.oracle.runner import UnknownNameError, checks_for, run_recipe


class CheckFailedError(OracleError, AssertionError):
    """A check failed; the message is what the report tells of it."""


@dataclass(frozen=True)
class Check:
    """One check of one engine; to call it is to run it."""

    id: str
    sentence: str
    """What it asserts."""
    engine: "_Engine"

    def __call__(self) -> None:
        """Run the check: raises CheckFailedError, or skips the test if nothing was judged."""
        __tracebackhide__ = True  # the author is shown the report, not this frame
        import pytest

        result = self.engine.result(self.id)
        if result.status in {"not_claimed", "skipped"}:
            pytest.skip(f"{result.status.replace('_', ' ')}: {result.reason}")
        if result.status in FAILING:
            raise CheckFailedError(f"\n{self.engine.told(result)}")
        if not result.cases:
            raise CheckFailedError(f"{self.id}: no case was judged, so nothing is known.")

    def __repr__(self) -> str:
        return self.id


def checks(
    target: Any,
    *,
    profile: str = "quick",
    seed: int = 0,
    only: Sequence[str] = (),
    time_limit: float = 10.0,
) -> list[Check]:
    """Return the checks of an engine, in the order in which they run; `only`: patterns of ids."""
    bench = connect(target, time_limit=time_limit)
    engine = _Engine(bench, profile, seed)
    found = [
        Check(name, sentence, engine)
        for name, sentence in checks_for(bench.capabilities)
        if not only or any(fnmatchcase(name, pattern) for pattern in only)
    ]
    if not found:
        bench.close()
        raise UnknownNameError(f"no check of {bench.target} matches {list(only)}; see `--list`.")
    atexit.register(bench.close)  # tests run long after they are collected
    return found


def parametrize_with_checks(target: Any, **options: Any) -> Any:
    """Return a decorator that makes of a test with an argument `check` one test a check.

    `target` is an engine as `check_engine` takes it, and the options are those of `checks`.
    """
    import pytest

    return pytest.mark.parametrize("check", checks(target, **options), ids=repr)


@dataclass(frozen=True)
class _Engine:
    """What the checks of one engine share: the cases of a recipe are run once for all of them."""

    bench: EngineClient
    profile: str
    seed: int
    results: dict[str, dict[str, CheckResult]] = field(default_factory=dict)
    """By recipe and by check."""

    def result(self, check: str) -> CheckResult:
        """Return what became of a check."""
        recipe = check.rpartition(":")[0]
        if recipe not in self.results:
            found = run_recipe(self.bench, recipe, self.profile, self.seed)
            self.results[recipe] = {result.id: result for result in found}
        return self.results[recipe][check]

    def told(self, result: CheckResult) -> str:
        """Return the report's text of a failure, and keep its case."""
        claims = self.bench.capabilities
        report = Report(self.bench.target, claims, self.profile, self.seed, "", [result])
        replay.save(report)
        return Teller(report.target, engine_name(report), replay.FOLDER).tell(result)
