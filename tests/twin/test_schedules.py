"""Schedules of the learning rate are torch's bit for bit, also from a saved state."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.optim import lr_scheduler
from toys import N, T, X, trainer

import manualnn
from manualnn import SGD, History
from manualnn.training.run import Run

RATES = st.sampled_from([0.1, 1.0, 1 / 3, 7.3, 1e-9, 0.0])
OPTIONS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": st.integers(1, 9), "gamma": st.sampled_from([0.1, 0.7, 1.3, 0.0])},
    "CosineAnnealingLR": {"T_max": st.integers(1, 40), "eta_min": st.sampled_from([0.0, 1e-3])},
    "ReduceLROnPlateau": {
        "mode": st.sampled_from(["min", "max"]),
        "factor": st.sampled_from([0.1, 0.5, 0.0]),
        "patience": st.integers(0, 4),
        "threshold": st.sampled_from([1e-4, 0.3, 0.0]),
        "threshold_mode": st.sampled_from(["rel", "abs"]),
        "cooldown": st.integers(0, 3),
        "min_lr": st.sampled_from([0.0, 1e-3]),
        "eps": st.sampled_from([1e-8, 1e-2, 0.0]),
    },
}


LONG: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 7, "gamma": 0.97}),
    ("CosineAnnealingLR", {"T_max": 13, "eta_min": 0.01}),
    ("ReduceLROnPlateau", {"patience": 2, "factor": 0.9, "threshold": 0.5}),
]


class Torch:
    """torch's schedule of an optimizer without a gradient."""

    def __init__(self, name: str, options: dict[str, Any], lr: float) -> None:
        self.optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
        self.schedule = getattr(lr_scheduler, name)(self.optimizer, **options)
        self.needs_loss = name == "ReduceLROnPlateau"

    def step(self, loss: float) -> float:
        self.optimizer.step()
        self.schedule.step(*[loss] * self.needs_loss)
        return float(self.optimizer.param_groups[0]["lr"])


def make(name: str, options: dict[str, Any]) -> Any:
    watches = {"monitor": "loss"} if name == "ReduceLROnPlateau" else {}
    return getattr(manualnn, name)(**options, **watches)


@pytest.mark.parametrize("name", OPTIONS)
@given(data=st.data())
def test_rates_are_torchs_also_from_a_saved_state(name: str, data: st.DataObject) -> None:
    options, lr = data.draw(st.fixed_dictionaries(OPTIONS[name])), data.draw(RATES)
    assume(lr >= options.get("eta_min", 0))
    epochs = data.draw(st.sampled_from([5, 20, 60]))
    losses = np.random.default_rng(data.draw(st.integers(0, 99))).integers(-3, 9, epochs) / 4
    compare(name, options, lr, losses.tolist(), saved_at=data.draw(st.integers(0, epochs)))


@pytest.mark.parametrize(("name", "options"), LONG)
def test_rates_are_torchs_over_a_long_run(name: str, options: dict[str, Any]) -> None:
    losses = np.cos(np.arange(2000)) / np.arange(1, 2001)
    compare(name, options, 0.3, losses.tolist(), saved_at=1234)


def compare(
    name: str, options: dict[str, Any], lr: float, losses: list[float], saved_at: int
) -> None:
    ours, theirs, schedule = trainer(rule=SGD(lr=lr)), Torch(name, options, lr), make(name, options)
    run = Run(ours, None, None, [])  # type: ignore[arg-type]
    schedule.begin(run)
    for epoch, loss in enumerate(losses):
        if epoch == saved_at:
            state = json.loads(json.dumps(schedule.state_dict()))
            schedule = make(name, options)
            schedule.begin(run)
            schedule.load_state_dict(state)
        schedule(ours, History(loss=[loss]))
        assert ours.lr == theirs.step(loss), epoch


@pytest.mark.parametrize(("name", "options"), LONG)
def test_a_fit_uses_torchs_rates(name: str, options: dict[str, Any]) -> None:
    """Cut into two fits, of which the second continues the schedule."""
    ours, schedule = trainer(rule=SGD(lr=0.5)), make(name, options)
    histories = [ours.fit(X, T, epochs=n, callbacks=schedule) for n in (17, 20)]
    losses = [loss for history in histories for loss in history.loss]
    theirs = Torch(name, options, 0.5)
    expected = [0.5, *map(theirs.step, losses)]
    assert [lr for history in histories for lr in history.lr] == expected[:-1]
    assert ours.lr == expected[-1]
    assert len(set(expected)) > 2
    other = trainer(rule=SGD(lr=0.25)).fit(X[:N], T, epochs=1, callbacks=schedule)
    assert (other.lr, schedule.base_lr, schedule.last_epoch) == ([0.25], 0.25, 1)
