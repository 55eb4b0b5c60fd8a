"""Bugs of loops and shapes: missing entries, batches of one sample, clipped gradients."""

from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Table, bug
from manualnn.oracle.bugs.edits import (
    all_gradients,
    clip_common_norm,
    each_gradient,
    is_square,
    whole_blocks,
)
from manualnn.oracle.bugs.fits import largest, norm
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("backward")
single_bug = partial(bug, killed_by="shapes:*")
clipping_bug = partial(bug, killed_by="loss.MSELoss.sum:*")
input_bug = partial(bug, killed_by="*:input_grad")


def _with_zero(a: Array, index: Any) -> Array:
    """Return a copy in which these entries are 0, because a loop does not reach them."""
    a = a.copy()
    a[index] = 0
    return a


BUGS["unit-not-propagated"] = bug(
    "The error of one unit is not propagated, because a loop over outputs is off by one.",
    lines=("dx[i] = Σⱼ₌₁ dz[j] W[j, i], or without the last j", "dx[i] = Σⱼ dz[j] W[j, i]"),
    units=[slice(-1), slice(1, None)],
    linear_backward=lambda e, o, x, z, dz: dz[:, e.units] @ e.weight(o)[e.units],
)
BUGS["sample-not-summed"] = bug(
    "One sample is missing in the gradients, because a loop over the batch is off by one.",
    lines=("dW = Σₙ₌₁ …, or without the last n", "dW = Σₙ dz[n]ᵀ x[n]"),
    samples=[slice(-1), slice(1, None)],
    linear_dW=lambda e, o, x, dz: dz[e.samples].T @ x[e.samples],
    linear_db=lambda e, o, dz: dz[e.samples].sum(axis=0),
)
BUGS["gradient-of-one-sample"] = bug(
    "The gradients are those of a single sample of the batch.",
    lines=("dW = dz[0]ᵀ x[0], or of the last", "dW = Σₙ dz[n]ᵀ x[n]"),
    samples=[slice(-1, None), slice(1)],
    linear_dW=lambda e, o, x, dz: dz[e.samples].T @ x[e.samples],
    linear_db=lambda e, o, dz: dz[e.samples].sum(axis=0),
)
BUGS["weight-row-without-gradient"] = bug(
    "The weights of one output get no gradient, because a loop is off by one.",
    lines=("dW[−1, :] = 0, or dW[0, :] = 0", "dW = dzᵀ x"),
    row=[-1, 0],
    linear_dW=lambda e, o, x, dz: _with_zero(dz.T @ x, e.row),
)
BUGS["weight-column-without-gradient"] = bug(
    "The weights of one input get no gradient, because a loop is off by one.",
    lines=("dW[:, −1] = 0, or dW[:, 0] = 0", "dW = dzᵀ x"),
    column=[-1, 0],
    linear_dW=lambda e, o, x, dz: _with_zero(dz.T @ x, (slice(None), e.column)),
)
BUGS["corner-without-gradient"] = bug(
    "A single weight gets no gradient.",
    lines=("dW[−1, −1] = 0, or dW[0, 0] = 0", "dW = dzᵀ x"),
    corner=[-1, 0],
    linear_dW=lambda e, o, x, dz: _with_zero(dz.T @ x, (e.corner, e.corner)),
)
BUGS["bias-entry-without-gradient"] = bug(
    "A single bias gets no gradient.",
    lines=("db[−1] = 0, or db[0] = 0", "db = Σₙ dz[n]"),
    corner=[-1, 0],
    linear_db=lambda e, o, dz: _with_zero(dz.sum(axis=0), e.corner),
)
BUGS["last-output-not-computed"] = bug(
    "The last output of a layer stays 0, because a loop over outputs is off by one.",
    lines=("z[:, −1] = 0", "z = x Wᵀ + b"),
    linear=lambda e, o, x: _with_zero(Textbook.linear(e, o, x), (slice(None), -1)),
)
BUGS["last-input-not-read"] = bug(
    "The last input of a layer is missing, because a loop over inputs is off by one.",
    lines=("z[j] = Σᵢ x[i] W[j, i] without the last i", "z[j] = Σᵢ x[i] W[j, i]"),
    linear=lambda e, o, x: Textbook.linear(e, o, _with_zero(x, (slice(None), -1))),
)
BUGS["remainder-samples-lost"] = bug(
    "Samples after the last whole block are missing in the gradient of the weights.",
    lines=("dW sums N − N mod B samples", "dW = Σₙ dz[n]ᵀ x[n]"),
    killed_by="long.batch:*",
    block=[4, 8, 16, 32, 64],
    linear_dW=lambda e, o, x, dz: dz[(whole := whole_blocks(e, len(x)))].T @ x[whole],
)
BUGS["remainder-inputs-lost"] = bug(
    "Inputs after the last whole block are missing in the products, the tail of an unrolled loop.",
    lines=("z[j] sums K − K mod B inputs", "z[j] = Σᵢ x[i] W[j, i]"),
    killed_by="long.in_features:*",
    block=[4, 8, 16, 32, 64],
    linear=lambda e, o, x: Textbook.linear(
        e, o, np.where(np.arange(x.shape[1]) < whole_blocks(e, x.shape[1]).stop, x, 0)
    ),
)
BUGS["single-sample-squeezed"] = single_bug(
    "A batch of one sample loses its first axis: the gradient of the bias sums over units.",
    lines=("db = Σⱼ dz[j] for N = 1", "db = Σₙ dz[n]"),
    linear_db=lambda e, o, dz: dz.sum(axis=0) if len(dz) != 1 else dz.sum() + 0 * dz[0],
)
BUGS["single-sample-gradient-zero"] = single_bug(
    "A batch of one sample gets no gradient, as if a mean divided by N − 1.",
    lines=("dW = 0 for N = 1", "dW = dzᵀ x"),
    linear_grads=each_gradient(lambda e, o, g: g * (0 if len(e.x) == 1 else 1)),
)
BUGS["error-transposed-where-n-is-width"] = bug(
    "The error is propagated transposed if N equals the layer's width.",
    lines=("dx = dzᵀ W where N = out", "dx = dz W"),
    killed_by="square:*",
    linear_backward=lambda e, o, x, z, dz: (dz.T if is_square(dz) else dz) @ e.weight(o),
)
BUGS["gradient-clipped"] = clipping_bug(
    "Gradients are clipped by value, although no option requests it.",
    lines=("g ← clip(g, −c, c)", "g = ∂L/∂θ"),
    c=Constant([1.0, 5.0, 10.0], largest("grads")),
    linear_grads=each_gradient(lambda e, o, g: np.clip(g, e.array(-e.c), e.array(e.c))),
)
BUGS["gradient-norm-clipped-by-tensor"] = clipping_bug(
    "The gradient of each tensor is clipped by its norm, although no option requests it.",
    lines=("g ← g min(1, c / ‖g‖)", "g = ∂L/∂θ"),
    source="transformers #581, numpy-ml",
    c=Constant([1.0, 5.0], norm(of_each=True)),
    linear_grads=each_gradient(lambda e, o, g: clip_common_norm({"": g}, e.num(e.c))[""]),
)
BUGS["gradient-norm-clipped"] = clipping_bug(
    "All gradients are clipped by their common norm, although no option requests it.",
    lines=("g ← g min(1, c / ‖all g‖)", "g = ∂L/∂θ"),
    backward=all_gradients(lambda e, grads: clip_common_norm(grads, e.num(e.c))),
    c=Constant([1.0, 5.0], norm(of_each=False)),
)
BUGS["input-gradient-zero"] = input_bug(
    "The gradient of the input is 0.",
    lines=("dx = 0", "dx = dz W"),
    backward=lambda e, dy: 0 * Textbook.backward(e, dy),
)
BUGS["input-gradient-mean"] = input_bug(
    "The gradient of the input is divided by N, although the loss has divided already.",
    lines=("dx = dz W / N", "dx = dz W"),
    backward=lambda e, dy: Textbook.backward(e, dy) / len(dy),
)
BUGS["error-mean-at-every-layer"] = bug(
    "Every Linear layer divides the error by N.",
    lines=("dx = dz W / N", "dx = dz W"),
    linear_backward=lambda e, o, x, z, dz: dz @ e.weight(o) / len(dz),
)
BUGS["error-through-first-weights"] = bug(
    "The error is propagated through a copy of the weights from before the first update.",
    lines=("dx = dz W₀", "dx = dz Wₜ"),
    killed_by="steps:*",
    linear_backward=lambda e, o, x, z, dz: e.matmul(dz, e.array(e.case.params[f"{o.i}.weight"])),
)
