"""Divergence: training stops with an error at NaN or infinity, with the last finite parameters."""

import math
import pickle
from typing import Any

import numpy as np
import pytest
from toys import ByHand, N, T, X

from manualnn import (
    SGD,
    Adam,
    DivergedError,
    History,
    Linear,
    MSELoss,
    Optimizer,
    Parameters,
    RMSprop,
    Sequential,
    Sigmoid,
    Trainer,
)

LINEAR = Sequential(Linear(3, 2))
SATURATING = Sequential(Linear(3, 4), Sigmoid(), Linear(4, 2), Sigmoid())


def finite_steps(hand: ByHand, batches: list[slice]) -> tuple[list[float], Parameters]:
    """Step until a loss or a parameter is not finite; return the finite losses and parameters."""
    losses: list[float] = []
    with np.errstate(all="ignore"):
        while True:
            before, part = hand.params.copy(), batches[len(losses) % len(batches)]
            loss = hand.step(X[part], T[part])
            if not math.isfinite(loss) or not np.isfinite(hand.params.vector).all():
                return losses + [loss] * math.isfinite(loss), before
            losses.append(loss)


@pytest.mark.parametrize("batch_size", [23, 10])
@pytest.mark.parametrize(
    "rule",
    [
        *(SGD(lr=2.0**k) for k in (10, 33, 990)),
        SGD(lr=50.0, momentum=0.9),
        RMSprop(lr=1e155),
    ],
    ids=repr,
)
def test_a_rate_that_is_too_large_stops_at_the_last_finite_step(
    rule: Optimizer, batch_size: int
) -> None:
    ours = Trainer(LINEAR, MSELoss(), rule)
    starts = range(0, N, batch_size)
    losses, params = finite_steps(ByHand(ours), [slice(i, i + batch_size) for i in starts])
    with pytest.raises(DivergedError) as caught:
        ours.fit(X, T, epochs=10_000, batch_size=batch_size, shuffle=False)
    error = caught.value
    assert ours.params == params
    assert error.last_loss == losses[-1]
    assert error.epoch == ours.steps // len(starts) + 1
    assert isinstance(error.history, History)
    assert (error.history.epochs, error.history.stopped) == (error.epoch - 1, "diverged")


def test_the_message_says_where_how_far_and_what_to_try() -> None:
    ours = Trainer(LINEAR, MSELoss(), SGD(lr=1e10))
    with pytest.raises(DivergedError) as caught:
        ours.fit(X, T, epochs=100)
    error = caught.value
    text = str(error)
    assert f"diverged in epoch {error.epoch}: the loss is inf" in text
    assert f"the last finite loss: {error.last_loss:.6g}." in text
    assert f"last step with finite values, step {ours.steps}." in text
    assert "Try a smaller learning rate than 1e+10, inputs standardised" in text


def test_a_step_that_diverges_names_the_step() -> None:
    ours = Trainer(LINEAR, MSELoss(), SGD(lr=1e-3))
    last = [ours.step(X, T) for _ in range(3)][-1]
    params = ours.params.copy()
    with pytest.raises(DivergedError, match="diverged in step 4: the loss is nan") as caught:
        ours.step(np.full((2, 3), np.nan), T[:2])
    assert (caught.value.epoch, caught.value.last_loss) == (None, last)
    assert ours.params == params
    assert ours.steps == 3


def test_where_no_loss_was_finite_the_message_says_so() -> None:
    ours = Trainer(LINEAR, MSELoss(), SGD(lr=1e-3))
    ours.params.vector[...] = 1e200
    with pytest.raises(DivergedError, match="the loss is inf; no loss was finite") as caught:
        ours.fit(X, T)
    assert math.isnan(caught.value.last_loss)


@pytest.mark.parametrize("rule", [SGD(lr=2**-3), SGD(lr=0.1, momentum=0.9), Adam(lr=0.1)], ids=repr)
def test_a_parameter_that_overflows_under_a_finite_loss_is_taken_back(rule: Optimizer) -> None:
    """Behind a sigmoid the loss never overflows; and what the rule remembers is forgotten."""
    targets = 10 * T
    ours = Trainer(SATURATING, MSELoss("sum"), rule)
    hand = ByHand(ours)
    for _ in range(3):
        ours.step(X, targets)
        hand.step(X, targets)
    ours.lr = 1e308 if isinstance(rule, SGD) else math.inf
    with pytest.raises(DivergedError, match="a parameter is not finite") as caught:
        ours.fit(X, targets, epochs=5)
    assert caught.value.epoch == 1
    assert caught.value.last_loss == hand.loss.value(ours.predict(X), targets)
    assert ours.params == hand.params

    ours.lr = rule.lr
    hand.state = rule.init(hand.params)
    losses = ours.fit(X, targets, epochs=4).loss
    assert losses == [hand.step(X, targets) for _ in range(4)]
    assert ours.params == hand.params


def test_a_loss_that_is_no_number_stops() -> None:
    """Both hidden outputs overflow, and ∞ − ∞ is NaN."""
    net = Sequential(Linear(3, 2), Linear(2, 2))
    params = net.init(seed=0)
    params["0.weight"][...] = 1e308
    params["1.weight"][...] = [[1, -1], [1, 1]]
    ours = Trainer(net, MSELoss(), SGD(lr=0.1), params=params)
    with pytest.raises(DivergedError, match="the loss is nan"):
        ours.fit(np.full((4, 3), 10.0), np.zeros((4, 2)))
    assert ours.params == params


def test_large_but_finite_is_no_divergence() -> None:
    """The square of a parameter may overflow where the parameter does not."""
    net = Sequential(Linear(3, 2), Sigmoid())
    params = net.init(seed=0)
    params["0.bias"][...] = 1e300
    ours = Trainer(net, MSELoss(), SGD(lr=0.1), params=params)
    assert ours.fit(X, T, epochs=3).epochs == 3
    assert ours.params["0.bias"].tolist() == [1e300, 1e300]


@pytest.mark.parametrize("dtype", ["float32", "longdouble"])
def test_the_limits_are_those_of_the_dtype(dtype: Any) -> None:
    ours = Trainer(LINEAR, MSELoss(), SGD(lr=1e6), dtype=dtype)
    with pytest.raises(DivergedError) as caught:
        ours.fit(X.astype(dtype), T.astype(dtype), epochs=2000)
    assert np.isfinite(ours.params.vector).all()
    # float32 overflows near 1e38; a loss of longdouble is reported, and judged, as a float.
    assert caught.value.last_loss < {"float32": 3.5e38, "longdouble": math.inf}[dtype]


def test_the_error_can_be_sent_to_another_process() -> None:
    ours = Trainer(LINEAR, MSELoss(), SGD(lr=1e10))
    with pytest.raises(DivergedError) as caught:
        ours.fit(X, T, epochs=100)
    error = caught.value
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own bytes
    assert str(again) == str(error)
    assert (again.epoch, again.last_loss, again.history) == (
        error.epoch,
        error.last_loss,
        error.history,
    )
