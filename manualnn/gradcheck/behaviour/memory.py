"""Checks of memory: no input or cotangent is written to, and no result is changed later."""

from collections.abc import Sequence

import numpy as np

from manualnn.gradcheck.behaviour.check import WITH_MEMORY, Check, Trial, check
from manualnn.gradcheck.behaviour.rounding import is_same
from manualnn.gradcheck.data import Array, Finding


@check(
    "memory.inputs",
    "no input and no cotangent is written to",
    needs="forward",
    frameworks=WITH_MEMORY,
)
def _inputs(trial: Trial) -> Finding | None:
    """Compare what the function got before and after each pass.

    A forward pass may overwrite an input if the framework is told so (torch: an in-place function),
    and in torch an input without a gradient, such as the running mean of a batch normalization.
    """
    point = trial.point.copied()
    graph = trial.function.forward(point.arrays)
    held = graph.inputs
    slots = trial.function.inputs
    for i in _changed(held, trial.point.arrays):
        is_statistic = trial.function.framework == "torch" and not slots[i].is_differentiable
        if i not in graph.in_place and not is_statistic:
            return trial.finding(f"forward writes to its input {slots[i].name}. Write to a copy.")
    before = [array.copy() for array in held]
    graph.backward(point.cotangents)
    for i in _changed(held, before):
        return trial.finding(f"backward writes to the input {slots[i].name}. Write to a copy.")
    for i in _changed(point.cotangents, trial.point.cotangents):
        which = f"cotangent {i + 1}" if len(point.cotangents) > 1 else "the cotangent"
        return trial.finding(f"backward writes to {which}. Write to a copy.")
    return None


@check(
    "memory.results",
    "later calls do not change earlier results, and results may be written to",
    needs="forward",
    frameworks=WITH_MEMORY,
)
def _results(trial: Trial) -> Finding | None:
    """Hold results during another call; write to gradients, and call again.

    A gradient that is the cotangent itself is right, because the next function back gets it only
    for reading, as the cotangent.
    """
    point, other = trial.point.copied(), trial.other_point()
    graph = trial.function.forward(point.arrays)
    outputs, gradients = graph.outputs, graph.backward(point.cotangents)
    before = list(map(np.copy, outputs)), trial.filled(gradients)
    if other is not None:
        later = other.copied()
        trial.function.forward(later.arrays).backward(later.cotangents)
        held = ("output", outputs, before[0]), ("gradient", gradients, before[1])
        for kind, results, old in held:
            if _changed(results, old):
                return trial.finding(
                    f"the next call changes the {kind} of this call. Return a new array each time"
                )
    inputs = [array.copy() for array in graph.inputs]
    for gradient in gradients:
        if gradient is not None and gradient.flags.writeable:
            gradient[...] = 7
    for i in _changed(graph.inputs, inputs):
        name = trial.function.inputs[i].name
        return trial.finding(f"a gradient is the memory of the input {name}. Return a copy")
    message = "writing to a gradient changes the gradients of the next call. Return a new array"
    return trial.repeat(message, trial.alone(trial.point), before[1], trial.point)


def _changed(arrays: Sequence[Array | None], before: Sequence[Array | None]) -> list[int]:
    pairs = enumerate(zip(arrays, before, strict=True))
    return [i for i, (a, b) in pairs if a is not None and b is not None and not is_same(a, b)]


CHECKS: tuple[Check, ...] = (_inputs, _results)
