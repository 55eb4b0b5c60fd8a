"""Cases that the other tests do not draw: long, wide, deep, late, and not finite."""

import copy
import math
import warnings
from itertools import chain
from typing import Any

import numpy as np
import pytest
from examples_of_layers import example
from toys import NET, N, T, X, trainer
from values import of_kind

from manualnn import (
    LAYERS,
    LOSSES,
    SGD,
    Adam,
    BCELoss,
    CrossEntropyLoss,
    DivergedError,
    Dropout,
    Identity,
    Linear,
    LogSoftmax,
    Loss,
    MSELoss,
    Parameters,
    ReLU,
    Sequential,
    ShapeError,
    Sigmoid,
    Softmax,
    Softplus,
    Trainer,
)
from manualnn.oracle.protocol.features import LOSS_ROWS
from manualnn.training.batches import Batches, Samples

FLOATS = [np.float32, np.float64, np.longdouble]

# ---------------------------------------------------------------------- long and wide


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("n", "width", "out"), [(600, 320, 70), (33, 33, 33), (64, 64, 65)])
def test_a_large_step_is_exact_on_integers(dtype: Any, n: int, width: int, out: int) -> None:
    """Small integers stay below 2²⁴, so every sum is exact whatever its order."""
    rng = np.random.default_rng(n)
    x, t = rng.integers(-2, 3, (n, width)), rng.integers(-2, 3, (n, out))
    w, b = rng.integers(-1, 2, (out, width)), rng.integers(-2, 3, out)
    net = Sequential(Identity(), Linear(width, out), ReLU())
    params = net.load_state_dict({"1.weight": w, "1.bias": b}, dtype=dtype)
    value, grads, dx = net.value_and_grad(
        params, MSELoss("sum"), x.astype(dtype), t.astype(dtype), input_grad=True
    )
    z = x @ w.T + b
    error = np.maximum(z, 0) - t
    dz = 2 * error * (z > 0)
    assert value == np.sum(error**2)
    np.testing.assert_array_equal(grads["1.weight"], dz.T @ x)
    np.testing.assert_array_equal(grads["1.bias"], dz.sum(axis=0))
    np.testing.assert_array_equal(dx, dz @ w)
    assert MSELoss("sum").value((error + t).astype(dtype), t.astype(dtype)) == value


def test_softmax_is_over_all_of_many_features() -> None:
    """300 equal scores, and one that is larger by log 300: half for that one."""
    z = np.zeros((2, 301))
    z[:, 300] = math.log(300)
    for layer, half in ((Softmax(), 0.5), (LogSoftmax(), math.log(0.5))):
        y = layer.forward({}, z)
        np.testing.assert_allclose(y[:, 300], half, rtol=1e-14)
    dy = np.zeros((2, 301))
    dy[:, 300] = 1
    dz = Softmax().backward({}, z, Softmax().forward({}, z), dy)
    np.testing.assert_allclose(dz[:, 300], 0.25, rtol=1e-13)
    np.testing.assert_allclose(dz[:, :300], -0.25 / 300, rtol=1e-13)
    dz = LogSoftmax().backward({}, z, LogSoftmax().forward({}, z), dy)
    np.testing.assert_allclose(dz[:, 300], 0.5, rtol=1e-13)


def test_cross_entropy_is_over_all_of_many_classes() -> None:
    z = np.zeros((2, 301))
    z[:, 300] = math.log(300)
    value, dy = CrossEntropyLoss("sum").value_and_grad(z, np.array([300, 300]))
    assert value == pytest.approx(2 * math.log(2), rel=1e-14)
    np.testing.assert_allclose(dy[:, 300], -0.5, rtol=1e-13)
    np.testing.assert_allclose(dy[:, :300], 0.5 / 300, rtol=1e-13)


def test_noise_of_a_deep_network_reaches_its_own_layer() -> None:
    """Key 10.mask is that of layer 10, not of layer 1."""
    net = Sequential(*(Dropout() if i in {1, 10, 11} else Identity() for i in range(12)))
    noise = {f"{i}.mask": np.full((1, 3), float(i)) for i in (1, 10, 11)}
    y = net.forward(Parameters({}), np.ones((1, 3)), noise=noise)
    assert y.tolist() == [[110.0] * 3]


def test_without_a_seed_noise_differs() -> None:
    net, x = Sequential(Dropout()), np.ones((20, 20))
    assert not np.array_equal(net.sample(None, x)["0.mask"], net.sample(None, x)["0.mask"])


# ---------------------------------------------------------------------- late


@pytest.mark.parametrize("place", range(6))
def test_dropout_is_active_wherever_it_stands_and_in_every_step(place: int) -> None:
    """A step is value_and_grad with the masks that the trainer's generator draws, and an update."""
    layers: list[Any] = [Linear(3, 4), Sigmoid(), Linear(4, 4), Sigmoid(), Linear(4, 2)]
    layers.insert(place, Dropout(0.4))
    one = Trainer(Sequential(*layers), MSELoss(), SGD(lr=2**-3), seed=5)
    params = one.params.copy()
    for _ in range(10):
        noise = one.net.sample(copy.deepcopy(one.rng), X)
        value, grads = one.net.value_and_grad(params, one.loss, X, T, noise=noise)
        assert one.step(X, T) == value
        one.rule.update(params, grads, {"step": 0})
        assert np.array_equal(one.params.vector, params.vector)


