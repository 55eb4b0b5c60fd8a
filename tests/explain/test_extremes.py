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


def saturated(target: float) -> dict[str, object]:
    return {
        "layers": [{"type": "Linear", "in_features": 1, "out_features": 1}, {"type": "Sigmoid"}],
        "loss": {"type": "BCELoss"},
        "parameters": {"0.weight": [[40]], "0.bias": [0]},
        "x": [[1]],
        "t": [[target]],
    }


def test_a_saturated_probability_is_noted() -> None:
    """1 − σ(40) is e^−40: 50 digits give −log of it, 40; float64 rounds σ(40) to 1."""
    e = explain(saturated(0))
    assert e.loss.total.value == pytest.approx(40, abs=1e-15)
    assert e.errors[0].value == 100
    (note,) = e.notes
    assert "float64 rounds y[0] to 1, where BCELoss bounds log at −100" in note
    assert note.endswith("the engine computes L = 100, 50 digits give 40.")
    assert "L = " not in explain(saturated(1)).notes[0]  # there both give almost 0
    assert not explain().notes


def test_the_line_of_a_bounded_slope_computes() -> None:
    """(1 − 0) / 10⁻¹² is the formula's value, in the list, on the path and in the sum."""
    e = explain(saturated(0))
    slope = pytest.approx(1e12, rel=1e-7)  # torch's bound is a float32
    assert e.loss.slopes[0].value == slope
    assert "∂L/∂y[0] = (y[0] - t[0]) / 1e-12 = (1 - 0) / 1e-12 = 1e+12\n" in e.to_text()
    weight = e.gradients[0]
    assert weight.paths[0].factors[0].value == slope
    assert weight.path_sum.value == pytest.approx(1e12 * np.exp(-40), rel=1e-7)
    assert all(g.agrees for g in e.gradients)
