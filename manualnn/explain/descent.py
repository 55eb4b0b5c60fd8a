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
from manualnn.explain.computation import Computation
from manualnn.explain.formula import LOSS, Formula, Symbol, derivative, word
from manualnn.explain.numbers import (
    PRECISION,
    Arithmetic,
    Bounded,
    KinkWithinRoundingError,
    Number,
    objects,
)
from manualnn.explain.run import Key, Run
from manualnn.optimizers import SGD, Optimizer
from manualnn.optimizers.planned import State
from manualnn.parameters import Parameters


def is_rounded(rule: Optimizer) -> bool:
    """Return True if the operations of a rule may be rounded to decimals.

    Other rules divide by roots of squared gradients. Rounding would turn these into 0 / 0.
    """
    return isinstance(rule, SGD)


def update_formulas(
    computation: Computation, keys: list[Key], gradient: Array
) -> tuple[Array, dict[str, Array]]:
    """Return formulas of the new values of some parameters, and of the rule's state by its names.

    `gradient` holds ∂L/∂θ of these parameters. A rule updates each parameter independently, so
    the other parameters are not needed.
    """
    rule = computation.run.rule
    inner = computation.arithmetic if is_rounded(rule) else Arithmetic()
    old, slope = np.empty((2, len(keys)), dtype=object)
    for k, (layer, name, index) in enumerate(keys):
        symbol = computation.names.parameter(layer, name, index)
        old[k] = Formula(computation.arrays[layer][name][index], inner, symbol)
        slope[k] = Formula(gradient[k], inner, derivative(LOSS, symbol))
    shapes = {"0.some": (len(keys),)}
    theta = Parameters(shapes, old)
    arithmetic = computation.arithmetic
    named = _lift_options(
        rule, lambda value, symbol: Formula(arithmetic.read_constant(value), Arithmetic(), symbol)
    )
    state = named.init(theta)
    _update_each(named, theta, Parameters(shapes, slope), state)
    states = {name: objects(state[name], lambda _, f: f) for name in rule.vectors()}
    for name, entries in states.items():
        for k, entry in enumerate(entries):
            if entry.symbol:  # it is the gradient or another vector
                entries[k] = Formula(entry.value, entry.arithmetic, entry.symbol)
            else:  # the new value's formula shows its name
                entry.symbol = word(name)
    return theta.vector, states


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


def _update_each(rule: Optimizer, params: Parameters, grads: Parameters, state: State) -> None:
    """Update every parameter in an array of its own.

    A kernel may turn one entry of an array into a plain 0, but the elementary functions assume
    that all entries of an array are of one kind.
    """
    for i in range(params.vector.size):
        place = slice(i, i + 1)
        alone = {"step": state["step"]} | {name: state[name][place] for name in rule.vectors()}
        theta, slope = (Parameters({"0.one": (1,)}, p.vector[place]) for p in (params, grads))
        rule.update(theta, slope, alone)
    state["step"] += 1


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


def _float_steps(run: Run) -> Iterator[tuple[Decimal, Array]]:
    """Yield error and gradient in float64, before the first update and after each update."""
    params = run.params.copy()
    state = run.rule.init(params)
    while True:
        value, grads = run.net.value_and_grad(
            params, run.loss, run.x, run.t, noise=run.noise or None
        )
        yield Decimal(float(value)), objects(grads.vector, lambda _, v: Decimal(float(v)))
        with np.errstate(all="ignore"):
            run.rule.update(params, grads, state)


def _rounded_steps(run: Run, arithmetic: Arithmetic) -> Iterator[tuple[Decimal, Array]]:
    """Yield error and gradient as `_float_steps` does, but with every operation rounded."""
    inner = arithmetic if is_rounded(run.rule) else Arithmetic()
    theta = objects(run.params.vector, lambda _, v: arithmetic.read(v))
    # An lr of 0.1 is one tenth, as in the update that is shown, and not the float next to it.
    rule = _lift_options(
        run.rule, lambda value, _: Number(arithmetic.read_constant(value), Arithmetic())
    )
    state = rule.init(Parameters(run.net.shapes, theta))
    while True:
        computation = Computation(run, arithmetic, kind=Number, theta=theta)
        gradient = objects(computation.gradient(), lambda _, number: number.value)
        yield computation.error.value, gradient
        params, grads = (
            Parameters(run.net.shapes, objects(vector, lambda _, v: Number(v, inner)))
            for vector in (theta, gradient)
        )
        _update_each(rule, params, grads, state)
        theta = objects(params.vector, lambda _, number: arithmetic.round(number.value))


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
