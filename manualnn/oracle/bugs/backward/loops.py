"""Mistakes of loops and shapes: entries left out, batches of one, widths that are equal."""

from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Bug, plant
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "backward")


def _square(W: Array) -> bool:
    return W.shape[0] == W.shape[1]


def _with_zero(a: Array, index: Any) -> Array:
    """Return a copy in which these entries are 0, as where a loop does not come to them."""
    a = a.copy()
    a[index] = 0
    return a


bug(
    "unit-not-propagated",
    "One unit's share of the error does not go back: a loop over outputs is off by one.",
    wrong="dx[i] = Σⱼ₌₁ dz[j] W[j, i], or up to the last but one",
    right="dx[i] = Σⱼ dz[j] W[j, i]",
    killed_by="layer.Linear:*",
    variants=[{"units": slice(-1)}, {"units": slice(1, None)}],
    linear_backward=lambda e, o, x, z, dz: dz[:, e.units] @ e.weight(o)[e.units],
)
bug(
    "sample-not-summed",
    "One sample is left out of the gradients: a loop over the batch is off by one.",
    wrong="dW = Σₙ₌₁ …, or up to the last but one",
    right="dW = Σₙ dz[n]ᵀ x[n]",
    killed_by="*:grads",
    variants=[{"samples": slice(-1)}, {"samples": slice(1, None)}],
    linear_dW=lambda e, o, x, dz: dz[e.samples].T @ x[e.samples],
    linear_db=lambda e, o, dz: dz[e.samples].sum(axis=0),
)
bug(
    "gradient-of-one-sample",
    "The gradients are those of one sample of the batch.",
    wrong="dW = dz[0]ᵀ x[0], or of the last",
    right="dW = Σₙ dz[n]ᵀ x[n]",
    killed_by="*:grads",
    variants=[{"samples": slice(-1, None)}, {"samples": slice(1)}],
    linear_dW=lambda e, o, x, dz: dz[e.samples].T @ x[e.samples],
    linear_db=lambda e, o, dz: dz[e.samples].sum(axis=0),
)
bug(
    "weight-row-without-gradient",
    "The weights of one output get no gradient: a loop is off by one.",
    wrong="dW[−1, :] = 0, or dW[0, :] = 0",
    right="dW = dzᵀ x",
    killed_by="*:grads",
    variants=[{"row": -1}, {"row": 0}],
    linear_dW=lambda e, o, x, dz: _with_zero(dz.T @ x, e.row),
)
bug(
    "weight-column-without-gradient",
    "The weights of one input get no gradient: a loop is off by one.",
    wrong="dW[:, −1] = 0, or dW[:, 0] = 0",
    right="dW = dzᵀ x",
    killed_by="*:grads",
    variants=[{"column": -1}, {"column": 0}],
    linear_dW=lambda e, o, x, dz: _with_zero(dz.T @ x, (slice(None), e.column)),
)
bug(
    "corner-without-gradient",
    "A single weight gets no gradient.",
    wrong="dW[−1, −1] = 0, or dW[0, 0] = 0",
    right="dW = dzᵀ x",
    killed_by="*:grads",
    variants=[{"corner": -1}, {"corner": 0}],
    linear_dW=lambda e, o, x, dz: _with_zero(dz.T @ x, (e.corner, e.corner)),
)
bug(
    "bias-entry-without-gradient",
    "A single bias gets no gradient.",
    wrong="db[−1] = 0, or db[0] = 0",
    right="db = Σₙ dz[n]",
    killed_by="*:grads",
    variants=[{"corner": -1}, {"corner": 0}],
    linear_db=lambda e, o, dz: _with_zero(dz.sum(axis=0), e.corner),
)
bug(
    "last-output-not-computed",
    "The last output of a layer stays 0: a loop over outputs is off by one.",
    wrong="z[:, −1] = 0",
    right="z = x Wᵀ + b",
    killed_by="*:outputs",
    linear=lambda e, o, x: _with_zero(Textbook.linear(e, o, x), (slice(None), -1)),
)
bug(
    "last-input-not-read",
    "The last input of a layer is left out: a loop over inputs is off by one.",
    wrong="z[j] = Σᵢ x[i] W[j, i] up to the last but one",
    right="z[j] = Σᵢ x[i] W[j, i]",
    killed_by="*:outputs",
    linear=lambda e, o, x: Textbook.linear(e, o, _with_zero(x, (slice(None), -1))),
)


def _whole_blocks(length: int, block: int) -> slice:
    return slice(length - length % block if length > block else length)


