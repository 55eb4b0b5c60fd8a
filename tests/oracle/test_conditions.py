"""A condition is stated only if fresh cases on both sides agree with it."""

# ruff: noqa: ARG001, ARG005 - a predicate takes all arguments of the method that it is about

from functools import partial

import numpy as np
import pytest
from oracle.test_diagnose import case
from rotation import share

from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.conditions.outcome import BehaviourJudge, NumbersJudge
from manualnn.oracle.diagnosis.conditions.rules import find_range
from manualnn.oracle.diagnosis.conditions.search import find_condition
from manualnn.oracle.diagnosis.observation import observe
from manualnn.oracle.engines.client import connect
from manualnn.oracle.textbook.engine import Textbook

CLASSES = {"type": "CrossEntropyLoss"}
DEEP = {"widths": (4, 6, 3), "curve": "Tanh"}


def wrong_where(method, applies, factor=1.5):
    """Return an engine whose method gives a multiple of the right array where a mask holds."""

    def wrong(e, *given):
        right = getattr(Textbook, method)(e, *given)
        mask = applies(e, *given)
        if isinstance(right, dict):
            return {key: np.where(mask, g * factor, g) for key, g in right.items()}
        return np.where(mask, right * factor, right)

    return with_method(method, wrong)


def only_update(applies):
    """Return an engine that halves the updates of some options."""

    def updated(e, o, key, p, g, s):  # noqa: PLR0917 - the arguments of the method
        new = Textbook.updated(e, o, key, p, g, s)
        return p + (new - p) / 2 if applies(e, o) else new

    return with_method("updated", updated)


WITHOUT = case().but(
    layers=({**case().layers[0], "bias": False},), params={"0.weight": np.ones((3, 4))}
)
MOVING = case(optimizer={"type": "SGD", "lr": 0.1, "momentum": 0.5})


def with_method(name, method):
    return type("Wrong", (Textbook,), {name: method})


def clipped(method, limit):
    def wrong(e, *given):
        return np.clip(getattr(Textbook, method)(e, *given), -limit, limit)

    return with_method(method, wrong)


def tanh_by_exp(e, o, z):
    return (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z))


def linear(e):
    return [layer.i for layer in e.layers if layer.type == "Linear"]


grads = partial(wrong_where, "linear_grads")
slopes = partial(wrong_where, "mse_slopes")
classes = partial(wrong_where, "cross_entropy_slopes")


def large(c, factor=1e3):
    return c.map(lambda name, a: a * factor if name == "x" else a)


def condition(engine, first):
    with connect(engine) as bench, np.errstate(all="ignore"):
        own = observe(bench, [first])
        assert own.is_wrong
        return find_condition(NumbersJudge(bench, own, Budget(20)), first, bench.capabilities)


CONDITIONAL = [
    (grads(lambda e, o, x, dz: len(x) > 5), case(n=9), "only when N is greater than 5"),
    (grads(lambda e, o, x, dz: len(linear(e)) > 1), case(**DEEP), "Linear layers is greater than"),
    (grads(lambda e, o, x, dz: o.i == 0), case(**DEEP), "only in the first Linear layer"),
    (grads(lambda e, o, x, dz: o.i == linear(e)[-1]), case(), "only in the last Linear layer"),
    (wrong_where("linear_dW", lambda e, o, x, dz: not o.bias), WITHOUT, "only without a bias"),
    (grads(lambda e, *_: e.kind == np.float32), case(dtype="float32"), "only in float32"),
    (slopes(lambda e, o, y, t: t < 0), case(), "only where a target is negative"),
    (
        slopes(lambda e, o, y, t: t == 0),
        case().map(lambda name, a: a * 0 if name == "t" else a),
        "only where a target is exactly 0",
    ),
    (
        classes(lambda e, o, y, t: (t == y.shape[1] - 1)[:, None]),
        case(loss=CLASSES).but(t=np.array([0, 1, 2, 2, 1])),
        "only for targets of the last class",
    ),
    (only_update(lambda e, o: o.lr > 0.5), case(), "only when lr is greater than 0.5"),
    (only_update(lambda e, o: o.momentum), MOVING, "only with momentum other than 0"),
    (clipped("linear", 100), large(case()), "|truth| is greater than 100: got is ±100 there"),
    (clipped("linear_dW", 1), case(), "|truth| is greater than 1: got is ±1 there"),
    (
        wrong_where("tanh", lambda e, o, z: z > 3, 0.9),
        large(case(**DEEP), 20),
        "only where the input of Tanh is greater than 3",
    ),
]  # fmt: skip


