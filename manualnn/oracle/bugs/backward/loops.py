"""Bugs of loops and shapes: missing entries, batches of one sample, clipped gradients."""

from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import (
    Bug,
    add_bug,
    all_gradients,
    clip_common_norm,
    each_gradient,
    is_square,
    whole_blocks,
)
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(add_bug, BUGS, "backward")
grads_bug = partial(bug, killed_by="*:grads")
clipping_bug = partial(bug, killed_by="loss.MSELoss.sum:*")
output_bug = partial(bug, killed_by="*:outputs")
input_bug = partial(bug, killed_by="*:input_grad")
single_bug = partial(bug, killed_by="shapes:*")


def _with_zero(a: Array, index: Any) -> Array:
    """Return a copy in which these entries are 0, because a loop does not reach them."""
    a = a.copy()
    a[index] = 0
    return a


bug(
    "unit-not-propagated",
    "The error of one unit is not propagated, because a loop over outputs is off by one.",
    lines=("dx[i] = Σⱼ₌₁ dz[j] W[j, i], or without the last j", "dx[i] = Σⱼ dz[j] W[j, i]"),
    killed_by="layer.Linear:*",
    variants=[{"units": slice(-1)}, {"units": slice(1, None)}],
    linear_backward=lambda e, o, x, z, dz: dz[:, e.units] @ e.weight(o)[e.units],
)
grads_bug(
    "sample-not-summed",
    "One sample is missing in the gradients, because a loop over the batch is off by one.",
    lines=("dW = Σₙ₌₁ …, or without the last n", "dW = Σₙ dz[n]ᵀ x[n]"),
    variants=[{"samples": slice(-1)}, {"samples": slice(1, None)}],
    linear_dW=lambda e, o, x, dz: dz[e.samples].T @ x[e.samples],
    linear_db=lambda e, o, dz: dz[e.samples].sum(axis=0),
)
grads_bug(
    "gradient-of-one-sample",
    "The gradients are those of a single sample of the batch.",
    lines=("dW = dz[0]ᵀ x[0], or of the last", "dW = Σₙ dz[n]ᵀ x[n]"),
    variants=[{"samples": slice(-1, None)}, {"samples": slice(1)}],
    linear_dW=lambda e, o, x, dz: dz[e.samples].T @ x[e.samples],
    linear_db=lambda e, o, dz: dz[e.samples].sum(axis=0),
)
grads_bug(
    "weight-row-without-gradient",
    "The weights of one output get no gradient, because a loop is off by one.",
    lines=("dW[−1, :] = 0, or dW[0, :] = 0", "dW = dzᵀ x"),
    variants=[{"row": -1}, {"row": 0}],
    linear_dW=lambda e, o, x, dz: _with_zero(dz.T @ x, e.row),
)
grads_bug(
    "weight-column-without-gradient",
    "The weights of one input get no gradient, because a loop is off by one.",
    lines=("dW[:, −1] = 0, or dW[:, 0] = 0", "dW = dzᵀ x"),
    variants=[{"column": -1}, {"column": 0}],
    linear_dW=lambda e, o, x, dz: _with_zero(dz.T @ x, (slice(None), e.column)),
)
grads_bug(
    "corner-without-gradient",
    "A single weight gets no gradient.",
    lines=("dW[−1, −1] = 0, or dW[0, 0] = 0", "dW = dzᵀ x"),
    variants=[{"corner": -1}, {"corner": 0}],
    linear_dW=lambda e, o, x, dz: _with_zero(dz.T @ x, (e.corner, e.corner)),
)
grads_bug(
    "bias-entry-without-gradient",
    "A single bias gets no gradient.",
    lines=("db[−1] = 0, or db[0] = 0", "db = Σₙ dz[n]"),
    variants=[{"corner": -1}, {"corner": 0}],
    linear_db=lambda e, o, dz: _with_zero(dz.sum(axis=0), e.corner),
)
output_bug(
    "last-output-not-computed",
    "The last output of a layer stays 0, because a loop over outputs is off by one.",
    lines=("z[:, −1] = 0", "z = x Wᵀ + b"),
    linear=lambda e, o, x: _with_zero(Textbook.linear(e, o, x), (slice(None), -1)),
)
output_bug(
    "last-input-not-read",
    "The last input of a layer is missing, because a loop over inputs is off by one.",
    lines=("z[j] = Σᵢ x[i] W[j, i] without the last i", "z[j] = Σᵢ x[i] W[j, i]"),
    linear=lambda e, o, x: Textbook.linear(e, o, _with_zero(x, (slice(None), -1))),
)


