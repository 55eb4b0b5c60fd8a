"""Builds the explanation of a run: layers, loss, gradients, update and descent."""

import math
import sys
from decimal import Decimal, localcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.explain import MAX_DECIMALS
from manualnn.explain.around import clipping_notes, is_rounded
from manualnn.explain.descent import descend, rounding_bounds, value_and_grad
from manualnn.explain.explanation import Explanation
from manualnn.explain.formula import LOSS, Symbol, with_value
from manualnn.explain.gradients import build_gradients
from manualnn.explain.model import LayerStep, LossStep, Quantity
from manualnn.explain.naming import Names, brief, equations, rule_equations
from manualnn.explain.numbers import CONTEXT, objects
from manualnn.explain.quantities import Quantities, rounding_notes
from manualnn.explain.reading import read_file, read_run
from manualnn.explain.run import EXAMPLE, Key, Run, make_run, require_integer
from manualnn.explain.weighting import Weighting
from manualnn.losses import Loss, MSELoss
from manualnn.network.sequential import Sequential
from manualnn.optimizers import SGD, Optimizer
from manualnn.parameters import Parameters
from manualnn.validation import require_count

MAX_PARAMETERS = 32
"""Most parameters of a network that are all explained."""
LARGEST = 8
"""Number of explained parameters in a larger network: those with the largest gradients."""
MAX_DERIVATIVES = 32
"""Most local derivatives in one list."""


def explain(
    run: Any = None,
    params: Parameters | None = None,
    x: Any = None,
    t: Any = None,
    *,
    loss: Loss | None = None,
    rule: Optimizer | None = None,
    weight: str | None = None,
    decimals: int | None = None,
    epochs: int = 10,
    target_loss: float | None = None,
    lr: float | None = None,
    paths: int = 12,
    loss_factor: float | None = None,
    dropout_seed: int | None = None,
    sample_weight: Any = None,
    every: bool = False,
) -> Explanation:
    """Explain one training step, and run the steps after it.

    Parameters
    ----------
    run : mapping, path or Sequential, optional
        The JSON form of a run with "x", "t" and "parameters" or "seed", or the path of such a file.
        Or a network, together with params, x and t. The built-in example if None.
    params, x, t, loss, rule
        For a network: parameters, inputs (N, in), targets, loss (MSELoss() if None) and update
        rule (SGD() if None). Not used with a JSON form, which has its own.
    weight : str, optional
        Explain this parameter only. "0.weight[1,2]" leads from input 2 into neuron 1 of layer 0;
        all indices count from 0 (torch's layout). Without it all parameters are explained. Of more
        than 32 parameters, only the 8 with the largest gradients are.
    decimals : int, optional
        Number of decimals (0 to 15) to round to after every operation, as in a hand computation; a
        tie goes to the even digit. x, t and the parameters are rounded first; constants of the
        formulas are not rounded. Derivatives then come from the layers' Backward formulas, and
        every quantity shows its deviation from the value in full precision. Rules other than SGD
        divide by numbers that rounding would turn into 0: only the new parameter is rounded.
    epochs : int
        Number of updates, at least 1; the first of them is explained.
    target_loss : float, optional
        Stop after the first update whose error is at most this.
    lr : float, optional
        Learning rate in place of the rule's own.
    paths : int
        Largest number of paths to show of a parameter, at least 1: those with the largest
        |product|. Sum and count always include all paths.
    loss_factor : float, optional
        Constant factor of the loss in place of the run's own (1): 0.5 turns the squared error into
        the ½ Σ (t − y)² of some articles.
    dropout_seed : int, optional
        Seed of the dropout masks, which are drawn once. Without it dropout changes nothing, as in
        prediction.
    sample_weight : array-like (N,), optional
        How often each sample counts in the loss, from 0 on. A mean divides by the sum of weights.
    every : bool
        Explain every parameter, and list every local derivative, however many there are.

    Returns
    -------
    Explanation
        All numbers, with the methods `to_text`, `to_markdown` and `to_json`.

    Raises
    ------
    SpecError, ShapeError, DTypeError, DomainError, OSError
        If the run, a number or an option does not fit. The message says what is expected.

    Notes
    -----
    Everything is computed in float64 by the engine, and again with 50 decimal digits. The time
    grows with samples × parameters: about a second for 30,000.

    """
    require_count("epochs", epochs, 1)
    require_count("paths", paths, 1)
    if decimals is not None:
        require_integer("decimals", decimals, 0, MAX_DECIMALS)
    for name, number in (("target_loss", target_loss), ("lr", lr)):
        if number is not None and not math.isfinite(number):
            message = f"{name} must be a finite number, got {number!r}; pass one or leave it out."
            raise SpecError(message)
    with localcontext(CONTEXT):
        if isinstance(run, Sequential):
            missing = [n for n, v in (("params", params), ("x", x), ("t", t)) if v is None]
            if params is None or missing:
                message = (
                    f"explain(net, params, x, t) needs {', '.join(missing)}, got None; pass it."
                )
                raise SpecError(message)
            loss, rule = loss or MSELoss(), rule or SGD()
            found = make_run(
                *(run, loss, rule, params, (x, t)),
                lr=lr,
                loss_factor=loss_factor,
                dropout_seed=dropout_seed,
                sample_weight=sample_weight,
            )
        else:
            spec = EXAMPLE if run is None else run
            if isinstance(spec, str | Path):
                spec = read_file(spec)
            found = read_run(
                spec,
                lr=lr,
                loss_factor=loss_factor,
                dropout_seed=dropout_seed,
                sample_weight=sample_weight,
            )
        return _build(
            found, weight, decimals, paths, epochs=epochs, target_loss=target_loss, every=every
        )


