"""Extreme inputs: both sides give the same finite numbers, without a warning."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from cases import Array
from examples_of_layers import example
from twin.judge import Judge

from manualnn import (
    ASGD,
    LAYERS,
    OPTIMIZERS,
    SGD,
    Adagrad,
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Hardtanh,
    L1Loss,
    LogSoftmax,
    Loss,
    MSELoss,
    Parameters,
    Residual,
    RMSprop,
    Sequential,
    Sigmoid,
    SpecError,
    Trainer,
)
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import LAYER_ROWS
from manualnn.oracle.truth.step import truth
from manualnn.spec import to_spec
from reference import Twin

DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]
FAR = [
    0.0,
    -0.0,
    12,
    -20,
    40,
    -88.7,
    -88.73,
    89,
    -104,
    710,
    -745,
    800,
    -800,
    1e4,
    -1e4,
    1e30,
    -1e30,
]


def agree(net: Sequential, loss: Loss, x: Array, t: Array, *, overflows: bool = False) -> Judge:
    """Both sides are finite and agree; where something overflows inside, there is no bound."""
    judge = Judge()
    params = net.init(0, x.dtype)
    spec = {**net.spec(), "loss": to_spec(loss), "dtype": str(x.dtype)}
    own = params.state_dict()
    expected = truth(Case(tuple(spec["layers"]), spec["loss"], own, x, t, dtype=spec["dtype"]))
    theirs = Twin(spec, own).value_and_grad(x, t)
    value, _, dx = net.value_and_grad(params, loss, x, t, input_grad=True)
    outputs = net.forward(params, x)
    for array in (value, dx, outputs):
        assert np.isfinite(array).all()
    judge.agree("outputs", expected.outputs, engine=outputs, torch=theirs.outputs)
    judge.agree("loss", expected.loss, engine=value, torch=theirs.loss)
    judge.agree("dx", expected.input_grad, engine=dx, torch=theirs.input_grad)
    compared = (expected.outputs, expected.loss, expected.input_grad)
    assert overflows or all(near.bounded.all() for near in compared)
    return judge


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "Linear"])
@pytest.mark.parametrize("columns", [1, len(FAR)])
def test_a_layer_far_out(name: str, columns: int, dtype: np.dtype[Any]) -> None:
    x = np.array(FAR, dtype).reshape(-1, columns)
    x = np.hstack([x, x[::-1, ::-1]][: LAYER_ROWS[name].multiple])
    net = Sequential(example(name, x.shape[1]))
    y = net.forward(net.init(0, dtype), x)
    squares = name.endswith("Norm") and dtype == np.float32  # of 1e30
    t = y - np.abs(y) - dtype.type(1)  # ∂L/∂y = 1
    agree(net, L1Loss(reduction="sum"), x, t, overflows=squares)


BEYOND = [
    *(("Threshold", {"threshold": a, "value": b}) for a, b in ((1e39, 0), (0.0, -1e39))),
    *(("Hardtanh", {"min_val": a, "max_val": b}) for a, b in ((-1e39, 1.0), (-1.0, 1e39))),
    *(("Softplus", {name: 1e39}) for name in ("beta", "threshold")),
    ("Softshrink", {"lambd": 1e39}),
    ("Hardshrink", {"lambd": 1e39}),
    ("CELU", {"alpha": 1e39}),
    ("ELU", {"alpha": -1e39}),
    ("LeakyReLU", {"negative_slope": 1e39}),
]
"""Options that float32 has not; it has 3e38, and infinity."""


@pytest.mark.parametrize(("name", "options"), BEYOND)
def test_an_option_beyond_the_dtype_is_refused_at_the_edge(
    name: str, options: dict[str, float]
) -> None:
    """torch refuses it in its forward pass."""
    layer, x = LAYERS[name](**options), np.ones((1, 2), np.float32)
    for net in (Sequential(layer), Sequential(Sigmoid(), Residual((layer,)))):
        params = Parameters({}, dtype=np.float32)
        for use in (
            lambda net=net: net.init(dtype="float32"),
            lambda net=net, params=params: net.forward(params, x),
            lambda net=net, params=params: Trainer(net, MSELoss(), SGD(), params=params),
        ):
            with pytest.raises(SpecError, match=r"within ±3.40282e\+38 in float32, got"):
                use()
        assert np.isfinite(net.forward(net.init(), x.astype(float))).all()
    with pytest.raises(RuntimeError, match=r"overflow|in range"):
        getattr(torch.nn, name)(**options)(torch.ones(1, 2))
    inside = {option: value * 0.3 for option, value in options.items()}
    assert Sequential(LAYERS[name](**inside)).init(dtype=np.float32).dtype == np.float32


def test_a_bound_of_infinity_is_in_float32_as_in_torch() -> None:
    net = Sequential(Hardtanh(min_val=0.0, max_val=math.inf))
    y = net.forward(net.init(dtype=np.float32), np.array([[-1, 3e38]], np.float32))
    theirs = torch.nn.Hardtanh(0.0, math.inf)(torch.tensor([[-1, 3e38]]))
    assert y.tolist() == theirs.tolist()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("label", [0.0, 1.0, 0.25])
@pytest.mark.parametrize("pos_weight", [None, (3.0,)])
def test_bce_with_logits_far_out(
    label: float, pos_weight: tuple[float] | None, dtype: np.dtype[Any]
) -> None:
    x = np.array(FAR, dtype)[:, None]
    loss = BCEWithLogitsLoss(pos_weight=pos_weight)
    agree(Sequential(), loss, x, np.full_like(x, label))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_far_out_where_the_certain_answer_is_wrong(
    smoothing: float, dtype: np.dtype[Any]
) -> None:
    x = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [1e30, 0, 0], [-800, -800, -800]], dtype)
    for t in (np.array([0, 0, 0, 0]), np.array([1, 2, 1, 2]), np.array([2, 0, -100, 1])):
        agree(Sequential(), CrossEntropyLoss(label_smoothing=smoothing), x, t)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("label", [0.0, 1.0, 0.25])
def test_bce_of_exactly_0_and_1(label: float, dtype: np.dtype[Any]) -> None:
    y = np.array([[0.0, 1.0, 0.5, np.finfo(dtype).tiny, 1 - np.finfo(dtype).epsneg]], dtype)
    agree(Sequential(), BCELoss(), y, np.full_like(y, label))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_saturated_sigmoid_before_bce_has_torchs_gradient(dtype: np.dtype[Any]) -> None:
    """σ(−800) against 1 has gradient 0: what saturated is lost, which the logits would keep."""
    x = np.array([[-800.0, 800.0]], dtype)
    net, t = Sequential(Sigmoid()), np.array([[1.0, 0.0]], dtype)
    _, _, dx = net.value_and_grad(net.init(dtype=dtype), BCELoss(), x, t, input_grad=True)
    spec = {**net.spec(), "loss": {"type": "BCELoss"}, "dtype": str(dtype)}
    theirs = Twin(spec, {}).value_and_grad(x, t).input_grad
    np.testing.assert_allclose(dx, theirs, atol=np.finfo(dtype).tiny * 1e13)  # σ ≤ tiny, dy ≤ 1e12
    np.testing.assert_allclose(dx, 0, atol=np.finfo(dtype).tiny * 1e13)


def test_centered_rmsprop_survives_where_torch_takes_the_root_of_a_negative_number() -> None:
    rule = RMSprop(alpha=0.0, centered=True)
    gradients = Parameters({"0.bias": (1000,)}, np.random.default_rng(0).normal(size=1000))
    params = gradients.zeros_like()
    state = rule.init(params)
    for _ in range(3):
        rule.update(params, gradients, state)
    assert np.isfinite(params.vector).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_whose_square_overflows_goes_on_without_a_warning(name: str) -> None:
    rule = OPTIMIZERS[name]()
    params = Parameters({"0.bias": (2,)}, np.ones(2, np.float32))
    gradients = Parameters(params.shapes, np.array([1e25, 1e-30], np.float32))
    rule.update(params, gradients, rule.init(params))
    assert not np.isnan(params.vector).any()


def test_asgd_averages_from_a_negative_t0_on_as_torch_does() -> None:
    theirs = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.ASGD([theirs], lr=0.5, lambd=0.25, t0=-3.0)
    params = Parameters({"0.bias": (3,)}, np.zeros(3, np.float32))
    rule = ASGD(lr=0.5, lambd=0.25, t0=-3.0)
    state = rule.init(params)
    for step in range(4):
        g = np.array([1, -2, step], np.float32)
        rule.update(params, Parameters(params.shapes, g), state)
        theirs.grad = torch.tensor(g)
        optimizer.step()
        bound = 20 * (step + 1) * np.finfo(np.float32).eps  # 20 roundings a step, of at most 1
        ax = optimizer.state[theirs]["ax"].numpy() / 4
        np.testing.assert_allclose(state["ax"] / 4, ax, rtol=0, atol=bound)
        np.testing.assert_allclose(params.vector / 4, theirs.detach().numpy() / 4, 0, bound)


@pytest.mark.parametrize(
    ("name", "z", "ours", "theirs"),
    [
        ("GELU", math.inf, (math.nan, math.nan), (math.inf, math.nan)),
        ("Hardswish", math.inf, (math.inf, math.nan), (math.inf, 1)),
        ("Hardswish", -math.inf, (math.nan, math.nan), (math.nan, 0)),
        ("Mish", math.inf, (math.inf, 1), (math.inf, math.nan)),
        ("Softsign", math.inf, (math.nan, 0), (math.nan, math.nan)),
        ("Softsign", -math.inf, (math.nan, 0), (math.nan, math.nan)),
    ],
)
def test_infinite_inputs_give_what_the_conventions_say(
    name: str, z: float, ours: tuple[float, float], theirs: tuple[float, float]
) -> None:
    layer, x = LAYERS[name](), np.array([[z]])
    with np.errstate(all="ignore"):
        y = layer.forward({}, x)
        slope = layer.backward({}, x, y, np.ones((1, 1)))
    at = torch.tensor(x, requires_grad=True)
    value = getattr(torch.nn, name)()(at)
    value.backward()
    np.testing.assert_array_equal([y.item(), slope.item()], ours)
    np.testing.assert_array_equal([value.item(), at.grad.item()], theirs)


def test_a_masked_score_has_the_lowest_logarithm_where_torch_has_infinity() -> None:
    net, y = Sequential(LogSoftmax()), np.array([[0.0, -math.inf, 0.0]])
    ours = net.forward(net.init(0), y)
    theirs = torch.nn.LogSoftmax(dim=-1)(torch.tensor(y)).numpy()
    assert (ours[0, 1], theirs[0, 1]) == (np.finfo(float).min, -math.inf)
    assert ours[0, ::2].tolist() == theirs[0, ::2].tolist()
    loss = CrossEntropyLoss("sum")
    at = torch.tensor(y, requires_grad=True)
    torch.nn.CrossEntropyLoss(reduction="sum")(at, torch.tensor([0])).backward()
    assert loss.grad(y, [0]).tolist() == at.grad.tolist()


def test_a_group_of_adagrad_starts_from_its_own_sum_where_torch_takes_the_optimizers() -> None:
    group = {"initial_accumulator_value": 3.0}
    params = Parameters({"0.weight": (1, 1), "0.bias": (1,)}, np.zeros(2))
    state = Adagrad(groups=[{"params": "*.bias", **group}]).init(params)
    weight, bias = torch.zeros(1, 1), torch.zeros(1)
    theirs = torch.optim.Adagrad([{"params": [weight]}, {"params": [bias], **group}]).state
    assert state["sum"].tolist() == [0, 3]
    assert [theirs[weight]["sum"].item(), theirs[bias]["sum"].item()] == [0, 0]
