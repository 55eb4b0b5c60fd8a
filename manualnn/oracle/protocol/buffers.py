"""Buffers: arrays that a layer changes in training without a gradient, as its running averages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Buffer:
    """A buffer of a layer, under torch's name."""

    name: str
    shape: Callable[[Any, int], tuple[int, ...]]
    """From the options and the number of inputs."""
    draw: Callable[[Any, tuple[int, ...]], Array]
    """From NumPy's generator and the shape: a typical array in float64."""
    is_nonnegative: bool = False
    is_count: bool = False


RUNNING = (
    Buffer("running_mean", lambda _, k: (k,), lambda rng, shape: rng.standard_normal(shape)),
    Buffer(
        "running_var",
        lambda _, k: (k,),
        lambda rng, shape: rng.uniform(0.2, 3, shape),
        is_nonnegative=True,
    ),
    Buffer(
        "num_batches_tracked",
        lambda _, __: (),
        lambda rng, shape: np.asarray(rng.integers(0, 9, shape), float),
        is_nonnegative=True,
        is_count=True,
    ),
)
"""The buffers of a layer that normalises batches."""
