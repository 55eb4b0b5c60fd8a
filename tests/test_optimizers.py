"""Update rules: each against the oracle's statement on one number at a time, and its promises."""

import copy
import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from toys import RULES, own_fields

from manualnn import (
    ASGD,
    OPTIMIZERS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Optimizer,
    Parameters,
    RMSprop,
    ShapeError,
    SpecError,
)
from manualnn.optimizers.planned import BLOCK
from manualnn.oracle.protocol.features import OPTIMIZER_ROWS, options_of, state_of
from manualnn.oracle.protocol.optimizers import UpdateRules
from manualnn.spec import to_spec

SHAPES = {"0.weight": (3, 2), "0.bias": (3,)}
RNG = np.random.default_rng(11)
START = RNG.standard_normal(9)
GRADIENTS = RNG.standard_normal((6, 9)) * [1, 1e-3, 10, 0, 1, 1, 1, 1, 1]


class FloatRules(UpdateRules):
    """The oracle's statement of the update rules, for one entry of each array as a float."""

    def num(self, value: Any) -> Any:
        return value

    def sqrt(self, v: float) -> float:
        return math.sqrt(v)

    def larger(self, a: float, b: float) -> float:
        return max(a, b)

    def sign_of(self, v: float) -> int:
        return (v > 0) - (v < 0)


def last_values(rule: Optimizer, p: float, gradients: list[float]) -> list[float]:
    """Return the last value of a parameter, and of the numbers in the state that belong to it."""
    options = options_of(to_spec(rule))
    state = {array.name: array.initial_value(options) for array in state_of(options)}
    for t, g in enumerate(gradients, start=1):
        p = FloatRules().apply_rule(options, p, g, state, t)
    return [p, *state.values()]


def parameters(vector: Any, dtype: str = "float64") -> Parameters:
    return Parameters(SHAPES, np.array(vector, dtype))


def run(
    rule: Optimizer, gradients: Any, dtype: str = "float64"
) -> tuple[Parameters, dict[str, Any]]:
    params = parameters(START, dtype)
    state = rule.init(params)
    for g in gradients:
        rule.update(params, parameters(g, dtype), state)
    return params, state


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("steps", [1, 2, 6, 40, 150, 1000])
def test_the_update_is_the_recurrence(rule: Optimizer, steps: int) -> None:
    """To within a few roundings of each step; also in the middle, and late."""
    gradients = np.resize(GRADIENTS, (steps, START.size))
    pairs = zip(START.tolist(), gradients.T.tolist(), strict=True)
    expected = np.array([last_values(rule, p, g) for p, g in pairs])
    params, state = run(rule, gradients)
    got = np.transpose([params.vector, *(state[name] for name in rule.vectors())])
    roundings = 500 * steps * np.finfo(float).eps / 2
    np.testing.assert_allclose(got, expected, rtol=roundings, atol=roundings)


@pytest.mark.parametrize(("t0", "second"), [(-5.0, -7.0), (-1.0, -9.0), (0.0, -12.0), (9.0, -12.0)])
def test_the_average_of_asgd_begins_with_the_parameters(t0: float, second: float) -> None:
    """θ is −6, then −12; the share of the second is 1 / max(1, 1 − t₀), whatever t₀ is."""
    rule = ASGD(lr=1.0, lambd=0.0, t0=t0)
    params = parameters(np.zeros(9))
    state = rule.init(params)
    for average in (-6.0, second):
        rule.update(params, parameters(np.full(9, 6.0)), state)
        np.testing.assert_allclose(state["ax"], average, rtol=4 * np.finfo(float).eps)


def test_the_articles_step_is_the_weight_less_rate_times_gradient() -> None:
    params, _ = run(SGD(lr=0.25), [np.arange(9.0)])
    assert params.vector.tolist() == [
        p - 0.25 * g for p, g in zip(START.tolist(), range(9), strict=True)
    ]


