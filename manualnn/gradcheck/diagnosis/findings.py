"""The findings of a check of values: a failed call, wrong gradients, a wrong sum over ties."""

from manualnn.gradcheck.data import Finding, Point
from manualnn.gradcheck.diagnosis.explain import explain
from manualnn.gradcheck.functions.base import FunctionFailed
from manualnn.gradcheck.judge.compare import Judge, Judgement

Judged = list[tuple[Point, Judgement]]


def failed_call(name: str, point: Point, error: FunctionFailed) -> Finding:
    """Return the finding of a gradient that raises an exception where the value does not."""
    message = f"{error.where} fails, but the value does not: {error.last_line}"
    return Finding(name, message, point, details={"trace": error.trace})


def explained(
    name: str,
    judge: Judge,
    judged: Judged,
    others: list[tuple[Judge, Judged]],
    is_brief: bool,  # noqa: FBT001
) -> list[Finding]:
    """Return the findings of wrong gradients; a failure of the explanation loses no verdict."""
    details = {}
    try:
        findings = explain(name, judge, judged, others, brief=is_brief)
    except Exception as error:  # noqa: BLE001
        findings, details = [], {"explanation": f"{type(error).__name__}: {error}"}
    if findings:
        return findings
    point, wrong = next(pair for pair in judged if pair[1].wrong)
    message = f"The gradient is wrong in {wrong.wrong} of {wrong.compared} numbers."
    parts = wrong.entries, wrong.wrong, wrong.compared, wrong.method
    return [Finding(name, message, point, *parts, details=details)]


def wrong_sum(name: str, judges: list[tuple[Judge, Judged]]) -> list[Finding]:
    """Return the finding of wrong sums over ties at the smallest point; none if there is none."""
    pairs = [(p, j) for _, judged in judges for p, j in judged if j.tied]
    if not pairs:
        return []
    point, judgement = min(pairs, key=lambda pair: sum(a.size for a in pair[0].arrays))
    entry = judgement.tied
    message = (
        "The gradients of equal numbers have a wrong sum (listed at the first of them). Moving "
        "them together changes the output by the reference; share the gradient between the ties."
    )
    entries = (entry,) if entry else ()
    return [Finding(name, message, point, entries, 1, 1, judgement.method, "where numbers tie")]
