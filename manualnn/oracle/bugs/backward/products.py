"""Mistakes in one product of a Linear layer: its factors' signs, axes, samples and dtypes."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Bug, plant
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "backward")
rounding = partial(plant, BUGS, "precision", exact=False)
ONE_LESS = [
    {"samples": samples, "least": least}
    for samples in (slice(-1), slice(1, None))
    for least in (0, 1)
]
"""Which samples are left, of more than how many."""


def _square(a: Array) -> bool:
    return a.shape[0] == a.shape[1]


def _in_float32(e: Textbook, a: Array, b: Array) -> Array:
    return e.array(a.astype(np.float32) @ b.astype(np.float32))


bug(
    "weight-gradient-of-absolute-input",
    "The gradient of the weights loses a sign: that of the layer's input, or of the error.",
    wrong="dW = dzᵀ |x|, or |dz|ᵀ x",
    right="dW = dzᵀ x",
    killed_by="*:grads",
    variants=[
        {"linear_dW": lambda e, o, x, dz: dz.T @ np.abs(x)},
        {"linear_dW": lambda e, o, x, dz: np.abs(dz).T @ x},
    ],
)
bug(
    "error-through-absolute-weights",
    "The error goes back through the weights without their signs, or with the wrong ones.",
    wrong="dx = dz |W|, or −dz W",
    right="dx = dz W",
    killed_by="layer.Linear*:*",
    variants=[
        {"linear_backward": lambda e, o, x, z, dz: dz @ np.abs(e.weight(o))},
        {"linear_backward": lambda e, o, x, z, dz: -(dz @ e.weight(o))},
    ],
)
bug(
    "input-transposed-where-n-is-width",
    "Where a batch is as large as the input is wide, the gradient takes the input transposed.",
    wrong="dW = dzᵀ xᵀ where N = in",
    right="dW = dzᵀ x",
    killed_by="square:*",
    linear_dW=lambda e, o, x, dz: dz.T @ (x.T if _square(x) else x),
)
bug(
    "error-untransposed-where-n-is-width",
    "Where a batch is as large as the output is wide, the gradient of the weights takes the error "
    "as it is.",
    wrong="dW = dz x where N = out",
    right="dW = dzᵀ x",
    killed_by="square:*",
    linear_dW=lambda e, o, x, dz: (dz if _square(dz) else dz.T) @ x,
)
bug(
    "batch-transposed-where-n-is-width",
    "Where a batch is as large as the input is wide, it is read transposed.",
    wrong="z = xᵀ Wᵀ + b where N = in",
    right="z = x Wᵀ + b",
    killed_by="square:*",
    linear=lambda e, o, x: Textbook.linear(e, o, x.T if _square(x) else x),
)
bug(
    "sample-not-in-weight-gradient",
    "One sample is left out of the weights' gradient alone: a loop over the batch is off by one.",
    wrong="dW = Σₙ₌₁ …, or up to the last but one",
    right="dW = Σₙ dz[n]ᵀ x[n]",
    killed_by="*:grads",
    variants=ONE_LESS,
    linear_dW=lambda e, o, x, dz: (
        dz[e.samples].T @ x[e.samples] if len(x) > e.least else Textbook.linear_dW(e, o, x, dz)
    ),
)
bug(
    "sample-not-in-bias-gradient",
    "One sample is left out of the bias's gradient alone: a loop over the batch is off by one.",
    wrong="db = Σₙ₌₁ …, or up to the last but one",
    right="db = Σₙ dz[n]",
    killed_by="*:grads",
    variants=ONE_LESS,
    linear_db=lambda e, o, dz: (
        dz[e.samples].sum(axis=0) if len(dz) > e.least else Textbook.linear_db(e, o, dz)
    ),
)
rounding(
    "float32-weight-gradient",
    "The product that makes the gradient of the weights is computed in float32.",
    wrong="dW = dzᵀ x in float32",
    right="dW = dzᵀ x in the dtype of the case",
    killed_by="*:grads",
    linear_dW=lambda e, o, x, dz: _in_float32(e, dz.T, x),
)
rounding(
    "float32-bias-gradient",
    "The gradient of the bias is summed in float32.",
    wrong="db = Σₙ dz[n] in float32",
    right="db = Σₙ dz[n] in the dtype of the case",
    killed_by="*:grads",
    linear_db=lambda e, o, dz: e.array(dz.astype(np.float32).sum(axis=0)),
)
rounding(
    "float32-forward-product",
    "The product of the forward pass is computed in float32.",
    wrong="x Wᵀ in float32",
    right="x Wᵀ in the dtype of the case",
    killed_by="layer.Linear:*",
    linear=lambda e, o, x: (
        _in_float32(e, x, e.weight(o).T) + (e.params[f"{o.i}.bias"] if o.bias else 0)
    ),
)
rounding(
    "float32-error",
    "The product that takes the error back is computed in float32.",
    wrong="dx = dz W in float32",
    right="dx = dz W in the dtype of the case",
    killed_by="layer.Linear:*",
    linear_backward=lambda e, o, x, z, dz: _in_float32(e, dz, e.weight(o)),
)


class NudgesOutput(Textbook):
    """Gives one entry of every Linear layer's output a little too large or too small."""

    corner = -1
    factor = 0.0

    def linear(self, o: Options, x: Array) -> Array:
        z = super().linear(o, x).copy()
        if z.size > 1:
            z[self.corner, self.corner] *= 1 + self.num(self.factor)
        return z


bug(
    "output-slightly-off",
    "One entry of what a Linear layer gives is a little off.",
    wrong="z[−1, −1] (1 + 1e-5)",
    right="z[−1, −1]",
    killed_by="*:outputs",
    base=NudgesOutput,
    variants=[
        {"corner": corner, "factor": factor} for corner in (-1, 0) for factor in (1e-5, -1e-5)
    ],
)