bug(
    "remainder-samples-lost",
    "Samples after the last whole block are missing in the gradient of the weights.",
    lines=("dW sums N − N mod B samples", "dW = Σₙ dz[n]ᵀ x[n]"),
    killed_by="long.batch:*",
    variants=[{"block": block} for block in (4, 8, 16, 32, 64)],
    linear_dW=lambda e, o, x, dz: dz[: (n := whole_blocks(len(x), e.block, e.block))].T @ x[:n],
)
bug(
    "remainder-inputs-lost",
    "Inputs after the last whole block are missing in the products, the tail of an unrolled loop.",
    lines=("z[j] sums K − K mod B inputs", "z[j] = Σᵢ x[i] W[j, i]"),
    killed_by="long.in_features:*",
    variants=[{"block": block} for block in (4, 8, 16, 32, 64)],
    linear=lambda e, o, x: Textbook.linear(
        e, o, np.where(np.arange(k := x.shape[1]) < whole_blocks(k, e.block, e.block), x, 0)
    ),
)
single_bug(
    "single-sample-squeezed",
    "A batch of one sample loses its first axis: the gradient of the bias sums over units.",
    lines=("db = Σⱼ dz[j] for N = 1", "db = Σₙ dz[n]"),
    linear_db=lambda e, o, dz: dz.sum(axis=0) if len(dz) != 1 else dz.sum() + 0 * dz[0],
)
single_bug(
    "single-sample-gradient-zero",
    "A batch of one sample gets no gradient, as if a mean divided by N − 1.",
    lines=("dW = 0 for N = 1", "dW = dzᵀ x"),
    linear_grads=each_gradient(lambda e, o, g: g * (0 if len(e.x) == 1 else 1)),
)
bug(
    "error-transposed-where-n-is-width",
    "The error is propagated transposed if N equals the layer's width.",
    lines=("dx = dzᵀ W where N = out", "dx = dz W"),
    killed_by="square:*",
    linear_backward=lambda e, o, x, z, dz: (dz.T if is_square(dz) else dz) @ e.weight(o),
)
clipping_bug(
    "gradient-clipped",
    "Gradients are clipped by value, although no option requests it.",
    lines=("g ← clip(g, −c, c)", "g = ∂L/∂θ"),
    variants=[{"c": c} for c in (1, 5, 10)],
    linear_grads=each_gradient(lambda e, o, g: np.clip(g, e.array(-e.c), e.array(e.c))),
)


def _clip_norm(g: Array, c: float) -> Array:
    norm = np.sqrt((g * g).sum())
    return np.asarray(g * (c / norm)) if norm > c else g


clipping_bug(
    "gradient-norm-clipped-by-tensor",
    "The gradient of each tensor is clipped by its norm, although no option requests it.",
    lines=("g ← g min(1, c / ‖g‖)", "g = ∂L/∂θ"),
    source="transformers #581, numpy-ml",
    variants=[{"c": c} for c in (1, 5)],
    linear_grads=each_gradient(lambda e, o, g: _clip_norm(g, e.num(e.c))),
)


clipping_bug(
    "gradient-norm-clipped",
    "All gradients are clipped by their common norm, although no option requests it.",
    lines=("g ← g min(1, c / ‖all g‖)", "g = ∂L/∂θ"),
    backward=all_gradients(lambda e, grads: clip_common_norm(grads, e.num(e.c))),
    variants=[{"c": c} for c in (1, 5)],
)
input_bug(
    "input-gradient-zero",
    "The gradient of the input is 0.",
    lines=("dx = 0", "dx = dz W"),
    backward=lambda e, dy: 0 * Textbook.backward(e, dy),
)
input_bug(
    "input-gradient-mean",
    "The gradient of the input is divided by N, although the loss has divided already.",
    lines=("dx = dz W / N", "dx = dz W"),
    backward=lambda e, dy: Textbook.backward(e, dy) / len(dy),
)
grads_bug(
    "error-mean-at-every-layer",
    "Every Linear layer divides the error by N.",
    lines=("dx = dz W / N", "dx = dz W"),
    linear_backward=lambda e, o, x, z, dz: dz @ e.weight(o) / len(dz),
)
bug(
    "error-through-first-weights",
    "The error is propagated through a copy of the weights from before the first update.",
    lines=("dx = dz W₀", "dx = dz Wₜ"),
    killed_by="steps:*",
    linear_backward=lambda e, o, x, z, dz: e.matmul(dz, e.array(e.case.params[f"{o.i}.weight"])),
)
