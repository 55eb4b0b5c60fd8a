"""Mistakes in the backward pass: what meets what in a Linear layer, and where the error goes."""

from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Bug, but, plant
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "backward")


def _square(W: Array) -> bool:
    return W.shape[0] == W.shape[1]


bug(
    "bias-mean-for-sum",
    "The gradient of the bias is a mean over samples, where it has to be a sum.",
    wrong="db = Σₙ dz[n] / N",
    right="db = Σₙ dz[n]",
    killed_by="loss.*:grads",
    linear_db=lambda e, o, dz: dz.sum(axis=0) / len(dz),
)
bug(
    "bias-of-one-sample",
    "The gradient of the bias is that of one sample.",
    wrong="db = dz[0], or dz[−1]",
    right="db = Σₙ dz[n]",
    source="mlpack #3679",
    killed_by="loss.*:grads",
    variants=[{"sample": slice(-1, None)}, {"sample": slice(1)}],
    linear_db=lambda e, o, dz: dz[e.sample].sum(axis=0),
)
bug(
    "bias-sum-over-units",
    "The gradient of the bias is summed over the wrong axis: it shows not where N ≠ width.",
    wrong="db = Σⱼ dz[:, j]",
    right="db = Σₙ dz[n, :]",
    killed_by="square:*",
    linear_db=lambda e, o, dz: dz.sum(axis=1 if _square(dz) else 0),
)
bug(
    "bias-gradient-doubled",
    "The gradient of the bias is added twice.",
    wrong="db = 2 Σₙ dz[n]",
    right="db = Σₙ dz[n]",
    killed_by="loss.*:grads",
    linear_db=lambda e, o, dz: 2 * dz.sum(axis=0),
)
bug(
    "bias-gradient-zero",
    "The bias gets no gradient.",
    wrong="db = 0",
    right="db = Σₙ dz[n]",
    killed_by="loss.*:grads",
    linear_db=lambda e, o, dz: 0 * dz.sum(axis=0),
)
bug(
    "bias-gradient-negated",
    "The gradient of the bias has the wrong sign, as where z = x Wᵀ − b is the textbook's neuron.",
    wrong="db = −Σₙ dz[n]",
    right="db = Σₙ dz[n]",
    killed_by="loss.*:grads",
    linear_db=lambda e, o, dz: -dz.sum(axis=0),
)
bug(
    "bias-gradient-of-activation",
    "The gradient of the bias is weighted with the layer's own input.",
    wrong="db = Σₙ dz[n] Σᵢ x[n, i]",
    right="db = Σₙ dz[n]",
    killed_by="loss.*:grads",
    linear_grads=lambda e, o, x, dz: {
        key: g if key.endswith("weight") else (dz * x.sum(axis=1, keepdims=True)).sum(axis=0)
        for key, g in Textbook.linear_grads(e, o, x, dz).items()
    },
)
bug(
    "bias-along-samples",
    "The bias is added to samples in place of units: it shows only where N equals the width.",
    wrong="z[n, j] = … + b[n]",
    right="z[n, j] = … + b[j]",
    killed_by="square:*",
    linear=lambda e, o, x: (
        x @ e.weight(o).T + e.params[f"{o.i}.bias"][:, None]
        if o.bias and len(x) == o.out_features
        else Textbook.linear(e, o, x)
    ),
)
bug(
    "bias-subtracted",
    "The bias is subtracted in the forward pass, its gradient is that of an addend.",
    wrong="z = x Wᵀ − b",
    right="z = x Wᵀ + b",
    killed_by="layer.Linear*:*",
    linear=lambda e, o, x: 2 * Textbook.linear(e, but(o, bias=False), x) - Textbook.linear(e, o, x),
)
bug(
    "bias-ignored",
    "The bias is left out of the forward pass.",
    wrong="z = x Wᵀ",
    right="z = x Wᵀ + b",
    killed_by="layer.Linear*:*",
    linear=lambda e, o, x: x @ e.weight(o).T,
)
bug(
    "weight-gradient-mean",
    "The gradient of the weights is divided by N in the layer, the loss having done so already.",
    wrong="dW = dzᵀ x / N",
    right="dW = dzᵀ x",
    killed_by="loss.*:grads",
    linear_dW=lambda e, o, x, dz: dz.T @ x / len(x),
)
bug(
    "gradients-mean-again",
    "Every gradient of parameters is divided by N in the layer, the loss having done so already.",
    wrong="dW = dzᵀ x / N, db = Σₙ dz[n] / N",
    right="dW = dzᵀ x, db = Σₙ dz[n]",
    killed_by="loss.*:grads",
    linear_dW=lambda e, o, x, dz: dz.T @ x / len(x),
    linear_db=lambda e, o, dz: dz.sum(axis=0) / len(dz),
)
bug(
    "weight-gradient-negated",
    "The gradient of the weights has the wrong sign.",
    wrong="dW = −dzᵀ x",
    right="dW = dzᵀ x",
    killed_by="loss.*:grads",
    linear_dW=lambda e, o, x, dz: -(dz.T @ x),
)
bug(
    "weight-gradient-doubled",
    "The gradient of the weights is added twice.",
    wrong="dW = 2 dzᵀ x",
    right="dW = dzᵀ x",
    killed_by="loss.*:grads",
    linear_dW=lambda e, o, x, dz: 2 * (dz.T @ x),
)
bug(
    "square-weight-transposed",
    "A square weight matrix is used as it is, where it has to be transposed.",
    wrong="z = x W + b",
    right="z = x Wᵀ + b",
    killed_by="square:*",
    linear=lambda e, o, x: (
        Textbook.linear(e, o, x) - x @ e.weight(o).T + x @ e.weight(o)
        if _square(e.weight(o))
        else Textbook.linear(e, o, x)
    ),
)
bug(
    "square-weight-transposed-backward",
    "The error goes back through the transpose of a square weight matrix.",
    wrong="dx = dz Wᵀ",
    right="dx = dz W",
    killed_by="square:*",
    linear_backward=lambda e, o, x, z, dz: (
        dz @ (e.weight(o).T if _square(e.weight(o)) else e.weight(o))
    ),
)
bug(
    "square-weight-gradient-transposed",
    "The gradient of a square weight matrix is transposed.",
    wrong="dW = xᵀ dz",
    right="dW = dzᵀ x",
    killed_by="square:*",
    linear_dW=lambda e, o, x, dz: x.T @ dz if _square(e.weight(o)) else dz.T @ x,
)
bug(
    "weights-left-out-in-propagation",
    "Between layers of equal width the error goes back without the weights.",
    wrong="dx = dz",
    right="dx = dz W",
    killed_by="square:*",
    linear_backward=lambda e, o, x, z, dz: dz if _square(e.weight(o)) else dz @ e.weight(o),
)


