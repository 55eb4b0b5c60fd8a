"""The random arrays of one training step: the dropout masks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import ShapeError, SpecError
from manualnn.layers import Layer
from manualnn.layers.base import LayerArrays
from manualnn.network.buffers import scratch_arrays
from manualnn.validation import as_array, as_floats, shown

Noise = Mapping[str, Array]
"""{"1.mask": array, …}: the number of the layer, and the name that the layer gives the array."""


def noise_arrays(
    layers: Sequence[Layer], widths: Sequence[int], dtype: np.dtype[Any], n: int
) -> list[dict[str, Array]]:
    """Return for each layer the empty arrays that `Layer.sample` fills for n samples."""
    return [
        {name: np.empty(shape, dtype) for name, shape in shapes.items()}
        for shapes in _shapes(layers, widths, n)
    ]


def draw_noise(
    layers: Sequence[Layer], rng: "np.random.Generator", noise: Sequence[dict[str, Array]]
) -> None:
    """Let each layer draw the random numbers of one training step into its arrays."""
    for layer, arrays in zip(layers, noise, strict=True):
        layer.sample(arrays, rng)


def sample_noise(
    layers: Sequence[Layer],
    widths: Sequence[int],
    dtype: np.dtype[Any],
    n: int,
    rng: "np.random.Generator",
) -> Noise:
    """Return the random arrays of a step on n samples."""
    noise = noise_arrays(layers, widths, dtype, n)
    draw_noise(layers, rng, noise)
    return {f"{i}.{name}": array for i, own in enumerate(noise) for name, array in own.items()}


def noise_by_layer(
    layers: Sequence[Layer], widths: Sequence[int], noise: Noise, x: Array
) -> list[LayerArrays]:
    """Return for each layer its part of the noise for the inputs x.

    Raises ShapeError if an array is missing, unknown or of another shape, DTypeError if it has
    another dtype than x, and SpecError if noise is no mapping.
    """
    if not isinstance(noise, Mapping):
        message = f"noise must be a mapping, got {shown(noise)}; draw it with sample(seed, x)."
        raise SpecError(message)
    expected = {
        f"{i}.{name}": shape
        for i, shapes in enumerate(_shapes(layers, widths, len(x)))
        for name, shape in shapes.items()
    }
    given = {key: as_array(array, f"noise[{key!r}]").shape for key, array in noise.items()}
    if given != expected:
        message = f"noise must have {expected}, got {given}; draw it with sample(seed, x)."
        raise ShapeError(message)
    arrays: list[dict[str, Array]] = [{} for _ in layers]
    for key, array in noise.items():
        layer, _, name = key.partition(".")
        arrays[int(layer)][name] = as_floats(array, x.dtype, f"noise[{key!r}]")
    return list(arrays)


def training_arrays(
    layers: Sequence[Layer],
    widths: Sequence[int],
    views: Sequence[LayerArrays],
    noise: Noise,
    x: Array,
) -> list[LayerArrays]:
    """Return for each layer its views, its part of the noise and new scratch arrays.

    Raises what `noise_by_layer` raises.
    """
    scratch = scratch_arrays(layers, widths, x.dtype, len(x))
    parts = zip(views, noise_by_layer(layers, widths, noise, x), scratch, strict=True)
    return [{**own, **drawn, **kept} for own, drawn, kept in parts]


def _shapes(
    layers: Sequence[Layer], widths: Sequence[int], n: int
) -> list[dict[str, tuple[int, ...]]]:
    pairs = zip(layers, widths[:-1], strict=True)
    return [layer.sample_shapes((n, width)) for layer, width in pairs]
