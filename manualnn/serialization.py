"""Model files: save a trainer and load it again, bit for bit.

    save("model.safetensors", trainer)
    trainer = load("model.safetensors")
    trainer.fit(x, t, epochs=10)            # continues as if it had never been saved

A file has the safetensors format: arrays, and one JSON text that describes them. Nothing in it is
ever executed. The parameters have torch's keys ("0.weight", …), so torch reads them with
`safetensors.torch.load_file`. The state of the optimizer has keys that begin with "optimizer.". To
load a state_dict that torch saved:

    params = net.load_state_dict(safetensors.numpy.load_file("from_torch.safetensors"))

A file is written completely or not at all.
"""

import importlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import MissingExtraError, ModelFileError, ShapeError, SpecError
from manualnn.network.sequential import Sequential
from manualnn.output.files import write_whole
from manualnn.parameters import Parameters
from manualnn.training.trainer import Trainer
from manualnn.validation import first_nonfinite

__all__ = ["load", "load_with_notes", "require_safetensors", "save"]

VERSION = 1
"""Version of the files that this module writes and reads."""

DTYPES = ("float32", "float64")
OPTIMIZER = "optimizer."
"""Prefix of the keys of the optimizer's vectors. The keys of a layer begin with its number."""

GENERATORS = ("PCG64", "PCG64DXSM")
"""NumPy's default bit generator and its successor. NumPy does not check the states of others."""


