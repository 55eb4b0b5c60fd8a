"""Gradients in float64, with buffers and real BLAS, are differences of the loss itself."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from examples_of_layers import example

from manualnn import (
    LAYERS,
    Dropout,
    Identity,
    L1Loss,
    Layer,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MSELoss,
    Parameters,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
)

Array = np.ndarray[Any, Any]

EVERY_LAYER: list[Layer] = [example(name, 4) for name in LAYERS]
# With a small ε, a group of two nearly equal numbers has third derivatives of 10⁷.
EVERY_LAYER = [replace(a, eps=0.5) if hasattr(a, "eps") else a for a in EVERY_LAYER]  # type: ignore[type-var]
EVERY_LAYER += [
    LeakyReLU(0.3),
    Softplus(beta=3.0, threshold=1.5),
    Dropout(0.3),
    Linear(4, 4, bias=False),
]


def differences(function: Callable[[], Any], array: Array, h: float = 1e-5) -> Array:
    """Return (f(v + h) − f(v − h)) / 2h for every entry v of the array."""
    result = np.empty_like(array)
    for place in np.ndindex(array.shape):
        middle, around = array[place], []
        for moved in (middle + h, middle - h):
            array[place] = moved
            around.append(function())
        array[place] = middle
        result[place] = (around[0] - around[1]) / (2 * h)
    return result


@pytest.mark.parametrize("layer", EVERY_LAYER, ids=repr)
@pytest.mark.parametrize("n", [1, 3, 4, 7])
def test_gradients_are_differences_of_the_loss(layer: Layer, n: int) -> None:
    """In float64 and with buffers, whatever the batch, also one as large as the layer is wide.

    The error of a difference is about h² = 10⁻¹⁰ from the formula and eps/h = 10⁻¹¹ from rounding.
    """
    rng = np.random.default_rng(n)
    net = Sequential(Linear(4, 4), layer, Tanh(), Linear(layer.width(4), 2), Sigmoid())
    params, x, t = net.init(seed=3), rng.standard_normal((n, 4)), rng.standard_normal((n, 2))
    params.vector *= 3
    noise = net.sample(1, x)
    if layer.refuses(n, is_training=True):
        noise = None  # a batch of one sample has no variance
    loss = MSELoss()

    def value() -> Any:
        return loss.value(net.forward(params, x, noise=noise), t)

    _, grads, dx = net.value_and_grad(params, loss, x, t, noise=noise, input_grad=True)
    assert np.allclose(grads.vector, differences(value, params.vector), rtol=1e-7, atol=1e-9)
    assert np.allclose(dx, differences(value, x), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("layer", "slopes"),
    [(ReLU(), [0, 0, 1]), (LeakyReLU(0.25), [0.25, 0.25, 1]), (Identity(), [1, 1, 1])],
    ids=repr,
)
def test_slopes_below_at_and_above_the_kink(layer: Layer, slopes: list[float]) -> None:
    z = np.array([[-2.0, 0.0, 3.0]])
    a = layer.forward({}, z)
    assert layer.backward({}, z, a, np.ones((1, 3))).tolist() == [slopes]


@pytest.mark.parametrize("layer", EVERY_LAYER, ids=repr)
def test_no_finite_input_overflows(layer: Layer) -> None:
    rows = [[-1e4, 1e4, 800.0, -800.0], [0.0, -745.0, 710.0, 1e300], [1.0, 2.0, 3.0, 4.0]]
    net = Sequential(layer)
    params, x = net.init(seed=0), np.array(rows)
    t = np.zeros((3, layer.width(4)))
    _, grads, dx = net.value_and_grad(params, L1Loss(), x, t, input_grad=True)
    for array in (net.forward(params, x), grads.vector, dx):
        assert np.isfinite(array).all()


def test_a_row_far_above_the_others_leaves_them_their_probabilities() -> None:
    z = np.array([[0.0, np.log(3)], [1000.0, 1000.0]])
    for layer, expected in ((Softmax(), [0.25, 0.75]), (LogSoftmax(), np.log([0.25, 0.75]))):
        assert np.allclose(layer.forward({}, z)[0], expected, rtol=1e-14)


def test_saturated_slopes_keep_their_digits() -> None:
    """σ(−40) = e⁻⁴⁰ / (1 + e⁻⁴⁰), and softplus(−40) = log(1 + e⁻⁴⁰), both about e⁻⁴⁰."""
    z = np.full((1, 1), -40.0)
    for layer in (Sigmoid(), Softplus()):
        assert layer.forward({}, z)[0, 0] == pytest.approx(math.exp(-40), rel=1e-14, abs=0)


@pytest.mark.parametrize("n", [1, 127, 128, 129, 255, 256, 300, 128 * 128 + 5])
def test_sums_over_a_long_batch_leave_nothing_out(n: int) -> None:
    """Small integers add up exactly, whatever the order."""
    t = np.arange(2.0 * n).reshape(n, 2) % 7 - 3
    net = Sequential(Linear(1, 2))
    value, grads = net.value_and_grad(Parameters(net.shapes), MSELoss("sum"), np.ones((n, 1)), t)
    assert value == sum(int(entry) ** 2 for entry in t.flat)
    assert grads["0.bias"].tolist() == [-2 * sum(map(int, column)) for column in t.T]


def test_sums_over_a_long_batch_lose_little_in_float32() -> None:
    """Where all terms have one sign: 128 roundings a level of blocks, two levels, not N of them."""
    n, u = 128 * 120, np.finfo(np.float32).eps / 2
    net, t = Sequential(Linear(1, 3)), np.full((128 * 120, 3), -0.7, np.float32)
    params, x = Parameters(net.shapes, dtype=np.float32), np.ones((n, 1), np.float32)
    value, grads = net.value_and_grad(params, MSELoss("sum"), x, t)
    term = float(np.float32(0.7))
    assert abs(value / (3 * n * term**2) - 1) < 2 * 128 * u
    np.testing.assert_allclose(grads["0.bias"], 2 * n * term, rtol=2 * 128 * u)
