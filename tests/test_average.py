"""AveragedModel: the average of the parameters over the steps, saved and resumed."""

import copy
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import NET, N, T, X, trainer

from manualnn import AveragedModel, Checkpoint, SpecError
from manualnn.training.run import Run

U = 2.0**-53


def by_hand(decay: float, epochs: int, **options: Any) -> tuple[list[Fraction], list[Any]]:
    """Return the average of the parameters after each step, in fractions, and the parameters."""
    ours, seen = trainer(), []

    def keep(run: Any) -> None:
        seen.append(run.trainer.params.vector.copy())

    watcher = AveragedModel()
    watcher.after_step = keep  # type: ignore[method-assign]
    ours.fit(X, T, epochs=epochs, callbacks=watcher, **options)
    average = [Fraction(v) for v in seen[0]]
    share = Fraction(1 - decay)
    for theta in seen[1:]:
        average = [a + share * (Fraction(v) - a) for a, v in zip(average, theta, strict=True)]
    return average, seen


@pytest.mark.parametrize("decay", [0.0, 0.1, 0.5, 0.9, 0.999, 1.0])
def test_the_average_is_that_of_all_steps(decay: float) -> None:
    """Each step rounds 3 times, relative to the sizes of θ and θ̄."""
    options: dict[str, Any] = {"batch_size": 5}
    expected, seen = by_hand(decay, 4, **options)
    average = AveragedModel(decay)
    trainer().fit(X, T, epochs=4, callbacks=average, **options)
    assert average.n_averaged == len(seen) == 20
    largest = np.max(np.abs(seen), axis=0)
    error = [abs(Fraction(a) - e) for a, e in zip(average.params.vector, expected, strict=True)]
    assert (np.array(error, float) <= 4 * len(seen) * U * largest).all()


def test_an_average_may_replace_the_parameters_and_predicts() -> None:
    plain, replacing = AveragedModel(0.5), AveragedModel(0.5, replaces=True)
    ours, other = trainer(), trainer()
    ours.fit(X, T, epochs=3, callbacks=plain)
    other.fit(X, T, epochs=3, callbacks=replacing)
    assert ours.params != plain.params == replacing.params == other.params
    y = NET.forward(plain.params, X)
    np.testing.assert_array_equal(y, other.predict(X))


def test_a_second_fit_goes_on_and_another_trainer_starts_anew() -> None:
    whole, cut = AveragedModel(0.9), AveragedModel(0.9)
    ours, other = trainer(), trainer()
    ours.fit(X, T, epochs=5, callbacks=whole)
    for epochs in (2, 3):
        other.fit(X, T, epochs=epochs, callbacks=cut)
    assert whole.params == cut.params
    trainer(seed=7).fit(X, T, epochs=1, callbacks=cut)
    assert cut.n_averaged == 1


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_resumed_training_has_the_same_average_bit_for_bit(epochs: int, tmp_path: Path) -> None:
    path, options = tmp_path / "checkpoint", {"batch_size": 5}
    whole = AveragedModel(0.9)
    trainer().fit(X, T, epochs=4, callbacks=whole, **options)
    first = [Checkpoint(path), AveragedModel(0.9)]
    trainer().fit(X, T, epochs=epochs, callbacks=first, **options)
    average = AveragedModel(0.9)
    trainer().fit(X, T, epochs=4, callbacks=[Checkpoint(path), average], resume=path, **options)
    assert average.params == whole.params
    assert average.n_averaged == whole.n_averaged


def test_the_state_goes_through_json_and_a_copy() -> None:
    average = AveragedModel(0.9)
    ours = trainer()
    ours.fit(X, T, epochs=2, callbacks=average)
    state = average.state_dict()
    json.dumps(state | {"vector": state["vector"].tolist()})
    again = copy.deepcopy(average)
    other = AveragedModel(0.9)
    other.load_state_dict(state)
    run = Run(ours, None, None, [], is_resumed=True)  # type: ignore[arg-type]
    for one in (average, again, other):
        one.begin(run)
        one.after_step(run)
    assert average.params == other.params
    np.testing.assert_array_equal(again.vector, average.vector)


def test_what_cannot_be_meant_is_refused() -> None:
    for decay in (-0.1, 1.1, "0.9", None):
        with pytest.raises(SpecError, match="decay"):
            AveragedModel(decay)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="no average before the first step"):
        _ = AveragedModel().params
    average = AveragedModel()
    average.load_state_dict({"n_averaged": 1, "vector": np.zeros(3)})
    run = Run(trainer(), None, None, [], is_resumed=True)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="the average has 3 parameters"):
        average.begin(run)
    assert len(X) == N
