"""Checks of memory layouts: the same numbers give the same gradient in every layout."""

from collections.abc import Callable

import numpy as np

from manualnn.gradcheck.behaviour.check import WITH_MEMORY, Check, Trial, check
from manualnn.gradcheck.behaviour.rounding import is_near
from manualnn.gradcheck.data import Array, Finding, Point
from manualnn.gradcheck.functions.base import FunctionFailed


def _strided(array: Array) -> Array:
    """Return every second entry of an array that holds other numbers in between."""
    wide = np.repeat(array[..., None], 2, axis=-1).reshape(*array.shape[:-1], -1)
    if array.dtype.kind == "f":
        wide[..., 1::2] = np.nan
    return wide[..., ::2]


REMEDY = "Respect the strides, or call contiguous()"
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "in Fortran order": np.asfortranarray,
    "strided": _strided,
    "of negative strides": lambda array: np.flip(np.flip(array).copy()),
}
"""Layouts that keep the numbers. They are for arrays with an axis."""
EXPANSIONS: dict[str, Callable[[Array], Array]] = {
    "expanded from one number (stride 0), as y.sum().backward() gives": lambda array: (
        np.broadcast_to(array.reshape(-1)[-1:].copy().reshape((1,) * array.ndim), array.shape)
    ),
    "expanded along the last axis (stride 0), as y.sum(-1).sum().backward() gives": lambda array: (
        np.broadcast_to(array[..., -1:].copy(), array.shape)
    ),
}
"""Layouts of stride 0, which repeat some of the numbers."""


@check(
    "layout.cotangent",
    "a cotangent may have any memory layout",
    needs="forward",
    frameworks=WITH_MEMORY,
)
def _cotangent(trial: Trial) -> Finding | None:
    for name, lay_out in {**LAYOUTS, **EXPANSIONS}.items():
        laid_out = tuple(_laid_out(w, lay_out) for w in trial.point.cotangents)
        if all(w.flags.c_contiguous for w in laid_out):
            continue
        point = Point(trial.point.arrays, tuple(w.copy(order="C") for w in laid_out))
        expected = trial.vjp(point)
        graph = trial.function.forward(trial.point.copied().arrays)
        try:
            got = trial.filled(graph.backward(laid_out))
        except FunctionFailed as failed:
            return trial.failure(f"backward fails with a cotangent {name}", failed)
        found = trial.compare(
            f"a cotangent {name} gives another gradient than the same numbers in C order. "
            + REMEDY,
            got,
            expected,
            point=point,
        )
        if found:
            return found
    return None


@check(
    "layout.inputs",
    "inputs that the function takes may have any memory layout",
    needs="forward",
    frameworks=WITH_MEMORY,
)
def _inputs(trial: Trial) -> Finding | None:
    """Compare gradients. A forward pass may refuse a layout; backward may not be wrong in it."""
    outputs = trial.function.value(trial.point.arrays)
    for name, lay_out in LAYOUTS.items():
        laid_out = tuple(_laid_out(array, lay_out) for array in trial.point.arrays)
        if all(array.flags.c_contiguous for array in laid_out):
            continue
        try:
            graph = trial.function.forward(laid_out)
        except FunctionFailed:
            continue
        if not all(map(is_near, graph.outputs, outputs)):
            if trial.function.framework == "torch":
                continue  # dropout draws, and as_strided reads, in the order of the memory
            return trial.finding(
                f"inputs {name} give other outputs than the same numbers in C order. {REMEDY}"
            )
        try:
            got = trial.filled(graph.backward(trial.point.copied().cotangents))
        except FunctionFailed as failed:
            return trial.failure(f"backward fails after inputs {name}, but forward works", failed)
        message = f"inputs {name} give another gradient than the same numbers in C order. " + REMEDY
        found = trial.compare(message, got, trial.base)
        if found:
            return found
    return None


def _laid_out(array: Array, lay_out: Callable[[Array], Array]) -> Array:
    """Return a copy in another layout."""
    return lay_out(array.copy()) if array.ndim and array.size else array.copy()


CHECKS: tuple[Check, ...] = (_cotangent, _inputs)
