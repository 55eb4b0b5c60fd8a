"""Forward and backward pass through a chain of layers, as lists of kernel calls.

With y₀ = x and yᵢ₊₁ = fᵢ(yᵢ; θᵢ), the loss is L(y_last, t). Backpropagation is the chain rule from
the end to the beginning:

    δ = ∂L/∂y_last;    for each layer from the last:    ∂L/∂θᵢ from δ,    then δ ← ∂L/∂yᵢ

The network makes the calls one after the other; a planned training step records and repeats them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.layers import Layer
from manualnn.layers.base import LayerArrays
from manualnn.losses import Loss
from manualnn.network.workspace import Buffers, Workspace
from manualnn.parameters import Parameters
from manualnn.tracing import Call
from manualnn.validation import as_weights

ArraysByLayer = Sequence[LayerArrays]
"""The parameters of each layer, and in training its random arrays."""


def forward_calls(
    layers: Sequence[Layer], arrays: ArraysByLayer, x: Array, buffers: Buffers
) -> list[Call]:
    """Return the kernel calls that write the output of every layer into the buffers."""
    calls, y = [], x
    for layer, params, out in zip(layers, arrays, buffers.y, strict=True):
        calls.append(Call(layer.forward, (params, y), {"out": out}))
        y = out
    return calls


def outputs_of(layers: Sequence[Layer], arrays: ArraysByLayer, y: Array) -> Array:
    """Return the output of the last layer for the inputs y."""
    for layer, params in zip(layers, arrays, strict=True):
        y = layer.forward(params, y)
    return y


def loss_and_gradients(
    layers: Sequence[Layer],
    arrays: ArraysByLayer,
    loss: Loss,
    batch: tuple[Array, Any, Any],
    *,
    workspace: Workspace,
    grads: Parameters,
    input_grad: bool,
) -> tuple[Any, Array]:
    """Return the loss of a batch (x, t, weights of the samples), and ∂L/∂x with input_grad.

    Writes ∂L/∂θ into grads.
    """
    x, t, weights = batch
    buffers = workspace.buffers(len(x))
    with np.errstate(all="ignore"):
        for call in forward_calls(layers, arrays, x, buffers):
            call()
        y = buffers.y[-1] if layers else x
        loss.require_outputs(y)
        w = None if weights is None else as_weights(weights, len(x), x.dtype)
        value = compute_loss(loss, y, loss.targets(t, y), buffers.dy[-1], w)
        for call in backward_calls(layers, arrays, x, buffers, grads, input_grad=input_grad):
            call()
    return value, buffers.dy[0]


def compute_loss(loss: Loss, y: Array, t: Array, out: Array, w: Array | None = None) -> Any:
    """Return L(y, t), and write ∂L/∂y to out, also if the loss ignores its argument `out`.

    w are the weights of the samples, if they have any.
    """
    value, dy = loss.with_gradient(y, t, w, out=out)
    if dy is not out:
        out[...] = dy
    return value


def backward_calls(
    layers: Sequence[Layer],
    arrays: ArraysByLayer,
    x: Array,
    buffers: Buffers,
    grads: Parameters,
    *,
    input_grad: bool = False,
) -> list[Call]:
    """Return the kernel calls that write ∂L/∂θ into grads, given ∂L/∂y in the last buffer.

    With input_grad they also write ∂L/∂x into the first buffer. Without it, no derivative is
    computed below the first layer that has parameters.
    """
    first = next((i for i, own in enumerate(grads.layers) if own), len(layers))
    calls = []
    dy = buffers.dy[-1]
    for i in reversed(range(0 if input_grad else first, len(layers))):
        layer, y_in, y_out = layers[i], buffers.y[i - 1] if i else x, buffers.y[i]
        if i < len(grads.layers) and grads.layers[i]:
            calls.append(Call(layer.backward_params, (arrays[i], y_in, y_out, dy, grads.layers[i])))
        if input_grad or i > first:
            calls.append(Call(layer.backward, (arrays[i], y_in, y_out, dy), {"out": buffers.dy[i]}))
            dy = buffers.dy[i]
    return calls
