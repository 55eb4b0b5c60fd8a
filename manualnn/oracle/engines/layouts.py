"""Memory layouts in which an engine in Python may get the arrays of a case.

    case.map(LAYOUTS["strided"])      the case in that layout
    is_plain(case)                    all arrays are in C order, aligned and writeable

The numbers stay the same, except that "broadcast" repeats the first row of x and t.
"""

from collections.abc import Callable

import numpy as np

from manualnn.oracle.protocol.case import Array, Case


def is_plain(case: Case) -> bool:
    """Return True if all arrays are in C order, aligned and writeable.

    That is so in most layouts if all arrays have one entry.
    """
    flags = [array.flags for array in case.arrays().values()]
    return all(flag.c_contiguous and flag.aligned and flag.writeable for flag in flags)


def _strided(_: str, a: Array) -> Array:
    """Return a view of every second entry of a larger array that holds NaN in between."""
    if not a.ndim:
        return a.copy()
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), 7, a.dtype)
    if a.dtype.kind == "f":
        wide[:] = np.nan
    wide[..., ::2] = a
    return wide[..., ::2]


def _reversed(_: str, a: Array) -> Array:
    return a[::-1].copy()[::-1] if a.ndim else a.copy()


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
