"""Networks: construction, outputs, and the messages for arguments that do not fit."""

import copy
import math
import pickle
import re
from typing import Any

import numpy as np
import pytest

from manualnn import (
    DomainError,
    Dropout,
    DTypeError,
    Identity,
    Linear,
    LogSoftmax,
    MSELoss,
    Parameters,
    ReLU,
    Sequential,
    ShapeError,
    Sigmoid,
    Softmax,
    SpecError,
    Tanh,
)

Array = np.ndarray[Any, Any]

NET = Sequential(Linear(3, 2), Sigmoid(), Linear(2, 4))
PARAMS = NET.init(seed=0)
X = np.random.default_rng(1).standard_normal((5, 3))
T = np.random.default_rng(2).standard_normal((5, 4))


# ---------------------------------------------------------------------- building


def test_widths_are_read_off_the_layers() -> None:
    assert (NET.in_features, NET.out_features) == (3, 4)
    assert NET.shapes == {"0.weight": (2, 3), "0.bias": (2,), "2.weight": (4, 2), "2.bias": (4,)}
    assert Sequential(Tanh(), Linear(3, 2, bias=False)).shapes == {"1.weight": (2, 3)}
    free = Sequential(Tanh(), Dropout())
    assert (free.in_features, free.out_features, free.shapes) == (None, None, {})


def test_a_width_that_does_not_fit_names_both_layers() -> None:
    message = "layer 3: Linear(in_features=4, out_features=1, bias=True) expects 4 inputs, got 2 "
    message += "from layer 0, Linear(in_features=3, out_features=2, bias=True)."
    with pytest.raises(SpecError, match=re.escape(message)):
        Sequential(Linear(3, 2), Sigmoid(), Dropout(), Linear(4, 1))


@pytest.mark.parametrize("wrong", [[Linear(3, 2)], Linear, "Linear", None])
def test_what_is_no_layer_is_refused(wrong: Any) -> None:
    with pytest.raises(SpecError, match=r"layer 1 must be a Layer, got .*, without a list"):
        Sequential(Linear(3, 2), wrong)


@pytest.mark.parametrize("sizes", [(0, 2), (3, -1), (3, 2.0), (True, 2)])
def test_impossible_sizes_are_refused(sizes: tuple[Any, Any]) -> None:
    with pytest.raises(SpecError, match=r"must be (an integer of at least 1|of type int), got"):
        Linear(*sizes)


def test_equal_networks_are_equal_and_hash_alike() -> None:
    same = Sequential(Linear(3, 2), Sigmoid(), Linear(2, 4))
    assert same == NET
    assert hash(same) == hash(NET)
    assert Sequential(Linear(3, 2), Tanh(), Linear(2, 4)) != NET
    assert (NET.layers == NET) is False


def test_repr_rebuilds_the_network() -> None:
    names = {"Sequential": Sequential, "Linear": Linear, "Sigmoid": Sigmoid}
    assert eval(repr(NET), names) == NET  # noqa: S307 - that it evaluates is the point


def test_networks_can_be_copied_and_pickled() -> None:
    for again in (copy.copy(NET), copy.deepcopy(NET), pickle.loads(pickle.dumps(NET))):  # noqa: S301 - its own bytes
        assert again == NET
        assert np.array_equal(again.forward(PARAMS, X), NET.forward(PARAMS, X))


def test_layers_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="cannot assign"):
        NET.layers[0].bias = False  # type: ignore[attr-defined]


