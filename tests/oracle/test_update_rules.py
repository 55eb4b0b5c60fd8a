"""Bounds of update rules: they hold for every order of operations that correct engines use."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from oracle.rule_orders import INSIDE, ORDERS

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
from manualnn.oracle.truth.matrices import BoundedMatrices
from manualnn.oracle.truth.optimizers import BoundedRules
from manualnn.oracle.truth.variants import BoundedVariants

PROTOCOL = Path(features.__file__).parents[1] / "PROTOCOL.md"
NUMBERS = ({}, {"num": lambda e, value: e.kind.type(value)})
"""Options in float64, or rounded to the dtype."""
SEEDS = 8
RULES = {
    "sgd": ["SGD"],
    "rmsprop": ["RMSprop"],
    "rmsprop_square": ["RMSprop"],
    "adagrad_rate": ["Adagrad"],
    "adadelta_step": ["Adadelta"],
    "asgd_moved": ["ASGD"],
    "asgd_rate": ["ASGD"],
    "asgd_share": ["ASGD"],
    "asgd_average": ["ASGD"],
    "lion": ["Lion"],
    "muon": ["Muon"],
    "muon_normalised": ["Muon"],
    "muon_orthogonal": ["Muon"],
    "rprop_size": ["Rprop"],
    "adamw": ["AdamW"],
    "adamw_decayed": ["AdamW"],
    "adamax": ["Adamax"],
    "nadam_moved": ["NAdam"],
    "nadam_product": ["NAdam"],
    "nadam_momentum": ["NAdam"],
    "radam": ["RAdam"],
    "radam_is_reliable": ["RAdam"],
    "radam_length": ["RAdam"],
    "radam_share": ["RAdam"],
    "adam_square": ["Adam"],
    "adam_root": ["Adam"],
    "adam_step": ["Adam", "AdamW"],
    "average": ["RMSprop", "Adam", "Adadelta"],
    "correction": ["Adam", "Adamax"],
    "gradient": ["SGD", "Adagrad"],
    "moved": ["SGD", "RMSprop"],
    "moved_by_quotient": ["RMSprop", "Adagrad", "Adam", "Adamax"],
}
"""Optimizers that use a line."""
STEPS = (
    *("moved_by_quotient", "adadelta_step", "adam_step", "sgd", "adamw"),
    *("nadam_product", "radam", "asgd_rate", "lion", "rprop_size", "muon"),
)
"""Lines whose orders make the largest error of a step."""
SHAPES = ((1, 2), (2, 1), (2, 3), (5, 3), (6, 10), (10, 6), (60, 1), (4, 4))
"""Shapes of the matrices of a rule that is not entrywise."""
SIZES = ("all", "subnormal", "terms cancel", "steps cancel")


def drawn_update(name, dtype, seed, sizes="all"):
    """Draw options, a parameter, a gradient and a state, their numbers of these sizes."""
    rng = np.random.default_rng(seed)
    row = OPTIMIZER_ROWS[name]
    spec = {
        key: option.values[rng.integers(len(option.values))]
        for key, option in row.options.items()
        if option.share == 1 and key != "groups"  # which the rule itself does not read
    }
    if spec.get("nesterov") and "dampening" in row.options:
        spec |= {"momentum": float(rng.choice([0.5, 0.9, 0.999])), "dampening": 0.0}
    o, t = options_of({"type": name, **spec}), int(rng.choice([1, 2, 3, 30, 1000]))
    of_p, of_g = np.ones((2, 60))
    decay = getattr(o, "weight_decay", 0)
    if sizes == "all":
        of_p = 10.0 ** rng.uniform(-18, 8, 60) * (rng.random(60) > 0.1)
        of_g = of_p[::-1]
    elif sizes == "subnormal":
        of_g = 10.0 ** rng.uniform(-45 if dtype == "float32" else -323, -30, 60)
        of_p = of_g[::-1] * (rng.random(60) > 0.5)
    p, g = (rng.normal(size=(2, 60)) * [of_p, of_g]).astype(dtype)
    mean = rng.normal(size=60) * of_g
    square = mean**2 * rng.uniform(1.1, 3, 60)
    state = {a.name: a.typical(o, mean, square, t - 1).astype(dtype) for a in state_of(o)}
    if not row.is_entrywise:
        rows, columns = SHAPES[seed % len(SHAPES)]
        arrays = {"p": p, "g": g, **state}
        arrays = {key: a[: rows * columns].reshape(rows, columns) for key, a in arrays.items()}
        p, g, state = arrays.pop("p"), arrays.pop("g"), arrays
    nearly = -1 - 1e-5 * rng.normal(size=p.shape)
    if sizes == "terms cancel" and decay and rng.random() < 0.5:
        g = (decay * p * nearly).astype(dtype)
    elif sizes == "terms cancel" and getattr(o, "momentum", 0):  # in b, or in Nesterov's step
        share = rng.choice([1, (1 + o.momentum) / o.momentum])
        state["momentum_buffer"] = (share * g / o.momentum * nearly).astype(dtype)
    elif sizes == "steps cancel" and o.lr * decay != 1:
        step = both(engine_of("num", Textbook.num, dtype), (o, 0 * p, [g], state, t))[0]["p"]
        p = (step / (1 - o.lr * decay) * nearly).astype(dtype)
    return o, p, g, state, t


def engine_of(line, order, dtype, numbers=None):
    engine = type("Engine", (Textbook,), {line: order, **(numbers or {})})(dtype)
    engine.kind = np.dtype(dtype)
    return engine


def both(engine, update):
    """Return the engine's arrays and the truth's after an update, or one for each gradient."""
    o, p, gradients, state, t = update
    kind = Precision(engine.kind)
    ours = {key: array.copy() for key, array in state.items()}
    expected = {key: kind.exact(array) for key, array in state.items()}
    ours["p"], expected["p"] = p, kind.exact(p)
    with np.errstate(all="ignore"):
        for i, g in enumerate(gradients):
            ours["p"] = engine.apply_rule(o, ours["p"], g, ours, t + i)
            expected["p"] = BoundedRules(kind).apply_rule(
                o, expected["p"], kind.exact(g), expected, t + i
            )
    return ours, expected


@pytest.mark.parametrize(
    ("t0", "shares"),
    [(-9.0, [1, 1 / 10, 1 / 11]), (-1.0, [1, 1 / 2, 1 / 3]), (1.0, [1, 1, 1, 1 / 2])],
)
def test_the_share_of_asgd_begins_with_1_at_any_t0(t0, shares):
    o = options_of({"type": "ASGD", "t0": t0})
    truth = BoundedRules(Precision(np.dtype("float64")))
    statement = engine_of("num", Textbook.num, "float64")
    for t, share in enumerate(shares, start=1):
        assert float(truth.asgd_share(o, t).v) == statement.asgd_share(o, t) == share


@pytest.mark.parametrize(
    ("line", "name"), [(line, name) for line, orders in ORDERS.items() for name in orders]
)
def test_bounds_of_update_rules_hold_for_every_order(line, name):
    shares = []
    cases = product(("float32", "float64"), RULES[line], SIZES, range(SEEDS))
    for dtype, rule, sizes, seed in cases:
        engine = engine_of(line, ORDERS[line][name], dtype, NUMBERS[seed % 2])
        o, p, g, state, t = drawn_update(rule, dtype, seed, sizes)
        ours, expected = both(engine, (o, p, [g], state, t))
        for key, near in expected.items():
            assert not refutes(near, ours[key]).any(), (o, t, sizes, seed, key)
            shares.append(near.bounded.mean())
    assert np.mean(shares) > 0.9


@pytest.mark.parametrize("name", INSIDE)
def test_bounds_of_parameters_hold_where_the_rate_is_inside_the_buffer(name):
    """Such a buffer is not the protocol's, so that only parameters can be compared."""
    line, order = INSIDE[name]
    for dtype, sizes, seed in product(("float32", "float64"), SIZES, range(SEEDS)):
        engine = engine_of(line, order, dtype)
        o, p, g, _, _ = drawn_update(*RULES[line], dtype, seed, sizes)
        rng = np.random.default_rng(seed)
        gradients = [(g * rng.normal(size=g.shape)).astype(dtype) for _ in range(1 + seed)]
        state = {a.name: np.full_like(p, a.initial_value(o)) for a in state_of(o)}
        ours, expected = both(engine, (o, p, gradients, state, 1))
        assert not refutes(expected["p"], ours["p"]).any(), (o, sizes, seed)


