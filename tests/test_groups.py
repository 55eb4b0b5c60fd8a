"""Groups, penalties and clipping: each part of the parameters moves as under a rule of its own."""

import copy
import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import NET, RULES, N, T, X, trainer
from values import SEEDS

from manualnn import (
    OPTIMIZERS,
    SGD,
    Adam,
    DomainError,
    MSELoss,
    Optimizer,
    Parameters,
    SpecError,
    Trainer,
    clip_grad_norm_,
    clip_grad_value_,
)
from manualnn.explain import explain
from manualnn.optimizers.groups import shares_of
from manualnn.spec import from_spec, to_spec

NAMES = tuple(NET.shapes)
PATTERNS = st.sampled_from(["*.bias", "*.weight", "0.*", "2.weight", "*"])
RATES = st.sampled_from([0.5, 0.01, 0.0])


def groups_of(kind: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Draw groups with options that a rule of that kind has."""
    options: dict[str, st.SearchStrategy[Any]] = {"lr": RATES, "weight_decay": RATES}
    if kind in {"SGD", "RMSprop"}:
        options["momentum"] = st.sampled_from([0.5, 0.9])
    own = st.fixed_dictionaries({"params": PATTERNS}, optional=options)
    return st.lists(own, min_size=1, max_size=3, unique_by=lambda group: group["params"])


def vectors(seed: int, count: int = 1) -> list[Parameters]:
    rng = np.random.default_rng(seed)
    size = NET.init(0).vector.size
    return [Parameters(NET.shapes, rng.standard_normal(size)) for _ in range(count)]


@given(rule=st.sampled_from(RULES), seed=SEEDS, data=st.data())
def test_each_parameter_moves_as_under_a_rule_with_its_own_options(
    rule: Optimizer, seed: int, data: st.DataObject
) -> None:
    """Bit for bit, over some steps, of which later ones are planned."""
    spec = to_spec(rule)
    groups = data.draw(groups_of(spec["type"]))
    grouped = type(rule)(**{**vars(rule), "groups": groups})
    theta, *gradients = vectors(seed, 4)
    state, start = grouped.init(theta), theta.copy()
    for g in gradients:
        before = g.copy()
        grouped.update(theta, g, state)
        assert g == before
    for name in NAMES:
        fitting = (g for g in groups if fits(name, g["params"]))
        own = {k: v for k, v in next(fitting, {}).items() if k != "params"}
        alone = type(rule)(**{**vars(rule), **own})
        shapes = {name: NET.shapes[name]}
        p = Parameters(shapes, start[name].ravel().copy())
        at = alone.init(p)
        for g in gradients:
            alone.update(p, Parameters(shapes, g[name].ravel().copy()), at)
        np.testing.assert_array_equal(theta[name], p[name])
        for key in alone.vectors():
            np.testing.assert_array_equal(Parameters(NET.shapes, state[key])[name].ravel(), at[key])
    assert state["step"] == len(gradients)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_group_with_a_type_moves_as_under_that_rule(kind: str) -> None:
    """With that rule's defaults and the first rule's rate, bit for bit; others as without it."""
    groups = [{"params": "0.*", "type": kind}]
    mixed, first = SGD(lr=0.03, momentum=0.5, groups=groups), SGD(lr=0.03, momentum=0.5)
    theta, *gradients = vectors(7, 4)
    ends = {"0": theta.copy(), "2": theta.copy()}
    rules = {"0": OPTIMIZERS[kind](lr=0.03), "2": first}
    state = mixed.init(theta)
    states = {layer: rules[layer].init(end) for layer, end in ends.items()}
    for g in gradients:
        mixed.update(theta, g, state)
        for layer, end in ends.items():
            rules[layer].update(end, g, states[layer])
    for name in NAMES:
        np.testing.assert_array_equal(theta[name], ends[name[0]][name])
    assert from_spec(json.loads(json.dumps(to_spec(mixed))), {"SGD": SGD}, "optimizer") == mixed


def fits(name: str, pattern: str) -> bool:
    """Return True if a pattern of PATTERNS fits a name."""
    first, second = name.split(".")
    return {"*": True, "0.*": first == "0", "2.weight": name == "2.weight"}.get(
        pattern, pattern == f"*.{second}"
    )


@given(seed=SEEDS, scale=st.sampled_from([1e-3, 1.0, 1e3]), data=st.data())
def test_penalties_and_clipping_change_the_gradient_alone(
    seed: int, scale: float, data: st.DataObject
) -> None:
    """θ′ and the state are those of the plain rule after the gradient of the whole objective.

    The expected gradient is computed entry by entry in Python. It rounds l1 ± g, 2 l2 θ and their
    sum, and ours may differ by these 3 roundings; the factor of the norm has P + 3 more. SGD and
    its momentum are linear in g, with a factor of lr.
    """
    l1, l2 = data.draw(st.tuples(RATES, RATES))
    clip_value = data.draw(st.sampled_from([None, 0.0, 0.3, 1.0]))
    max_norm = data.draw(st.sampled_from([None, 0.0, 0.5, 3.0, 1e4]))
    norm_type = data.draw(st.sampled_from([2.0, 1.0, 3.0, math.inf]))
    options = {"l1": l1, "l2": l2, "clip_value": clip_value}
    rule = SGD(lr=0.5, max_norm=max_norm, norm_type=norm_type, **options)
    theta, g = vectors(seed, 2)
    theta["0.weight"][0] = 0.0
    g.vector[...] *= scale
    start, state = theta.copy(), rule.init(theta)
    rule.update(theta, g, state)

    expected, sizes = [], []
    for name in NAMES:
        is_weight = name.endswith("weight")
        for p, dp in zip(start[name].ravel().tolist(), g[name].ravel().tolist(), strict=True):
            slope = dp + is_weight * (l1 * ((p > 0) - (p < 0)) + 2 * l2 * p)
            clipped = slope if clip_value is None else min(max(slope, -clip_value), clip_value)
            sizes.append(abs(dp) + l1 + 2 * l2 * abs(p))
            expected.append(clipped)
    if max_norm is not None:
        if norm_type == math.inf:
            norm = max(map(abs, expected))
        else:
            norm = math.fsum(abs(e) ** norm_type for e in expected) ** (1 / norm_type)
        factor = min(1.0, max_norm / (norm + 1e-6))
        expected = [e * factor for e in expected]
        sizes = [s * factor for s in sizes]
    u = 2.0**-53
    moved = start.vector - theta.vector
    bound = (len(sizes) + 12) * u * np.array(sizes) + 2 * u * np.abs(start.vector)
    assert (np.abs(moved - 0.5 * np.array(expected)) <= bound).all()


def test_a_group_has_penalties_of_its_own_for_all_of_its_parameters() -> None:
    groups = [{"params": "2.*", "l1": 0.5}, {"params": "0.bias", "l2": 0.25}]
    rule = SGD(lr=1.0, l1=2.0, groups=groups)
    shares = {name: share[2:] for share in shares_of(rule, NAMES) for name in share.names}
    assert shares == {
        "0.weight": (2.0, 0.0),
        "0.bias": (0.0, 0.25),
        "2.weight": (0.5, 0.0),
        "2.bias": (0.5, 0.0),
    }
    theta = NET.init(0)
    theta.vector[...] = -2.0
    sizes = {name: theta[name].size for name in NAMES}
    expected = 4 * sizes["0.weight"] + 1 * sizes["0.bias"]
    assert rule.penalty(theta) == expected + sizes["2.weight"] + sizes["2.bias"]
    rule.update(theta, theta.zeros_like(), rule.init(theta))
    assert {name: float(array.flat[0]) for name, array in theta.items()} == {
        "0.weight": 0.0,
        "0.bias": -1.0,
        "2.weight": -1.5,
        "2.bias": -1.5,
    }


def test_the_loss_of_a_step_includes_the_penalty_and_the_validation_loss_does_not() -> None:
    ours = trainer(rule=SGD(lr=0.0, l1=0.5, l2=2.0))
    data = ours.evaluate(X, T)
    weights = np.concatenate([ours.params[k].ravel() for k in NAMES if k.endswith("weight")])
    penalty = 0.5 * np.abs(weights).sum() + 2 * (weights**2).sum()
    assert math.isclose(ours.step(X, T), data + penalty, rel_tol=1e-14)
    history = ours.fit(X, T, epochs=1, batch_size=7, validation_data=(X, T))
    assert math.isclose(history.loss[0], data + penalty, rel_tol=1e-14)
    assert math.isclose(history.validation_loss[0], data, rel_tol=1e-14)


@pytest.mark.parametrize("size", [1.0, 1e200, 1e-200])
def test_a_norm_of_extreme_gradients_neither_overflows_nor_vanishes(size: float) -> None:
    (g,) = vectors(5)
    g.vector[...] = 3.0 * size
    n = g.vector.size
    norm = clip_grad_norm_(g, 0.5)
    assert norm == 0 or math.isclose(norm, 3 * size * math.sqrt(n), rel_tol=1e-14)
    factor = min(1.0, 0.5 / (3 * size * math.sqrt(n) + 1e-6))
    np.testing.assert_allclose(g.vector, 3 * size * factor, rtol=1e-14)


def test_clipping_refuses_what_it_cannot_use() -> None:
    (g,) = vectors(5)
    with pytest.raises(SpecError, match="max_norm"):
        clip_grad_norm_(g, -1.0)
    with pytest.raises(SpecError, match="norm_type"):
        clip_grad_norm_(g, 1.0, 0.0)
    with pytest.raises(SpecError, match="gradients of value_and_grad"):
        clip_grad_value_(g.vector, 1.0)  # type: ignore[arg-type]
    g.vector[3] = math.inf
    with pytest.raises(DomainError, match="norm of the gradients is inf"):
        clip_grad_norm_(g, 1.0, error_if_nonfinite=True)
    assert g.vector[3] == math.inf


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([{"lr": 1.0}], 'must have "params"'),
        ([{"params": "*", "rate": 1.0}], "has the option 'rate'"),
        ([{"params": "*", "max_norm": 1.0}], "has the option 'max_norm'"),
        ([{"params": "*"}, {"params": "*", "lr": -1.0}], "groups.1.: SGD: lr"),
        ([{"params": "*", "type": "Adamm"}], "no update rule 'Adamm' .did you mean 'Adam'"),
        ([{"params": "*", "type": "LBFGS"}], "no update rule 'LBFGS'"),
        ([{"params": "*", "type": ["Adam"]}], "no update rule"),
        ([{"params": "*", "type": "AdamW", "momentum": 0.9}], "has the option 'momentum'"),
        ([{"params": "*", "type": "AdamW", "eps": -1.0}], "groups.0.: AdamW: eps"),
        ([3], "groups"),
        (3, "groups"),
    ],
)
def test_groups_that_cannot_be_meant_are_refused(groups: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        SGD(groups=groups)


def test_a_group_without_parameters_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(SpecError, match=r"'\*\.bais' fits none of 0\.weight, 0\.bias"):
        SGD(groups=[{"params": "*.bais"}]).init(NET.init(0))


AROUND = Adam(
    l1=0.01,
    max_norm=0.1,
    groups=[{"params": "*.bias", "lr": 0.2, "betas": [0.5, 0.5]}, {"params": "2.*", "l2": 0.1}],
)


def test_a_rule_with_groups_is_a_value_and_goes_through_json() -> None:
    spec = json.loads(json.dumps(to_spec(AROUND)))
    again = from_spec(spec, {"Adam": Adam}, "optimizer")
    for other in (again, copy.deepcopy(AROUND), pickle.loads(pickle.dumps(AROUND))):  # noqa: S301
        assert other == AROUND
        assert hash(other) == hash(AROUND)
    assert "groups" not in to_spec(Adam())
    assert repr(Adam()) == repr(Adam(l1=0.0, groups=[]))


def test_a_copy_of_a_trainer_goes_on_alike() -> None:
    ours = Trainer(NET, MSELoss(), AROUND)
    ours.fit(X, T, epochs=2, batch_size=5)
    other = copy.deepcopy(ours)
    for one in (ours, other):
        one.fit(X, T, epochs=3, batch_size=5)
    assert ours.params == other.params


def test_rates_of_groups_follow_the_rate_or_are_set_one_by_one() -> None:
    ours = Trainer(NET, MSELoss(), AROUND)
    assert ours.lrs == (0.001, 0.2, 0.001)
    ours.lr = 0.002
    assert ours.lrs == (0.002, 0.4, 0.002)
    ours.lrs = (0.1, 0.2, 0.3)
    assert ours.lrs == (0.1, 0.2, 0.3)
    with pytest.raises(SpecError, match="lrs must have 3 rates"):
        ours.lrs = (0.1,)


def test_a_new_rate_repeats_the_plan_of_each_part() -> None:
    """Bit for bit what a state without a plan does."""
    ours, other = (Trainer(NET, MSELoss(), AROUND) for _ in range(2))
    for i in range(6):
        for one in (ours, other):
            one.lrs = (0.1 / (i + 1), 0.2, 0.05 * i)
        other.state = dict(other.state)
        assert ours.step(X[:N], T) == other.step(X[:N], T)
    assert ours.params == other.params


def test_an_explanation_refuses_what_it_does_not_tell() -> None:
    rule = SGD(max_norm=1.0, norm_type=3.0)
    with pytest.raises(SpecError, match="norm_type"):
        explain(NET, NET.init(0), X[:1], T[:1], loss=MSELoss(), rule=rule)
