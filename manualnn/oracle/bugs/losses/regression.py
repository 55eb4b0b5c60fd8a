"""Mistakes in losses of numbers: squared, absolute and Huber's."""

from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Bug, but, plant
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "losses")

bug(
    "mse-slope-without-2",
    "The gradient of the squared error lacks the 2.",
    wrong="∂L/∂y = (y − t) / D",
    right="∂L/∂y = 2 (y − t) / D",
    source="dlib #1169",
    killed_by="loss.MSELoss*:*",
    mse_slopes=lambda e, o, y, t: y - t,
)
bug(
    "mse-halved",
    "The squared error is halved, loss and gradient alike.",
    wrong="L = Σ ½ (y − t)² / D, ∂L/∂y = (y − t) / D",
    right="L = Σ (y − t)² / D, ∂L/∂y = 2 (y − t) / D",
    killed_by="loss.MSELoss*:*",
    mse_terms=lambda e, o, y, t: (y - t) ** 2 / 2,
    mse_slopes=lambda e, o, y, t: y - t,
)
bug(
    "mse-value-halved",
    "The squared error is halved, its gradient is not.",
    wrong="L = Σ ½ (y − t)² / D",
    right="L = Σ (y − t)² / D",
    killed_by="loss.MSELoss*:*",
    mse_terms=lambda e, o, y, t: (y - t) ** 2 / 2,
)
bug(
    "mse-slope-absolute",
    "The gradient of the squared error loses its sign.",
    wrong="∂L/∂y = 2 |y − t| / D",
    right="∂L/∂y = 2 (y − t) / D",
    killed_by="loss.MSELoss*:*",
    mse_slopes=lambda e, o, y, t: 2 * np.abs(y - t),
)


def _broadcast(o: Options, y: Array) -> bool:
    return o.type in {"MSELoss", "L1Loss"} and y.shape[1] == 1 and len(y) > 1


class ColumnAgainstRow(Textbook):
    def value(self, o: Options, y: Array, t: Array) -> Any:
        if not _broadcast(o, y):
            return super().value(o, y, t)
        square = np.broadcast_to(y, (len(y), len(y)))
        return super().value(o, square, t.T)

    def slope(self, o: Options, y: Array, t: Array) -> Array:
        if not _broadcast(o, y):
            return super().slope(o, y, t)
        square = np.broadcast_to(y, (len(y), len(y)))
        return np.asarray(self.total(super().slope(o, square, t.T), axis=1, keepdims=True))


