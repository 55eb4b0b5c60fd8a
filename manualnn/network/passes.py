"""Forward and backward pass through a chain of layers, as lists of kernel calls.

With y₀ = x and yᵢ₊₁ = fᵢ(yᵢ; θᵢ), the loss is L(y_last, t). Backpropagation is the chain rule from
the end to the beginning:

    δ = ∂L/∂y_last;    for each layer from the last:    ∂L/∂θᵢ from δ,    then δ ← ∂L/∂yᵢ

The network makes the calls one after the other; a planned training step records and repeats them.
"""

from collections.abc import Sequence
from typing import Any

from manualnn.elementary import Array
from manualnn.layers import Layer
from manualnn.layers.base import LayerArrays
from manualnn.losses import Loss
from manualnn.network.workspace import Buffers
from manualnn.parameters import Parameters
from manualnn.tracing import Call

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