# ---------------------------------------------------------------------- inputs


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((3,), r"got \(3,\); pass x\[None, :\] for a single sample"),
        ((4,), r"expects x of shape \(N, 3\), got \(4,\)\."),
        ((5, 4), r"expects x of shape \(N, 3\), got \(5, 4\)\."),
        ((3, 5), r"expects x of shape \(N, 3\), got \(3, 5\)\."),
        ((), r"expects x of shape \(N, 3\), got \(\)"),
        ((2, 3, 1), r"got \(2, 3, 1\); pass x.reshape\(len\(x\), -1\)"),
    ],
)
def test_an_input_of_another_shape_is_refused_with_advice(
    shape: tuple[int, ...], advice: str
) -> None:
    x = np.zeros(shape)
    for use in (
        lambda: NET.forward(PARAMS, x),
        lambda: NET.value_and_grad(PARAMS, MSELoss(), x, T),
        lambda: NET.sample(0, x),
    ):
        with pytest.raises(ShapeError, match=advice):
            use()


def test_a_vector_for_one_feature_is_advised_of_its_column() -> None:
    with pytest.raises(ShapeError, match=r"pass x\[:, None\] for one feature"):
        Sequential(Linear(1, 2)).forward(Sequential(Linear(1, 2)).init(0), np.zeros(7))


def test_a_network_of_any_width_still_needs_a_batch() -> None:
    net = Sequential(Tanh())
    assert net.forward(net.init(0), np.zeros((2, 9))).shape == (2, 9)
    with pytest.raises(ShapeError, match=r"\(N, features\), got \(9,\); pass x\[None, :\]"):
        net.forward(net.init(0), np.zeros(9))


def test_rows_of_different_lengths_are_refused() -> None:
    with pytest.raises(ShapeError, match="x must have rows of the same length"):
        NET.forward(PARAMS, [[1, 2, 3], [4, 5]])


@pytest.mark.parametrize(
    ("params_dtype", "x_dtype"),
    [("float32", "float64"), ("float64", "float32"), ("float64", "longdouble")],
)
def test_another_float_type_is_refused_and_both_ways_out_are_named(
    params_dtype: str, x_dtype: str
) -> None:
    x, names = X.astype(x_dtype), (np.dtype(x_dtype), np.dtype(params_dtype))
    message = r"x is {0}, .* {1}; pass x.astype\(np.{1}\), or make the parameters {0}"
    with pytest.raises(DTypeError, match=message.format(*names)):
        NET.forward(NET.init(0, params_dtype), x)


def test_half_precision_is_not_offered_for_the_parameters() -> None:
    with pytest.raises(DTypeError, match=r"pass x.astype\(np.float64\)\.$"):
        NET.forward(PARAMS, X.astype(np.float16))


@pytest.mark.parametrize("wrong", [X + 0j, X.astype(str), X.astype(object), None])
def test_what_is_not_numbers_is_refused(wrong: Any) -> None:
    with pytest.raises(DTypeError, match="x must be an array of float64, got one of dtype"):
        NET.forward(PARAMS, wrong)


@pytest.mark.parametrize("dtype", ["float32", "float64", "longdouble"])
def test_lists_integers_and_booleans_are_converted(dtype: str) -> None:
    params = NET.init(0, dtype)
    ones = NET.forward(params, np.ones((2, 3), dtype))
    for x in (
        [[1, 1, 1], [1, 1, 1]],
        [[1.0, 1.0, 1.0]] * 2,
        np.ones((2, 3), np.int8),
        np.ones((2, 3), np.uint64),
        np.ones((2, 3), bool),
    ):
        y = NET.forward(params, x)
        assert y.dtype == dtype
        assert np.array_equal(y, ones)


def test_the_other_byte_order_means_the_same_numbers() -> None:
    swapped = X.astype(X.dtype.newbyteorder())
    assert np.array_equal(NET.forward(PARAMS, swapped), NET.forward(PARAMS, X))


def test_parameters_of_another_network_are_refused() -> None:
    other = Sequential(Linear(3, 3), Linear(3, 4)).init(0)
    for wrong, got in {
        "Parameters": (other, r"got \{'0.weight': \(3, 3\)"),
        "dict": (PARAMS.state_dict(), "got dict; make them with init, or with load_state_dict"),
        "swapped": (X, "got ndarray"),
    }.values():
        with pytest.raises(ShapeError, match=got):
            NET.forward(wrong, X)  # type: ignore[arg-type]
        with pytest.raises(ShapeError, match=got):
            NET.value_and_grad(wrong, MSELoss(), X, T)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- forwards


