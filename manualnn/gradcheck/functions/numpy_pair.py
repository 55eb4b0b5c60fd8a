"""Functions of NumPy arrays with a backward pass that is a second function."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from manualnn.gradcheck.data import Array
from manualnn.gradcheck.functions.arguments import Arguments
from manualnn.gradcheck.functions.base import (
    Arrays,
    Call,
    FunctionFailed,
    Graph,
    Slot,
    Unsupported,
    copy_layout,
    name_of,
    take_outputs,
    user_code,
)


class NumpyPair:
    r"""A pair f(\*arrays), vjp(arrays, dy), and possibly jvp(arrays, tangents).

    vjp may also take the arrays one by one: vjp(x, w, dy).
    """

    framework = "numpy"
    kinds: tuple[str, ...] = ("mpmath", "longdouble", "complex128", "float64")
    parameters: Arrays = ()
    batched_vjp = batched_value = jitted_vjp = None

    def __init__(
        self,
        f: Callable[..., Any],
        arguments: Arguments,
        slots: Sequence[Slot],
        options: Mapping[str, Any],
        *,
        vjp: Callable[..., Any],
        jvp: Callable[..., Any] | None = None,
    ) -> None:
        self.name, self.inputs = name_of(f), tuple(slots)
        self._f, self._options = f, options
        self._vjp, self._vjp_options = vjp, _accepted(vjp, options)
        self._jvp, self._jvp_options = jvp, _accepted(jvp, options) if jvp else {}
        self._arguments = arguments
        self._is_tuple: bool | None = None
        self._counts: list[bool] = []
        self._is_spread = _takes_arrays_apart(vjp, len(arguments.fill(slots)))

    def value(self, arrays: Sequence[Array]) -> Arrays:
        """Return the floating outputs, as copies."""
        return tuple(np.array(a) for a in _floating(self._call(list(map(copy_layout, arrays)))))

    def value_in(self, kind: str, arrays: Sequence[Array]) -> Arrays:
        """Return the outputs for arrays of another kind of numbers."""
        if kind not in self.kinds:
            raise Unsupported(f"NumPy code is not called with {kind}.")
        copies = [np.array(a, copy=True, subok=True) for a in arrays]
        if kind != "mpmath":
            copies = [
                a.astype(kind) if slot.is_differentiable else a
                for a, slot in zip(copies, self.inputs, strict=True)
            ]
        try:
            outputs = take_outputs(self._call(copies))
        except FunctionFailed as error:
            raise Unsupported(f"{self.name} does not take {kind}: {error.trace}") from error
        return tuple(np.asanyarray(output) for output in outputs)

    def vjp(self, arrays: Sequence[Array], cotangents: Sequence[Array]) -> Arrays:
        """Return the gradients of the differentiable inputs, as copies."""
        copies = list(map(copy_layout, arrays))
        gradients = self.gradients(copies, [copy_layout(dy) for dy in cotangents])
        return tuple(np.array(gradient) for gradient in gradients)

    def jvp(self, arrays: Sequence[Array], tangents: Sequence[Array]) -> Arrays | None:
        """Return the tangents of the outputs; None if there is no jvp."""
        if self._jvp is None:
            return None
        rest = list(map(copy_layout, tangents))
        full = [rest.pop(0) if slot.is_differentiable else None for slot in self.inputs]
        with user_code("jvp"):
            call = self._arguments.fill(list(map(copy_layout, arrays)))
            made = self._jvp(call, self._arguments.fill(full), **self._jvp_options)
            return tuple(np.array(tangent) for tangent in take_outputs(made))

    def forward(self, arrays: Sequence[Array], needs: Sequence[bool] | None = None) -> Graph:
        """Return a call with these very arrays."""
        del needs
        inputs = tuple(arrays)
        return Call(inputs, tuple(_floating(self._call(inputs))), self.gradients)

    def gradient_function(self) -> None:
        """Return None: the gradient of a pair has no gradient."""

    def _call(self, arrays: Sequence[Array]) -> Any:
        with user_code("value"):
            result = self._f(*self._arguments.fill(arrays), **self._options)
        self._is_tuple = isinstance(result, tuple | list | dict)
        # Numbers of mpmath and complex ones stand for floats: value_in changes no cotangents.
        self._counts = [np.asarray(leaf).dtype.kind in "fcO" for leaf in take_outputs(result)]
        return result

    def gradients(self, arrays: Sequence[Array], cotangents: Sequence[Any]) -> Arrays:
        """Return the gradients as vjp makes them of these very arrays."""
        if self._is_tuple is None:
            self.value(arrays)
        rest = list(cotangents)
        dy = tuple(rest.pop(0) if counts else None for counts in self._counts)
        call = self._arguments.fill(arrays)
        if self._is_spread is not None:
            return self._gradients_of(call, dy, is_spread=self._is_spread)
        # vjp(x, dy) of one input may take x itself. The list comes first: it is the rule.
        try:
            gradients = self._gradients_of(call, dy, is_spread=False)
            is_right = gradients[0].shape == arrays[0].shape
        except FunctionFailed:
            gradients, is_right = (), False
        if not is_right:
            with suppress(FunctionFailed):
                others = self._gradients_of(call, dy, is_spread=True)
                self._is_spread = others[0].shape == arrays[0].shape or None
                if self._is_spread:
                    return others
        self._is_spread = False
        return gradients or self._gradients_of(call, dy, is_spread=False)

    def _gradients_of(self, call: list[Any], dy: Any, *, is_spread: bool) -> Arrays:
        cotangent = dy if self._is_tuple else dy[0]
        first = call if is_spread else [call]
        with user_code("vjp"):
            made = self._vjp(*first, cotangent, **self._vjp_options)
            return tuple(np.asarray(part) for part in self._sort(made))

    def _sort(self, made: Any) -> list[Any]:
        """Return the gradients of the differentiable inputs from what vjp returned."""
        wanted = [slot for slot in self.inputs if slot.is_differentiable]
        if isinstance(made, Mapping):
            missing = [slot.name for slot in wanted if slot.name not in made]
            if missing:
                raise FunctionFailed("vjp", f"vjp returned no gradient of {', '.join(missing)}.")
            return [made[slot.name] for slot in wanted]
        if made is None:
            raise FunctionFailed("vjp", "vjp returned None: is a return missing?")
        parts = _take_parts(made, len(wanted))
        if len(parts) == len(wanted):
            return parts
        if len(parts) == len(self.inputs):
            return [p for p, s in zip(parts, self.inputs, strict=True) if s.is_differentiable]
        raise FunctionFailed(
            "vjp",
            f"vjp returned {len(parts)} gradients for {len(wanted)} inputs; it has to return one "
            "for each array.",
        )


def _take_parts(made: Any, wanted: int) -> list[Any]:
    """Return the gradients in what a backward pass returned: a tuple, list, or one array."""
    is_nest = isinstance(made, list) and (wanted != 1 or any(hasattr(p, "dtype") for p in made))
    return list(made) if is_nest or isinstance(made, tuple) else [made]


def _floating(result: Any) -> list[Array]:
    """Return the outputs that hold real floating-point numbers."""
    if result is None:
        raise FunctionFailed("value", "the function returned None: is a return missing?")
    outputs = [np.asarray(leaf) for leaf in take_outputs(result)]
    if any(output.dtype.kind == "c" for output in outputs):
        raise FunctionFailed("value", "the function returned complex numbers; return real ones.")
    floating = [output for output in outputs if output.dtype.kind == "f"]
    if not floating:
        kinds = ", ".join(str(output.dtype) for output in outputs) or "nothing"
        raise FunctionFailed("value", f"the function returned no floating-point array, but {kinds}")
    return floating


def _takes_arrays_apart(vjp: Callable[..., Any], count: int) -> bool | None:
    """Return True for vjp(x, w, dy), False for vjp(arrays, dy), None if a call has to show it."""
    try:
        parameters = inspect.signature(vjp).parameters.values()
    except (TypeError, ValueError):
        return False
    required = [p for p in parameters if p.default is p.empty and p.kind in _POSITIONAL]
    return None if count == 1 else len(required) == count + 1


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _accepted(f: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a function has as parameters."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return dict(options)
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return dict(options)
    names = {p.name for p in parameters}
    return {name: value for name, value in options.items() if name in names}
