"""Loops of compiled steps: recorded NumPy calls, fused where they visit the same entries.

    write_loop([Call(np.exp, (z, a)), Call(np.add, (a, one, a))], …)

One loop does several entrywise calls. Each entry is read once, goes through all of them in a
register, and is written once. Two calls are fused only if no entry is read before or after another
call writes it at another index. What no later call reads is not written at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from manualnn.elementary import Array
from manualnn.tracing import Call

EXPRESSIONS: dict[Any, str] = {
    np.add: "{0} + {1}",
    np.subtract: "{0} - {1}",
    np.multiply: "{0} * {1}",
    np.divide: "{0} / {1}",
    np.negative: "-{0}",
    np.positive: "{0}",
    np.absolute: "abs({0})",
    np.square: "{0} * {0}",
    np.reciprocal: "ONE / {0}",
    np.sqrt: "np.sqrt({0})",
    np.sign: "np.sign({0})",
    np.maximum: "{0} if {0} >= {1} or {0} != {0} else {1}",
    np.minimum: "{0} if {0} <= {1} or {0} != {0} else {1}",
    np.greater: "ONE if {0} > {1} else ZERO",
    np.greater_equal: "ONE if {0} >= {1} else ZERO",
    np.less: "ONE if {0} < {1} else ZERO",
    np.less_equal: "ONE if {0} <= {1} else ZERO",
    np.exp: "np.exp({0})",
    np.expm1: "np.expm1({0})",
    np.log: "np.log({0})",
    np.log1p: "np.log1p({0})",
    np.tanh: "np.tanh({0})",
}
"""One entry of each ufunc. An entry that is NaN stays NaN, as in NumPy."""

TRANSCENDENTAL = {np.exp, np.expm1, np.log, np.log1p, np.tanh}
MOST_TRANSCENDENTAL = 128
"""Entries up to which a loop computes these functions; beyond, NumPy's vector code is faster."""
MOST_PRODUCTS = 1024
"""Multiplications up to which a matrix product is a loop; beyond, the BLAS is faster."""


class Region(NamedTuple):
    """The entries of an array that a call visits: address, shape, and strides in bytes."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, array: Array) -> "Region":
        """Return the region of an array; the stride along an axis of length 1 is 0."""
        steps = zip(array.shape, array.strides, strict=True)
        strides = tuple(0 if n == 1 else step for n, step in steps)
        return cls(array.ctypes.data, array.shape, strides)


def extent(array: Array) -> tuple[int, int]:
    """Return the address of the first byte of an array, and that after its last byte."""
    low, high = np.lib.array_utils.byte_bounds(array)
    return low, high


def overlap(a: Array, b: Array) -> bool:
    """Return True if the extents of two arrays share a byte."""
    (start, end), (first, last) = extent(a), extent(b)
    return start < last and first < end


@dataclass
class Names:
    """The names of the arrays and sizes of a kernel, in the order of its arguments."""

    dtype: "np.dtype[Any]"
    arrays: dict[str, Array] = field(default_factory=dict)
    sizes: dict[int, str] = field(default_factory=dict)
    _known: dict[int, str] = field(default_factory=dict)

    def size(self, n: int) -> str:
        """Return the name of a number of entries."""
        return self.sizes.setdefault(n, f"n{len(self.sizes)}")

    def entry(
        self, array: Array, shape: tuple[int, ...], index: Sequence[str], view: Array | None = None
    ) -> str:
        """Return the text of an entry of an array that is broadcast to a shape of two axes.

        `view` is the array with another number of axes.
        """
        name = self._known.setdefault(array.ctypes.data, f"a{len(self.arrays)}")
        self.arrays.setdefault(name, array)
        steps = np.broadcast_to(array if view is None else view, shape).strides
        return f"{name}[{self._place(shape, index, [s // array.itemsize for s in steps])}]"

    def _place(self, shape: tuple[int, ...], index: Sequence[str], steps: Sequence[int]) -> str:
        """Return the text of Σ index · step, in entries from the first one."""
        parts = []
        for n, i, step in zip(shape, index, steps, strict=True):
            if n > 1 and step:
                parts.append(i if step == 1 else f"{i} * {self.size(step)}")
        return " + ".join(parts) or "0"


def as_rows(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return a shape of up to two axes as one of two axes; a vector is one row."""
    return (1, 1, *shape)[-2:]  # type: ignore[return-value]


def reads_of(call: Call) -> tuple[Array, ...]:
    """Return the arrays that an entrywise call, a reduction or a product reads."""
    return call.args[:-1] if "out" not in call.options else call.args


def output_of(call: Call) -> Array:
    """Return the array that such a call writes."""
    out: Array = call.options.get("out", call.args[-1])
    return out


def is_loop(call: Call, dtype: "np.dtype[Any]") -> bool:
    """Return True if a loop can do this call."""
    function, is_reduction = call.function, _is_reduction(call)
    if not (isinstance(function, np.ufunc) or function is np.dot or is_reduction):
        return False
    reads, out = reads_of(call), output_of(call)
    if any(a.dtype != dtype or a.ndim > 2 or not a.size for a in (*reads, out)):
        return False
    # NumPy copies what a call reads after it was written.
    if any(overlap(a, out) and not _is_entry_of(a, out, call) for a in reads):
        return False
    if function is np.dot:
        a, b = reads
        return b.ndim > 0 and a.size * (b.shape[-1] if b.ndim == 2 else 1) <= MOST_PRODUCTS
    if is_reduction:
        return call.options.get("axis") == -1 and bool(call.options.get("keepdims"))
    is_small = function not in TRANSCENDENTAL or out.size <= MOST_TRANSCENDENTAL
    return is_small and function in EXPRESSIONS


