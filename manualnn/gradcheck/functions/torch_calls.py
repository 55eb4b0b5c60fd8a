"""Calls of functions of torch tensors: values, gradients, and live graphs.

Values are computed without a graph. A function that needs a graph, because it differentiates
something itself, is called again with one, and always so from then on. A function that overwrites
its inputs gets clones of the leaves, as torch demands. The generator of torch is seeded before
every call and restored after it, so that dropout is the same each time.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from manualnn.gradcheck.data import Array
from manualnn.gradcheck.functions.arguments import Arguments
from manualnn.gradcheck.functions.base import (
    Arrays,
    FunctionFailed,
    Slot,
    Unsupported,
    copy_layout,
    name_of,
    take_outputs,
    user_code,
)
from manualnn.gradcheck.functions.torch_arrays import (
    TorchGraph,
    dtype_name,
    seeded,
    to_array,
    to_tensor,
)

Tensor = torch.Tensor
FLOATS = ("float64", "float32", "float16", "bfloat16")
IN_PLACE = ("leaf Variable that requires grad", "used in an in-place operation")
"""Words of torch's error if a function overwrites an input that requires a gradient."""


class TorchCalls:
    """A function of tensors."""

    framework = "torch"
    kinds: tuple[str, ...] = ("complex128", "float64")
    parameters: Arrays = ()
    has_jvp = has_vmap = False
    """True if the function has a rule of its own for it."""
    batched_value: Any = None
    batched_vjp: Any = None
    jitted_vjp: Any = None

    def __init__(
        self,
        f: Callable[..., Any],
        arguments: Arguments,
        slots: Sequence[Slot],
        options: Mapping[str, Any],
    ) -> None:
        self._f, self.arguments, self._options = f, arguments, options
        self.name, self.inputs = name_of(f), tuple(slots)
        self.device = _find_device(arguments.entries)
        self.is_random = False
        """The last call drew random numbers."""
        self._is_seeded = True
        """False as soon as a call drew none, because seeding costs as much as a small function."""
        self._needs_graph = False
        self._clones: bool | None = None
        """The function overwrites inputs, so it gets clones of the leaves; None: not known yet."""
        self._counted: dict[int, list[int]] = {}
        """The outputs that count, by the number of all that are returned."""
        self.result_dtypes: list[str] = []
        """The dtypes of the outputs that count; empty before the first call."""

    def value(self, arrays: Sequence[Array]) -> Arrays:
        """Return the outputs that have a derivative, as copies."""
        return self._evaluate(arrays, [slot.dtype for slot in self.inputs])

    def value_in(self, kind: str, arrays: Sequence[Array]) -> Arrays:
        """Return the outputs with all floating-point inputs as float64 or complex128."""
        if kind not in self.kinds:
            raise Unsupported(f"{self.name} is not called with {kind}.")
        dtypes = [kind if slot.dtype in FLOATS else slot.dtype for slot in self.inputs]
        try:
            return self._evaluate(arrays, dtypes)
        except FunctionFailed as error:
            raise Unsupported(f"{self.name} does not take {kind}: {error.trace}") from error

    def vjp(self, arrays: Sequence[Array], cotangents: Sequence[Array]) -> Arrays:
        """Return the gradients of the differentiable inputs; zeros where torch has None."""
        copies = [copy_layout(np.asarray(array)) for array in arrays]
        weights = [copy_layout(np.asarray(dy)) for dy in cotangents]
        gradients = self.forward(copies).backward(weights, retain=False)
        wanted = [a for a, s in zip(copies, self.inputs, strict=True) if s.is_differentiable]
        return tuple(
            np.zeros(a.shape, a.dtype) if g is None else np.array(g)
            for a, g in zip(wanted, gradients, strict=True)
        )

    def jvp(self, arrays: Sequence[Array], tangents: Sequence[Array]) -> Arrays | None:
        """Return the tangents by forward mode; None if it fails and the function claims no jvp."""
        copies = [copy_layout(np.asarray(array)) for array in arrays]
        rest = iter(tangents)
        try:
            with user_code("jvp"), forward_ad.dual_level():
                duals = [
                    forward_ad.make_dual(x, self._tensor(next(rest), slot))  # type: ignore[no-untyped-call]
                    if slot.is_differentiable
                    else x
                    for x, slot in zip(self._tensors(copies), self.inputs, strict=True)
                ]
                results = self._pick(self._call(duals), duals)
                parts: list[Any] = [forward_ad.unpack_dual(result) for result in results]  # type: ignore[no-untyped-call]
                if all(part.tangent is None for part in parts):
                    return None
                return tuple(
                    np.array(to_array(torch.zeros_like(p) if t is None else t)) for p, t in parts
                )
        except FunctionFailed as error:
            if error.is_refusal or not self.has_jvp:
                return None
            raise

    def forward(self, arrays: Sequence[Array], needs: Sequence[bool] | None = None) -> TorchGraph:
        """Return a call whose tensors share memory with the arrays."""
        wishes = iter(needs or [True] * len(self.inputs))
        with user_code("value"), torch.enable_grad():
            leaves = self._tensors(arrays)
            for leaf, slot in zip(leaves, self.inputs, strict=True):
                leaf.requires_grad_(slot.is_differentiable and next(wishes))
            passed, outputs, in_place = self._record(leaves)
            wanted = [x for x, s in zip(leaves, self.inputs, strict=True) if s.is_differentiable]
            results = self._pick(outputs, leaves)
            self.result_dtypes = list(map(dtype_name, results))
            return TorchGraph(wanted, passed, results, in_place, self.is_random)

    def call(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the outputs that count, for tensors in the order of the slots."""
        return self._pick(self._call(tensors), tensors)

    def call_with_graph(self, leaves: Sequence[Tensor]) -> list[Tensor]:
        """Return the outputs that count, for leaves that may require gradients."""
        return self._pick(self._record(leaves)[1], leaves)

    def leaves(self, arrays: Sequence[Array]) -> list[Tensor]:
        """Return tensors of which those that are differentiable require gradients."""
        tensors = self._tensors(arrays)
        for tensor, slot in zip(tensors, self.inputs, strict=True):
            tensor.requires_grad_(slot.is_differentiable)
        return tensors

    def _evaluate(self, arrays: Sequence[Array], dtypes: Sequence[str]) -> Arrays:
        with user_code("value"):
            if not self._needs_graph:
                try:
                    with torch.no_grad():
                        tensors = self._tensors(map(copy_layout, map(np.asarray, arrays)), dtypes)
                        outputs = self._call(tensors)
                except Exception as error:  # noqa: BLE001 - any exception may be for want of a graph
                    self._needs_graph = True
                    try:
                        return self._evaluate(arrays, dtypes)
                    except FunctionFailed:
                        self._needs_graph = False
                        raise error from None
            if self._needs_graph or len(outputs) not in self._counted:
                tensors = self._tensors(map(copy_layout, map(np.asarray, arrays)), dtypes)
                for tensor, slot in zip(tensors, self.inputs, strict=True):
                    tensor.requires_grad_(slot.is_differentiable)
                with torch.enable_grad():
                    outputs = self._record(tensors)[1]
            results = self._pick(outputs, tensors)
            self.result_dtypes = self.result_dtypes or list(map(dtype_name, results))
            return tuple(np.array(to_array(result)) for result in results)

    def _record(
        self, leaves: Sequence[Tensor]
    ) -> tuple[Sequence[Tensor], list[Tensor], tuple[int, ...]]:
        """Call with leaves that require gradients.

        Return what was passed, the outputs, and the indices of the inputs that were overwritten
        with torch's knowledge: these then have another history.
        """
        if self._clones is None:
            kept = [leaf.detach().clone() for leaf in leaves]
            try:
                outputs = self._call(leaves)
            except RuntimeError as error:
                if not all(words in str(error) for words in IN_PLACE):
                    raise
                for leaf, was in zip(leaves, kept, strict=True):
                    leaf.data.copy_(was)
                self._clones = True
            else:
                self._clones = False
                return leaves, outputs, ()
        if not self._clones:
            return leaves, self._call(leaves), ()
        passed = [leaf.clone() if leaf.requires_grad else leaf for leaf in leaves]
        before = [tensor.grad_fn for tensor in passed]
        outputs = self._call(passed)
        pairs = enumerate(zip(passed, before, strict=True))
        return passed, outputs, tuple(i for i, (t, was) in pairs if t.grad_fn is not was)

    def _call(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return all outputs of real or complex numbers."""
        if self._is_seeded:
            with seeded(self.device) as use:
                result = self._invoke(tensors)
            self.is_random = use.is_random
            self._is_seeded = use.is_random or self.device.type != "cpu"
        else:
            result = self._invoke(tensors)
        if result is None:
            raise FunctionFailed("value", "the function returned None: is a return missing?")
        leaves = [leaf for leaf in take_outputs(result) if isinstance(leaf, Tensor)]
        floating = [leaf for leaf in leaves if leaf.is_floating_point() or leaf.is_complex()]
        if not floating:
            kinds = ", ".join(str(leaf.dtype) for leaf in leaves) or f"{result!r:.80}"
            raise FunctionFailed("value", f"the function returned no floating tensor, but {kinds}")
        if not any(tensor.is_complex() for tensor in tensors):
            if any(leaf.is_complex() for leaf in floating):
                self.kinds = ("float64",)
            floating = [torch.view_as_real(o) if o.is_complex() else o for o in floating]
        return floating

    def _invoke(self, tensors: Sequence[Tensor]) -> Any:
        return self._f(*self.arguments.fill(tensors), **self._options)

    def _pick(self, outputs: list[Tensor], inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the outputs that count.

        An output without a graph beside others that have one is not meant to have a derivative.
        """
        if len(outputs) not in self._counted:
            if not any(tensor.requires_grad for tensor in inputs):
                return outputs
            live = [i for i, output in enumerate(outputs) if output.requires_grad]
            self._counted[len(outputs)] = live or list(range(len(outputs)))
        return [outputs[i] for i in self._counted[len(outputs)]]

    def _tensors(self, arrays: Any, dtypes: Sequence[str] | None = None) -> list[Tensor]:
        dtypes = dtypes or [slot.dtype for slot in self.inputs]
        return [to_tensor(a, d, self.device) for a, d in zip(arrays, dtypes, strict=True)]

    def _tensor(self, array: Array, slot: Slot) -> Tensor:
        return to_tensor(copy_layout(np.asarray(array)), slot.dtype, self.device)


def _find_device(entries: Sequence[Any]) -> torch.device:
    examples = [entry.device for entry in entries if isinstance(entry, Tensor)]
    return examples[0] if examples else torch.get_default_device()
