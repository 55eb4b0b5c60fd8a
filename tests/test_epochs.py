"""Epochs: every sample once, the number of epochs in `fit`, and the history that it returns."""

from itertools import chain
from typing import Any

import numpy as np
import pytest
from toys import CLASSES, NET, Array, ByHand, N, T, X, trainer

from manualnn import (
    SGD,
    Adam,
    CrossEntropyLoss,
    Dropout,
    History,
    L1Loss,
    Linear,
    Loss,
    MSELoss,
    Parameters,
    Sequential,
    SpecError,
    Tanh,
    Trainer,
)

# ---------------------------------------------------------------------- when it stops


def test_it_stops_after_the_epochs() -> None:
    ours = trainer()
    history = ours.fit(X, T, epochs=7, batch_size=10)
    assert (history.epochs, history.stopped, ours.steps) == (7, "epochs", 21)
    assert history.seconds > 0


def test_it_stops_after_the_first_epoch_at_or_below_the_target() -> None:
    losses = trainer().fit(X, T, epochs=30).loss
    target = losses[12]
    history = trainer().fit(X, T, epochs=30, target_loss=target)
    first = next(i for i, loss in enumerate(losses) if loss <= target)
    assert history.loss == losses[: first + 1]
    assert history.stopped == "target_loss"


def test_a_target_that_is_not_reached_does_not_stop() -> None:
    history = trainer().fit(X, T, epochs=3, target_loss=0)
    assert (history.epochs, history.stopped) == (3, "epochs")


def test_no_epochs_change_nothing() -> None:
    ours = trainer()
    before = ours.params.copy()
    history = ours.fit(X, T, epochs=0, batch_size=4)
    assert (history.loss, history.stopped, ours.steps) == ([], "epochs", 0)
    assert ours.params == before


def test_a_callback_sees_every_epoch_and_may_stop() -> None:
    seen: list[tuple[int, float, bool]] = []
    ours = trainer()

    def watch(given: Trainer, history: History) -> bool:
        seen.append((history.epochs, history.loss[-1], given is ours))
        return history.epochs == 3

    history = ours.fit(X, T, epochs=10, callbacks=[watch])
    assert seen == [(i + 1, loss, True) for i, loss in enumerate(history.loss)]
    assert (history.epochs, history.stopped) == (3, "callback")


def test_every_callback_is_called_even_after_one_wants_to_stop() -> None:
    calls: list[str] = []

    def first(_: Trainer, __: History) -> bool:
        calls.append("first")
        return True

    def second(_: Trainer, __: History) -> None:
        calls.append("second")

    trainer().fit(X, T, epochs=5, callbacks=(callback for callback in (first, second)))
    assert calls == ["first", "second"]


def test_fits_add_up() -> None:
    once, twice = trainer(), trainer()
    losses = once.fit(X, T, epochs=6, batch_size=5).loss
    first, second = (twice.fit(X, T, epochs=3, batch_size=5).loss for _ in range(2))
    assert first + second == losses
    assert twice.params == once.params


# ---------------------------------------------------------------------- history


def softmax_terms(y: Array, classes: Array, weight: Array) -> tuple[Array, Array]:
    scores = np.exp(y)
    p = scores[np.arange(len(y)), classes] / scores.sum(axis=1)
    return -weight[classes] * np.log(p), weight[classes]


W = np.array([0.25, 3.0])
LOSSES_BY_HAND: list[tuple[Loss, Any, Any]] = [
    (MSELoss(), T, lambda y, t: ((y - t) ** 2).mean()),
    (MSELoss("sum"), T, lambda y, t: ((y - t) ** 2).sum()),
    (MSELoss("batchmean"), T, lambda y, t: ((y - t) ** 2).sum() / len(y)),
    (L1Loss(), T, lambda y, t: np.abs(y - t).mean()),
    (
        CrossEntropyLoss(weight=tuple(W)),
        CLASSES,
        lambda y, t: softmax_terms(y, t, W)[0].sum() / softmax_terms(y, t, W)[1].sum(),
    ),
    (
        CrossEntropyLoss("batchmean", weight=tuple(W)),
        CLASSES,
        lambda y, t: softmax_terms(y, t, W)[0].mean(),
    ),
    (
        CrossEntropyLoss("sum", weight=tuple(W)),
        CLASSES,
        lambda y, t: softmax_terms(y, t, W)[0].sum(),
    ),
]


@pytest.mark.parametrize(
    ("loss", "t", "value"), LOSSES_BY_HAND, ids=[repr(c[0]) for c in LOSSES_BY_HAND]
)
@pytest.mark.parametrize("batch_size", [1, 5, 22, 23, 40, None])
def test_history_is_the_loss_over_all_samples(
    loss: Loss, t: Any, value: Any, batch_size: int | None
) -> None:
    """With a rate of 0, however the samples are cut: the last, smaller batch is weighted right."""
    ours = trainer(loss, SGD(lr=0.0))
    expected = value(ours.predict(X), t)
    history = ours.fit(X, t, epochs=2, batch_size=batch_size)
    assert history.loss == pytest.approx([expected] * 2, rel=1e-13)


def test_each_batch_counts_with_the_loss_before_its_step() -> None:
    ours = trainer()
    hand = ByHand(ours)
    history = ours.fit(X, T, epochs=2, batch_size=10, shuffle=False)
    for loss in history.loss:
        parts = [(hand.step(X[i : i + 10], T[i : i + 10]), len(X[i : i + 10])) for i in (0, 10, 20)]
        assert loss == pytest.approx(sum(v * n for v, n in parts) / N, rel=1e-14)
    assert ours.params == hand.params


