"""Gradient descent: updates as formulas, the errors that follow, and bounds of rounding errors.

The engine's own kernels do all computations, on numbers of different kinds (see `numbers`).
"""

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import fields
from decimal import Decimal
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.explain.around import CLIP, Around, is_rounded
from manualnn.explain.bounded import Bounded, KinkWithinRoundingError
from manualnn.explain.computation import Computation
from manualnn.explain.formula import LOSS, Formula, Symbol, derivative, word
from manualnn.explain.numbers import PRECISION, Arithmetic, Number, objects
from manualnn.explain.run import Key, Run
from manualnn.optimizers import Optimizer
from manualnn.optimizers.planned import State
from manualnn.parameters import Parameters


def update_formulas(
    computation: Computation, keys: dict[Key, int], gradient: Array
) -> list[tuple[Formula, dict[str, Formula]]]:
    """Return formulas of the new values of some parameters, and of the rule's state by its names.

    `gradient` holds ∂L/∂θ of all parameters, because clipping by the norm needs them. `keys` has
    the place of each parameter that is explained.
    """
    run, arithmetic = computation.run, computation.arithmetic

    def constant(value: Any, symbol: Symbol) -> Formula:
        return Formula(arithmetic.read_constant(value), Arithmetic(), symbol)

    around = Around(run.rule, run.net.shapes, constant, arithmetic)
    theta = computation.parameters()
    factor = _clip_factor(run, arithmetic, theta, gradient)
    found = []
    for (layer, name, index), place in keys.items():
        rule = around.shares[f"{layer}.{name}"].rule
        inner = arithmetic if is_rounded(rule) else Arithmetic()
        symbol = computation.names.parameter(layer, name, index)
        old = Formula(theta[place], inner, symbol)
        slope = Formula(gradient[place], inner, derivative(LOSS, symbol))
        g = around.gradient(f"{layer}.{name}", old, slope)
        if factor is not None:
            g = g * Formula(factor, Arithmetic(), CLIP)
        named = _lift_options(rule, constant)
        state = named.init(_alone(old))
        new = _update_entry(named, old, g, state)
        kept = {vector: _as_named(state[vector][0], vector) for vector in rule.vectors()}
        found.append((new, kept))
    return found


def _as_named(entry: Formula, name: str) -> Formula:
    """Return an entry of the state, by whose name the formula of the new value shows it."""
    if entry.symbol:  # it is the gradient or another vector
        return Formula(entry.value, entry.arithmetic, entry.symbol)
    entry.symbol = word(name)
    return entry


def _clip_factor(run: Run, arithmetic: Arithmetic, theta: Array, gradient: Array) -> Decimal | None:
    """Return the factor of clipping by the norm, from the gradients of all parameters."""
    around = _around_numbers(run, arithmetic)
    clipped = map(around.gradient, around.names, *around.read(theta, gradient))
    return around.factor([g.value for g in clipped])


def _around_numbers(run: Run, arithmetic: Arithmetic) -> Around:
    return Around(
        run.rule,
        run.net.shapes,
        lambda value, _: Number(arithmetic.read_constant(value), Arithmetic()),
        arithmetic,
    )


SYMBOLS = {
    "betas": (Symbol("β₁", r"\beta_1"), Symbol("β₂", r"\beta_2")),
    "etas": (Symbol("η₋", r"\eta_-"), Symbol("η₊", r"\eta_+")),
    "step_sizes": (Symbol("Γ₋", r"\Gamma_-"), Symbol("Γ₊", r"\Gamma_+")),
}
"""The symbols of options that are two numbers."""


def _lift_options(rule: Optimizer, constant: Callable[[Any, Symbol], Number]) -> Optimizer:
    """Return a copy of the rule whose options are `constant(value, symbol)`: lr, eps, β₁ and so on.

    An option of 0 stays a plain 0, because a rule then skips the operation.
    """
    lifted = copy(rule)  # replace(…) would fail: options must be plain numbers
    for option in fields(rule):
        value = getattr(rule, option.name)
        if isinstance(value, float) and value:
            object.__setattr__(lifted, option.name, constant(value, word(option.name)))
        elif isinstance(value, tuple):
            symbols = SYMBOLS.get(option.name, ())
            object.__setattr__(lifted, option.name, tuple(map(constant, value, symbols)))
    return lifted


