"""Planned steps: recorded NumPy calls, correct for any batch, loss and rate that comes next."""

import copy
import gc
import pickle
import weakref
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from examples_of_layers import STILL, example
from rotation import profile
from toys import CLASSES, MOMENTUM, NET, RULES, ByHand, T, X, trainer

from manualnn import (
    LAYERS,
    SGD,
    Adam,
    AdamW,
    BCELoss,
    CrossEntropyLoss,
    DivergedError,
    DomainError,
    HuberLoss,
    L1Loss,
    Linear,
    MSELoss,
    Optimizer,
    Parameters,
    RMSprop,
    Sequential,
    ShapeError,
    Sigmoid,
    Trainer,
)
from manualnn.engine import TrainerEngine
from manualnn.layers import Layer
from manualnn.network.workspace import Workspace
from manualnn.oracle import check_engine
from manualnn.oracle.profiles import PROFILES
from manualnn.tracing import Call
from manualnn.training.step_plan import StepPlan

Array = np.ndarray[Any, Any]


def planned(net: Sequential, loss: Any, x: Array, t: Array) -> StepPlan:
    params = net.init(0, x.dtype)
    buffers = Workspace(net.layers, net.widths(x.shape[1]), x.dtype, len(x)).buffers(len(x))
    arrays, grads = net.layer_arrays(params), params.zeros_like()
    return StepPlan(net.layers, loss, x, t, arrays=arrays, grads=grads, buffers=buffers)


@pytest.mark.parametrize("kind", ["Identity", "Sigmoid", "Tanh", "ReLU", "Softmax", "LogSoftmax"])
def test_the_kernels_are_nothing_but_calls_of_numpy(kind: str) -> None:
    """Else a step costs more than its calls, and no other test would see it."""
    plan = planned(Sequential(Linear(3, 4), LAYERS[kind](), Linear(4, 2)), MSELoss(), X, T)
    functions = {call.function for call in plan.calls}
    assert all(isinstance(f, np.ufunc) or f in {np.dot, np.add.reduce, np.maximum.reduce}
               for f in functions)  # fmt: skip


def test_the_article_s_step_takes_no_more_calls_than_its_formulas() -> None:
    """5 products, 2 sums; 2 biases, σ in 4 and its slope in 3; y − t, its square, 2/D."""
    net = Sequential(Linear(3, 2), Sigmoid(), Linear(2, 2))
    assert len(planned(net, MSELoss("sum"), X[:1], T[:1]).calls) <= 5 + 2 + 2 + 4 + 3 + 3 + 1


@pytest.mark.parametrize("kind", [name for name in LAYERS if name != "Linear"])
def test_a_planned_step_of_many_units_is_that_of_the_kernels(kind: str) -> None:
    """From tracing.LARGE on, a call has other operands; the numbers are the same, bit for bit."""
    layer = example(kind, 90, **STILL.get(kind, {}))
    net = Sequential(Linear(3, 90), layer, Linear(layer.width(90), 5))
    rng = np.random.default_rng(0)
    loss, first, last = CrossEntropyLoss(), np.zeros((100, 3)), rng.normal(size=(100, 3))
    t = rng.integers(0, 5, 100)
    step = Trainer(net, loss, SGD(lr=1.0))
    step.step(first, t)
    before = step.params.copy()
    step.step(last, t)
    grads = net.value_and_grad(before, loss, last, t, noise=net.sample(0, last))[1]
    assert np.array_equal(step.params.vector, before.vector - grads.vector)


def test_another_loss_is_what_the_next_step_makes_small() -> None:
    ours = trainer()
    hand = ByHand(ours)
    for loss in (MSELoss(), L1Loss(), MSELoss("sum"), HuberLoss()):
        ours.loss = hand.loss = loss
        for _ in range(2):
            assert ours.step(X, T) == hand.step(X, T)
            assert ours.params == hand.params


