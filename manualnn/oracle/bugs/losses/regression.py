"""Bugs of regression losses: squared, absolute and Huber loss."""

from collections.abc import Callable
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Method, Methods, Table, bug
from manualnn.oracle.bugs.edits import is_of, with_options
from manualnn.oracle.bugs.fits import solved
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("losses")
MSE = "L = Σ (y − t)² / D"
MSE_SLOPE = "∂L/∂y = 2 (y − t) / D"
HUBER = "term = ½ e² within δ, else δ (|e| − δ/2)"

BUGS["mse-slope-without-2"] = bug(
    "The gradient of the squared error lacks the factor 2.",
    lines=("∂L/∂y = (y − t) / D", MSE_SLOPE),
    source="dlib #1169",
    mse_slopes=lambda e, o, y, t: y - t,
)
BUGS["mse-halved"] = bug(
    "The squared error is halved, in the loss and in the gradient.",
    lines=("L = Σ ½ (y − t)² / D, ∂L/∂y = (y − t) / D", f"{MSE}, {MSE_SLOPE}"),
    mse_terms=lambda e, o, y, t: (y - t) ** 2 / 2,
    mse_slopes=lambda e, o, y, t: y - t,
)
BUGS["mse-value-halved"] = bug(
    "The squared error is halved, but its gradient is not.",
    lines=("L = Σ ½ (y − t)² / D", MSE),
    mse_terms=lambda e, o, y, t: (y - t) ** 2 / 2,
)
BUGS["mse-slope-absolute"] = bug(
    "The gradient of the squared error loses its sign.",
    lines=("∂L/∂y = 2 |y − t| / D", MSE_SLOPE),
    mse_slopes=lambda e, o, y, t: 2 * np.abs(y - t),
)


class ColumnAgainstRow(Textbook):
    """Broadcasts a column of outputs and a row of targets to a square matrix."""

    def broadcast(self, o: Options, y: Array, t: Array) -> tuple[Array, Array]:
        if o.type not in {"MSELoss", "L1Loss"} or y.shape[1] != 1:
            return y, t
        return np.broadcast_to(y, (len(y), len(y))), t.T

    def value(self, o: Options, y: Array, t: Array) -> Any:
        return super().value(o, *self.broadcast(o, y, t))

    def slope(self, o: Options, y: Array, t: Array) -> Array:
        dy = super().slope(o, *self.broadcast(o, y, t))
        return dy if dy.shape == y.shape else np.asarray(self.total(dy, axis=1, keepdims=True))


BUGS["target-broadcast"] = bug(
    "A column of outputs minus a row of targets gives N × N differences instead of N.",
    lines=("y of (N, 1) − t of (N,) = (N, N)", "y and t both of (N, 1)"),
    killed_by="lattice:*",
    source="keras, scikit-learn users",
    base=ColumnAgainstRow,
)
BUGS["root-of-mse"] = bug(
    "The loss is the root of the mean squared error instead of the mean.",
    lines=("L = √(Σ (y − t)² / D)", MSE),
    killed_by="loss.MSELoss*:*",
    where=is_of("MSELoss"),
    value=lambda e, o, y, t: np.sqrt(Textbook.value(e, o, y, t)),
    slope=lambda e, o, y, t: Textbook.slope(e, o, y, t) / (2 * np.sqrt(Textbook.value(e, o, y, t))),
)
BUGS["first-output-only"] = bug(
    "Only the first output counts in the loss.",
    lines=("L = Σₙ term(yₙ₁) / D", "L = Σₙ Σₖ term(yₙₖ) / D"),
    where=is_of("MSELoss", "L1Loss", "HuberLoss"),
    value=lambda e, o, y, t: Textbook.value(e, o, y[:, :1], t[:, :1]),
    slope=lambda e, o, y, t: np.pad(
        Textbook.slope(e, o, y[:, :1], t[:, :1]), [(0, 0), (0, y.shape[1] - 1)]
    ),
)
BUGS["l1-slope-at-zero"] = bug(
    "The slope of |y − t| at 0 is not 0.",
    lines=("∂|e|/∂e = ±1 at e = 0", "∂|e|/∂e = sign(e), 0 at e = 0"),
    killed_by="kinks:*",
    at_zero=[1, -1],
    l1_slopes=lambda e, o, y, t: np.where(y == t, e.array(e.at_zero), np.sign(y - t)),
)
BUGS["l1-smoothed"] = bug(
    "The absolute error is smoothed at 0.",
    lines=("L = Σ √(e² + ε) / D", "L = Σ |e| / D"),
    eps=Constant([1e-12, 1e-8], solved(1e-8)),
    l1_terms=lambda e, o, y, t: np.sqrt((y - t) ** 2 + e.num(e.eps)),
    l1_slopes=lambda e, o, y, t: (y - t) / np.sqrt((y - t) ** 2 + e.num(e.eps)),
)
BUGS["l1-slope-of-square"] = bug(
    "The gradient of the absolute error is that of the squared error.",
    lines=("∂L/∂y = 2 (y − t) / D", "∂L/∂y = sign(y − t) / D"),
    l1_slopes=lambda e, o, y, t: 2 * (y - t),
)


