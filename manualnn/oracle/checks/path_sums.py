"""A gradient as the sum over all paths: from a weight to each output, by every way through the net.

    ∂L/∂W[j,i] = Σₙ aₙ[i] Σ over paths j → … → k of  φ′ W φ′ … φ′ · ∂L/∂yₙ[k]

Enumerated one path at a time, with no matrix product and no backward pass, in longdouble: another
form of the truth than the truth's own, which lends it its bounds.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise, product
from typing import Any

import numpy as np

from manualnn.oracle.checks.judgement import Judgement
from manualnn.oracle.checks.trial import Declined, Trial, at_first_step
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import options_of
from manualnn.oracle.truth.compare import compare_arrays, error_bounds

MOST = 3000
"""Paths times samples: more are not worth the time."""

Function = Callable[[Any, Any], Any]


def _sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def _bent(o: Any, z: Any) -> bool:
    return bool(o.beta * z <= o.threshold)


VALUES: dict[str, Function] = {
    "Identity": lambda _, z: z,
    "Sigmoid": lambda _, z: _sigmoid(z),
    "Tanh": lambda _, z: np.tanh(z),
    "ReLU": lambda _, z: z if z > 0 else 0 * z,
    "LeakyReLU": lambda o, z: z if z > 0 else np.longdouble(o.negative_slope) * z,
    "Softplus": lambda o, z: np.log1p(np.exp(o.beta * z)) / o.beta if _bent(o, z) else z,
}
SLOPES: dict[str, Function] = {
    "Identity": lambda _, z: 1 + 0 * z,
    "Sigmoid": lambda _, z: _sigmoid(z) * _sigmoid(-z),
    "Tanh": lambda _, z: 1 / np.cosh(z) ** 2,
    "ReLU": lambda _, z: np.longdouble(z > 0),
    "LeakyReLU": lambda o, z: np.longdouble(1 if z > 0 else o.negative_slope),
    "Softplus": lambda o, z: _sigmoid(o.beta * z) if _bent(o, z) else np.longdouble(1),
}


def _paths(trial: Trial) -> Finding | None:
    case = at_first_step(trial.case)
    _require(case)
    near = trial.truth(case)
    got = trial.ask(case)
    values = {f"grads.{key}": _gradient(case, key) for key in case.params}
    # The sum of paths is as far from the slope as its own roundings take it: less than e.
    bounds = {name: 2 * error_bounds(near.grads[name[6:]]) for name in values}
    entries, right = compare_arrays(got, values, bounds)
    if not entries:
        return None
    first = entries[0]
    message = f"{first.quantity} is {first.got:.17g}; its paths sum to {first.expected:.17g}"
    return trial.finding(message, entries, right)


def _require(case: Case) -> None:
    names = {layer["type"] for layer in case.layers}
    if not names <= {"Linear", *VALUES} or case.loss["type"] != "MSELoss" or not case.params:
        raise Declined("a net or a loss whose paths are not listed")
    if np.prod(case.widths) * case.n > MOST:
        raise Declined("too many paths")


def _gradient(case: Case, key: str) -> Array:
    layer, kind = int(key.partition(".")[0]), key.rpartition(".")[2]
    total: Any = np.zeros(case.params[key].shape, np.longdouble)
    for n in range(case.n):
        signals = _signals(case, n)
        for j, path in product(range(len(total)), _paths_from(case, layer + 1)):
            if path[0] != j:
                continue
            weight = _slope(case, n, signals[-1], path[-1]) * _along(case, signals, layer + 1, path)
            if kind == "bias":
                total[j] += weight
            else:
                for i in range(total.shape[1]):
                    total[j, i] += weight * signals[layer][i]
    return total


def _signals(case: Case, n: int) -> list[list[Any]]:
    """Return what goes into every layer, and comes out of the last, one number at a time."""
    signals = [[np.longdouble(x) for x in case.x[n]]]
    for i, spec in enumerate(case.layers):
        o, a = options_of(spec), signals[-1]
        if o.type != "Linear":
            signals.append([VALUES[o.type](o, z) for z in a])
            continue
        rows = case.params[f"{i}.weight"]
        bias = case.params.get(f"{i}.bias", np.zeros(len(rows)))
        signals.append(
            [
                sum((w * s for w, s in zip(row, a, strict=True)), np.longdouble(b))
                for row, b in zip(rows, bias, strict=True)
            ]
        )
    return signals


def _paths_from(case: Case, layer: int) -> Iterator[tuple[int, ...]]:
    """Yield every way from the inputs of a layer to the outputs: a unit at each place."""
    return product(*(range(width) for width in case.widths[layer:]))


def _along(case: Case, signals: list[list[Any]], start: int, path: tuple[int, ...]) -> Any:
    """Return the product of the weights and slopes on a path; 0 if it crosses between units."""
    factor = np.longdouble(1)
    for i, (a, b) in enumerate(pairwise(path), start):
        o = options_of(case.layers[i])
        if o.type == "Linear":
            factor *= case.params[f"{i}.weight"][b, a]
        elif a == b:
            factor *= SLOPES[o.type](o, signals[i][a])
        else:
            return np.longdouble(0)
    return factor


def _slope(case: Case, n: int, y: list[Any], k: int) -> Any:
    """Return ∂L/∂y[n,k] of the squared error."""
    outputs = case.widths[-1]
    reduction = options_of(case.loss).reduction
    divisor = {"mean": case.n * outputs, "batchmean": case.n, "sum": 1}[reduction]
    return 2 * (y[k] - np.longdouble(case.t[n, k])) / divisor


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