def _is_entry_of(a: Array, out: Array, call: Call) -> bool:
    """Return True if an entrywise call reads of an array only the entry that it writes."""
    shape = as_rows(out.shape)
    return isinstance(call.function, np.ufunc) and _at(a, shape) == _at(out, shape)


def _is_reduction(call: Call) -> bool:
    owner = getattr(call.function, "__self__", None)
    return owner in {np.add, np.maximum} and call.function in {np.add.reduce, np.maximum.reduce}


@dataclass
class Loop:
    """A loop over the entries of one shape, which does entrywise calls one after another."""

    shape: tuple[int, int]
    swap: Sequence[Array] = ()
    """Two arrays: the first one's numbers before the loop are left in the second one."""
    calls: list[Call] = field(default_factory=list)
    _reads: list[Array] = field(default_factory=list)
    _writes: list[Array] = field(default_factory=list)

    def accepts(self, call: Call) -> bool:
        """Return True if the call may join: no entry is then read or written out of turn."""
        out = output_of(call)
        if not isinstance(call.function, np.ufunc) or as_rows(out.shape) != self.shape:
            return False
        return not any(
            overlap(a, b) and not self._is_same(a, b)
            for news, olds in ((reads_of(call), self._writes), ([out], self._reads + self._writes))
            for a in news
            for b in olds
        )

    def add(self, call: Call) -> None:
        """Append a call that the loop accepts."""
        self.calls.append(call)
        self._reads += reads_of(call)
        self._writes.append(output_of(call))

    def _is_same(self, a: Array, b: Array) -> bool:
        return _at(a, self.shape) == _at(b, self.shape)

    def write(self, names: Names, is_needed: Callable[[Array], bool]) -> list[str]:
        """Return the lines of the loop."""
        values: dict[Region, str] = {}
        first: dict[Region, str] = {}
        last: dict[Region, Array] = {}
        before: list[str] = []
        body: list[str] = []
        stores: list[str] = []
        index = ("i", "j")
        for call in self.calls:
            operands = []
            for array in reads_of(call):
                region = _at(array, self.shape)
                if region not in values:
                    entry = names.entry(array, self.shape, index)
                    first[region] = values[region] = f"v{len(before) + len(body)}"
                    lines = before if entry.endswith("[0]") else body
                    lines.append(f"{values[region]} = {entry}")
                operands.append(values[region])
            region = _at(output_of(call), self.shape)
            values[region] = f"v{len(before) + len(body)}"
            last[region] = output_of(call)
            body.append(f"{values[region]} = {EXPRESSIONS[call.function].format(*operands)}")
        for region, array in last.items():
            if is_needed(array):
                entry = names.entry(array, self.shape, index)
                stores.append(f"{entry} = {values[region]}")
        if self.swap and _at(self.swap[0], self.shape) in last:
            kept = first[_at(self.swap[0], self.shape)]
            stores.append(f"{names.entry(self.swap[1], self.shape, index)} = {kept}")
        if not stores:
            return []
        rows, columns = map(names.size, self.shape)
        inner = [f"    {line}" for line in body + stores]
        head = f"for j in range({columns}):"
        if self.shape[0] == 1:
            return [*before, head, *inner]
        return [*before, f"for i in range({rows}):", f"    {head}", *(f"    {n}" for n in inner)]


def _at(array: Array, shape: tuple[int, int]) -> Region:
    """Return the region of an array that is broadcast to the shape of a loop."""
    return Region.of(np.broadcast_to(array, shape))


def write_product(call: Call, names: Names) -> list[str]:
    """Return the lines of a product of two arrays, each a matrix or a vector."""
    a, b, out = call.args
    a2 = a.reshape(as_rows(a.shape))
    b2 = b.reshape(-1, 1) if b.ndim == 1 else b
    shape = len(a2), b2.shape[1]
    of_a = names.entry(a, a2.shape, ("i", "k"), a2)
    of_b = names.entry(b, b2.shape, ("k", "j"), b2)
    of_out = names.entry(out, shape, ("i", "j"), out.reshape(shape))
    rows, columns, terms = names.size(shape[0]), names.size(shape[1]), names.size(len(b2))
    return [
        f"for i in range({rows}):",
        f"    for j in range({columns}):",
        "        total = ZERO",
        f"        for k in range({terms}):",
        f"            total += {of_a} * {of_b}",
        f"        {of_out} = total",
    ]


def write_reduction(call: Call, names: Names) -> list[str]:
    """Return the lines of a sum or a maximum of each row."""
    (x,), out = call.args, call.options["out"]
    shape = as_rows(x.shape)
    entry = names.entry(x, shape, ("i", "j"))
    of_out = names.entry(out, (shape[0], 1), ("i", "0"))
    start, step = "ZERO", "total += v"
    if call.function.__self__ is np.maximum:  # type: ignore[attr-defined]
        start, step = "-INFINITY", "total = v if v > total or v != v else total"
    return [
        f"for i in range({names.size(shape[0])}):",
        f"    total = {start}",
        f"    for j in range({names.size(shape[1])}):",
        f"        v = {entry}",
        f"        {step}",
        f"    {of_out} = total",
    ]
