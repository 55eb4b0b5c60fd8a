"""Accumulation: a step on several batches is the step on one batch of all their samples."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import CLASSES, NET, N, T, X, trainer
from values import SEEDS

from manualnn import (
    SGD,
    Adam,
    Checkpoint,
    CrossEntropyLoss,
    Linear,
    Loss,
    MSELoss,
    Sequential,
    SpecError,
    Trainer,
)

REDUCTIONS = ("mean", "sum", "batchmean")
U = 2.0**-53
WIDE_X, WIDE_T = X.astype(np.longdouble), T.astype(np.longdouble)
NEAR = 2**20 * float(np.finfo(np.longdouble).eps)


@settings(max_examples=max(20, settings.default.max_examples // 4))
@given(
    seed=SEEDS,
    reduction=st.sampled_from(REDUCTIONS),
    batch_size=st.integers(1, N),
    steps=st.integers(2, 9),
    is_weighted=st.booleans(),
)
def test_a_step_has_the_gradient_of_all_samples(
    seed: int, reduction: str, batch_size: int, steps: int, *, is_weighted: bool
) -> None:
    """One linear layer, whose gradient is known: ∂L/∂W = 2/D Σₙ wₙ (yₙ − tₙ)ᵀ xₙ, in fractions.

    An entry rounds 3 + 1 times in y (3 inputs and the bias), 4 times in each term, N times in the
    sums over samples, 4 times for each of at most N batches, and twice in the step.
    """
    rng = np.random.default_rng(seed)
    net = Sequential(Linear(3, 2))
    w = rng.integers(1, 4, N).astype(float) if is_weighted else None
    ours = Trainer(net, MSELoss(reduction), SGD(lr=0.25), seed=seed)
    before = {name: array.copy() for name, array in ours.params.items()}
    samples = min(N, batch_size * steps)
    x, t = X[:samples], T[:samples]
    ours.fit(
        x,
        t,
        batch_size=batch_size,
        accumulation_steps=steps,
        shuffle=False,
        sample_weight=None if w is None else w[:samples],
    )
    assert ours.steps == 1

    exact = np.vectorize(Fraction, otypes=[object])
    weights = exact(np.ones(samples) if w is None else w[:samples])
    y = exact(x) @ exact(before["0.weight"]).T + exact(before["0.bias"])
    counted = sum(weights) * {"mean": 2, "batchmean": 1}.get(reduction, 0) or 1
    slopes = 2 * (y - exact(t)) * weights[:, None] / counted
    size = np.abs(x) @ np.abs(before["0.weight"]).T + np.abs(before["0.bias"]) + np.abs(t)
    sizes = 2 * size * weights[:, None].astype(float) / float(counted)
    roundings = 4 + 4 + samples + 4 * steps + 2
    for name, expected, largest in (
        ("0.weight", slopes.T @ exact(x), sizes.T @ np.abs(x)),
        ("0.bias", slopes.sum(0), sizes.sum(0)),
    ):
        moved = exact(before[name]) - exact(ours.params[name])
        error = np.abs((moved - expected / 4).astype(float))
        bound = roundings * U * largest / 4 + U * np.abs(before[name])
        assert (error <= 1.01 * bound).all()


@pytest.mark.parametrize("loss", [*map(MSELoss, REDUCTIONS), CrossEntropyLoss()])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_a_training_with_micro_batches_is_one_with_batches(
    loss: Loss, *, is_weighted: bool
) -> None:
    """In longdouble: after 12 steps the rounding is far below float64's."""
    w = np.linspace(0.5, 2, N, dtype=np.longdouble) if is_weighted else None
    t = CLASSES if isinstance(loss, CrossEntropyLoss) else WIDE_T
    histories, ends = [], []
    for batch_size, steps in ((10, 1), (5, 2), (2, 5)):
        ours = trainer(loss, Adam(lr=0.01, l2=0.001), dtype=np.longdouble)
        histories.append(
            ours.fit(
                WIDE_X,
                t,
                epochs=4,
                batch_size=batch_size,
                accumulation_steps=steps,
                sample_weight=w,
            )
        )
        assert ours.steps == 12
        ends.append(ours.params.vector)
    for history, end in zip(histories, ends, strict=True):
        for value, expected in zip(history.loss, histories[0].loss, strict=True):  # both are floats
            assert math.isclose(value, expected, rel_tol=N * 4 * U)
        assert (np.abs(end - ends[0]) <= NEAR * np.abs(ends[0])).all()


def test_a_batch_without_a_counted_sample_changes_nothing() -> None:
    """Its loss is 0, as documented, and all other batches count as without it."""
    labels = CLASSES.copy()
    labels[:5] = -100
    ours, other = (trainer(CrossEntropyLoss(), dtype=np.longdouble) for _ in range(2))
    ours.fit(WIDE_X, labels, batch_size=5, accumulation_steps=5, shuffle=False)
    other.fit(WIDE_X[5:], labels[5:])
    expected = other.params.vector
    assert (np.abs(ours.params.vector - expected) <= NEAR * np.abs(expected)).all()


def test_gradients_that_only_a_sum_would_overflow_are_finite() -> None:
    net = Sequential(Linear(1, 1, bias=False))
    params = net.load_state_dict({"0.weight": np.zeros((1, 1), np.float32)}, np.float32)
    ours = Trainer(net, MSELoss(), SGD(lr=1e-30), params=params)
    x = np.full((64, 1), 3e18, np.float32)
    ours.fit(x, -x, batch_size=8, accumulation_steps=8)
    assert math.isclose(ours.params.vector[0], -1.8e7, rel_tol=1e-5)


def test_accumulation_refuses_what_is_no_count() -> None:
    for odd in (0, -1, 1.5, True, None):
        with pytest.raises(SpecError, match="accumulation_steps"):
            trainer().fit(X, T, accumulation_steps=odd)  # type: ignore[arg-type]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_training_that_is_cut_between_its_steps_goes_on_bit_for_bit(
    tmp_path: Path, *, shuffle: bool
) -> None:
    options: dict[str, Any] = {"batch_size": 4, "accumulation_steps": 2, "shuffle": shuffle}
    whole, path = trainer(), tmp_path / "checkpoint"
    whole.fit(X, T, epochs=3, **options)
    cut = trainer()

    class Stop(Checkpoint):
        def after_step(self, run: Any) -> None:
            super().after_step(run)
            if run.trainer.steps == 4:
                raise KeyboardInterrupt

    cut.fit(X, T, epochs=3, callbacks=Stop(path, every_steps=1), **options)
    again = trainer()
    again.fit(X, T, epochs=3, callbacks=Checkpoint(path), resume=path, **options)
    assert again.params == whole.params
    with pytest.raises(SpecError, match="batch size was 4 × 2, got 4;"):
        trainer().fit(X, T, resume=path, callbacks=Checkpoint(path), shuffle=shuffle, batch_size=4)


def test_a_network_without_accumulation_steps_takes_each_batch() -> None:
    ours = Trainer(NET, MSELoss(), SGD())
    ours.fit(X, T, batch_size=4)
    assert ours.steps == math.ceil(N / 4)
