"""LBFGS without a line search against its statement in 50 digits.

The statement keeps H as a dense matrix, and applies equation 7.16 of Nocedal & Wright 2006 to each
stored pair; the program never forms H. Step lengths, pairs and ends are those of torch's page.

An error of a gradient grows on the way: y is a difference of gradients, and is divided by yᵀs. So
the tolerance is measured in the same 50 digits. The statement runs again with a relative error of
±δ in every entry of every gradient, δ = 10⁻²⁵, and comes to another end. The program's gradients
have relative errors of at most ROUNDINGS u, by the sums of its terms, and so have its products.
"""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from values import SEEDS

from manualnn import LBFGS, Parameters

DIGITS = 50
DELTA = mpmath.mpf(10) ** -25
ROUNDINGS = 64
"""A gradient has sums of 6 terms, each with a tanh of an error of 4 units. d has products of 5
terms for each pair. In 80 drawn runs the largest error was 9 such units."""
SIZE, TERMS = 5, 6
Evaluate = Callable[[Any], tuple[Any, Any]]


def problem(seed: int) -> tuple[Any, Any, Any]:
    """Return A, b and a start of f(θ) = Σ log cosh(A θ − b) + |θ|² / 20, a convex function."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((TERMS, SIZE)), rng.standard_normal(TERMS), rng.standard_normal(SIZE)


def function(a: Any, b: Any, cosh: Any, log: Any, tanh: Any) -> Evaluate:
    """Return a function that returns f(θ) and its gradient."""

    def evaluate(theta: Any) -> tuple[Any, Any]:
        z = a.dot(theta) - b
        return log(cosh(z)).sum() + theta.dot(theta) / 20, a.T.dot(tanh(z)) + theta / 10

    return evaluate


def statement(o: LBFGS, evaluate: Evaluate, theta: Any, steps: int) -> tuple[Any, int]:
    """Return the last θ and the number of evaluations."""
    pairs: list[tuple[Any, Any]] = []
    last_g = s = None
    count = iterations = 0
    for _ in range(steps):
        f, g = evaluate(theta)
        count, own = count + 1, 1
        if max(abs(g)) <= o.tolerance_grad:
            continue
        for i in range(1, o.max_iter + 1):
            iterations += 1
            if iterations > 1 and (y := g - last_g).dot(s) > 1e-10:
                pairs = [*pairs, (s, y)][-o.history_size :]
            d, last_g, last_f = -inverse_hessian(pairs, len(theta)).dot(g), g, f
            t = o.lr * (min(1, 1 / sum(abs(g))) if iterations == 1 else 1)
            s = t * d
            if g.dot(d) > -o.tolerance_change:
                break
            theta = theta + s
            if i < o.max_iter:
                f, g = evaluate(theta)
                count, own = count + 1, own + 1
            is_still = max(abs(s)) <= o.tolerance_change or abs(f - last_f) < o.tolerance_change
            is_over = i == o.max_iter or own >= (o.max_eval or o.max_iter * 5 // 4)
            if is_over or is_still or max(abs(g)) <= o.tolerance_grad:
                break
    return theta, count


def inverse_hessian(pairs: list[tuple[Any, Any]], size: int) -> Any:
    """Return H: from H₀ = sᵀy / yᵀy of the last pair, H ← (1 − ρ s yᵀ) H (1 − ρ y sᵀ) + ρ s sᵀ."""
    one = np.array([[mpmath.mpf(i == j) for j in range(size)] for i in range(size)], object)
    h = one
    if pairs:
        s, y = pairs[-1]
        h = one * (s.dot(y) / y.dot(y))
    for s, y in pairs:
        rho = 1 / y.dot(s)
        left = one - rho * np.outer(s, y)
        h = left.dot(h).dot(left.T) + rho * np.outer(s, s)
    return h


def ours(o: LBFGS, evaluate: Evaluate, theta: Any, steps: int) -> tuple[Any, int]:
    """Return the last θ and the number of evaluations of the program."""
    params = Parameters({"0.bias": (SIZE,)}, theta.copy())
    grads, state = params.zeros_like(), o.init(params)

    def closure() -> Any:
        f, grads.vector = evaluate(params.vector)
        return f

    for _ in range(steps):
        o.minimise(closure, params, grads, state)
    return params.vector, int(state["func_evals"])


def exactly(values: Any) -> Any:
    return np.array([mpmath.mpf(float(v)) for v in values.flat], object).reshape(values.shape)


def mp(f: Any) -> Any:
    return np.frompyfunc(f, 1, 1)


def runs(o: LBFGS, seed: int, steps: int) -> tuple[Any, Any, Any, set[int]]:
    """Return our θ, the true one, its change by DELTA over DELTA, and how often each evaluates."""
    a, b, theta = problem(seed)
    got, count = ours(o, function(a, b, np.cosh, np.log, np.tanh), theta, steps)
    with mpmath.workdps(DIGITS):
        exact = function(exactly(a), exactly(b), mp(mpmath.cosh), mp(mpmath.log), mp(mpmath.tanh))
        true, of_true = statement(o, exact, exactly(theta), steps)
        counts, change = {count, of_true}, mpmath.mpf(0)
        for i in range(3):
            rng = np.random.default_rng([seed, i])

            def inexact(theta: Any, rng: Any = rng) -> tuple[Any, Any]:
                f, g = exact(theta)
                return f, g * (1 + DELTA * rng.choice([-1, 1], SIZE))

            other, of_other = statement(o, inexact, exactly(theta), steps)
            counts.add(of_other)
            change = max(change, *abs(other - true))
        return got, true, change / DELTA, counts


OPTIONS = st.fixed_dictionaries(
    {"lr": st.sampled_from([1.0, 0.5, 0.1]), "max_iter": st.integers(1, 6)},
    optional={
        "history_size": st.integers(1, 4),
        "max_eval": st.integers(1, 6),
        "tolerance_change": st.sampled_from([0.0, 1e-3]),
        "tolerance_grad": st.sampled_from([0.0, 1e-2]),
    },
)


@settings(max_examples=max(10, settings.default.max_examples // 2))
@given(seed=SEEDS, options=OPTIONS, steps=st.integers(1, 3))
def test_steps_are_the_statement_in_50_digits(
    seed: int, options: dict[str, Any], steps: int
) -> None:
    got, true, growth, counts = runs(LBFGS(**options), seed, steps)
    assume(len(counts) == 1)  # rounding decides where such a run ends
    limit = ROUNDINGS * 2.0**-53 * float(growth + max(abs(true)))
    assert np.abs((got - true).astype(float)).max() <= limit
