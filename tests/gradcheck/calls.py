"""The value and the gradients of a function of the benchmark, by its framework alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gradcheck.functions.entry import Function


def as_tuple(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, tuple | list) else (values,)


@dataclass
class NumpyCalls:
    row: Function

    def __post_init__(self) -> None:
        self.f, self.backward, *rest = self.row.build()
        self.forward_mode = rest[0] if rest else None
        self.parameters: list[Any] = []

    def value(self, arrays):
        return tuple(np.array(y) for y in as_tuple(self.f(*arrays)))

    def vjp(self, arrays, cotangents):
        dy = cotangents if isinstance(self.f(*arrays), tuple) else cotangents[0]
        return tuple(np.asarray(g) for g in as_tuple(self.backward(arrays, dy)))

    def jvp(self, arrays, tangents):
        return as_tuple(self.forward_mode(arrays, tangents))


@dataclass
class TorchCalls:
    row: Function

    def __post_init__(self) -> None:
        self.f = self.row.build()
        self.weights = list(getattr(self.f, "parameters", tuple)())
        self.parameters = [p.detach().numpy().copy() for p in self.weights]

    def tensors(self, arrays, pattern=None):
        import torch

        tensors = [torch.from_numpy(np.array(a, order="C")) for a in arrays]
        for i, weight in enumerate(self.weights, len(arrays) - len(self.weights)):
            weight.data.copy_(tensors[i])
            tensors[i] = weight
        floating = [t for t in tensors if t.is_floating_point()]
        for t, needs in zip(floating, pattern or [True] * len(floating), strict=True):
            t.requires_grad_(needs)
        return tensors

    def value(self, arrays):
        return tuple(y.detach().numpy().copy() for y in self.graph(self.tensors(arrays)))

    def graph(self, tensors):
        import torch

        torch.manual_seed(0)
        return as_tuple(self.f(*tensors[: len(tensors) - len(self.weights)]))

    def gradients(self, outputs, tensors, cotangents, *, create_graph=False):
        import torch

        needed = [t for t in tensors if t.requires_grad]
        dy = [torch.as_tensor(w) for w in cotangents]
        return torch.autograd.grad(
            outputs,
            needed,
            dy,
            create_graph=create_graph,
            allow_unused=True,
            materialize_grads=True,
        )

    def vjp(self, arrays, cotangents):
        tensors = self.tensors(arrays)
        gradients = self.gradients(self.graph(tensors), tensors, cotangents)
        return tuple(g.detach().numpy() for g in gradients)

    def double_vjp(self, arrays, cotangents, seconds):
        """Return the derivatives of Σ seconds·gradients by the arrays and by the cotangents."""
        import torch

        tensors = self.tensors(arrays)
        dy = [torch.from_numpy(w).clone().requires_grad_() for w in cotangents]
        first = self.gradients(self.graph(tensors), tensors, dy, create_graph=True)
        total = sum((g * torch.from_numpy(s)).sum() for g, s in zip(first, seconds, strict=True))
        total = total + sum(0 * t.sum() for t in (*tensors, *dy))
        return tuple(g.numpy() for g in self.gradients([total], [*tensors, *dy], [torch.ones(())]))

    def batched_vjp(self, arrays, cotangents):
        import torch

        def vjp(tensors, dy):
            return torch.func.vjp(lambda *t: as_tuple(self.f(*t)), *tensors)[1](tuple(dy))

        given = ([torch.from_numpy(a) for a in part] for part in (arrays, cotangents))
        return tuple(g.numpy() for g in torch.func.vmap(vjp)(*given))

    def jvp(self, arrays, tangents):
        import torch

        tangents = tuple(torch.from_numpy(t) for t in tangents)
        tensors = tuple(t.detach() for t in self.tensors(arrays))
        return tuple(t.numpy() for t in as_tuple(torch.func.jvp(self.f, tensors, tangents)[1]))


@dataclass
class JaxCalls:
    row: Function

    def __post_init__(self) -> None:
        import jax

        jax.config.update("jax_enable_x64", val=True)
        self.f = self.row.build()
        self.parameters: list[Any] = []

    def value(self, arrays):
        return tuple(np.asarray(y) for y in as_tuple(self.f(*arrays)))

    def first(self, arrays, cotangents):
        import jax

        floating = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]

        def f(*some):
            full = list(arrays)
            for i, a in zip(floating, some, strict=True):
                full[i] = a
            return as_tuple(self.f(*full))

        return jax.vjp(f, *(arrays[i] for i in floating))[1](tuple(cotangents))

    def vjp(self, arrays, cotangents):
        return tuple(np.asarray(g) for g in self.first(arrays, cotangents))

    def double_vjp(self, arrays, cotangents, seconds):
        import jax

        pull = jax.vjp(self.first, list(arrays), list(cotangents))[1]
        return tuple(np.asarray(g) for part in pull(tuple(seconds)) for g in part)

    def jvp(self, arrays, tangents):
        import jax

        return as_tuple(jax.jvp(self.f, tuple(arrays), tuple(tangents))[1])

    def batched_vjp(self, arrays, cotangents):
        import jax

        return jax.vmap(self.first)(tuple(arrays), tuple(cotangents))


def calls(row: Function) -> Any:
    return {"numpy": NumpyCalls, "torch": TorchCalls, "jax": JaxCalls}[row.framework](row)