def _build(
    run: Run,
    weight: str | None,
    decimals: int | None,
    max_paths: int,
    *,
    epochs: int,
    target_loss: float | None,
    every: bool,
) -> Explanation:
    value, grads = value_and_grad(run, run.params)
    engine = grads.vector
    if not (math.isfinite(value) and np.isfinite(engine).all()):
        message = (
            f"the error is {value}, and it or its gradient is not finite; "
            f"scale x and the parameters down."
        )
        raise SpecError(message)
    keys = [
        (int(key.partition(".")[0]), key.partition(".")[2], index)
        for key, shape in run.net.shapes.items()
        for index in np.ndindex(shape)
    ]
    chosen = _choose(run, keys, weight, engine, len(keys) if every else MAX_PARAMETERS)
    most = sys.maxsize if every else MAX_DERIVATIVES
    q = Quantities(run, decimals, set(chosen))
    exact_errors, stopped_unrounded, exact_gradient = descend(run, None, epochs, target_loss)
    errors, stopped, gradient = exact_errors, stopped_unrounded, exact_gradient
    if decimals is not None:
        errors, stopped, gradient = descend(run, decimals, epochs, target_loss)
    backward = Parameters(run.net.shapes, gradient.astype(np.float64))
    needed = q.exact.graph.sources_on_paths(chosen)
    error_bound, bounds = rounding_bounds(run)
    return Explanation(
        spec=run.spec(),
        decimals=decimals,
        notes=[
            *run.notes,
            *clipping_notes(run.rule, run.params, grads),
            *rounding_notes(q, float(value), error_bound),
        ],
        inputs=q.array(q.shown.x, q.exact.x, partial(q.names.unit, -1)),
        targets=q.array(q.shown.t, q.exact.t, q.names.target),
        layers=[_layer_step(q, i, needed.get(i, set()), most) for i in range(len(run.net.layers))],
        loss=_loss_step(q),
        gradients=build_gradients(
            q, chosen, gradient, exact_gradient, bounds=bounds.tolist(), max_paths=max_paths
        ),
        gradients_left_out=len(keys) - len(chosen),
        backward={key: array.tolist() for key, array in backward.items()},
        rule=brief(run.rule),
        rule_rounded=is_rounded(run.rule),
        rule_equations=rule_equations(run.rule),
        errors=_errors(q, errors, exact_errors),
        stopped=stopped,
        stopped_unrounded=stopped_unrounded,
    )