SOME = share(CONDITIONAL, 3)


@pytest.mark.parametrize(("engine", "first", "expected"), SOME, ids=[text for *_, text in SOME])
def test_the_condition_of_a_failure_is_found(engine, first, expected):
    assert expected in condition(engine, first)


UNCONDITIONAL = {
    "a factor": (wrong_where("linear_db", lambda *_: True, 0.5), case()),
    "update": (only_update(lambda *_: True), case()),
    "a cube": (with_method("linear_db", lambda e, o, dz: dz.sum(axis=0) ** 3), case()),
    "overflow": (with_method("tanh", tanh_by_exp), large(case(**DEEP), 1e6)),
}


@pytest.mark.parametrize(("engine", "first"), UNCONDITIONAL.values(), ids=UNCONDITIONAL)
def test_a_failure_without_a_condition_gets_none(engine, first):
    found = condition(engine, first)
    assert found in {"", "only where |the input of Tanh| is greater than 710"}


def test_a_case_without_a_bound_or_with_a_true_0_does_not_pass():
    engine = wrong_where("linear_grads", lambda *_: True, 1.1)
    with connect(engine) as bench, np.errstate(all="ignore"):
        judge = NumbersJudge(bench, observe(bench, [case()]), Budget(20))
        assert judge(case(n=3)) is True
    dead = case().map(lambda name, a: a * 0 if name in {"x", "t"} or "bias" in name else a)
    with connect(Textbook) as judge.bench, np.errstate(all="ignore"):
        assert judge(case(n=3)) is False
        assert judge(large(case(), 1e300)) is None
        assert judge(dead) is None


@pytest.mark.parametrize(
    ("fails", "text"),
    [
        (lambda v: v > 0.5, "v is greater than 0.5"),
        (lambda v: v < 0, "v is negative"),
        (lambda v: abs(v) > 4, "|v| is greater than 4"),
        (lambda v: v == 0, "v is 0"),
        (lambda v: True if 3 < v < 9 else None if 9 <= v < 40 else False, "v is greater than 3"),
        (lambda v: True, None),
        (lambda v: None if v > 2 else False, None),
    ],
)
def test_a_range_has_the_roundest_end_that_the_outcomes_allow(fails, text):
    values = [0.0, *(s * v for v in (0.1, 0.7, 2.0, 5.0, 8.0, 50.0) for s in (1, -1))]
    rule = find_range("v", {v: fails(v) for v in sorted(values)}, fails)
    assert (rule and rule.text) == text


@pytest.mark.parametrize(("ordinary", "expected"), [(False, "only with small numbers"), (None, "")])
def test_numbers_are_a_condition_only_where_ordinary_ones_are_known_to_pass(ordinary, expected):
    """An outcome may be unknown because time ran out, or because another quantity is wrong."""

    def shows(case):
        size = np.abs(case.x).max()
        return True if size < 2**-20 else False if size > 2**20 else ordinary

    small = case().map(lambda name, a: a * 2.0**-30 if name == "x" else a)
    with connect(Textbook) as bench:
        found = find_condition(BehaviourJudge(bench, Budget(20), shows), small, bench.capabilities)
    assert found.startswith(expected) if expected else not found
