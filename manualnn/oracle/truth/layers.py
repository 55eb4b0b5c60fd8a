"""What layers compute, in bounded numbers.

An elementwise layer follows from its statement in the table of features. The layers that are
written here are no functions of one entry, or have a sharper bound than the general one:

    Linear, Softmax, LogSoftmax, Dropout    mix the entries of a row, or read parameters or a mask
    Sigmoid, Tanh, Softplus                 their slope decays exponentially, faster than Taylor's
                                            theorem knows; engines lose its digits near 1 by 1 − a
    Softplus                                its threshold cuts off what is left of the exponential

A bound holds for this package's engine, for torch and for every other program that computes the
same in a stable way. Where their formulas differ, it is the largest of them, and the docstring says
so. No constant is tuned: each counts operations, or is explained where it stands.

    forward, backward = layer_truth("Tanh")
    y = forward(layer, own, x)
    dx, grads = backward(layer, own, x, y, dy)          own: parameters and masks by name
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from manualnn.oracle.protocol.features import LAYER_ROWS
from manualnn.oracle.protocol.rows import MissingEntryError, Statement
from manualnn.oracle.truth.bounded import Array, Bounded
from manualnn.oracle.truth.elementwise import Evaluation
from manualnn.oracle.truth.functions import exp_of_log, log_softmax, sigmoid, softplus, tanh

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


Forward = Callable[[Any, Arrays, Bounded], Bounded]
Backward = Callable[[Any, Arrays, Bounded, Bounded, Bounded], tuple[Bounded, Arrays]]

LAYERS: dict[str, tuple[Forward, Backward]] = {
    "Linear": (_linear, _linear_backward),
    "Sigmoid": (lambda _, own, z: sigmoid(z), _sigmoid_backward),  # noqa: ARG005
    "Tanh": (lambda _, own, z: tanh(z), _tanh_backward),  # noqa: ARG005
    "Softplus": (_softplus, _softplus_backward),
    "Softmax": (_softmax, _softmax_backward),
    "LogSoftmax": (lambda _, own, z: log_softmax(z), _log_softmax_backward),  # noqa: ARG005
    "Dropout": (_dropout, _dropout_backward),
}
"""The layers that do not follow from a statement."""


def layer_truth(name: str) -> tuple[Forward, Backward]:
    """Return the functions forward and backward of a layer; MissingEntryError if it has none."""
    if name in LAYERS:
        return LAYERS[name]
    row = LAYER_ROWS.get(name)
    if row is None or row.statement is None or row.statement.bounds is None:
        raise MissingEntryError(
            f"truth/layers.py has no entry for {name!r}; add one to LAYERS, or add a statement "
            "with bounds to its row in protocol/layers.py."
        )
    return _stated(row.statement)


def _stated(statement: Statement) -> tuple[Forward, Backward]:
    def forward(layer: Any, _: Arrays, z: Bounded) -> Bounded:
        return Evaluation(statement, layer, z).value()

    def backward(
        layer: Any, _: Arrays, z: Bounded, __: Bounded, da: Bounded
    ) -> tuple[Bounded, Arrays]:
        slope = Evaluation(statement, layer, z).slope(z.kind.kink.get(layer.type))
        dz = da.times(slope)
        # A product with 0, 1 or −1 is exact.
        exact = (slope.e == 0) & ((slope.v == 0) | (slope.size == 1))
        e = np.where(exact, dz.e, dz.e + z.kind.rounding(1, dz.most, dz.v))
        return Bounded(dz.v, e, z.kind, known=bool(da.known and exact.all())), {}

    return forward, backward
