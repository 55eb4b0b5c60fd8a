"""Functions of torch tensors: autograd.Function, nn.Module, and whatever calls torch.

    adapt(f, arguments, slots, options)    the `Function` for NumPy arrays

The gradient is that of `torch.autograd.grad`. The parameters of a module are inputs. Its buffers
are not, because torch gives them no gradient. Every call gets copies of the buffers, so a module
is never changed. A call runs on the device of the parameters or of an example, or else on torch's
default device.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from manualnn.gradcheck.data import Array
from manualnn.gradcheck.functions.arguments import Arguments
from manualnn.gradcheck.functions.base import Arrays, Slot
from manualnn.gradcheck.functions.torch_arrays import dtype_name, to_array
from manualnn.gradcheck.functions.torch_calls import TorchCalls
from manualnn.gradcheck.functions.torch_gradient import TorchGradient, batched_value, batched_vjp

Tensor = torch.Tensor


class TorchFunction(TorchCalls):
    """A function of tensors."""

    def gradient_function(self) -> TorchGradient | None:
        """Return the gradient as a function; None before the first call of value or forward."""
        return TorchGradient(self) if self.result_dtypes else None

    def batched_vjp(self, arrays: Sequence[Array], cotangents: Sequence[Array]) -> Arrays:
        """Return the gradients under vmap, for arrays that all have one more axis in front.

        Raises Unsupported if torch refuses, unless the function has a rule for vmap.
        """
        return batched_vjp(self, arrays, cotangents, is_claimed=self.has_vmap)

    def batched_value(self, arrays: Sequence[Array]) -> Arrays:
        """Return the outputs under vmap; raises Unsupported as batched_vjp does."""
        return batched_value(self, arrays, is_claimed=self.has_vmap)


class TorchApply(TorchFunction):
    """The apply of a torch.autograd.Function."""

    def __init__(self, f: Any, *others: Any) -> None:
        super().__init__(f, *others)
        owner = f.__self__
        self.name = f"{owner.__name__}.apply"
        base = torch.autograd.Function
        self.has_vmap = owner.generate_vmap_rule or owner.vmap is not base.vmap
        self.has_jvp = owner.jvp is not base.jvp


class TorchModule(TorchFunction):
    """A module, whose parameters are the last inputs.

    If all parameters have one dtype, the module is called with the dtype of its inputs.
    """

    def __init__(self, module: torch.nn.Module, arguments: Arguments, *others: Any) -> None:
        super().__init__(module, arguments, *others)
        self.name, self._module = type(module).__name__, module
        own = dict(module.named_parameters())
        self._learned = [name for name, p in own.items() if p.requires_grad]
        self._hooks = {n: list((own[n]._backward_hooks or {}).values()) for n in self._learned}  # noqa: SLF001
        self._frozen = {name: p.detach() for name, p in own.items() if not p.requires_grad}
        self._frozen |= {name: b.detach() for name, b in module.named_buffers()}
        dtypes = {p.dtype for p in own.values() if p.is_floating_point()}
        self._follows = len(dtypes) == 1
        first = next((slot.dtype for slot in self.inputs if slot.is_differentiable), "float64")
        slots = []
        for name in self._learned:
            dtype = first if self._follows else dtype_name(own[name])
            carried = to_array(own[name].to(getattr(torch, dtype)))
            slots.append(Slot(name, is_differentiable=True, dtype=dtype, example=np.array(carried)))
        self.device = next((p.device for p in own.values()), self.device)
        self._taken = len(self.inputs)
        self.inputs = (*self.inputs, *slots)
        self.parameters = tuple(slot.example for slot in slots if slot.example is not None)

    def _invoke(self, tensors: Sequence[Tensor]) -> Any:
        learned = {
            name: _with_hooks(tensor, self._hooks[name])
            for name, tensor in zip(self._learned, tensors[self._taken :], strict=True)
        }
        dtype = next(t.dtype for t in tensors if t.is_floating_point() or t.is_complex())
        frozen = {
            name: t.to(dtype, copy=True) if self._follows and t.is_floating_point() else t.clone()
            for name, t in self._frozen.items()
        }
        arguments = tuple(self.arguments.fill(tensors[: self._taken]))
        return torch.func.functional_call(
            self._module, {**frozen, **learned}, arguments, dict(self._options)
        )


def _with_hooks(tensor: Tensor, hooks: Sequence[Any]) -> Tensor:
    """Return the tensor with the hooks of the parameter that it stands for."""
    if not hooks or not tensor.requires_grad:
        return tensor
    passed = tensor.view_as(tensor)  # the next call with this tensor registers its own hooks
    for hook in hooks:
        passed.register_hook(hook)  # type: ignore[no-untyped-call]
    return passed


def adapt(f: Any, arguments: Arguments, slots: Sequence[Slot], options: Any) -> TorchFunction:
    """Return the adapter of a function of torch."""
    if isinstance(f, torch.nn.Module):
        return TorchModule(f, arguments, slots, options)
    if _is_autograd(getattr(f, "__self__", None)):
        return TorchApply(f, arguments, slots, options)
    return TorchFunction(f, arguments, slots, options)


def resolve(f: Any) -> Any:
    """Return what is called: the apply of an autograd.Function in place of the class."""
    return f.apply if _is_autograd(f) else f


def described(f: Any) -> Any:
    """Return the callable whose parameters have the names of the inputs."""
    if isinstance(f, torch.nn.Module):
        return f.forward
    owner: Any = getattr(f, "__self__", None)
    if not _is_autograd(owner):
        return f
    is_split = owner.setup_context is not torch.autograd.Function.setup_context
    return owner.forward if is_split else partial(owner.forward, None)


def _is_autograd(f: Any) -> bool:
    return isinstance(f, type) and issubclass(f, torch.autograd.Function)
