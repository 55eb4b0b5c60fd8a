"""The container of a model file: a JSON description and named arrays in a safetensors file."""

import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import MissingExtraError, ModelFileError
from manualnn.output.files import write_whole

VERSION = 1
"""Version of the files that this module writes and reads."""


def write(
    path: str | os.PathLike[str], description: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write a description and arrays to a file, completely or not at all.

    Raises ModelFileError if the description is no JSON, or if the file cannot be written.
    """
    about = {"version": VERSION, **description}
    try:
        text = json.dumps(about, default=_plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        message = f"{path}: the spec and the notes must fit into JSON ({error}); nothing was saved."
        raise ModelFileError(message) from error
    # safetensors reads an array's memory as if it were contiguous, without looking at its strides.
    contiguous = {key: np.asarray(array, order="C") for key, array in arrays.items()}
    content = require_safetensors(".numpy").save(contiguous, {"manualnn": text})
    try:
        write_whole(path, content)
    except OSError as error:
        raise ModelFileError(str(error)) from error


def read(path: str | os.PathLike[str]) -> tuple[Any, dict[str, Array]]:
    """Return the description and the arrays of a file. Raises ModelFileError if it is damaged."""
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
    return about, arrays


def require_safetensors(module: str = "") -> Any:
    """Return safetensors, or a module of it. Raises MissingExtraError if it is not installed."""
    try:
        return importlib.import_module(f"safetensors{module}")
    except ImportError:
        message = "model files need the package safetensors; pip install 'manualnn[cli]'."
        raise MissingExtraError(message) from None


def _plain(value: Any) -> Any:
    """Return a NumPy number as a Python number, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    message = f"{value!r} is not JSON"
    raise TypeError(message)
