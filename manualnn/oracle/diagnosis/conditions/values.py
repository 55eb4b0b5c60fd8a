"""Conditions on the numbers of a case: small, large or exact ones."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from manualnn.oracle.diagnosis.conditions.outcome import Judge
from manualnn.oracle.diagnosis.location import ACTIVATIONS, input_of_layer
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import is_count, takes_indices

POWERS = tuple(sign * k for k in (1, 2, 4, 6, 10, 20, 60, 120, 200) for sign in (1, -1))
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
    close = [case.map(partial(_nudge, seed, absolutely=True)) for seed in (0, 1, 2)]
    if all(judge(other) is False for other in close):
        return f"only at exact numbers{_exact_point(case)}: close ones pass"
    return ""


def _at(judge: Judge, near: Sequence[Case], factor: float) -> bool | None:
    """Return the outcome of all cases with x multiplied by a factor; None if they differ."""
    scaled = [case.map(partial(_scale_x, factor)) for case in near]
    outcomes = {judge(case) if np.isfinite(case.x).all() else None for case in scaled}
    return outcomes.pop() if len(outcomes) == 1 else None


def _scale_x(factor: float, name: str, array: Array) -> Array:
    with np.errstate(over="ignore"):
        return (array * factor).astype(array.dtype) if name == "x" else array


def _nudge(seed: int, name: str, array: Array, *, absolutely: bool) -> Array:
    """Move every float by a share of itself; `absolutely`: of the largest of its array."""
    is_kept = name == "t" or name.startswith("noise.") or is_count(name)
    if array.dtype.kind != "f" or is_kept or not array.size:
        return array
    by = np.random.default_rng(seed).uniform(1e-3, 2e-3, array.shape)
    size = (np.abs(array).max() or 1.0) if absolutely else np.abs(array)
    return (array + by * size * np.where(array < 0, -1, 1)).astype(array.dtype)


def _exact_point(case: Case) -> str:
    """Return an equality that holds at a case, which may be the reason of the failure."""
    for i, layer in enumerate(case.layers):
        if layer["type"] in ACTIVATIONS and np.any(input_of_layer(case, i) == 0):
            return f", here where an input of {layer['type']} is 0"
    outputs = input_of_layer(case, len(case.layers))
    if not takes_indices(case.loss, case.t) and np.any(outputs == case.t):
        return ", here where an output equals its target"
    return ", here with zeros in x" if np.any(case.x == 0) else ""
