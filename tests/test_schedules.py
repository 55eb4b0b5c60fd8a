"""Schedules follow the formulas of their papers; torch computes most of them epoch by epoch.

Every expected rate is written out as a function of the epoch. A rate that follows from the one
before has a few roundings for each epoch, and π its own, which the bound covers.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest
from toys import T, X, trainer

import manualnn as mnn
from manualnn import SGD, Adagrad, Adam, SpecError, Trainer
from manualnn.training.schedules import SCHEDULES, schedule_from_spec

EPOCHS = 12
LR = 0.25


def triangle(i: int) -> float:
    """Height in a cycle of 2 steps up and 3 down."""
    return [0, 1 / 2, 1, 2 / 3, 1 / 3][i % 5]


def wave(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def one_cycle(i: int, first: float, top: float, last: float) -> float:
    """12 steps, of which a quarter rises: to the third step, number 2."""
    return wave(first, top, i / 2) if i <= 2 else wave(top, last, (i - 2) / 9)


def three_phases(i: int, first: float, top: float, last: float) -> float:
    """12 steps: 2 × 12/4 − 2 = 4 is the end of the fall to the first value."""
    if i > 4:
        return first + (last - first) * (i - 4) / 7
    return first + (top - first) * (i / 2 if i <= 2 else (4 - i) / 2)


FORMULAS: list[tuple[Any, Callable[[int], float]]] = [
    (mnn.StepLR(3, gamma=0.5), lambda e: LR * 0.5 ** (e // 3)),
    (mnn.MultiStepLR([2, 5, 5, 9], gamma=0.5), lambda e: LR * 0.5 ** sum(m <= e for m in MARKS)),
    (mnn.MultiStepLR([0, 3]), lambda e: LR * (0.1 if e < 3 else 0.01)),
    (mnn.ExponentialLR(0.9), lambda e: LR * 0.9**e),
    (mnn.PolynomialLR(8, power=2.5), lambda e: LR * max(1 - e / 8, 0) ** 2.5),
    (mnn.ConstantLR(0.5, total_iters=4), lambda e: LR * (0.5 if e < 4 else 1)),
    (mnn.LinearLR(0.25, 0.75, 6), lambda e: LR * (0.25 + 0.5 * min(e / 6, 1))),
    (mnn.CosineAnnealingLR(8, eta_min=0.01), lambda e: wave(LR, 0.01, e / 8)),
    (
        mnn.CosineAnnealingWarmRestarts(2, T_mult=2, eta_min=0.01),  # waves of 2, 4 and 8
        lambda e: wave(LR, 0.01, [0, 1 / 2, 0, 1 / 4, 1 / 2, 3 / 4, *(k / 8 for k in range(8))][e]),
    ),
    (mnn.LambdaLR(lambda e: 1 / (1 + e)), lambda e: LR / (1 + e)),
    (mnn.MultiplicativeLR(lambda e: e / (1 + e)), lambda e: LR / (1 + e)),
    (
        mnn.CyclicLR(0.1, 0.7, 2, 3, cycle_momentum=False),
        lambda i: 0.1 + 0.6 * triangle(i),
    ),
    (
        mnn.CyclicLR(0.1, 0.7, 2, 3, mode="triangular2", cycle_momentum=False),
        lambda i: 0.1 + 0.6 * triangle(i) / 2 ** (i // 5),
    ),
    (
        mnn.CyclicLR(0.1, 0.7, 2, 3, mode="exp_range", gamma=0.9, cycle_momentum=False),
        lambda i: 0.1 + 0.6 * triangle(i) * 0.9**i,
    ),
    (
        mnn.CyclicLR(0.1, 0.7, 2, 3, scale_fn=lambda c: 1 / c, cycle_momentum=False),
        lambda i: 0.1 + 0.6 * triangle(i) / (i // 5 + 1),
    ),
    (
        mnn.OneCycleLR(0.5, EPOCHS, pct_start=0.25, cycle_momentum=False),
        lambda i: one_cycle(i, 0.02, 0.5, 0.02 / 1e4),
    ),
    (
        mnn.OneCycleLR(
            0.5, epochs=EPOCHS, pct_start=0.25, anneal_strategy="linear", cycle_momentum=False,
            three_phase=True, div_factor=5, final_div_factor=10,
        ),
        lambda i: three_phases(i, 0.1, 0.5, 0.01),
    ),
    (
        mnn.SequentialLR([mnn.LinearLR(0.5, 1, 3), mnn.ExponentialLR(0.9), mnn.ConstantLR(0.1)],
                         [3, 7]),
        lambda e: LR * (0.5 + e / 6 if e < 3 else 0.9 ** (e - 3) if e < 7 else
                        0.1 if e < 12 else 1),
    ),
    (
        mnn.ChainedScheduler([mnn.ConstantLR(0.5, total_iters=4), mnn.ExponentialLR(0.9)]),
        lambda e: LR * (0.5 if e < 4 else 1) * 0.9**e,
    ),
]  # fmt: skip
MARKS = (2, 5, 5, 9)


def fit(schedule: Any, rule: Any = None) -> list[float]:
    return trainer(rule=rule or SGD(lr=LR)).fit(X, T, epochs=EPOCHS, callbacks=schedule).lr


@pytest.mark.parametrize(("schedule", "formula"), FORMULAS, ids=lambda v: type(v).__name__)
def test_schedules_follow_their_formulas(schedule: Any, formula: Callable[[int], float]) -> None:
    expected = [formula(e) for e in range(EPOCHS)]
    assert fit(schedule) == pytest.approx(expected, rel=EPOCHS * 16 * 2**-53, abs=1e-15)


def test_each_group_has_a_schedule_of_its_own_rate() -> None:
    """Down to the same eta_min, from its own rate at the beginning."""
    rule = SGD(lr=LR, groups=[{"params": "*.bias", "lr": 3 * LR}])
    rates: list[tuple[float, ...]] = []
    schedule = mnn.CosineAnnealingWarmRestarts(4, eta_min=0.01)
    callbacks = [schedule, lambda ours, _: rates.append(ours.lrs)]
    trainer(rule=rule).fit(X, T, epochs=7, callbacks=callbacks)
    for i, lrs in enumerate(rates):
        expected = [wave(lr, 0.01, (i + 1) % 4 / 4) for lr in (LR, 3 * LR)]
        assert lrs == pytest.approx(expected, rel=1e-15)


def test_momentum_goes_the_other_way() -> None:
    """Between 0.95 and 0.85 as the rate between its lowest and its highest."""
    momenta: list[tuple[float, float]] = []
    heights: list[float] = []
    for rule in (Adam(), SGD(momentum=0.5)):
        ours = trainer(rule=rule)
        cycle = mnn.CyclicLR(0.1, 0.5, 2, 3, base_momentum=0.85, max_momentum=0.95)

        def note(ours: Trainer, _: Any) -> None:
            rule: Any = ours.rule
            momenta.append(rule.betas[0] if hasattr(rule, "betas") else rule.momentum)
            heights.append((rule.lr - 0.1) / 0.4)

        ours.fit(X, T, epochs=EPOCHS, callbacks=[cycle, note])
    assert momenta == pytest.approx([0.95 - 0.1 * height for height in heights], rel=1e-15)
    assert len(set(momenta)) > 3
    assert heights[: EPOCHS - 1] == pytest.approx(
        [triangle(i) for i in range(1, EPOCHS)], abs=1e-14
    )


def test_a_rule_without_momentum_gets_one_with_its_buffer() -> None:
    """As torch's SGD: momentum 0 becomes max_momentum, and 0.95 of the last step is added."""
    ours, theirs = (trainer(rule=SGD(lr=0.5, momentum=m)) for m in (0, 0.25))
    for one in (ours, theirs):
        one.fit(X, T, epochs=5, callbacks=mnn.OneCycleLR(0.5, epochs=5))
    assert ours.params == theirs.params
    assert "momentum_buffer" in ours.state


