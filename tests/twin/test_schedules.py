"""Schedules of the learning rate are torch's bit for bit, also from a saved state."""

import json
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.optim import lr_scheduler
from toys import N, T, X, trainer

import manualnn as mnn
from manualnn import SGD, History
from manualnn.training.run import Run

Spec = tuple[str, dict[str, Any]]
"""Name and options of a schedule. A composite has specs among its options."""

RATES = st.sampled_from([0.1, 1.0, 1 / 3, 7.3, 1e-9, 0.0])
FACTORS = st.sampled_from([0.1, 0.7, 1 / 3, 1.0])
GAMMAS = st.sampled_from([0.1, 0.7, 1.3, 0.0])
COUNTS = st.integers(0, 12)
EPOCHS = 60


def one_by_one(e: int) -> float:
    return 1 / (1 + e)


def up_and_down(e: float) -> float:
    return 0.5 + (e % 3) / 4


FUNCTIONS = st.sampled_from([one_by_one, up_and_down])
MOMENTA: dict[str, Any] = {
    "cycle_momentum": st.booleans(),
    "base_momentum": st.sampled_from([0.85, 0.1, 0.3]),
    "max_momentum": st.sampled_from([0.95, 0.4]),
}
CHAINABLE: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": st.integers(1, 9), "gamma": GAMMAS},
    "MultiStepLR": {"milestones": st.lists(COUNTS, max_size=4).map(sorted), "gamma": GAMMAS},
    "ExponentialLR": {"gamma": GAMMAS},
    "PolynomialLR": {"total_iters": COUNTS, "power": st.sampled_from([1.0, 0.5, 2, 0.0, 1.7])},
    "ConstantLR": {"factor": FACTORS, "total_iters": COUNTS},
    "LinearLR": {"start_factor": FACTORS, "end_factor": GAMMAS.filter(lambda g: g <= 1),
                 "total_iters": COUNTS},
    "CosineAnnealingLR": {"T_max": st.integers(1, 40)},
    "CosineAnnealingWarmRestarts": {"T_0": st.integers(1, 9), "T_mult": st.integers(1, 3)},
    "LambdaLR": {"lr_lambda": FUNCTIONS},
    "MultiplicativeLR": {"lr_lambda": FUNCTIONS},
    "CyclicLR": {
        "base_lr": RATES,
        "max_lr": RATES,
        "step_size_up": st.integers(1, 9),
        "step_size_down": st.none() | st.integers(1, 9),
        "mode": st.sampled_from(["triangular", "triangular2", "exp_range"]),
        "gamma": st.sampled_from([1.0, 0.9]),
        "scale_fn": st.none() | FUNCTIONS,
        "scale_mode": st.sampled_from(["cycle", "iterations"]),
        **MOMENTA,
    },
    "OneCycleLR": {
        "max_lr": RATES,
        "total_steps": st.just(2 * EPOCHS),
        "pct_start": st.sampled_from([0.3, 0.1, 1 / 3, 0.0, 1.0]),
        "anneal_strategy": st.sampled_from(["cos", "linear"]),
        "div_factor": st.sampled_from([25.0, 3]),
        "final_div_factor": st.sampled_from([1e4, 0.5]),
        "three_phase": st.booleans(),
        **MOMENTA,
    },
}  # fmt: skip
OPTIONS: dict[str, dict[str, Any]] = {
    **CHAINABLE,
    "CosineAnnealingLR": {"T_max": st.integers(1, 40), "eta_min": st.sampled_from([0.0, 1e-3])},
    "CosineAnnealingWarmRestarts": {
        **CHAINABLE["CosineAnnealingWarmRestarts"],
        "eta_min": st.sampled_from([0.0, 1e-3]),
    },
    "OneCycleLR": CHAINABLE["OneCycleLR"] | {"total_steps": st.integers(1, EPOCHS)},
    "ReduceLROnPlateau": {
        "mode": st.sampled_from(["min", "max"]),
        "factor": st.sampled_from([0.1, 0.5, 0.0]),
        "patience": st.integers(0, 4),
        "threshold": st.sampled_from([1e-4, 0.3, 0.0, 1.0, 2.0]),
        "threshold_mode": st.sampled_from(["rel", "abs"]),
        "cooldown": st.integers(0, 3),
        "min_lr": st.sampled_from([0.0, 1e-3]),
        "eps": st.sampled_from([1e-8, 1e-2, 0.0]),
    },
}
LONG: list[Spec] = [
    ("StepLR", {"step_size": 7, "gamma": 0.97}),
    ("CosineAnnealingLR", {"T_max": 13, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("ReduceLROnPlateau", {"patience": 2, "factor": 0.9, "threshold": 0.5}),
    ("OneCycleLR", {"max_lr": 0.7, "total_steps": 2000}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.7, "step_size_up": 13, "mode": "triangular2"}),
    ("SequentialLR", {
        "schedulers": [
            ("LinearLR", {"total_iters": 9}),
            ("CosineAnnealingLR", {"T_max": 100}),
            ("ConstantLR", {"factor": 0.01, "total_iters": 10_000}),
        ],
        "milestones": [9, 109],
    }),
]  # fmt: skip
CYCLES = {"OneCycleLR", "CyclicLR"}
RULES: dict[str, tuple[Any, Any]] = {
    "SGD": (mnn.SGD(), torch.optim.SGD),
    "SGD with momentum": (mnn.SGD(momentum=0.9), torch.optim.SGD),
    "Adam": (mnn.Adam(), torch.optim.Adam),
    "Adam with a group": (mnn.Adam(groups=[{"params": "*.bias", "lr": 2.0}]), torch.optim.Adam),
}


class Pair(NamedTuple):
    """Learning rates of the groups, and the momentum or β₁."""

    lrs: tuple[float, ...]
    momentum: float


@st.composite
def specs(draw: st.DrawFn, name: str) -> Spec:
    if name not in {"SequentialLR", "ChainedScheduler"}:
        return name, draw(st.fixed_dictionaries(OPTIONS[name]))
    parts = draw(st.lists(st.sampled_from(sorted(CHAINABLE)), min_size=1, max_size=3))
    # torch keeps the numbers of a OneCycleLR in the optimizer, where the next cycle changes them.
    assume(
        sum(part in {"OneCycleLR", "CyclicLR"} for part in parts) < 2 or "OneCycleLR" not in parts
    )
    options: dict[str, Any] = {
        "schedulers": [(part, draw(st.fixed_dictionaries(CHAINABLE[part]))) for part in parts]
    }
    if name == "SequentialLR":
        count = len(parts) - 1
        epochs = st.lists(st.integers(0, 20), min_size=count, max_size=count)
        options["milestones"] = sorted(draw(epochs))
    return name, options


def torchs(optimizer: Any, spec: Spec) -> Any:
    """Return torch's schedule."""
    name, options = spec
    if "schedulers" not in options:
        return getattr(lr_scheduler, name)(optimizer, **options)
    parts = [torchs(optimizer, part) for part in options["schedulers"]]
    first = (parts,) if name == "ChainedScheduler" else (optimizer, parts, options["milestones"])
    return getattr(lr_scheduler, name)(*first)


class Torch:
    """torch's schedule of an optimizer without a gradient."""

    def __init__(self, spec: Spec, rule: Any, kind: Any) -> None:
        self.spec, self.rule = spec, rule
        own = {"momentum": rule.momentum} if hasattr(rule, "momentum") else {}
        groups = [{"params": [torch.zeros(1)], "lr": lr} for lr in trainer(rule=rule).lrs]
        self.optimizer = kind(groups, **own)

    def start(self) -> None:
        """Make the schedule, which sets the first rate."""
        self.schedule = torchs(self.optimizer, self.spec)

    @property
    def now(self) -> Pair:
        groups = self.optimizer.param_groups
        momenta = [g["betas"][0] if "betas" in g else g["momentum"] for g in groups]
        return Pair(tuple(group["lr"] for group in groups), momenta[0])

    def step(self, loss: float) -> Pair:
        self.optimizer.step()
        self.schedule.step(*[loss] * (self.spec[0] == "ReduceLROnPlateau"))
        return self.now


def make(spec: Spec, **more: Any) -> Any:
    name, options = spec
    if name == "ReduceLROnPlateau":
        more["monitor"] = "loss"
    if "schedulers" in options:
        options = options | {"schedulers": [make(part) for part in options["schedulers"]]}
    return getattr(mnn, name)(**options, **more)


@pytest.mark.parametrize("name", [*OPTIONS, "SequentialLR", "ChainedScheduler"])
@given(data=st.data())
def test_rates_are_torchs_also_from_a_saved_state(name: str, data: st.DataObject) -> None:
    spec, lr = data.draw(specs(name)), data.draw(RATES)
    assume(lr >= spec[1].get("eta_min", 0))
    epochs = spec[1].get("total_steps", data.draw(st.sampled_from([5, 20, EPOCHS])))
    losses = np.random.default_rng(data.draw(st.integers(0, 99))).integers(-3, 9, epochs) / 4
    rule, kind = RULES[data.draw(st.sampled_from(sorted(RULES)))]
    rule = replace(rule, lr=lr)
    interval = "epoch" if name == "ReduceLROnPlateau" else data.draw(st.sampled_from(INTERVALS))
    saved_at = data.draw(st.integers(0, epochs))
    compare(make(spec, interval=interval), Torch(spec, rule, kind), losses.tolist(), saved_at)


INTERVALS = ["epoch", "step"]


PARTS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 3, "gamma": 0.7},
    "MultiStepLR": {"milestones": [0, 2, 7], "gamma": 0.7},
    "ExponentialLR": {"gamma": 0.9},
    "PolynomialLR": {"total_iters": 9},
    "ConstantLR": {"factor": 0.7, "total_iters": 4},
    "LinearLR": {"total_iters": 6},
    "CosineAnnealingLR": {"T_max": 9},
    "CosineAnnealingWarmRestarts": {"T_0": 3},
    "LambdaLR": {"lr_lambda": one_by_one},
    "MultiplicativeLR": {"lr_lambda": up_and_down},
    "CyclicLR": {"base_lr": 0.1, "max_lr": 0.7, "step_size_up": 2, "step_size_down": 3},
    "OneCycleLR": {"max_lr": 0.7, "total_steps": 40},
}


