"""Initial values, with torch's names and formulas.

Each function draws an array of float64 from a generator. fan_in and fan_out are the two sizes of a
weight of shape (out, in). gain is the recommended factor of a nonlinearity, see `calculate_gain`.
Pass such a function to `Sequential.init`, with functools.partial for its options:

    net.init(seed=0, weight=partial(kaiming_normal, nonlinearity="relu"), bias=zeros)

Here and elsewhere "np.random.Generator" is quoted, so that `import manualnn` does not load
numpy.random, which would take a quarter of its time.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from manualnn.elementary import Array
from manualnn.errors import ShapeError, SpecError
from manualnn.initializers.scaled import (
    Initializer,
    calculate_gain,
    kaiming_normal,
    kaiming_uniform,
    lecun_normal,
    lecun_uniform,
    normal,
    uniform,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from manualnn.initializers.shaped import constant, eye, ones, orthogonal, sparse, trunc_normal
from manualnn.parameters import Parameters
from manualnn.validation import as_array, as_numbers, shown

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Initializer",
    "calculate_gain",
    "constant",
    "eye",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "sparse",
    "trunc_normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]


def initialize(
    params: Parameters,
    defaults: Sequence[Callable[["np.random.Generator"], Mapping[str, Array]]],
    rng: "np.random.Generator",
    initializers: Mapping[str, Initializer],
) -> None:
    """Draw the parameters: those named in initializers by these, all others by `defaults`.

    defaults has the method `draw_parameters` of each layer, which draws all of its parameters.

    Raises SpecError for a name that no layer has, and ShapeError for values of another shape.
    """
    for name, given in initializers.items():
        if not callable(given):
            message = f"the initializer of {name} must be callable, got {shown(given)}."
            raise SpecError(message)
    unknown = set(initializers) - {key.partition(".")[2] for key in params}
    if unknown:
        message = (
            f"no layer has a parameter {' or '.join(sorted(unknown))}; "
            f"there are {', '.join(params) or 'none'}."
        )
        raise SpecError(message)
    for draw, views in zip(defaults, params.layers, strict=False):
        drawn = draw(rng)
        for name, view in views.items():
            make = initializers.get(name)
            values = as_array(make(rng, view.shape) if make else drawn[name], name)
            if values.shape != view.shape:
                message = (
                    f"the initializer of {name} must return an array of shape {view.shape}, "
                    f"got {values.shape}."
                )
                raise ShapeError(message)
            view[...] = as_numbers(values, view.dtype, name)
