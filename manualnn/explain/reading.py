"""Reading a run from its JSON form; the messages about it speak JSON.

"layers": […], "loss": {…}, "optimizer": {…}   as everywhere (README)
"x": [[…], …], "t": [[…], …]                   the batch
"parameters": {"0.weight": [[…], …], …}        or "seed": 0 for the values of net.init(seed=0)
"loss_factor": 0.5                             optional: the "factor" of the loss, by its older name
"dropout_seed": 0                              optional: dropout as in training, masks drawn
"masks": {"1.mask": [[…], …]}                  once from this seed; or the masks themselves
"sample_weights": [1, 0.5, …]                  optional: how often each sample counts
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import DomainError, ShapeError, SpecError
from manualnn.explain.render.text import plural
from manualnn.explain.run import Run, make_run
from manualnn.layers import LAYERS, Layer
from manualnn.losses import LOSSES, Loss, MSELoss
from manualnn.losses.indices import IndexLoss, MultiLabelMarginLoss
from manualnn.network.sequential import Sequential
from manualnn.optimizers import OPTIMIZERS, SGD, all_optimizers
from manualnn.parameters import Parameters
from manualnn.spec import as_json, from_spec
from manualnn.validation import is_finite_number, require_count

KEYS = (
    *("layers", "loss", "loss_factor", "optimizer", "dtype", "x", "t"),
    *("parameters", "seed", "masks", "dropout_seed", "buffers", "sample_weights"),
)


class RepeatedKeyError(ValueError):
    """A JSON object has a key twice, and JSON would silently take the last."""


def read_file(path: str | Path, **options: Any) -> Any:
    """Return the content of a JSON file; the options are those of `json.loads`.

    Raises SpecError if it is not JSON, OSError as `open`.
    """
    text = Path(path).read_bytes()
    try:
        return json.loads(text, object_pairs_hook=_without_repeats, **options)
    except RepeatedKeyError as error:
        message = f"{path}: the key {as_json(error.args[0])} stands twice in an object; leave one."
        raise SpecError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path}: expected JSON in UTF-8, got other bytes ({error}); save it as UTF-8."
        raise SpecError(message) from error
    except RecursionError as error:
        message = f"{path}: the JSON is nested too deeply; see the README's form."
        raise SpecError(message) from error
    except json.JSONDecodeError as error:
        message = (
            f"{path}: expected JSON, got something else in line {error.lineno}, column "
            f"{error.colno} ({error.msg}); correct it there."
        )
        raise SpecError(message) from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise RepeatedKeyError(next(key for key in keys if keys.count(key) > 1))
    return found


def read_run(
    spec: Any,
    *,
    lr: float | None = None,
    loss_factor: float | None = None,
    dropout_seed: int | None = None,
    sample_weight: Any = None,
) -> Run:
    """Return the run of a spec; the options replace the values in the spec.

    Raises SpecError, ShapeError, DTypeError or DomainError for a value that does not fit.
    """
    if not isinstance(spec, Mapping):
        message = f"a run must be a JSON object with {', '.join(KEYS)}; got {as_json(spec)}."
        raise SpecError(message)
    unknown = [key for key in spec if key not in KEYS]
    missing = [key for key in ("layers", "x", "t") if key not in spec]
    if not {"parameters", "seed"} & spec.keys():
        missing.append('parameters (or seed, as in "seed": 0)')
    if unknown or missing:
        lacks = [f"lacks {', '.join(missing)}"] if missing else []
        if unknown:
            keys = f"key{'' if len(unknown) == 1 else 's'} {', '.join(map(as_json, unknown))}"
            lacks.append(f"has the unknown {keys}")
        options = {option.name for rule in OPTIMIZERS.values() for option in fields(rule)}
        inner = next((as_json(key) for key in unknown if key in options), "")
        hint = f'; {inner} belongs into "optimizer"' if inner else ""
        message = f"the run {' and '.join(lacks)}{hint}; it may have {', '.join(KEYS)}."
        raise SpecError(message)
    notes = []
    dtype = spec.get("dtype", "float64")
    if dtype not in ("float64", "float32"):
        message = f'dtype must be "float64" or "float32", got {as_json(dtype)}.'
        raise SpecError(message)
    if dtype != "float64":
        notes.append(f"Computed in float64; the run's dtype is {dtype}.")
    net = _read_layers(spec)
    loss: Any = from_spec(spec["loss"], LOSSES, "loss") if "loss" in spec else MSELoss()
    rule: Any = SGD()
    if "optimizer" in spec:
        rule = from_spec(spec["optimizer"], all_optimizers(), "optimizer")
    x = _read_numbers(spec["x"], "x", (None, net.in_features))
    masks = None
    if "masks" in spec and dropout_seed is None:
        masks = _read_arrays(
            spec["masks"], "masks", {k: v.shape for k, v in net.sample(0, x).items()}
        )
    elif dropout_seed is None:
        dropout_seed = spec.get("dropout_seed")
    return make_run(
        net,
        loss,
        rule,
        _read_parameters(net, spec),
        (x, _read_targets(spec["t"], loss, len(x), net.out_features)),
        lr=lr,
        loss_factor=spec.get("loss_factor") if loss_factor is None else loss_factor,
        dropout_seed=dropout_seed,
        masks=masks,
        sample_weight=_read_weights(spec, sample_weight, len(x)),
        notes=notes,
    )


def _read_weights(spec: Mapping[str, Any], given: Any, n: int) -> Any:
    """Return the given weights of the samples, or those of the run, if it has any."""
    if given is not None or "sample_weights" not in spec:
        return given
    return _read_numbers(spec["sample_weights"], "sample_weights", (n,))


def _read_layers(spec: Mapping[str, Any]) -> Sequential:
    layers = spec["layers"]
    if not isinstance(layers, list | tuple):
        message = (
            f'layers must be a list of objects such as {{"type": "Tanh"}}, got {as_json(layers)}.'
        )
        raise SpecError(message)
    width, origin = None, ""
    for i, layer in enumerate(layers):
        options = layer if isinstance(layer, Mapping) else {}
        given = options.get("in_features")
        if type(width) is type(given) is int and given != width:
            message = f"layers[{i}].in_features must be {width}, as {origin}, got {as_json(given)}."
            raise ShapeError(message)
        if "out_features" in options:
            width, origin = options["out_features"], f"layers[{i}].out_features"
        elif getattr(LAYERS.get(str(options.get("type"))), "width", None) is not Layer.width:
            width = None  # GLU halves it; Sequential checks the widths again
    return Sequential.from_spec(spec)


def _read_parameters(net: Sequential, spec: Mapping[str, Any]) -> Parameters:
    if "parameters" not in spec:
        require_count("seed", spec["seed"], 0)
        return net.init(spec["seed"])
    initial = net.init(0).buffers
    shapes = {key: a.shape for key, a in initial.items()}
    buffers = _read_arrays(spec["buffers"], "buffers", shapes) if "buffers" in spec else initial
    params = _read_arrays(spec["parameters"], "parameters", net.shapes)
    return net.load_state_dict({**params, **buffers}, np.float64)


def _read_targets(value: Any, loss: Loss, n: int, k: int | None) -> Array:
    """Return the targets; those of a loss of classes may be indices, one or more for a sample."""
    rows = (list, tuple, np.ndarray)
    is_flat = isinstance(value, rows) and not any(isinstance(row, rows) for row in value)
    if isinstance(loss, MultiLabelMarginLoss):
        return _read_lists(value, (n, k))
    if not isinstance(loss, IndexLoss) or not is_flat:
        return _read_numbers(value, "t", (n, k))
    t = _read_numbers(value, "t", (n,))
    for i, entry in enumerate(t.tolist()):
        if entry != getattr(loss, "ignore_index", None) and entry not in range(k or 0):
            message = (
                f"t[{i}] must be a class, an integer from 0 to {(k or 0) - 1}, got "
                f"{entry:g}; or t must have {_rows((n, k))}, their probabilities."
            )
            raise DomainError(message)
    return t.astype(np.int64)


def _read_lists(value: Any, shape: tuple[int, int | None]) -> Array:
    """Return the classes of each sample, as lists that are filled up with −1."""
    t = _read_numbers(value, "t", shape)
    for (i, j), entry in np.ndenumerate(t):
        if entry not in range(-1, t.shape[1]):
            message = (
                f"t[{i}][{j}] must be a class, an integer from 0 to {t.shape[1] - 1}, or -1 behind "
                f"the last class of its row; got {entry:g}."
            )
            raise DomainError(message)
    return t.astype(np.int64)


def _read_arrays(value: Any, name: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Return the arrays of an object that must have exactly the keys of `shapes`."""
    expected = ", ".join(f'"{key}"' for key in shapes) or "no keys"
    if not isinstance(value, Mapping) or value.keys() != shapes.keys():
        got = ", ".join(map(as_json, value)) if isinstance(value, Mapping) else as_json(value)
        message = f"{name} must be an object with {expected}; got {got or 'no keys'}."
        raise SpecError(message)
    return {k: _read_numbers(value[k], f'{name}["{k}"]', shape) for k, shape in shapes.items()}


