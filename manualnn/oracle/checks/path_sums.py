"""Gradients as sums over paths: from a weight to each output, by every way through the network.

    ∂L/∂W[j,i] = Σₙ aₙ[i] Σ over paths j → … → k of  φ′ W φ′ … φ′ · ∂L/∂yₙ[k]

The paths are enumerated one at a time in longdouble, without a matrix product or a backward pass.
This is another form of the truth than the truth's own. Only its bounds are the truth's.
"""

from collections.abc import Iterator
from itertools import pairwise, product
from typing import Any

import numpy as np

from manualnn.oracle.checks.judgement import Judgement
from manualnn.oracle.checks.trial import Declined, Trial, at_first_step
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import LAYER_ROWS, LOSS_ROWS, by_convention, options_of
from manualnn.oracle.protocol.rows import Statement
from manualnn.oracle.truth.bounded import Precision
from manualnn.oracle.truth.compare import compare
from manualnn.oracle.truth.extended import LONGDOUBLE

MOST = 3000
"""Largest number of paths times samples, because more take too long."""


def _paths(trial: Trial) -> Finding | None:
    case = at_first_step(trial.case)
    _require(case)
    near = trial.truth(case)
    got = trial.ask(case)
    trial.require_right(case, got, "outputs")
    values = {f"grads.{key}": _gradient(case, key, near.kind) for key in case.learned}
    # The path sum in longdouble has rounding errors of its own, which are smaller than the bound.
    bounds = {name: 2 * near.grads[name[6:]].bounds for name in values}
    entries, right = compare(got, values, bounds)
    if not entries:
        return None
    first = entries[0]
    message = f"{first.quantity} is {first.got:.17g}; its paths sum to {first.expected:.17g}"
    return trial.finding(message, entries, right)


def _require(case: Case) -> None:
    for layer in case.layers:
        if layer["type"] != "Linear":
            _statement(layer["type"])
    _statement(case.loss["type"])
    if not case.params:
        raise Declined("a net without parameters")
    if np.prod(case.widths) * case.n > MOST:
        raise Declined("too many paths")


def _statement(name: str) -> Statement:
    row = LAYER_ROWS.get(name) or LOSS_ROWS[name]
    if row.statement is None:
        raise Declined("a net or a loss whose paths are not listed")
    return row.statement


def _gradient(case: Case, key: str, precision: Precision) -> Array:
    layer, kind = int(key.partition(".")[0]), key.rpartition(".")[2]
    total: Any = np.zeros(case.params[key].shape, np.longdouble)
    for n in range(case.n):
        signals, slopes = _signals(case, n, precision)
        for j, path in product(range(len(total)), _paths_from(case, layer + 1)):
            if path[0] != j:
                continue
            weight = slopes[-1][path[-1]] * _along(case, slopes, layer + 1, path)
            if kind == "bias":
                total[j] += weight
            else:
                for i in range(total.shape[1]):
                    total[j, i] += weight * signals[layer][i]
    return total


def _signals(case: Case, n: int, precision: Precision) -> tuple[list[Array], list[Array]]:
    """Return the input of every layer and the output of the last; φ′ of every layer and ∂L/∂yₙ.

    A Linear layer has no φ′, and an empty array stands in its place.
    """
    signals, slopes = [case.x[n].astype(np.longdouble)], []
    for i, spec in enumerate(case.layers):
        o, a = by_convention(options_of(spec), precision.conventions), signals[-1]
        if o.type == "Linear":
            rows = case.params[f"{i}.weight"]
            bias = case.params.get(f"{i}.bias", np.zeros(len(rows)))
            z = [sum(row * a, np.longdouble(b)) for row, b in zip(rows, bias, strict=True)]
            signals.append(np.array(z, np.longdouble))
            slopes.append(np.empty(0, np.longdouble))
        else:
            value, slope = _statement(o.type).derivatives(LONGDOUBLE, o, a)
            signals.append(value)
            slopes.append(slope)
    loss = options_of(case.loss)
    t = case.t[n].astype(np.longdouble)
    _, slope = _statement(loss.type).derivatives(LONGDOUBLE, loss, signals[-1], t)
    divisor = {"mean": case.n * case.widths[-1], "batchmean": case.n, "sum": 1}[loss.reduction]
    return signals, [*slopes, loss.factor * slope / divisor]


def _paths_from(case: Case, layer: int) -> Iterator[tuple[int, ...]]:
    """Yield every way from the inputs of a layer to the outputs: a unit at each place."""
    return product(*(range(width) for width in case.widths[layer:]))


def _along(case: Case, slopes: list[Array], start: int, path: tuple[int, ...]) -> Any:
    """Return the product of the weights and slopes on a path; 0 if it crosses between units."""
    factor = np.longdouble(1)
    for i, (a, b) in enumerate(pairwise(path), start):
        if case.layers[i]["type"] == "Linear":
            factor *= case.params[f"{i}.weight"][b, a]
        elif a == b:
            factor *= slopes[i][a]
        else:
            return np.longdouble(0)
    return factor


CHECKS = (
    Judgement(
        "paths",
        "every gradient is the sum over all paths from its weight to the outputs",
        _paths,
        lambda claims: (
            {"Linear"} <= claims.layers.keys()
            and "MSELoss" in claims.losses
            and "grads" in claims.returns
        ),
    ),
)
