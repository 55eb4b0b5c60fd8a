"""Checks of torch's needs_input_grad and of unused outputs: fewer gradients, the same numbers."""

from collections.abc import Iterator

import numpy as np

from manualnn.gradcheck.behaviour.check import Check, Trial, check
from manualnn.gradcheck.data import Finding, Point
from manualnn.gradcheck.functions.base import FunctionFailed

FEW = 3
"""Number of inputs up to which all subsets are taken."""


@check(
    "needs_input_grad",
    "the gradients are the same when only some inputs require one",
    needs="forward",
    frameworks=("torch",),
)
def _needs_input_grad(trial: Trial) -> Finding | None:
    for needs in _subsets(len(trial.names)):
        chosen = [name for name, needed in zip(trial.names, needs, strict=True) if needed]
        where = f"when only {' and '.join(chosen)} requires_grad"
        point = trial.point.copied()
        graph = trial.function.forward(point.arrays, needs)
        try:
            got = graph.backward(point.cotangents)
        except FunctionFailed as failed:
            return trial.failure(f"backward fails {where}", failed)
        asked = [g if needed else None for g, needed in zip(got, needs, strict=True)]
        message = f"the gradient changes {where}. Compare the order of ctx.needs_input_grad"
        found = trial.compare(message, asked, trial.base)
        if found:
            return found
        for name, gradient, base in zip(trial.names, got, trial.base, strict=True):
            if name in chosen and gradient is None and np.any(base):
                return trial.finding(
                    f"the gradient of {name} is None {where}. "
                    "Compare the order of ctx.needs_input_grad"
                )
    return None


@check(
    "unused_outputs",
    "an output that is not used counts as one with a zero cotangent",
    needs="forward",
    frameworks=("torch",),
)
def _unused_outputs(trial: Trial) -> Finding | None:
    cotangents = trial.point.cotangents
    if len(cotangents) < 2:
        return None
    for used in range(len(cotangents)):
        some = tuple(w if i == used else np.zeros_like(w) for i, w in enumerate(cotangents))
        point = Point(trial.point.arrays, some)
        expected = trial.vjp(point)
        graph = trial.function.forward(point.copied().arrays)
        where = f"when only output {used + 1} is used"
        try:
            got = graph.backward([w if i == used else None for i, w in enumerate(some)])
        except FunctionFailed as failed:
            return trial.failure(f"backward fails {where}", failed)
        message = f"the gradient is wrong {where}. Take a cotangent of None for zeros"
        found = trial.compare(message, trial.filled(got), expected, point=point)
        if found:
            return found
    return None


def _subsets(count: int) -> Iterator[tuple[bool, ...]]:
    """Yield all proper subsets of few inputs; of more, single inputs and all but one."""
    if count <= FEW:
        for bits in range(1, 2**count - 1):
            yield tuple(bool(bits >> i & 1) for i in range(count))
        return
    for i in range(count):
        yield tuple(j == i for j in range(count))
        yield tuple(j != i for j in range(count))


CHECKS: tuple[Check, ...] = (_needs_input_grad, _unused_outputs)
