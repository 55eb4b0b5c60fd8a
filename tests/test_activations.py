"""Activations are the formulas of the oracle's table: at kinks, near them, and far out.

The bounds and the derivatives are the oracle's, which shares no code with the engine.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

from manualnn import LAYERS, Layer
from manualnn.oracle.protocol.features import LAYER_ROWS, Options, options_of
from manualnn.oracle.truth.bounded import Precision
from manualnn.oracle.truth.compare import refutes
from manualnn.oracle.truth.layers import layer_truth

NAMES = [name for name, row in LAYER_ROWS.items() if row.is_elementwise]
SIZES = [0, 0.1, 0.5, 1, 2, 3, 5, 6, 10, 30, 90, 150, 800, 1e4, 1e30]


def choices(name: str) -> Iterator[tuple[Layer, Options]]:
    """Yield the layer with every value of its options, and the oracle's options."""
    options = LAYER_ROWS[name].options
    for values in product(*(option.values for option in options.values())):
        given = dict(zip(options, values, strict=True))
        yield LAYERS[name](**given), options_of({"type": name, **given})


def points(options: Options, dtype: Any) -> Any:
    """Return a row of numbers: around each kink, of every size, and drawn ones."""
    kinks = [0.0, *LAYER_ROWS[options.type].switches(options)]
    near = np.array(kinks)[:, None] + np.arange(-2, 3) * np.finfo(dtype).eps
    drawn = np.random.default_rng(0).normal(scale=3, size=50)
    z = np.concatenate([near.ravel(), SIZES, drawn])
    return np.concatenate([z, -z]).astype(dtype)[None, :]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_value_and_slope_are_those_of_the_formula(name: str, dtype: Any) -> None:
    precision = Precision(dtype)
    forward, backward = layer_truth(name)
    for layer, options in choices(name):
        z = points(options, dtype)
        a = layer.forward({}, z)
        da = np.ones_like(z)
        dz = layer.backward({}, z, a, da)
        with np.errstate(all="ignore"):
            x = precision.exact(z)
            y = forward(options, {}, x)
            dx, _ = backward(options, {}, x, y, precision.exact(da))
        for got, near in ((a, y), (dz, dx)):
            wrong = refutes(near, got)
            assert not wrong.any(), (layer, z[wrong][:3], got[wrong][:3], near.v[wrong][:3])
