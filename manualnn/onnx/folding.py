"""Affine steps of an ONNX graph, made into Linear layers.

A graph may scale and shift features by themselves, as a StandardScaler does. A network has Linear
layers only, so such a step is multiplied into the Linear beside it, in float64. Weights that need
no product stay bit-identical.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import DTypeError, ModelFileError, SpecError
from manualnn.layers import Layer, Linear, Softmax
from manualnn.network.sequential import Sequential
from manualnn.onnx.patterns import DTYPES, TwoClasses
from manualnn.parameters import Parameters
from manualnn.validation import first_nonfinite

LARGEST_ERROR = 1e-4
"""Rounding error that the folding of a scaling may add to the scaled features."""


@dataclass(frozen=True)
class Affine:
    """x @ factor + offset for a matrix of shape (in, out), or else x ⊙ factor + offset.

    A factor that is no matrix and an offset have one entry, or one for each feature.
    """

    factor: Array
    offset: Array | None
    name: str
    """The node that it was read from, for messages."""

    @property
    def is_matrix(self) -> bool:
        """True for x @ factor."""
        return self.factor.ndim == 2

    def then(self, other: "Affine") -> "Affine":
        """Return both as one step. At most one of them is a matrix."""
        factor, offset = self.factor, self.offset
        if other.is_matrix:
            width = len(other.factor)
            factor = np.broadcast_to(factor, width)[:, None]
            if offset is not None:
                offset = np.broadcast_to(offset, width) @ other.factor.astype(float)
        elif offset is not None:
            offset = offset * other.factor
        if offset is None or other.offset is None:  # no 0 is added, because it would change −0
            offset = other.offset if offset is None else offset
        else:
            offset = offset + other.offset
        return Affine(np.multiply(factor, other.factor, dtype=float), offset, other.name)


@dataclass(frozen=True)
class Learned:
    """A layer other than Linear, with its parameters by name."""

    layer: Layer
    arrays: dict[str, Array]


Step = Layer | Affine | Learned | TwoClasses


def assemble(
    steps: list[Step], default: np.dtype[Any], dtype: Any
) -> tuple[Sequential, Parameters]:
    """Return the network of the steps and its parameters.

    The dtype is `dtype`, or that of the first matrix or table, or else `default`.
    """
    tables = [step.arrays["weight"] for step in steps if isinstance(step, Learned)]
    matrices = [step.factor for step in steps if isinstance(step, Affine) and step.is_matrix]
    matrices += [table for table in tables if table.ndim == 2]
    own = matrices[0].dtype if matrices else default
    chosen = np.dtype(own if dtype is None else dtype).name
    if chosen not in DTYPES:
        message = f"a network has parameters of float32 or float64, got {chosen}; pass dtype=."
        raise DTypeError(message)
    layers: list[Layer] = []
    arrays: dict[str, Array] = {}
    for step in _fold(steps, chosen):
        if isinstance(step, Affine):
            in_features, out_features = step.factor.shape
            arrays[f"{len(layers)}.weight"] = step.factor.T
            if step.offset is not None:
                arrays[f"{len(layers)}.bias"] = np.broadcast_to(step.offset, out_features)
            layers.append(Linear(in_features, out_features, bias=step.offset is not None))
        elif isinstance(step, Learned):
            arrays |= {f"{len(layers)}.{name}": array for name, array in step.arrays.items()}
            layers.append(step.layer)
        else:
            layers.append(step)
    net = Sequential(*layers)
    params = net.load_state_dict(arrays, dtype=chosen)
    for key, array in params.items():
        if where := first_nonfinite(array):
            message = f"the weights must be finite, got {array[where]} in {key} at {where}."
            raise ModelFileError(message)
    return net, params


def _fold(steps: list[Step], dtype: str) -> list[Layer | Affine | Learned]:
    """Return the steps with every Affine and TwoClasses folded into a matrix beside it."""
    folded: list[Layer | Affine | Learned] = []
    for step in steps:
        last = folded[-1] if folded else None
        if isinstance(step, TwoClasses):
            if not isinstance(last, Affine) or last.factor.shape[1:] != (1,):
                message = "the probabilities of two classes must follow a Linear of one output."
                raise SpecError(message)
            folded[-1] = last.then(Affine(np.array([0.0, 1.0]), None, last.name))
            folded.append(Softmax())
        elif (
            isinstance(step, Affine)
            and isinstance(last, Affine)
            and not (last.is_matrix and step.is_matrix)
        ):
            if step.is_matrix:
                _require_accuracy(last, dtype)
            folded[-1] = last.then(step)
        else:
            folded.append(step)
    for step in folded:
        if isinstance(step, Affine) and not step.is_matrix:
            message = (
                f"{step.name} scales or shifts features, but no Gemm or MatMul stands directly "
                f"before or after it, into whose weights it could be multiplied."
            )
            raise SpecError(message)
    return folded


def _require_accuracy(step: Affine, dtype: str) -> None:
    """Raise SpecError if (x ⊙ factor) W + offset W would cancel too many digits.

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
