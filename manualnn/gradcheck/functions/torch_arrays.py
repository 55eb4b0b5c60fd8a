"""Tensors and arrays that share memory, and a live call of a torch function."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from manualnn.gradcheck.data import Array
from manualnn.gradcheck.functions.base import Arrays, user_code

Tensor = torch.Tensor
SEED = 2**31 - 1
"""The state of torch's generators before every call."""


def to_tensor(array: Array, dtype: str, device: Any) -> Tensor:
    """Return a tensor with the memory and the strides of an array, where torch can have them."""
    array = np.asarray(array)
    if any(step < 0 or step % array.itemsize for step in array.strides):
        array = np.ascontiguousarray(array)
    return torch.from_numpy(array).to(device, getattr(torch, dtype))


def to_array(tensor: Tensor) -> Array:
    """Return an array with the memory of a tensor, where NumPy can have it."""
    tensor = tensor.detach()
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.to(torch.float32)
    if tensor._is_zerotensor():  # noqa: SLF001 - zeros without memory, which NumPy cannot have
        tensor = torch.zeros_like(tensor)
    return tensor.cpu().resolve_conj().resolve_neg().numpy()


@dataclass
class RandomUse:
    """The record of a call: is_random is True after it if it drew random numbers."""

    is_random: bool = False


@contextmanager
def seeded(device: torch.device) -> Iterator[RandomUse]:
    """Give torch's generators the same state in every call, and afterwards what they had."""
    use = RandomUse()
    if device.type != "cpu":
        with torch.random.fork_rng([device], device_type=device.type):
            torch.manual_seed(SEED)
            yield use
        return
    state = torch.get_rng_state()
    start = torch.default_generator.manual_seed(SEED).get_state()
    try:
        yield use
    finally:
        use.is_random = not torch.equal(torch.get_rng_state(), start)
        torch.set_rng_state(state)


@dataclass
class TorchGraph:
    """One call of a torch function, with the graph that torch recorded."""

    leaves: Sequence[Tensor]
    """The differentiable inputs."""
    passed: Sequence[Tensor]
    """What the function got: the inputs, or clones of them if it works in place."""
    results: Sequence[Tensor]
    in_place: tuple[int, ...]
    is_random: bool

    @property
    def inputs(self) -> Arrays:
        """The memory of what the function got."""
        return tuple(to_array(tensor) for tensor in self.passed)

    @property
    def outputs(self) -> Arrays:
        """The memory of what the function returned."""
        return tuple(to_array(tensor) for tensor in self.results)

    def backward(
        self, cotangents: Sequence[Array | None], *, retain: bool = True
    ) -> tuple[Array | None, ...]:
        """Return the gradients of the differentiable inputs; None as torch returns it."""
        with user_code("vjp"):
            pairs = [
                (result, to_tensor(dy, dtype_name(result), result.device))
                for result, dy in zip(self.results, cotangents, strict=True)
                if result.requires_grad and dy is not None
            ]
            wanted = [leaf for leaf in self.leaves if leaf.requires_grad]
            if not pairs or not wanted:
                return (None,) * len(self.leaves)
            results, weights = zip(*pairs, strict=True)
            made = iter(
                torch.autograd.grad(
                    results, wanted, weights, retain_graph=retain, allow_unused=True
                )
            )
            gradients = [next(made) if leaf.requires_grad else None for leaf in self.leaves]
            return tuple(None if g is None else to_array(g) for g in gradients)


def dtype_name(tensor: Tensor) -> str:
    """Return the name of a tensor's dtype, such as "float64"."""
    return str(tensor.dtype).removeprefix("torch.")