def test_another_rate_is_what_the_next_step_goes_by() -> None:
    ours = trainer(rule=SGD(lr=0.5))
    hand = ByHand(ours)
    for power in (1, 5, 5, 2, 9):
        ours.lr = 2.0**-power
        hand.rule = ours.rule
        assert ours.step(X, T) == hand.step(X, T)
        assert ours.params == hand.params
        assert ours.state == hand.state


def test_numbers_that_change_in_the_same_arrays_are_seen() -> None:
    ours = trainer()
    hand = ByHand(ours)
    x, t = X.copy(), T.copy()
    for _ in range(4):
        assert ours.step(x, t) == hand.step(x, t)
        x += 1
        t *= 2


def test_classes_that_change_in_the_same_array_are_checked_again() -> None:
    ours = trainer(CrossEntropyLoss())
    classes = CLASSES.copy()
    ours.step(X, classes)
    classes[5] = 2
    with pytest.raises(DomainError, match=r"t\[5\] = 2"):
        ours.step(X, classes)


def test_inputs_may_be_the_targets() -> None:
    net = Sequential(Linear(3, 2), Sigmoid(), Linear(2, 3))
    ours = Trainer(net, MSELoss(), MOMENTUM)
    hand = ByHand(ours)
    for x, t in ((X, X), (X + 1, X), (X, X + 2), (X, X)):
        assert ours.step(x, t) == hand.step(x, t)
        assert ours.params == hand.params


def test_an_output_outside_of_the_domain_is_refused_in_every_step() -> None:
    ours = Trainer(Sequential(Linear(1, 1, bias=False)), BCELoss(), SGD(lr=0.0))
    ours.params["0.weight"][...] = 0.5
    ours.step([[1.0]], [[1.0]])
    ours.params["0.weight"][...] = 1.5
    with pytest.raises(DomainError):
        ours.step([[1.0]], [[1.0]])


@dataclass(frozen=True, slots=True)
class Looks(Layer):
    """A layer of somebody else's: it looks at the numbers, and returns an array of its own."""

    def forward(self, _params: Any, x: Array, /, *, out: Array | None = None) -> Array:  # noqa: ARG002
        return x * 2 if x.sum() > 0 else x * 3

    def backward(
        self,
        _params: Any,
        x: Array,
        _y: Array,
        dy: Array,
        /,
        *,
        out: Array | None = None,  # noqa: ARG002
    ) -> Array:
        return dy * 2 if x.sum() > 0 else dy * 3


@dataclass(frozen=True)
class Own(MSELoss):
    """A loss of somebody else's, which is not what it looks like either."""

    def forward_and_backward(
        self,
        y: Array,
        t: Array,
        /,
        *,
        out: Array | None = None,  # noqa: ARG002
    ) -> tuple[Any, Array]:
        factor = 3 if y.max() > 1 else 1
        return factor * self.forward(y, t), factor * self.backward(y, t)


@pytest.mark.parametrize("rule", [SGD(lr=2**-4), MOMENTUM], ids=repr)
def test_kernels_of_others_are_called_in_every_step(rule: SGD) -> None:
    net = Sequential(Linear(3, 4), Looks(), *NET.layers[1:])
    ours = Trainer(net, Own(), rule)
    hand = ByHand(ours)
    for sign in (1, -1, 1):
        for _ in range(3):
            assert ours.step(sign * X, T) == hand.step(sign * X, T)
            assert ours.params == hand.params


@dataclass(frozen=True)
class Half(SGD):
    """A rule of somebody else's: half a step."""

    def rule(self, p: Array, g: Array, kept: Any, rates: Any, free: Any, /) -> None:
        assert not kept
        assert p.shape == free[1].shape
        free[0][...] = rates[0] / 2 * g


