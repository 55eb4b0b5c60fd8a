"""The layers as ONNX operators: one table, which the export writes and the import recognises.

A layer has several forms for three reasons. onnxruntime has no LeakyRelu, Softplus and Softsign in
float64. The operator Softplus has neither beta nor threshold. Each exporter has its own form, and
torch's by TorchScript drops the threshold.
"""

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import MissingExtraError
from manualnn.layers import (
    CELU,
    ELU,
    GELU,
    SELU,
    AlphaDropout,
    Dropout,
    Flatten,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Identity,
    Layer,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softmin,
    Softplus,
    Softshrink,
    Softsign,
    Tanh,
    Tanhshrink,
    Threshold,
)
from manualnn.layers.activations.exponential import ALPHA, SCALE
from manualnn.normal import CUBIC, ROOT, polynomials

Z = "z"


class Op(NamedTuple):
    """An operator with its inputs and attributes; see `op`."""

    operator: str
    inputs: tuple[Any, ...]
    attributes: tuple[tuple[str, Any], ...]


def op(operator: str, *inputs: Any, **attributes: Any) -> Op:
    """Return the form of a layer.

    Each input is Z (the layer's input), the name of an option of the layer, a number, a Parameter,
    or another Op. Each attribute is the name of an option or a number.
    """
    return Op(operator, inputs, tuple(attributes.items()))


@dataclass(frozen=True)
class Parameter:
    """A parameter of the layer, by its name: a constant with one entry for each feature, or one."""

    name: str


@dataclass(frozen=True)
class TwoClasses:
    """The probabilities of two classes for the only score z: softmax of the scores 0 and z."""


SCALED = op("Mul", Z, "beta")
HARD_GATE = op("Div", op("Clip", op("Add", Z, 3.0), 0.0, 6.0), 6.0)
HALF_ROOT = op("Div", Z, math.sqrt(2))
BY_TANH = partial(GELU, approximate="tanh")
TWICE_S = op("Mul", op("Mul", op("Add", op("Mul", op("Mul", Z, Z), CUBIC), 1.0), 2 * ROOT), Z)
PROBABILITY = op("Sigmoid", Z)
WEIGHT = Parameter("weight")

UNBOUNDED = partial(Softplus, threshold=40.0)
"""Softplus without a threshold. From 40 on it rounds to z, because exp(−40) < 40 · 2⁻⁵³."""


def _curved(s: Any) -> Op:
    """Return log(1 + exp(s)) = max(s, 0) + log(1 + exp(−|s|)), which cannot overflow."""
    small = op("Log", op("Add", op("Exp", op("Neg", op("Abs", s))), 1.0))
    return op("Add", op("Max", s, 0.0), small)


def _normal_cdf() -> Op:
    """Return Φ(z) in float64, for which onnxruntime has no Erf: see `manualnn.normal`."""
    y = op("Min", op("Abs", Z), 40.0)

    def polynomial(coefficients: Any) -> Op:
        return reduce(lambda sum_, c: op("Add", op("Mul", sum_, y), float(c)), coefficients[::-1])

    above, below = map(polynomial, polynomials(np.dtype(np.float64)))
    exponential = op("Exp", op("Mul", op("Mul", y, y), -0.5))
    tail = op("Mul", op("Div", above, below), exponential)
    return op("Where", op("Greater", Z, 0.0), op("Sub", 1.0, tail), tail)


def _bounded(scaled: Any, curved: Op) -> Op:
    """Return softplus with the threshold."""
    return op("Where", op("Greater", scaled, "threshold"), Z, curved)


def _if_positive(yes: Any, no: Any) -> Op:
    """Return one of two forms by the sign of the input."""
    return op("Where", op("Greater", Z, 0.0), yes, no)