bug(
    "target-broadcast",
    "A column of outputs meets a row of targets: all N × N differences instead of N.",
    wrong="y of (N, 1) − t of (N,) = (N, N)",
    right="y and t both of (N, 1)",
    source="keras, scikit-learn users",
    killed_by="lattice:*",
    base=ColumnAgainstRow,
)
bug(
    "root-of-mse",
    "The root of the mean squared error stands in place of its mean.",
    wrong="L = √(Σ (y − t)² / D)",
    right="L = Σ (y − t)² / D",
    killed_by="loss.MSELoss*:*",
    value=lambda e, o, y, t: (
        np.sqrt(Textbook.value(e, o, y, t)) if o.type == "MSELoss" else Textbook.value(e, o, y, t)
    ),
    slope=lambda e, o, y, t: (
        Textbook.slope(e, o, y, t) / (2 * np.sqrt(Textbook.value(e, o, y, t)))
        if o.type == "MSELoss"
        else Textbook.slope(e, o, y, t)
    ),
)
bug(
    "first-output-only",
    "Only the first output enters the loss.",
    wrong="L = Σₙ term(yₙ₁) / D",
    right="L = Σₙ Σₖ term(yₙₖ) / D",
    killed_by="loss.*:*",
    value=lambda e, o, y, t: (
        Textbook.value(e, o, y[:, :1], t[:, :1])
        if o.type in {"MSELoss", "L1Loss", "HuberLoss"}
        else Textbook.value(e, o, y, t)
    ),
    slope=lambda e, o, y, t: (
        np.pad(Textbook.slope(e, o, y[:, :1], t[:, :1]), [(0, 0), (0, y.shape[1] - 1)])
        if o.type in {"MSELoss", "L1Loss", "HuberLoss"}
        else Textbook.slope(e, o, y, t)
    ),
)
bug(
    "l1-slope-at-zero",
    "The slope of |y − t| at 0 is not 0.",
    wrong="∂|e|/∂e = ±1 at e = 0",
    right="∂|e|/∂e = sign(e), 0 at e = 0",
    killed_by="kinks:*",
    variants=[{"at_zero": 1}, {"at_zero": -1}],
    l1_slopes=lambda e, o, y, t: np.where(y == t, e.array(e.at_zero), np.sign(y - t)),
)
bug(
    "l1-smoothed",
    "The absolute error is rounded off at 0.",
    wrong="L = Σ √(e² + ε) / D",
    right="L = Σ |e| / D",
    killed_by="loss.L1Loss*:*",
    variants=[{"eps": 1e-12}, {"eps": 1e-8}],
    l1_terms=lambda e, o, y, t: np.sqrt((y - t) ** 2 + e.num(e.eps)),
    l1_slopes=lambda e, o, y, t: (y - t) / np.sqrt((y - t) ** 2 + e.num(e.eps)),
)
bug(
    "l1-slope-of-square",
    "The gradient of the absolute error is that of the squared one.",
    wrong="∂L/∂y = 2 (y − t) / D",
    right="∂L/∂y = sign(y − t) / D",
    killed_by="loss.L1Loss*:*",
    l1_slopes=lambda e, o, y, t: 2 * (y - t),
)


def _huber(e: Textbook, o: Options, y: Array, t: Array, *, inside: Array) -> tuple[Array, Array]:
    """Return terms and slopes of the Huber loss, quadratic where `inside` says so."""
    error, delta = y - t, e.num(o.delta)
    linear = delta * (np.abs(error) - delta / 2)
    terms = np.where(inside, error**2 / 2, linear)
    return terms, np.where(inside, error, delta * np.sign(error))


