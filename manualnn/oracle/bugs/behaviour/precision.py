"""Bugs of precision: dtypes that are too small, approximations, loss of digits."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Table, bug
from manualnn.oracle.bugs.edits import (
    SMALL_ERRORS,
    after_load,
    each_gradient,
    multiply_in_float32,
    with_small_error,
)
from manualnn.oracle.bugs.fits import digits
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("precision")
rounding_bug = partial(bug, exact=False)
product_bug = partial(rounding_bug, killed_by="layer.Linear:*")


def _stored(value: Any, dtype: Any, kind: Any) -> Any:
    """Return numbers in the dtype `kind` after they were stored in a smaller dtype."""
    return np.asarray(value).astype(dtype).astype(kind)


def _float32_total(
    e: Textbook, a: Array, axis: int | None = None, *, keepdims: bool = False
) -> Any:
    return _stored(a.astype(np.float32).sum(axis=axis, keepdims=keepdims), np.float32, e.kind)


BUGS["float32-inside"] = rounding_bug(
    "An engine for float64 computes in float32.",
    lines=("everything in float32", "everything in the dtype of the case"),
    load=lambda e, case: Textbook.load(
        e, case.map(lambda name, a: a if a.dtype.kind == "i" else a.astype(np.float32))
    ),
    matmul=multiply_in_float32,
    total=_float32_total,
)
BUGS["float32-products"] = product_bug(
    "Matrix products are computed in float32.",
    lines=("x Wᵀ in float32", "x Wᵀ in the dtype of the case"),
    matmul=multiply_in_float32,
)
BUGS["float32-long-products"] = rounding_bug(
    "Matrix products with many inputs are computed in float32, by another kernel.",
    lines=("x Wᵀ in float32 where there are more than k inputs", "x Wᵀ in the dtype of the case"),
    killed_by="long.in_features:*",
    k=[64, 128, 256, 512],
    where=lambda e, a, b: a.shape[1] > e.k,
    matmul=multiply_in_float32,
)
BUGS["float32-sums"] = rounding_bug(
    "Sums over the batch are accumulated in float32.",
    lines=("Σ in float32", "Σ in the dtype of the case"),
    total=_float32_total,
)
BUGS["float32-loss"] = rounding_bug(
    "The loss is rounded to float32.",
    lines=("L rounded to float32", "L in the dtype of the case"),
    killed_by="*:loss",
    value=lambda e, o, y, t: _stored(Textbook.value(e, o, y, t), np.float32, e.kind),
)
BUGS["float32-parameters"] = rounding_bug(
    "Parameters are stored in float32.",
    lines=("p rounded to float32", "p in the dtype of the case"),
    killed_by="*:params",
    moved=lambda e, o, p, d, lr: _stored(p - lr * d, np.float32, e.kind),
)
BUGS["float32-gradients"] = rounding_bug(
    "Gradients are stored in float32.",
    lines=("g rounded to float32", "g in the dtype of the case"),
    linear_grads=each_gradient(lambda e, o, g: _stored(g, np.float32, e.kind)),
)
BUGS["float16-gradients"] = rounding_bug(
    "Gradients are stored in float16.",
    lines=("g rounded to float16", "g in the dtype of the case"),
    linear_grads=each_gradient(lambda e, o, g: _stored(g, np.float16, e.kind)),
)
BUGS["float16-parameters"] = rounding_bug(
    "Parameters are stored in float16.",
    lines=("p rounded to float16", "p in the dtype of the case"),
    killed_by="*:params",
    moved=lambda e, o, p, d, lr: _stored(p - lr * d, np.float16, e.kind),
)
BUGS["outputs-in-smaller-dtype"] = rounding_bug(
    "The outputs make a detour by a smaller dtype.",
    lines=("y rounded to float32 or float16", "y in the dtype of the case"),
    killed_by="*:outputs",
    detour=[np.float32, np.float16],
    forward=lambda e, x: [
        *(ys := Textbook.forward(e, x))[:-1],
        _stored(ys[-1], e.detour, e.kind),
    ],
)
BUGS["layers-in-smaller-dtype"] = rounding_bug(
    "The output of every layer makes a detour by a smaller dtype.",
    lines=("a rounded to float32 or float16", "a in the dtype of the case"),
    killed_by="*:outputs",
    detour=[np.float32, np.float16],
    linear=lambda e, o, x: _stored(Textbook.linear(e, o, x), e.detour, e.kind),
)
BUGS["inputs-in-smaller-dtype"] = rounding_bug(
    "The input, the parameters or the targets make a detour by a smaller dtype.",
    lines=("x, θ or t rounded to float32 or float16", "x, θ and t in the dtype of the case"),
    killed_by="*:*",
    detour=[np.float32, np.float16] * 3,
    part=["x", "x", "params", "params", "t", "t"],
    load=lambda e, case: Textbook.load(
        e,
        case.map(
            lambda name, a: (
                _stored(a, e.detour, a.dtype)
                if name.partition(".")[0] == e.part and a.dtype.kind == "f"
                else a
            )
        ),
    ),
)
BUGS["float16-loss"] = rounding_bug(
    "The loss is rounded to float16.",
    lines=("L rounded to float16", "L in the dtype of the case"),
    killed_by="*:loss",
    value=lambda e, o, y, t: _stored(Textbook.value(e, o, y, t), np.float16, e.kind),
)
BUGS["slope-in-smaller-dtype"] = rounding_bug(
    "The gradient of the loss makes a detour by a smaller dtype.",
    lines=("∂L/∂y rounded to float32 or float16", "∂L/∂y in the dtype of the case"),
    detour=[np.float32, np.float16],
    slope=lambda e, o, y, t: _stored(Textbook.slope(e, o, y, t), e.detour, e.kind),
)
BUGS["float16-products"] = rounding_bug(
    "The factors of matrix products are rounded to float16.",
    lines=("x Wᵀ with x and W in float16", "x Wᵀ in the dtype of the case"),
    matmul=lambda e, a, b: Textbook.matmul(
        e, _stored(a, np.float16, e.kind), _stored(b, np.float16, e.kind)
    ),
)


def _round_options(e: Any) -> None:
    parts = {"layers": e.layers, "loss": [e.loss], "optimizer": [e.rule] if e.rule else []}
    for o in (o for part in e.parts for o in parts[part]):
        for name, value in vars(o).items():
            if isinstance(value, float | tuple):
                setattr(o, name, np.asarray(value, np.float32).astype(float).tolist())


BUGS["options-in-float32"] = bug(
    "Options are stored in float32: lr, 1 − β₂ᵗ or a slope has a relative error of 1e-8.",
    lines=("lr, β, ε, δ, … as float32", "lr, β, ε, δ, … as float64"),
    killed_by="o*:*",
    load=after_load(_round_options),
    parts=[("optimizer",), ("layers", "loss"), ("layers", "loss", "optimizer")],
)
BUGS["subnormals-flushed"] = rounding_bug(
    "Subnormal numbers become 0, although the engine does not claim it.",
    lines=("|v| < 2⁻¹⁰²² is 0", "gradual underflow"),
    killed_by="subnormals:*",
    matmul=lambda e, a, b: _flushed(Textbook.matmul(e, _flushed(a), _flushed(b))),
)


def _flushed(a: Array) -> Array:
    return np.where(np.abs(a) < np.finfo(a.dtype).tiny, np.zeros_like(a), a)


BUGS["squared-error-expanded"] = rounding_bug(
    "The squared error is expanded before the sum, which loses digits where y ≈ t.",
    lines=("L = (Σ y² − 2 Σ y t + Σ t²) / D", "L = Σ (y − t)² / D"),
    killed_by="cancellation:*",
    mse_terms=lambda e, o, y, t: y * y - 2 * y * t + t * t,
)
BUGS["exp-by-power"] = bug(
    "exp is replaced by a power.",
    lines=("exp(v) = (1 + v / 1024)¹⁰²⁴", "exp(v)"),
    killed_by="loss.CrossEntropyLoss.*:*",
    exp=lambda e, v: np.maximum(1 + v / 1024, 0) ** 1024,
)


def _interpolated_sigma(e: Textbook, v: Array) -> Array:
    """Interpolate between 4096 values from −8 to 8."""
    at = (np.clip(v, -8, 8) + 8) * 256
    low = np.floor(at)
    left, right = Textbook.sigma(e, low / 256 - 8), Textbook.sigma(e, (low + 1) / 256 - 8)
    return left + (at - low) * (right - left)


BUGS["sigmoid-from-table"] = bug(
    "The sigmoid is interpolated from a table.",
    lines=("σ(z) interpolated, constant beyond ±8", "σ(z) = 1 / (1 + exp(−z))"),
    killed_by="layer.Sigmoid:*",
    sigma=_interpolated_sigma,
)


class PrintsFewDigits(Textbook):
    """Writes results in a format that rounds them."""

    form: str

    @classmethod
    def printed(cls, a: Array) -> Array:
        """Return numbers after writing and reading them."""
        texts = [float(format(float(v), cls.form)) for v in a.flat]
        return np.array(texts, a.dtype).reshape(a.shape)

    @classmethod
    def admits(cls, named: Mapping[str, Array]) -> bool:
        return all(
            np.array_equal(cls.printed(a), a, equal_nan=True)
            for a in map(np.asarray, named.values())
        )

    def result(self, value: Any, dx: Array) -> dict[str, Any]:
        def read(value: Any) -> Any:
            if isinstance(value, dict):
                return {k: v if k == "step" else read(v) for k, v in value.items()}
            return self.printed(np.asarray(value))

        return {name: read(value) for name, value in super().result(value, dx).items()}


BUGS["printed-with-few-digits"] = bug(
    "Results are written with too few digits, such as the 6 digits of printf's %g and %f.",
    lines=("too few digits to read the same number back", "17 digits for float64, 9 for float32"),
    base=PrintsFewDigits,
    form=Constant(
        [".6g", ".6f", ".4f", ".7g", ".8g", ".8f", ".9g", ".10f", ".12g", ".12f", ".15g"], digits
    ),
)
BUGS["gradient-slightly-off"] = bug(
    "One entry of the gradient of the weights is slightly wrong.",
    lines=("dW[−1, −1] (1 + 1e-5)", "dW[−1, −1]"),
    **SMALL_ERRORS,
    linear_dW=lambda e, o, x, dz: with_small_error(e, dz.T @ x),
)


def _matmul_one_by_one(e: Any, a: Array, b: Array) -> Array:
    """Add one product after another in a small dtype, as a naive loop does."""
    total = np.zeros((a.shape[0], b.shape[1]), e.dtype_of_sum)
    for k in range(a.shape[1]):
        total += np.outer(a[:, k], b[k]).astype(e.dtype_of_sum)
    return total.astype(e.kind)


BUGS["small-accumulator"] = product_bug(
    "Sums are accumulated in a smaller dtype than that of their terms.",
    lines=("Σ in float16, or float32", "Σ in the dtype of the case"),
    matmul=_matmul_one_by_one,
    dtype_of_sum=[np.float32, np.float16],
)
BUGS["reciprocal-in-float16"] = bug(
    "1/D is stored with 11 bits: right for powers of two, otherwise wrong in the fourth digit.",
    lines=("∂L/∂y = … · float16(1/D)", "∂L/∂y = … / D"),
    slope=lambda e, o, y, t: (
        Textbook.slope(e, o, y, t)
        * (D := e.slope_divisor(o, y, t))
        * _stored(1 / np.asarray(D, e.kind), np.float16, e.kind)
    ),
)
