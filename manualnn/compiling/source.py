"""Source code of compiled steps: the recorded calls of a step, as few functions as possible.

    parts = compile_calls(plan.calls, dtype, kept=[plan.y, …])

A run of calls that loops can do becomes one `Kernel`; all other calls stay as they are: products of
large matrices, which belong to the BLAS, and kernels that cannot be traced. No formula is written
here. Each follows from the calls that the layers, losses and rules made.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from manualnn.compiling.loops import (
    Loop,
    Names,
    as_rows,
    is_loop,
    output_of,
    overlap,
    reads_of,
    write_product,
    write_reduction,
)
from manualnn.elementary import Array
from manualnn.tracing import Call


class Kernel:
    """A function in Python that does a run of calls, and the memory that it works on.

    Attributes
    ----------
    source : str
        The function `kernel(a0, a1, …, n0, n1, …)`. It names no size, so that batches of other
        sizes have the same one.
    arrays : list of array
        The memory of the arguments a0, a1, …, of which the function gets the addresses.
    sizes : list of int
        The arguments n0, n1, ….

    """

    def __init__(self, lines: Sequence[str], names: Names) -> None:
        arguments = [*names.arrays, *names.sizes.values()]
        body = "\n".join(f"    {line}" for line in lines)
        self.source = f"def kernel({', '.join(arguments)}):\n{body}\n"
        self.arrays = list(names.arrays.values())
        self.sizes = list(names.sizes)
        self.dtype = names.dtype


def compile_calls(
    calls: Sequence[Call],
    dtype: "np.dtype[Any]",
    kept: Iterable[Array],
    *,
    swap: Sequence[Array] = (),
) -> list[Kernel | Call]:
    """Return kernels and calls that do the same as the calls, one after another.

    `kept` are the arrays that are read after the last call. All others that no later call reads
    hold arbitrary numbers afterwards. `swap` are two arrays: the loop that writes the first one
    leaves its numbers before in the second one.
    """
    kept, start = list(kept), 0
    parts: list[Kernel | Call] = []
    while start < len(calls):
        end = start
        while end < len(calls) and is_loop(calls[end], dtype):
            end += 1
        if end > start + 1:  # NumPy does a single call as fast
            parts.append(_kernel(calls[start:end], calls[end:], dtype, kept, swap))
        else:
            end = start + 1
            parts += calls[start:end]
        start = end
    return parts


def _kernel(
    calls: Sequence[Call],
    later: Sequence[Call],
    dtype: "np.dtype[Any]",
    kept: Sequence[Array],
    swap: Sequence[Array],
) -> Kernel:
    """Return the kernel of a run of calls."""
    names, lines = Names(dtype), []
    i = 0
    while i < len(calls):
        if not isinstance(calls[i].function, np.ufunc):
            write = write_product if calls[i].function is np.dot else write_reduction
            lines += write(calls[i], names)
            i += 1
        else:
            loop = Loop(as_rows(output_of(calls[i]).shape), swap)
            while i < len(calls) and loop.accepts(calls[i]):
                loop.add(calls[i])
                i += 1
            rest = [*calls[i:], *later]
            lines += loop.write(names, partial(_is_needed, later=rest, kept=kept))
    return Kernel(lines or ["pass"], names)


def _is_needed(array: Array, later: Sequence[Call], kept: Iterable[Array]) -> bool:
    """Return True if a later call or the caller reads an array before it is overwritten."""
    for call in later:
        if not (isinstance(call.function, np.ufunc) or call.function is np.dot):
            if any(overlap(array, other) for other in _arrays_in([call.args, call.options])):
                return True
            continue
        if any(overlap(array, other) for other in reads_of(call)):
            return True
        out = output_of(call)
        is_whole = out.flags.c_contiguous and array.flags.c_contiguous
        if is_whole and out.ctypes.data == array.ctypes.data and out.size >= array.size:
            return False
    return any(overlap(array, other) for other in kept)


def _arrays_in(value: Any) -> list[Array]:
    """Return all arrays in nested lists, tuples and mappings."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [array for item in value for array in _arrays_in(item)]
    return []
