"""Builds the explanation of a run: layers, loss, gradients, update and descent."""

import math
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.explain.descent import descend, is_rounded
from manualnn.explain.explanation import Explanation
from manualnn.explain.formula import LOSS, Symbol, with_value
from manualnn.explain.gradients import GradientBuilder
from manualnn.explain.model import LayerStep, LossStep, PlacedParameter, Quantity
from manualnn.explain.naming import equations, rule_equations
from manualnn.explain.numbers import objects
from manualnn.explain.quantities import Quantities, count_left_out
from manualnn.explain.run import Key, Run, parse_weight
from manualnn.parameters import Parameters

MAX_PARAMETERS = 32
"""Largest network, in parameters, of which all are explained; else the LARGEST gradients are."""
LARGEST = 8
MAX_DERIVATIVES = 32
"""Most local derivatives in one list."""


def build_explanation(
    run: Run,
    *,
    weight: str | None,
    decimals: int | None,
    epochs: int,
    target_loss: float | None,
    paths: int,
) -> Explanation:
    """Return the explanation of a run; the options are those of `explain`, already checked there.

    Raises SpecError if the error or its gradient is not finite.
    """
    value, grads = run.net.value_and_grad(run.params, run.loss, run.x, run.t, noise=run.noise)
    engine = grads.vector
    if not (math.isfinite(value) and np.isfinite(engine).all()):
        message = (
            f"the error is {value} and its gradient is not finite everywhere: there is nothing "
            f"to explain; scale x and the parameters down."
        )
        raise SpecError(message)
    keys: list[Key] = [
        (int(key.partition(".")[0]), key.partition(".")[2], index)
        for key, shape in run.net.shapes.items()
        for index in np.ndindex(shape)
    ]
    places = _places(run, keys, weight, engine)
    chosen = [keys[place] for place in places]
    q = Quantities(run, decimals, set(chosen))
    exact_errors, stopped_unrounded, _ = descend(run, None, epochs, target_loss)
    errors, stopped = exact_errors, stopped_unrounded
    gradient = objects(engine, lambda _, v: Decimal(float(v)))
    if decimals is not None:
        errors, stopped, gradient = descend(run, decimals, epochs, target_loss)
        gradient = objects(gradient, lambda _, number: number.value)
    listed = keys if len(keys) <= MAX_PARAMETERS else chosen
    needed = q.exact.graph.reached(chosen)
    return Explanation(
        spec=run.spec(),
        decimals=decimals,
        notes=list(run.notes),
        inputs=q.array(q.shown.x, q.exact.x, partial(q.names.unit, -1)),
        inputs_left_out=count_left_out(run.x),
        targets=q.array(q.shown.t, q.exact.t, q.names.target),
        targets_left_out=count_left_out(run.t),
        parameters=[_placed(q, key) for key in listed],
        parameters_left_out=len(keys) - len(listed),
        layers=[_layer_step(q, i, needed.get(i, set())) for i in range(len(run.net.layers))],
        loss=_loss_step(q),
        gradients=GradientBuilder(q, paths).build(chosen, places, engine, gradient),
        gradients_left_out=len(keys) - len(chosen),
        backward={
            key: array.tolist()
            for key, array in Parameters(run.net.shapes, gradient.astype(np.float64)).items()
        },
        rule=repr(run.rule),
        rule_rounded=is_rounded(run.rule),
        rule_equations=rule_equations(run.rule),
        errors=_errors(q, errors, exact_errors),
        stopped=stopped,
        stopped_unrounded=stopped_unrounded,
    )


def _places(run: Run, keys: list[Key], weight: str | None, gradient: Array) -> list[int]:
    """Return the places of the parameters to explain in the vector of all parameters."""
    if weight is not None:
        return [keys.index(parse_weight(weight, run.net.shapes))]
    if len(keys) <= MAX_PARAMETERS:
        return list(range(len(keys)))
    return [int(place) for place in np.argsort(-np.abs(gradient), kind="stable")[:LARGEST]]


def _placed(q: Quantities, key: Key) -> PlacedParameter:
    layer, _, index = key
    place = f"into `{q.names.unit(layer, ('n', index[0])).text}`"
    if len(index) == 2:
        place = f"from `{q.names.unit(layer - 1, ('n', index[1])).text}` {place}"
    return PlacedParameter(q.parameter(key), place)


def _layer_step(q: Quantities, i: int, needed: set[Any]) -> LayerStep:
    """Return the step of a layer; `needed` are the sources of the edges on the explained paths."""
    layer = q.run.net.layers[i]
    blocks = equations(layer)
    outputs = q.shown.formulas[i]
    derivatives, left_out = _derivatives(q, i, needed)
    carried = q.shown.backward[0].get(i, np.empty((0, 0), dtype=object))
    true = q.exact.backward[0].get(i, carried)
    return LayerStep(
        index=i,
        layer=repr(layer),
        forward=blocks["Forward"],
        backward=blocks["Backward"],
        outputs=q.array(outputs, q.exact.outputs[i], partial(q.names.unit, i)),
        outputs_left_out=count_left_out(outputs),
        derivatives=derivatives,
        derivatives_left_out=left_out,
        carried=q.array(carried, true, partial(q.names.slope, i - 1)),
        carried_left_out=count_left_out(carried),
    )


def _derivatives(q: Quantities, i: int, needed: set[Any]) -> tuple[list[Quantity], int]:
    """Return the local derivatives on the explained paths, and the number of those left out."""
    values, exact = q.shown.graph.layers.get(i, {}), q.exact.graph.layers.get(i, {})
    edges = [(source, unit) for source, to in values.items() if source in needed for unit in to]
    edges.sort(key=lambda edge: (isinstance(edge[0][0], int), edge[1]))
    listed = edges[:MAX_DERIVATIVES]
    formulas = q.shown.derivative_formulas(i, {unit for _, unit in listed}) if listed else {}
    quantities = []
    for source, unit in listed:
        shown = with_value(formulas.get((source, unit)), values[source][unit])
        quantities.append(q.quantity(q.names.edge(i, source, unit), shown, exact[source][unit]))
    return quantities, len(edges) - len(listed)


def _loss_step(q: Quantities) -> LossStep:
    shown, exact, loss = q.shown, q.exact, q.run.loss
    blocks = equations(loss)
    formulas = shown.loss_slopes()
    values, exact_values = shown.graph.outputs, exact.graph.outputs
    slopes = objects(formulas, lambda unit, f: with_value(f, values[unit[0], unit[1]]))
    true = objects(formulas, lambda unit, _: exact_values[unit[0], unit[1]])
    left_out = count_left_out(slopes)
    return LossStep(
        loss=repr(loss),
        forward=blocks["Forward"],
        backward=blocks["Backward"],
        reduction=loss.reduction,
        samples=len(slopes),
        width=slopes.shape[1],
        divisor=float(loss.divisor(np.zeros(slopes.shape), q.run.t)),
        terms=q.array(shown.terms(), exact.terms(), q.names.term),
        terms_left_out=left_out,
        total=q.quantity(LOSS, shown.error, exact.error),
        slopes=q.array(slopes, true, partial(q.names.slope, len(q.run.net.layers) - 1)),
        slopes_left_out=left_out,
    )


def _errors(q: Quantities, shown: list[Decimal], exact: list[Decimal]) -> list[Quantity]:
    """Return the errors of the descent; the exact descent may have stopped earlier."""
    return [
        q.quantity(Symbol(f"L after {k}", rf"L_{{{k}}}"), error, exact[min(k, len(exact) - 1)])
        for k, error in enumerate(shown)
    ]
