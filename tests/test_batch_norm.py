"""BatchNorm1d: numbers by hand, running averages over steps, batches of one sample, training."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manualnn import (
    LBFGS,
    SGD,
    AveragedModel,
    BatchNorm1d,
    Checkpoint,
    DivergedError,
    L1Loss,
    Linear,
    MSELoss,
    Residual,
    Sequential,
    ShapeError,
    SpecError,
    Trainer,
    load,
    save,
)

Array = np.ndarray[Any, Any]
X = np.array([[1.0, 0.0], [3.0, 0.0]])
RNG = np.random.default_rng(0)
BATCH = RNG.normal(size=(8, 2)), RNG.normal(size=(8, 2))


def trainer_of(rule: Any = SGD(lr=0.1), **options: Any) -> Trainer:  # noqa: B008 - immutable
    return Trainer(Sequential(BatchNorm1d(2, **options), Linear(2, 2)), MSELoss(), rule)


def buffers(params: Any) -> dict[str, Any]:
    return {key.partition(".")[2]: a.tolist() for key, a in params.buffers.items()}


def test_a_column_is_normalised_in_training_and_a_constant_one_is_0() -> None:
    """1 and 3 have the mean 2 and the variance 1; 1 + 3 has the root 2."""
    net = Sequential(BatchNorm1d(2, eps=3.0))
    params = net.init(0)
    assert net.forward(params, X, noise={}).tolist() == [[-0.5, 0], [0.5, 0]]
    assert buffers(params) == buffers(net.init(0))  # forward is pure
    net.track(params, X, noise={})
    assert buffers(params) == {
        "running_mean": [pytest.approx(0.2), 0],
        "running_var": [pytest.approx(0.9 + 0.2), pytest.approx(0.9)],  # unbiased: 2 / (2 − 1)
        "num_batches_tracked": 1,
    }


def test_prediction_takes_the_running_averages() -> None:
    net = Sequential(BatchNorm1d(1, eps=3.0))
    state = {"weight": [2.0], "bias": [5.0], "running_mean": [1.0], "running_var": [1.0]}
    state |= {"num_batches_tracked": 7}  # type: ignore[dict-item]
    params = net.load_state_dict({f"0.{key}": value for key, value in state.items()})
    x = np.array([[3.0]])
    assert net.forward(params, x).tolist() == [[7]]
    _, grads, dx = net.value_and_grad(params, MSELoss("sum"), x, 0 * x, input_grad=True)
    assert (dx.tolist(), grads.vector.tolist()) == ([[14]], [14, 14])  # x̂ is 1, and w / s, too
    assert params.state_dict().keys() == {f"0.{key}" for key in state}
    with pytest.raises(ShapeError, match=r"missing 0\.num_batches_tracked, 0\.running_mean"):
        net.load_state_dict(dict(params))


def test_the_gradient_of_training_goes_through_mean_and_variance() -> None:
    """x̂ is ∓1/2, s is 2, dy is (1, 0): dx₀ = (1 − 1/2 − (−1/2)(−1/4)) / 2, and dx₁ = −dx₀."""
    net, x, t = Sequential(BatchNorm1d(1, eps=3.0)), X[:, :1], np.array([[-1.5], [0.5]])
    params, loss = net.init(0), L1Loss("sum")
    _, grads, dx = net.value_and_grad(params, loss, x, t, noise={}, input_grad=True)
    assert (dx.tolist(), grads.vector.tolist()) == ([[0.1875], [-0.1875]], [-0.5, 1])


def test_without_momentum_the_averages_are_means_over_all_batches() -> None:
    net, batches = Sequential(BatchNorm1d(2, momentum=None)), RNG.normal(size=(5, 4, 2))
    params = net.init(0)
    for x in batches:
        net.track(params, x, noise={})
    np.testing.assert_allclose(params.buffers["0.running_mean"], batches.mean((0, 1)))
    variances = batches.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose(params.buffers["0.running_var"], variances)


def test_an_empty_batch_is_counted_and_changes_nothing_else() -> None:
    net = Sequential(BatchNorm1d(2))
    params = net.init(0)
    net.track(params, np.zeros((0, 2)), noise={})
    assert buffers(params) == buffers(net.init(0)) | {"num_batches_tracked": 1}
    assert net.forward(params, np.zeros((0, 2)), noise={}).shape == (0, 2)


@pytest.mark.parametrize(
    "net", [Sequential(BatchNorm1d(2)), Sequential(Residual([BatchNorm1d(2)]))]
)
def test_training_on_one_sample_is_refused(net: Sequential) -> None:
    params, (x, t) = net.init(0), (X[:1], X[:1])
    assert net.forward(params, x).shape == (1, 2)
    trainer = Trainer(net, MSELoss(), SGD())
    for call in (
        lambda: net.forward(params, x, noise={}),
        lambda: net.value_and_grad(params, MSELoss(), x, t, noise={}),
        lambda: net.track(params, x, noise={}),
        lambda: trainer.step(x, t),
        lambda: trainer.fit(np.vstack([X, x]), np.vstack([X, t]), batch_size=2),
    ):
        with pytest.raises(ShapeError, match="more than one sample"):
            call()
    assert trainer.steps == 0
    untracked = Sequential(BatchNorm1d(2, track_running_stats=False))
    with pytest.raises(ShapeError, match="more than one sample"):
        untracked.forward(untracked.init(0), x)


@pytest.mark.parametrize("options", [{"eps": 0.0}, {"momentum": 1.5}, {"num_features": 0}])
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        BatchNorm1d(**{"num_features": 2} | options)


def test_each_batch_of_a_step_is_normalised_and_tracked_by_itself() -> None:
    (x, t), trainer = BATCH, trainer_of()
    trainer.fit(x, t, batch_size=4, accumulation_steps=2, shuffle=False)
    means = x.reshape(2, 4, 2).mean(axis=1)
    expected = 0.09 * means[0] + 0.1 * means[1]
    np.testing.assert_allclose(trainer.params.buffers["0.running_mean"], expected)
    assert trainer.params.buffers["0.num_batches_tracked"] == 2
    assert trainer.steps == 1


@pytest.mark.parametrize(
    ("rule", "parts"), [(SGD(lr=1e-9), 1), (SGD(lr=1e-9), 2), (LBFGS(lr=1e-9), 1)]
)
def test_a_failed_step_leaves_the_buffers(rule: Any, parts: int) -> None:
    (x, t), trainer = (BATCH[0], BATCH[1].copy()), trainer_of(rule)
    trainer.step(x, t)
    before = trainer.params.copy()
    t[4:] *= 1e200  # so that the first of two batches is right
    with pytest.raises(DivergedError):
        trainer.fit(x, t, batch_size=8 // parts, accumulation_steps=parts, shuffle=False)
    assert trainer.params == before


def test_the_average_of_the_parameters_has_the_buffers_of_now() -> None:
    average, trainer = AveragedModel(0.5), trainer_of()
    trainer.fit(*BATCH, epochs=3, batch_size=4, callbacks=average)
    assert buffers(average.params) == buffers(trainer.params)
    average.params.buffers["0.running_mean"][...] = 9
    assert trainer.params.buffers["0.running_mean"].max() < 9


def test_copies_and_files_have_the_buffers(tmp_path: Path) -> None:
    trainer = trainer_of(momentum=0.5)
    trainer.fit(*BATCH, epochs=3, batch_size=4)
    params = trainer.params
    save(tmp_path / "model", trainer)
    for other in (
        load(tmp_path / "model").params,
        params.copy(),
        copy.deepcopy(trainer).params,
        pickle.loads(pickle.dumps(params)),  # noqa: S301 - our own bytes
        trainer.net.load_state_dict(params.state_dict()),
        params.astype(np.float64),
    ):
        assert other == params
        other.buffers["0.running_var"][0] += 1
        assert other != params
    assert params.astype(np.float32).buffers["0.running_mean"].dtype == np.float32
    assert not params.zeros_like().buffers


def test_a_training_that_was_cut_short_goes_on_with_the_buffers(tmp_path: Path) -> None:
    path, whole = tmp_path / "run", trainer_of()
    whole.fit(*BATCH, epochs=4, batch_size=4)
    trainer_of().fit(*BATCH, epochs=2, batch_size=4, callbacks=Checkpoint(path))
    again = trainer_of()
    again.fit(*BATCH, epochs=4, batch_size=4, callbacks=Checkpoint(path), resume=path)
    assert again.params == whole.params


def test_layers_in_a_residual_have_their_buffers() -> None:
    """With y = x + x̂: the buffers have the key that torch gives them."""
    net = Sequential(Residual([BatchNorm1d(2, eps=3.0)]))
    trainer = Trainer(net, MSELoss(), SGD())
    trainer.step(X, X)
    assert trainer.params.buffers["0.0.running_mean"].tolist() == [pytest.approx(0.2), 0]
    assert net.forward(net.init(0), X, noise={}).tolist() == [[0.5, 0], [3.5, 0]]


def test_prediction_of_a_trainer_and_its_loss_over_samples_take_the_averages() -> None:
    (x, t), trainer = BATCH, trainer_of()
    trainer.fit(x, t, epochs=2, batch_size=4)
    one_by_one = np.vstack([trainer.predict(row[None]) for row in x])
    np.testing.assert_allclose(trainer.predict(x), one_by_one, rtol=1e-14)
    assert trainer.evaluate(x, t) == pytest.approx(float(((one_by_one - t) ** 2).mean()))
