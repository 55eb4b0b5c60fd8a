"""Random small runs, and the numbers that Python's explanation of a run has for every name."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from oracle.drawn import drawn_optimizer, drawn_options, drawn_targets

from manualnn import LAYERS, LOSSES, OPTIMIZERS, Sequential
from manualnn.explain import Explanation
from manualnn.oracle.protocol.features import LAYER_ROWS, fitted

Spec = dict[str, Any]

SIZES = [(3, 2, 2, 2), (2, 3, 2, 2), (2, 2, 3, 2), (2, 1, 2, 3), (1, 3, 3, 3), (1, 2, 3, 2)]
"""Samples, inputs, hidden units and outputs, so few that a page lists every number."""

PROBABILITIES = ("Sigmoid", "Softmax")
OTHERS = [name for name in LAYERS if name != "Linear"]
HALF = -(-len(OTHERS) // 2)
"""Runs that have all layers, two in each."""


def drawn_run(number: int) -> tuple[Spec, int | None]:
    """Return a run and the decimals to round to.

    Each layer, loss, rule and size comes in turn; options and numbers are random. A layer has
    another partner each time that all have come.
    """
    rng = np.random.default_rng(number)
    n, width, hidden, out = SIZES[number % len(SIZES)]
    loss: Spec = {"type": list(LOSSES)[number % len(LOSSES)]}
    loss |= drawn_options(rng, loss["type"])
    if loss["type"] == "CrossEntropyLoss":
        loss["ignore_index"] = -100
    if loss["type"] == "PoissonNLLLoss":
        loss["log_input"] = True  # an output may be below 0, and then it is no rate
    turn = number // len(OTHERS)
    kinds = [OTHERS[(number + first) % len(OTHERS)] for first in (0, HALF + turn)]
    multiple = math.prod(LAYER_ROWS[kind].multiple for kind in kinds)
    hidden = -(-hidden // multiple) * multiple
    layers: list[Spec] = [{"type": "Linear", "in_features": width, "out_features": hidden}]
    layers += [{"type": str(kind), **drawn_options(rng, str(kind))} for kind in kinds]
    for layer in layers:
        if LAYER_ROWS[layer["type"]].mixes_samples:  # A page has it only as it predicts.
            layer["track_running_stats"] = True
    layers.append({"type": "Linear", "in_features": hidden, "out_features": out})
    if loss["type"] == "BCELoss":
        layers.append({"type": PROBABILITIES[number % 2]})
    layers = list(fitted(layers, width))
    shapes = Sequential.from_spec({"layers": layers}).shapes
    parameters = {key: rng.normal(size=shape).round(2).tolist() for key, shape in shapes.items()}
    spec = {
        "layers": layers,
        "loss": loss,
        "optimizer": drawn_optimizer(rng, list(OPTIMIZERS)[number % len(OPTIMIZERS)]),
        "parameters": parameters,
        "x": rng.normal(size=(n, width)).round(2).tolist(),
        "t": np.round(drawn_targets(rng, loss, n, out), 2).tolist(),
    }
    has_modes = any(LAYER_ROWS[kind].mixes_samples for kind in kinds)
    if any(LAYER_ROWS[kind].noise for kind in kinds) and not has_modes:
        spec["dropout_seed"] = number
    return spec, None if number % 2 else int(rng.integers(2, 9))


def numbers_of(explanation: Explanation) -> dict[str, set[float]]:
    """Return all numbers that an explanation has for a name.

    There are two of ∂L/∂w with decimals, because the path sum rounds other results than backward.
    """
    found: dict[str, set[float]] = defaultdict(set)
    for quantity in _quantities(explanation.to_dict()):
        found[quantity["symbol"]].add(float(quantity["value"]))
    errors = found.keys() & {f"L after {k}" for k in range(len(explanation.errors))}
    return {name.replace(" after ", "(") + ")" * (name in errors): v for name, v in found.items()}


def _quantities(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "symbol" in value:
            yield value
        else:
            yield from itertools.chain.from_iterable(map(_quantities, value.values()))
    elif isinstance(value, list):
        yield from itertools.chain.from_iterable(map(_quantities, value))
