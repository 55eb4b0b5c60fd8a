"""What `fit` takes beside the samples: weights, validation samples, and early stopping."""

import copy
import pickle
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import Case, lattice_cases
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from toys import CLASSES, NET, N, T, X, trainer
from values import of_kind

from manualnn import (
    LOSSES,
    SGD,
    Adam,
    BCEWithLogitsLoss,
    CosineAnnealingLR,
    CrossEntropyLoss,
    DivergedError,
    DomainError,
    Dropout,
    DTypeError,
    EarlyStopping,
    History,
    L1Loss,
    Linear,
    Loss,
    ManualNNError,
    MSELoss,
    ReduceLROnPlateau,
    Sequential,
    ShapeError,
    SpecError,
    StepLR,
    Tanh,
    Trainer,
)
from manualnn.losses.indices import ClassLoss
from manualnn.oracle.protocol.features import LOSS_ROWS

RNG = np.random.default_rng(5)
W = RNG.random(N)
SOME = np.where(np.arange(N) % 3 == 0, 0.0, W)
DROPPING = Sequential(Linear(3, 9), Dropout(0.4), Tanh(), Linear(9, 2))

# ---------------------------------------------------------------------- sample weights


@settings(max_examples=max(20, settings.default.max_examples // 5))
@given(case=lattice_cases(), data=st.data())
def test_an_integer_weight_is_that_many_repeated_samples(case: Case, data: st.DataObject) -> None:
    """Bit for bit, because no operation rounds where the weights add up to a power of two.

    After the update products round, so that the losses, sums of one sign, depend on their order.
    """
    assume(not any(isinstance(layer, Dropout) and layer.p == 0.5 for layer in case.net.layers))
    w = np.array(data.draw(st.lists(st.integers(1, 3), min_size=len(case.x), max_size=len(case.x))))
    w[-1] += next(2**k for k in range(9) if 2**k >= w.sum()) - w.sum()
    weighted, repeated = (Trainer(case.net, case.loss, case.rule, params=case.params) for _ in "ab")
    history = weighted.fit(case.x, case.t, sample_weight=w, validation_data=(case.x, case.t, w))
    rows, targets = np.repeat(case.x, w, axis=0), np.repeat(case.t, w, axis=0)
    expected = repeated.fit(rows, targets, validation_data=(rows, targets))
    assert history.loss == expected.loss
    assert np.array_equal(weighted.params.vector, repeated.params.vector)
    bound = (targets.size + 4) * float(np.finfo(case.dtype).eps)
    assert history.validation_loss == pytest.approx(expected.validation_loss, rel=bound, abs=0)


@pytest.mark.parametrize("reduction", ["mean", "batchmean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
def test_integer_weights_are_repeated_samples_to_every_loss(name: str, reduction: str) -> None:
    """L is a sum of 2 N terms of one sign, with a product and a quotient in each; the order may
    differ. An entry of dy differs by the roundings of 1/D, w/D and two products.
    """
    loss = LOSSES[name](reduction)
    t: Any = T if LOSS_ROWS[name].targets == "numbers" else of_kind(name, 1.0 * (T > 0))
    y, w = 1 / (1 + np.exp(-X[:, :2])), RNG.integers(1, 5, N)
    runs = [(loss, y, t)]
    if LOSS_ROWS[name].targets == "classes":
        some = replace(loss, ignore_index=1) if isinstance(loss, ClassLoss) else loss
        runs = [(each, y, CLASSES) for each in (loss, some, replace(some, weight=(0.3, 2)))]
    if name == "CrossEntropyLoss":
        runs.append((loss, X[:, :2], y))
    for loss, outputs, targets in runs:
        value, dy = loss.weighted(outputs, targets, w.astype(float))
        again, repeated = loss.value_and_grad(
            np.repeat(outputs, w, axis=0), np.repeat(targets, w, axis=0)
        )
        total = w.sum()
        assert value == pytest.approx(again, rel=(4 * total + 8) * 2**-53)
        first = np.cumsum(w) - w
        np.testing.assert_allclose(dy, w[:, None] * repeated[first], rtol=12 * 2**-53)


RUNS: list[tuple[Loss, Any]] = [
    (MSELoss(), T),
    (L1Loss("sum"), T),
    (BCEWithLogitsLoss("batchmean", weight=(0.3, 2.0)), (T > 0).astype(float)),
    (CrossEntropyLoss(weight=(0.25, 3.0), label_smoothing=0.1), CLASSES),
    (CrossEntropyLoss("batchmean", ignore_index=1), CLASSES),
]


@pytest.mark.parametrize(("loss", "t"), RUNS, ids=[repr(loss) for loss, _ in RUNS])
def test_a_weight_of_zero_leaves_the_sample_out_and_ones_change_nothing(loss: Loss, t: Any) -> None:
    counts = SOME > 0
    runs: list[tuple[Any, ...]] = [(X, t, SOME), (X[counts], t[counts], SOME[counts])]
    runs += [(X, t, None), (X, t, np.ones(N)), (X, t, [1] * N)]
    results = []
    for x, targets, w in runs:
        ours = Trainer(DROPPING, loss, Adam(lr=0.1), seed=2)
        data = (x, targets) if w is None else (x, targets, w)
        history = ours.fit(
            x, targets, sample_weight=w, epochs=3, batch_size=4, validation_data=data
        )
        results.append((history.loss, history.validation_loss, ours.params.vector.tolist()))
    assert results[0] == results[1]
    assert results[2] == results[3] == results[4]
    assert results[0] != results[2]


@pytest.mark.parametrize("reduction", ["mean", "batchmean"])
def test_only_the_ratio_of_weights_matters_to_a_mean(reduction: str) -> None:
    """A power of two as the factor rounds nothing."""
    results = []
    for factor in (1, 4):
        ours = trainer(MSELoss(reduction))
        losses = ours.fit(X, T, epochs=2, batch_size=5, sample_weight=factor * W).loss
        results.append((losses, ours.params.vector.tolist()))
    assert results[0] == results[1]


@pytest.mark.parametrize("shuffle", [True, False])
def test_the_loss_of_an_epoch_is_weighted_over_all_samples(*, shuffle: bool) -> None:
    """The bound is that of a sum of 2 N positive terms in any order, with a product in each."""
    ours = trainer(rule=SGD(lr=0.0))
    error = (ours.predict(X) - T) ** 2
    history = ours.fit(X, T, batch_size=5, sample_weight=W, shuffle=shuffle)
    assert history.loss == pytest.approx([(W @ error).sum() / (2 * W.sum())], rel=4 * N * 2**-52)


REFUSED: dict[str, tuple[type[Exception], Any]] = {
    r"one number for each of 23 samples, got \(22,\)": (ShapeError, W[1:]),
    r"one number for each of 23 samples, got \(23, 1\)": (ShapeError, W[:, None]),
    "at least 0, got -0.5 at index 2": (DomainError, np.where(np.arange(N) == 2, -0.5, W)),
    "sample_weight must be finite, got nan": (DomainError, np.where(np.arange(N) == 2, np.nan, W)),
    "must have a finite sum, got numbers up to 1e": (DomainError, np.full(N, 1e308)),
    "is 0 for all 23 samples": (DomainError, np.zeros(N)),
    "sample_weight is float32": (DTypeError, W.astype("f4")),
}


@pytest.mark.parametrize("message", REFUSED)
def test_weights_that_do_not_fit_are_refused(message: str) -> None:
    error, w = REFUSED[message]
    ours = trainer()
    with pytest.raises(error, match=message):
        ours.fit(X, T, sample_weight=w)
    with pytest.raises(error, match=f"validation_data: .*{message}"):
        ours.fit(X, T, validation_data=(X, T, w))
    assert ours.steps == 0


def test_a_loss_without_terms_says_what_weights_need() -> None:
    class Own(Loss):
        def forward(self, y: Any, t: Any, /) -> Any:
            return MSELoss().forward(y, t)

        def backward(self, y: Any, t: Any, /, *, out: Any = None) -> Any:
            return MSELoss().backward(y, t, out=out)

    ours = trainer(Own())
    assert ours.fit(X, T).loss == trainer().fit(X, T).loss
    with pytest.raises(SpecError, match=r"Own has no method terms\(y, t\), which sample weights"):
        ours.fit(X, T, sample_weight=W)


# ---------------------------------------------------------------------- validation


def test_the_validation_loss_is_that_of_the_prediction_after_the_epoch() -> None:
    """In batches of 1024, as in one: a sum of 2500 positive terms, in another order."""
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((2500, 3)), rng.standard_normal((2500, 2))
    ours = Trainer(DROPPING, MSELoss(), SGD(lr=0.1), seed=1)
    seen: list[float] = []

    def note(given: Trainer, history: History) -> None:
        assert history.validation_loss[-1] == given.evaluate(x, t)
        seen.append(((given.predict(x) - t) ** 2).mean())

    history = ours.fit(X, T, epochs=3, batch_size=5, validation_data=(x, t), callbacks=note)
    assert history.validation_loss == pytest.approx(seen, rel=5000 * 2**-52)
    assert len(set(seen)) == 3


def test_the_memory_for_a_validation_loss_is_bounded() -> None:
    """Ten times the samples take no more of it: arrays of 1024 rows and up to 64 columns."""
    net = Sequential(Linear(3, 64), Tanh(), Linear(64, 2))
    ours = Trainer(net, MSELoss(), SGD())
    x, t = np.ones((20_000, 3)), np.zeros((20_000, 2))
    tracemalloc.start()
    try:
        ours.evaluate(x, t)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    checks = 2 * x.size + 20_000  # of the inputs: truth values
    assert peak < 4 * 8 * 1024 * 64 + checks


def test_measuring_a_validation_loss_does_not_change_the_training() -> None:
    results = []
    for data in (None, (X[:5], T[:5])):
        ours = Trainer(DROPPING, MSELoss(), Adam(), seed=1)
        losses = ours.fit(X, T, epochs=4, batch_size=7, validation_data=data).loss
        results.append((losses, ours.params.vector.tolist()))
    assert results[0] == results[1]


@pytest.mark.parametrize("data", [X, (X,), [X, T, W, W], {"x": X, "t": T}])
def test_validation_data_of_another_form_are_refused(data: Any) -> None:
    with pytest.raises(SpecError, match=r"validation_data must be a tuple \(x, t\) or"):
        trainer().fit(X, T, validation_data=data)


def test_what_does_not_fit_in_the_validation_data_is_refused_before_training() -> None:
    ours = trainer()
    with pytest.raises(ManualNNError, match=r"^validation_data: .* expects x of shape \(N, 3\)"):
        ours.fit(X, T, validation_data=(X[:, :2], T))
    assert ours.steps == 0


def test_an_infinite_validation_loss_is_divergence() -> None:
    with pytest.raises(DivergedError, match="the loss over the validation samples is inf") as found:
        trainer().fit(X, T, epochs=3, validation_data=(X, np.full((N, 2), 1e200)))
    assert found.value.history.stopped == "diverged"
    assert found.value.epoch == 1


# ---------------------------------------------------------------------- early stopping


def last_epoch(losses: list[float], patience: int, min_delta: float) -> int | None:
    """Return the first epoch, from 1, at whose end none of the last `patience` ones improved."""
    improved = [i == 0 or v < min(losses[:i]) - min_delta for i, v in enumerate(losses)]
    ends = (e for e in range(patience, len(losses) + 1) if not any(improved[e - patience : e]))
    return next(ends, None)


@settings(max_examples=max(20, settings.default.max_examples // 2))
@given(
    losses=st.lists(st.integers(0, 8).map(float), min_size=1, max_size=30),
    patience=st.integers(1, 5),
    min_delta=st.sampled_from([0.0, 1.0, 2.5]),
)
@example(losses=[5.0, 6.0, 4.0, 6.0, 3.5, 6.0, 6.0], patience=2, min_delta=0.0)
def test_it_stops_after_as_many_epochs_without_improvement(
    losses: list[float], patience: int, min_delta: float
) -> None:
    stop = EarlyStopping(patience, min_delta, "loss")
    calls = (stop(trainer(), History(loss=losses[:e])) for e in range(1, len(losses) + 1))
    first = next((e for e, stops in enumerate(calls, start=1) if stops), None)
    assert first == last_epoch(losses, patience, min_delta)
    seen = losses[:first]
    assert (stop.best, stop.best_epoch) == (min(seen), 1 + seen.index(min(seen)))


@pytest.mark.parametrize("restore_best", [True, False])
@pytest.mark.parametrize(("epochs", "stopped"), [(500, "early_stopping"), (2, "epochs")])
def test_the_best_parameters_are_copied_back(
    epochs: int, stopped: str, *, restore_best: bool
) -> None:
    """A net that overfits six samples, judged by others."""
    snapshots = []
    ours = Trainer(DROPPING, MSELoss(), Adam(lr=0.05), seed=1)
    stop = EarlyStopping(patience=4, restore_best=restore_best)
    callbacks = [lambda given, _: snapshots.append(given.params.copy()), stop]
    data = (X[6:], T[6:])
    history = ours.fit(X[:6], T[:6], epochs=epochs, validation_data=data, callbacks=callbacks)
    assert history.stopped == stopped
    best = int(np.argmin(history.validation_loss))
    assert stop.best_epoch == best + 1
    assert ours.params == snapshots[best if restore_best else -1]
    if restore_best:
        assert ours.evaluate(*data) == min(history.validation_loss)
    again = ours.fit(X[:6], T[:6], epochs=1, validation_data=data, callbacks=copy.deepcopy(stop))
    assert again.stopped == "epochs"


def test_early_stopping_without_what_it_watches_is_refused() -> None:
    ours = trainer()
    with pytest.raises(SpecError, match=r"EarlyStopping watches the validation_loss, .* fit\(vali"):
        ours.fit(X, T, callbacks=EarlyStopping())
    with pytest.raises(SpecError, match="monitor must be one of validation_loss, loss, got 'acc'"):
        EarlyStopping(monitor="acc")
    with pytest.raises(SpecError, match="patience must be an integer of at least 1, got 0"):
        EarlyStopping(patience=0)
    with pytest.raises(SpecError, match="min_delta must be a number of at least 0, got nan"):
        EarlyStopping(min_delta=float("nan"))
    with pytest.raises(SpecError, match=r"callbacks must be callable .* got <class"):
        ours.fit(X, T, callbacks=[EarlyStopping])
    assert ours.steps == 0
    assert ours.params == trainer().params
    assert NET.init(0) == ours.params


# ---------------------------------------------------------------------- schedules


@pytest.mark.parametrize("schedule", [StepLR(2), CosineAnnealingLR(5), ReduceLROnPlateau()])
def test_a_copied_schedule_goes_on_by_itself(schedule: Any) -> None:
    """Copies are what scikit-learn's clone, joblib and pickle make."""
    data = (X, 2 * T)
    ours = trainer()
    schedule = copy.deepcopy(schedule)
    ours.fit(X, T, epochs=3, validation_data=data, callbacks=schedule)
    again, copied = copy.deepcopy(ours), pickle.loads(pickle.dumps(schedule))  # noqa: S301
    for one, other in ((ours, schedule), (again, copied)):
        one.fit(X, T, epochs=20, validation_data=data, callbacks=other)
    assert ours.params == again.params
    assert schedule.state_dict() == copied.state_dict()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StepLR(0), "step_size must be an integer of at least 1, got 0"),
        (lambda: StepLR(2, gamma=-1), "gamma must be a number of at least 0, got -1"),
        (lambda: CosineAnnealingLR(2.5), "T_max must be an integer of at least 1, got 2.5"),
        (lambda: ReduceLROnPlateau("lowest"), "mode must be one of min, max, got 'lowest'"),
        (lambda: ReduceLROnPlateau(factor=1), "factor must be below 1, got 1"),
        (lambda: ReduceLROnPlateau(monitor="x"), "monitor must be one of validation_loss, loss"),
        (
            lambda: trainer().fit(X, T, callbacks=ReduceLROnPlateau()),
            "ReduceLROnPlateau watches the validation_loss, but fit got no validation_data",
        ),
        (
            lambda: StepLR(2).load_state_dict({"last_epoch": 3}),
            "the state of StepLR must have base_lrs, last_epoch, got last_epoch",
        ),
    ],
)
def test_options_that_are_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make()
