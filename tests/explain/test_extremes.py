"""Runs at the ends of the range of numbers: huge logits, saturated probabilities."""

import numpy as np
import pytest

from manualnn import LAYERS, LOSSES, Linear, Sequential
from manualnn.explain import explain

pytestmark = pytest.mark.once

ACTIVATIONS = ["Sigmoid", "Tanh", "ReLU", "Softplus", "Softmax", "LogSoftmax", "Identity"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("weight", [2e19, -2e19])
def test_huge_numbers_give_the_numbers_of_float64(activation: str, weight: float) -> None:
    """exp(2·10¹⁹) is beyond the range of decimals; the float kernels never compute it."""
    net = Sequential(Linear(1, 2), LAYERS[activation]())
    params = net.init(seed=0)
    params["0.weight"][:, 0], params["0.bias"][:] = (weight, 1), 0
    x, t = np.array([[1.0]]), np.array([[1.0, 0.0]])
    for name in ["MSELoss", "CrossEntropyLoss", "BCEWithLogitsLoss"]:
        loss = LOSSES[name]()
        value, grads = net.value_and_grad(params, loss, x, t)
        e = explain(net, params, x, t, loss=loss, epochs=1)
        y = [q.value for q in e.layers[-1].outputs]
        np.testing.assert_allclose(y, net.forward(params, x)[0], rtol=1e-14)
        np.testing.assert_allclose(e.loss.total.value, value, rtol=1e-14)
        sums = [g.path_sum.value for g in e.gradients]
        np.testing.assert_allclose(sums, grads.vector, rtol=1e-13, atol=1e-15)
