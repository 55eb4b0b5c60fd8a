"""The buffers of layers: arrays that training changes without a gradient, as running averages.

They are beside the parameters in `Parameters.buffers`, under torch's keys "1.running_mean", ….
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import ShapeError
from manualnn.layers import Layer
from manualnn.layers.base import LayerArrays
from manualnn.parameters import Parameters, in_dtype


def initial_buffers(layers: Sequence[Layer], dtype: "np.dtype[Any]") -> dict[str, Array]:
    """Return the initial buffers of a network by their keys."""
    return {
        f"{i}.{name}": in_dtype(array, dtype)
        for i, layer in enumerate(layers)
        for name, array in layer.buffers().items()
    }


def attach_buffers(layers: Sequence[Layer], params: Parameters, owner: object) -> None:
    """Give parameters without buffers the initial ones. Raises ShapeError if theirs do not fit."""
    known = initial_buffers(layers, params.dtype)
    given = params.buffers or known
    shapes, expected = ({key: a.shape for key, a in b.items()} for b in (given, known))
    if shapes != expected:
        message = f"{owner!r} expects buffers of shapes {expected}, got {shapes}."
        raise ShapeError(message)
    params.buffers = given


def with_buffers(
    layers: Sequence[Layer], arrays: Iterable[LayerArrays], params: Parameters, owner: object
) -> list[LayerArrays]:
    """Return the arrays of each layer with its buffers."""
    attach_buffers(layers, params, owner)
    found = [dict(own) for own in arrays]
    for key, array in params.buffers.items():
        place, _, name = key.partition(".")
        found[int(place)][name] = array
    return list(found)


def scratch_arrays(
    layers: Sequence[Layer], widths: Sequence[int], dtype: "np.dtype[Any]", n: int
) -> list[dict[str, Array]]:
    """Return for each layer the arrays that a step of training on n samples keeps."""
    return [
        {name: np.zeros(shape, dtype) for name, shape in layer.scratch_shapes((n, width)).items()}
        for layer, width in zip(layers, widths, strict=False)
    ]


def track(layers: Sequence[Layer], arrays: Sequence[LayerArrays], n: int) -> None:
    """Let each layer change its buffers by what the forward pass on n samples wrote."""
    for layer, own in zip(layers, arrays, strict=True):
        layer.track(own, n)


def require_samples(layers: Sequence[Layer], n: int, *, is_training: bool) -> None:
    """Raise ShapeError if a layer is undefined for a batch of n samples."""
    for i, layer in enumerate(layers):
        if layer.refuses(n, is_training=is_training):
            message = (
                f"layer {i}, {layer!r}, expects more than one sample in a batch of training, got "
                f"{n}; choose a batch size that leaves no last batch of one sample."
            )
            raise ShapeError(message)