def save(
    path: str | os.PathLike[str],
    trainer: Trainer,
    *,
    resumable: bool = True,
    notes: Mapping[str, Any] | None = None,
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

    Raises
    ------
    ModelFileError
        If the file cannot be written, or if it could not be loaded again. A file that was at `path`
        before then stays as it was.
    SpecError
        If `trainer` is not a Trainer.
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
    _require_finite(path, params)
    about: dict[str, Any] = {"version": VERSION, "spec": trainer.spec(), "notes": dict(notes or {})}
    arrays = params.state_dict()
    if resumable:
        about["training"] = _progress(path, trainer)
        arrays |= {OPTIMIZER + name: trainer.state[name] for name in trainer.rule.vectors()}
    try:
        text = json.dumps(about, default=_plain, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        message = f"{path}: the spec and the notes must fit into JSON ({error}); nothing was saved."
        raise ModelFileError(message) from error
    content = require_safetensors(".numpy").save(arrays, {"manualnn": text})
    try:
        write_whole(path, content)
    except OSError as error:
        raise ModelFileError(str(error)) from error


def load(path: str | os.PathLike[str]) -> Trainer:
    """Return the trainer that was saved to a file.

    If it was saved with `resumable=False`, the optimizer has its initial state and the seed is 0.

    Raises
    ------
    ModelFileError
        If there is no such file, if it is damaged, of another kind or of another version, if its
        parts do not fit together, or if it holds a model of a table.
    MissingExtraError
        If safetensors is not installed.

    """
    trainer, notes = load_with_notes(path)
    if "table" in notes:
        raise ModelFileError(
            f"{path} holds a model of a table, whose columns must be scaled before the network; "
            "load it with manualnn.tabular.model.TableModel.load. Its trainer is the network alone."
        )
    return trainer


def load_with_notes(path: str | os.PathLike[str]) -> tuple[Trainer, dict[str, Any]]:
    """Return the trainer and the notes of a file. Raises the same errors as `load`."""
    arrays, about = _read(path)
    vectors = {key: arrays.pop(key) for key in list(arrays) if key.startswith(OPTIMIZER)}
    try:
        spec, notes = about["spec"], dict(about["notes"])
        # Before any allocation, because a damaged spec may describe arrays of any size.
        net = Sequential.from_spec(spec)
        _require_match(net.shapes, spec["dtype"], arrays)
        params = net.load_state_dict(arrays, dtype=spec["dtype"])
        trainer = Trainer.from_spec(spec, params=params)
        if "training" in about:
            _resume(trainer, about["training"], vectors)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        message = (
            f"{path}: the parts of the model file do not fit together: {reason.rstrip('.')}. "
            f"Save the model again."
        )
        raise ModelFileError(message) from error
    _require_finite(path, params)
    return trainer, notes


def require_safetensors(module: str = "") -> Any:
    """Return safetensors, or a module of it. Raises MissingExtraError if it is not installed."""
    try:
        return importlib.import_module(f"safetensors{module}")
    except ImportError:
        message = "model files need the package safetensors; pip install 'manualnn[cli]'."
        raise MissingExtraError(message) from None


# ---------------------------------------------------------------------- reading


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], Any]:
    """Return the arrays of a file, and its JSON text as data."""
    safetensors = require_safetensors()
    if not Path(path).is_file():
        is_there = "it is not a regular file" if Path(path).exists() else "there is no such file"
        message = f"cannot read {path}: {is_there}; expected a model that manualnn saved."
        raise ModelFileError(message)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except OSError as error:
        message = f"cannot read {path}: {error}."
        raise ModelFileError(message) from error
    except Exception as error:  # a damaged header may fail anywhere in the reader
        message = (
            f"{path} is not a model file, or is damaged or truncated ({error}); "
            f"expected a safetensors file that manualnn saved. Save it, or copy it, again."
        )
        raise ModelFileError(message) from error
    if "manualnn" not in metadata:
        message = (
            f"{path} is a safetensors file, but was not saved by manualnn: it does not say which "
            f"network it is for. Build the network, and load the parameters with "
            f"net.load_state_dict(safetensors.numpy.load_file({str(path)!r}))."
        )
        raise ModelFileError(message)
    try:
        about = json.loads(metadata["manualnn"])
        version = about["version"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        message = f"{path}: the model file's description is damaged ({error}); save it again."
        raise ModelFileError(message) from error
    if version != VERSION:
        message = (
            f"{path} is a model file of version {version}, this manualnn reads version {VERSION}; "
            f"use the manualnn that saved it."
        )
        raise ModelFileError(message)
    return arrays, about


def _resume(trainer: Trainer, training: Mapping[str, Any], vectors: Mapping[str, Array]) -> None:
    """Restore the state of the optimizer, the counters and the random generator."""
    expected = {OPTIMIZER + name: trainer.params.vector.shape for name in trainer.rule.vectors()}
    _require_match(expected, trainer.params.dtype, vectors)
    random = training["random"]
    counts = [training["steps"], training["optimizer_step"]]
    if random["bit_generator"] not in GENERATORS or not all(type(n) is int for n in counts):
        message = f"the progress of the training is damaged, got {training}"
        raise ValueError(message)
    trainer.steps, step = counts
    last_loss = training["last_loss"]
    trainer.last_loss = math.nan if last_loss is None else float(last_loss)
    trainer.state["step"] = step
    for key, vector in vectors.items():
        trainer.state[key.removeprefix(OPTIMIZER)] = vector
    bits = getattr(np.random, random["bit_generator"])()
    bits.state = random
    trainer.rng = np.random.Generator(bits)


def _progress(path: str | os.PathLike[str], trainer: Trainer) -> dict[str, Any]:
    """Return the JSON data from which `_resume` restores the counters and the generator."""
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


def _require_match(
    shapes: Mapping[str, tuple[int, ...]], dtype: Any, arrays: Mapping[str, Array]
) -> None:
    """Raise ShapeError if an array is missing, unknown, or of another shape or dtype."""
    expected = {f"{key} {shape} {np.dtype(dtype)}" for key, shape in shapes.items()}
    got = {f"{key} {array.shape} {array.dtype}" for key, array in arrays.items()}
    if expected != got:
        message = (
            f"expected {', '.join(sorted(expected - got)) or 'nothing more'}, "
            f"got {', '.join(sorted(got - expected)) or 'nothing'} instead"
        )
        raise ShapeError(message)


def _require_finite(path: str | os.PathLike[str], params: Parameters) -> None:
    for key, array in params.items():
        if where := first_nonfinite(array):
            message = (
                f"{path}: the parameters must be finite, got {array[where]} in {key} at {where}; "
                f"a model that diverged cannot be saved or loaded; train it again."
            )
            raise ModelFileError(message)


def _plain(value: Any) -> Any:
    """Return a NumPy number as a Python number, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    message = f"{value!r} is not JSON"
    raise TypeError(message)