SCALED = [rule for rule in RULES if OPTIMIZER_ROWS[type(rule).__name__].scales_with_lr]


@pytest.mark.parametrize("rule", SCALED, ids=repr)
def test_a_rate_of_zero_moves_nothing(rule: Optimizer) -> None:
    params, _ = run(replace(rule, lr=0.0), GRADIENTS)
    assert np.array_equal(params.vector, START)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_the_gradient_is_not_changed(rule: Optimizer) -> None:
    params, grads = parameters(START), parameters(GRADIENTS[0])
    grads.vector.flags.writeable = False
    rule.update(params, grads, rule.init(params))
    assert np.array_equal(grads.vector, GRADIENTS[0])


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_blocks_do_not_show(rule: Optimizer) -> None:
    """A vector of many blocks, the last of them smaller, moves as its entries do alone."""
    size = 3 * BLOCK + 17
    many = {"0.bias": (size,)}
    tiled = Parameters(many, np.resize(START, size))
    state = rule.init(tiled)
    for g in GRADIENTS[:3]:
        rule.update(tiled, Parameters(many, np.resize(g, size)), state)
    params, _ = run(rule, GRADIENTS[:3])
    assert np.array_equal(tiled.vector, np.resize(params.vector, size))


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "longdouble"])
def test_the_dtype_stays(rule: Optimizer, dtype: str) -> None:
    params, state = run(rule, GRADIENTS, dtype)
    assert params.dtype == dtype
    assert all(state[name].dtype == dtype for name in rule.vectors())


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_the_state_has_the_vectors_that_the_rule_names(rule: Optimizer) -> None:
    params, state = run(rule, GRADIENTS)
    assert state.keys() == {"step", *rule.vectors()}
    assert state["step"] == len(GRADIENTS)
    assert all(state[name].shape == params.vector.shape for name in rule.vectors())


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_two_states_are_independent(rule: Optimizer) -> None:
    """Two runs whose steps alternate end where each ends alone."""
    runs = [(parameters(START), rule.init(parameters(START))) for _ in range(2)]
    for g in GRADIENTS:
        for (params, state), sign in zip(runs, (1, -1), strict=True):
            rule.update(params, parameters(sign * g), state)
    for (params, _), sign in zip(runs, (1, -1), strict=True):
        assert params == run(rule, sign * GRADIENTS)[0]


def test_the_rate_may_change_between_steps() -> None:
    rule = SGD(lr=0.5, momentum=0.5)
    params = parameters(START)
    state = rule.init(params)
    rule.update(params, parameters(np.ones(9)), state)
    replace(rule, lr=0.125).update(params, parameters(np.ones(9)), state)
    assert np.allclose(params.vector, START - 0.5 - 0.125 * 1.5, rtol=1e-14, atol=1e-15)