class UpdatesTooEarly(Textbook):
    def linear_grads(self, o: Options, x: Array, dz: Array) -> dict[str, Array]:
        self.own = super().linear_grads(o, x, dz)
        return self.own

    def linear_backward(self, o: Options, x: Array, z: Array, dz: Array) -> Array:
        key = f"{o.i}.weight"
        W = self.params[key]
        if self.rule is not None:
            s = {name: group[key] for name, group in self.state.items()}
            W = self.updated(self.rule, key, W, self.own[key], s)
        return self.matmul(dz, W)


bug(
    "weights-updated-too-early",
    "Weights are updated before the error goes back through them.",
    wrong="dx = dz W, W already updated",
    right="dx = dz W, W as in the forward pass",
    source="zero_to_gpt #12",
    killed_by="optimizer.*:*",
    base=UpdatesTooEarly,
)
bug(
    "only-last-layer-learns",
    "The error does not go back below the last Linear layer: the others get no gradient.",
    wrong="dx = 0",
    right="dx = dz W",
    killed_by="*:grads",
    linear_backward=lambda e, o, x, z, dz: 0 * (dz @ e.weight(o)),
)
bug(
    "first-layer-gradient-zero",
    "The first Linear layer gets no gradient: the loop over layers ends one early.",
    wrong="dW₁ = 0",
    right="dW₁ = dz₁ᵀ x",
    killed_by="*:grads",
    linear_grads=lambda e, o, x, dz: {
        key: g * (0 if o.i == min(p.i for p in e.layers if p.type == "Linear") else 1)
        for key, g in Textbook.linear_grads(e, o, x, dz).items()
    },
)


