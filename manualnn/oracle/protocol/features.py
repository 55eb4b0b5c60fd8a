"""The table of features: every layer, loss and optimizer that the oracle can judge, one row each.

    options_of({"type": "Softplus", "beta": 3})     Options(type="Softplus", beta=3, threshold=20.0)
    row_of("Softplus").options["beta"].values       (1.0, 0.3, 3.0, 20.0)
    names_with("layers", "saturates")               ("Sigmoid", "Tanh", "Softplus", …)

The oracle shares no table with the engine; a test compares the names, options and defaults of both.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from manualnn.errors import SpecError
from manualnn.oracle.protocol import layers, losses, optimizers
from manualnn.oracle.protocol.buffers import Buffer
from manualnn.oracle.protocol.rows import (
    REDUCTIONS,
    REQUIRED,
    Feature,
    Layer,
    Loss,
    Optimizer,
    Options,
    State,
)

__all__ = ["REDUCTIONS", "REQUIRED", "Options"]

LAYER_ROWS: dict[str, Layer] = {row.name: row for row in layers.ROWS}
LOSS_ROWS: dict[str, Loss] = {row.name: row for row in losses.ROWS}
OPTIMIZER_ROWS: dict[str, Optimizer] = {row.name: row for row in optimizers.ROWS}
ROWS: dict[str, Mapping[str, Feature]] = {
    "layers": LAYER_ROWS,
    "losses": LOSS_ROWS,
    "optimizers": OPTIMIZER_ROWS,
}
BUFFERS: dict[str, Buffer] = {
    buffer.name: buffer
    for row in LAYER_ROWS.values()
    for buffer in row.buffers(Options(**row.defaults))
}
"""The buffers of all layers, by their names."""
LAYERS, LOSSES, OPTIMIZERS = (
    {name: row.defaults for name, row in rows.items()} for rows in ROWS.values()
)
TABLES = {"layers": LAYERS, "losses": LOSSES, "optimizers": OPTIMIZERS}
"""The defaults of every option, by kind and by name."""
ALWAYS = {"lr"} | {
    option
    for row in LAYER_ROWS.values()
    for option, known in row.options.items()
    if known.default is REQUIRED and not known.is_chosen
}
"""Options that an engine takes every value of, as soon as it claims the feature."""


def row_of(name: Any) -> Feature:
    """Return the row of a layer, loss or optimizer; raises SpecError for an unknown name."""
    row = LAYER_ROWS.get(name) or LOSS_ROWS.get(name) or OPTIMIZER_ROWS.get(name)
    if row is not None:
        return row
    known = ", ".join(known for rows in ROWS.values() for known in rows)
    raise SpecError(f"no layer, loss or optimizer is called {name!r}; there are {known}.")


def names_with(kind: str, *properties: str) -> tuple[str, ...]:
    """Return the names of the layers, losses or optimizers that have all of these properties."""
    return tuple(
        name for name, row in ROWS[kind].items() if all(getattr(row, has) for has in properties)
    )


def names_with_conventions() -> tuple[str, ...]:
    """Return the names of the features with conventions."""
    return tuple(name for rows in ROWS.values() for name, row in rows.items() if row.conventions)


def takes_probabilities(loss: Mapping[str, Any]) -> bool:
    """Return True if the outputs before a loss with these options lie between 0 and 1."""
    row = LOSS_ROWS[loss["type"]]
    limits = row.takes_probabilities_with.items()
    return row.takes_probabilities or any(loss.get(o, row.defaults[o]) == v for o, v in limits)


def takes_indices(loss: Mapping[str, Any], t: Any) -> bool:
    """Return True if these targets of the loss are integers: indices of classes."""
    row = LOSS_ROWS.get(loss["type"])
    kind = "" if row is None else row.targets
    return kind == "labels" or (kind == "classes" and t.ndim == 1)


def listed_labels(t: Any) -> Any:
    """Return which entries of lists of classes count: those before the first −1; shape (N, K)."""
    return np.minimum.accumulate(t, axis=1) >= 0


def options_of(spec: Mapping[str, Any]) -> Options:
    """Return the options of a description with all defaults; raises SpecError if it is invalid."""
    row = row_of(spec.get("type"))
    name, defaults = row.name, row.defaults
    unknown = spec.keys() - defaults.keys() - {"type"}
    if unknown:
        raise SpecError(f"{name} has no option {min(unknown)!r}; it has {', '.join(defaults)}.")
    options = {**defaults, **spec}
    missing = [option for option, value in options.items() if value is REQUIRED]
    if missing:
        raise SpecError(f"{name} needs {missing[0]!r}; add it.")
    if "betas" in options:
        options["betas"] = tuple(options["betas"])
    return Options(**options)


def with_all_options(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description with all options, those outside of the claim "any" only where given."""
    rows = row_of(spec["type"]).options
    return {
        name: value if isinstance(value, float | int | str) else copy.deepcopy(value)
        for name, value in vars(options_of(spec)).items()
        if name in spec or rows[name].is_in_any
    }