def _choose(
    run: Run, keys: list[Key], weight: str | None, gradient: Array, most: int
) -> dict[Key, int]:
    """Return the parameters to explain, each with its place in the vector of all parameters."""
    names = [Names(run).parameter(*key).text for key in keys] if weight is not None else []
    if weight is None:
        order = np.argsort(-np.abs(gradient), kind="stable")[:LARGEST]
        places = range(len(keys)) if len(keys) <= most else order.tolist()
    elif (name := "".join(weight.split())) in names:
        places = [names.index(name)]
    else:
        shapes = run.net.shapes.items()
        there = ", ".join(f"{k}[{','.join(f'0…{n - 1}' for n in shape)}]" for k, shape in shapes)
        message = (
            f"there is no parameter {weight.strip()}; there are {there}, named like 0.weight[1,2] "
            f"(from input 2 into neuron 1, counted from 0)."
        )
        raise SpecError(message)
    return {keys[place]: place for place in places}


def _layer_step(q: Quantities, i: int, needed: set[Any], most: int) -> LayerStep:
    """Return the step of a layer; `needed` are the sources of the edges on the explained paths."""
    layer = q.run.net.layers[i]
    forward, backward = equations(layer)
    outputs = q.shown.formulas[i]
    derivatives, left_out = _derivatives(q, i, needed, most)
    carried = q.shown.backward[0].get(i, np.empty((0, 0), dtype=object))
    true = q.exact.backward[0].get(i, carried)
    return LayerStep(
        index=i,
        layer=brief(layer),
        forward=forward,
        backward=backward,
        outputs=q.array(outputs, q.exact.outputs[i], partial(q.names.unit, i)),
        derivatives=derivatives,
        derivatives_left_out=left_out,
        carried=q.array(carried, true, partial(q.names.slope, i - 1)),
    )


def _derivatives(q: Quantities, i: int, needed: set[Any], most: int) -> tuple[list[Quantity], int]:
    """Return the local derivatives on the explained paths, and the number of those left out."""
    values, exact = q.shown.graph.layers.get(i, {}), q.exact.graph.layers.get(i, {})
    edges = [(source, unit) for source, to in values.items() if source in needed for unit in to]
    edges.sort(key=lambda edge: (isinstance(edge[0][0], int), edge[1]))
    listed = edges[:most]
    formulas = q.shown.derivative_formulas(i, {unit for _, unit in listed}) if listed else {}
    quantities = []
    for source, unit in listed:
        shown = with_value(formulas.get((source, unit)), values[source][unit])
        quantities.append(q.quantity(q.names.edge(i, source, unit), shown, exact[source][unit]))
    return quantities, len(edges) - len(listed)


def _loss_step(q: Quantities) -> LossStep:
    shown, exact, loss = q.shown, q.exact, q.run.loss
    forward, backward = equations(loss)
    formulas = shown.loss_slopes()
    slopes = objects(formulas, lambda unit, f: with_value(f, shown.graph.outputs[unit]))
    true = objects(formulas, lambda unit, _: exact.graph.outputs[unit])
    return LossStep(
        loss=brief(loss),
        forward=forward,
        backward=backward,
        reduction=loss.reduction,
        samples=len(slopes),
        width=slopes.shape[1],
        divisor=float(Weighting(loss, q.run.weights, slopes.shape, q.run.t).divisor),
        factor=loss.factor,
        terms=q.array(shown.terms(), exact.terms(), q.names.term),
        total=q.quantity(LOSS, shown.error, exact.error),
        slopes=q.array(slopes, true, partial(q.names.slope, len(q.run.net.layers) - 1)),
    )


def _errors(q: Quantities, shown: list[Decimal], exact: list[Decimal]) -> list[Quantity]:
    """Return the errors of the descent; the exact descent may have stopped earlier."""
    return [
        q.quantity(Symbol(f"L after {k}", rf"L_{{{k}}}"), error, exact[min(k, len(exact) - 1)])
        for k, error in enumerate(shown)
    ]