def _skip_last_activation(e: Textbook, case: Any) -> None:
    Textbook.load(e, case)
    if e.layers and e.layers[-1].type not in {"Linear", "Dropout"}:
        e.layers[-1].type = "Identity"


bug(
    "output-activation-skipped",
    "The activation of the last layer is left out, forward and backward.",
    wrong="y = z",
    right="y = f(z)",
    killed_by="loss.BCELoss.*:*",
    load=_skip_last_activation,
)
bug(
    "output-slope-missing",
    "The error starts at the last layer's pre-activation: its activation's slope is missing.",
    wrong="dz = dy",
    right="dz = dy ⊙ f′(z)",
    killed_by="*:grads",
    slope=lambda e, o, y, t: _skip_last_slope(e, Textbook.slope(e, o, y, t)),
)


def _skip_last_slope(e: Textbook, dy: Array) -> Array:
    if e.layers and e.layers[-1].type not in {"Linear", "Dropout"}:
        e.layers[-1].type = "Identity"
    return dy


bug(
    "weight-gradient-of-network-input",
    "The gradient of the weights takes the network's input wherever it fits.",
    wrong="dW = dzᵀ x₀",
    right="dW = dzᵀ x, x the layer's own input",
    killed_by="square:*",
    linear_dW=lambda e, o, x, dz: dz.T @ (e.x if e.x.shape == x.shape else x),
)
bug(
    "weight-gradient-of-pre-activation",
    "The gradient of the weights takes what stood before the activation.",
    wrong="dWₗ = dzₗᵀ zₗ₋₁",
    right="dWₗ = dzₗᵀ aₗ₋₁",
    killed_by="*:grads",
    linear_dW=lambda e, o, x, dz: (
        dz.T @ (e.ys[o.i - 1] if o.i > 1 and e.layers[o.i - 1].type != "Linear" else x)
    ),
)
bug(
    "weight-gradient-of-own-output",
    "Where a layer is square, the gradient of its weights takes its output for its input.",
    wrong="dW = dzᵀ z",
    right="dW = dzᵀ x",
    killed_by="square:*",
    linear_dW=lambda e, o, x, dz: dz.T @ (e.ys[o.i + 1] if _square(e.weight(o)) else x),
)
bug(
    "weight-gradient-without-input",
    "The gradient of the weights is that of the bias: the layer's input is missing.",
    wrong="dW[j, i] = Σₙ dz[n, j]",
    right="dW[j, i] = Σₙ dz[n, j] x[n, i]",
    killed_by="*:grads",
    linear_dW=lambda e, o, x, dz: dz.T @ np.ones_like(x),
)


def _other_weights(e: Textbook, o: Options) -> Array:
    W = e.weight(o)
    later = [e.weight(p) for p in e.layers[o.i + 1 :] if p.type == "Linear"]
    return next((V for V in later if V.shape == W.shape), W)


bug(
    "error-through-wrong-weights",
    "The error goes back through the weights of the next layer of the same shape.",
    wrong="dxₗ = dzₗ Wₗ₊₁",
    right="dxₗ = dzₗ Wₗ",
    killed_by="square:*",
    linear_backward=lambda e, o, x, z, dz: dz @ _other_weights(e, o),
)