def test_the_order_of_the_samples_is_the_generators_permutation() -> None:
    rng = np.random.default_rng(8)
    own = copy.deepcopy(rng)
    batches = Batches(Samples(np.arange(23.0)[:, None], np.arange(23)), 5, shuffle=True)
    for _ in range(3):
        seen = [(x[:, 0].tolist(), t.tolist()) for x, t, _ in batches.arrange(batches.draw(own))]
        order = rng.permutation(23).tolist()
        assert [list(chain(*part)) for part in zip(*seen, strict=True)] == [order, order]


def test_the_order_does_not_depend_on_where_the_parameters_come_from() -> None:
    drawn, given = trainer(seed=4), trainer(seed=4, params=NET.init(4))
    for one in (drawn, given):
        one.fit(X, T, epochs=3, batch_size=5)
    assert drawn.params == given.params


def test_many_sizes_of_batches_give_the_right_values() -> None:
    one, params = trainer(rule=SGD(lr=0.0)), NET.init(0)
    for n in [*range(1, N + 1), *range(N, 0, -1)] * 3:
        value, _ = NET.value_and_grad(params, MSELoss(), X[:n], T[:n])
        assert one.step(X[:n], T[:n]) == value


# ---------------------------------------------------------------------- training's corners


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_a_target_is_noticed_in_any_epoch(epoch: int) -> None:
    losses = trainer().fit(X, T, epochs=10).loss
    history = trainer().fit(X, T, epochs=10, target_loss=min(losses[: epoch + 1]))
    assert history.loss == losses[: losses.index(min(losses[: epoch + 1])) + 1]
    assert history.stopped == "target_loss"


@pytest.mark.parametrize("answer", [True, 1, np.True_, "stop"])
def test_any_true_answer_of_a_callback_stops(answer: Any) -> None:
    history = trainer().fit(X, T, epochs=10, callbacks=lambda *_: answer)
    assert (history.epochs, history.stopped) == (1, "callback")


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_no_parameter_may_become_infinite(bad: float) -> None:
    """Wherever it stands in the vector."""
    at = 0

    class Spoil(SGD):
        def rule(self, *arguments: Any) -> None:
            change = arguments[-1][0]
            change[...] = 0
            change[at] = bad

    for at in range(NET.init(0).vector.size):  # noqa: B007 - Spoil reads it
        one = trainer(rule=Spoil())
        before = one.params.vector.copy()
        with pytest.raises(DivergedError):
            one.step(X, T)
        assert np.array_equal(one.params.vector, before)


def test_gradients_that_are_too_long_are_refused() -> None:
    params = NET.init(0)
    longer = Parameters({"0.weight": (params.vector.size + 1,)})
    with pytest.raises(ShapeError):
        Adam().update(params, longer, Adam().init(params))


# ---------------------------------------------------------------------- not finite


@pytest.mark.parametrize("name", LAYERS)
def test_a_nan_goes_through_a_layer(name: str) -> None:
    """Into its row of the output, and from ∂L/∂y into its row of ∂L/∂x; other rows stay finite."""
    layer = example(name, 3)
    net = Sequential(layer)
    params = net.init(0)
    x = np.arange(2.0 * layer.inputs(3)).reshape(2, -1) - 2.5
    y = net.forward(params, x)
    spoilt, dy = x.copy(), np.ones_like(y)
    spoilt[1, 1] = dy[1, 1] = math.nan
    assert math.isnan(net.forward(params, spoilt)[1, 1])
    dx = layer.backward(net.layer_arrays(params)[0], x, y, dy)
    assert math.isnan(dx[1, 1])
    assert np.isfinite(net.forward(params, spoilt)[0]).all()
    assert np.isfinite(dx[0]).all()


OF_INDICES = ("classes", "labels")
CONSTANT_SLOPES = ("HingeEmbeddingLoss", "KLDivLoss")


@pytest.mark.parametrize(
    "name", [n for n, row in LOSS_ROWS.items() if n != "L1Loss" and row.targets not in OF_INDICES]
)
def test_a_nan_goes_through_a_loss(name: str) -> None:
    """Into L, and into its entry of ∂L/∂y if that depends on y."""
    loss: Loss = LOSSES[name]()
    y = np.full((2, 2), 0.25)
    y[1, 0] = math.nan
    value, dy = loss.forward_and_backward(y, of_kind(name, np.full((2, 2), 0.25)))
    assert math.isnan(value)
    if name not in CONSTANT_SLOPES:
        assert np.isnan(dy).tolist() == [[False, False], [True, False]]


@pytest.mark.parametrize("loss", [MSELoss(), BCELoss(), CrossEntropyLoss()])
def test_a_gradient_by_itself_does_not_warn(loss: Loss) -> None:
    y = np.array([[0.0, 1.0]]) if isinstance(loss, BCELoss) else np.array([[1e308, -1e308]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss.grad(y, np.array([[1.0, 0.0]]))


def test_softplus_of_a_negative_beta_is_its_formula() -> None:
    z = np.array([[-1.0, 0.0, 2.0]])
    layer = Softplus(beta=-1.0)
    a = layer.forward({}, z)
    np.testing.assert_allclose(a, -np.log1p(np.exp(-z)), rtol=1e-14)
    np.testing.assert_allclose(layer.backward({}, z, a, z), z / (1 + np.exp(z)), rtol=1e-14)
