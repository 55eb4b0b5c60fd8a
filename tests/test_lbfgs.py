"""LBFGS: the direction, the line search, and a training with it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import CLASSES, NET, T, X, trainer
from values import SEEDS

from manualnn import (
    LBFGS,
    SGD,
    Checkpoint,
    CrossEntropyLoss,
    DivergedError,
    Dropout,
    Linear,
    MSELoss,
    Parameters,
    Sequential,
    SpecError,
    Trainer,
    load,
    save,
)
from manualnn.optimizers.line_search import ARMIJO, CURVATURE, Point, StrongWolfe, minimum_of_cubic

Array = np.ndarray[Any, Any]
SHAPES = {"0.bias": (5,)}
RNG = np.random.default_rng(0)


def quadratic(matrix: Array, centre: Array) -> Any:
    """Return what `minimise` takes for ½ (θ − c)ᵀ A (θ − c): evaluate, params and grads."""
    params, grads = Parameters(SHAPES), Parameters(SHAPES)

    def evaluate() -> float:
        grads.vector = matrix @ (params.vector - centre)
        return float((params.vector - centre) @ grads.vector) / 2

    return evaluate, params, grads


def by_matrices(pairs: list[tuple[Array, Array]], g: Array) -> Array:
    """Return −H g with the matrix H of the BFGS formula, after the pairs (s, y) in turn."""
    s, y = pairs[-1]
    inverse = np.eye(len(g)) * (s @ y) / (y @ y)
    for s, y in pairs:
        left = np.eye(len(g)) - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    return -inverse @ g


@given(SEEDS, st.integers(1, 6))
def test_a_direction_is_that_of_the_bfgs_formula(seed: int, history_size: int) -> None:
    """A fixed step length, by which each θ is known from the directions: θ ← θ + t d.

    The matrices have a condition below 10; 10⁻⁹ leaves seven digits for six steps' rounding.
    """
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((5, 5))
    matrix, centre = np.eye(5) + a @ a.T / 5, rng.standard_normal(5)
    evaluate, params, grads = quadratic(matrix, centre)
    rule = LBFGS(lr=0.25, max_iter=1, history_size=history_size, tolerance_change=0)
    state, theta = rule.init(params), params.vector.copy()
    pairs: list[tuple[Array, Array]] = []
    step, before = np.zeros(5), np.zeros(5)
    for i in range(7):
        g = matrix @ (theta - centre)
        if np.abs(g).max() < 1e-4:
            break
        if i:
            pairs.append((step, g - before))
        d = by_matrices(pairs[-history_size:], g) if pairs else -g
        t = 0.25 if pairs else 0.25 * min(1, 1 / np.abs(g).sum())
        step, before = t * d, g
        theta = theta + step
        rule.minimise(evaluate, params, grads, state)
        np.testing.assert_allclose(params.vector, theta, rtol=0, atol=1e-9)
    assert state["stored"] == min(len(pairs), history_size)


@given(SEEDS, st.sampled_from([1e-3, 0.1, 1.0, 30.0]))
def test_a_step_length_satisfies_the_strong_wolfe_conditions(seed: int, t: float) -> None:
    """On functions with a minimum: a parabola, a quartic, and waves on a parabola."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.uniform(0.1, 2, 3)

    def f(t: float) -> tuple[float, float]:
        x = t - 3 * c
        value = a * x**2 + 0.01 * b * x**4 + 0.1 * math.cos(4 * x)
        return value, 2 * a * x + 0.04 * b * x**3 - 0.4 * math.sin(4 * x)

    def point(t: float) -> Point:
        value, slope = f(t)
        return Point(t, value, np.array([slope]), slope)

    start = point(0.0)
    if start.slope >= 0:
        return
    search = StrongWolfe(point, start, size=1.0, tolerance_change=0.0)
    found = search.run(t, 60)
    assert search.evaluations <= 61
    assert found.f <= start.f + ARMIJO * found.t * start.slope
    assert abs(found.slope) <= CURVATURE * abs(start.slope)


@given(st.floats(-2, 2), st.floats(0.1, 3), st.floats(-2, 2), st.floats(0.1, 3))
def test_the_minimum_of_a_cubic_is_found(at: float, a: float, left: float, width: float) -> None:
    """f(t) = a (t − m)² (t − m + 3) has its minimum at m, wherever the two points are."""

    def point(t: float) -> Point:
        x = t - at
        return Point(t, a * x**2 * (x + 3), np.zeros(1), a * (3 * x**2 + 6 * x))

    found = minimum_of_cubic(point(left), point(left + width), (-9.0, 9.0))
    assert abs(found - at) < 1e-5
    again = minimum_of_cubic(point(left + width), point(left))
    assert again == pytest.approx(min(max(at, left), left + width), abs=1e-5)