def by_hand(params: Parameters, x: np.ndarray[Any, Any]) -> list[list[float]]:
    """Sums of products, one number at a time."""
    outputs = []
    for row in x.tolist():
        hidden = [
            1 / (1 + math.exp(-(sum(w * v for w, v in zip(ws, row, strict=True)) + b)))
            for ws, b in zip(params["0.weight"].tolist(), params["0.bias"].tolist(), strict=True)
        ]
        outputs.append(
            [
                sum(w * v for w, v in zip(ws, hidden, strict=True)) + b
                for ws, b in zip(
                    params["2.weight"].tolist(), params["2.bias"].tolist(), strict=True
                )
            ]
        )
    return outputs


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_outputs_are_sums_of_products(n: int) -> None:
    y = NET.forward(PARAMS, X[:n])
    assert y.shape == (n, 4)
    assert np.allclose(y, np.reshape(by_hand(PARAMS, X[:n]), (n, 4)), rtol=1e-14, atol=1e-15)


def test_one_output_of_one_layer_is_a_weighted_sum() -> None:
    net = Sequential(Linear(3, 1))
    params = net.load_state_dict({"0.weight": [[1, 10, 100]], "0.bias": [1000]})
    assert net.forward(params, [[1, 2, 3], [4, 5, 6]]).tolist() == [[1321], [1654]]


def test_without_layers_the_output_is_a_copy_of_the_input() -> None:
    net = Sequential()
    y = net.forward(net.init(0), X)
    assert np.array_equal(y, X)
    assert not np.shares_memory(y, X)


@pytest.mark.parametrize("layer", [Identity(), Dropout(), ReLU()])
def test_outputs_never_alias_inputs(layer: Any) -> None:
    net = Sequential(layer)
    assert not np.shares_memory(net.forward(net.init(0), np.ones((2, 2))), X)
    x = np.ones((2, 2))
    y = net.forward(net.init(0), x)
    y[...] = 7
    assert (x == 1).all()


def test_nothing_that_is_handed_in_is_changed() -> None:
    params, x, t = PARAMS.copy(), X.copy(), T.copy()
    for array in (params.vector, x, t):
        array.flags.writeable = False
    NET.forward(params, x)
    NET.value_and_grad(params, MSELoss(), x, t, input_grad=True)
    assert np.array_equal(params.vector, PARAMS.vector)
    assert np.array_equal(x, X)
    assert np.array_equal(t, T)


def test_results_share_no_memory_with_each_other() -> None:
    _, grads, dx = NET.value_and_grad(PARAMS, MSELoss(), X, T, input_grad=True)
    _, again, dx_again = NET.value_and_grad(PARAMS, MSELoss(), X, T, input_grad=True)
    for a, b in ((grads.vector, again.vector), (dx, dx_again), (dx, grads.vector), (dx, X)):
        assert not np.shares_memory(a, b)


def test_a_gradient_is_recomputed_not_accumulated() -> None:
    first, grads = NET.value_and_grad(PARAMS, MSELoss(), X, T)
    second, again = NET.value_and_grad(PARAMS, MSELoss(), X, T)
    assert first == second
    assert grads == again


def test_gradients_have_the_names_and_the_dtype_of_the_parameters() -> None:
    for dtype in ("float32", "float64", "longdouble"):
        params = NET.init(0, dtype)
        value, grads, dx = NET.value_and_grad(
            params, MSELoss(), X.astype(dtype), T.astype(dtype), input_grad=True
        )
        assert grads.shapes == params.shapes
        assert grads.dtype == dx.dtype == np.asarray(value).dtype == dtype
        assert dx.shape == X.shape


