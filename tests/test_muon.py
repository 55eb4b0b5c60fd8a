"""Muon: its step against singular values, exact numbers and its own promises."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from muon_bounds import Bound, options
from toys import N, T, X
from values import SEEDS

from manualnn import (
    SGD,
    Linear,
    MSELoss,
    Muon,
    Parameters,
    Sequential,
    SpecError,
    Tanh,
    Trainer,
)
from manualnn.explain import explain
from manualnn.serialization import load, save

NET = Sequential(Linear(3, 4, bias=False), Tanh(), Linear(4, 2, bias=False))
SHAPES = {"0.weight": (3, 5), "1.weight": (5, 2), "2.weight": (4, 4), "3.weight": (1, 3)}
SIZE = sum(math.prod(shape) for shape in SHAPES.values())
BIASES = {"params": "*.bias", "type": "AdamW", "lr": 3e-4}
OPTIONS = options(0.0, 1.0, 100.0)


def stated_step(o: Any, theta: Any, direction: Any) -> Any:
    """Return the new θ from U: the iteration acts on each singular value of U alone."""
    rows, columns = theta.shape
    left, sizes, right = np.linalg.svd(direction, full_matrices=False)
    sizes = sizes / max(math.sqrt(float(np.sum(sizes**2))), o.eps, 1e-300)
    a, b, c = o.ns_coefficients
    for _ in range(o.ns_steps):
        sizes = a * sizes + b * sizes**3 + c * sizes**5
    x = left * sizes @ right
    rate = math.sqrt(max(1, rows / columns))
    if o.adjust_lr_fn == "match_rms_adamw":
        rate = 0.2 * math.sqrt(max(rows, columns))
    return (1 - o.lr * o.weight_decay) * theta - o.lr * rate * x


@given(seed=SEEDS, options=OPTIONS, scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_the_step_changes_each_singular_value_alone(
    seed: int, options: dict[str, Any], scale: float
) -> None:
    rng, rule = np.random.default_rng(seed), Muon(**options)
    params, buffer = Parameters(SHAPES), Parameters(SHAPES)
    params.vector = rng.standard_normal(SIZE)
    state = rule.init(params)
    bounds = {name: Bound(rule, shape, "float64") for name, shape in SHAPES.items()}
    mu, g = rule.momentum, Parameters(SHAPES)
    for _ in range(4):  # the third step is planned
        g.vector = scale * rng.standard_normal(SIZE)
        buffer.vector = mu * buffer.vector + (1 - mu) * g.vector
        u = Parameters(SHAPES, buffer.vector.copy())
        if rule.nesterov:
            u.vector = mu * buffer.vector + (1 - mu) * g.vector
        start = params.copy()
        rule.update(params, g, state)
        for name in SHAPES:
            expected = stated_step(rule, start[name], u[name])
            limit = bounds[name].of_step(start[name], g[name], u[name])
            assert np.linalg.norm(params[name] - expected) <= limit
        np.testing.assert_allclose(state["momentum_buffer"], buffer.vector, atol=1e-14 * scale)


FORMS = [
    (shape, options)
    for shape in [(2, 2), (3, 2), (1, 3)]
    for options in [{}, {"nesterov": False}, {"adjust_lr_fn": "match_rms_adamw"}]
]


@pytest.mark.parametrize(("shape", "options"), FORMS)
def test_one_iteration_is_its_formula_in_exact_numbers(
    shape: tuple[int, int], options: dict[str, Any]
) -> None:
    """In SymPy's fractions, whatever the values: they are drawn, and no digit is lost."""
    rng, (rows, columns) = np.random.default_rng(sum(shape)), shape
    theta, g, old = (
        sp.Matrix(rows, columns, lambda *_: sp.Rational(int(rng.integers(-9, 10)), 7))
        for _ in range(3)
    )
    lr, mu, decay = sp.Rational(1, 3), sp.Rational(2, 5), sp.Rational(1, 7)
    a, b, c = sp.Rational(3), sp.Rational(-5, 2), sp.Rational(1, 3)
    rule = Muon(
        lr, weight_decay=decay, momentum=mu, ns_coefficients=(a, b, c), ns_steps=1, **options
    )
    shapes = {"0.weight": shape}
    params, grads, buffer = (Parameters(shapes, np.array(list(m), object)) for m in (theta, g, old))
    rule.update(params, grads, {"step": 4, "momentum_buffer": buffer.vector})
    new = mu * old + (1 - mu) * g
    u = mu * new + (1 - mu) * g if rule.nesterov else new
    x = u / sp.sqrt(sum(entry**2 for entry in u))
    gram = x * x.T
    x = a * x + (b * gram + c * gram * gram) * x
    rate = sp.sqrt(max(1, sp.Rational(rows, columns)))
    if rule.adjust_lr_fn:
        rate = sp.sqrt(max(rows, columns)) / 5
    expected = (1 - lr * decay) * theta - lr * rate * x
    assert all(sp.simplify(p - q) == 0 for p, q in zip(params.vector, expected, strict=True))
    assert list(buffer.vector) == list(new)