def fit(spec: Mapping[str, Any], width: int) -> dict[str, Any]:
    """Return a layer with the options that it has to have for that many inputs."""
    return {**spec, **LAYER_ROWS[spec["type"]].sized(spec, width)}


def fitted(layers: Sequence[Mapping[str, Any]], width: int) -> tuple[dict[str, Any], ...]:
    """Return layers that fit each other, the first of which has that many inputs."""
    found = []
    for spec in layers:
        found.append(fit(spec, width))
        width = width_of(found[-1], width)
    return tuple(found)


def width_of(spec: Mapping[str, Any], width: int) -> int:
    """Return the number of outputs of a layer with that many inputs."""
    return LAYER_ROWS[spec["type"]].width(options_of(spec), width)


def shapes_of(spec: Mapping[str, Any], width: int) -> Mapping[str, tuple[int, ...]]:
    """Return the name and shape of every parameter of a layer with that many inputs."""
    if "layers" in spec:
        return _shapes_of_chain(spec["layers"], width)
    row, o = LAYER_ROWS[spec["type"]], options_of(spec)
    learned = row.parameters(o, width) if row.parameters else {}
    return {**learned, **{buffer.name: buffer.shape(o, width) for buffer in row.buffers(o)}}


def buffer_of(key: str) -> Buffer | None:
    """Return the buffer of an array of `Case.params`; None if it is a parameter."""
    return BUFFERS.get(key.rpartition(".")[2])


def is_count(key: str) -> bool:
    """Return True if an array of `Case.params` is a buffer of integers."""
    buffer = buffer_of(key)
    return buffer is not None and buffer.is_count


def has_buffers(name: str) -> bool:
    """Return True if a feature is a layer with buffers."""
    row = LAYER_ROWS.get(name)
    return row is not None and bool(row.buffers(Options(**row.defaults)))


def find_mixing(layers: Iterable[Mapping[str, Any]], *, is_training: bool) -> str:
    """Return the name of the first layer whose outputs depend on the whole batch, or ""."""
    return next(
        (
            row.name
            for spec in layers
            if (row := LAYER_ROWS[spec["type"]]).mixes_samples
            and (is_training or not row.buffers(options_of(spec)))
        ),
        "",
    )


def as_noise(
    layers: Iterable[Mapping[str, Any]], arrays: dict[str, Any], *, is_training: bool
) -> dict[str, Any] | None:
    """Return the random arrays of layers in training; None for prediction.

    Without any, an empty mapping says so where it matters.
    """
    return arrays if arrays or (is_training and find_mixing(layers, is_training=True)) else None


def _shapes_of_chain(
    layers: Sequence[Mapping[str, Any]], width: int
) -> Mapping[str, tuple[int, ...]]:
    """Return the name and shape of every parameter of layers in a layer, as "0.weight"."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, spec in enumerate(layers):
        shapes |= {f"{i}.{name}": shape for name, shape in shapes_of(spec, width).items()}
        width = width_of(spec, width)
    return shapes


def by_convention(o: Options, conventions: Mapping[str, str]) -> Options:
    """Return the options with those that state the convention of the feature, torch's if none."""
    known = row_of(o.type).conventions
    if not known:
        return o
    return Options(**{**vars(o), **known[conventions.get(o.type, next(iter(known)))].options})


def state_of(optimizer: Options | None) -> tuple[State, ...]:
    """Return the arrays that an optimizer with these options keeps for each parameter."""
    if optimizer is None:
        return ()
    state = OPTIMIZER_ROWS[optimizer.type].state
    return tuple(s for s in state if s.option is None or getattr(optimizer, s.option))


def state_names(optimizer: Options | None) -> tuple[str, ...]:
    """Return the names of these arrays."""
    return tuple(state.name for state in state_of(optimizer))
