"""What layers and losses compute, and how far from it rounding may lead.

The equations of the engine once more, written independently of it in the arithmetic of `near`,
which carries a running error bound along with every number. A bound holds for the engine and for
torch alike; where their formulas differ, it takes the larger of the two and says so. There is no
tolerance in it that was tuned: every constant counts operations, or is explained where it stands.

A new layer, loss or rule is one entry in LAYERS, LOSSES (here) or RULES (in rule_bounds).
`step_bounds` puts them together.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from manualnn.oracle.near import ULPS, Array, Near

Arrays = Mapping[str, Near]


# forward(layer, own, x) returns y; backward(layer, own, x, y, dy) returns dx and {name: ∂L/∂θ}.


def _linear(layer: Any, own: Arrays, x: Near) -> Near:
    z = x @ own["weight"].T
    if not layer.bias:
        return z
    b = own["bias"]
    # A program may start its sums with b, which then goes through all of their roundings.
    return z.plus_error(z.kind.rounding(layer.in_features, np.abs(b.v) + b.e)) + b


def _linear_backward(layer: Any, own: Arrays, x: Near, _: Near, dz: Near) -> tuple[Near, Arrays]:
    grads = {"weight": dz.T @ x} | ({"bias": dz.sum(axis=0)} if layer.bias else {})
    return dz @ own["weight"], grads


def _sigmoid(v: Array) -> Array:
    return 1 / (1 + np.exp(-v))


def _softplus(v: Array) -> Array:
    return np.maximum(v, 0) + np.log1p(np.exp(-np.abs(v)))


def _log_sum_exp(v: Array) -> Array:
    highest = v.max(axis=1, keepdims=True)
    return highest + np.log(np.exp(v - highest).sum(axis=1, keepdims=True))


def _sigmoid_layer(_: Any, __: Arrays, z: Near) -> Near:
    # torch's float32 sigmoid returns 0 below −88.72, where the result is subnormal.
    return z.through(_sigmoid, ULPS + 2, underflows=True)


def _softplus_layer(layer: Any, _: Arrays, z: Near) -> Near:
    """softplus(s) ≥ σ(s), so the error of exp, ULPS u σ(s), is relative to the result as well."""
    s = z * layer.beta
    curved = s.through(_softplus, 2 * ULPS + 1, underflows=True) / layer.beta
    straight = s.v > layer.threshold
    torn = np.abs(s.v - layer.threshold) <= s.e
    e = np.where(torn, curved.e + np.abs(curved.v - z.v) + z.e, np.where(straight, z.e, curved.e))
    return Near(np.where(straight, z.v, curved.v), e, z.kind)


def _softplus_backward(layer: Any, _: Arrays, z: Near, __: Near, da: Near) -> tuple[Near, Arrays]:
    def slope(v: Array) -> Array:
        return np.where(v > layer.threshold, 1, _sigmoid(v))

    turns = (layer.threshold, layer.threshold * (1 + 2**-60))
    return da * (z * layer.beta).through(slope, ULPS + 2, turns, underflows=True), {}


def _leaky(layer: Any, _: Arrays, z: Near) -> Near:
    return z.through(lambda v: np.where(v > 0, v, layer.negative_slope * v), 2, turns=(0,))


def _leaky_backward(layer: Any, _: Arrays, z: Near, __: Near, da: Near) -> tuple[Near, Arrays]:
    slope = z.step(lambda v: np.where(v > 0, 1, np.longdouble(layer.negative_slope)))
    return da * slope.rounded(1), {}


def _log_softmax(_: Any, __: Arrays, z: Near) -> Near:
    """a = (z − m) − log Σ exp(z − m).

    The maximum m cancels, whichever entry a program takes for it: what matters is the rounding of
    z − m, and each error εⱼ in an exponent, which moves the logarithm by at most log Σ aⱼ exp(εⱼ).
    """
    shifted = z.v - z.v.max(axis=1, keepdims=True)
    total = _log_sum_exp(z.v)
    a = z.v - total
    into = z.e + z.kind.rounding(1, np.abs(shifted) + z.e)
    sums = (z.v.shape[1] - 1 + ULPS) * z.kind.u  # relative to Σ, so absolute to its logarithm
    logarithm = ULPS * z.kind.u * np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    e = into + _log_sum_exp(a + into) + 2 * sums + logarithm
    return Near(a, e, z.kind).rounded()


def _exp_of_log(a: Near) -> Near:
    """Return exp(a) for a ≤ 0: no program comes out above 1 by more than rounding."""
    probability = a.through(lambda v: np.exp(np.minimum(v, 0)), ULPS + 1, underflows=True)
    return probability.within(0, 1)


def _log_softmax_backward(_: Any, __: Arrays, ___: Near, a: Near, da: Near) -> tuple[Near, Arrays]:
    return da - _exp_of_log(a) * da.sum(axis=1, keepdims=True), {}


def _softmax(layer: Any, own: Arrays, z: Near) -> Near:
    """a = exp(z − m) / Σ exp(z − m): the relative error is that of the exponent, and of Σ."""
    log_a = _log_softmax(layer, own, z)
    into = z.e + z.kind.rounding(1, np.abs(z.v - z.v.max(axis=1, keepdims=True)) + z.e)
    moved = Near(log_a.v, into + _log_sum_exp(log_a.v + into), z.kind)
    a = moved.through(lambda v: np.exp(np.minimum(v, 0)), 2 * ULPS + z.v.shape[1], underflows=True)
    return a.within(0, 1)


def _softmax_backward(_: Any, __: Arrays, ___: Near, a: Near, da: Near) -> tuple[Near, Arrays]:
    total = (da * a).sum(axis=1, keepdims=True)
    dz = a * (da - total)
    # A program may as well compute a da − a Σ.
    return dz.rounded(2, np.abs(a.v) * (np.abs(da.v) + np.abs(total.v))), {}


def _dropout(_: Any, own: Arrays, z: Near) -> Near:
    return own["mask"] * z if "mask" in own else z


Backward = Callable[[Any, Arrays, Near, Near, Near], tuple[Near, Arrays]]

LAYERS: dict[str, tuple[Callable[[Any, Arrays, Near], Near], Backward]] = {
    "Linear": (_linear, _linear_backward),
    "Identity": (lambda _, own, z: z, lambda _, own, z, a, da: (da, {})),  # noqa: ARG005
    "Sigmoid": (_sigmoid_layer, lambda _, own, z, a, da: (da * (a * (1 - a)), {})),  # noqa: ARG005
    "Tanh": (
        lambda _, own, z: z.through(np.tanh, ULPS, underflows=True),  # noqa: ARG005
        lambda _, own, z, a, da: (da * (1 - a * a), {}),  # noqa: ARG005
    ),
    "ReLU": (
        lambda _, own, z: z.through(lambda v: np.maximum(v, 0)),  # noqa: ARG005
        lambda _, own, z, a, da: (da * z.step(lambda v: np.where(v > 0, 1, 0)), {}),  # noqa: ARG005
    ),
    "LeakyReLU": (_leaky, _leaky_backward),
    "Softplus": (_softplus_layer, _softplus_backward),
    "Softmax": (_softmax, _softmax_backward),
    "LogSoftmax": (_log_softmax, _log_softmax_backward),
    "Dropout": (_dropout, lambda _, own, z, a, da: (_dropout(_, own, da), {})),  # noqa: ARG005
}


# Each returns L and dy for outputs y and targets t.


def _over(total: Near, divisor: Any) -> Near:
    """Return total / divisor, in up to three operations: the factor may be rounded by itself."""
    return Near(total.v / divisor, total.e / divisor, total.kind).rounded(3)


def _divisor(loss: Any, y: Near) -> int:
    return {"mean": y.v.size, "batchmean": len(y.v), "sum": 1}[loss.reduction]


def _mse(loss: Any, y: Near, t: Array) -> tuple[Near, Near]:
    error, divisor = y - y.kind.exact(t), _divisor(loss, y)
    return _over((error * error).sum(), divisor), _over(error * 2, divisor)


def _l1(loss: Any, y: Near, t: Array) -> tuple[Near, Near]:
    error, divisor = y - y.kind.exact(t), _divisor(loss, y)
    return _over(abs(error).sum(), divisor), _over(error.step(np.sign), divisor)


def _huber(loss: Any, y: Near, t: Array) -> tuple[Near, Near]:
    """Rounding δ to the dtype moves the term, and dy, by at most the relative error u."""
    error, divisor, delta = y - y.kind.exact(t), _divisor(loss, y), np.longdouble(loss.delta)

    def term(v: Array) -> Array:
        c = np.minimum(np.abs(v), delta)
        return c * (np.abs(v) - c / 2)

    terms = error.through(term, 5, turns=(0,))
    bounded = error.through(lambda v: np.clip(v, -delta, delta), 1)
    return _over(terms.sum(), divisor), _over(bounded, divisor)


def _bce(loss: Any, y: Near, t: Array) -> tuple[Near, Near]:
    """The logarithms stop at −100, dy's denominator at float32's 1e-12: torch's bounds."""
    kind, divisor = y.kind, _divisor(loss, y)
    w = kind.number(1 if loss.weight is None else loss.weight)
    target = kind.exact(t)

    yes = y.through(lambda v: np.maximum(np.log(np.clip(v, 0, 1)), -100), ULPS)
    no = y.through(lambda v: np.maximum(np.log1p(-np.clip(v, 0, 1)), -100), ULPS)
    terms = w * -(target * yes + (1 - target) * no)
    room = y * (1 - y)
    least = kind.number(np.float32(1e-12))
    room = Near(np.maximum(room.v, least.v), room.e + least.e, kind)
    # No program divides by less than the least, so neither may the bound.
    error = y - target
    quotient = error.v / room.v
    e = (error.e + np.abs(quotient) * room.e) / np.maximum(room.v - room.e, least.v - least.e)
    dy = Near(quotient, e, kind).rounded() * w
    return _over(terms.sum(), divisor), _over(dy, divisor)


