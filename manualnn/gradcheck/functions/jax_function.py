"""Functions of JAX arrays: custom_vjp, custom_jvp, compiled and plain functions.

    adapt(f, arguments, slots, options)    the `Function` for NumPy arrays

Values and gradients are computed under jit, because a call then takes microseconds. A function
that jit does not take, such as one with an `if` on a value, is called without. `forward` is always
without jit, so that the checks can compare both. 64-bit numbers are switched on during a call if
an input has them, and only then.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from manualnn.gradcheck.data import Array
from manualnn.gradcheck.functions.base import (
    Arrays,
    FunctionFailed,
    Slot,
    Unsupported,
    cotangent_slots,
    name_of,
    user_code,
)

Results = tuple[Any, ...]
WIDE = ("float64", "complex128", "int64", "uint64")


class JaxFunction:
    """A function of JAX arrays."""

    framework = "jax"
    kinds: tuple[str, ...] = ("complex128", "float64")
    parameters: Arrays = ()

    def __init__(
        self,
        f: Callable[..., Any],
        fill: Callable[[Sequence[Any]], list[Any]],
        slots: Sequence[Slot],
        options: Mapping[str, Any],
    ) -> None:
        self.name, self.inputs = name_of(f), tuple(slots)
        self._f, self._fill, self._options = f, fill, options
        self._places = [i for i, slot in enumerate(slots) if slot.is_differentiable]
        self._dtypes = [slot.dtype for slot in slots]
        self._results: list[str] = []
        """The dtypes of the outputs."""
        self._compiled: dict[Callable[..., Results], Callable[..., Results] | None] = {}
        """Functions under jit; None: jit does not take it."""

    def value(self, arrays: Sequence[Array]) -> Arrays:
        """Return the outputs of real numbers, as copies."""
        with user_code("value"):
            outputs = self._run(self._values, self._converted(arrays))
            self._results = [str(output.dtype) for output in outputs]
            return tuple(map(_to_numpy, outputs))

    def value_in(self, kind: str, arrays: Sequence[Array]) -> Arrays:
        """Return the outputs with all floating-point inputs as float64 or complex128."""
        if kind not in self.kinds:
            raise Unsupported(f"{self.name} is not called with {kind}.")
        dtypes = [kind if "float" in dtype else dtype for dtype in self._dtypes]
        try:
            with user_code("value"):
                outputs = self._run(self._values, self._converted(arrays, dtypes), is_wide=True)
                return tuple(map(_to_numpy, outputs))
        except FunctionFailed as error:
            raise Unsupported(f"{self.name} does not take {kind}: {error.trace}") from error

    def vjp(self, arrays: Sequence[Array], cotangents: Sequence[Array]) -> Arrays:
        """Return the gradients of the differentiable inputs."""
        with user_code("vjp"):
            call = [*self._converted(arrays), *cotangents]
            return tuple(map(_to_numpy, self._run(self._gradients, call)))

    def jvp(self, arrays: Sequence[Array], tangents: Sequence[Array]) -> Arrays | None:
        """Return the tangents of the outputs; None for a function with custom_vjp."""
        dtypes = [self._dtypes[place] for place in self._places]
        try:
            with user_code("jvp"):
                call = [*self._converted(arrays), *self._converted(tangents, dtypes)]
                return tuple(map(_to_numpy, self._run(self._tangents, call)))
        except FunctionFailed as error:
            if error.is_refusal:
                return None
            raise

    def forward(self, arrays: Sequence[Array], needs: Sequence[bool] | None = None) -> "JaxGraph":
        """Return a call without jit."""
        needs = [True] * len(self._places) if needs is None else needs
        places = [place for place, is_needed in zip(self._places, needs, strict=True) if is_needed]
        with user_code("value"), self._x64():
            inputs = [jnp.array(a) for a in self._converted(arrays)]
            outputs, pull = jax.vjp(self._at(inputs, places), *(inputs[p] for p in places))
            self._results = [str(output.dtype) for output in outputs]
        return JaxGraph(self, inputs, outputs, pull, needs)

    def gradient_function(self) -> "JaxFunction | None":
        """Return the gradient as a function; None before the first call of value or forward."""
        if not self._results:
            return None
        slots = (*self.inputs, *cotangent_slots(self._results))
        gradient = JaxFunction(self._gradients, list, slots, {})
        gradient.name = f"the gradient of {self.name}"
        return gradient

    def batched_vjp(self, arrays: Sequence[Array], cotangents: Sequence[Array]) -> Arrays:
        """Return the gradients under vmap, for arrays that all have one more axis in front."""
        return self._transformed(jax.jit(jax.vmap(self._gradients)), arrays, cotangents)

    def batched_value(self, arrays: Sequence[Array]) -> Arrays:
        """Return the outputs under vmap, for arrays that all have one more axis in front."""
        return self._transformed(jax.jit(jax.vmap(self._values)), arrays, ())

    def jitted_vjp(self, arrays: Sequence[Array], cotangents: Sequence[Array]) -> Arrays:
        """Return the gradients under jit."""
        return self._transformed(jax.jit(self._gradients), arrays, cotangents)

    @contextmanager
    def _x64(self, *, is_wide: bool = False) -> Iterator[None]:
        with jax.enable_x64(is_wide or any(dtype in WIDE for dtype in self._dtypes)):
            yield

    def _transformed(
        self, f: Callable[..., Results], arrays: Sequence[Array], cotangents: Sequence[Array]
    ) -> Arrays:
        try:
            with user_code("vjp"), self._x64():
                return tuple(map(_to_numpy, f(*self._converted(arrays), *cotangents)))
        except FunctionFailed as error:
            raise Unsupported(f"JAX does not transform {self.name}: {error.trace}") from error

    def _run(
        self, f: Callable[..., Results], call: Sequence[Any], *, is_wide: bool = False
    ) -> Results:
        """Return f under jit, or without where jit does not take it."""
        with self._x64(is_wide=is_wide):
            if f not in self._compiled:
                self._compiled[f] = jax.jit(f)
            compiled = self._compiled[f]
            if compiled is None:
                return f(*map(jnp.array, call))
            try:
                return compiled(*call)
            except Exception:  # noqa: BLE001 - the call without jit shows if it is the function's
                outputs = f(*map(jnp.array, call))
                self._compiled[f] = None
                return outputs

    def _converted(self, arrays: Sequence[Array], dtypes: Sequence[str] | None = None) -> list[Any]:
        dtypes = self._dtypes if dtypes is None else dtypes
        return [np.asarray(a).astype(jnp.dtype(d)) for a, d in zip(arrays, dtypes, strict=True)]

    def _values(self, *arrays: Any) -> Results:
        result = self._f(*self._fill(arrays), **self._options)
        leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(result)]
        floating = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.inexact)]
        if not floating:
            kinds = ", ".join(str(leaf.dtype) for leaf in leaves) or f"{result!r:.80}"
            raise FunctionFailed("value", f"the function returned no floating array, but {kinds}")
        if any(jnp.iscomplexobj(array) for array in arrays):
            return tuple(floating)
        if any(jnp.iscomplexobj(leaf) for leaf in floating):
            self.kinds = ("float64",)
        return tuple(map(_to_real, floating))

    def _at(self, arrays: Sequence[Any], places: Sequence[int]) -> Callable[..., Results]:
        """Return the outputs as a function of the arrays at some places."""

        def values(*inputs: Any) -> Results:
            full = list(arrays)
            for place, array in zip(places, inputs, strict=True):
                full[place] = array
            return self._values(*full)

        return values

    def _gradients(self, *call: Any) -> Results:
        arrays, weights = call[: len(self.inputs)], call[len(self.inputs) :]
        values = self._at(arrays, self._places)
        outputs, pull = jax.vjp(values, *(arrays[place] for place in self._places))
        return tuple(pull(_like(weights, outputs)))

    def _tangents(self, *call: Any) -> Results:
        arrays, tangents = call[: len(self.inputs)], call[len(self.inputs) :]
        inputs = tuple(arrays[place] for place in self._places)
        return tuple(jax.jvp(self._at(arrays, self._places), inputs, tangents)[1])


@dataclass
class JaxGraph:
    """One call of a JAX function, with its pullback."""

    function: JaxFunction
    arrays: Sequence[Any]
    results: Results
    pull: Callable[[Results], Results]
    needs: Sequence[bool]
    in_place: tuple[int, ...] = ()
    is_random: bool = False

    @property
    def inputs(self) -> Arrays:
        """Copies of what the function got."""
        return tuple(map(_to_numpy, self.arrays))

    @property
    def outputs(self) -> Arrays:
        """Copies of what the function returned."""
        return tuple(map(_to_numpy, self.results))

    def backward(
        self, cotangents: Sequence[Array | None], *, retain: bool = True
    ) -> tuple[Array | None, ...]:
        """Return the gradients of the differentiable inputs."""
        del retain
        if any(dy is None for dy in cotangents):
            raise Unsupported("JAX has a cotangent for each output.")
        with user_code("vjp"), self.function._x64():  # noqa: SLF001 - of the same module
            made = iter(self.pull(_like(cotangents, self.results)))
        return tuple(_to_numpy(next(made)) if is_needed else None for is_needed in self.needs)


def adapt(f: Any, arguments: Any, slots: Sequence[Slot], options: Any) -> JaxFunction:
    """Return the adapter of a function of JAX."""
    return JaxFunction(f, arguments.fill, slots, options)


def _like(weights: Sequence[Any], outputs: Results) -> Results:
    pairs = zip(weights, outputs, strict=True)
    return tuple(jnp.asarray(w).astype(output.dtype) for w, output in pairs)


def _to_real(array: Any) -> Any:
    return jnp.stack([array.real, array.imag], -1) if jnp.iscomplexobj(array) else array


def _to_numpy(array: Any) -> Array:
    """Return a copy; bfloat16 as float32."""
    copy = np.array(array)
    return copy.astype(np.float32) if copy.dtype == jnp.bfloat16 else copy