def _read_numbers(value: Any, name: str, shape: tuple[int | None, ...]) -> Array:
    """Return nested lists of numbers as an array of floats; None is any number of rows."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    found = np.array(value, dtype=object)
    entries = found.ravel().tolist()
    is_regular = all(isinstance(e, Real) and not isinstance(e, bool) for e in entries)
    fits = len(shape) == found.ndim and all(
        size in {None, given} for size, given in zip(shape, found.shape, strict=True)
    )
    if not is_regular or not fits:
        got = _rows(found.shape) if is_regular and 0 < found.ndim < 3 else as_json(value)
        message = f"{name} must have {_rows(shape)}, got {got}."
        raise (ShapeError if is_regular else SpecError)(message)
    for index, entry in np.ndenumerate(found):
        if not is_finite_number(entry.item() if isinstance(entry, np.generic) else entry):
            place = "".join(f"[{i}]" for i in index)
            message = f"{name}{place} must be a finite number, got {as_json(entry)}."
            raise DomainError(message)
    return found.astype(np.float64)


def _rows(shape: tuple[int | None, ...]) -> str:
    """Return a shape in words: "1 row of 2 numbers", "rows of 3 numbers", "2 numbers"."""
    counts = [
        f"{noun}s" if number is None else plural(number, noun)
        for number, noun in zip(shape, ("row", "number")[-len(shape) :], strict=True)
    ]
    return " of ".join(counts)
