"""Loading of a trainer from a model file."""

import math
import os
from collections.abc import Mapping
from types import NoneType
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import DTypeError, ModelFileError, ShapeError
from manualnn.network.buffers import initial_buffers
from manualnn.network.sequential import Sequential
from manualnn.serialization import container
from manualnn.serialization.parts import DTYPES, GENERATORS, NOTES, OPTIMIZER, require_finite
from manualnn.serialization.texts import printable
from manualnn.training.trainer import Trainer

STEPS_MAX = 2**63
"""Bound of the counters. Beyond it, a rule's power of a decay rate could raise OverflowError."""


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
    trainer, notes, _ = load_with_notes(path)
    if "table" in notes:
        message = (
            f"{path} holds a model of a table, whose columns must be encoded before the network; "
            f"load it with manualnn.tabular.load_model. Its trainer is the network alone."
        )
        raise ModelFileError(message)
    return trainer


def load_with_notes(
    path: str | os.PathLike[str],
) -> tuple[Trainer, dict[str, Any], dict[str, Array]]:
    """Return the trainer, the notes and the arrays of a file. Raises the same errors as `load`."""
    about, arrays = container.read(path)
    vectors, own = _take(arrays, OPTIMIZER), _take(arrays, NOTES)
    try:
        spec, notes = about["spec"], dict(about["notes"])
        # Before any allocation, because a damaged spec may describe arrays of any size.
        net = Sequential.from_spec(spec)
        _require_match(*_expected(net, spec["dtype"]), arrays)
        params = net.load_state_dict(arrays, dtype=spec["dtype"])
        trainer = Trainer.from_spec(spec, params=params)
        if "training" in about:
            _resume(trainer, about["training"], vectors)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        message = (
            f"{path}: the parts of the model file do not fit together: "
            f"{printable(reason.rstrip('.'))}. "
            f"Save the model again."
        )
        raise ModelFileError(message) from error
    require_finite(path, params)
    return trainer, notes, own


def _expected(net: Sequential, dtype: Any) -> tuple[dict[str, tuple[int, ...]], Any]:
    """Return shapes and dtypes of the parameters and of the buffers."""
    if str(dtype) not in DTYPES or not any(layer.buffers() for layer in net.layers):
        return net.shapes, dtype
    buffers = initial_buffers(net.layers, np.dtype(dtype))
    like = dict.fromkeys(net.shapes, np.empty(0, dtype)) | buffers
    return net.shapes | {key: array.shape for key, array in buffers.items()}, like


def _take(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    """Remove the arrays with a prefix; return them by their names without it."""
    keys = [key for key in arrays if key.startswith(prefix)]
    return {key.removeprefix(prefix): arrays.pop(key) for key in keys}


def _resume(trainer: Trainer, training: Mapping[str, Any], vectors: Mapping[str, Array]) -> None:
    """Restore the state of the optimizer, the counters and the random generator."""
    first = {name: a for name, a in trainer.state.items() if name != "step"}
    _require_match({name: a.shape for name, a in first.items()}, first, vectors, OPTIMIZER)
    steps, step, last_loss = (training[key] for key in ("steps", "optimizer_step", "last_loss"))
    random = training["random"]
    if (
        random["bit_generator"] not in GENERATORS
        or not all(type(n) is int and 0 <= n < STEPS_MAX for n in (steps, step))
        or type(last_loss) not in {int, float, NoneType}
    ):
        message = f"the progress of the training is damaged, got {training}"
        raise ValueError(message)
    trainer.steps = steps
    trainer.last_loss = math.nan if last_loss is None else float(last_loss)
    trainer.state |= {"step": step, **vectors}
    bits = getattr(np.random, random["bit_generator"])()
    bits.state = random
    trainer.rng = np.random.Generator(bits)


def _require_match(
    shapes: Mapping[str, tuple[int, ...]],
    dtype: Any,
    arrays: Mapping[str, Array],
    prefix: str = "",
) -> None:
    """Raise ShapeError if an array is missing, unknown, or of another shape or dtype.

    `dtype` is that of all arrays, or a mapping to arrays with the dtypes.
    """
    if not isinstance(dtype, Mapping):
        if str(dtype) not in DTYPES:
            message = f"expected the dtype {' or '.join(DTYPES)}, got {dtype!r}"
            raise DTypeError(message)
        dtype = dict.fromkeys(shapes, np.empty(0, dtype))
    expected = {f"{prefix}{key} {shape} {dtype[key].dtype}" for key, shape in shapes.items()}
    got = {f"{prefix}{key} {array.shape} {array.dtype}" for key, array in arrays.items()}
    if expected != got:
        message = (
            f"expected {', '.join(sorted(expected - got)) or 'nothing more'}, "
            f"got {', '.join(sorted(got - expected)) or 'nothing'} instead"
        )
        raise ShapeError(message)
