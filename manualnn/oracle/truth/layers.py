"""What layers and losses compute, and how far from it rounding may lead.

The equations of an engine once more, written independently of any in the arithmetic of `near` and
`curves`, which carries a running error bound along with every number. A bound holds for this
package's engine, for torch and for every other that computes the same in a stable way; where their
formulas differ, it takes the larger of them and says so. There is no tolerance in it that was
tuned: every constant counts operations, or is explained where it stands.

    LAYERS[name]    forward(layer, own, x) → y;  backward(layer, own, x, y, dy) → dx, {name: ∂L/∂θ}
    LOSSES[name]    loss(options, y, t) → L, ∂L/∂y

A new layer, loss or rule is one entry in LAYERS, LOSSES (here) or RULES (in rule_bounds).
`truth` puts them together.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from manualnn.oracle.truth.bounded import Array, Bounded
from manualnn.oracle.truth.functions import (
    choose,
    clipped,
    exp_of_log,
    log_softmax,
    sigmoid,
    softplus,
    tanh,
)

Arrays = Mapping[str, Bounded]


def _linear(layer: Any, own: Arrays, x: Bounded) -> Bounded:
    z = x @ own["weight"].T
    if not layer.bias:
        return z
    b = own["bias"]
    # A program may start its sums with b, which then goes through all of their roundings.
    return z.plus_error(z.kind.summing(layer.in_features, b.most, b.v)) + b


def _linear_backward(
    layer: Any, own: Arrays, x: Bounded, _: Bounded, dz: Bounded
) -> tuple[Bounded, Arrays]:
    grads = {"weight": dz.T @ x} | ({"bias": dz.sum(axis=0)} if layer.bias else {})
    return dz @ own["weight"], grads


def _sigmoid_backward(
    _: Any, __: Arrays, ___: Bounded, a: Bounded, da: Bounded
) -> tuple[Bounded, Arrays]:
    """σ′ = a(1 − a), or exp(−z) / (1 + exp(−z))², whose relative error is larger."""
    slope = a.times(1 - a)
    return da.times(slope.rounded(2 * a.kind.ulps + 4)).product_rounded(2), {}


def _tanh_backward(
    _: Any, __: Arrays, ___: Bounded, a: Bounded, da: Bounded
) -> tuple[Bounded, Arrays]:
    """tanh′ = 1 − a², or 1 / cosh(z)², whose relative error is larger."""
    slope = a.kind.number(1).plus(-(a * a))
    return da.times(slope.rounded(2 * a.kind.ulps + 4)).product_rounded(), {}


def _relu(_: Any, __: Arrays, z: Bounded) -> Bounded:
    low = z.v.astype(z.kind.rough.dtype) + z.e
    return Bounded(np.maximum(z.v, 0), np.minimum(np.maximum(low, 0.0), z.e), z.kind, known=z.known)


def _relu_backward(
    _: Any, __: Arrays, z: Bounded, ___: Bounded, da: Bounded
) -> tuple[Bounded, Arrays]:
    at = z.kind.kink.get("ReLU", 0)
    dz = da.times(choose(z, 0, at, 1))
    return dz if at in (0, 1) else dz.product_rounded(), {}


def _leaky(layer: Any, _: Arrays, z: Bounded) -> Bounded:
    size = abs(layer.negative_slope)
    slope = np.where(z.size > z.e, np.where(z.v > 0, 1.0, size), max(1.0, size))
    v = np.where(z.v > 0, z.v, z.kind.wide.number(layer.negative_slope) * z.v)
    return Bounded(v, z.e * slope, z.kind).product_rounded(2)


def _leaky_backward(
    layer: Any, _: Arrays, z: Bounded, __: Bounded, da: Bounded
) -> tuple[Bounded, Arrays]:
    at = z.kind.kink.get("LeakyReLU", layer.negative_slope)
    return da * choose(z, layer.negative_slope, at, 1), {}


def _scaled(layer: Any, z: Bounded) -> Bounded:
    return z if layer.beta == 1 else z * layer.beta


def _above(layer: Any, s: Bounded) -> tuple[Array, Array]:
    """Return where softplus is the identity, and where rounding decides whether it is."""
    over = s.v - s.kind.wide.number(layer.threshold)
    return over > 0, ~(s.kind.size(over) > s.e) & ~(s.e == 0)


def _softplus(layer: Any, _: Arrays, z: Bounded) -> Bounded:
    s = _scaled(layer, z)
    curved = softplus(s) / layer.beta
    straight, torn = _above(layer, s)
    e = np.where(straight, z.e, curved.e)
    e = np.where(torn, curved.e + z.kind.size(curved.v - z.v) + z.e, e)
    return Bounded(np.where(straight, z.v, curved.v), e, z.kind)


def _softplus_backward(
    layer: Any, _: Arrays, z: Bounded, __: Bounded, da: Bounded
) -> tuple[Bounded, Arrays]:
    s = _scaled(layer, z)
    curved = sigmoid(s)
    straight, torn = _above(layer, s)
    e = np.where(straight, 0.0, curved.e)
    e = np.where(torn, curved.e + z.kind.size(1 - curved.v), e)
    return da * Bounded(np.where(straight, z.kind.wide.number(1), curved.v), e, z.kind), {}


def _log_softmax_backward(
    _: Any, __: Arrays, ___: Bounded, a: Bounded, da: Bounded
) -> tuple[Bounded, Arrays]:
    return da - exp_of_log(a) * da.sum(axis=1, keepdims=True), {}


def _softmax(_: Any, __: Arrays, z: Bounded) -> Bounded:
    """Return exp(z − m) / Σ exp(z − m): every rounding of it is one of log_softmax's as well."""
    return exp_of_log(log_softmax(z))