bug(
    "remainder-samples-lost",
    "Samples beyond the last whole block are left out of the weights' gradient.",
    wrong="dW sums N − N mod B samples",
    right="dW = Σₙ dz[n]ᵀ x[n]",
    killed_by="long.batch:*",
    variants=[{"block": block} for block in (4, 8, 16, 32, 64)],
    linear_dW=lambda e, o, x, dz: (
        dz[_whole_blocks(len(x), e.block)].T @ x[_whole_blocks(len(x), e.block)]
    ),
)
bug(
    "remainder-inputs-lost",
    "Inputs beyond the last whole block are left out of the products: an unrolled loop's tail.",
    wrong="z[j] sums K − K mod B inputs",
    right="z[j] = Σᵢ x[i] W[j, i]",
    killed_by="long.in_features:*",
    variants=[{"block": block} for block in (4, 8, 16, 32, 64)],
    linear=lambda e, o, x: Textbook.linear(
        e,
        o,
        np.where(np.arange(x.shape[1]) < _whole_blocks(x.shape[1], e.block).stop, x, 0),
    ),
)
bug(
    "single-sample-squeezed",
    "A batch of one loses its first axis: the bias gets the sum over units.",
    wrong="db = Σⱼ dz[j] for N = 1",
    right="db = Σₙ dz[n]",
    killed_by="shapes:*",
    linear_db=lambda e, o, dz: dz.sum(axis=0) if len(dz) != 1 else dz.sum() + 0 * dz[0],
)
bug(
    "single-sample-gradient-zero",
    "A batch of one gets no gradient, as where a mean is taken over N − 1.",
    wrong="dW = 0 for N = 1",
    right="dW = dzᵀ x",
    killed_by="shapes:*",
    linear_grads=lambda e, o, x, dz: {
        key: g * (0 if len(x) == 1 else 1) for key, g in Textbook.linear_grads(e, o, x, dz).items()
    },
)
bug(
    "error-transposed-where-n-is-width",
    "Where a batch is as large as a layer is wide, the error goes back transposed.",
    wrong="dx = dzᵀ W where N = out",
    right="dx = dz W",
    killed_by="square:*",
    linear_backward=lambda e, o, x, z, dz: (dz.T if _square(dz) else dz) @ e.weight(o),
)
bug(
    "gradient-clipped",
    "Gradients are clipped by value, though nobody asked for it.",
    wrong="g ← clip(g, −c, c)",
    right="g = ∂L/∂θ",
    killed_by="loss.MSELoss.sum:*",
    variants=[{"c": c} for c in (1, 5, 10)],
    linear_grads=lambda e, o, x, dz: {
        key: np.clip(g, e.array(-e.c), e.array(e.c))
        for key, g in Textbook.linear_grads(e, o, x, dz).items()
    },
)


def _shrunk(g: Array, c: float) -> Array:
    norm = np.sqrt((g * g).sum())
    return np.asarray(g * (c / norm)) if norm > c else g


bug(
    "gradient-norm-clipped-by-tensor",
    "The norm of every tensor's gradient is clipped, though nobody asked for it.",
    wrong="g ← g min(1, c / ‖g‖)",
    right="g = ∂L/∂θ",
    source="transformers #581, numpy-ml",
    killed_by="loss.MSELoss.sum:*",
    variants=[{"c": c} for c in (1, 5)],
    linear_grads=lambda e, o, x, dz: {
        key: _shrunk(g, e.num(e.c)) for key, g in Textbook.linear_grads(e, o, x, dz).items()
    },
)


class ClipsTheNorm(Textbook):
    c: float

    def backward(self, dy: Array) -> Array:
        dx = super().backward(dy)
        norm = np.sqrt(sum((g * g).sum() for g in self.grads.values()))
        if norm > self.c:
            self.grads = {key: g * (self.num(self.c) / norm) for key, g in self.grads.items()}
        return dx


bug(
    "gradient-norm-clipped",
    "The norm of all gradients together is clipped, though nobody asked for it.",
    wrong="g ← g min(1, c / ‖all g‖)",
    right="g = ∂L/∂θ",
    killed_by="loss.MSELoss.sum:*",
    base=ClipsTheNorm,
    variants=[{"c": c} for c in (1, 5)],
)
bug(
    "input-gradient-zero",
    "The input gets no gradient.",
    wrong="dx = 0",
    right="dx = dz W",
    killed_by="*:input_grad",
    backward=lambda e, dy: 0 * Textbook.backward(e, dy),
)
bug(
    "input-gradient-mean",
    "The gradient of the input is divided by N, the loss having done so already.",
    wrong="dx = dz W / N",
    right="dx = dz W",
    killed_by="*:input_grad",
    backward=lambda e, dy: Textbook.backward(e, dy) / len(dy),
)
bug(
    "error-mean-at-every-layer",
    "The error is divided by N in every Linear layer that it goes through.",
    wrong="dx = dz W / N",
    right="dx = dz W",
    killed_by="*:grads",
    linear_backward=lambda e, o, x, z, dz: dz @ e.weight(o) / len(dz),
)


class BackpropagatesThroughOldWeights(Textbook):
    def weight(self, o: Options) -> Array:
        old = hasattr(self, "going_back") and self.going_back
        return self.array(self.case.params[f"{o.i}.weight"]) if old else super().weight(o)

    def backward(self, dy: Array) -> Array:
        self.going_back = True
        dx = super().backward(dy)
        self.going_back = False
        return dx


bug(
    "error-through-first-weights",
    "The error goes back through a copy of the weights from before the first update.",
    wrong="dx = dz W₀",
    right="dx = dz Wₜ",
    killed_by="steps:*",
    base=BackpropagatesThroughOldWeights,
)