DTYPES = ("float32", "float64")
FORMS: list[tuple[Callable[..., Any], tuple[str, ...], Op]] = [
    (Sigmoid, DTYPES, op("Sigmoid", Z)),
    (Tanh, DTYPES, op("Tanh", Z)),
    (ReLU, DTYPES, op("Relu", Z)),
    (Softmin, DTYPES, op("Softmax", op("Neg", Z), axis="dim")),
    (Softmax, DTYPES, op("Softmax", Z, axis="dim")),
    (LogSoftmax, DTYPES, op("LogSoftmax", Z, axis="dim")),
    (LeakyReLU, ("float32",), op("LeakyRelu", Z, alpha="negative_slope")),
    (LeakyReLU, ("float64",), _if_positive(Z, op("Mul", Z, "negative_slope"))),
    (ELU, ("float32",), op("Elu", Z, alpha="alpha")),
    (ELU, ("float64",), _if_positive(Z, op("Mul", "alpha", op("Sub", op("Exp", Z), 1.0)))),
    (SELU, ("float32",), op("Selu", Z, alpha=ALPHA, gamma=SCALE)),
    (
        SELU,
        ("float64",),
        op("Mul", SCALE, _if_positive(Z, op("Mul", ALPHA, op("Sub", op("Exp", Z), 1.0)))),
    ),
    (CELU, ("float32",), op("Celu", Z, alpha="alpha")),
    (
        CELU,
        ("float64",),
        _if_positive(Z, op("Mul", "alpha", op("Sub", op("Exp", op("Div", Z, "alpha")), 1.0))),
    ),
    (SiLU, DTYPES, op("Mul", Z, PROBABILITY)),
    (SiLU, (), op("Swish", Z)),
    (LogSigmoid, ("float32",), op("Neg", op("Softplus", op("Neg", Z)))),
    (LogSigmoid, ("float64",), op("Neg", _curved(op("Neg", Z)))),
    (LogSigmoid, (), op("Log", PROBABILITY)),
    (Tanhshrink, DTYPES, op("Sub", Z, op("Tanh", Z))),
    (Hardswish, DTYPES, op("Mul", Z, HARD_GATE)),
    (Hardswish, (), op("HardSwish", Z)),
    (Hardsigmoid, DTYPES, HARD_GATE),
    (Hardsigmoid, (), op("HardSigmoid", Z, alpha=1 / 6, beta=0.5)),
    (ReLU6, DTYPES, op("Clip", Z, 0.0, 6.0)),
    (Hardtanh, DTYPES, op("Clip", Z, "min_val", "max_val")),
    (Threshold, DTYPES, op("Where", op("LessOrEqual", Z, "threshold"), "value", Z)),
    (Threshold, (), op("Where", op("Greater", Z, "threshold"), Z, "value")),
    (Hardshrink, ("float32",), op("Shrink", Z, lambd="lambd", bias=0.0)),
    (Hardshrink, ("float64",), op("Where", op("Greater", op("Abs", Z), "lambd"), Z, 0.0)),
    (Softshrink, ("float32",), op("Shrink", Z, lambd="lambd", bias="lambd")),
    (
        Softshrink,
        ("float64",),
        op("Sub", Z, op("Min", op("Max", Z, op("Neg", "lambd")), "lambd")),
    ),
    (Mish, ("float32",), op("Mul", Z, op("Tanh", op("Softplus", Z)))),
    (Mish, ("float64",), op("Mul", Z, op("Tanh", _curved(Z)))),
    (Mish, (), op("Mish", Z)),
    (GELU, ("float32",), op("Mul", Z, op("Mul", op("Add", op("Erf", HALF_ROOT), 1.0), 0.5))),
    (GELU, ("float64",), op("Mul", Z, _normal_cdf())),
    (GELU, (), op("Mul", op("Mul", Z, op("Add", op("Erf", HALF_ROOT), 1.0)), 0.5)),
    (BY_TANH, DTYPES, op("Mul", Z, op("Sigmoid", TWICE_S))),
    (Softsign, ("float32",), op("Softsign", Z)),
    (Softsign, ("float64",), op("Div", Z, op("Add", op("Abs", Z), 1.0))),
    (Softsign, (), op("Div", Z, op("Add", 1.0, op("Abs", Z)))),
    (Softplus, ("float32",), _bounded(SCALED, op("Div", op("Softplus", SCALED), "beta"))),
    (Softplus, ("float64",), _bounded(SCALED, op("Div", _curved(SCALED), "beta"))),
    (Softplus, (), _bounded(Z, op("Softplus", Z))),
    (UNBOUNDED, (), op("Div", op("Softplus", SCALED), "beta")),
    (UNBOUNDED, (), op("Softplus", Z)),
    (PReLU, ("float32",), op("PRelu", Z, WEIGHT)),
    (PReLU, ("float64",), op("Add", op("Max", Z, 0.0), op("Mul", WEIGHT, op("Min", Z, 0.0)))),
    (Dropout, DTYPES, op("Dropout", Z, "p")),
    (Dropout, (), op("Dropout", Z, "p", 1.0)),  # exported for training
    (Dropout, (), op("Dropout", Z, ratio="p")),  # before opset 12
    (Dropout, (), op("Dropout", Z)),
    (TwoClasses, (), op("Concat", op("Sub", 1.0, PROBABILITY), PROBABILITY, axis=1)),  # skl2onnx
]
"""What makes the layer, the dtypes in which the export writes the form, and the form. The import
tries them in this order, so that a whole form comes before its parts."""


SIZES: dict[type, Callable[[Mapping[str, Array]], dict[str, int]]] = {
    PReLU: lambda arrays: {"num_parameters": arrays["weight"].size},
}
"""The options of a layer that follow from its parameters."""


def as_predicted(layer: Layer) -> Layer | None:
    """Return the layer without what is random in training; None for one that does nothing."""
    match layer:
        case RReLU(lower=lower, upper=upper):
            return LeakyReLU((lower + upper) / 2)
        # onnxruntime refuses a Dropout with the ratio 1.
        case Identity() | Flatten() | AlphaDropout() | Dropout(p=1.0):
            return None
    return layer


def require_onnx() -> Any:
    """Return the package onnx. Raises MissingExtraError if it is not installed."""
    try:
        return importlib.import_module("onnx")
    except ImportError:
        message = "ONNX models need the package onnx; pip install 'manualnn[onnx]'."
        raise MissingExtraError(message) from None
