"""Conditions on the numbers of a case: small, large or exact ones."""

from functools import partial

import numpy as np

from manualnn.oracle.diagnosis.conditions.outcome import Judge
from manualnn.oracle.diagnosis.location import ACTIVATIONS, input_of_layer
from manualnn.oracle.protocol.case import Array, Case


def of_numbers(judge: Judge, case: Case) -> str:
    """Return the condition on the numbers of a case where ordinary numbers pass."""
    reaches = f"x reaches {np.abs(case.x).max(initial=0):.3g} here"
    if judge(case.map(partial(_nudge, absolutely=False))):
        for power in (4, 10, 20, 60, 120):
            if judge(case.map(partial(_scale_x, 2.0**power))) is False:
                return f"only with small numbers: {reaches}, 2^{power} times larger passes"
    if judge(case.map(partial(_nudge, absolutely=True))) is False:
        return _exact_point(case)
    for divisor in (2, 4, 16, 64, 1024):
        if judge(case.map(partial(_scale_x, 1 / divisor))) is False:
            return f"only with large numbers: {reaches}, {divisor} times smaller passes"
    return ""


def _scale_x(factor: float, name: str, array: Array) -> Array:
    return (array * factor).astype(array.dtype) if name == "x" else array


def _nudge(name: str, array: Array, *, absolutely: bool) -> Array:
    """Move every float by a share of itself, and if `absolutely`, by a small number too."""
    if array.dtype.kind != "f" or name == "t" or name.startswith("noise."):
        return array
    by = np.random.default_rng(0).uniform(1e-3, 2e-3, array.shape)
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
