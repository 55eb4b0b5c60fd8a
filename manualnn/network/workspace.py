"""The arrays that a training step writes, allocated once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from manualnn.elementary import Array
from manualnn.layers import Layer
from manualnn.network.buffers import scratch_arrays
from manualnn.network.noise import noise_arrays


class Buffers(NamedTuple):
    """Views for a batch of one size.

    y[i] is the output of layer i; dy[i] is ∂L/∂(input of layer i), dy[-1] is ∂L/∂(last output);
    noise[i] holds the arrays that `Layer.sample` fills for layer i, scratch[i] those that a step of
    training keeps.
    """

    y: list[Array]
    dy: list[Array]
    noise: list[dict[str, Array]]
    scratch: list[dict[str, Array]]


class Workspace:
    """Memory for batches of up to `capacity` samples.

    If no backward pass reads the output of a layer, the next layer overwrites it, unless that one
    reads its input: a Linear and the Sigmoid after it share one array. A gradient is needed only
    until the next one exists: two arrays of each width take turns.

    Parameters
    ----------
    layers : sequence of Layer
        The layers of the network.
    widths : sequence of int
        The width of the input and of each layer's output.
    dtype : data type
        The dtype of every array.
    capacity : int
        The largest batch.

    """

    def __init__(
        self, layers: Sequence[Layer], widths: Sequence[int], dtype: np.dtype[Any], capacity: int
    ) -> None:
        self.capacity = capacity
        self.widths = widths
        self._y: list[Array] = []
        for i, layer in enumerate(layers):
            shares = i > 0 and not (layer.reads_input or layers[i - 1].reads_output)
            self._y.append(self._y[-1] if shares else np.empty(capacity * widths[i + 1], dtype))
        turns: dict[tuple[int, int], Array] = {}
        self._dy = [
            turns.setdefault((width, i % 2), np.empty(capacity * width, dtype))
            for i, width in enumerate(widths)
        ]
        self._noise = noise_arrays(layers, widths, dtype, capacity)
        self._layers, self._dtype = layers, dtype

    def buffers(self, n: int) -> Buffers:
        """Return the views for a batch of n ≤ capacity samples."""
        # One view of each array, because NumPy overwrites an array in place faster than through
        # another view of the same memory.
        views = {
            id(a): a[: n * w].reshape(n, w)
            for a, w in zip(self._y + self._dy, [*self.widths[1:], *self.widths], strict=True)
        }
        return Buffers(
            [views[id(a)] for a in self._y],
            [views[id(a)] for a in self._dy],
            [{name: a[:n] for name, a in arrays.items()} for arrays in self._noise],
            scratch_arrays(self._layers, self.widths, self._dtype, n),
        )