def _softmax_backward(
    _: Any, __: Arrays, ___: Bounded, a: Bounded, da: Bounded
) -> tuple[Bounded, Arrays]:
    total = (da * a).sum(axis=1, keepdims=True)
    dz = a * (da - total)
    # A program may compute a da − a Σ as well, or multiply with the matrix diag(a) − a aᵀ.
    return dz.rounded(a.v.shape[1] + 2, a.size * (da.most + total.most)), {}


def _dropout(_: Any, own: Arrays, z: Bounded) -> Bounded:
    return own["mask"] * z if "mask" in own else z


def _dropout_backward(
    _: Any, own: Arrays, __: Bounded, ___: Bounded, da: Bounded
) -> tuple[Bounded, Arrays]:
    return _dropout(_, own, da), {}


Backward = Callable[[Any, Arrays, Bounded, Bounded, Bounded], tuple[Bounded, Arrays]]

LAYERS: dict[str, tuple[Callable[[Any, Arrays, Bounded], Bounded], Backward]] = {
    "Linear": (_linear, _linear_backward),
    "Identity": (lambda _, own, z: z, lambda _, own, z, a, da: (da, {})),  # noqa: ARG005
    "Sigmoid": (lambda _, own, z: sigmoid(z), _sigmoid_backward),  # noqa: ARG005
    "Tanh": (lambda _, own, z: tanh(z), _tanh_backward),  # noqa: ARG005
    "ReLU": (_relu, _relu_backward),
    "LeakyReLU": (_leaky, _leaky_backward),
    "Softplus": (_softplus, _softplus_backward),
    "Softmax": (_softmax, _softmax_backward),
    "LogSoftmax": (lambda _, own, z: log_softmax(z), _log_softmax_backward),  # noqa: ARG005
    "Dropout": (_dropout, _dropout_backward),
}


def _over(total: Bounded, divisor: Any) -> Bounded:
    """Return total / divisor, in up to three operations: the factor may be rounded by itself."""
    kind = total.kind
    if divisor != 1:
        e = np.asarray(kind.rough.divide(total.e, divisor))
        total = Bounded(kind.wide.divide(total.v, divisor), e, kind)
    return total.product_rounded(3)


def _divisor(loss: Any, y: Bounded) -> int:
    return {"mean": y.v.size, "batchmean": len(y.v), "sum": 1}[loss.reduction]


def _mse(loss: Any, y: Bounded, t: Array) -> tuple[Bounded, Bounded]:
    error, divisor = y - y.kind.exact(t), _divisor(loss, y)
    doubled = Bounded(error.v * 2, error.e * 2, y.kind)
    return _over((error * error).sum(), divisor), _over(doubled.rounded(), divisor)


def _l1(loss: Any, y: Bounded, t: Array) -> tuple[Bounded, Bounded]:
    error, divisor = y - y.kind.exact(t), _divisor(loss, y)
    sign = choose(error, -1, y.kind.kink.get("L1Loss", 0), 1)
    return _over(abs(error).sum(), divisor), _over(sign, divisor)


def _huber(loss: Any, y: Bounded, t: Array) -> tuple[Bounded, Bounded]:
    """Follow Huber: rounding δ to the dtype moves the term, and dy, by a relative u at most.

    A program that writes the term as ½q² + δ(|e| − q), q = min(|e|, δ), and differentiates that
    comes to dy = δ + (q − δ), whose error is relative to δ, however small e may be.
    """
    kind, divisor, delta = y.kind, _divisor(loss, y), y.kind.wide.number(loss.delta)
    error = y - kind.exact(t)
    size = np.abs(error.v)
    c = np.minimum(size, delta)
    slope = np.minimum(error.most, float(loss.delta))
    terms = Bounded(c * (size - c / 2), error.e * slope, kind).product_rounded(5)
    # δ(|e| − δ/2) subtracts, and so may ½e² + a correction.
    terms = terms.rounded(2, kind.size(c) * error.most)
    dy = clipped(error, delta).rounded(2, np.maximum(error.size, float(loss.delta)))
    return _over(terms.sum(), divisor), _over(dy, divisor)