@pytest.mark.parametrize("first", PARTS)
@pytest.mark.parametrize("name", ["ChainedScheduler", "SequentialLR"])
def test_rates_of_each_pair_are_torchs(name: str, first: str) -> None:
    rule, kind = RULES["Adam with a group"]
    for second in PARTS:
        if "OneCycleLR" in {first, second} and {first, second} <= CYCLES:
            continue  # torch keeps the numbers of one in the optimizer, where the other writes
        options: dict[str, Any] = {"schedulers": [(part, PARTS[part]) for part in (first, second)]}
        if name == "SequentialLR":
            options["milestones"] = [5]
        spec = name, options
        compare(make(spec), Torch(spec, replace(rule, lr=0.3), kind), [0.0] * 20, saved_at=7)


@pytest.mark.parametrize("spec", LONG, ids=lambda spec: spec[0])
def test_rates_are_torchs_over_a_long_run(spec: Spec) -> None:
    losses = np.cos(np.arange(2000)) / np.arange(1, 2001)
    theirs = Torch(spec, SGD(lr=0.3, momentum=0.5), torch.optim.SGD)
    compare(make(spec, interval="epoch"), theirs, losses.tolist(), saved_at=1234)


def compare(schedule: Any, theirs: Torch, losses: list[float], saved_at: int) -> None:
    ours = trainer(rule=theirs.rule)
    run = Run(ours, None, None, [])  # type: ignore[arg-type]
    try:
        theirs.start()
    except ZeroDivisionError:
        return  # a phase or a number of epochs of 0
    schedule.begin(run)
    assert now(ours) == theirs.now
    for epoch, loss in enumerate(losses):
        if epoch == saved_at:
            state = json.loads(json.dumps(schedule.state_dict()))
            schedule = make(theirs.spec, interval=schedule.interval)
            schedule.load_state_dict(state)
            schedule.begin(run)
        schedule(ours, History(loss=[loss]))
        if schedule.interval == "step":
            schedule.after_step(run)
        try:
            expected = theirs.step(loss)
        except ZeroDivisionError:
            return
        if min(expected.lrs) < 0:
            # Rounded below 0, where our rate stays at 0; later rates of torch start from there.
            assert min(ours.lrs) == 0
            return
        assert ours.lrs == expected.lrs, epoch
        if epoch + 1 < theirs.spec[1].get("total_steps", len(losses) + 1):
            assert now(ours) == expected, epoch


