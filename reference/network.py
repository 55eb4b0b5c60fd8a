"""Twin: a whole training run in PyTorch, with NumPy arrays at its edges."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reference import around, layers, losses, optimizers

Array = NDArray[Any]
DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Result(NamedTuple):
    """The loss at a point, and its derivatives by torch.autograd."""

    loss: Any
    """L, a NumPy scalar of the run's dtype."""
    outputs: Array
    """y, shape (N, out)."""
    grads: dict[str, Array]
    """∂L/∂θ by the keys of the state_dict."""
    input_grad: Array
    """∂L/∂x, shape (N, in)."""


class Twin:
    """A network, a loss and an optimizer, with the parameters and the state that they change.

    Parameters
    ----------
    spec : mapping
        The JSON form of a run: {"layers": [...], "loss": {...}, "optimizer": {...}, "dtype":
        "float64"}. Without a loss it is MSELoss, without an optimizer plain SGD, without a dtype
        float64; float32 is the only other one that torch shares with manualnn.
    state_dict : mapping from key to array
        The parameters, torch's or manualnn's. They are copied.
    noise : mapping, optional
        What is random in a training step, as manualnn's `Sequential.sample` returns it; None for
        the network as it predicts.
    optimizer_state : mapping, optional
        {"step": steps done, name: vector, …}, to go on from where another run stands.

    Examples
    --------
    >>> twin = Twin(trainer.spec(), trainer.params.state_dict())
    >>> twin.step(x, t).loss
    >>> twin.state_dict()["0.weight"]

    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        state_dict: Mapping[str, Any],
        *,
        noise: Mapping[str, Array] | None = None,
        optimizer_state: Mapping[str, Any] | None = None,
    ) -> None:
        self.dtype = DTYPES[spec.get("dtype", "float64")]
        self.module = layers.build(spec["layers"]).to(self.dtype)
        self.module.load_state_dict({key: self._tensor(v) for key, v in state_dict.items()})
        self._params = list(self.module.parameters())
        self._loss = losses.build(spec.get("loss", {"type": "MSELoss"}), self.dtype)
        rule = spec.get("optimizer", {"type": "SGD"})
        self._around, own = around.split(rule)
        # torch refuses to make an optimizer of nothing.
        self._optimizer = None
        if self._params:
            groups = around.groups(self._around, dict(self.module.named_parameters()))
            self._optimizer = optimizers.build({**own, "type": rule["type"]}, groups)
        self._steps = 0
        if optimizer_state is not None:
            self._steps = optimizer_state["step"]
            if self._optimizer and self._steps:
                optimizers.load_state(self._optimizer, self._params, optimizer_state)
        self.set_noise(noise)

    def set_noise(self, noise: Mapping[str, Array] | None) -> None:
        """Take these arrays for what is random from now on; None for the network as it predicts."""
        self.module.train(noise is not None)
        for module in self.module.modules():
            if isinstance(module, layers.Random):
                module.drawn = None
        for key, array in (noise or {}).items():
            layer, _, _ = key.rpartition(".")
            module = self.module.get_submodule(layer)
            module.drawn = self._tensor(array)

    def forward(self, x: Array) -> Array:
        """Return the outputs y of shape (N, out) for the inputs x of shape (N, in)."""
        with torch.no_grad():
            return _array(self.module(self._tensor(x)))

    def value_and_grad(self, x: Array, t: Array) -> Result:
        """Return the loss, the outputs and every gradient; nothing changes.

        x (N, in); t as the loss takes it, (N, out) or class indices (N,).
        """
        inputs = self._tensor(x).requires_grad_()
        outputs = self.module(inputs)
        loss = self._loss(outputs, self._target(t))
        # With materialize_grads, an input that has no slope, as an index, has 0.
        dx, *gradients = torch.autograd.grad(loss, [inputs, *self._params], materialize_grads=True)
        names = [name for name, _ in self.module.named_parameters()]
        grads = dict(zip(names, map(_array, gradients), strict=True))
        return Result(_array(loss)[()], _array(outputs), grads, _array(dx))

    def step(self, x: Array, t: Array) -> Result:
        """Do one step of the optimizer; return what was true before it."""
        result = self.value_and_grad(x, t)
        if self._optimizer:
            for p, gradient in zip(self._params, result.grads.values(), strict=True):
                p.grad = self._tensor(gradient)
            around.change_gradients(self._around, dict(self.module.named_parameters()))
            self._optimizer.step()
        self._steps += 1
        return result

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of every parameter by its key."""
        return {key: _array(value) for key, value in self.module.state_dict().items()}

    def optimizer_state(self) -> dict[str, Any]:
        """Return {"step": steps done, name: vector of shape (P,), …} by torch's names.

        There are vectors from the first step on, and only where there are parameters.
        """
        vectors = {}
        if self._optimizer and self._steps:
            vectors = optimizers.state_vectors(self._optimizer, self._params)
        return {"step": self._steps, **vectors}

    def _tensor(self, value: Any) -> Tensor:
        return torch.tensor(np.array(value), dtype=self.dtype)

    def _target(self, t: Array) -> Tensor:
        return torch.tensor(np.array(t), dtype=torch.int64) if t.ndim == 1 else self._tensor(t)


def _array(tensor: Tensor) -> Array:
    """Return a NumPy array that shares no memory with the tensor."""
    array: Array = tensor.detach().numpy().copy()
    return array