bug(
    "huber-signed-threshold",
    "The threshold of the Huber loss is compared with the signed error.",
    wrong="quadratic where y − t ≤ δ",
    right="quadratic where |y − t| ≤ δ",
    source="attorch #13",
    killed_by="loss.HuberLoss*:*",
    huber_terms=lambda e, o, y, t: _huber(e, o, y, t, inside=y - t <= o.delta)[0],
    huber_slopes=lambda e, o, y, t: _huber(e, o, y, t, inside=y - t <= o.delta)[1],
)
bug(
    "huber-squared-threshold",
    "The threshold of the Huber loss is compared with the squared error.",
    wrong="quadratic where (y − t)² ≤ δ",
    right="quadratic where |y − t| ≤ δ",
    killed_by="loss.HuberLoss*:*",
    huber_terms=lambda e, o, y, t: _huber(e, o, y, t, inside=(y - t) ** 2 <= o.delta)[0],
    huber_slopes=lambda e, o, y, t: _huber(e, o, y, t, inside=(y - t) ** 2 <= o.delta)[1],
)
bug(
    "huber-slope-unclipped",
    "The gradient of the Huber loss goes on growing beyond δ.",
    wrong="∂L/∂y = (y − t) / D",
    right="∂L/∂y = clip(y − t, −δ, δ) / D",
    killed_by="loss.HuberLoss*:*",
    huber_slopes=lambda e, o, y, t: y - t,
)
bug(
    "huber-slope-without-delta",
    "The gradient of the Huber loss beyond δ is ±1.",
    wrong="∂L/∂y = sign(y − t) / D beyond δ",
    right="∂L/∂y = δ sign(y − t) / D beyond δ",
    killed_by="loss.HuberLoss*:*",
    huber_slopes=lambda e, o, y, t: np.where(np.abs(y - t) <= o.delta, y - t, np.sign(y - t)),
)
bug(
    "huber-jumps",
    "The Huber loss jumps at δ: its linear part lacks − δ²/2.",
    wrong="term = δ |e| beyond δ",
    right="term = δ (|e| − δ/2) beyond δ",
    killed_by="loss.HuberLoss*:*",
    huber_terms=lambda e, o, y, t: np.where(
        np.abs(y - t) <= o.delta, (y - t) ** 2 / 2, e.num(o.delta) * np.abs(y - t)
    ),
)
bug(
    "huber-half-for-half-delta",
    "The linear part of the Huber loss subtracts ½, which is right for δ = 1 alone.",
    wrong="term = δ (|e| − ½) beyond δ",
    right="term = δ (|e| − δ/2) beyond δ",
    killed_by="loss.HuberLoss*:*",
    huber_terms=lambda e, o, y, t: np.where(
        np.abs(y - t) <= o.delta, (y - t) ** 2 / 2, e.num(o.delta) * (np.abs(y - t) - 0.5)
    ),
)
bug(
    "huber-minus-half",
    "The linear part of the Huber loss subtracts ½ at last, which is right for δ = 1 alone.",
    wrong="term = δ |e| − ½ beyond δ",
    right="term = δ (|e| − δ/2) beyond δ",
    killed_by="loss.HuberLoss*:*",
    huber_terms=lambda e, o, y, t: np.where(
        np.abs(y - t) <= o.delta, (y - t) ** 2 / 2, e.num(o.delta) * np.abs(y - t) - 0.5
    ),
)
bug(
    "huber-is-smooth-l1",
    "The smooth L1 loss, which is the Huber loss divided by δ, stands in its place.",
    wrong="L = Σ huber(e) / (δ D)",
    right="L = Σ huber(e) / D",
    killed_by="loss.HuberLoss*:*",
    huber_terms=lambda e, o, y, t: Textbook.huber_terms(e, o, y, t) / e.num(o.delta),
    huber_slopes=lambda e, o, y, t: Textbook.huber_slopes(e, o, y, t) / e.num(o.delta),
)
bug(
    "huber-delta-ignored",
    "The Huber loss takes δ = 1, whatever is asked for.",
    wrong="δ = 1",
    right="δ as given",
    killed_by="loss.HuberLoss*:*",
    huber_terms=lambda e, o, y, t: Textbook.huber_terms(e, but(o, delta=1.0), y, t),
    huber_slopes=lambda e, o, y, t: Textbook.huber_slopes(e, but(o, delta=1.0), y, t),
)
bug(
    "huber-square-not-halved",
    "The quadratic part of the Huber loss lacks its ½.",
    wrong="term = e² within δ",
    right="term = ½ e² within δ",
    killed_by="loss.HuberLoss*:*",
    huber_terms=lambda e, o, y, t: (
        Textbook.huber_terms(e, o, y, t) * np.where(np.abs(y - t) <= o.delta, e.array(2), 1)
    ),
)
bug(
    "huber-by-squares",
    "The Huber loss as a difference of squares loses its digits where |e| is large.",
    wrong="term = ½ (e² − max(|e| − δ, 0)²)",
    right="term = ½ e² within δ, else δ (|e| − δ/2)",
    killed_by="*:loss",
    exact=False,
    huber_terms=lambda e, o, y, t: (
        ((y - t) ** 2 - np.maximum(np.abs(y - t) - e.num(o.delta), 0) ** 2) / 2
    ),
)
bug(
    "huber-is-pseudo-huber",
    "The smooth approximation of the Huber loss stands in its place.",
    wrong="term = δ² (√(1 + (e/δ)²) − 1)",
    right="term = ½ e² within δ, else δ (|e| − δ/2)",
    killed_by="loss.HuberLoss*:*",
    huber_terms=lambda e, o, y, t: (
        e.num(o.delta) ** 2 * (np.sqrt(1 + ((y - t) / e.num(o.delta)) ** 2) - 1)
    ),
    huber_slopes=lambda e, o, y, t: (y - t) / np.sqrt(1 + ((y - t) / e.num(o.delta)) ** 2),
)