def now(ours: mnn.Trainer) -> Pair:
    rule: Any = ours.rule
    return Pair(ours.lrs, rule.betas[0] if hasattr(rule, "betas") else rule.momentum)


@pytest.mark.parametrize("spec", LONG, ids=lambda spec: spec[0])
def test_a_fit_uses_torchs_rates(spec: Spec) -> None:
    """Cut into two fits, of which the second continues the schedule."""
    rule = SGD(lr=0.5, momentum=0.5)
    ours, schedule = trainer(rule=rule), make(spec, interval="epoch")
    histories = [ours.fit(X, T, epochs=n, callbacks=schedule) for n in (17, 20)]
    losses = [loss for history in histories for loss in history.loss]
    theirs = Torch(spec, rule, torch.optim.SGD)
    theirs.start()
    expected = [theirs.now.lrs[0], *(theirs.step(loss).lrs[0] for loss in losses)]
    assert [lr for history in histories for lr in history.lr] == expected[:-1]
    assert ours.lr == expected[-1]
    assert len(set(expected)) > 2


def test_another_trainer_starts_a_schedule_anew() -> None:
    schedule = mnn.StepLR(2)
    trainer(rule=SGD(lr=0.5)).fit(X, T, epochs=5, callbacks=schedule)
    other = trainer(rule=SGD(lr=0.25)).fit(X[:N], T, epochs=1, callbacks=schedule)
    assert (other.lr, schedule.base_lr, schedule.last_epoch) == ([0.25], 0.25, 1)


