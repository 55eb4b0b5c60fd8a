"""What a kernel asks of NumPy, noted once and then asked for again, call by call.

    notes = Trace()
    kernel(notes.watch(a), notes.watch(b), …)       done, and noted
    ready = [call.ready() for call in notes.done()]
    for call in ready:                              done again, between the same arrays
        call()

Below some fifty units a layer a step costs what its calls cost, and more than half of that is
Python: which layer is next, has it a bias, is this 1 a number. The answers are the same in every
step. So each kernel is called once with arrays that note what NumPy is asked for, and what was
noted is asked for again in every step, with the very arrays to read and to write. The kernels stay
the only place that has a formula. Numbers become arrays without dimensions, and a row that meets a
single row takes its shape: NumPy does with those in a third of the time.
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
        """Do it; what is returned in place of `out` goes there."""
        result, out = self.function(*self.args, **self.options), self.options.get("out")
        if out is not None and result is not out:
            out[...] = result

    def ready(self) -> Callable[[], Any]:
        """Return what does it soonest; an array's method is found before NumPy's function is."""
        if self.function is np.dot:
            return partial(self.args[0].dot, *self.args[1:])
        if isinstance(self.function, np.ufunc):
            return partial(self.function, *self.args, **self.options)
        return self


def ours(thing: object) -> bool:
    """Whether the kernels of a layer, loss or rule are this package's own."""
    return type(thing).__module__.partition(".")[0] == __package__


class NotOnlyNumPyError(Exception):
    """A kernel looks at its numbers, or does what cannot be done again into the same arrays."""


class Trace:
    """What a kernel asks of NumPy, in the order in which it asks."""

    def __init__(self, *batch: Array) -> None:
        self.calls: list[Call] = []
        self._batch = batch
        self._parts: list[_Watched] = []

    def done(self) -> list[Call]:
        """Return the calls, and let go of them.

        An array that is watched is the base of its parts, which the calls have; the garbage
        collector cannot look into arrays, so that nothing may lead back.
        """
        for part in self._parts:
            part.plain = None
        calls, self.calls, self._batch, self._parts = self.calls, [], (), []
        return calls

    def watch(self, value: Any) -> Any:
        """Return an array that notes here what is done with it; several, where a mapping is."""
        if isinstance(value, Mapping):
            return {name: self.watch(array) for name, array in value.items()}
        watched = value.view(_Watched)
        watched.notes, watched.plain = self, value
        return watched

    def add(self, function: Any, args: Iterable[Any], out: Any, options: dict[str, Any]) -> Any:
        """Do a call, which writes to out or to an array that is kept for it, and note it."""
        inputs = [self._plain(a) for a in args]
        if out is None:
            out = np.asarray(function(*inputs, **options))
            result = self.watch(out)
        else:
            result, out = out, self._plain(out)
            function(*inputs, out=out, **options)
        if isinstance(function, np.ufunc) and function.signature is None:
            dtype = next(a.dtype for a in inputs if isinstance(a, np.ndarray))
            inputs = [_quick(a, dtype, out) for a in inputs]
        if function is np.dot or (isinstance(function, np.ufunc) and function not in _BY_NAME):
            self.calls.append(Call(function, (*inputs, out), options))
        else:
            self.calls.append(Call(function, tuple(inputs), {**options, "out": out}))
        return result

    def _plain(self, value: Any) -> Any:
        if not isinstance(value, _Watched):
            return value
        if value.plain is not None:
            return value.plain
        plain = value.view(np.ndarray)
        if any(np.may_share_memory(plain, own) for own in self._batch):
            raise NotOnlyNumPyError  # a part of one batch: it would not be one of the next
        value.plain = plain
        self._parts.append(value)
        return plain


class _Watched(np.ndarray[Any, Any]):
    """An array that notes what it is asked for, and refuses what could not be asked for again."""

    notes: Trace
    plain: Array | None = None
    """What is watched, as far as that is known."""

    def __array_finalize__(self, whole: Any) -> None:
        self.notes = getattr(whole, "notes", None)  # type: ignore[assignment]

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (None,), **options: Any
    ) -> Any:
        if method not in {"__call__", "reduce"}:
            raise NotOnlyNumPyError
        function = ufunc if method == "__call__" else ufunc.reduce
        return self.notes.add(function, inputs, out[0], options)

    def __array_function__(
        self, function: Any, types: Any, args: Iterable[Any], options: Mapping[str, Any]
    ) -> Any:
        if function is not np.dot:
            raise NotOnlyNumPyError
        a, b, *out = args
        return self.notes.add(np.dot, (a, b), out[0] if out else options.get("out"), {})

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        if not all(part is None or isinstance(part, slice) for part in parts):
            raise NotOnlyNumPyError
        return super().__getitem__(index)

    def _refuse(self, *_: Any) -> Any:
        raise NotOnlyNumPyError

    __setitem__ = __bool__ = __float__ = __int__ = __index__ = __iter__ = _refuse
    copy = astype = fill = take = item = tolist = dot = _refuse  # type: ignore[assignment]


_BY_NAME = (np.maximum, np.minimum)
"""Functions that take `out` by its name only; to read a name takes NumPy a while."""


def _quick(value: Any, dtype: "np.dtype[Any]", out: Array) -> Any:
    """Return an input as NumPy takes it soonest."""
    if isinstance(value, int | float | np.generic):
        return np.array(value, dtype)
    if value.size == out.size and value.shape != out.shape and value.flags.c_contiguous:
        return value.reshape(out.shape)
    return value
