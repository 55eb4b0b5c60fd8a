"""Functions in programs of any language, which answer the messages "value" and "vjp".

    Program("node swish.mjs", slots, options)

oracle/PROTOCOL.md describes the messages. The process starts again after a crash, a timeout or
garbage, so that each of them costs one call.
"""

import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from manualnn.gradcheck.data import Array
from manualnn.gradcheck.functions.base import (
    Arrays,
    Call,
    FunctionFailed,
    GradcheckError,
    Slot,
    Unsupported,
)
from manualnn.oracle.engines.client import START_LIMIT, TIME_LIMIT
from manualnn.oracle.engines.connection import Connection
from manualnn.oracle.engines.faults import EngineError, Fault
from manualnn.oracle.engines.messages import read_list, write_call

FORMS = ("list", "base64")


class Program:
    """A function in a process of its own."""

    framework = "program"
    kinds: tuple[str, ...] = ("float64",)
    parameters: Arrays = ()
    batched_vjp = batched_value = jitted_vjp = None

    def __init__(self, command: str, slots: Sequence[Slot], options: Mapping[str, Any]) -> None:
        self.inputs, self._options = tuple(slots), options
        try:
            self._connection = Connection(command, TIME_LIMIT, START_LIMIT)
            weakref.finalize(self, self._connection.close)
            claims = self._connection.open()
        except EngineError as error:
            raise GradcheckError(str(error)) from error
        self.name = str(claims.get("name", command))
        self._form = claims.get("arrays", "list")
        if self._form not in FORMS:
            raise GradcheckError(
                f"{command} claims arrays of the form {self._form!r}; for a function it has to be "
                f"one of {', '.join(FORMS)}."
            )
        first = next((slot.dtype for slot in slots if slot.is_differentiable), "float64")
        self._dtype = "float64" if first == "float64" else "float32"

    def value(self, arrays: Sequence[Array]) -> Arrays:
        """Return the outputs, with the dtype of the first input."""
        outputs = self._ask("value", "outputs", {"arrays": arrays})
        return tuple(np.asarray(output, self._dtype) for output in outputs if output is not None)

    def value_in(self, kind: str, arrays: Sequence[Array]) -> Arrays:
        """Return the outputs as float64: JSON has no other numbers."""
        if kind not in self.kinds:
            raise Unsupported(f"a program is not called with {kind}.")
        try:
            outputs = self._ask("value", "outputs", {"arrays": arrays})
        except FunctionFailed as error:
            raise Unsupported(str(error)) from error
        return tuple(np.asarray(output, np.float64) for output in outputs if output is not None)

    def vjp(self, arrays: Sequence[Array], cotangents: Sequence[Array]) -> Arrays:
        """Return the gradients of the differentiable inputs."""
        made = self._ask("vjp", "gradients", {"arrays": arrays, "cotangents": cotangents})
        wanted = [slot.is_differentiable for slot in self.inputs]
        if len(made) == len(wanted):
            made = [part for part, is_wanted in zip(made, wanted, strict=True) if is_wanted]
        if len(made) != sum(wanted) or any(part is None for part in made):
            raise FunctionFailed(
                "vjp",
                f"it returned {sum(part is not None for part in made)} gradients for "
                f"{sum(wanted)} inputs; it has to return a list with one for each array.",
            )
        return tuple(np.asarray(part, self._dtype) for part in made)

    def jvp(self, arrays: Sequence[Array], tangents: Sequence[Array]) -> None:
        """Return None: the protocol has no message for it."""

    def forward(self, arrays: Sequence[Array], needs: Sequence[bool] | None = None) -> Call:
        """Return one call; the process gets copies of the arrays."""
        del needs
        return Call(tuple(arrays), self.value(arrays), self.vjp)

    def gradient_function(self) -> None:
        """Return None: the gradient of a program has no gradient."""

    def _ask(self, kind: str, name: str, groups: Mapping[str, Sequence[Array]]) -> list[Any]:
        write = partial(self._write, kind, groups)
        try:
            return self._connection.ask(write, lambda line, seq: read_list(line, seq, name))
        except Fault as fault:
            raise FunctionFailed(kind, f"{fault.kind}: {fault}") from fault

    def _write(self, kind: str, groups: Mapping[str, Sequence[Array]], seq: int) -> bytes:
        try:
            return write_call(kind, seq, groups, self._form, self._options)
        except (TypeError, ValueError) as error:
            raise GradcheckError(f"the options cannot be written as JSON: {error}.") from error
