"""Entry points of a run.

    check_engine(target, profile="quick", seed=0)      run all checks that the engine's claims allow
    checks_for(capabilities)                           [(check id, sentence), …] of such a run
    run_check(client, check_id, profile, seed)         run one check
    run_recipe(client, name, profile, seed)            run all checks of one recipe on shared cases

The same target, profile and seed give the same cases.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from manualnn.oracle.cases.catalogue import recipes_for
from manualnn.oracle.checks.table import JUDGEMENTS
from manualnn.oracle.engines.client import EngineClient, connect
from manualnn.oracle.findings import CheckResult
from manualnn.oracle.profiles import UnknownNameError
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.record import Progress, describe_check
from manualnn.oracle.report import expected_failures as expectations
from manualnn.oracle.report.report import Report
from manualnn.oracle.run import Run


def check_engine(
    target: Any,
    *,
    profile: str = "quick",
    seed: int = 0,
    only: Iterable[str] = (),
    expected: Any = None,
    time_limit: float | None = None,
    in_process: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Judge an engine and return the report; raises EngineError if it cannot be used.

    `only` are patterns of check ids (`*` as in file names). `expected` is a file of expected
    failures, or its text. A call that takes longer than `time_limit` seconds (default 10) is a
    hang. An engine given as text is imported in a process of its own, or with `in_process` here.
    `progress(done, total, report)` is called during the run with the unfinished report.
    """
    known = expectations.read(expected) if expected is not None else None
    with connect(target, time_limit=time_limit, in_process=in_process) as client:
        run = Run(client, profile, seed, tuple(only), progress)
        run.run_all()
        if known is not None:
            ids = [check for check, _ in checks_for(client.capabilities)]
            expectations.apply(run.report, known, datetime.now(UTC).date(), ids)
        return run.report


def checks_for(claims: Capabilities) -> list[tuple[str, str]]:
    """Return the id and the sentence of every check that the claims allow, in order."""
    return [
        (f"{recipe.name}:{name}", describe_check(recipe, name))
        for recipe in recipes_for(claims)
        for name in recipe.judgements
        if JUDGEMENTS[name].needs(claims)
    ]


def run_recipe(
    client: EngineClient, name: str, profile: str = "quick", seed: int = 0
) -> list[CheckResult]:
    """Return the results of a recipe's checks; raises UnknownNameError."""
    recipe = next((r for r in recipes_for(client.capabilities) if r.name == name), None)
    if recipe is None:
        raise UnknownNameError(
            f"{client.target} has no recipe {name!r}; `manualnn check --list` lists all."
        )
    run = Run(client, profile, seed, (), None)
    run.run_recipe(recipe)
    return run.report.results


def run_check(
    client: EngineClient, check: str, profile: str = "quick", seed: int = 0
) -> CheckResult:
    """Return the result of one check; raises UnknownNameError."""
    results = run_recipe(client, check.rpartition(":")[0], profile, seed)
    found = next((result for result in results if result.id == check), None)
    if found is None:
        raise UnknownNameError(
            f"{client.target} has no check {check!r}; `manualnn check --list` lists all."
        )
    return found