def _bce_with_logits(loss: Any, y: Near, t: Array) -> tuple[Near, Near]:
    """torch adds (1 − t) y and −(1 + (p − 1) t) log σ(y), which may cancel.

    So its errors are relative to those two, and in dy to 1 − t and 1 + (p − 1) t.
    """
    kind, divisor = y.kind, _divisor(loss, y)
    w = kind.number(1 if loss.weight is None else loss.weight)
    p = kind.number(1 if loss.pos_weight is None else loss.pos_weight)
    target = kind.exact(t)
    up, down = 1 - target, p * target

    def softplus(v: Near) -> Near:
        return v.through(_softplus, 2 * ULPS + 1, underflows=True)

    def sigmoid(v: Near) -> Near:
        return v.through(_sigmoid, ULPS + 2, underflows=True)

    both = np.abs(up.v) + np.abs(p.v - 1) * np.abs(target.v) + 1
    size = both * (np.abs(y.v) + _softplus(-np.abs(y.v)) + y.e)
    terms = w * (down * softplus(-y) + up * softplus(y)).rounded(2 * ULPS + 6, size)
    dy = w * (up * sigmoid(y) - down * sigmoid(-y)).rounded(ULPS + 6, both)
    return _over(terms.sum(), divisor), _over(dy, divisor)


