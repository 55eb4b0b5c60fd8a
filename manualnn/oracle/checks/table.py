"""The table of checks, and the functions that judge a case by one of them.

    JUDGEMENTS["batch.shards"].judge(trial)            a Finding, or None if the engine is right
    judge(trial)                                       the finding of the trial's check
    rejudge(bench, "relations:batch.shards", case)     the same, on a fresh engine

The id of a check is a recipe and a judgement, such as "loss.MSELoss.mean:grads". Whatever a
judgement does beyond the case is deterministic.
"""

from manualnn.oracle.checks import (
    finite_differences,
    memory,
    metamorphic,
    numbers,
    path_sums,
    repeatability,
    trajectory,
)
from manualnn.oracle.checks.judgement import Judgement
from manualnn.oracle.checks.trial import Declined, Faulty, Trial
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.case import Case

JUDGEMENTS: dict[str, Judgement] = {
    judgement.name: judgement
    for judgement in (
        *numbers.CHECKS,
        *metamorphic.CHECKS,
        *repeatability.CHECKS,
        *trajectory.CHECKS,
        *memory.CHECKS,
        *finite_differences.CHECKS,
        *path_sums.CHECKS,
    )
}


def judgement_of(check: str) -> Judgement:
    """Return the judgement of a check's id."""
    return JUDGEMENTS[check.rpartition(":")[2]]


def judge(trial: Trial) -> Finding | None:
    """Return the finding of the trial's check, faults included. Raises Declined."""
    trial.calls.clear()
    try:
        return judgement_of(trial.check).judge(trial)
    except Faulty as faulty:
        return trial.fault(faulty)


def rejudge(bench: EngineClient, check: str, case: Case, *, fresh: bool = True) -> Finding | None:
    """Return the finding of a check for one case; None also if the check declines."""
    if fresh:
        bench.fresh()
    try:
        return judge(Trial(bench, check, case))
    except Declined:
        return None
