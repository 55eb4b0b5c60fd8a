"""Checks of a framework's transforms: vmap and jit do not change a gradient."""

import numpy as np

from manualnn.gradcheck.behaviour.check import Check, Trial, check, last_line
from manualnn.gradcheck.behaviour.rounding import is_near
from manualnn.gradcheck.data import Finding, Point
from manualnn.gradcheck.functions.base import FunctionFailed, Unsupported


@check("vmap", "under vmap the gradients are the same", needs="batched_vjp")
def _vmap(trial: Trial) -> Finding | None:
    """Put the point and another one in a batch, and compare each part with the call alone.

    A torch function without a rule of its own for vmap is not judged, because the first import of
    torch's vmap takes seconds.
    """
    function = trial.function
    if not function.batched_value or not function.batched_vjp:
        return None
    if not getattr(function, "has_vmap", True):
        raise Unsupported(f"{function.name} has no rule for vmap")
    flipped = Point(trial.point.arrays, tuple(-2 * np.flip(w) for w in trial.point.cotangents))
    points = [trial.point, flipped, trial.other_point() or trial.point]
    arrays = tuple(np.stack(each) for each in zip(*(p.arrays for p in points), strict=True))
    cotangents = tuple(np.stack(each) for each in zip(*(p.cotangents for p in points), strict=True))
    values = function.batched_value(arrays)
    got = function.batched_vjp(arrays, cotangents)
    for i, point in enumerate(points):
        for batch, alone in zip(values, function.value(point.arrays), strict=True):
            if not is_near(batch[i], alone):
                return trial.finding("under vmap the outputs are others than of each call alone")
        message = "under vmap the gradient is another than that of each call alone"
        part = [np.asarray(gradient)[i] for gradient in got]
        found = trial.compare(message, part, trial.vjp(point), point=point)
        if found:
            return found
    return None


@check("jit", "under jit the gradients are the same", needs="forward", frameworks=("jax",))
def _jit(trial: Trial) -> Finding | None:
    """Compare the gradient, which is under jit where jit takes the function, with one without."""
    message = "the gradient under jit is another than without"
    try:
        alone = trial.alone(trial.point)
    except FunctionFailed as failed:
        raise Unsupported(f"it fails without jit: {last_line(failed)}") from failed
    return trial.compare(message, trial.base, alone)


CHECKS: tuple[Check, ...] = (_vmap, _jit)
