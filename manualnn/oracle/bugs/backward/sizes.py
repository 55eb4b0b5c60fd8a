"""Bugs that show only at some sizes, depths or values."""

from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Methods, Table, bug
from manualnn.oracle.bugs.edits import all_gradients, each_gradient, whole_blocks, with_result
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("backward")
depth_bug = partial(bug, killed_by="depth:*")
batch_bug = partial(bug, killed_by="long.batch:*")


def _is_deep(e: Any, o: Options, *given: Array) -> bool:
    """Return True if a layer comes after the first `known` layers or Linear layers."""
    linear = sum(p.type == "Linear" for p in e.layers[: o.i])
    return bool((o.i if e.counted == "layers" else linear) >= e.known)


POSITIONS: Methods = {"counted": ["layers"] * 3 + ["Linear"] * 3, "known": [2, 3, 4] * 2}

BUGS["deep-bias-gradient-zero"] = depth_bug(
    "Biases get no gradient from some layer on, as if only the first layers were written out.",
    lines=("db = 0 for later layers", "db = Σₙ dz[n]"),
    **POSITIONS,
    where=_is_deep,
    linear_db=lambda e, o, dz: 0 * Textbook.linear_db(e, o, dz),
)
BUGS["deep-weight-gradient-zero"] = depth_bug(
    "Weights get no gradient from some layer on, as if only the first layers were written out.",
    lines=("dW = 0 for later layers", "dW = dzᵀ x"),
    **POSITIONS,
    where=_is_deep,
    linear_dW=lambda e, o, x, dz: 0 * Textbook.linear_dW(e, o, x, dz),
)


def _string_order(grads: dict[str, Array], *, named: bool) -> dict[str, Array]:
    """Pair the gradients with keys in the order of strings (`named`), or the reverse."""
    keys = sorted(grads, key=lambda key: (int(key.split(".")[0]), key))
    names, order = (sorted(keys), keys) if named else (keys, sorted(keys))
    paired = {name: grads[key] for name, key in zip(names, order, strict=True)}
    fits = all(g.shape == grads[name].shape for name, g in paired.items())
    return {name: paired[name] for name in grads} if fits else grads


BUGS["keys-sorted-as-strings"] = depth_bug(
    'Keys are sorted as strings, "10.weight" before "2.weight", and paired with layers in order.',
    lines=("∂L/∂W₂ under the key of W₁₀", "every gradient under its own key"),
    backward=all_gradients(lambda e, grads: _string_order(grads, named=e.named)),
    named=[True, False],
)

_PAIRS = [(b, least) for b in (2, 4, 8, 16, 32, 64) for least in sorted({b, 2 * b, 8})]
REMAINDERS: Methods = {"block": [b for b, _ in _PAIRS], "least": [least for _, least in _PAIRS]}

BUGS["bias-remainder-lost"] = batch_bug(
    "Samples after the last whole block are missing in the gradient of the bias.",
    lines=("db sums N − N mod B samples", "db = Σₙ dz[n]"),
    **REMAINDERS,
    linear_db=lambda e, o, dz: Textbook.linear_db(e, o, dz[whole_blocks(e, len(dz))]),
)
BUGS["error-remainder-lost"] = bug(
    "Outputs after the last whole block do not propagate the error, the tail of an unrolled loop.",
    lines=("dx[i] sums K − K mod B outputs", "dx[i] = Σⱼ dz[j] W[j, i]"),
    killed_by="long.out_features:*",
    **REMAINDERS,
    linear_backward=lambda e, o, x, z, dz: e.matmul(
        dz[:, (whole := whole_blocks(e, dz.shape[1]))], e.weight(o)[whole]
    ),
)


def _without_tail(g: Array, width: int) -> Array:
    """Return a gradient with the last column 0 where columns do not fill a vector register."""
    g = g.copy()
    if g.shape[1] > width and g.shape[1] % width:
        g[:, -1] = 0
    return g


BUGS["weight-gradient-tail-zero"] = bug(
    "The last column gets no gradient if the columns are not a multiple of a vector's width.",
    lines=("dW[:, −1] = 0 where in mod B ≠ 0", "dW = dzᵀ x"),
    killed_by="long.in_features:*",
    width=[4, 8, 16],
    linear_dW=lambda e, o, x, dz: _without_tail(Textbook.linear_dW(e, o, x, dz), e.width),
)
BUGS["batch-cut-off"] = batch_bug(
    "Samples after a fixed number are missing in the gradient of the weights.",
    lines=("dW sums the first B samples", "dW = Σₙ dz[n]ᵀ x[n]"),
    most=[16, 32, 64, 128, 256],
    linear_dW=lambda e, o, x, dz: Textbook.linear_dW(e, o, x[: e.most], dz[: e.most]),
)
BUGS["gradient-of-means"] = bug(
    "The gradient of the weights is a product of means over the batch: right for one sample.",
    lines=("dW = N mean(dz)ᵀ mean(x)", "dW = Σₙ dz[n]ᵀ x[n]"),
    linear_dW=lambda e, o, x, dz: np.outer(
        e.total(dz, axis=0), e.total(x, axis=0) / max(len(x), 1)
    ),
)
BUGS["bias-of-zeros-untrained"] = bug(
    "A bias of zeros counts as a missing bias and gets no gradient.",
    lines=("db = 0 where b = 0", "db = Σₙ dz[n]"),
    killed_by="zeros:*",
    linear_db=lambda e, o, dz: (
        Textbook.linear_db(e, o, dz) * (1 if e.params[f"{o.i}.bias"].any() else 0)
    ),
)
BUGS["gradient-scaled-by-lr"] = bug(
    "The returned gradients contain the learning rate, which was multiplied in place.",
    lines=("∂L/∂θ ← α ∂L/∂θ", "θ ← θ − α ∂L/∂θ; ∂L/∂θ stays"),
    killed_by="optimizer.*:*",
    result=with_result(
        "grads",
        lambda e, grads: {k: g * (e.num(e.rule.lr) if e.rule else 1) for k, g in grads.items()},
    ),
)
BUGS["small-errors-flushed"] = bug(
    "Small errors are set to 0 in the backward pass.",
    lines=("dz = 0 where |dz| < ε", "dz as it is"),
    killed_by="*:*grad*",
    least=[1e-6, 1e-8, 1e-10, 1e-12],
    linear_backward=lambda e, o, x, z, dz: Textbook.linear_backward(
        e, o, x, z, np.where(np.abs(dz) < e.least, 0, dz)
    ),
)
BUGS["small-gradients-flushed"] = bug(
    "Small entries of gradients are set to 0.",
    lines=("dW = 0 where |dW| < ε", "dW as it is"),
    killed_by="*:grads",
    least=[1e-6, 1e-8, 1e-10, 1e-12, 1e-30],
    linear_grads=each_gradient(lambda e, o, g: np.where(np.abs(g) < e.least, 0, g)),
)
BUGS["input-gradient-plus-bias"] = bug(
    "The bias is added to the propagated error.",
    lines=("dx = dz W + mean(b)", "dx = dz W"),
    linear_backward=lambda e, o, x, z, dz: (
        Textbook.linear_backward(e, o, x, z, dz) + (e.params[f"{o.i}.bias"].mean() if o.bias else 0)
    ),
)
