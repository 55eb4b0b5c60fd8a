"""Layers that normalise rows: numbers by hand, nearly constant rows, huge and tiny numbers."""

from typing import Any

import numpy as np
import pytest
from examples_of_layers import example

from manualnn import GroupNorm, L1Loss, LayerNorm, RMSNorm, Sequential, SpecError

FLOATS = [np.float32, np.float64, np.longdouble]
NAMES = ("LayerNorm", "RMSNorm", "GroupNorm")


def normalized(layer: Any, row: list[float], dtype: Any = np.float64) -> Any:
    net = Sequential(layer)
    return net.forward(net.init(0, dtype), np.array([row, row[::-1]], dtype))[0]


@pytest.mark.parametrize("dtype", FLOATS)
def test_numbers_by_hand(dtype: Any) -> None:
    """1 and 3 have the mean 2, the variance 1, and the mean square 5; 3 + 1 has the root 2."""
    assert normalized(LayerNorm(2, eps=0.0), [1, 3], dtype).tolist() == [-1, 1]
    assert normalized(LayerNorm(2, eps=3.0), [1, 3], dtype).tolist() == [-0.5, 0.5]
    assert normalized(RMSNorm(2, eps=11.0), [1, 3], dtype).tolist() == [0.25, 0.75]
    both = normalized(GroupNorm(2, 4, eps=0.0), [1, 3, 10, 14], dtype)
    assert both.tolist() == [-1, 1, -1, 1]


def test_weight_and_bias_act_on_columns() -> None:
    net = Sequential(LayerNorm(2, eps=0.0))
    params = net.load_state_dict({"0.weight": [2.0, 3.0], "0.bias": [10.0, 20.0]})
    assert net.forward(params, np.array([[1.0, 3.0]])).tolist() == [[8.0, 23.0]]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["LayerNorm", "GroupNorm"])
def test_a_nearly_constant_row_keeps_its_digits(name: str, dtype: Any) -> None:
    """(0, 1, 2) far from 0: E[x²] − E[x]² would lose all digits. A constant row gives exactly 0."""
    far, root = 2.0**20, np.sqrt(dtype(1.5))
    y = normalized(example(name, 3, eps=0.0), [far, far + 1, far + 2], dtype)
    np.testing.assert_allclose(y, [-root, 0, root], rtol=0, atol=4 * float(np.finfo(dtype).eps))
    assert normalized(example(name, 3), [0.1] * 3, dtype).tolist() == [0] * 3


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_default_eps_of_rmsnorm_is_that_of_the_dtype(dtype: Any) -> None:
    eps = np.finfo(dtype).eps
    y = normalized(RMSNorm(2), [np.sqrt(3 * eps)] * 2, dtype)
    np.testing.assert_allclose(y, np.sqrt(dtype(3)) / 2, rtol=8 * float(eps))


@pytest.mark.parametrize("dtype", FLOATS[:2])
@pytest.mark.parametrize("name", NAMES)
def test_a_row_whose_squares_overflow_becomes_0(name: str, dtype: Any) -> None:
    """As in torch; and so does its gradient."""
    net, large = Sequential(example(name, 2)), np.finfo(dtype).max / 4
    params, x = net.init(0, dtype), np.array([[large, -large]], dtype)
    _, _, dx = net.value_and_grad(params, L1Loss(), x, np.ones_like(x), input_grad=True)
    assert net.forward(params, x).tolist() == dx.tolist() == [[0, 0]]


@pytest.mark.parametrize("name", [*NAMES, "BatchNorm1d"])
def test_a_step_normalises_once(name: str) -> None:
    """With arrays that forward has filled, the backward pass neither reads x nor changes them."""
    layer, dy = example(name, 4), np.array([[1.0, 5, -2, 0], [0, 1, 1, 4], [3, 0, 2, -7]])
    x = np.array([[2.0, 3, 7, 1], [-4, 0, 9, 2], [1, 1, 5, -6]])
    kept = {key: np.full(shape, np.nan) for key, shape in layer.scratch_shapes(x.shape).items()}
    arrays = {**layer.draw_parameters(np.random.default_rng(0)), **layer.buffers()}
    y = layer.forward(arrays | kept, x)
    before = {key: array.copy() for key, array in kept.items()}
    grads = [{key: np.empty(s) for key, s in layer.shapes().items()} for _ in "12"]
    for own in grads:
        layer.backward_params(arrays | kept, np.full_like(x, np.nan), y, dy, own)
        dx = layer.backward(arrays | kept, np.full_like(x, np.nan), y, dy)
    assert all(np.array_equal(before[key], kept[key]) for key in kept)
    assert grads[0]["weight"].tolist() == grads[1]["weight"].tolist()
    for array in (dx, *grads[0].values()):
        assert np.isfinite(array).all()


@pytest.mark.parametrize("layer", [LayerNorm(2, elementwise_affine=False), GroupNorm(1, 2)])
def test_outputs_share_no_memory_with_the_arrays_of_a_step(layer: Any) -> None:
    arrays = layer.draw_parameters(np.random.default_rng(0))
    kept = {key: np.empty(shape) for key, shape in layer.scratch_shapes((1, 2)).items()}
    y = layer.forward(arrays | kept, np.array([[1.0, 3.0]]))
    assert not any(np.shares_memory(y, array) for array in kept.values())


@pytest.mark.parametrize("name", NAMES)
def test_weights_start_at_1_and_biases_at_0(name: str) -> None:
    for key, array in Sequential(example(name, 3)).init(0).items():
        assert array.tolist() == [float(key == "0.weight")] * 3


def test_a_shape_may_be_a_list_as_in_torch() -> None:
    assert LayerNorm([3]) == LayerNorm(3)
    assert RMSNorm((3,)) == RMSNorm(3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LayerNorm(0), "normalized_shape must be an integer of at least 1, got 0"),
        (lambda: LayerNorm(3, eps=-1.0), "eps must be a number of at least 0"),
        (lambda: GroupNorm(2, 3), "num_channels must be a multiple of num_groups=2, got 3"),
        (lambda: Sequential(LayerNorm(3), RMSNorm(2)), "RMSNorm.* expects 2 inputs, got 3"),
    ],
)
def test_options_that_do_not_fit_are_refused(build: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        build()