@pytest.mark.parametrize("name", ["SGD", "SGD with momentum", "Adam"])
def test_a_schedule_of_steps_trains_as_torchs(name: str) -> None:
    """Parameters after steps with cycled rates and momenta, within their rounding."""
    rule, kind = RULES[name]
    own = {"momentum": rule.momentum} if hasattr(rule, "momentum") else {}
    x, t = torch.tensor(X), torch.tensor(T)
    theirs = torch.nn.Linear(X.shape[1], T.shape[1], dtype=torch.float64)
    net = mnn.Sequential(mnn.Linear(X.shape[1], T.shape[1]))
    start = {f"0.{key}": value.detach().numpy() for key, value in theirs.named_parameters()}
    ours = mnn.Trainer(net, mnn.MSELoss(), rule, params=net.load_state_dict(start))
    schedule = mnn.OneCycleLR(0.1, epochs=4)  # as many steps as the training has
    history = ours.fit(X, T, epochs=4, batch_size=5, shuffle=False, callbacks=schedule)
    optimizer = kind(theirs.parameters(), lr=rule.lr, **own)
    batches = -(-len(X) // 5)
    cycle = lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=4, steps_per_epoch=batches)
    rates = []
    for _ in range(4):
        for first in range(0, len(X), 5):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(
                theirs(x[first : first + 5]), t[first : first + 5]
            ).backward()
            optimizer.step()
            last = optimizer.param_groups[0]["lr"]
            cycle.step()
        rates.append(last)
    assert history.lr == rates
    for key, value in theirs.named_parameters():
        # 4 × batches steps, each with a handful of roundings of numbers below 10
        bound = 4 * batches * 100 * 2**-53 * 10
        assert np.abs(ours.params[f"0.{key}"] - value.detach().numpy()).max() < bound
