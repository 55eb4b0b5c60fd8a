"""Small networks that the tests of explanations share."""

from typing import Any

import numpy as np
from examples_of_layers import example
from values import of_kind

from manualnn import Linear, Parameters, Sequential, Sigmoid
from manualnn.oracle.protocol.features import LOSS_ROWS


def network_of(layer: str, loss: str) -> tuple[Sequential, Parameters, Any, Any]:
    """Return a small network with that layer, its parameters, and three samples."""
    rng = np.random.default_rng(7)
    middle = example(layer, 3)
    hidden = middle.inputs(3)
    last = [Sigmoid()] if loss == "BCELoss" else []
    net = Sequential(Linear(2, hidden), middle, Linear(3, 2), *last)
    has_classes = LOSS_ROWS[loss].targets == "classes"
    t = rng.integers(0, 2, 3) if has_classes else of_kind(loss, rng.random((3, 2)))
    return net, net.init(seed=1), rng.standard_normal((3, 2)), t


def seed_for(net: Sequential) -> int | None:
    """Return a seed of what is random in a network; None if it normalises the batch in training."""
    return None if any(layer.refuses(1, is_training=True) for layer in net.layers) else 3
