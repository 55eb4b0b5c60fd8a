"""Run: the network, parameters, loss, update rule and batch of an explanation.

`read_run` reads the JSON form of a run (README), with these numbers added:

    "x": [[…], …], "t": [[…], …]             the batch
    "parameters": {"0.weight": [[…], …], …}  or "seed": 0 for the values of net.init(seed=0)
    "dropout_seed": 0                        optional: dropout as in training, masks drawn once
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import ShapeError, SpecError
from manualnn.losses import LOSSES, Loss, MSELoss
from manualnn.network.noise import Noise
from manualnn.network.sequential import Sequential
from manualnn.optimizers import OPTIMIZERS, SGD, Optimizer
from manualnn.parameters import Parameters
from manualnn.spec import from_spec, to_spec
from manualnn.validation import as_batch, require_count, require_finite

EXAMPLE: dict[str, Any] = {
    "layers": [
        {"type": "Linear", "in_features": 3, "out_features": 2},
        {"type": "Sigmoid"},
        {"type": "Linear", "in_features": 2, "out_features": 2},
    ],
    "loss": {"type": "MSELoss", "reduction": "batchmean"},
    "optimizer": {"type": "SGD", "lr": 0.02},
    "parameters": {
        "0.weight": [[0.2, -0.4, 0.6], [0.5, 0.3, -0.1]],
        "0.bias": [0.1, -0.2],
        "2.weight": [[0.7, -0.3], [0.4, 0.8]],
        "2.bias": [0.3, -0.5],
    },
    "x": [[0.9, 0.4, 0.5]],
    "t": [[0.2, 1.0]],
}
"""Three inputs, two sigmoid neurons, two linear outputs, one sample; MSE over N = 1."""

KEYS = ("layers", "loss", "optimizer", "dtype", "x", "t", "parameters", "seed", "dropout_seed")

Key = tuple[int, str, tuple[int, ...]]
"""A parameter: its layer, its name in the layer, and its index."""


@dataclass(frozen=True)
class Run:
    """One training step after validation: arrays are float64 and finite, and their shapes fit."""

    net: Sequential
    loss: Loss
    rule: Optimizer
    params: Parameters
    x: Array
    t: Array
    noise: Noise = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def spec(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            **self.net.spec(),
            "loss": to_spec(self.loss),
            "optimizer": to_spec(self.rule),
            "dtype": "float64",
            "parameters": {key: array.tolist() for key, array in self.params.items()},
            "x": self.x.tolist(),
            "t": self.t.tolist(),
        }


def read_file(path: str | Path) -> Any:
    """Return the content of a JSON file. Raises SpecError if it is not JSON, OSError as `open`."""
    text = Path(path).read_bytes()
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        message = f"{path}: expected JSON in UTF-8, got other bytes ({error}); save it as UTF-8."
        raise SpecError(message) from error
    except RecursionError as error:
        message = f"{path}: expected a spec, got JSON nested too deeply; see the README's form."
        raise SpecError(message) from error
    except json.JSONDecodeError as error:
        message = (
            f"{path}: expected JSON, got something else in line {error.lineno}, column "
            f"{error.colno} ({error.msg}); correct it there."
        )
        raise SpecError(message) from error


def read_run(spec: Any, *, lr: float | None = None, dropout_seed: int | None = None) -> Run:
    """Return the run of a spec; lr and dropout_seed replace the values in the spec.

    Raises SpecError, ShapeError, DTypeError or DomainError for a value that does not fit.
    """
    if not isinstance(spec, Mapping):
        message = f"a spec must be a JSON object with {', '.join(KEYS)}; got {spec!r}."
        raise SpecError(message)
    unknown = [key for key in spec if key not in KEYS]
    missing = [key for key in ("layers", "x", "t") if key not in spec]
    if not {"parameters", "seed"} & spec.keys():
        missing.append('parameters (or seed, as in "seed": 0)')
    if unknown or missing:
        message = (
            f"the spec lacks {', '.join(missing) or 'nothing'} and has the unknown keys "
            f"{', '.join(map(repr, unknown)) or '(none)'}; it may have {', '.join(KEYS)}."
        )
        raise SpecError(message)
    net = Sequential.from_spec(spec)
    loss: Any = from_spec(spec["loss"], LOSSES, "loss") if "loss" in spec else MSELoss()
    rule: Any = SGD()
    if "optimizer" in spec:
        rule = from_spec(spec["optimizer"], OPTIMIZERS, "optimizer")
    notes = []
    if spec.get("dtype", "float64") != "float64":
        notes.append(f"Computed in float64; the spec's dtype is {spec['dtype']}.")
    params = _read_parameters(net, spec)
    if dropout_seed is None:
        dropout_seed = spec.get("dropout_seed")
    batch = _read_numbers(spec["x"], "x"), _read_numbers(spec["t"], "t")
    return make_run(net, loss, rule, params, batch, lr=lr, dropout_seed=dropout_seed, notes=notes)


def make_run(
    net: Sequential,
    loss: Loss,
    rule: Optimizer,
    params: Parameters,
    batch: tuple[Any, Any],
    *,
    lr: float | None = None,
    dropout_seed: int | None = None,
    notes: list[str] | None = None,
) -> Run:
    """Return the run of a batch (x, t) after checking shapes, data types and finiteness.

    Raises SpecError, ShapeError, DTypeError or DomainError.
    """
    notes = list(notes or [])
    if not net.shapes:
        message = f"{net!r} has no parameters, so there is no gradient to explain; add a Linear."
        raise SpecError(message)
    if lr is not None:
        rule = replace(rule, lr=lr)
    if params.dtype != np.float64:
        notes.append(f"Computed in float64; the parameters were {params.dtype}.")
        params = params.astype(np.float64)
    net.layer_arrays(params)
    x, t = (a.astype(np.float64) if a.dtype.kind == "f" else a for a in map(np.asarray, batch))
    x = as_batch(x, params.dtype, net.in_features, net)
    if not len(x):
        message = f"x must hold at least one sample, got shape {x.shape}; add a row."
        raise ShapeError(message)
    for name, array in {"x": x, "t": t, **params}.items():
        require_finite(array, name)
    noise: Noise = {}
    if dropout_seed is not None:
        require_count("dropout_seed", dropout_seed, 0)
        noise = net.sample(dropout_seed, x)
    if net.sample(0, x):
        notes.append(
            f"Dropout as in training: the masks are drawn once, from seed {dropout_seed}."
            if noise
            else "Dropout as in prediction: it changes nothing. --dropout-seed draws masks."
        )
    y = net.forward(params, x, noise=noise)
    loss.require_outputs(y)
    t = loss.targets(t, y)
    return Run(net, loss, rule, params, x, t, noise, tuple(notes))


def _read_parameters(net: Sequential, spec: Mapping[str, Any]) -> Parameters:
    if "parameters" not in spec:
        require_count("seed", spec["seed"], 0)
        return net.init(spec["seed"])
    given = spec["parameters"]
    if not isinstance(given, Mapping):
        message = f'parameters must be an object such as {{"0.weight": [[…], …]}}, got {given!r}.'
        raise SpecError(message)
    arrays = {key: _read_numbers(value, f"parameters {key}") for key, value in given.items()}
    return net.load_state_dict(arrays, np.float64)


def _read_numbers(value: Any, name: str) -> Array:
    """Return nested lists of numbers as an array; raise SpecError for anything else."""
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:60] + "…"
        message = f"{name} must be nested lists of numbers, all rows equally long; got {shown}."
        raise SpecError(message)
    return array
