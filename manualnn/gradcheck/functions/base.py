"""Functions under test, whatever framework they are written in, as functions of NumPy arrays.

A `Function` has inputs, values, and gradients. The adapters of this folder make one of a NumPy
pair, a function of torch or of JAX, or a program. `Graph` is one call that is kept alive, so that
its gradient can be asked for later.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from types import FunctionType, MethodType
from typing import Any, Protocol
from warnings import catch_warnings

import numpy as np

from manualnn.errors import GradcheckError
from manualnn.gradcheck.data import Array
from manualnn.oracle.engines.faults import format_traceback

__all__ = ["Call", "Function", "FunctionFailed", "GradcheckError", "Graph", "Slot", "Unsupported"]

Arrays = tuple[Array, ...]


class FunctionFailed(GradcheckError):  # noqa: N818 - the function's error, not ours
    """The function under test raised an exception, or returned what is not an array.

    Attributes
    ----------
    where : str
        The call that failed: "value", "vjp" or "jvp".
    trace : str
        The traceback from the function's own code on, or a sentence.

    """

    def __init__(self, where: str, trace: str) -> None:
        super().__init__(f"{where} failed: {trace}")
        self.where, self.trace = where, trace

    @property
    def last_line(self) -> str:
        """The line of the trace with the exception and its message."""
        return self.trace.strip().rpartition("\n")[2] or "no message"

    @property
    def is_refusal(self) -> bool:
        """True if the framework says that there is no such derivative."""
        return any(word in self.trace for word in _REFUSALS)


class Unsupported(GradcheckError):  # noqa: N818 - a signal: the function does not offer it
    """The function cannot be called in this way, such as with complex numbers or under vmap."""


@dataclass(frozen=True, eq=False)
class Slot:
    """One array that a function takes."""

    name: str
    is_differentiable: bool = True
    dtype: str = "float64"
    example: Array | None = None
    """The value of a module's parameter; None for the inputs that the user described."""


class Graph(Protocol):
    """One call of a function, which is kept alive. Arrays share memory where they can."""

    inputs: Arrays
    """What the function got."""
    outputs: Arrays
    """What it returned: the outputs that have a derivative."""
    in_place: tuple[int, ...]
    """Indices of the inputs that the function overwrote as its framework allows."""
    is_random: bool
    """The call drew random numbers of its framework."""

    def backward(
        self, cotangents: Sequence[Array | None], *, retain: bool = True
    ) -> tuple[Array | None, ...]:
        """Return the gradients as the function made them; a cotangent None: output unused."""
        ...


@dataclass
class Call:
    """The graph of a function that keeps nothing between its value and its gradient."""

    inputs: Arrays
    outputs: Arrays
    gradients: Callable[[Sequence[Array], Sequence[Any]], Arrays]
    in_place: tuple[int, ...] = ()
    is_random: bool = False

    def backward(
        self, cotangents: Sequence[Array | None], *, retain: bool = True
    ) -> tuple[Array | None, ...]:
        """Return the gradients for the inputs of the call."""
        del retain
        if any(dy is None for dy in cotangents):
            raise Unsupported("the function has a cotangent for each output.")
        return self.gradients(self.inputs, cotangents)


class Function(Protocol):
    """A function of NumPy arrays with a gradient of its own.

    Arrays have the dtype of their slot; bfloat16 travels as float32. Inputs are never changed, and
    results are copies. What the function raises comes out as `FunctionFailed`.
    """

    name: str
    framework: str
    inputs: tuple[Slot, ...]
    kinds: tuple[str, ...]
    """Numbers in which `value_in` may work: "mpmath", "longdouble", "complex128", "float64"."""
    parameters: Arrays
    """Values of the last slots, the parameters of a module."""

    def value(self, arrays: Sequence[Array]) -> Arrays:
        """Return the outputs that hold real numbers; raises FunctionFailed."""
        ...

    def value_in(self, kind: str, arrays: Sequence[Array]) -> Arrays:
        """Return the outputs for inputs in other numbers; raises Unsupported if that fails."""
        ...

    def vjp(self, arrays: Sequence[Array], cotangents: Sequence[Array]) -> Arrays:
        """Return Jᵀw for each differentiable input; raises FunctionFailed."""
        ...

    def jvp(self, arrays: Sequence[Array], tangents: Sequence[Array]) -> Arrays | None:
        """Return Jv for each output; None if the function has no such derivative.

        There is a tangent for each differentiable input.
        """
        ...

    def forward(self, arrays: Sequence[Array], needs: Sequence[bool] | None = None) -> Graph:
        """Return one call with the arrays themselves; `needs` says which gradients are wanted."""
        ...

    def gradient_function(self) -> "Function | None":
        """Return the gradient as a function of all inputs and the cotangents of all outputs."""
        ...

    @property
    def batched_value(self) -> Callable[[Sequence[Array]], Arrays] | None:
        """The outputs under vmap: all arrays have one more axis in front; raises Unsupported."""

    @property
    def batched_vjp(self) -> Callable[[Sequence[Array], Sequence[Array]], Arrays] | None:
        """The gradients under vmap, in the same way."""

    @property
    def jitted_vjp(self) -> Callable[[Sequence[Array], Sequence[Array]], Arrays] | None:
        """The gradients under jit; `forward` is always without."""


