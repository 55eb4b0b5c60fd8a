"""Judgements of memory: whose arrays are whose. For engines in this process.

An engine is handed the case's own arrays, and its own results are looked at, not copies of them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from manualnn.oracle.checks.trial import Trial, unlike
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.case import Array


def _arrays(got: Mapping[str, Any]) -> dict[str, Array]:
    return {name: a for name, a in got.items() if isinstance(a, np.ndarray)}


def _inputs(trial: Trial) -> Finding | None:
    case = trial.case.copy()
    before = trial.case.arrays()
    trial.ask_raw(case)
    entries = unlike(case.arrays(), before)
    if not entries:
        return None
    return trial.finding(f"the engine writes to its input {entries[0].quantity}", entries)


def _aliasing(trial: Trial) -> Finding | None:
    case = trial.case.copy()
    got = _arrays(trial.ask_raw(case))
    message = _shared(got, case.arrays())
    if message:
        return trial.finding(message)
    kept = {name: array.copy() for name, array in got.items()}
    trial.ask_raw(case.map(lambda name, a: a[::-1].copy() if name in ("x", "t") else a.copy()))
    entries = unlike(got, kept)
    if not entries:
        return None
    return trial.finding(f"the next call changes the {entries[0].quantity} of this one", entries)


def _shared(got: Mapping[str, Array], inputs: Mapping[str, Array]) -> str:
    """Return which result is the memory of another, or of an input; "" if none is."""
    names = list(got)
    for i, name in enumerate(names):
        for other in names[:i]:
            if np.shares_memory(got[name], got[other]):
                return f"{name} and {other} are one array"
        for other, array in inputs.items():
            if np.shares_memory(got[name], array):
                return f"{name} is memory of the input {other}"
    return ""


def _layouts(trial: Trial) -> Finding | None:
    for name, lay_out in LAYOUTS.items():
        case = trial.case.map(lay_out)
        got, expected = trial.ask_raw(case), trial.truth(case)
        entries, right = trial.compare(got, expected.quantities(), expected)
        if entries:
            return trial.finding(f"arrays that are {name} give another answer", entries, right)
    return None


def _strided(_: str, a: Array) -> Array:
    """Return a view of every other entry of a larger array, the ones between not numbers."""
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), 7, a.dtype)
    if a.dtype.kind == "f":
        wide[:] = np.nan
    wide[..., ::2] = a
    return wide[..., ::2]


def _reversed(_: str, a: Array) -> Array:
    return a[::-1].copy()[::-1]


def _unaligned(_: str, a: Array) -> Array:
    raw = np.zeros(a.nbytes + 1, np.uint8)
    shifted = raw[1:].view(a.dtype).reshape(a.shape)
    shifted[...] = a
    return shifted


def _read_only(_: str, a: Array) -> Array:
    fixed = a.copy()
    fixed.flags.writeable = False
    return fixed


def _broadcast(name: str, a: Array) -> Array:
    """Return rows that are all one row's memory, for what may be so: inputs and targets."""
    if name not in ("x", "t") or len(a) < 1:
        return a.copy()
    return np.broadcast_to(a[:1].copy(), a.shape)


LAYOUTS: dict[str, Callable[[str, Array], Array]] = {
    "in Fortran order": lambda _, a: np.array(a, order="F"),
    "strided": _strided,
    "of negative strides": _reversed,
    "read-only": _read_only,
    "unaligned": _unaligned,
    "broadcast": _broadcast,
}

TABLE: tuple[tuple[str, str, Callable[[Trial], Finding | None]], ...] = (
    ("memory.inputs", "no input is written to", _inputs),
    ("memory.aliasing", "no result is memory of an input, of another, or of the next", _aliasing),
    ("memory.layouts", "arrays in every layout are taken, and give the same answer", _layouts),
)
