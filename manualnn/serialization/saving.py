"""Saving of a trainer to a model file."""

import math
import os
from collections.abc import Mapping
from typing import Any

from manualnn.elementary import Array
from manualnn.errors import ModelFileError, SpecError
from manualnn.losses import LOSSES
from manualnn.network.sequential import Sequential
from manualnn.optimizers import all_optimizers
from manualnn.serialization import container
from manualnn.serialization.parts import DTYPES, GENERATORS, NOTES, OPTIMIZER, require_finite
from manualnn.spec import from_spec
from manualnn.training.trainer import Trainer
from manualnn.validation import as_array, shown


def save(
    path: str | os.PathLike[str],
    trainer: Trainer,
    *,
    resumable: bool = True,
    notes: Mapping[str, Any] | None = None,
    arrays: Mapping[str, Any] | None = None,
) -> None:
    """Write the trainer to a file. An existing file is replaced.

    Parameters
    ----------
    path : path
        Path of the file. Its folder must exist.
    trainer : Trainer
        The trainer to save. Its parameters must be float32 or float64.
    resumable : bool
        If True, save also everything that a training needs to continue exactly: the state of the
        optimizer, the number of steps and the state of the random generator. If False, the file
        has the parameters only, and torch loads it as a state_dict.
    notes : mapping, optional
        Your own data, which must fit into JSON. `load_with_notes` returns them.
    arrays : mapping from text to array, optional
        Your own arrays of booleans, integers or floats. `load_with_notes` returns them.

    Raises
    ------
    ModelFileError
        If the file cannot be written, or if it could not be loaded again: for numbers that are not
        finite, a layer of your own that is not in LAYERS, or notes of more than 16 MB. A file that
        was at `path` before then stays as it was.
    SpecError
        If `trainer` is not a Trainer, or if another argument has a wrong type.
    MissingExtraError
        If safetensors is not installed.

    """
    if not isinstance(trainer, Trainer):
        message = (
            f"save expects a path and a Trainer, got {type(trainer).__name__} as the trainer; "
            f"save(path, Trainer(net, loss, rule, params=params)) saves a network's parameters."
        )
        raise SpecError(message)
    params = trainer.params
    if params.dtype.name not in DTYPES:
        message = (
            f"{path}: a model file holds float32 or float64, got parameters of {params.dtype}; "
            f"save Trainer(net, loss, rule, params=trainer.params.astype(np.float64)) instead."
        )
        raise ModelFileError(message)
    require_finite(path, params)
    for name, own in (("notes", notes), ("arrays", arrays)):
        if not (own is None or isinstance(own, Mapping)):
            message = f"{name} must be a mapping from names to data, got {shown(own)}."
            raise SpecError(message)
    _require_loadable(path, trainer)
    description: dict[str, Any] = {"spec": trainer.spec(), "notes": dict(notes or {})}
    parts = {**params, **params.buffers}
    if resumable:
        description["training"] = _progress(path, trainer)
        vectors = trainer.rule.init(params).keys() - {"step"}
        parts |= {OPTIMIZER + name: trainer.state[name] for name in sorted(vectors)}
    parts |= {
        f"{NOTES}{name}": _storable(path, name, value) for name, value in (arrays or {}).items()
    }
    container.write(path, description, parts)


def _require_loadable(path: str | os.PathLike[str], trainer: Trainer) -> None:
    """Raise ModelFileError if network, loss and rule do not follow from their JSON form.

    A class of the user's own does so only if it is in LAYERS, LOSSES or OPTIMIZERS.
    """
    try:
        spec = trainer.spec()
        loss = from_spec(spec["loss"], LOSSES, "loss")
        rule = from_spec(spec["optimizer"], all_optimizers(), "optimizer")
        is_same = (Sequential.from_spec(spec), loss, rule) == (
            trainer.net, trainer.loss, trainer.rule
        )  # fmt: skip
        reason = "" if is_same else "another class has the name of one of its parts."
    except SpecError as error:
        reason = str(error)
    if reason:
        message = f"{path}: the trainer could not be loaded again: {reason} Nothing was saved."
        raise ModelFileError(message)


def _storable(path: str | os.PathLike[str], name: Any, value: Any) -> Array:
    """Return value as an array. Raises ModelFileError if a file cannot hold it."""
    array = as_array(value, str(name))
    if not isinstance(name, str):
        message = f"{path}: the name of an array must be a text, got {shown(name)}."
        raise SpecError(message)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        message = (
            f"{path}: the array {name!r} must be of booleans, integers or floats of at most 64 "
            f"bits, got dtype {array.dtype}; nothing was saved."
        )
        raise ModelFileError(message)
    return array


def _progress(path: str | os.PathLike[str], trainer: Trainer) -> dict[str, Any]:
    """Return the JSON data from which loading restores the counters and the generator."""
    random = trainer.rng.bit_generator.state
    if random["bit_generator"] not in GENERATORS:
        message = (
            f"{path}: the trainer draws from {random['bit_generator']}, whose state cannot be "
            f"saved; expected one of {', '.join(GENERATORS)}. Save with resumable=False."
        )
        raise ModelFileError(message)
    last_loss = trainer.last_loss
    return {
        "steps": trainer.steps,
        "optimizer_step": trainer.state["step"],
        "last_loss": last_loss if math.isfinite(last_loss) else None,
        "random": random,
    }
