"""Affine steps of an ONNX graph, made into Linear layers.

A graph may scale and shift features by themselves, as a StandardScaler does. A network has Linear
layers only, so such a step is multiplied into the Linear beside it. All products are computed in
float64. Weights that need no product stay bit-identical.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import DTypeError, ModelFileError, SpecError
from manualnn.layers import Layer, Linear
from manualnn.network.sequential import Sequential
from manualnn.parameters import Parameters
from manualnn.validation import first_nonfinite

DTYPES = ("float32", "float64")
LARGEST_ERROR = 1e-4
"""Rounding error that the folding of a scaling may add to the scaled features."""


@dataclass(frozen=True)
class Affine:
    """x ⊙ scale + offset; each has one entry, or one for each feature."""

    scale: Array
    offset: Array | None
    name: str
    """The node that it was read from, for messages."""

    def then(self, other: "Affine") -> "Affine":
        """Return both as one step."""
        shifted = None if self.offset is None else self.offset * other.scale
        return Affine(self.scale * other.scale, _sum(shifted, other.offset), other.name)


@dataclass(frozen=True)
class Matrix:
    """x Wᵀ + b, with W of shape (out, in) and the dtype that the graph has for W."""

    weight: Array
    bias: Array | None
    dtype: str

    def then(self, step: Affine) -> "Matrix":
        """Return the matrix followed by the step."""
        scale, offset = _spread(step, len(self.weight))
        scaled = None if self.bias is None else self.bias * scale
        return Matrix(self.weight * scale[:, None], _sum(scaled, offset), self.dtype)

    def after(self, step: Affine) -> "Matrix":
        """Return the step followed by the matrix."""
        scale, offset = _spread(step, self.weight.shape[1])
        shifted = None if offset is None else self.weight @ offset
        return Matrix(self.weight * scale, _sum(shifted, self.bias), self.dtype)


@dataclass(frozen=True)
class Pair:
    """The scores 0 and z of two classes, for the only score z."""


Step = Layer | Affine | Matrix | Pair


def assemble(
    steps: Iterable[Step], default: str, dtype: Any = None
) -> tuple[Sequential, Parameters]:
    """Return the network of the steps and its parameters.

    The dtype is `dtype`, or that of the first matrix, or else `default`.
    """
    steps = list(steps)
    own = next((step.dtype for step in steps if isinstance(step, Matrix)), default)
    chosen = own if dtype is None else np.dtype(dtype).name
    if chosen not in DTYPES:
        message = f"a network has parameters of float32 or float64, got {chosen}; pass dtype=."
        raise DTypeError(message)
    layers: list[Layer] = []
    arrays: dict[str, Array] = {}
    for step in _merge(steps, chosen):
        if isinstance(step, Matrix):
            arrays[f"{len(layers)}.weight"] = step.weight
            if step.bias is not None:
                arrays[f"{len(layers)}.bias"] = step.bias
            out_features, in_features = step.weight.shape
            layers.append(Linear(in_features, out_features, bias=step.bias is not None))
        else:
            layers.append(step)
    net = Sequential(*layers)
    params = net.load_state_dict(arrays, dtype=chosen)
    for key, array in params.items():
        if where := first_nonfinite(array):
            message = f"the weights must be finite, got {array[where]} in {key} at {where}."
            raise ModelFileError(message)
    return net, params


def _merge(steps: Iterable[Step], dtype: str) -> list[Layer | Matrix]:
    """Return the steps with every Affine and Pair folded into a Matrix."""
    merged: list[Layer | Matrix] = []
    waiting: Affine | None = None
    for step in steps:
        last = merged[-1] if merged else None
        if isinstance(step, Pair):
            if not isinstance(last, Matrix) or len(last.weight) != 1:
                message = "the probabilities of two classes must follow a Linear of one output."
                raise SpecError(message)
            bias = None if last.bias is None else np.stack([0 * last.bias[0], last.bias[0]])
            merged[-1] = Matrix(np.vstack([0 * last.weight, last.weight]), bias, last.dtype)
        elif isinstance(step, Affine):
            if waiting is None and isinstance(last, Matrix):
                merged[-1] = last.then(step)
            else:
                waiting = step if waiting is None else waiting.then(step)
        elif waiting is None:
            merged.append(step)
        elif isinstance(step, Matrix):
            _require_accuracy(waiting, dtype)
            merged.append(step.after(waiting))
            waiting = None
        else:
            break
    if waiting is not None:
        message = (
            f"{waiting.name} scales or shifts features, but no Gemm or MatMul stands directly "
            f"before or after it, into whose weights it could be multiplied."
        )
        raise SpecError(message)
    return merged


def _require_accuracy(step: Affine, dtype: str) -> None:
    """Raise SpecError if W (x ⊙ scale) + W offset would cancel too many digits.

    The graph subtracts before it multiplies, so it does not lose them.
    """
    largest = 0.0 if step.offset is None else float(np.abs(step.offset).max(initial=0))
    error = largest * float(np.finfo(dtype).eps)
    if error > LARGEST_ERROR:
        message = (
            f"{step.name} shifts scaled features by up to {largest:g}. Multiplied into a Linear of "
            f"{dtype}, it costs an error of {error:.1g}, allowed is {LARGEST_ERROR:g}; pass "
            f"dtype='float64', or scale the features outside."
        )
        raise SpecError(message)


def _spread(step: Affine, width: int) -> tuple[Array, Array | None]:
    """Return scale and offset with an entry for each feature."""
    for array in (step.scale, step.offset):
        if array is not None and array.size not in {1, width}:
            message = f"{step.name} has a constant of {array.size} entries for {width} features."
            raise SpecError(message)
    scale = np.broadcast_to(step.scale, width)
    return scale, None if step.offset is None else np.broadcast_to(step.offset, width)


def _sum(a: Array | None, b: Array | None) -> Array | None:
    """Return the sum of those that are there. 0 is not added, because it would change −0."""
    if a is None or b is None:
        return b if a is None else a
    return a + b