def _alone(number: Number) -> Parameters:
    """Return one parameter in an array of its own.

    A kernel may turn one entry of an array into a plain 0, but the elementary functions assume
    that all entries of an array are of one kind.
    """
    vector = np.empty(1, dtype=object)
    vector[0] = number
    return Parameters({"0.one": (1,)}, vector)


def _update_entry(rule: Optimizer, old: Any, g: Any, state: State) -> Any:
    """Return the new value of one parameter, and renew its state."""
    params = _alone(old)
    rule.update(params, _alone(g), state)
    return params.vector[0]


def descend(
    run: Run, decimals: int | None, epochs: int, target_loss: float | None
) -> tuple[list[Decimal], str, Array]:
    """Return the errors before and after each update, the reason for the end, the first gradient.

    Without decimals the descent is computed in float64, otherwise with every operation rounded.
    """
    errors: list[Decimal] = []
    steps = _float_steps(run) if decimals is None else _rounded_steps(run, Arithmetic(decimals))
    for done, (error, gradient) in enumerate(steps):
        errors.append(error)
        if not done:
            first = gradient
        if not error.is_finite():
            return errors, "diverged", first
        if done and target_loss is not None and error <= Decimal(target_loss):
            return errors, "target_loss", first
        if done == epochs:
            break
    return errors, "epochs", first


def value_and_grad(run: Run, params: Parameters) -> tuple[Any, Parameters]:
    """Return L and the gradient in float64, by the engine."""
    return run.net.value_and_grad(
        params, run.loss, run.x, run.t, noise=run.noise or None, sample_weight=run.weights
    )


def _float_steps(run: Run) -> Iterator[tuple[Decimal, Array]]:
    """Yield error and gradient in float64, before the first update and after each update."""
    params = run.params.copy()
    state = run.rule.init(params)
    while True:
        value, grads = value_and_grad(run, params)
        yield Decimal(float(value)), objects(grads.vector, lambda _, v: Decimal(float(v)))
        with np.errstate(all="ignore"):
            run.rule.update(params, grads, state)


def _rounded_steps(run: Run, arithmetic: Arithmetic) -> Iterator[tuple[Decimal, Array]]:
    """Yield error and gradient as `_float_steps` does, but with every operation rounded."""
    theta = objects(run.params.vector, lambda _, v: arithmetic.read(v))
    # An lr of 0.1 is one tenth, as in the update that is shown, and not the float next to it.
    around = _around_numbers(run, arithmetic)
    rules = {name: _lift_options(s.rule, around.constant) for name, s in around.shares.items()}
    states = [rules[name].init(_alone(w)) for name, w in zip(around.names, theta, strict=True)]
    while True:
        computation = Computation(run, arithmetic, kind=Number, theta=theta)
        gradient = objects(computation.gradient(), lambda _, number: number.value)
        yield computation.error.value, gradient
        params, slopes = around.read(theta, gradient)
        grads = around.gradients(params, slopes)
        for k, name in enumerate(around.names):
            new = _update_entry(rules[name], params[k], grads[k], states[k])
            theta[k] = arithmetic.round(new.value)


def rounding_bounds(run: Run) -> tuple[float, Array]:
    """Return a bound of the float64 error of L, and of the gradient of every parameter, (P,).

    The bounds are infinite if a number is so near a kink that float64 may be on the other side.
    """
    try:
        computation = Computation(run, Arithmetic(), kind=Bounded)
        error, gradient = computation.error, computation.gradient()
    except KinkWithinRoundingError:
        return np.inf, np.full(run.params.vector.shape, np.inf)
    # The path sums have rounding errors, too: those of a few operations with PRECISION digits.
    own = Decimal(10) ** (8 - PRECISION)
    bounds = [float(g.error + own * abs(g.value)) for g in (error, *gradient)]
    return bounds[0], np.array(bounds[1:])
