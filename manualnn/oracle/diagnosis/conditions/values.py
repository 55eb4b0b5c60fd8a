"""Conditions on the numbers of a case: small, large or exact ones."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from manualnn.oracle.diagnosis.conditions.outcome import Judge
from manualnn.oracle.diagnosis.location import ACTIVATIONS, input_of_layer
from manualnn.oracle.protocol.case import Array, Case

POWERS = (-20, -10, -6, -4, -2, -1, 1, 2, 4, 6, 10, 20)
"""Powers of 2 by which x is multiplied."""


def of_numbers(judge: Judge, case: Case) -> str:
    """Return the condition on the numbers of a case where ordinary numbers pass."""
    reaches = f"x reaches {np.abs(case.x).max(initial=0):.3g} here"
    near = [case.map(partial(_nudge, seed, absolutely=False)) for seed in (0, 1)]
    if all(map(judge, near)):
        outcomes = {power: _at(judge, near, 2.0**power) for power in POWERS}
        failing = [power for power in POWERS if outcomes[power]]
        passing = [power for power in POWERS if outcomes[power] is False]
        if len(passing) > 1 and failing:
            if max(failing) < min(passing):
                return f"only with small numbers: {reaches}, 2^{min(passing)} times larger passes"
            if max(passing) < min(failing):
                return f"only with large numbers: {reaches}, 2^{-max(passing)} times smaller passes"
    if judge(case.map(partial(_nudge, 0, absolutely=True))) is False:
        return _exact_point(case)
    return ""


def _at(judge: Judge, near: Sequence[Case], factor: float) -> bool | None:
    """Return the outcome of all cases with x multiplied by a factor; None if they differ."""
    outcomes = {judge(case.map(partial(_scale_x, factor))) for case in near}
    return outcomes.pop() if len(outcomes) == 1 else None


def _scale_x(factor: float, name: str, array: Array) -> Array:
    return (array * factor).astype(array.dtype) if name == "x" else array


def _nudge(seed: int, name: str, array: Array, *, absolutely: bool) -> Array:
    """Move every float by a share of itself, and if `absolutely`, by a small number too."""
    if array.dtype.kind != "f" or name == "t" or name.startswith("noise."):
        return array
    by = np.random.default_rng(seed).uniform(1e-3, 2e-3, array.shape)
    return (array * (1 + by) + (by if absolutely else 0)).astype(array.dtype)


def _exact_point(case: Case) -> str:
    for i, layer in enumerate(case.layers):
        if layer["type"] in ACTIVATIONS and np.any(input_of_layer(case, i) == 0):
            return f"only where the input of {layer['type']} is exactly 0"
    outputs = input_of_layer(case, len(case.layers))
    if case.t.shape == outputs.shape and np.any(outputs == case.t):
        return "only where an output equals its target exactly"
    if np.any(case.x == 0):
        return "only at exact numbers, such as the zeros of x"
    return "only at exactly these numbers: close ones pass"
