"""Bounds of update rules: they hold for every order of operations that correct engines use."""

from pathlib import Path

import numpy as np
import pytest

from manualnn.oracle.protocol import features
from manualnn.oracle.protocol.features import (
    OPTIMIZER_ROWS,
    OPTIMIZERS,
    Options,
    options_of,
    state_of,
)
from manualnn.oracle.protocol.optimizers import UpdateRules
from manualnn.oracle.protocol.rows import MissingEntryError
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.bounded import Precision
from manualnn.oracle.truth.compare import refutes
from manualnn.oracle.truth.optimizers import BoundedRules

ORDERS = {
    "average": {
        "β old + (1 − β) new": lambda e, old, new, beta: (
            e.num(beta) * old + (1 - e.num(beta)) * new
        ),
        "old + (1 − β) (new − old)": lambda e, old, new, beta: (
            old + (1 - e.num(beta)) * (new - old)
        ),
        "new + β (old − new), for β below ½": lambda e, old, new, beta: (
            new + e.num(beta) * (old - new) if beta < 0.5 else old + (1 - e.num(beta)) * (new - old)
        ),
    },
    "correction": {
        "1 − βᵗ": lambda e, beta, t: 1 - e.num(beta) ** t,
        "1 − β β … β": lambda e, beta, t: 1 - np.prod(np.full(t, e.num(beta))),
    },
    "moved_by_quotient": {
        "p − lr (d / root)": lambda _, _o, p, d, root, lr: p - lr * (d / root),
        "p − (lr d) / root": lambda _, _o, p, d, root, lr: p - lr * d / root,
        "p − (lr / root) d": lambda _, _o, p, d, root, lr: p - lr / root * d,
        "p − d / (root / lr)": lambda _, _o, p, d, root, lr: p - d / (root / lr),
    },
    "sgd": {
        "p − lr (g + λ p)": Textbook.sgd,
        "(1 − lr λ) p − lr g": lambda e, o, p, g, s, t: (
            Textbook.sgd(e, o, p, g, s, t)
            if o.momentum
            else p * (1 - e.num(o.lr) * e.num(o.weight_decay)) - e.num(o.lr) * e.uphill(o, g)
        ),
    },
    "adagrad_rate": {
        "lr / (1 + (t − 1) η)": lambda e, o, t: e.num(o.lr) / (1 + (t - 1) * e.num(o.lr_decay)),
    },
    "adam_root": {
        "√(v / c) + ε": lambda e, o, v, t: np.sqrt(v / e.adam_correction2(o, t)) + e.num(o.eps),
        "√v / √c + ε": lambda e, o, v, t: (
            np.sqrt(v) / e.adam_correction2(o, t) ** 0.5 + e.num(o.eps)
        ),
    },
    "adamw_decayed": {
        "(1 − lr λ) p": lambda e, o, p: (1 - e.num(o.lr) * e.num(o.weight_decay)) * p,
        "p − (lr λ) p": lambda e, o, p: p - e.num(o.lr) * e.num(o.weight_decay) * p,
        "p − lr (λ p)": lambda e, o, p: p - e.num(o.lr) * (e.num(o.weight_decay) * p),
    },
}
PROTOCOL = Path(features.__file__).parents[1] / "PROTOCOL.md"
NUMBERS = {
    "options in float64": {},
    "options rounded": {"num": lambda e, value: e.kind.type(value)},
}


