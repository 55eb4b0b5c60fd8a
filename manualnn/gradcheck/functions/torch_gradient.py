"""The gradient of a torch function as a function of its own, and the gradient under vmap."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from manualnn.gradcheck.data import Array
from manualnn.gradcheck.functions.base import (
    Arrays,
    FunctionFailed,
    Unsupported,
    copy_layout,
    cotangent_slots,
    user_code,
)
from manualnn.gradcheck.functions.torch_arrays import TorchGraph, to_array, to_tensor
from manualnn.gradcheck.functions.torch_calls import TorchCalls

Tensor = torch.Tensor


class TorchGradient(TorchCalls):
    """The gradients as a function of all inputs and the cotangents of all outputs."""

    kinds = ("float64",)  # torch's gradients are no analytic functions of complex inputs

    def __init__(self, function: TorchCalls) -> None:
        slots = (*function.inputs, *cotangent_slots(function.result_dtypes))
        super().__init__(function.call, function.arguments, slots, {})
        self.name = f"the gradient of {function.name}"
        self.device, self._needs_graph = function.device, True
        self._function = function

    def _invoke(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        count = len(self._function.inputs)
        leaves, weights = tensors[:count], tensors[count:]
        inputs = [
            leaf if leaf.requires_grad or not slot.is_differentiable else leaf.requires_grad_()
            for leaf, slot in zip(leaves, self._function.inputs, strict=True)
        ]
        wanted = [leaf for leaf in inputs if leaf.requires_grad]
        outputs = self._function.call_with_graph(inputs)
        pairs = [(o, w) for o, w in zip(outputs, weights, strict=True) if o.requires_grad]
        if not pairs:
            return [torch.zeros_like(leaf) for leaf in wanted]
        results, used = zip(*pairs, strict=True)
        made: tuple[Any, ...] = torch.autograd.grad(
            results, wanted, used, create_graph=True, allow_unused=True
        )
        return [torch.zeros_like(x) if g is None else g for g, x in zip(made, wanted, strict=True)]

    def forward(self, arrays: Sequence[Array], needs: Sequence[bool] | None = None) -> TorchGraph:
        """Return a call; raises FunctionFailed if its backward is marked once_differentiable.

        torch raises no error for such a gradient if the graph behind it does not lead to the input.
        """
        graph = super().forward(arrays, needs)
        if _leads_to_error(graph.results):
            raise FunctionFailed("vjp", "the backward pass is marked once_differentiable.")
        return graph

    def saves_intermediates(self, arrays: Sequence[Array]) -> bool:
        """Return True if forward saved a tensor that is neither an input nor an output."""
        count = len(self._function.inputs)
        with user_code("value"), torch.enable_grad():
            leaves = self._function.leaves([np.array(a) for a in arrays[:count]])
            outputs = self._function.call_with_graph(leaves)
            known = {leaf.data_ptr() for leaf in leaves}
            return any(
                _is_intermediate(saved, known)
                for node in _history(outputs)
                if isinstance(node, torch.autograd.function.BackwardCFunction)
                for saved in (*node.saved_tensors, *vars(node).values())
            )

    def gradient_function(self) -> None:
        """Return None: third derivatives are not checked."""

    def _pick(self, outputs: list[Tensor], inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return all gradients: one without a graph lacks a second derivative."""
        del inputs
        return outputs


def _leads_to_error(tensors: Sequence[Tensor]) -> bool:
    """Return True if the history of some tensor has the node by which torch refuses."""
    return any(node.name().rpartition("::")[2] == "Error" for node in _history(tensors))


def _history(tensors: Sequence[Tensor]) -> set[Any]:
    """Return all nodes of the graph behind tensors."""
    waiting = [tensor.grad_fn for tensor in tensors]
    seen: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    return seen


def _is_intermediate(saved: Any, known: set[int]) -> bool:
    """Return True for numbers without a graph that are not those of an input."""
    if isinstance(saved, Tensor):
        is_real = saved.is_floating_point() and not saved.requires_grad
        return is_real and saved.data_ptr() not in known
    return isinstance(saved, np.ndarray) and saved.dtype.kind == "f"


def batched_vjp(
    function: TorchCalls, arrays: Sequence[Array], cotangents: Sequence[Array], *, is_claimed: bool
) -> Arrays:
    """Return the gradients under vmap; raises Unsupported if torch refuses what is not claimed."""
    count = len(function.inputs)
    places = [i for i, slot in enumerate(function.inputs) if slot.is_differentiable]

    def gradient(*tensors: Tensor) -> tuple[Tensor, ...]:
        def values(*inputs: Tensor) -> tuple[Tensor, ...]:
            full = list(tensors[:count])
            for place, tensor in zip(places, inputs, strict=True):
                full[place] = tensor
            return tuple(function.call(full))

        outputs, pull = torch.func.vjp(  # type: ignore[misc]
            values, *(tensors[place] for place in places)
        )
        weights = [w.to(o.dtype) for w, o in zip(tensors[count:], outputs, strict=True)]
        return pull(tuple(weights))

    return _under_vmap(function, gradient, [*arrays, *cotangents], is_claimed=is_claimed)


def batched_value(function: TorchCalls, arrays: Sequence[Array], *, is_claimed: bool) -> Arrays:
    """Return the outputs under vmap; raises Unsupported if torch refuses what is not claimed."""
    return _under_vmap(function, lambda *call: function.call(call), arrays, is_claimed=is_claimed)


def _under_vmap(
    function: TorchCalls,
    call: Callable[..., Sequence[Tensor]],
    arrays: Sequence[Array],
    *,
    is_claimed: bool,
) -> Arrays:
    copies = [copy_layout(np.asarray(array)) for array in arrays]
    dtypes = [slot.dtype for slot in function.inputs]
    dtypes += [str(copy.dtype) for copy in copies[len(dtypes) :]]
    try:
        with user_code("vjp"):
            tensors = [
                to_tensor(array, dtype, function.device)
                for array, dtype in zip(copies, dtypes, strict=True)
            ]
            made = torch.func.vmap(call, randomness="same")(*tensors)
            return tuple(np.array(to_array(tensor)) for tensor in made)
    except FunctionFailed as error:
        if is_claimed:
            raise
        raise Unsupported(f"torch.func does not take {function.name}: {error.trace}") from error
