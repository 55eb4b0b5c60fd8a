"""The arrays that a training step writes, allocated once."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from manualnn.elementary import Array

if TYPE_CHECKING:
    from manualnn.network import Sequential

MAX_SIZES = 16
"""Batch sizes whose views are kept; most runs have two, the batch and the smaller last one."""


class Buffers(NamedTuple):
    """Views for a batch of one size.

    y[i] is the output of layer i; dy[i] is ∂L/∂(input of layer i), dy[-1] is ∂L/∂(last output);
    drawn[i] holds what `Layer.sample` draws for layer i.
    """

    y: list[Array]
    dy: list[Array]
    drawn: list[dict[str, Array]]


class Workspace:
    """Room for batches of up to `capacity` samples.

    An output that no backward pass reads is written over by the next layer's, where that one does
    without its input: a Linear and the Sigmoid after it share one array. A gradient is needed only
    until the next one is there: two arrays of each width take turns.
    """

    def __init__(
        self, net: "Sequential", dtype: np.dtype[Any], capacity: int, in_features: int
    ) -> None:
        self.capacity = capacity
        self.in_features = in_features
        self._widths = net.widths(in_features)
        self._y: list[Array] = []
        for i, layer in enumerate(net.layers):
            shares = i > 0 and not (layer.reads_input or net.layers[i - 1].reads_output)
            self._y.append(
                self._y[-1] if shares else np.empty(capacity * self._widths[i + 1], dtype)
            )
        turns: dict[tuple[int, int], Array] = {}
        self._dy = [
            turns.setdefault((width, i % 2), np.empty(capacity * width, dtype))
            for i, width in enumerate(self._widths)
        ]
        self._drawn = [
            {
                name: np.empty(shape, dtype)
                for name, shape in layer.sample_shapes((capacity, width)).items()
            }
            for layer, width in zip(net.layers, self._widths, strict=False)
        ]
        self._views: dict[int, Buffers] = {}

    def first(self, n: int) -> Buffers:
        """Return the views for a batch of n ≤ capacity samples."""
        if n not in self._views:
            if len(self._views) >= MAX_SIZES:
                self._views.clear()
            # One view of each array: to write an array over itself is quicker than over another.
            views = {
                id(a): a[: n * w].reshape(n, w)
                for a, w in zip(self._y + self._dy, self._widths[1:] + self._widths, strict=True)
            }
            self._views[n] = Buffers(
                [views[id(a)] for a in self._y],
                [views[id(a)] for a in self._dy],
                [{name: a[:n] for name, a in drawn.items()} for drawn in self._drawn],
            )
        return self._views[n]