def _huber(is_inside: Callable[[Array, Options], Array]) -> Methods:
    """Return terms and slopes of the Huber loss, quadratic where is_inside(y − t, o)."""

    def terms(e: Textbook, o: Options, y: Array, t: Array) -> Array:
        error, delta = y - t, e.num(o.delta)
        return np.where(is_inside(error, o), error**2 / 2, delta * (np.abs(error) - delta / 2))

    def slopes(e: Textbook, o: Options, y: Array, t: Array) -> Array:
        error = y - t
        return np.where(is_inside(error, o), error, e.num(o.delta) * np.sign(error))

    return {"huber_terms": terms, "huber_slopes": slopes}


def _huber_terms(tail: Callable[[Array, Any], Array]) -> Method:
    """Return terms of the Huber loss that are tail(|e|, δ) beyond δ."""
    return lambda e, o, y, t: np.where(
        np.abs(y - t) <= o.delta, (y - t) ** 2 / 2, tail(np.abs(y - t), e.num(o.delta))
    )


BUGS["huber-signed-threshold"] = bug(
    "The threshold of the Huber loss is compared with the signed error.",
    lines=("quadratic where y − t ≤ δ", "quadratic where |y − t| ≤ δ"),
    source="attorch #13",
    **_huber(lambda error, o: error <= o.delta),
)
BUGS["huber-squared-threshold"] = bug(
    "The threshold of the Huber loss is compared with the squared error.",
    lines=("quadratic where (y − t)² ≤ δ", "quadratic where |y − t| ≤ δ"),
    **_huber(lambda error, o: error**2 <= o.delta),
)
BUGS["huber-slope-unclipped"] = bug(
    "The gradient of the Huber loss grows beyond δ.",
    lines=("∂L/∂y = (y − t) / D", "∂L/∂y = clip(y − t, −δ, δ) / D"),
    huber_slopes=lambda e, o, y, t: y - t,
)
BUGS["huber-slope-without-delta"] = bug(
    "The gradient of the Huber loss beyond δ is ±1.",
    lines=("∂L/∂y = sign(y − t) / D beyond δ", "∂L/∂y = δ sign(y − t) / D beyond δ"),
    huber_slopes=lambda e, o, y, t: np.where(np.abs(y - t) <= o.delta, y - t, np.sign(y - t)),
)
BUGS["huber-jumps"] = bug(
    "The Huber loss jumps at δ, because its linear part lacks − δ²/2.",
    lines=("term = δ |e| beyond δ", "term = δ (|e| − δ/2) beyond δ"),
    huber_terms=_huber_terms(lambda error, delta: delta * error),
)
BUGS["huber-half-for-half-delta"] = bug(
    "The linear part of the Huber loss subtracts ½ from |e|, which is right only for δ = 1.",
    lines=("term = δ (|e| − ½) beyond δ", "term = δ (|e| − δ/2) beyond δ"),
    huber_terms=_huber_terms(lambda error, delta: delta * (error - 0.5)),
)
BUGS["huber-minus-half"] = bug(
    "The linear part of the Huber loss subtracts ½ at the end, which is right only for δ = 1.",
    lines=("term = δ |e| − ½ beyond δ", "term = δ (|e| − δ/2) beyond δ"),
    huber_terms=_huber_terms(lambda error, delta: delta * error - 0.5),
)
BUGS["huber-is-smooth-l1"] = bug(
    "The loss is the smooth L1 loss, which is the Huber loss divided by δ.",
    lines=("L = Σ huber(e) / (δ D)", "L = Σ huber(e) / D"),
    huber_terms=lambda e, o, y, t: Textbook.huber_terms(e, o, y, t) / e.num(o.delta),
    huber_slopes=lambda e, o, y, t: Textbook.huber_slopes(e, o, y, t) / e.num(o.delta),
)
BUGS["huber-delta-ignored"] = bug(
    "The Huber loss ignores the option delta: δ is always 1.",
    lines=("δ = 1", "δ as given"),
    **with_options("huber_terms", "huber_slopes", delta=1.0),
)
BUGS["huber-square-not-halved"] = bug(
    "The quadratic part of the Huber loss lacks the factor ½.",
    lines=("term = e² within δ", "term = ½ e² within δ"),
    huber_terms=lambda e, o, y, t: (
        Textbook.huber_terms(e, o, y, t) * np.where(np.abs(y - t) <= o.delta, e.array(2), 1)
    ),
)
BUGS["huber-by-squares"] = bug(
    "The Huber loss is a difference of squares, which loses digits where |e| is large.",
    lines=("term = ½ (e² − max(|e| − δ, 0)²)", HUBER),
    killed_by="*:loss",
    exact=False,
    huber_terms=lambda e, o, y, t: (
        ((y - t) ** 2 - np.maximum(np.abs(y - t) - e.num(o.delta), 0) ** 2) / 2
    ),
)
BUGS["huber-is-pseudo-huber"] = bug(
    "The loss is the smooth approximation of the Huber loss.",
    lines=("term = δ² (√(1 + (e/δ)²) − 1)", HUBER),
    huber_terms=lambda e, o, y, t: (
        e.num(o.delta) ** 2 * (np.sqrt(1 + ((y - t) / e.num(o.delta)) ** 2) - 1)
    ),
    huber_slopes=lambda e, o, y, t: (y - t) / np.sqrt(1 + ((y - t) / e.num(o.delta)) ** 2),
)
BUGS["huber-other-delta"] = bug(
    "The Huber loss has another threshold than δ.",
    lines=("δ ← c", "δ as given"),
    rank=1,
    delta=Constant([0.5, 1.345, 1.35, 2.0, 0.1], solved(0.5, 2.0, 0.1)),
    **with_options("huber_terms", "huber_slopes", delta=lambda e, o: e.delta),
)
BUGS["huber-other-delta-in-slope"] = bug(
    "The gradient of the Huber loss has another threshold than the loss.",
    lines=("∂L/∂y = clip(y − t, −c, c) / D", "∂L/∂y = clip(y − t, −δ, δ) / D"),
    rank=1,
    delta=Constant([0.5, 2.0], solved(0.5, 2.0, 0.1)),
    **with_options("huber_slopes", delta=lambda e, o: e.delta),
)
BUGS["huber-half-delta"] = bug(
    "The threshold of the Huber loss is δ/2, 2δ, or δ².",
    lines=("δ ← δ/2, 2δ or δ²", "δ as given"),
    other=[lambda e, d: d / 2, lambda e, d: 2 * d, lambda e, d: d * d],
    **with_options("huber_terms", "huber_slopes", delta=lambda e, o: e.other(o.delta)),
)
BUGS["huber-slope-halved-outside"] = bug(
    "The gradient of the Huber loss beyond δ is ½ δ, as the value at δ suggests.",
    lines=("∂L/∂y = ½ δ sign(y − t) / D beyond δ", "∂L/∂y = δ sign(y − t) / D beyond δ"),
    huber_slopes=lambda e, o, y, t: np.where(
        np.abs(y - t) <= o.delta, y - t, e.num(o.delta) / 2 * np.sign(y - t)
    ),
)
BUGS["huber-slope-doubled-inside"] = bug(
    "The gradient of the Huber loss within δ has the factor 2 of the squared error.",
    lines=("∂L/∂y = 2 (y − t) / D within δ", "∂L/∂y = (y − t) / D within δ"),
    huber_slopes=lambda e, o, y, t: np.where(
        np.abs(y - t) <= o.delta, 2 * (y - t), e.num(o.delta) * np.sign(y - t)
    ),
)
BUGS["huber-slope-positive-outside"] = bug(
    "The gradient of the Huber loss beyond δ loses its sign.",
    lines=("∂L/∂y = δ / D beyond δ", "∂L/∂y = δ sign(y − t) / D beyond δ"),
    huber_slopes=lambda e, o, y, t: np.where(np.abs(y - t) <= o.delta, y - t, e.num(o.delta)),
)
BUGS["huber-branches-swapped"] = bug(
    "The branches of the Huber loss are swapped: quadratic beyond δ, linear within it.",
    lines=("quadratic where |y − t| > δ", "quadratic where |y − t| ≤ δ"),
    **_huber(lambda error, o: np.abs(error) > o.delta),
)
BUGS["absolute-for-square"] = bug(
    "The value of the squared error is that of the absolute error.",
    lines=("L = Σ |y − t| / D", MSE),
    mse_terms=lambda e, o, y, t: np.abs(y - t),
)
BUGS["square-for-absolute"] = bug(
    "The value of the absolute error is that of the squared error.",
    lines=("L = Σ (y − t)² / D", "L = Σ |y − t| / D"),
    l1_terms=lambda e, o, y, t: (y - t) ** 2,
)
BUGS["mse-slope-of-sign"] = bug(
    "The gradient of the squared error is that of the absolute error.",
    lines=("∂L/∂y = sign(y − t) / D", MSE_SLOPE),
    mse_slopes=lambda e, o, y, t: np.sign(y - t),
)
BUGS["mse-slope-squared"] = bug(
    "The gradient of the squared error is the squared error.",
    lines=("∂L/∂y = (y − t)² / D, or 2 (y − t)² / D", MSE_SLOPE),
    mse_slopes=[lambda e, o, y, t: (y - t) ** 2, lambda e, o, y, t: 2 * (y - t) ** 2],
)
BUGS["mse-slope-of-target-or-output"] = bug(
    "The gradient of the squared error lacks the target or the output.",
    lines=("∂L/∂y = 2 y / D, or −2 t / D", MSE_SLOPE),
    mse_slopes=[lambda e, o, y, t: 2 * y, lambda e, o, y, t: -2 * t],
)
BUGS["root-of-mse-in-value"] = bug(
    "The value is the root of the mean squared error, but the gradient is that of the mean.",
    lines=("L = √(Σ (y − t)² / D)", MSE),
    killed_by="loss.MSELoss*:*",
    where=is_of("MSELoss"),
    value=lambda e, o, y, t: np.sqrt(Textbook.value(e, o, y, t)),
)
BUGS["l1-slope-positive"] = bug(
    "The gradient of the absolute error loses its sign.",
    lines=("∂L/∂y = 1 / D", "∂L/∂y = sign(y − t) / D"),
    l1_slopes=lambda e, o, y, t: np.ones_like(y),
)
BUGS["l1-slope-of-error"] = bug(
    "The gradient of the absolute error is the error, as that of half the squared error.",
    lines=("∂L/∂y = (y − t) / D", "∂L/∂y = sign(y − t) / D"),
    l1_slopes=lambda e, o, y, t: y - t,
)
BUGS["l1-signed"] = bug(
    "The absolute error lacks the absolute value, so that errors cancel.",
    lines=("L = Σ (y − t) / D", "L = Σ |y − t| / D"),
    l1_terms=lambda e, o, y, t: y - t,
)
BUGS["l1-slope-divided-by-error"] = bug(
    "A small number is added to |y − t| in the quotient that gives its sign.",
    lines=("∂L/∂y = (y − t) / (|y − t| + ε) / D", "∂L/∂y = sign(y − t) / D"),
    eps=Constant([1e-8, 1e-7, 1e-12], solved(1e-8)),
    l1_slopes=lambda e, o, y, t: (y - t) / (np.abs(y - t) + e.num(e.eps)),
)
BUGS["huber-zero-below"] = bug(
    "Errors below −δ add nothing to the Huber loss.",
    lines=("term = 0 where y − t < −δ", "term = δ (|e| − δ/2) where |e| > δ"),
    source="on-policy #47",
    huber_terms=lambda e, o, y, t: Textbook.huber_terms(e, o, y, t) * (y - t >= -o.delta),
)