@pytest.mark.parametrize("line_search_fn", [None, "strong_wolfe"])
def test_a_quadratic_is_minimised_to_its_last_digits(line_search_fn: str | None) -> None:
    a = RNG.standard_normal((5, 5))
    centre = RNG.standard_normal(5)
    evaluate, params, grads = quadratic(np.eye(5) + a @ a.T / 5, centre)
    rule = LBFGS(
        max_iter=60, line_search_fn=line_search_fn, tolerance_grad=1e-6, tolerance_change=0
    )
    state = rule.init(params)
    first = rule.minimise(evaluate, params, grads, state)
    assert first == pytest.approx(centre @ (np.eye(5) + a @ a.T / 5) @ centre / 2)
    np.testing.assert_allclose(params.vector, centre, atol=1e-6)
    evaluations = int(state["func_evals"])
    rule.minimise(evaluate, params, grads, state)  # which has nothing to do
    assert state["func_evals"] == evaluations + 1
    assert state["step"] == 2


def test_a_training_needs_few_steps() -> None:
    ours, other = trainer(rule=LBFGS(line_search_fn="strong_wolfe")), trainer(rule=SGD(lr=0.1))
    history = ours.fit(X, T, epochs=20)
    assert history.loss[-1] < other.fit(X, T, epochs=500).loss[-1]
    assert (ours.steps, ours.state["step"]) == (20, 20)
    assert history.loss == sorted(history.loss, reverse=True)


def test_the_loss_of_a_step_includes_the_penalty() -> None:
    ours = trainer(CrossEntropyLoss(), LBFGS(l1=0.01, l2=0.1, line_search_fn="strong_wolfe"))
    before = ours.evaluate(X, CLASSES) + ours.rule.penalty(ours.params)
    assert ours.step(X, CLASSES) == pytest.approx(before, rel=1e-14)
    ours.fit(X, CLASSES, epochs=20)
    _, grads = NET.value_and_grad(ours.params, ours.loss, X, CLASSES)
    for name, theta in ours.params.items():
        # At the minimum, the slopes of loss and penalty cancel. λ₁ is a range where θ = 0.
        is_weight = name.endswith("weight")
        rest = grads[name] + is_weight * 0.2 * theta
        assert (np.abs(rest) <= is_weight * 0.01 + 1e-2).all()


def test_a_saved_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    rule = LBFGS(history_size=3, max_iter=4)
    whole, cut, path = trainer(rule=rule), trainer(rule=rule), tmp_path / "model"
    whole.fit(X, T, epochs=6)
    cut.fit(X, T, epochs=3)
    save(path, cut)
    again = load(path)
    assert again.rule == rule
    again.fit(X, T, epochs=3)
    assert again.params == whole.params
    trainer(rule=rule).fit(X, T, epochs=2, callbacks=Checkpoint(path.with_suffix(".c")))
    resumed = trainer(rule=rule)
    resumed.fit(
        X, T, epochs=6, callbacks=Checkpoint(path.with_suffix(".c")), resume=path.with_suffix(".c")
    )
    assert resumed.params == whole.params


def test_a_dropout_keeps_its_mask_within_a_step() -> None:
    """Otherwise the line search would compare the losses of different networks."""
    net = Sequential(Linear(3, 8), Dropout(0.5), Linear(8, 2))
    drawn = []

    class Watched(Trainer):
        def _evaluate(self, plan: Any) -> float:
            drawn.append(plan.noise[1]["mask"].copy())
            return super()._evaluate(plan)

    rule = LBFGS(line_search_fn="strong_wolfe", max_iter=3)
    Watched(net, MSELoss(), rule).step(X, T)
    assert len(drawn) > 2
    assert all(np.array_equal(mask, drawn[0]) for mask in drawn)


def test_a_step_that_diverges_leaves_the_parameters() -> None:
    ours = trainer(rule=LBFGS(lr=1e300, max_iter=5))
    before = ours.params.copy()
    with pytest.raises(DivergedError):
        ours.fit(X, T, epochs=50)
    assert ours.params == before


def test_what_lbfgs_cannot_do_is_refused() -> None:
    for options in (
        {"max_iter": 0},
        {"history_size": 0},
        {"max_eval": 0},
        {"tolerance_grad": -1.0},
        {"line_search_fn": "armijo"},
        {"groups": [{"params": "*"}]},
        {"max_norm": 1.0},
        {"clip_value": 1.0},
    ):
        with pytest.raises(SpecError, match=next(iter(options))):
            LBFGS(**options)
    params = NET.init(0)
    with pytest.raises(SpecError, match="minimise"):
        LBFGS().update(params, params.zeros_like(), LBFGS().init(params))
    with pytest.raises(SpecError, match="has no minimise"):
        SGD().minimise(float, params, params, {})
    with pytest.raises(SpecError, match="accumulation_steps"):
        trainer(rule=LBFGS()).fit(X, T, accumulation_steps=2)
