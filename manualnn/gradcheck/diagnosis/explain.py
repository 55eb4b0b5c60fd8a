"""The explanation of a failure."""

from collections.abc import Sequence

from manualnn.gradcheck.data import Finding, Point
from manualnn.gradcheck.judge.compare import Judge, Judgement


def explain(check: str, judge: Judge, judged: Sequence[tuple[Point, Judgement]]) -> list[Finding]:
    """Return the findings of a check from judged points, right and wrong ones."""
    del judge
    point, judgement = next(pair for pair in judged if pair[1].wrong)
    size = int(judgement.compared)
    message = "the gradient is wrong"
    return [Finding(check, message, point, judgement.entries, judgement.wrong, size)]
