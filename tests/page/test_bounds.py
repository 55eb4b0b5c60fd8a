"""At the bounds between the pieces of a layer, and beyond: page, paths and backward agree."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from page.test_page_engine import ask, require_page_shows
from test_activations import NAMES as ELEMENTWISE
from test_activations import choices

from manualnn import SGD, Linear, MSELoss, Sequential
from manualnn.explain import explain
from manualnn.oracle.protocol.features import LAYER_ROWS

__all__ = ["ask"]  # the fixture

SCRIPT = "quantities.mjs"
NAMES = [name for name in ELEMENTWISE if name != "Softplus"]
"""Softplus jumps at its threshold, and rounding decides on which side of it an input is."""


@pytest.mark.parametrize("name", NAMES)
def test_a_bound_has_one_slope(ask: Callable[..., Any], name: str) -> None:
    for layer, options in choices(name):
        bounds = [0.0, *LAYER_ROWS[name].switches(options)]
        net = Sequential(Linear(1, 1), layer)
        params = net.init(seed=0)
        params.vector[:] = 1, 0
        x = np.array([*bounds, -20.0, 20.0])[:, None]
        loss = MSELoss("sum")
        explained = explain(net, params, x, x + 7, loss=loss, rule=SGD(0.1), epochs=3).to_dict()
        for gradient in explained["gradients"]:
            by_backward = gradient["backward"]["value"]
            assert gradient["path_sum"]["value"] == pytest.approx(by_backward, rel=1e-9), layer
        require_page_shows(ask, explained, None)
