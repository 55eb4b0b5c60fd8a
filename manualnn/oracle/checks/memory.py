"""Memory checks: writing to inputs, results that share memory, arrays of every memory layout.

They are for engines in this process. The engine gets the case's own arrays, and its own result
arrays are examined, without copies.
"""

from collections.abc import Callable, Mapping

import numpy as np

from manualnn.oracle.checks.judgement import check
from manualnn.oracle.checks.trial import Trial
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.truth.compare import find_differences


@check("memory.inputs", "no input is written to", shares_memory=True)
def _inputs(trial: Trial) -> Finding | None:
    case = trial.case.copy()
    before = trial.case.arrays()
    trial.ask_raw(case)
    entries = find_differences(case.arrays(), before)
    if not entries:
        return None
    return trial.finding(f"the engine writes to its input {entries[0].quantity}", entries)


@check(
    "memory.aliasing",
    "no result shares memory with an input, another result or the next call's",
    shares_memory=True,
)
def _aliasing(trial: Trial) -> Finding | None:
    case = trial.case.copy()
    got = {n: a for n, a in trial.ask_raw(case).items() if isinstance(a, np.ndarray)}
    message = _describe_shared_memory(got, case.arrays())
    if message:
        return trial.finding(message)
    copies = {name: array.copy() for name, array in got.items()}
    trial.ask_raw(case.map(lambda name, a: a[::-1].copy() if name in ("x", "t") else a.copy()))
    entries = find_differences(got, copies)
    if not entries:
        return None
    return trial.finding(f"the next call changes the {entries[0].quantity} of this one", entries)


def _describe_shared_memory(got: Mapping[str, Array], inputs: Mapping[str, Array]) -> str:
    """Return the names of a result and of an array that share memory; "" if none do."""
    names = list(got)
    for i, name in enumerate(names):
        for other in names[:i]:
            if np.shares_memory(got[name], got[other]):
                return f"{name} and {other} are one array"
        for other, array in inputs.items():
            if np.shares_memory(got[name], array):
                return f"{name} is memory of the input {other}"
    return ""


@check(
    "memory.layouts",
    "arrays in every layout are accepted, and give the same answer",
    shares_memory=True,
)
def _layouts(trial: Trial) -> Finding | None:
    for name, lay_out in LAYOUTS.items():
        case = trial.case.map(lay_out)
        entries, right = trial.compare_with_truth(case, trial.ask_raw(case))
        if entries:
            return trial.finding(f"arrays that are {name} give another answer", entries, right)
    return None


def _strided(_: str, a: Array) -> Array:
    """Return a view of every second entry of a larger array that holds NaN in between."""
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
    """Broadcast the first row of x and t, so that all rows share memory."""
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


CHECKS = (_inputs, _aliasing, _layouts)