@dataclass(frozen=True)
class Signs(Optimizer):
    """A rule of one's own: by the sign of an average, the slower the later."""

    weight_decay: float = 0.25

    def vectors(self) -> tuple[str, ...]:
        return ("average",)

    def rates(self, t: int) -> tuple[float, ...]:
        return (self.lr / t,)

    def rule(self, p: Array, g: Array, kept: Any, rates: Any, free: Any, /) -> None:
        assert p.shape == free[1].shape
        kept[0] += g
        free[0][...] = rates[0] * np.sign(kept[0])


@pytest.mark.parametrize("rule", [Half(lr=0.1), Signs(lr=0.125)])
def test_a_rule_of_others_is_followed(rule: Optimizer) -> None:
    ours = trainer(rule=rule)
    hand = ByHand(ours)
    for _ in range(3):
        ours.step(X, T)
        hand.step(X, T)
    assert ours.params == hand.params


@dataclass(frozen=True)
class Forgets(SGD):
    """A rule of somebody else's that leaves out an entry."""

    def rule(self, p: Array, g: Array, kept: Any, rates: Any, free: Any, /) -> None:
        assert not kept
        assert p.shape == g.shape
        free[0][:-1] = rates[0]


def test_what_a_rule_of_others_leaves_out_is_not_passed_over() -> None:
    rule = Forgets(lr=0.1)
    params, grads = NET.init(0), NET.init(1)
    rule.update(params, grads, rule.init(params))
    assert np.isnan(params.vector).tolist() == [False] * (params.vector.size - 1) + [True]
    with pytest.raises(DivergedError, match="a parameter is not finite"):
        trainer(rule=rule).step(X, T)


def test_a_rule_of_ones_own_is_told_the_gradient_with_its_decay_and_the_step() -> None:
    params, grads = Parameters({"0.bias": (2,)}, np.array([4.0, -4.0])), np.array([-0.5, 3.0])
    rule = Signs(lr=1.0)
    state = rule.init(params)
    for _ in range(2):
        rule.update(params, Parameters(params.shapes, grads), state)
    # g + θ/4 = ½, 2, and then less than that of the first step: ¼, 1 ⅞ in size
    assert params.vector.tolist() == [4 - 1 - 0.5, -4 - 1 - 0.5]
    assert state["average"].tolist() == [0.5 + 0.25, 2 + 1.75]
    assert state["step"] == 2


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_rule_is_nothing_but_calls_of_numpy(rule: Optimizer) -> None:
    """The averages in 3 and 4, the square root, ε, the division, the rate and the difference."""
    params, grads = NET.init(0), NET.init(1)
    state = rule.init(params)
    rule.update(params, grads, state)
    with np.errstate(all="ignore"):
        calls = state.planned[True].record(rule.rates(2))
    assert all(isinstance(call.function, np.ufunc) for call in calls)
    assert rule != Adam() or len(calls) == 3 + 4 + 4 + 1


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_updates_of_the_same_arrays_are_those_of_new_ones(rule: Optimizer) -> None:
    """They are planned from the second on; in arrays that come and go there is nothing to plan."""
    params, grads = NET.init(0), NET.init(1)
    state = rule.init(params)
    new, plain = params.copy(), dict(rule.init(params))
    for i in range(5):
        grads.vector *= 1 - i
        rule.update(params, grads, state)
        new = new.copy()
        rule.update(new, grads.copy(), plain)
        assert params == new
        assert all(np.array_equal(state[name], plain[name]) for name in plain)
    other = NET.init(2)
    for _ in range(4):
        rule.update(params, other, state)
        rule.update(new, other.copy(), plain)
    assert params == new
    moved = params.copy()
    rule.update(moved, other, state)
    assert params == new
    rule.update(new, other.copy(), plain)
    assert moved == new


COPIES = [copy.copy, copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))]  # noqa: S301 - its own bytes


@pytest.mark.parametrize("again", COPIES)
def test_a_state_is_copied_without_what_it_knows_of_the_last_update(again: Any) -> None:
    params, grads = NET.init(0), NET.init(1)
    rule = Adam()
    state = rule.init(params)
    for _ in range(3):
        rule.update(params, grads, state)
    other = again(state)
    assert type(other) is type(state)
    assert other.keys() == state.keys()
    assert all(np.array_equal(other[name], state[name]) for name in state)
    assert not other.planned