def test_a_batch_without_any_counted_sample_counts_for_nothing() -> None:
    ignoring = CrossEntropyLoss(ignore_index=-1)
    ours = trainer(ignoring, SGD(lr=0.0))
    t = np.where(np.arange(N) < 5, -1, CLASSES)
    expected = CrossEntropyLoss().value(ours.predict(X[5:]), CLASSES[5:])
    history = ours.fit(X, t, batch_size=5, shuffle=False)
    assert history.loss == pytest.approx([expected], rel=1e-13)


# ---------------------------------------------------------------------- order of the samples


class Recorder(MSELoss):
    """Keeps the targets it is shown, in their order."""

    seen: list[list[float]]

    def forward_and_backward(
        self, y: Array, t: Array, /, *, out: Array | None = None
    ) -> tuple[Any, Array]:
        self.seen.append(t[:, 0].tolist())
        return MSELoss.forward_and_backward(self, y, t, out=out)


def orders(epochs: int, batch_size: int | None, seed: int = 0, **options: Any) -> list[list[int]]:
    """Return the numbers of the samples, batch by batch."""
    recorder = Recorder()
    object.__setattr__(recorder, "seen", [])
    numbered = np.repeat(np.arange(float(N))[:, None], 2, axis=1)
    ours = trainer(recorder, SGD(lr=0.0), seed=seed)
    ours.fit(X, numbered, epochs=epochs, batch_size=batch_size, **options)
    return [[int(v) for v in batch] for batch in recorder.seen]


def test_every_sample_comes_once_an_epoch_in_another_order_each_time() -> None:
    batches = orders(epochs=3, batch_size=5)
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3] * 3
    epochs = [list(chain.from_iterable(batches[i : i + 5])) for i in (0, 5, 10)]
    assert all(sorted(epoch) == list(range(N)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, range(N)]}) == 4


def test_the_order_comes_from_the_seed() -> None:
    assert orders(2, 5, seed=1) == orders(2, 5, seed=1)
    assert orders(2, 5, seed=1) != orders(2, 5, seed=2)


def test_without_shuffling_the_order_is_the_datas() -> None:
    batches = orders(epochs=2, batch_size=10, shuffle=False)
    assert list(chain.from_iterable(batches)) == [*range(N), *range(N)]


def test_inputs_stay_with_their_targets() -> None:
    """Targets are twice the inputs; a net that is just that has no error in any order."""
    net = Sequential(Linear(3, 3, bias=False))
    params = net.load_state_dict({"0.weight": 2 * np.eye(3)})
    ours = Trainer(net, MSELoss(), SGD(lr=0.0), params=params)
    assert ours.fit(X, 2 * X, epochs=3, batch_size=4).loss == [0, 0, 0]


def test_one_batch_of_all_is_the_full_batch() -> None:
    results = []
    for batch_size in (None, N, N + 1, 10**9):
        ours = trainer()
        losses = ours.fit(X, T, epochs=4, batch_size=batch_size).loss
        results.append((losses, ours.params.vector.tolist()))
    assert all(result == results[0] for result in results)


def test_runs_from_the_same_seed_are_the_same_bit_for_bit() -> None:
    net = Sequential(Linear(3, 30), Dropout(0.3), Tanh(), Linear(30, 2))

    def run(seed: int) -> tuple[list[float], Parameters]:
        ours = Trainer(net, MSELoss(), Adam(), seed=seed)
        return ours.fit(X, T, epochs=3, batch_size=4).loss, ours.params

    assert run(0) == run(0)
    assert run(0) != run(1)


def test_the_seed_gives_the_same_parameters_as_init() -> None:
    assert trainer(seed=5).params == NET.init(seed=5)


def test_training_drops_and_prediction_does_not() -> None:
    net = Sequential(Dropout(0.5))
    ours = Trainer(net, MSELoss("sum"), SGD())
    ones = np.ones((50, 40))
    kept = ours.step(ones, np.zeros((50, 40))) / 4
    assert 800 < kept < 1200
    assert ours.step(ones, np.zeros((50, 40))) / 4 != kept
    assert np.array_equal(ours.predict(ones), ones)


# ---------------------------------------------------------------------- the learning rate


def test_the_rate_may_be_changed_between_steps_and_by_callbacks() -> None:
    ours = trainer(rule=SGD(lr=0.5))
    hand = ByHand(ours)

    def halve(given: Trainer, _: History) -> None:
        given.lr /= 2

    ours.fit(X, T, epochs=3, callbacks=[halve])
    for lr in (0.5, 0.25, 0.125):
        hand.rule = SGD(lr=lr)
        hand.step(X, T)
    assert ours.lr == 0.0625
    assert ours.params == hand.params


def test_a_new_rate_keeps_the_state_and_an_impossible_one_changes_nothing() -> None:
    ours = trainer()
    ours.step(X, T)
    buffer = ours.state["momentum_buffer"].copy()
    ours.lr = 0.025
    assert ours.rule == SGD(lr=0.025, momentum=0.9)
    assert np.array_equal(ours.state["momentum_buffer"], buffer)
    with pytest.raises(SpecError, match="lr must be at least 0, got -1"):
        ours.lr = -1
    assert ours.lr == 0.025
