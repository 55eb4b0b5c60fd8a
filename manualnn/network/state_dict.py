"""Reading a state_dict, of this package or of torch, into Parameters.

torch is not imported. A tensor is recognised by its methods: it is detached from its graph, moved
to the CPU, and converted by NumPy. NumPy has no bfloat16, so such a tensor is first made float32,
which holds each of its numbers exactly.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import DTypeError, ShapeError, SpecError
from manualnn.network.buffers import initial_buffers
from manualnn.network.names import fit_keys
from manualnn.parameters import Parameters
from manualnn.validation import FLOATS, as_array, as_numbers, require_real

if TYPE_CHECKING:
    from manualnn.network.sequential import Sequential


def parameters_from(
    state_dict: Any,
    net: "Sequential",
    dtype: Any = None,
    names: Mapping[str, Any] | None = None,
) -> Parameters:
    """Return Parameters of a network, and its buffers, with the values of a state_dict.

    Raises what `Sequential.load_state_dict` documents.
    """
    buffers = initial_buffers(net.layers, np.dtype(np.float64))
    shapes = net.shapes | {key: array.shape for key, array in buffers.items()}
    if not isinstance(state_dict, Mapping):
        hint = "pass a mapping"
        if hasattr(state_dict, "state_dict"):
            hint = "pass its state_dict()"
        elif isinstance(state_dict, str | os.PathLike):
            hint = "pass manualnn.load_arrays(path), if it is the path of a safetensors file"
        message = (
            f"load_state_dict expects a mapping from names to arrays, got an object of "
            f"type {type(state_dict).__name__}; {hint}."
        )
        raise SpecError(message)
    state_dict = fit_keys(state_dict, shapes, net, names)
    arrays = {key: _as_numpy(value, key, dtype) for key, value in state_dict.items()}
    if dtype is None:
        counts = {key for key, array in buffers.items() if array.dtype.kind == "i"}
        floats = [array for key, array in arrays.items() if key not in counts]
        dtype = np.result_type(*floats) if floats else np.dtype(np.float64)
        if dtype.kind in "biu":  # integers and truth values, as in a JSON file
            dtype = np.float64
    params = Parameters(net.shapes, dtype=dtype)
    params.buffers = initial_buffers(net.layers, params.dtype)
    for key, view in {**params, **params.buffers}.items():
        if arrays[key].shape != view.shape:
            got = arrays[key].shape
            hint = "; pass its transpose" if got == view.shape[::-1] else ""
            message = f"{key} must have shape {view.shape}, got {got}{hint}."
            raise ShapeError(message)
        view[...] = as_numbers(arrays[key], view.dtype if view.dtype.kind == "f" else dtype, key)
    return params


def _as_numpy(value: Any, key: str, dtype: Any) -> Array:
    """Return a NumPy array of an array, a tensor or a list."""
    if hasattr(value, "detach"):
        try:
            value = value.detach().cpu()
        except RuntimeError as error:
            message = f"{key} cannot be copied to the CPU ({error})."
            raise DTypeError(message) from error
        if str(value.dtype) == "torch.bfloat16":
            if dtype is None:
                raise _unsupported(key, value.dtype)
            value = value.float()
    array = as_array(value, key)
    if dtype is None and array.dtype.name in {"float16", "bfloat16"}:
        raise _unsupported(key, array.dtype)
    require_real(array, key)
    return array


def _unsupported(key: str, dtype: Any) -> DTypeError:
    return DTypeError(
        f"{key} is {dtype}, expected {', '.join(map(str, FLOATS[:2]))} or longdouble; pass "
        f"dtype='float32' to load_state_dict to convert it."
    )