def test_the_loss_of_the_gradient_is_the_loss_of_the_output() -> None:
    value, _ = NET.value_and_grad(PARAMS, MSELoss(), X, T)
    mean = np.mean((np.array(by_hand(PARAMS, X)) - T) ** 2)
    assert value == pytest.approx(mean, rel=1e-14)


# ---------------------------------------------------------------------- randomness


DROPPING = Sequential(Linear(3, 400), Dropout(0.25), Linear(400, 2), Dropout(0.5))


def test_prediction_drops_nothing() -> None:
    plain = Sequential(Linear(3, 400), Identity(), Linear(400, 2), Identity())
    params = DROPPING.init(0)
    assert np.array_equal(DROPPING.forward(params, X), plain.forward(params, X))


def test_masks_are_zero_or_scaled_in_the_stated_share() -> None:
    noise = DROPPING.sample(seed=0, x=np.zeros((50, 3)))
    assert {key: mask.shape for key, mask in noise.items()} == {
        "1.mask": (50, 400),
        "3.mask": (50, 2),
    }
    mask = noise["1.mask"]
    assert set(np.unique(mask)) == {0.0, 1 / 0.75}
    assert np.mean(mask == 0) == pytest.approx(0.25, abs=0.02)
    assert len(np.unique(mask, axis=0)) == 50  # every sample has its own


def test_masks_come_from_the_seed() -> None:
    first, same, other = (DROPPING.sample(seed, X)["1.mask"] for seed in (0, 0, 1))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_masks_have_the_dtype_that_is_asked_for() -> None:
    assert DROPPING.sample(0, X.astype(np.float32))["1.mask"].dtype == np.float32
    assert DROPPING.sample(0, X, np.float32)["1.mask"].dtype == np.float32


@pytest.mark.parametrize(("p", "kept"), [(0.0, 1.0), (1.0, 0.0)])
def test_dropping_none_and_dropping_all(p: float, kept: float) -> None:
    net = Sequential(Dropout(p))
    noise = net.sample(0, X)
    assert np.array_equal(net.forward(net.init(0), X, noise=noise), kept * X)


def test_noise_multiplies_what_it_masks() -> None:
    net = Sequential(Linear(3, 4), Dropout(0.5))
    params, noise = net.init(0), net.sample(3, X)
    expected = Sequential(Linear(3, 4)).forward(params, X) * noise["1.mask"]
    assert np.array_equal(net.forward(params, X, noise=noise), expected)


def test_noise_for_another_batch_is_refused() -> None:
    noise = DROPPING.sample(0, X[:4])
    with pytest.raises(ShapeError, match=r"noise must have .*1\.mask.*draw it with sample"):
        DROPPING.forward(DROPPING.init(0), X, noise=noise)
    with pytest.raises(ShapeError, match=r"noise must have \{\}"):
        NET.forward(PARAMS, X, noise=noise)


@pytest.mark.parametrize("layer", [Softmax(), LogSoftmax()])
def test_a_row_of_probabilities_adds_up_to_one(layer: Any) -> None:
    net = Sequential(layer)
    y = net.forward(net.init(0), 300 * X)
    probabilities = np.exp(y) if isinstance(layer, LogSoftmax) else y
    assert np.allclose(probabilities.sum(axis=1), 1, rtol=1e-14)


def test_noise_of_another_dtype_is_refused() -> None:
    net = Sequential(Linear(2, 2), Dropout())
    x = np.ones((1, 2), np.float32)
    noise = net.sample(0, x.tolist())
    with pytest.raises(DTypeError, match="float64"):
        net.forward(net.init(0, np.float32), x, noise=noise)


def test_a_number_too_large_for_the_dtype_is_refused() -> None:
    net = Sequential(Linear(2, 2))
    with pytest.raises(DomainError, match="x has numbers too large for float32, up to 1e"):
        net.forward(net.init(0, np.float32), [[1e300, 1.0]])
