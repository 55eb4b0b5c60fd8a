"""Bugs of one product of a Linear layer: signs, axes, samples and dtypes of its factors."""

from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import SMALL_ERRORS, Bug, add_bug, is_square, with_small_error
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(add_bug, BUGS, "backward")
grads_bug = partial(bug, killed_by="*:grads")
square_bug = partial(bug, killed_by="square:*")
rounding_bug = partial(add_bug, BUGS, "precision", exact=False)
ONE_LESS = [
    {"samples": samples, "least": least}
    for samples in (slice(-1), slice(1, None))
    for least in (0, 1)
]
"""Slices of samples that remain if the batch has more than `least` samples."""


def _remaining(e: Any, rows: Array) -> Array:
    return rows[e.samples] if len(rows) > e.least else rows


def _in_float32(e: Textbook, a: Array, b: Array) -> Array:
    return e.array(a.astype(np.float32) @ b.astype(np.float32))


grads_bug(
    "weight-gradient-of-absolute-input",
    "The gradient of the weights uses the absolute value of the layer's input or of the error.",
    lines=("dW = dzᵀ |x|, or |dz|ᵀ x", "dW = dzᵀ x"),
    variants=[
        {"linear_dW": lambda e, o, x, dz: dz.T @ np.abs(x)},
        {"linear_dW": lambda e, o, x, dz: np.abs(dz).T @ x},
    ],
)
bug(
    "error-through-absolute-weights",
    "The error is propagated through weights without their signs, or with the wrong signs.",
    lines=("dx = dz |W|, or −dz W", "dx = dz W"),
    killed_by="layer.Linear*:*",
    variants=[
        {"linear_backward": lambda e, o, x, z, dz: dz @ np.abs(e.weight(o))},
        {"linear_backward": lambda e, o, x, z, dz: -(dz @ e.weight(o))},
    ],
)
square_bug(
    "input-transposed-where-n-is-width",
    "The gradient of the weights uses the transposed input if N equals the input width.",
    lines=("dW = dzᵀ xᵀ where N = in", "dW = dzᵀ x"),
    linear_dW=lambda e, o, x, dz: dz.T @ (x.T if is_square(x) else x),
)
square_bug(
    "error-untransposed-where-n-is-width",
    "The gradient of the weights does not transpose the error if N equals the output width.",
    lines=("dW = dz x where N = out", "dW = dzᵀ x"),
    linear_dW=lambda e, o, x, dz: (dz if is_square(dz) else dz.T) @ x,
)
square_bug(
    "batch-transposed-where-n-is-width",
    "The batch is transposed if N equals the input width.",
    lines=("z = xᵀ Wᵀ + b where N = in", "z = x Wᵀ + b"),
    linear=lambda e, o, x: Textbook.linear(e, o, x.T if is_square(x) else x),
)
grads_bug(
    "sample-not-in-weight-gradient",
    "One sample is missing only in the gradient of the weights: a loop is off by one.",
    lines=("dW = Σₙ₌₁ …, or without the last n", "dW = Σₙ dz[n]ᵀ x[n]"),
    variants=ONE_LESS,
    linear_dW=lambda e, o, x, dz: _remaining(e, dz).T @ _remaining(e, x),
)
grads_bug(
    "sample-not-in-bias-gradient",
    "One sample is missing only in the gradient of the bias: a loop is off by one.",
    lines=("db = Σₙ₌₁ …, or without the last n", "db = Σₙ dz[n]"),
    variants=ONE_LESS,
    linear_db=lambda e, o, dz: _remaining(e, dz).sum(axis=0),
)
rounding_bug(
    "float32-weight-gradient",
    "The product for the gradient of the weights is computed in float32.",
    lines=("dW = dzᵀ x in float32", "dW = dzᵀ x in the dtype of the case"),
    killed_by="*:grads",
    linear_dW=lambda e, o, x, dz: _in_float32(e, dz.T, x),
)
rounding_bug(
    "float32-bias-gradient",
    "The gradient of the bias is summed in float32.",
    lines=("db = Σₙ dz[n] in float32", "db = Σₙ dz[n] in the dtype of the case"),
    killed_by="*:grads",
    linear_db=lambda e, o, dz: e.array(dz.astype(np.float32).sum(axis=0)),
)
rounding_bug(
    "float32-forward-product",
    "The product of the forward pass is computed in float32.",
    lines=("x Wᵀ in float32", "x Wᵀ in the dtype of the case"),
    killed_by="layer.Linear:*",
    linear=lambda e, o, x: (
        _in_float32(e, x, e.weight(o).T) + (e.params[f"{o.i}.bias"] if o.bias else 0)
    ),
)
rounding_bug(
    "float32-error",
    "The product that propagates the error is computed in float32.",
    lines=("dx = dz W in float32", "dx = dz W in the dtype of the case"),
    killed_by="layer.Linear:*",
    linear_backward=lambda e, o, x, z, dz: _in_float32(e, dz, e.weight(o)),
)
bug(
    "output-slightly-off",
    "One entry of the output of a Linear layer is slightly wrong.",
    lines=("z[−1, −1] (1 + 1e-5)", "z[−1, −1]"),
    killed_by="*:outputs",
    variants=SMALL_ERRORS,
    linear=lambda e, o, x: (
        z if (z := Textbook.linear(e, o, x)).size < 2 else with_small_error(e, z)
    ),
)