@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_the_bound_of_a_step_is_less_than_ten_times_its_error(rule):
    """Where p and the step nearly cancel, the error is not only the rounding of a large p.

    The bound of a matrix is a norm, which is less than twenty times an entry's error.
    """
    largest = 0.0
    for line in STEPS:
        for order in ORDERS[line].values():
            if rule in RULES[line]:
                engine = engine_of(line, order, "float64")
                for seed in range(4):
                    o, p, g, state, t = drawn_update(rule, "float64", seed, "steps cancel")
                    ours, expected = both(engine, (o, p, [g], state, t))
                    bounds = np.where(expected["p"].bounds > 0, expected["p"].bounds, 1)
                    distance = np.abs(ours["p"] - expected["p"].v) / bounds
                    largest = max(largest, float(distance.max()))
    assert (0.1 if OPTIMIZER_ROWS[rule].is_entrywise else 0.05) < largest <= 1


def test_every_line_with_several_orders_is_tested():
    """A line that the truth overrides has a bound of its own; it needs its orders here."""
    arithmetic = {"__init__", "num", "sqrt", "larger", "quotient", "rmsprop_variance"}
    own = {
        name
        for owner in (BoundedRules, BoundedVariants, BoundedMatrices)
        for name, value in vars(owner).items()
        if callable(value)
    }
    lines = {name for name in own - arithmetic if hasattr(UpdateRules, name)}
    assert lines <= ORDERS.keys() | {line for line, _ in INSIDE.values()}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_missing_update_rule_is_named(name, monkeypatch):
    """An optimizer with a row and without a rule: the message names the place and the method."""
    method = OPTIMIZER_ROWS[name].method
    for owner in BoundedRules.__mro__:
        if method in vars(owner):
            monkeypatch.delattr(owner, method)
    o = options_of({"type": name})
    said = rf"protocol/optimizers has no update rule for '{name}'; add a method '{method}'"
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
    g = np.array([[0.25, -3.0, 0.0]])
    for name, row in OPTIMIZER_ROWS.items():
        others = {key: option.values[-1] for key, option in row.options.items()}
        plain = {"weight_decay": 0.0, "maximize": False}
        o = options_of({"type": name, **others, **{k: plain[k] for k in plain if k in others}})
        o = Options(**{**vars(o), "momentum": 0.5, "dampening": 0.0, "eps": 1e-12})
        engine = Textbook(np.float64)
        engine.kind = np.dtype(np.float64)
        p, state = (
            np.ones((1, 3)),
            {a.name: np.full((1, 3), a.initial_value(o)) for a in state_of(o)},
        )
        for t in range(1, 6):
            p = engine.apply_rule(o, p, g, state, t)
        for array in state_of(o):
            typical = array.typical(o, g, g * g, 5)
            # The root in RMSprop's buffer is still below its final value.
            scale = 10.0 if name == "RMSprop" and array.name == "momentum_buffer" else 1.0
            close = np.abs(state[array.name]) <= scale * np.abs(typical) * (1 + 1e-9)
            assert close.all(), (name, array.name)
            assert (np.sign(state[array.name]) == np.sign(typical)).all()
