"""Bugs of a constant in gradients: factors, penalties, limits."""

from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Table, bug
from manualnn.oracle.bugs.edits import after_load, all_gradients, each_gradient, with_result
from manualnn.oracle.bugs.fits import solved
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("backward")
family = partial(bug, rank=1)
by_line = solved(2.0, 3.0, linear=True)


def _of_batch(case: Case) -> tuple[float, ...]:
    """Return factors that other bugs have."""
    return (0.0, 1.0, -1.0, 1.0 * case.n, 1 / max(case.n, 1))


factor = Constant([2.0, 0.5, 4.0], solved(2.0, 3.0, linear=True, but=_of_batch))

BUGS["gradients-times-constant"] = family(
    "All gradients of parameters are multiplied by a constant.",
    lines=("∂L/∂θ ← c ∂L/∂θ", "∂L/∂θ"),
    c=factor,
    linear_grads=each_gradient(lambda e, o, g: e.num(e.c) * g),
)
BUGS["bias-gradient-times-constant"] = family(
    "The gradient of the bias is multiplied by a constant.",
    lines=("db = c Σₙ dz[n]", "db = Σₙ dz[n]"),
    source="Andrew-Ng-Deep-Learning-notes #10",
    c=factor,
    linear_db=lambda e, o, dz: e.num(e.c) * Textbook.linear_db(e, o, dz),
)
BUGS["weight-gradient-times-constant"] = family(
    "The gradient of the weights is multiplied by a constant.",
    lines=("dW = c dzᵀ x", "dW = dzᵀ x"),
    c=factor,
    linear_dW=lambda e, o, x, dz: e.num(e.c) * Textbook.linear_dW(e, o, x, dz),
)
BUGS["error-times-constant"] = family(
    "Every Linear layer multiplies the error that it propagates by a constant.",
    lines=("dx = c dz W", "dx = dz W"),
    c=factor,
    linear_backward=lambda e, o, x, z, dz: e.num(e.c) * Textbook.linear_backward(e, o, x, z, dz),
)
BUGS["input-gradient-times-constant"] = family(
    "The gradient of the input is multiplied by a constant.",
    lines=("dx = c dz W", "dx = dz W"),
    killed_by="*:input_grad",
    c=factor,
    result=with_result("input_grad", lambda e, dx: e.num(e.c) * dx),
)
BUGS["input-times-constant"] = family(
    "The input is multiplied by a constant, such as 1/255.",
    lines=("f(c x)", "f(x)"),
    killed_by="*:outputs",
    c=Constant([1 / 255, 0.5, 2.0], by_line),
    load=after_load(lambda e: setattr(e, "x", e.num(e.c) * e.x)),
)
BUGS["forward-times-constant"] = family(
    "The output of every Linear layer is multiplied by a constant, with its own right gradient.",
    lines=("z = c (x Wᵀ + b)", "z = x Wᵀ + b"),
    c=Constant([2.0, 0.5], by_line),
    linear=lambda e, o, x: e.num(e.c) * Textbook.linear(e, o, x),
    linear_grads=lambda e, o, x, dz: Textbook.linear_grads(e, o, x, e.num(e.c) * dz),
    linear_backward=lambda e, o, x, z, dz: Textbook.linear_backward(e, o, x, z, e.num(e.c) * dz),
)


def _with_bias(e: Any, o: Any, x: Array) -> Array:
    z = e.matmul(x, e.weight(o).T)
    return np.asarray(z + e.num(e.c) * e.params[f"{o.i}.bias"] if o.bias else z)


BUGS["bias-times-constant"] = family(
    "The forward pass multiplies the bias by a constant, such as 2 if it is added twice.",
    lines=("z = x Wᵀ + c b", "z = x Wᵀ + b"),
    c=Constant([2.0, 0.5], by_line),
    linear=_with_bias,
)


BUGS["gradient-with-penalty"] = family(
    "The gradients of the weights, or of all parameters, contain a penalty, although none is set.",
    lines=("dW = dzᵀ x + c W", "dW = dzᵀ x"),
    c=Constant([0.01, 1e-4, 1e-3], by_line),
    linear_dW=lambda e, o, x, dz: Textbook.linear_dW(e, o, x, dz) + e.num(e.c) * e.weight(o),
)
BUGS["loss-with-penalty"] = family(
    "The loss contains a penalty of the weights, although none is set.",
    lines=("L + ½ c Σ W²", "L"),
    killed_by="*:loss",
    c=Constant([0.01, 1e-4, 1e-3], by_line),
    value=lambda e, o, y, t: Textbook.value(e, o, y, t) + e.num(e.c) / 2 * _squares(e),
)
BUGS["loss-with-weight-decay"] = bug(
    "The loss contains the penalty of the optimizer's weight decay.",
    lines=("L + ½ λ Σ W²", "L"),
    killed_by="*:loss",
    where=lambda e, *given: getattr(e.rule, "weight_decay", 0),
    share=[0.5, 1.0],
    of_all=[0, 1],
    value=lambda e, o, y, t: (
        Textbook.value(e, o, y, t) + e.num(e.share * e.rule.weight_decay) * _squares(e)
    ),
)


def _squares(e: Any) -> Any:
    """Return the sum of the squares of all weights, or with e.of_all of all parameters."""
    chosen = [p for p in e.params.values() if p.ndim == 2 or getattr(e, "of_all", False)]
    return sum(((p * p).sum() for p in chosen), e.num(0))


BUGS["gradient-normalized"] = bug(
    "The gradient of each tensor, or of all, is divided by its norm.",
    lines=("g ← g / ‖g‖", "g = ∂L/∂θ"),
    of_all=[0, 1],
    backward=all_gradients(
        lambda e, grads: {
            key: g / _norm([*grads.values()] if e.of_all else [g]) for key, g in grads.items()
        }
    ),
)


def _norm(arrays: list[Array]) -> Any:
    norm = np.sqrt(sum((a * a).sum() for a in arrays))
    return norm or norm + 1


BUGS["gradient-by-sign"] = bug(
    "The gradients are replaced by their signs.",
    lines=("g ← sign(g)", "g = ∂L/∂θ"),
    linear_grads=each_gradient(lambda e, o, g: np.sign(g)),
)
BUGS["errors-clipped"] = family(
    "The propagated error is clipped.",
    lines=("dx = clip(dz W, −c, c)", "dx = dz W"),
    c=Constant([1.0, 5.0, 10.0], solved(0.1, 0.2, linear=True)),
    linear_backward=lambda e, o, x, z, dz: np.clip(
        Textbook.linear_backward(e, o, x, z, dz), e.array(-e.c), e.array(e.c)
    ),
)
BUGS["gradient-clipped-one-side"] = family(
    "Gradients are clipped from above, but not from below.",
    lines=("g ← min(g, c)", "g = ∂L/∂θ"),
    c=Constant([1.0, 5.0, 10.0], solved(0.1, 0.2, linear=True)),
    linear_grads=each_gradient(lambda e, o, g: np.minimum(g, e.array(e.c))),
)
