"""Gradients and updates on numbers of any kind, by the engine's own kernels."""

from collections.abc import Callable
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
from manualnn.explain.run import Case, Key
from manualnn.optimizers import SGD, Optimizer
from manualnn.optimizers.base import State
from manualnn.parameters import Parameters


def rounds(rule: Optimizer) -> bool:
    """Whether the rule's operations may be rounded to decimals.

    The others divide by roots of squared gradients, which rounding would turn into 0 / 0.
    """
    return isinstance(rule, SGD)


def updates(
    computation: Computation, keys: list[Key], gradient: Array
) -> tuple[Array, dict[str, Array]]:
    """Return the formulas of some parameters' new values and of the rule's state, by its names.

    An update rule acts on each parameter by itself, so these can be updated without the others.
    """
    case = computation.case
    arithmetic = computation.arithmetic if rounds(case.rule) else Arithmetic()
    old, slope = np.empty((2, len(keys)), dtype=object)
    for k, (layer, name, index) in enumerate(keys):
        symbol = computation.names.parameter(layer, name, index)
        old[k] = Formula(computation.arrays[layer][name][index], arithmetic, symbol)
        slope[k] = Formula(gradient[k], arithmetic, derivative(LOSS, symbol))
    shapes = {"0.some": (len(keys),)}
    theta = Parameters(shapes, old)
    state = case.rule.init(theta)
    _update_each(_named(case.rule, computation.arithmetic), theta, Parameters(shapes, slope), state)
    remembered = {name: objects(state[name], lambda _, f: f) for name in case.rule.vectors()}
    for name, entries in remembered.items():
        for k, entry in enumerate(entries):
            if entry.symbol:  # the gradient itself, or what has a name already
                entries[k] = Formula(entry.value, entry.arithmetic, entry.symbol)
            else:  # in the new value's formula it now stands by its name
                entry.symbol = word(name)
    return theta.vector, remembered


def _named(rule: Optimizer, arithmetic: Arithmetic) -> Optimizer:
    """Return the rule with names for its numbers: lr, eps, β₁ and so on.

    A frozen description would refuse them, and 0 means without to a rule.
    """

    def constant(value: Any, symbol: Symbol) -> Formula:
        return Formula(arithmetic.constant(value), Arithmetic(), symbol)

    named = copy(rule)
    for option in fields(rule):
        value = getattr(rule, option.name)
        if isinstance(value, float) and value:
            object.__setattr__(named, option.name, constant(value, word(option.name)))
        elif isinstance(value, tuple):
            symbols = Symbol("β₁", r"\beta_1"), Symbol("β₂", r"\beta_2")
            object.__setattr__(named, option.name, tuple(map(constant, value, symbols)))
    return named


def _update_each(rule: Optimizer, params: Parameters, grads: Parameters, state: State) -> None:
    """Update every parameter by itself.

    A kernel may turn one entry of an array into a plain 0, and the elementary functions take an
    array to be all of one kind.
    """
    for i in range(params.vector.size):
        place = slice(i, i + 1)
        alone = {"step": state["step"]} | {name: state[name][place] for name in rule.vectors()}
        theta, slope = (Parameters({"0.one": (1,)}, p.vector[place]) for p in (params, grads))
        rule.update(theta, slope, alone)
    state["step"] += 1


def descend(
    case: Case, decimals: int | None, epochs: int, target_loss: float | None
) -> tuple[list[Decimal], str, Array]:
    """Return the errors before and after each update, why it ended, and the first gradient.

    Without decimals it is computed in float64, else with every operation rounded.
    """
    params = case.params.copy()
    arithmetic = Arithmetic(decimals)
    if decimals is not None:
        vector = objects(params.vector, lambda _, v: Number(arithmetic.given(v), arithmetic))
        params = Parameters(case.net.shapes, vector)
    state = case.rule.init(params)
    errors: list[Decimal] = []
    first = params.vector
    for done in range(epochs + 1):
        if decimals is None:
            value, grads = case.net.value_and_grad(
                params, case.loss, case.x, case.t, noise=case.noise
            )
            errors.append(Decimal(float(value)))
        else:
            number, grads = value_and_grad(case, Number, arithmetic, params)
            errors.append(number.value)
        if not done:
            first = grads.vector
        if not errors[-1].is_finite():
            return errors, "diverged", first
        if done and target_loss is not None and errors[-1] <= Decimal(target_loss):
            return errors, "target_loss", first
        if done < epochs and decimals is None:
            with np.errstate(all="ignore"):
                case.rule.update(params, grads, state)
        elif done < epochs and rounds(case.rule):
            _update_each(case.rule, params, grads, state)
        elif done < epochs:
            params, grads = (_in(Arithmetic(), p) for p in (params, grads))
            _update_each(case.rule, params, grads, state)
            params = _in(arithmetic, params)
    return errors, "epochs", first


def _in(arithmetic: Arithmetic, params: Parameters) -> Parameters:
    """Return the numbers rounded as an arithmetic has it, which from then on is theirs."""
    rounded = arithmetic.rounded
    vector = objects(params.vector, lambda _, v: Number(rounded(v.value), arithmetic))
    return Parameters(params.shapes, vector)


def value_and_grad(
    case: Case, kind: type[Number], arithmetic: Arithmetic, params: Parameters
) -> tuple[Any, Parameters]:
    """Return L and ∂L/∂θ by the engine's kernels, forwards and backwards, on numbers of a kind."""
    zero = kind(Decimal(0), arithmetic)

    def numbers(array: Array, read: Callable[[Any], Decimal] = arithmetic.given) -> Array:
        return objects(array, lambda _, value: kind(read(value), arithmetic))

    def lifted(array: Array) -> Array:
        return objects(array, lambda _, value: zero.lift(value))

    arrays: list[dict[str, Array]] = [dict(own) for own in case.net.layer_arrays(params)]
    for key, mask in case.noise.items():
        at, _, name = key.partition(".")
        arrays[int(at)][name] = numbers(mask, arithmetic.constant)
    t = numbers(case.t) if case.t.dtype.kind == "f" else case.t
    passed = [numbers(case.x)]
    for layer, own in zip(case.net.layers, arrays, strict=True):
        passed.append(lifted(layer.forward(own, passed[-1])))
    value = zero.lift(case.loss.forward(passed[-1], t))
    dy = lifted(case.loss.backward(passed[-1], t))
    grads = params.zeros_like()
    for i in reversed(range(len(arrays))):
        layer, x, y = case.net.layers[i], passed[i], passed[i + 1]
        if i < len(grads.layers):
            layer.backward_params(arrays[i], x, y, dy, grads.layers[i])
        dy = lifted(layer.backward(arrays[i], x, y, dy))
    grads.vector[...] = lifted(grads.vector)
    return value, grads


def rounding_bounds(case: Case) -> Array:
    """Return for every parameter a bound of the float64 error of its gradient, as `Parameters`.

    Infinite where a number lies so near a kink that float64 may take the other side.
    """
    arithmetic = Arithmetic()
    vector = objects(case.params.vector, lambda _, v: Bounded(arithmetic.given(v), arithmetic))
    try:
        _, grads = value_and_grad(case, Bounded, arithmetic, Parameters(case.net.shapes, vector))
    except KinkWithinRoundingError:
        return np.full(case.params.vector.shape, np.inf)
    # The path sums themselves are off by what a few operations of PRECISION digits leave.
    own = Decimal(10) ** (8 - PRECISION)
    return np.array([float(g.error + own * abs(g.value)) for g in grads.vector])
