"""Bugs of one product of a Linear layer: signs, axes, samples and dtypes of its factors."""

from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Methods, Table, bug
from manualnn.oracle.bugs.edits import (
    SMALL_ERRORS,
    is_square,
    multiply_in_float32,
    with_small_error,
)
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("backward")
rounding_bug = partial(bug, kind="precision", exact=False)
square_bug = partial(bug, killed_by="square:*")
ONE_LESS: Methods = {
    "samples": [slice(-1), slice(-1), slice(1, None), slice(1, None)],
    "least": [0, 1, 0, 1],
}
"""Slices of samples that remain if the batch has more than `least` samples."""


def _remaining(e: Any, rows: Array) -> Array:
    return rows[e.samples] if len(rows) > e.least else rows


BUGS["weight-gradient-of-absolute-input"] = bug(
    "The gradient of the weights uses the absolute value of the layer's input or of the error.",
    lines=("dW = dzᵀ |x|, or |dz|ᵀ x", "dW = dzᵀ x"),
    linear_dW=[lambda e, o, x, dz: dz.T @ np.abs(x), lambda e, o, x, dz: np.abs(dz).T @ x],
)
BUGS["error-through-absolute-weights"] = bug(
    "The error is propagated through weights without their signs, or with the wrong signs.",
    lines=("dx = dz |W|, or −dz W", "dx = dz W"),
    linear_backward=[
        lambda e, o, x, z, dz: dz @ np.abs(e.weight(o)),
        lambda e, o, x, z, dz: -(dz @ e.weight(o)),
    ],
)
BUGS["input-transposed-where-n-is-width"] = square_bug(
    "The gradient of the weights uses the transposed input if N equals the input width.",
    lines=("dW = dzᵀ xᵀ where N = in", "dW = dzᵀ x"),
    linear_dW=lambda e, o, x, dz: dz.T @ (x.T if is_square(x) else x),
)
BUGS["error-untransposed-where-n-is-width"] = square_bug(
    "The gradient of the weights does not transpose the error if N equals the output width.",
    lines=("dW = dz x where N = out", "dW = dzᵀ x"),
    linear_dW=lambda e, o, x, dz: (dz if is_square(dz) else dz.T) @ x,
)
BUGS["batch-transposed-where-n-is-width"] = square_bug(
    "The batch is transposed if N equals the input width.",
    lines=("z = xᵀ Wᵀ + b where N = in", "z = x Wᵀ + b"),
    linear=lambda e, o, x: Textbook.linear(e, o, x.T if is_square(x) else x),
)
BUGS["sample-not-in-weight-gradient"] = bug(
    "One sample is missing only in the gradient of the weights: a loop is off by one.",
    lines=("dW = Σₙ₌₁ …, or without the last n", "dW = Σₙ dz[n]ᵀ x[n]"),
    **ONE_LESS,
    linear_dW=lambda e, o, x, dz: _remaining(e, dz).T @ _remaining(e, x),
)
BUGS["sample-not-in-bias-gradient"] = bug(
    "One sample is missing only in the gradient of the bias: a loop is off by one.",
    lines=("db = Σₙ₌₁ …, or without the last n", "db = Σₙ dz[n]"),
    **ONE_LESS,
    linear_db=lambda e, o, dz: _remaining(e, dz).sum(axis=0),
)
BUGS["float32-weight-gradient"] = rounding_bug(
    "The product for the gradient of the weights is computed in float32.",
    lines=("dW = dzᵀ x in float32", "dW = dzᵀ x in the dtype of the case"),
    linear_dW=lambda e, o, x, dz: multiply_in_float32(e, dz.T, x),
)
BUGS["float32-bias-gradient"] = rounding_bug(
    "The gradient of the bias is summed in float32.",
    lines=("db = Σₙ dz[n] in float32", "db = Σₙ dz[n] in the dtype of the case"),
    linear_db=lambda e, o, dz: e.array(dz.astype(np.float32).sum(axis=0)),
)
BUGS["float32-forward-product"] = rounding_bug(
    "The product of the forward pass is computed in float32.",
    lines=("x Wᵀ in float32", "x Wᵀ in the dtype of the case"),
    linear=lambda e, o, x: (
        multiply_in_float32(e, x, e.weight(o).T) + (e.params[f"{o.i}.bias"] if o.bias else 0)
    ),
)
BUGS["float32-error"] = rounding_bug(
    "The product that propagates the error is computed in float32.",
    lines=("dx = dz W in float32", "dx = dz W in the dtype of the case"),
    linear_backward=lambda e, o, x, z, dz: multiply_in_float32(e, dz, e.weight(o)),
)
BUGS["output-slightly-off"] = bug(
    "One entry of the output of a Linear layer is slightly wrong.",
    lines=("z[−1, −1] (1 + 1e-5)", "z[−1, −1]"),
    **SMALL_ERRORS,
    linear=lambda e, o, x: (
        z if (z := Textbook.linear(e, o, x)).size < 2 else with_small_error(e, z)
    ),
)
