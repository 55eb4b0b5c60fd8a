"""Layers in bounded numbers: the true output and gradients of each layer, with error bounds.

An elementwise layer follows from its statement in the table of features. The layers below do not:

    Linear, Softmax, LogSoftmax, Dropout    are not functions of one entry, or read other arrays
    LayerNorm, …, BatchNorm1d               the same; they are in `normalization`
    Sigmoid, Tanh, Softplus                 have exponentially small slopes for a large |z|; the
                                            bounds here are smaller than those of Taylor's theorem

A bound holds for this package's engine, for torch and for every other engine with stable formulas.
If their formulas differ, it is the largest of their bounds, and the docstring names them. No
constant is tuned: each counts operations, or a comment explains it.

    forward, backward = layer_truth("Tanh")
    y = forward(layer, own, x)
    dx, grads = backward(layer, own, x, y, dy)          own: parameters and masks by name
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from manualnn.oracle.protocol.features import LAYER_ROWS, options_of
from manualnn.oracle.protocol.rows import MissingEntryError, Statement
from manualnn.oracle.truth import glu, normalization, rectifiers
from manualnn.oracle.truth.bounded import Array, Bounded, Precision
from manualnn.oracle.truth.elementwise import Evaluation, times_slope
from manualnn.oracle.truth.functions import exp_of_log, log_softmax, sigmoid, softplus, tanh

Arrays = Mapping[str, Bounded]


def _linear(layer: Any, own: Arrays, x: Bounded) -> Bounded:
    z = x @ own["weight"].T
    if not layer.bias:
        return z
    b = own["bias"]
    # An engine may start its sums with b, which then goes through all of their roundings.
    return z.plus_error(z.kind.summing(layer.in_features, b.most, b.v)) + b


def _linear_backward(
    layer: Any, own: Arrays, x: Bounded, _: Bounded, dz: Bounded
) -> tuple[Bounded, Arrays]:
    grads = {"weight": dz.T @ x} | ({"bias": dz.sum(axis=0)} if layer.bias else {})
    return dz @ own["weight"], grads


def _sigmoid_slope(_: Any, __: Bounded, a: Bounded) -> Bounded:
    """Return σ′ = a (1 − a), or exp(−z) / (1 + exp(−z))², whose relative error is larger."""
    return a.times(1 - a).rounded(2 * a.kind.ulps + 5)


def _tanh_slope(_: Any, __: Bounded, a: Bounded) -> Bounded:
    """Return tanh′ = 1 − a², or 1 / cosh(z)², whose relative error is larger."""
    return a.kind.number(1).plus(-(a * a)).rounded(2 * a.kind.ulps + 4)


def _softplus(layer: Any, z: Bounded) -> Bounded:
    s = _scaled(layer, z)
    return _up_to_threshold(layer, s, softplus(s) / layer.beta, z)


def _softplus_slope(layer: Any, z: Bounded, _: Bounded) -> Bounded:
    s = _scaled(layer, z)
    return _up_to_threshold(layer, s, sigmoid(s), z.kind.number(1))


def _softplus_backward(
    layer: Any, own: Arrays, z: Bounded, a: Bounded, da: Bounded
) -> tuple[Bounded, Arrays]:
    """Return da σ(βz) or, as in torch, (da exp(βz)) / (exp(βz) + 1), which may overflow."""
    dz, grads = _elementwise(_softplus, _softplus_slope)[1](layer, own, z, a, da)
    kind, s = z.kind, _scaled(layer, z)
    # Without a threshold this formula overflows for a large z alone, so no right engine has it.
    most = layer.threshold if layer.threshold < np.inf else 0.0
    largest = kind.rough.exp(np.minimum(s.v.astype(kind.rough.dtype) + s.e, most))
    overflows = (da.most * largest >= kind.max) & (s.v - s.e <= layer.threshold)
    return dz.plus_error(np.where(overflows, np.inf, 0.0)), grads


def _scaled(layer: Any, z: Bounded) -> Bounded:
    return z if layer.beta == 1 else z * layer.beta


def _up_to_threshold(layer: Any, s: Bounded, curved: Bounded, straight: Bounded) -> Bounded:
    """Return the curved part where s = βz ≤ threshold, the straight part elsewhere."""
    kind, over = s.kind, s.v - s.kind.wide.number(layer.threshold)
    undecided = ~(kind.size(over) > s.e) & ~(s.e == 0)
    e = np.where(over > 0, straight.e, curved.e)
    e = np.where(undecided, curved.e + straight.e + kind.size(curved.v - straight.v), e)
    return Bounded(np.where(over > 0, straight.v, curved.v), e, kind)


def _softmax_dz(a: Bounded, da: Bounded) -> Bounded:
    """Return a (da − Σ da a), or a da − a Σ da a, or da times the matrix diag(a) − a aᵀ."""
    total = (da * a).sum(axis=1, keepdims=True)
    return (a * (da - total)).rounded(a.v.shape[1] + 2, a.size * (da.most + total.most))


def mask_truth(kind: Precision, p: float, array: Array) -> Bounded:
    """Return a mask whose entries an engine may also compute: kept or not, times 1 / (1 − p).

    That engine rounds p, 1 − p and the quotient, and so did the mask. Its dyadic factors are exact.
    """
    mask = kind.exact(array)
    relative = _mask_error(kind, p)
    return mask.plus_error(mask.size * relative) if relative else mask


def noise_truth(kind: Precision, layer: Any, array: Array) -> Bounded:
    """Return a random array of a layer: a mask of Dropout with its bound, any other as it is."""
    return mask_truth(kind, layer.p, array) if layer.type == "Dropout" else kind.exact(array)


@lru_cache(maxsize=64)
def _mask_error(kind: Precision, p: float) -> float:
    rounded = float(kind.number(p).e)
    if p == 1 or (rounded == 0 and Fraction(1 / (1 - p)) * (1 - Fraction(p)) == 1):
        return 0.0
    return kind.gamma(4) + rounded / (1 - p)


def _dropout(_: Any, own: Arrays, z: Bounded) -> Bounded:
    return own["mask"] * z if "mask" in own else z


def _through_chain(o: Any, own: Arrays, z: Bounded) -> list[tuple[Any, Arrays, Bounded, Bounded]]:
    """Return the options, the arrays, the input and the output of every layer of a chain."""
    found: list[tuple[Any, Arrays, Bounded, Bounded]] = []
    for i, spec in enumerate(o.layers):
        start, inner = f"{i}.", options_of(spec)
        arrays = {k.removeprefix(start): a for k, a in own.items() if k.startswith(start)}
        y = layer_truth(inner.type)[0](inner, arrays, z)
        found.append((inner, arrays, z, y))
        z = y
    return found


def _residual(o: Any, own: Arrays, z: Bounded) -> Bounded:
    return z + _through_chain(o, own, z)[-1][3]


def _residual_backward(
    o: Any, own: Arrays, z: Bounded, _: Bounded, da: Bounded
) -> tuple[Bounded, Arrays]:
    grads: dict[str, Bounded] = {}
    dy = da
    for i, (inner, arrays, x, y) in reversed(list(enumerate(_through_chain(o, own, z)))):
        dy, found = layer_truth(inner.type)[1](inner, arrays, x, y, dy)
        grads |= {f"{i}.{name}": g for name, g in found.items()}
    return da + dy, grads


Forward = Callable[[Any, Arrays, Bounded], Bounded]
Backward = Callable[[Any, Arrays, Bounded, Bounded, Bounded], tuple[Bounded, Arrays]]


def _elementwise(
    value: Callable[[Any, Bounded], Bounded], slope_of: Callable[[Any, Bounded, Bounded], Bounded]
) -> tuple[Forward, Backward]:
    """Return a layer from its value f(z) and its slope f′(z), which may depend on a = f(z)."""

    def backward(
        layer: Any, _: Arrays, z: Bounded, a: Bounded, da: Bounded
    ) -> tuple[Bounded, Arrays]:
        return times_slope(slope_of(layer, z, a), da), {}

    return lambda layer, _, z: value(layer, z), backward


def _stated(statement: Statement) -> tuple[Forward, Backward]:
    def value(o: Any, z: Bounded) -> Bounded:
        found = Evaluation(statement, o, z)
        a = found.value()
        a.evaluation = found
        return a

    def slope(o: Any, z: Bounded, a: Bounded) -> Bounded:
        found = a.evaluation or Evaluation(statement, o, z)
        return found.slope(z.kind.kink.get(o.type))

    return _elementwise(value, slope)


def _over_rows(
    value: Callable[[Bounded], Bounded], backward: Callable[[Bounded, Bounded], Bounded]
) -> tuple[Forward, Backward]:
    """Return a layer without options from its value f(z) and from dz as a function of a and da."""
    return lambda _, __, z: value(z), lambda _, __, ___, a, da: (backward(a, da), {})


LAYERS: dict[str, tuple[Forward, Backward]] = {
    "Linear": (_linear, _linear_backward),
    "Sigmoid": _elementwise(lambda _, z: sigmoid(z), _sigmoid_slope),
    "Tanh": _elementwise(lambda _, z: tanh(z), _tanh_slope),
    "Softplus": (lambda o, _, z: _softplus(o, z), _softplus_backward),
    "Softmax": _over_rows(lambda z: exp_of_log(log_softmax(z)), _softmax_dz),
    "Softmin": _over_rows(lambda z: exp_of_log(log_softmax(-z)), lambda a, da: -_softmax_dz(a, da)),
    "LogSoftmax": _over_rows(
        log_softmax, lambda a, da: da - exp_of_log(a) * da.sum(axis=1, keepdims=True)
    ),
    "Dropout": (_dropout, lambda o, own, _, __, da: (_dropout(o, own, da), {})),
    "Residual": (_residual, _residual_backward),
    **rectifiers.LAYERS,
    **glu.LAYERS,
    **dict.fromkeys(
        ("LayerNorm", "RMSNorm", "GroupNorm", "BatchNorm1d"),
        (normalization.forward, normalization.backward),
    ),
}
"""The layers that do not follow from a statement."""


def layer_truth(name: str) -> tuple[Forward, Backward]:
    """Return the functions forward and backward of a layer; raises MissingEntryError."""
    if name in LAYERS:
        return LAYERS[name]
    row = LAYER_ROWS.get(name)
    if row is None or row.statement is None or row.statement.bounds is None:
        raise MissingEntryError(
            f"truth/layers.py has no entry for {name!r}; add one to LAYERS, or add a statement "
            "with bounds to its row in protocol/layers/."
        )
    return _stated(row.statement)
