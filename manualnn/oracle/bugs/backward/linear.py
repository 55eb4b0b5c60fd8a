"""Bugs of the backward pass: sums and products of a Linear layer, propagation of the error."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.bugs.edits import after_load, change, each_gradient, is_square
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("backward")
square_bug = partial(bug, killed_by="square:*")

BUGS["bias-mean-for-sum"] = bug(
    "The gradient of the bias is a mean over samples instead of a sum.",
    lines=("db = Σₙ dz[n] / N", "db = Σₙ dz[n]"),
    source="kvfrans/notes #5",
    linear_db=lambda e, o, dz: dz.sum(axis=0) / len(dz),
)
BUGS["bias-of-one-sample"] = bug(
    "The gradient of the bias is that of a single sample.",
    lines=("db = dz[0], or dz[−1]", "db = Σₙ dz[n]"),
    source="mlpack #3679",
    sample=[slice(-1, None), slice(1)],
    linear_db=lambda e, o, dz: dz[e.sample].sum(axis=0),
)
BUGS["bias-sum-over-units"] = square_bug(
    "The gradient of the bias sums over the wrong axis; only noticeable when N equals the width.",
    lines=("db = Σⱼ dz[:, j]", "db = Σₙ dz[n, :]"),
    linear_db=lambda e, o, dz: dz.sum(axis=1 if is_square(dz) else 0),
)
BUGS["bias-gradient-doubled"] = bug(
    "The gradient of the bias is added twice.",
    lines=("db = 2 Σₙ dz[n]", "db = Σₙ dz[n]"),
    linear_db=lambda e, o, dz: 2 * dz.sum(axis=0),
)
BUGS["bias-gradient-zero"] = bug(
    "The bias gets no gradient.",
    lines=("db = 0", "db = Σₙ dz[n]"),
    linear_db=lambda e, o, dz: 0 * dz.sum(axis=0),
)
BUGS["bias-gradient-negated"] = bug(
    "The gradient of the bias has the wrong sign, as if z were x Wᵀ − b.",
    lines=("db = −Σₙ dz[n]", "db = Σₙ dz[n]"),
    linear_db=lambda e, o, dz: -dz.sum(axis=0),
)
BUGS["bias-gradient-of-activation"] = bug(
    "The gradient of the bias is multiplied by the layer's input.",
    lines=("db = Σₙ dz[n] Σᵢ x[n, i]", "db = Σₙ dz[n]"),
    linear_grads=lambda e, o, x, dz: {
        key: g if key.endswith("weight") else (dz * x.sum(axis=1, keepdims=True)).sum(axis=0)
        for key, g in Textbook.linear_grads(e, o, x, dz).items()
    },
)
BUGS["bias-along-samples"] = square_bug(
    "The bias is added along samples instead of units; only noticeable when N equals the width.",
    lines=("z[n, j] = … + b[n]", "z[n, j] = … + b[j]"),
    where=lambda e, o, x: o.bias and len(x) == o.out_features,
    linear=lambda e, o, x: x @ e.weight(o).T + e.params[f"{o.i}.bias"][:, None],
)
BUGS["bias-subtracted"] = bug(
    "The bias is subtracted in the forward pass, but its gradient has the sign of an addition.",
    lines=("z = x Wᵀ − b", "z = x Wᵀ + b"),
    linear=lambda e, o, x: (
        2 * Textbook.linear(e, change(o, bias=False), x) - Textbook.linear(e, o, x)
    ),
)
BUGS["bias-ignored"] = bug(
    "The forward pass does not add the bias.",
    lines=("z = x Wᵀ", "z = x Wᵀ + b"),
    linear=lambda e, o, x: x @ e.weight(o).T,
)
BUGS["weight-gradient-mean"] = bug(
    "The layer divides the gradient of the weights by N, although the loss has divided already.",
    lines=("dW = dzᵀ x / N", "dW = dzᵀ x"),
    linear_dW=lambda e, o, x, dz: dz.T @ x / len(x),
)
BUGS["gradients-mean-again"] = bug(
    "The layer divides all gradients by N, although the loss has divided already.",
    lines=("dW = dzᵀ x / N, db = Σₙ dz[n] / N", "dW = dzᵀ x, db = Σₙ dz[n]"),
    linear_dW=lambda e, o, x, dz: dz.T @ x / len(x),
    linear_db=lambda e, o, dz: dz.sum(axis=0) / len(dz),
)
BUGS["weight-gradient-negated"] = bug(
    "The gradient of the weights has the wrong sign.",
    lines=("dW = −dzᵀ x", "dW = dzᵀ x"),
    linear_dW=lambda e, o, x, dz: -(dz.T @ x),
)
BUGS["weight-gradient-doubled"] = bug(
    "The gradient of the weights is added twice.",
    lines=("dW = 2 dzᵀ x", "dW = dzᵀ x"),
    linear_dW=lambda e, o, x, dz: 2 * (dz.T @ x),
)
BUGS["square-weight-transposed"] = square_bug(
    "A square weight matrix is not transposed in the forward pass.",
    lines=("z = x W + b", "z = x Wᵀ + b"),
    where=lambda e, o, x: is_square(e.weight(o)),
    linear=lambda e, o, x: Textbook.linear(e, o, x) - x @ e.weight(o).T + x @ e.weight(o),
)
BUGS["square-weight-transposed-backward"] = square_bug(
    "The error is propagated through the transpose of a square weight matrix.",
    lines=("dx = dz Wᵀ", "dx = dz W"),
    where=lambda e, o, x, z, dz: is_square(e.weight(o)),
    linear_backward=lambda e, o, x, z, dz: dz @ e.weight(o).T,
)
BUGS["square-weight-gradient-transposed"] = square_bug(
    "The gradient of a square weight matrix is transposed.",
    lines=("dW = xᵀ dz", "dW = dzᵀ x"),
    linear_dW=lambda e, o, x, dz: x.T @ dz if is_square(e.weight(o)) else dz.T @ x,
)
BUGS["weights-left-out-in-propagation"] = square_bug(
    "Between layers of equal width, the error is propagated without the weights.",
    lines=("dx = dz", "dx = dz W"),
    linear_backward=lambda e, o, x, z, dz: dz if is_square(e.weight(o)) else dz @ e.weight(o),
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


BUGS["weights-updated-too-early"] = bug(
    "Weights are updated before the error is propagated through them.",
    lines=("dx = dz W, W already updated", "dx = dz W, W as in the forward pass"),
    killed_by="optimizer.*:*",
    source="zero_to_gpt #12",
    base=UpdatesTooEarly,
)
BUGS["only-last-layer-learns"] = bug(
    "The error is not propagated below the last Linear layer: the others get no gradient.",
    lines=("dx = 0", "dx = dz W"),
    linear_backward=lambda e, o, x, z, dz: 0 * (dz @ e.weight(o)),
)
BUGS["first-layer-gradient-zero"] = bug(
    "The first Linear layer gets no gradient, because the loop over layers ends too early.",
    lines=("dW₁ = 0", "dW₁ = dz₁ᵀ x"),
    linear_grads=each_gradient(
        lambda e, o, g: (
            g * (o.i != min((p.i for p in e.layers if p.type == "Linear"), default=None))
        )
    ),
)


def _skip_last_activation(e: Textbook) -> None:
    """Make the last layer an identity if it is an activation."""
    if e.layers and e.layers[-1].type not in {"Linear", "Dropout"}:
        e.layers[-1].type = "Identity"


def _slope_without_activation(e: Textbook, o: Options, y: Array, t: Array) -> Array:
    _skip_last_activation(e)
    return Textbook.slope(e, o, y, t)


BUGS["output-activation-skipped"] = bug(
    "The activation of the last layer is not applied, forward and backward.",
    lines=("y = z", "y = f(z)"),
    killed_by="loss.BCELoss.*:*",
    load=after_load(_skip_last_activation),
)
BUGS["output-slope-missing"] = bug(
    "The backward pass does not apply the slope of the last activation.",
    lines=("dz = dy", "dz = dy ⊙ f′(z)"),
    source="NeuralNetworkFromScratch #3",
    slope=_slope_without_activation,
)
BUGS["weight-gradient-of-network-input"] = square_bug(
    "The gradient of the weights uses the input of the network if its shape fits the layer's.",
    lines=("dW = dzᵀ x₀", "dW = dzᵀ x, x the layer's own input"),
    linear_dW=lambda e, o, x, dz: dz.T @ (e.x if e.x.shape == x.shape else x),
)
BUGS["weight-gradient-of-pre-activation"] = bug(
    "The gradient of the weights uses the pre-activation instead of the activation.",
    lines=("dWₗ = dzₗᵀ zₗ₋₁", "dWₗ = dzₗᵀ aₗ₋₁"),
    linear_dW=lambda e, o, x, dz: (
        dz.T @ (e.ys[o.i - 1] if o.i > 1 and e.layers[o.i - 1].type != "Linear" else x)
    ),
)
BUGS["weight-gradient-of-own-output"] = square_bug(
    "The gradient of the weights uses the output of a square layer instead of its input.",
    lines=("dW = dzᵀ z", "dW = dzᵀ x"),
    linear_dW=lambda e, o, x, dz: dz.T @ (e.ys[o.i + 1] if is_square(e.weight(o)) else x),
)
BUGS["weight-gradient-without-input"] = bug(
    "The gradient of the weights is that of the bias, without the layer's input.",
    lines=("dW[j, i] = Σₙ dz[n, j]", "dW[j, i] = Σₙ dz[n, j] x[n, i]"),
    linear_dW=lambda e, o, x, dz: dz.T @ np.ones_like(x),
)
BUGS["error-through-wrong-weights"] = square_bug(
    "The error is propagated through the weights of the next layer with the same shape.",
    lines=("dxₗ = dzₗ Wₗ₊₁", "dxₗ = dzₗ Wₗ"),
    linear_backward=lambda e, o, x, z, dz: next(
        dz @ e.weight(p)
        for p in (*e.layers[o.i + 1 :], o)
        if p.type == "Linear" and e.weight(p).shape == e.weight(o).shape
    ),
)