def test_whatever_a_rule_goes_by_may_change_between_steps() -> None:
    ours = trainer(rule=Adam(lr=0.1))
    hand = ByHand(ours)

    def steps() -> None:
        for _ in range(4):
            assert ours.step(X, T) == hand.step(X, T)
            assert ours.params == hand.params

    steps()
    ours.lr = 0.01
    hand.rule = ours.rule
    steps()
    ours.rule = hand.rule = Adam(lr=0.1, betas=(0.5, 0.9))
    steps()
    ours.rule = hand.rule = AdamW(lr=0.1, betas=(0.5, 0.9), weight_decay=0.0)
    steps()
    ours.rule = hand.rule = AdamW(lr=0.2, betas=(0.5, 0.9), weight_decay=0.5)
    steps()
    ours.rule = hand.rule = Adam(lr=0.2, betas=(0.5, 0.9), weight_decay=0.5)
    steps()
    for one in (ours, hand):
        one.state["exp_avg"] = one.state["exp_avg"] * 2
    steps()
    for one in (ours, hand):
        one.state["step"] = 1
    steps()
    for one in (ours, hand):
        one.state = dict(one.state)
    steps()
    assert ours.state["step"] == hand.state["step"]
    for one in (ours, hand):
        one.state = {name: value * 4 for name, value in one.state.items()}
    steps()
    ours.rule = hand.rule = RMSprop()
    for one in (ours, hand):
        one.state = one.rule.init(one.params)
    steps()
    ours.rule = Adam()
    with pytest.raises(ShapeError, match="make the state with init"):
        ours.step(X, T)


def test_warnings_are_as_they_were_after_a_step() -> None:
    before = np.geterr()
    trainer().step(X, T)
    assert np.geterr() == before


@pytest.mark.parametrize("rule", [SGD(lr=0.1), Adam()], ids=repr)
def test_nothing_outlives_its_trainer(rule: Optimizer) -> None:
    """Recorded calls refer to arrays, and views to their bases, but no reference cycle remains."""
    net = Sequential(Linear(3, 4), Sigmoid(), Linear(4, 2))
    ours, x = Trainer(net, CrossEntropyLoss(), rule), X.copy()
    for n in (5, 5, 7, 1, 1):
        ours.step(x[:n], CLASSES[:n])
    for _ in range(3):
        ours.step(x, CLASSES)
    params, grads = net.init(0), net.init(1)
    state = rule.init(params)
    for _ in range(3):
        rule.update(params, grads, state)
    alive = [weakref.ref(a) for a in (x, ours.params.vector, params.vector, grads.vector)]
    del ours, x, params, grads, state
    gc.collect()
    assert not any(ref() is not None for ref in alive)


