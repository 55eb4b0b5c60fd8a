"""A loss is one number, from the loss alone, a network, an evaluation, and a training in batches.

Weights of classes and of samples are 0 at times, targets are ignored, and factors differ. The loss
alone is checked against torch (`twin/test_weights.py`).
"""

from typing import Any

import numpy as np
import pytest
from cases import losses_for
from hypothesis import given
from hypothesis import strategies as st
from values import SEEDS, of_kind, targets_for

from manualnn import (
    LOSSES,
    SGD,
    CrossEntropyLoss,
    Linear,
    Loss,
    Sequential,
    Sigmoid,
    Trainer,
)
from manualnn.losses.indices import ClassLoss, IndexLoss

NET = Sequential(Linear(2, 3), Sigmoid())
FACTOR = st.sampled_from([1.0, 0.3, 0.0, 0.0])
FACTORS = st.none() | st.lists(FACTOR, min_size=3, max_size=3).map(tuple)


@st.composite
def weighted_samples(draw: st.DrawFn) -> tuple[Loss, Any, Any, Any]:
    n, loss = draw(st.integers(1, 9)), draw(losses_for(3, options={"weight": FACTORS}))
    rng = np.random.default_rng(draw(SEEDS))
    t = draw(targets_for(loss, (n, 3), np.dtype(np.float64)))
    if isinstance(loss, ClassLoss) and t.ndim == 1 and draw(st.booleans()):
        t[rng.random(n) < 0.6] = loss.ignore_index
    w = rng.random(n) * rng.choice([0, 1, 4], n)
    w[0] = 1
    return loss, rng.standard_normal((n, 2)), t, draw(st.sampled_from([None, w]))


@given(batch=weighted_samples(), batch_size=st.integers(1, 9), shuffle=st.booleans())
def test_a_loss_is_the_same_everywhere(batch: Any, batch_size: int, *, shuffle: bool) -> None:
    """Each is a sum of at most 27 terms, and of as many parts of the divisor. Signs may differ, so
    the bound is relative to the largest term, which the loss of every sample alone shows.
    """
    loss, x, t, w = batch
    trainer = Trainer(NET, loss, SGD(lr=0.0), seed=1)
    y = trainer.predict(x)
    value, dy = loss.value_and_grad(y, t, sample_weight=w)
    assert np.isfinite(value)
    assert np.isfinite(dy).all()
    largest = np.abs(loss.terms(y, t)).max() * 4 * 27 * max(loss.factor, 1)
    share = loss.weighted_divisor(y, t, np.ones(len(x)) if w is None else w)
    near = 2**-45 * (largest / share if share else 0)
    weighted, grads = NET.value_and_grad(trainer.params, loss, x, t, sample_weight=w)
    assert weighted == value
    assert np.array_equal(loss.grad(y, t, sample_weight=w), dy)
    assert abs(loss.value(y, t, sample_weight=w) - value) <= near
    assert abs(trainer.evaluate(x, t, sample_weight=w) - value) <= near
    assert abs(trainer.step(x, t, sample_weight=w) - value) <= near
    history = trainer.fit(x, t, sample_weight=w, batch_size=batch_size, shuffle=shuffle)
    assert abs(history.loss[0] - value) <= near
    ones, same = NET.value_and_grad(trainer.params, loss, x, t, sample_weight=np.ones(len(x)))
    plain, expected = NET.value_and_grad(trainer.params, loss, x, t)
    assert (ones, same.vector.tolist()) == (plain, expected.vector.tolist())
    assert grads.vector.shape == same.vector.shape


Y = [[0.5, -1.0, 2.0], [3.0, 0.25, -4.0]]
NOTHING: list[tuple[Loss, Any]] = [
    (CrossEntropyLoss(ignore_index=1), [1, 1]),
    (CrossEntropyLoss(weight=(0.0, 0.0, 1.0), label_smoothing=0.5), [0, 1]),
    (CrossEntropyLoss(weight=(0.0, 0.0, 0.0), factor=0.5), [0, 2]),
]


@pytest.mark.parametrize(("loss", "t"), NOTHING, ids=[repr(loss) for loss, _ in NOTHING])
def test_a_mean_over_nothing_is_0_alone_and_in_training(loss: Loss, t: Any) -> None:
    value, dy = loss.value_and_grad(Y, t)
    assert (value, loss.value(Y, t), dy.any(), loss.grad(Y, t).any()) == (0, 0, False, False)
    weighted, dy = loss.weighted(np.array(Y), np.array(t), np.ones(2))
    assert (weighted, dy.any()) == (0, False)
    trainer = Trainer(Sequential(Linear(3, 3)), loss, SGD(lr=1.0))
    assert (trainer.step(Y, t), trainer.evaluate(Y, t), trainer.fit(Y, t).loss) == (0, 0, [0])


@pytest.mark.parametrize("loss", LOSSES.values())
def test_training_on_no_samples_does_nothing(loss: type[Loss]) -> None:
    x = np.zeros((0, 3))
    t = np.zeros(0, int) if issubclass(loss, IndexLoss) else of_kind(loss.__name__, x)
    trainer = Trainer(Sequential(Linear(3, 3), Sigmoid()), loss(), SGD(lr=1.0))
    before = trainer.params.vector.copy()
    assert (trainer.step(x, t), trainer.evaluate(x, t)) == (0, 0)
    assert (trainer.fit(x, t, epochs=2).loss, trainer.steps) == ([0, 0], 1)
    assert np.array_equal(trainer.params.vector, before)