def _log_at_least_100(y: Bounded) -> Bounded:
    """Return max(log y, −100), of a y that is no probability by rounding alone."""
    kind, wide, rough = y.kind, y.kind.wide, y.kind.rough
    v = np.maximum(wide.log(np.clip(y.v, 0, 1)), -100)
    down = (v + 100).astype(rough.dtype)
    up = np.maximum(rough.log(np.minimum(y.most, 1.0)), -100.0) + 100 - down
    share = rough.divide(y.e, kind.size(y.v))
    inside = np.minimum(-rough.log1p(-np.minimum(share, 1.0)), down)
    # Where the error is as large as y, or the logarithm stopped, the ends are what can be reached.
    e = np.where((share < 1) & (down > 0), inside, np.maximum(down, up))
    e = np.where(y.e < np.inf, e, np.inf)  # what overflowed may be NaN
    return Bounded(v, np.where(y.e == 0, 0.0, e), kind).rounded(kind.ulps)


def _bce(loss: Any, y: Bounded, t: Array) -> tuple[Bounded, Bounded]:
    """Stop the logarithms at −100, and dy's denominator at float32's 1e-12, as torch does.

    A program may take log(1 − y) for log1p(−y), which loses u; and −t/y + (1 − t)/(1 − y) for the
    gradient where the denominator does not stop, whose terms may cancel.
    """
    kind, divisor = y.kind, _divisor(loss, y)
    w = kind.number(1 if loss.weight is None else loss.weight)
    target = kind.exact(t)
    rest, other = 1 - target, 1 - y
    no = _log_at_least_100(kind.number(1).plus(-y)).plus_error(kind.gamma(1))
    terms = w * -(target * _log_at_least_100(y) + rest * no)

    room = y * other
    least = kind.exact(np.float32(1e-12)).plus_error(abs(1e-12 - float(np.float32(1e-12))))
    open_ = room.v > least.v
    room = Bounded(np.maximum(room.v, least.v), room.e + least.e * ~open_, kind)
    error = y - target
    quotient = kind.wide.divide(error.v, room.v)
    # No program divides by less than the least, so neither may the bound.
    smallest = np.maximum(kind.size(room.v) - room.e, least.size - least.e)
    e = kind.rough.divide(error.e + kind.size(quotient) * room.e, smallest)
    apart = kind.rough.divide(target.size, y.size) + kind.rough.divide(rest.size, other.size)
    dy = Bounded(quotient, e, kind).product_rounded()
    dy = dy.plus_error(np.where(open_, kind.gamma(4) * apart, 0.0)) * w
    return _over(terms.sum(), divisor), _over(dy, divisor)


def _bce_with_logits(loss: Any, y: Bounded, t: Array) -> tuple[Bounded, Bounded]:
    """Weigh softplus(y) and softplus(−y), which nothing cancels.

    torch adds (1 − t) y and −(1 + (p − 1) t) log σ(y), which may cancel. So its errors are
    relative to those two, and in dy to 1 − t and 1 + (p − 1) t.
    """
    kind, divisor = y.kind, _divisor(loss, y)
    w = kind.number(1 if loss.weight is None else loss.weight)
    p = kind.number(1 if loss.pos_weight is None else loss.pos_weight)
    target = kind.exact(t)
    up, down = 1 - target, p * target
    low, high = softplus(-y), softplus(y)
    both = up.size + np.abs(p.size - 1) * target.size + 1
    size = both * (y.most + np.minimum(low.size, high.size))
    terms = w * (down * low + up * high).rounded(2 * kind.ulps + 6, size)
    dy = w * (up * sigmoid(y) - down * sigmoid(-y)).rounded(kind.ulps + 6, both)
    return _over(terms.sum(), divisor), _over(dy, divisor)


def _cross_entropy(loss: Any, y: Bounded, t: Array) -> tuple[Bounded, Bounded]:
    kind, (n, classes) = y.kind, y.v.shape
    w = kind.number(np.ones(classes) if loss.weight is None else loss.weight)
    counts = np.ones(n, bool) if t.ndim == 2 else t != loss.ignore_index
    if t.ndim == 1:
        one_hot = np.zeros((n, classes))
        one_hot[counts, t[counts]] = 1
        target = kind.exact(one_hot)
    else:
        target = kind.exact(t)
    if loss.label_smoothing:
        smooth = kind.wide.number(loss.label_smoothing)
        smoothed = target.v * (1 - smooth) + smooth / classes
        smoothed = np.where(counts[:, None], smoothed, kind.wide.number(0))
        target = Bounded(smoothed, target.e, kind).rounded(4)
    q = target * w
    if loss.reduction == "mean" and t.ndim == 1:
        divisor = w[t[counts]].sum()
    else:
        divisor = kind.exact(1 if loss.reduction == "sum" else n)

    log_p = log_softmax(y)
    value = ((q * -log_p).sum() / divisor).rounded(4)
    g = -q / divisor
    shared = exp_of_log(log_p) * g.sum(axis=1, keepdims=True)
    # A program may divide by D last, so that its roundings are those of both terms.
    return value, (g - shared).rounded(2, g.most + shared.most)


LOSSES: dict[str, Callable[[Any, Bounded, Array], tuple[Bounded, Bounded]]] = {
    "MSELoss": _mse,
    "L1Loss": _l1,
    "HuberLoss": _huber,
    "BCELoss": _bce,
    "BCEWithLogitsLoss": _bce_with_logits,
    "CrossEntropyLoss": _cross_entropy,
}