def test_an_interval_of_steps_counts_batches() -> None:
    batches = 3
    size = -(-len(X) // batches)
    ours = trainer(rule=SGD(lr=LR))
    schedule = mnn.ExponentialLR(0.5, interval="step")
    history = ours.fit(X, T, epochs=2, batch_size=size, callbacks=schedule)
    assert (schedule.last_epoch, ours.lr) == (2 * batches, LR / 2 ** (2 * batches))
    assert history.lr == [LR / 2 ** (batches - 1), LR / 2 ** (2 * batches - 1)]


def test_one_cycle_counts_the_batches_of_the_training() -> None:
    cycle = mnn.OneCycleLR(0.5, epochs=3)
    history = trainer().fit(X, T, epochs=3, batch_size=5, callbacks=cycle)
    assert cycle.last_epoch == 3 * -(-len(X) // 5)
    assert history.lr[-1] == pytest.approx(0.5 / 25 / 1e4)


JSON = [schedule for schedule, _ in FORMULAS if "<function" not in repr(schedule)]


@pytest.mark.parametrize("schedule", [*JSON, mnn.ReduceLROnPlateau(monitor="loss")], ids=repr)
def test_the_json_form_makes_the_same_schedule(schedule: Any) -> None:
    again = schedule_from_spec(schedule.spec())
    assert repr(again) == repr(schedule)
    assert again.spec() == schedule.spec()
    assert set(SCHEDULES) >= {schedule.spec()["type"]}


LINEAR = mnn.LinearLR()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mnn.StepLR(2, interval="batch"), "interval must be one of epoch, step"),
        (lambda: mnn.MultiStepLR([3, 2]), r"increasing order, such as \[30, 80\], got \[3, 2\]"),
        (lambda: mnn.MultiStepLR([1.5]), "each milestone must be an integer of at least 0"),
        (lambda: mnn.MultiStepLR(3), "milestones must be a list of epochs"),
        (lambda: mnn.ConstantLR(0), "factor must be above 0 and at most 1, got 0"),
        (lambda: mnn.LinearLR(1.5), "start_factor must be above 0 and at most 1, got 1.5"),
        (lambda: mnn.LinearLR(end_factor=2), "end_factor must be at most 1, got 2"),
        (lambda: mnn.PolynomialLR(-1), "total_iters must be an integer of at least 0, got -1"),
        (lambda: mnn.CosineAnnealingWarmRestarts(0), "T_0 must be an integer of at least 1"),
        (lambda: mnn.LambdaLR(0.5), "lr_lambda must be a function such as lambda e: .* got 0.5"),
        (lambda: fit(mnn.LambdaLR(lambda e: -e)), r"lr_lambda\(1\) must be a number of at least 0"),
        (lambda: mnn.LambdaLR(abs).spec(), "LambdaLR has no JSON form, because it holds a funct"),
        (lambda: mnn.CyclicLR(0, 1, scale_fn=abs).spec(), "CyclicLR with scale_fn has no JSON"),
        (lambda: mnn.OneCycleLR(0.1), "needs total_steps, or epochs and steps_per_epoch"),
        (lambda: mnn.OneCycleLR(0.1, 9, pct_start=2), "pct_start must be from 0 to 1 .* got 2"),
        (lambda: fit(mnn.OneCycleLR(0.1, 4)), "was made for 4 steps, got step 5; set total_steps"),
        (lambda: fit(mnn.OneCycleLR(0.1, 99), Adagrad()), "Adagrad has neither; pass cycle_moment"),
        (lambda: mnn.SequentialLR([], []), "expects at least one schedule"),
        (lambda: mnn.SequentialLR([LINEAR], [3]), "one milestone between .* 0, got 1"),
        (lambda: mnn.ChainedScheduler([mnn.ReduceLROnPlateau()]), "neither ReduceLROnPlateau nor"),
        (
            lambda: mnn.SequentialLR([LINEAR, mnn.ChainedScheduler([LINEAR])], [3]),
            "another one that it cannot start",
        ),
        (lambda: mnn.ReduceLROnPlateau(interval="step"), "needs interval='epoch'"),
        (
            lambda: mnn.ChainedScheduler([LINEAR]).load_state_dict({"last_epoch": 1}),
            "must have the states of 1 schedulers, got None",
        ),
        (lambda: schedule_from_spec({"type": "StepLr"}), "did you mean 'StepLR'"),
    ],
)
def test_wrong_schedules_are_refused(make: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make()