@contextmanager
def quiet() -> Iterator[None]:
    """Hide all warnings, once for many calls: `user_code` then need not do it for each."""
    with catch_warnings(action="ignore"), np.errstate(all="ignore"):
        _QUIET.append(True)
        try:
            yield
        finally:
            _QUIET.pop()


_QUIET: list[bool] = []


class user_code:  # noqa: N801 - used as a statement; a class costs less than a generator
    """Turn every exception of the user's code into FunctionFailed, and hide its warnings."""

    __slots__ = ("_quiet", "_where")

    def __init__(self, where: str) -> None:
        self._where = where
        self._quiet = None if _QUIET else quiet()

    def __enter__(self) -> None:
        if self._quiet is not None:
            self._quiet.__enter__()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._quiet is not None:
            self._quiet.__exit__(None, None, None)
        if error is None or isinstance(error, FunctionFailed | Unsupported | KeyboardInterrupt):
            return
        _drop_machinery(error)
        raise FunctionFailed(self._where, format_traceback(error)) from error


def _drop_machinery(error: BaseException) -> None:
    """Remove from an error what JAX adds about its own frames, and earlier attempts of ours."""
    error.__suppress_context__ = True
    if type(error.__cause__).__module__.startswith("jax"):
        error.__cause__ = None
    notes = getattr(error, "__notes__", [])
    notes[:] = [note for note in notes if "JAX has removed its internal frames" not in note]


def copy_layout(array: Array) -> Array:
    """Return a copy with the same strides: gaps, reversed and broadcast axes included."""
    if array.flags.c_contiguous or not array.size:
        return array.copy()
    ends = [step * (n - 1) for step, n in zip(array.strides, array.shape, strict=True)]
    low, high = (sum(pick(0, end) for end in ends) for pick in (min, max))
    memory = np.zeros(high - low + array.itemsize, np.uint8)
    copy: Array = np.ndarray(array.shape, array.dtype, memory, -low, array.strides)
    copy[...] = array
    return copy


def cotangent_slots(dtypes: Sequence[str]) -> list[Slot]:
    """Return the slots of the cotangents that a gradient takes."""
    names = ["cotangent", *(f"cotangent {i}" for i in range(2, len(dtypes) + 1))]
    return [Slot(name, dtype=dtype) for name, dtype in zip(names, dtypes, strict=True)]


def name_of(f: Any) -> str:
    """Return the name of a function as its author wrote it, such as "Swish.apply"."""
    is_written = isinstance(f, type | FunctionType | MethodType)
    for attribute in ("__qualname__",) * is_written + ("__name__", "_name"):
        name = getattr(f, attribute, None)
        if isinstance(name, str):
            return name.rpartition("<locals>.")[2]
    inner = getattr(f, "func", None) or getattr(f, "__wrapped__", None)
    return name_of(inner) if callable(inner) else type(f).__name__


def take_outputs(result: Any) -> list[Any]:
    """Return the leaves of nested tuples, lists, mappings and data classes, without None."""
    if isinstance(result, Mapping):
        result = list(result.values())
    elif is_dataclass(result):
        result = list(vars(result).values())
    if isinstance(result, tuple | list):
        return [leaf for part in result for leaf in take_outputs(part)]
    return [] if result is None else [result]


_REFUSALS = (
    "once_differentiable",
    "is not implemented",
    "not implemented for",
    "differentiation rule for",
    "forward-mode autodiff (jvp) to a custom_vjp",
    "You must implement the jvp",
    "forward mode AD",
    "does not support",
    "do not support",
    "Reverse-mode differentiation does not work",
    "TracerArrayConversionError",
    "TracerBoolConversionError",
    "ConcretizationTypeError",
)
"""Words of errors by which torch and JAX say that a derivative does not exist."""