def _cross_entropy(loss: Any, y: Near, t: Array) -> tuple[Near, Near]:
    kind, (n, classes) = y.kind, y.v.shape
    w = kind.number(np.ones(classes) if loss.weight is None else loss.weight)
    counts = np.ones(n, bool) if t.ndim == 2 else t != loss.ignore_index
    q = np.asarray(t, np.longdouble) if t.ndim == 2 else np.zeros((n, classes), np.longdouble)
    if t.ndim == 1:
        q[counts, t[counts]] = 1
    near_q = kind.exact(q)
    if loss.label_smoothing:
        smooth = np.longdouble(loss.label_smoothing)
        smoothed = q * (1 - smooth) + smooth / classes
        near_q = Near(np.where(counts[:, None], smoothed, 0), near_q.e, kind).rounded(4)
    q = near_q * w
    if loss.reduction == "mean" and t.ndim == 1:
        divisor = w[t[counts]].sum()
    else:
        divisor = kind.exact(1 if loss.reduction == "sum" else n)

    log_p = _log_softmax(None, {}, y)
    value = ((q * -log_p).sum() / divisor).rounded(4)
    g = -q / divisor
    shared = _exp_of_log(log_p) * g.sum(axis=1, keepdims=True)
    # A program may divide by D last, so that its roundings are those of both terms.
    return value, (g - shared).rounded(2, np.abs(g.v) + np.abs(shared.v))


LOSSES: dict[str, Callable[[Any, Near, Array], tuple[Near, Near]]] = {
    "MSELoss": _mse,
    "L1Loss": _l1,
    "HuberLoss": _huber,
    "BCELoss": _bce,
    "BCEWithLogitsLoss": _bce_with_logits,
    "CrossEntropyLoss": _cross_entropy,
}