def test_the_step_is_right_in_60_digits() -> None:
    rng, rule = np.random.default_rng(4), Muon(lr=0.1)
    shapes, (theta, g) = {"0.weight": (4, 3)}, rng.standard_normal((2, 12))
    ours = Parameters(shapes, theta.copy())
    rule.update(ours, Parameters(shapes, g), rule.init(ours))
    with mpmath.workdps(60):
        exact = Parameters(shapes, np.array([mpmath.mpf(p) for p in theta], object))
        grads = Parameters(shapes, np.array([mpmath.mpf(p) for p in g], object))
        rule.update(exact, grads, rule.init(exact))
    limit = Bound(rule, (4, 3), "float64").of_step(theta, g, 0.0975 * g)
    assert np.linalg.norm(ours.vector - exact.vector.astype(float)) <= limit


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", ["max", "tiny", "smallest_subnormal"])
def test_extreme_gradients_step_as_ordinary_ones(dtype: str, size: str) -> None:
    """Without ε the size of the gradient does not matter; the signs are the same here."""
    signs = np.sign(np.random.default_rng(2).standard_normal(SIZE)).astype(dtype)
    ends = []
    for scale in (np.dtype(dtype).type(1), getattr(np.finfo(dtype), size)):
        params, rule = Parameters(SHAPES, dtype=dtype), Muon(lr=1.0, momentum=0.0, eps=0.0)
        with np.errstate(all="raise", under="ignore"):
            rule.update(params, Parameters(SHAPES, signs * scale), rule.init(params))
        ends.append(params.vector)
    tolerance = 1e-3 if dtype == "float32" else 1e-11
    if size == "smallest_subnormal":  # its quotient by the least normal number has few digits
        assert np.isfinite(ends[1]).all()
    else:
        np.testing.assert_allclose(ends[1], ends[0], atol=tolerance)


@pytest.mark.parametrize("eps", [0.0, 1e-7])
def test_a_gradient_of_zero_leaves_the_decay_alone(eps: float) -> None:
    params, rule = Parameters(SHAPES), Muon(lr=0.5, eps=eps)
    params.vector = np.ones(SIZE)
    rule.update(params, params.zeros_like(), rule.init(params))
    assert params.vector.tolist() == [0.95] * SIZE


@pytest.mark.parametrize("moves", [True, False])
def test_a_plan_steps_as_the_rule_does(moves: bool) -> None:  # noqa: FBT001
    rng, rule = np.random.default_rng(1), Muon(lr=0.1)
    params = Parameters(SHAPES, rng.standard_normal(SIZE))
    other, g = params.copy(), params.zeros_like()
    state, plain = rule.init(params), dict(rule.init(params))
    for _ in range(5):
        g.vector = rng.standard_normal(SIZE)
        rule.update(other, g, plain)
        if moves:
            rule.update(params, g, state)
        else:
            rule.write_step(params, g, state)
            params.vector = params.vector - g.vector
        assert params == other


def test_a_parameter_that_is_no_matrix_needs_a_group() -> None:
    net = Sequential(Linear(3, 2))
    with pytest.raises(SpecError, match=r"0\.bias has the shape \(2,\).*\*\.bias.*AdamW"):
        Trainer(net, MSELoss(), Muon())
    ours = Trainer(net, MSELoss(), Muon(groups=[BIASES]))
    assert ours.lrs == (0.001, 3e-4)
    ours.fit(X, T, epochs=2, batch_size=N)
    assert ours.state["exp_avg"][:6].tolist() == [0.0] * 6
    assert ours.state["momentum_buffer"][6:].tolist() == [0.0] * 2


def test_matrices_of_another_rule_may_have_muon() -> None:
    groups = [{"params": "*.weight", "type": "Muon", "lr": 0.1}]
    net = Sequential(Linear(3, 4), Tanh(), Linear(4, 2))
    ours = Trainer(net, MSELoss(), SGD(lr=0.1, groups=groups))
    before = ours.evaluate(X, T)
    ours.fit(X, T, epochs=5, batch_size=N)
    assert ours.evaluate(X, T) < before


def test_a_saved_trainer_goes_on_alike(tmp_path: Any) -> None:
    ours = Trainer(NET, MSELoss(), Muon(lr=0.1))
    ours.fit(X, T, epochs=2, batch_size=8)
    save(tmp_path / "m.npz", ours)
    again = load(tmp_path / "m.npz")
    for one in (ours, again):
        one.fit(X, T, epochs=2, batch_size=8)
    assert ours.params == again.params


def test_an_explanation_refuses_it() -> None:
    with pytest.raises(SpecError, match="updates a matrix as a whole"):
        explain(NET, NET.init(0), X[:1], T[:1], loss=MSELoss(), rule=Muon())


@pytest.mark.parametrize(
    "options", [{"ns_steps": 100}, {"ns_steps": -1}, {"adjust_lr_fn": "rms"}, {"momentum": -1.0}]
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=next(iter(options))):
        Muon(**options)
