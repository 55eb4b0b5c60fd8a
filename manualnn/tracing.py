"""Tracing: record the NumPy calls of a kernel once, and repeat them without the kernel.

    trace = Trace()
    kernel(trace.wrap(a), trace.wrap(b), …)       runs the kernel, and records its calls
    calls = [call.prepare() for call in trace.finish()]
    for call in calls:                              repeats it on the same arrays
        call()

Why. With fewer than about fifty units a layer, a step costs as much as its calls, and more than
half of that is Python: which layer is next, does it have a bias, is this 1 a number. The answers
are the same in every step. Tracing asks these questions once. The kernel stays the only place that
has a formula.

How. `Trace.wrap` returns a view of an array, of the class `_TracedArray`. NumPy hands every ufunc
and every function on such a view to the hooks `__array_ufunc__` and `__array_function__`. A hook
runs the call on the original arrays and records it with the arrays that it read and wrote. If the
kernel gave no `out`, the new result becomes the array that every repetition writes. Recording also
makes the calls cheaper: a number becomes an array without dimensions, and an array of one row takes
the shape of its output. NumPy needs a third of the time for such operands.

What cannot be recorded. A repetition must depend on the values in the arrays only. So a traced
array refuses to be read as a number or a truth value, to be indexed by anything but slices, and to
be copied. It also refuses NumPy functions other than ufuncs, their `reduce` and `np.dot`. A part of
the batch is refused too, because the next batch is another array. In all these cases the kernel
raises `UntraceableError`, and the caller records the kernel itself as one call. Kernels from
outside this package are never traced (`is_from_manualnn`), because they may depend on other state.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from manualnn.elementary import Array


@dataclass(frozen=True, slots=True)
class Call:
    """A function, and the arrays that it reads and writes."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> None:
        """Call the function. Copy the result into `out` if the function returned another array."""
        result, out = self.function(*self.args, **self.options), self.options.get("out")
        if out is not None and result is not out:
            out[...] = result

    def on(self, args: Iterable[Any]) -> "Call":
        """Return the call of the same function on other arrays."""
        return Call(self.function, tuple(args), self.options)

    def prepare(self) -> Callable[[], Any]:
        """Return the cheapest callable that repeats this call.

        Python finds the method of an array faster than the function of NumPy.
        """
        if self.function is np.dot:
            return partial(self.args[0].dot, *self.args[1:])
        if isinstance(self.function, np.ufunc):
            return partial(self.function, *self.args, **self.options)
        return self


def is_from_manualnn(thing: object) -> bool:
    """Return True if the class of a layer, loss or optimizer belongs to this package."""
    is_ours = type(thing).__module__.partition(".")[0] == __package__
    return is_ours and all(map(is_from_manualnn, getattr(thing, "layers", ())))


class UntraceableError(Exception):
    """A kernel reads values, or does something that cannot be repeated into the same arrays."""


class Trace:
    """The NumPy calls of a kernel, in the order in which it makes them.

    Parameters
    ----------
    *batch : array
        Arrays that the next batch replaces. A kernel that takes a part of one is untraceable.

    """

    def __init__(self, *batch: Array) -> None:
        self.calls: list[Call] = []
        self._batch = batch
        self._parts: list[_TracedArray] = []

    def finish(self) -> list[Call]:
        """Return the calls, and forget all arrays.

        A traced array is the base of its parts, and the calls hold the parts. The garbage collector
        does not traverse arrays, so reference cycles are broken here by hand.
        """
        for part in self._parts:
            part.original = None
        calls, self.calls, self._batch, self._parts = self.calls, [], (), []
        return calls

    def wrap(self, value: Any) -> Any:
        """Return a view of an array that records here; of a mapping, a mapping of such views."""
        if isinstance(value, Mapping):
            return {name: self.wrap(array) for name, array in value.items()}
        view = value.view(_TracedArray)
        view.recorder, view.original = self, value
        return view

    def record(self, function: Any, args: Iterable[Any], out: Any, options: dict[str, Any]) -> Any:
        """Run a call and record it. Without out, its result becomes the array to write."""
        inputs = [self._original(a) for a in args]
        if out is None:
            out = np.asarray(function(*inputs, **options))
            result = self.wrap(out)
        else:
            result, out = out, self._original(out)
            function(*inputs, out=out, **options)
        if isinstance(function, np.ufunc) and function.signature is None:
            first = next(a.dtype for a in inputs if isinstance(a, np.ndarray))
            dtype = options.get("dtype", first)  # a flag times a number is a number
            inputs = [_cheapest_operand(a, dtype, out, function) for a in inputs]
        if function is np.dot or (isinstance(function, np.ufunc) and function not in _OUT_BY_NAME):
            self.calls.append(Call(function, (*inputs, out), options))
        else:
            self.calls.append(Call(function, tuple(inputs), {**options, "out": out}))
        return result

    def _original(self, value: Any) -> Any:
        """Return the plain array that a traced one is a view of."""
        if not isinstance(value, _TracedArray):
            return value
        if value.original is not None:
            return value.original
        original = value.view(np.ndarray)
        if any(np.may_share_memory(original, array) for array in self._batch):
            raise UntraceableError  # the next batch is another array
        value.original = original
        self._parts.append(value)
        return original


class _TracedArray(np.ndarray[Any, Any]):
    """A view that records what NumPy does with it, and refuses what cannot be repeated."""

    recorder: Trace
    original: Array | None = None
    """The plain array. None for a part, such as a transpose, until a call uses it."""

    def __array_finalize__(self, whole: Any) -> None:
        self.recorder = getattr(whole, "recorder", None)  # type: ignore[assignment]

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (None,), **options: Any
    ) -> Any:
        if method not in {"__call__", "reduce"}:
            raise UntraceableError
        function = ufunc if method == "__call__" else ufunc.reduce
        return self.recorder.record(function, inputs, out[0], options)

    def __array_function__(
        self, function: Any, types: Any, args: Iterable[Any], options: Mapping[str, Any]
    ) -> Any:
        if function is not np.dot:
            raise UntraceableError
        a, b, *out = args
        return self.recorder.record(np.dot, (a, b), out[0] if out else options.get("out"), {})

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        if not all(part is None or isinstance(part, slice) for part in parts):
            raise UntraceableError
        return super().__getitem__(index)

    def _refuse(self, *_: Any) -> Any:
        raise UntraceableError

    __setitem__ = __bool__ = __float__ = __int__ = __index__ = __iter__ = _refuse
    copy = astype = fill = take = item = tolist = dot = _refuse  # type: ignore[assignment]


_OUT_BY_NAME = (np.maximum, np.minimum)
"""Ufuncs that accept `out` as a keyword only. All others get it by position, which is cheaper."""


LARGE = 8192
"""From this size on, NumPy finds the maximum of an array and a row faster, up to three times, than
that of an array and a number; float64 gains a tenth."""


def _cheapest_operand(value: Any, dtype: "np.dtype[Any]", out: Array, function: np.ufunc) -> Any:
    """Return an operand of the same values that NumPy reads with the least overhead."""
    if isinstance(value, int | float | np.generic):
        if function in _OUT_BY_NAME and out.ndim == 2 and out.size >= LARGE:
            return np.full(out.shape[1], value, dtype)
        return np.array(value, dtype)
    if value.size == out.size and value.shape != out.shape and value.flags.c_contiguous:
        return value.reshape(out.shape)
    return value