def test_what_does_not_belong_together_is_refused() -> None:
    params = parameters(START)
    for rule, grads, state in [
        (SGD(), Parameters({"0.bias": (8,)}), {"step": 0}),
        (Adam(), params, SGD().init(params)),
        (SGD(momentum=0.9), params, {"step": 0, "momentum_buffer": np.zeros(8)}),
    ]:
        with pytest.raises(ShapeError, match=r"make the state with init\(params\)"):
            rule.update(params, grads, state)
    assert np.array_equal(params.vector, START)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SGD, {"lr": -1e-9}, "SGD: lr must be at least 0, got -1e-09"),
        (Adam, {"lr": math.nan}, "Adam: lr must be at least 0, got nan"),
        (SGD, {"momentum": -1}, "momentum must be at least 0"),
        (SGD, {"nesterov": True}, "momentum above 0 and dampening 0"),
        (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "and dampening 0"),
        (RMSprop, {"alpha": -0.1}, "alpha must be at least 0"),
        (RMSprop, {"weight_decay": -0.1}, "weight_decay must be at least 0"),
        (Adagrad, {"lr_decay": -1}, "lr_decay must be at least 0"),
        (Adagrad, {"initial_accumulator_value": -1}, "value must be at least 0"),
        (Adam, {"betas": (0.9, 1.0)}, "betas must be two numbers from 0 to below 1"),
        (AdamW, {"betas": (-0.1, 0.9)}, "betas must be two numbers from 0 to below 1"),
        (AdamW, {"eps": -1.0}, "eps must be at least 0"),
    ],
)
def test_impossible_options_are_refused(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        kind(**options)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_defaults_are_torchs(name: str) -> None:
    """The defaults are those of the oracle's row, and these are torch's: see twin/test_steps."""
    ours = {field.name: field.default for field in own_fields(OPTIMIZERS[name])}
    rows = OPTIMIZER_ROWS[name].options
    assert ours == {option: row.default for option, row in rows.items() if row.is_in_any}


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_rules_are_values(rule: Optimizer) -> None:
    for again in (copy.deepcopy(rule), pickle.loads(pickle.dumps(rule))):  # noqa: S301 - its own bytes
        assert again == rule
        assert hash(again) == hash(rule)
    assert replace(rule, lr=7.0) != rule
    with pytest.raises(AttributeError, match="cannot assign"):
        rule.lr = 1.0  # type: ignore[misc]


def one(value: float, dtype: Any = np.float32) -> Parameters:
    return Parameters({"0.weight": (1,)}, np.array([value], dtype))


@pytest.mark.parametrize(
    ("rule", "average"),
    [(Adam(betas=(0, 0.999)), "exp_avg"), (RMSprop(alpha=0, centered=True), "grad_avg")],
)
def test_an_average_without_memory_is_the_gradient(rule: Optimizer, average: str) -> None:
    """Also after one that was larger by more than the digits of the type."""
    params = one(1.0)
    state = rule.init(params)
    for gradient in (1e5, 3.3e-5):
        rule.update(params, one(gradient), state)
        assert state[average] == np.float32(gradient)


@pytest.mark.parametrize("rule", [Adam(), AdamW(), RMSprop()])
def test_a_square_beyond_the_largest_number_is_averaged_if_its_share_is_not(rule: Any) -> None:
    """(1 − β) g² is finite for g = 1e20 in float32, g² is not."""
    params = one(1.0)
    state = rule.init(params)
    rule.update(params, one(1e20), state)
    (square,) = (state[name] for name in ("exp_avg_sq", "square_avg") if name in state)
    share = 1 - (rule.alpha if isinstance(rule, RMSprop) else rule.betas[1])
    assert square == pytest.approx(share * 1e40, rel=1e-6)  # a few roundings of 6e-8
    assert params.vector < 1


def test_longdouble_sees_the_digits_of_the_options() -> None:
    """1 − β₁ᵗ and the like are not rounded to float64 on the way."""
    params, wide = one(1.0, np.longdouble), np.longdouble
    rule = Adam(lr=0.1, betas=(0.1, 0.3), eps=0)
    state = rule.init(params)
    rule.update(params, one(0.7, np.longdouble), state)
    expected = (1 - wide(0.1)) * wide(0.7), (1 - wide(0.3)) * wide(0.7) * wide(0.7)
    close = 4 * np.finfo(np.longdouble).eps
    np.testing.assert_allclose(state["exp_avg"], expected[0], rtol=close)
    np.testing.assert_allclose(state["exp_avg_sq"], expected[1], rtol=close)
    np.testing.assert_allclose(params.vector, wide(1) - wide(0.1), rtol=close)


def test_gradients_or_a_state_of_another_dtype_are_refused() -> None:
    params = one(1.0)
    rule = Adam()
    for gradient, state in (
        (one(1.0, np.float64), rule.init(params)),
        (one(1.0), rule.init(one(1.0, np.float64))),
        (one(1.0), {}),
    ):
        with pytest.raises(ShapeError, match="make the state with init"):
            rule.update(params, gradient, state)
    assert params.vector == 1
