"""Bugs of the forward pass of a Linear layer, and of rows that are one array."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.bugs.edits import change, is_square
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("backward")


def _bias(e: Textbook, o: Options) -> Array:
    return e.array(e.params[f"{o.i}.bias"] if o.bias else 0)


BUGS["bias-twice"] = bug(
    "The bias is added twice, with its own right gradient.",
    lines=("z = x Wᵀ + 2 b, db = 2 Σₙ dz[n]", "z = x Wᵀ + b, db = Σₙ dz[n]"),
    linear=lambda e, o, x: Textbook.linear(e, o, x) + _bias(e, o),
    linear_db=lambda e, o, dz: 2 * Textbook.linear_db(e, o, dz),
)
BUGS["bias-subtracted-with-own-gradient"] = bug(
    "The bias is subtracted, with its own right gradient.",
    lines=("z = x Wᵀ − b, db = −Σₙ dz[n]", "z = x Wᵀ + b, db = Σₙ dz[n]"),
    linear=lambda e, o, x: Textbook.linear(e, o, x) - 2 * _bias(e, o),
    linear_db=lambda e, o, dz: -Textbook.linear_db(e, o, dz),
)
BUGS["bias-ignored-with-own-gradient"] = bug(
    "The bias is not added, and its gradient is 0.",
    lines=("z = x Wᵀ, db = 0", "z = x Wᵀ + b, db = Σₙ dz[n]"),
    linear=lambda e, o, x: e.matmul(x, e.weight(o).T),
    linear_db=lambda e, o, dz: 0 * Textbook.linear_db(e, o, dz),
)
BUGS["bias-before-product"] = bug(
    "The bias of a square layer is added to the input before the product.",
    lines=("z = (x + b) Wᵀ", "z = x Wᵀ + b"),
    killed_by="square:*",
    where=lambda e, o, *given: o.bias and is_square(e.weight(o)),
    linear=lambda e, o, x: e.matmul(x + _bias(e, o), e.weight(o).T),
)
BUGS["bias-before-product-with-own-gradient"] = bug(
    "The bias of a square layer is added to the input before the product, with its own gradient.",
    lines=("z = (x + b) Wᵀ, db = Σₙ (dz W)[n]", "z = x Wᵀ + b, db = Σₙ dz[n]"),
    killed_by="square:*",
    where=lambda e, o, *given: o.bias and is_square(e.weight(o)),
    linear=lambda e, o, x: e.matmul(x + _bias(e, o), e.weight(o).T),
    linear_grads=lambda e, o, x, dz: {
        f"{o.i}.weight": e.matmul(dz.T, x + _bias(e, o)),
        f"{o.i}.bias": e.matmul(dz, e.weight(o)).sum(axis=0),
    },
)
BUGS["bias-of-one-unit"] = bug(
    "All units use the first or the last entry of the bias.",
    lines=("z[n, j] = … + b[0], or b[−1]", "z[n, j] = … + b[j]"),
    unit=[0, -1],
    linear=lambda e, o, x: (
        Textbook.linear(e, o, x) - _bias(e, o) + (_bias(e, o)[e.unit] if o.bias else 0)
    ),
)
BUGS["bias-of-sum"] = bug(
    "All units add the sum or the mean of the bias.",
    lines=("z[n, j] = … + Σ b, or mean(b)", "z[n, j] = … + b[j]"),
    of=[lambda e, b: b.sum(), lambda e, b: b.mean()],
    linear=lambda e, o, x: Textbook.linear(e, o, x) - _bias(e, o) + e.of(_bias(e, o)),
)
BUGS["bias-only-for-one-sample"] = bug(
    "The bias is added to the first or the last sample only.",
    lines=("z[0] = x[0] Wᵀ + b, z[n] = x[n] Wᵀ", "z[n] = x[n] Wᵀ + b"),
    sample=[0, -1],
    linear=lambda e, o, x: (
        Textbook.linear(e, change(o, bias=False), x)
        + _bias(e, o) * (np.arange(len(x)) == e.sample % max(len(x), 1))[:, None]
    ),
)


def _forward_with_late_bias(e: Textbook, x: Array) -> list[Array]:
    ys, late = [x], e.array(0)
    for layer in e.layers:
        follows = e.layers[layer.i + 1 : layer.i + 2]
        if layer.type == "Linear" and follows and follows[0].type not in {"Linear", "Dropout"}:
            ys.append(e.linear(change(layer, bias=False), ys[-1]))
            late = _bias(e, layer)
        else:
            ys.append(e.equation(layer)(layer, ys[-1]) + late)
            late = e.array(0)
    return ys


BUGS["bias-after-activation"] = bug(
    "The bias is added after the activation instead of before it.",
    lines=("a = f(x Wᵀ) + b", "a = f(x Wᵀ + b)"),
    forward=_forward_with_late_bias,
)


def _scale(e: Textbook, o: Options) -> Array:
    return e.array(1) / np.sqrt(e.array(e.weight(o).shape[1]))


BUGS["weights-scaled-by-width"] = bug(
    "The forward pass divides by the root of the input width, with or without its own gradient.",
    lines=("z = x Wᵀ / √in + b", "z = x Wᵀ + b"),
    linear=lambda e, o, x: e.matmul(x, e.weight(o).T) * _scale(e, o) + _bias(e, o),
    linear_dW=[
        Textbook.linear_dW,
        lambda e, o, x, dz: Textbook.linear_dW(e, o, x, dz) * _scale(e, o),
    ],
    linear_backward=[
        Textbook.linear_backward,
        lambda e, o, x, z, dz: Textbook.linear_backward(e, o, x, z, dz) * _scale(e, o),
    ],
)
BUGS["product-divided-by-width"] = bug(
    "The forward pass takes means over the inputs instead of sums.",
    lines=("z = x Wᵀ / in + b", "z = x Wᵀ + b"),
    linear=lambda e, o, x: e.matmul(x, e.weight(o).T) / x.shape[1] + _bias(e, o),
)
BUGS["weight-gradient-zero"] = bug(
    "The weights get no gradient.",
    lines=("dW = 0", "dW = dzᵀ x"),
    linear_dW=lambda e, o, x, dz: 0 * Textbook.linear_dW(e, o, x, dz),
)
BUGS["input-gradient-of-first-layer-missing"] = bug(
    "The returned gradient of the input is that of the first layer's output, if the shapes agree.",
    lines=("dx = dz₁", "dx = dz₁ W₁"),
    killed_by="square:*",
    linear_backward=lambda e, o, x, z, dz: (
        dz if o.i == 0 and is_square(e.weight(o)) else Textbook.linear_backward(e, o, x, z, dz)
    ),
)
BUGS["rows-are-one-array"] = bug(
    "All rows of the gradient of the weights are one array, as with [[0] * m] * n.",
    lines=("dW[j] = Σⱼ dz[:, j]ᵀ x, or dW[−1]", "dW[j] = dz[:, j]ᵀ x"),
    of=[lambda e, dW: dW.sum(axis=0), lambda e, dW: dW[-1]],
    linear_dW=lambda e, o, x, dz: e.of(dW := Textbook.linear_dW(e, o, x, dz)) + 0 * dW,
)
BUGS["samples-are-one-array"] = bug(
    "All rows of a layer's output are one array, which has the numbers of the last sample.",
    lines=("z[n] = z[−1]", "z[n] = x[n] Wᵀ + b"),
    linear=lambda e, o, x: (z := Textbook.linear(e, o, x))[-1:] + 0 * z if len(x) else x,
)
BUGS["errors-are-one-array"] = bug(
    "All samples propagate the error of the last one, or the sum or the mean of all.",
    lines=("dx[n] = dx[−1], Σ dx, or mean(dx)", "dx[n] = dz[n] W"),
    of=[lambda e, dx: dx[-1:], lambda e, dx: dx.sum(axis=0), lambda e, dx: dx.mean(axis=0)],
    linear_backward=lambda e, o, x, z, dz: (
        e.of(dx := Textbook.linear_backward(e, o, x, z, dz)) + 0 * dx if len(x) else x
    ),
)
BUGS["weight-gradient-of-next-input"] = bug(
    "The gradient of the weights pairs each error with the input of the next sample.",
    lines=("dW = Σₙ dz[n]ᵀ x[n + 1]", "dW = Σₙ dz[n]ᵀ x[n]"),
    shift=[1, -1],
    linear_dW=lambda e, o, x, dz: e.matmul(dz.T, np.roll(x, e.shift, axis=0)),
)
BUGS["outputs-of-last-hidden-layer"] = bug(
    "The returned outputs are those before the last activation.",
    lines=("outputs = z", "outputs = f(z)"),
    killed_by="*:outputs",
    result=lambda e, value, dx: {
        **Textbook.result(e, value, dx),
        "outputs": (e.ys[-2] if e.layers and e.ys[-2].shape == e.ys[-1].shape else e.ys[-1]).copy(),
    },
)
BUGS["bias-gradient-is-one-sum"] = bug(
    "The gradient of every bias is the sum over all units.",
    lines=("db[j] = Σₙ Σₖ dz[n, k]", "db[j] = Σₙ dz[n, j]"),
    source="stat453-deep-learning-ss21 #5",
    linear_db=lambda e, o, dz: dz.sum() + 0 * Textbook.linear_db(e, o, dz),
)
