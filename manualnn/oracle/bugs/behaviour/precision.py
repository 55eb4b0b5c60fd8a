"""Mistakes of precision: dtypes too small, approximations, digits lost on the way."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Bug, plant
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "precision")


def _through(value: Any, dtype: Any, kind: Any) -> Any:
    """Return numbers that were stored in a smaller dtype on the way."""
    return np.asarray(value).astype(dtype).astype(kind)


def _product(e: Textbook, a: Array, b: Array, dtype: Any) -> Array:
    return np.asarray((a.astype(dtype) @ b.astype(dtype)).astype(e.kind))


bug(
    "float32-inside",
    "An engine of float64 computes in float32.",
    wrong="everything in float32",
    right="everything in the dtype of the case",
    killed_by="loss.*:*",
    exact=False,
    load=lambda e, case: Textbook.load(
        e, case.map(lambda name, a: a if a.dtype.kind == "i" else a.astype(np.float32))
    ),
    matmul=lambda e, a, b: _product(e, a, b, np.float32),
    total=lambda e, a, axis=None, keepdims=False: _through(
        a.astype(np.float32).sum(axis=axis, keepdims=keepdims), np.float32, e.kind
    ),
)
bug(
    "float32-products",
    "Matrix products are computed in float32.",
    wrong="x Wᵀ in float32",
    right="x Wᵀ in the dtype of the case",
    killed_by="layer.Linear:*",
    exact=False,
    matmul=lambda e, a, b: _product(e, a, b, np.float32),
)
bug(
    "float32-long-products",
    "Matrix products of long sums are computed in float32, by another kernel.",
    wrong="x Wᵀ in float32 where there are more than k inputs",
    right="x Wᵀ in the dtype of the case",
    killed_by="long.in_features:*",
    exact=False,
    variants=[{"k": k} for k in (64, 128, 256, 512)],
    matmul=lambda e, a, b: (
        _product(e, a, b, np.float32) if a.shape[1] > e.k else Textbook.matmul(e, a, b)
    ),
)
bug(
    "float32-sums",
    "Sums over the batch are kept in float32.",
    wrong="Σ in float32",
    right="Σ in the dtype of the case",
    killed_by="loss.*:*",
    exact=False,
    total=lambda e, a, axis=None, keepdims=False: _through(
        a.astype(np.float32).sum(axis=axis, keepdims=keepdims), np.float32, e.kind
    ),
)
bug(
    "float32-loss",
    "The loss is a float32.",
    wrong="L rounded to float32",
    right="L in the dtype of the case",
    killed_by="*:loss",
    exact=False,
    value=lambda e, o, y, t: _through(Textbook.value(e, o, y, t), np.float32, e.kind),
)
bug(
    "float32-parameters",
    "Parameters are stored in float32.",
    wrong="p rounded to float32",
    right="p in the dtype of the case",
    killed_by="*:params",
    exact=False,
    moved=lambda e, o, p, d, lr: _through(p - lr * d, np.float32, e.kind),
)
bug(
    "float32-gradients",
    "Gradients are stored in float32.",
    wrong="g rounded to float32",
    right="g in the dtype of the case",
    killed_by="*:grads",
    exact=False,
    linear_grads=lambda e, o, x, dz: {
        key: _through(g, np.float32, e.kind)
        for key, g in Textbook.linear_grads(e, o, x, dz).items()
    },
)
bug(
    "float16-gradients",
    "Gradients are stored in float16.",
    wrong="g rounded to float16",
    right="g in the dtype of the case",
    killed_by="*:grads",
    exact=False,
    linear_grads=lambda e, o, x, dz: {
        key: _through(g, np.float16, e.kind)
        for key, g in Textbook.linear_grads(e, o, x, dz).items()
    },
)
bug(
    "float16-products",
    "Matrix products are computed of numbers rounded to float16.",
    wrong="x Wᵀ of float16",
    right="x Wᵀ in the dtype of the case",
    killed_by="loss.*:*",
    exact=False,
    matmul=lambda e, a, b: Textbook.matmul(
        e, _through(a, np.float16, e.kind), _through(b, np.float16, e.kind)
    ),
)


def _load_with_float32(e: Any, case: Case) -> None:
    Textbook.load(e, case)
    parts = {"layers": e.layers, "loss": [e.loss], "optimizer": [e.rule] if e.rule else []}
    for o in (o for part in e.parts for o in parts[part]):
        for name, value in vars(o).items():
            if isinstance(value, float | tuple):
                setattr(o, name, np.asarray(value, np.float32).astype(float).tolist())


bug(
    "options-in-float32",
    "Options are stored in float32: lr, 1 − β₂ᵗ or a slope are 1e-8 off.",
    wrong="lr, β, ε, δ, … as float32",
    right="lr, β, ε, δ, … as float64",
    killed_by="o*:*",
    load=_load_with_float32,
    variants=[
        {"parts": parts}
        for parts in (("optimizer",), ("layers", "loss"), ("layers", "loss", "optimizer"))
    ],
)
bug(
    "subnormals-flushed",
    "What is smaller than the smallest normal number becomes 0, and the engine does not say so.",
    wrong="|v| < 2⁻¹⁰²² is 0",
    right="gradual underflow",
    killed_by="subnormals:*",
    exact=False,
    matmul=lambda e, a, b: _flushed(Textbook.matmul(e, _flushed(a), _flushed(b))),
)


def _flushed(a: Array) -> Array:
    return np.where(np.abs(a) < np.finfo(a.dtype).tiny, np.zeros_like(a), a)


bug(
    "squared-error-expanded",
    "The square is multiplied out before it is summed, and loses its digits where y ≈ t.",
    wrong="L = (Σ y² − 2 Σ y t + Σ t²) / D",
    right="L = Σ (y − t)² / D",
    killed_by="cancellation:*",
    exact=False,
    mse_terms=lambda e, o, y, t: y * y - 2 * y * t + t * t,
)
bug(
    "exp-by-power",
    "exp is approximated by a power.",
    wrong="exp(v) = (1 + v / 1024)¹⁰²⁴",
    right="exp(v)",
    killed_by="loss.CrossEntropyLoss.*:*",
    exp=lambda e, v: np.maximum(1 + v / 1024, 0) ** 1024,
)


class LooksUpSigmoids(Textbook):
    """Interpolates between 4096 values from −8 to 8."""

    def sigma(self, v: Array) -> Array:
        at = (np.clip(v, -8, 8) + 8) * 256
        low = np.floor(at)
        left, right = super().sigma(low / 256 - 8), super().sigma((low + 1) / 256 - 8)
        return left + (at - low) * (right - left)


bug(
    "sigmoid-from-table",
    "The sigmoid is looked up in a table.",
    wrong="σ(z) interpolated, constant beyond ±8",
    right="σ(z) = 1 / (1 + exp(−z))",
    killed_by="layer.Sigmoid:*",
    base=LooksUpSigmoids,
)


class PrintsFewDigits(Textbook):
    """Writes its results in a form that rounds them."""

    form: str

    @classmethod
    def printed(cls, a: Array) -> Array:
        """Return numbers as they are after having been written, and read."""
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


FORMS = (".6g", ".6f", ".4f", ".7g", ".8g", ".8f", ".9g", ".10f", ".12g", ".12f", ".15g")

bug(
    "printed-with-few-digits",
    "Results are written with too few digits, such as the 6 of printf's %g and %f.",
    wrong="so many digits that reading them gives other numbers",
    right="17 digits for float64, 9 for float32",
    killed_by="loss.*:*",
    base=PrintsFewDigits,
    variants=[{"form": form} for form in FORMS],
)
bug(
    "gradient-slightly-off",
    "One entry of a weight gradient is a little off.",
    wrong="dW[−1, −1] (1 + 1e-5)",
    right="dW[−1, −1]",
    killed_by="*:grads",
    variants=[
        {"corner": corner, "factor": factor} for corner in (-1, 0) for factor in (1e-5, -1e-5)
    ],
    linear_dW=lambda e, o, x, dz: _nudged(dz.T @ x, e.corner, e.num(e.factor)),
)


def _nudged(g: Array, corner: int, factor: Any) -> Array:
    g = g.copy()
    g[corner, corner] *= 1 + factor
    return g


class SumsInOneNumber(Textbook):
    """Adds one product after another in float16 or float32, as a naive loop does."""

    dtype_of_sum: Any

    def matmul(self, a: Array, b: Array) -> Array:
        total = np.zeros((a.shape[0], b.shape[1]), self.dtype_of_sum)
        for k in range(a.shape[1]):
            total += np.outer(a[:, k], b[k]).astype(self.dtype_of_sum)
        return total.astype(self.kind)


bug(
    "small-accumulator",
    "Sums are kept in a smaller dtype than their terms.",
    wrong="Σ in float16, or float32",
    right="Σ in the dtype of the case",
    killed_by="layer.Linear:*",
    exact=False,
    base=SumsInOneNumber,
    variants=[{"dtype_of_sum": np.float32}, {"dtype_of_sum": np.float16}],
)


class DividesByNearlyN(Textbook):
    """Multiplies by 1/D rounded to few digits."""

    def slope(self, o: Options, y: Array, t: Array) -> Array:
        D = self.slope_divisor(o, y, t)
        share = _through(1 / np.asarray(D, self.kind), np.float16, self.kind)
        return np.asarray(super().slope(o, y, t) * D * share)


bug(
    "reciprocal-in-float16",
    "1/D is stored with 11 bits: right for powers of two, else wrong in the fourth digit.",
    wrong="∂L/∂y = … · float16(1/D)",
    right="∂L/∂y = … / D",
    killed_by="loss.*:*",
    base=DividesByNearlyN,
)