@pytest.mark.parametrize("at", range(4))
def test_a_batch_whose_change_is_interrupted_is_changed_again(
    at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = trainer(rule=SGD(lr=0.125))
    hand = ByHand(ours)
    other = X[::-1].copy(), T[::-1].copy()
    for batch in ((X, T), other):
        assert ours.step(*batch) == hand.step(*batch)
    calls, ready = [], Call.prepare

    def interrupted(call: Call) -> Any:
        calls.append(call)
        if len(calls) == at + 1:
            raise KeyboardInterrupt
        return ready(call)

    with monkeypatch.context() as patch:
        patch.setattr(Call, "prepare", interrupted)
        with suppress(KeyboardInterrupt):
            ours.step(X, T)
            hand.step(X, T)
    assert len(calls) > min(at, 1)
    for batch in ((X, T), other, (X, T), other):
        assert ours.step(*batch) == hand.step(*batch)
        assert ours.params == hand.params


def test_a_rule_whose_following_is_interrupted_is_followed_anew() -> None:
    class Pressed(SGD):
        times = 0

        @property
        def factor(self) -> float | None:
            Pressed.times += 1
            if Pressed.times == 1:
                raise KeyboardInterrupt
            return None

    ours = trainer(rule=SGD(lr=0.125))
    hand = ByHand(ours)
    assert ours.step(X, T) == hand.step(X, T)
    ours.rule = hand.rule = Pressed(lr=0.5)
    with pytest.raises(KeyboardInterrupt):
        ours.step(X, T)
    for _ in range(2):
        assert ours.step(X, T) == hand.step(X, T)
        assert ours.params == hand.params


@dataclass(frozen=True)
class Asks(SGD):
    """A rule that calls another rule, on arrays of its own, in the middle of its step."""

    def rule(self, p: Array, g: Array, kept: Any, rates: Any, free: Any, /) -> None:
        assert not kept
        free[0][...] = rates[0] * g
        other = Parameters({"0.bias": p.shape}, p.copy())
        SGD(lr=1.0, momentum=0.5).update(
            other, Parameters(other.shapes, 100 * g), SGD(momentum=0.5).init(other)
        )


def test_a_rule_may_ask_another_one() -> None:
    params, grads = NET.init(0), NET.init(1)
    expected = params.vector - 0.125 * grads.vector
    for _ in range(2):
        moved = params.copy()
        Asks(lr=0.125).update(moved, grads, {"step": 0})
        assert np.array_equal(moved.vector, expected)


SEEN: ContextVar[str] = ContextVar("SEEN", default="nothing")


@dataclass(frozen=True)
class Reads(MSELoss):
    """A loss of somebody else's, which reads the caller's context."""

    def forward_and_backward(
        self, y: Array, t: Array, /, *, out: Array | None = None
    ) -> tuple[Any, Array]:
        NOTED.append(SEEN.get())
        return MSELoss.forward_and_backward(self, y, t, out=out)


NOTED: list[str] = []


def test_kernels_of_others_are_called_in_the_callers_context() -> None:
    ours = trainer(Reads(), SGD(lr=0.1))
    ours.step(X, T)
    token = SEEN.set("the caller's")
    ours.step(X, T)
    SEEN.reset(token)
    assert NOTED[-1] == "the caller's"


def test_a_vector_that_is_missing_is_missed_also_by_a_plan() -> None:
    params, grads = NET.init(0), NET.init(1)
    state = Adam().init(params)
    Adam().update(params, grads, state)
    del state["exp_avg"]
    with pytest.raises(ShapeError, match="make the state with init"):
        Adam().update(params, grads, state)
    assert state["step"] == 1


@dataclass(frozen=True, repr=False, eq=False)
class TwiceAdam(Adam):
    """Adam with twice its step, by the same options and rates."""

    def rule(self, p: Array, g: Array, arrays: Any, rates: Any, scratch: Any, /) -> None:
        Adam.rule(self, p, g, arrays, rates, scratch)
        scratch[0] *= 2


def test_a_rule_of_another_kind_is_another_one_also_with_the_same_options() -> None:
    ours = trainer(rule=Adam(lr=0.1))
    for _ in range(3):
        ours.step(X, T)
    ours.rule = TwiceAdam(lr=0.1)
    params, state = ours.params.copy(), dict(copy.deepcopy(ours.state))  # which plans nothing
    _, grads = ours.net.value_and_grad(params, ours.loss, X, T)
    ours.rule.update(params, grads, state)
    ours.step(X, T)
    np.testing.assert_allclose(ours.params.vector, params.vector, rtol=1e-12)


@pytest.mark.once
def test_planned_steps_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged as anybody's engine is: by a truth of more digits and a bound of roundings."""
    if profile() != "nightly":
        few = replace(PROFILES["quick"], examples=2, explaining=0)
        monkeypatch.setitem(PROFILES, "quick", few)
    report = check_engine(TrainerEngine, profile="quick")
    assert not report.counts()["failed"], report
    assert report.counts()["passed"] > 200