def drawn_update(name, dtype, seed):
    """Draw options, a parameter, a gradient and a state, their numbers of all sizes."""
    rng = np.random.default_rng(seed)
    row = OPTIMIZER_ROWS[name]
    spec = {
        key: option.values[rng.integers(len(option.values))] for key, option in row.options.items()
    }
    if spec.get("nesterov"):
        spec |= {"momentum": 0.9, "dampening": 0.0}
    o, t = options_of({"type": name, **spec}), int(rng.choice([1, 2, 3, 30, 1000]))
    size = 10.0 ** rng.uniform(-18, 8, 60) * (rng.random(60) > 0.1)
    p, g = (rng.normal(size=(2, 60)) * [size, size[::-1]]).astype(dtype)
    mean = rng.normal(size=60) * size[::-1]
    square = mean**2 * rng.uniform(1.1, 3, 60)
    state = {a.name: a.typical(o, mean, square, t - 1).astype(dtype) for a in state_of(o)}
    return o, p, g, state, t


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize(
    ("line", "order"), [(line, order) for line, orders in ORDERS.items() for order in orders]
)
def test_bounds_of_update_rules_hold_for_every_order(line, order, numbers, dtype):
    engine = type("Engine", (Textbook,), {line: ORDERS[line][order], **NUMBERS[numbers]})(dtype)
    engine.kind = np.dtype(dtype)
    precision, bounded = Precision(dtype), 0
    for name in OPTIMIZERS:
        for seed in range(12):
            o, p, g, state, t = drawn_update(name, dtype, seed)
            ours = {key: array.copy() for key, array in state.items()}
            expected = {key: precision.exact(array) for key, array in state.items()}
            with np.errstate(all="ignore"):
                ours["p"] = engine.apply_rule(o, p, g, ours, t)
                expected["p"] = BoundedRules(precision).apply_rule(
                    o, precision.exact(p), precision.exact(g), expected, t
                )
            for key, near in expected.items():
                assert not refutes(near, ours[key]).any(), (o, t, key)
                bounded += near.bounded.mean() > 0.5
    assert bounded > 100


def test_every_line_with_several_orders_is_tested():
    """A line that the truth overrides has a bound of its own; it needs its orders here."""
    arithmetic = {"__init__", "num", "sqrt", "larger", "quotient", "rmsprop_variance"}
    own = {name for name, value in vars(BoundedRules).items() if callable(value)}
    assert {name for name in own - arithmetic if hasattr(UpdateRules, name)} == ORDERS.keys()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_missing_update_rule_is_named(name, monkeypatch):
    """An optimizer with a row and without a rule: the message names the place and the method."""
    method = OPTIMIZER_ROWS[name].method
    monkeypatch.delattr(UpdateRules, method)
    monkeypatch.delattr(BoundedRules, method, raising=False)
    o = options_of({"type": name})
    said = rf"protocol/optimizers.py has no update rule for '{name}'; add a method '{method}'"
    for rules in (Textbook(), BoundedRules(Precision("float64"))):
        with pytest.raises(MissingEntryError, match=said):
            rules.apply_rule(o, np.zeros(1), np.zeros(1), {}, 1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_protocol_names_the_state_of_every_optimizer(name):
    lines = PROTOCOL.read_text("utf-8").splitlines()
    found = [line for line in lines if line.startswith("|") and f"`{name}`" in line.split("|")[1]]
    assert found, (
        f"PROTOCOL.md has no line for the state of {name!r}; add it to the table of states"
    )
    for array in OPTIMIZER_ROWS[name].state:
        assert f"`{array.name}`" in found[0], (
            f"PROTOCOL.md does not name {array.name!r} of {name!r}"
        )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_typical_state_is_one_that_the_rule_keeps(name):
    """Typical arrays have the signs that the row states, and are not below the squares of means."""
    for seed in range(20):
        o, *_, state, t = drawn_update(name, "float64", seed)
        for array in state_of(o):
            assert np.isfinite(state[array.name]).all()
            assert not array.is_nonnegative or (state[array.name] >= 0).all()
            if array.mean in state and t > 1:
                assert (state[array.name] >= state[array.mean] ** 2).all()


def test_a_typical_state_is_what_equal_gradients_lead_to():
    """With the same gradient in every update, a state of means is exactly the typical one."""
    g = np.array([0.25, -3.0, 0.0])
    for name, row in OPTIMIZER_ROWS.items():
        others = {key: option.values[-1] for key, option in row.options.items()}
        o = options_of({"type": name, **others, "weight_decay": 0.0, "maximize": False})
        o = Options(**{**vars(o), "momentum": 0.5, "dampening": 0.0, "eps": 1e-12})
        engine = Textbook(np.float64)
        engine.kind = np.dtype(np.float64)
        p, state = np.ones(3), {a.name: np.full(3, a.initial_value(o)) for a in state_of(o)}
        for t in range(1, 6):
            p = engine.apply_rule(o, p, g, state, t)
        for array in state_of(o):
            typical = array.typical(o, g, g * g, 5)
            # The root in RMSprop's buffer is still below its final value.
            scale = 10.0 if name == "RMSprop" and array.name == "momentum_buffer" else 1.0
            close = np.abs(state[array.name]) <= scale * np.abs(typical) * (1 + 1e-9)
            assert close.all(), (name, array.name)
            assert (np.sign(state[array.name]) == np.sign(typical)).all()
