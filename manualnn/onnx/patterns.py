"""Expressions of ONNX operators that stand for one layer.

The export writes them and the import recognises them. An expression is one of

    Z                       the layer's input
    "beta"                  a constant: the layer's option of that name
    1.0                     a constant of that value
    ("Mul", Z, "beta")      an operator and its inputs
    "axis=dim"              no input: the operator's attribute axis is the layer's option dim

Several expressions for one layer have three reasons. onnxruntime has no LeakyRelu, Softplus and
Softsign in float64. The operator Softplus has neither beta nor threshold. Each exporter of torch
has its own composition, and the one by TorchScript drops the threshold.
"""

import importlib
from typing import Any

from manualnn.errors import MissingExtraError
from manualnn.layers import (
    Layer,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)

Expression = Any

Z = "z"
SCALED = ("Mul", Z, "beta")

# log(1 + exp(s)) = max(s, 0) + log(1 + exp(−|s|)), which cannot overflow.
CURVED = ("Add", ("Max", SCALED, 0.0), ("Log", ("Add", ("Exp", ("Neg", ("Abs", SCALED))), 1.0)))


def _softplus(scaled: Expression, curved: Expression) -> Expression:
    return ("Where", ("Greater", scaled, "threshold"), Z, curved)


BOTH = ("float32", "float64")
EXPRESSIONS: list[tuple[type[Layer], tuple[str, ...], Expression]] = [
    (Sigmoid, BOTH, ("Sigmoid", Z)),
    (Tanh, BOTH, ("Tanh", Z)),
    (ReLU, BOTH, ("Relu", Z)),
    (Softmax, BOTH, ("Softmax", Z, "axis=dim")),
    (LogSoftmax, BOTH, ("LogSoftmax", Z, "axis=dim")),
    (LeakyReLU, ("float32",), ("LeakyRelu", Z, "alpha=negative_slope")),
    (LeakyReLU, ("float64",), ("Where", ("Greater", Z, 0.0), Z, ("Mul", Z, "negative_slope"))),
    (LeakyReLU, (), ("PRelu", Z, "negative_slope")),
    (Softsign, ("float32",), ("Softsign", Z)),
    (Softsign, ("float64",), ("Div", Z, ("Add", ("Abs", Z), 1.0))),
    (Softplus, ("float32",), _softplus(SCALED, ("Div", ("Softplus", SCALED), "beta"))),
    (Softplus, ("float64",), _softplus(SCALED, ("Div", CURVED, "beta"))),
    (Softplus, (), _softplus(Z, ("Softplus", Z))),
    (Softplus, (), ("Div", ("Softplus", SCALED), "beta")),
    (Softplus, (), ("Softplus", Z)),
]
"""The layers' expressions, and the dtypes in which the export writes them. The import tries them in
this order, so that a whole expression comes before its parts."""

PROBABILITY = ("Sigmoid", Z)
TWO_CLASSES = ("Concat", ("Sub", 1.0, PROBABILITY), PROBABILITY, "axis=axis")
"""Probabilities of two classes, as skl2onnx writes them: those of softmax of the scores 0 and z."""

COMMUTATIVE = ("Add", "Mul", "Max")


def split(expression: Expression) -> tuple[str, list[Expression], list[list[str]]]:
    """Return the operator, its inputs, and its attributes as [attribute, option]."""
    operator, *parts = expression
    is_option = [isinstance(part, str) and "=" in part for part in parts]
    inputs = [part for part, option in zip(parts, is_option, strict=True) if not option]
    options = [part.split("=") for part, option in zip(parts, is_option, strict=True) if option]
    return operator, inputs, options


def require_onnx() -> Any:
    """Return the package onnx. Raises MissingExtraError if it is not installed."""
    try:
        return importlib.import_module("onnx")
    except ImportError:
        message = "ONNX models need the package onnx; pip install 'manualnn[onnx]'."
        raise MissingExtraError(message) from None
