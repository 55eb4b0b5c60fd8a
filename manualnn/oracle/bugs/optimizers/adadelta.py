"""Bugs of Adadelta."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("optimizers")
STEP = "Δ = √(u + ε) / √(v + ε) · g"
SIZES = "u ← ρ u + (1 − ρ) Δ²"

BUGS["adadelta-sizes-of-gradients"] = bug(
    "Adadelta averages its gradients in the place of its steps, or steps without a square.",
    lines=("u ← ρ u + (1 − ρ) g², or |Δ|", SIZES),
    of=[lambda d, g: g * g, lambda d, g: np.abs(d)],
    adadelta_sizes=lambda e, o, u, d, g: e.average(u, type(e).of(d, g), o.rho),
)
BUGS["adadelta-sizes-with-rate"] = bug(
    "Adadelta averages its steps with the learning rate in them.",
    lines=("u ← ρ u + (1 − ρ) (lr Δ)²", SIZES),
    adadelta_sizes=lambda e, o, u, d, g: e.average(u, (e.num(o.lr) * d) ** 2, o.rho),
)
BUGS["adadelta-sizes-not-averaged"] = bug(
    "Adadelta adds the squares of its steps, as Adagrad adds those of its gradients.",
    lines=("u ← u + Δ², or ρ u + Δ²", SIZES),
    share=[lambda e, o: 1, lambda e, o: e.num(o.rho)],
    adadelta_sizes=lambda e, o, u, d, g: type(e).share(e, o) * u + d * d,
)
BUGS["adadelta-without-sizes"] = bug(
    "Adadelta divides by the root of its squares alone, as RMSprop does.",
    lines=("Δ = g / √(v + ε)", STEP),
    adadelta_step=lambda e, o, u, v, g: g / e.adadelta_root(o, v),
)
BUGS["adadelta-eps-outside-root"] = bug(
    "ε of Adadelta is outside of its roots.",
    lines=("Δ = (√u + ε) / (√v + ε) · g", STEP),
    adadelta_root=lambda e, o, v: np.sqrt(v) + e.num(o.eps),
)
BUGS["adadelta-quotient-without-root"] = bug(
    "Adadelta divides averages of squares, without their roots.",
    lines=("Δ = (u + ε) / (v + ε) · g", STEP),
    adadelta_root=lambda e, o, v: v + e.num(o.eps),
)
BUGS["adadelta-divides-by-old-squares"] = bug(
    "Adadelta renews its squares after the step.",
    lines=("Δ before v ← ρ v + (1 − ρ) g²", "v ← ρ v + (1 − ρ) g² before Δ"),
    adadelta=lambda e, o, p, g, s, t: _with_old_squares(e, o, p, g, s),
)


def _with_old_squares(e: Textbook, o: Options, p: Array, g: Array, s: dict[str, Array]) -> Array:
    g = e.gradient(o, p, g)
    d = e.adadelta_step(o, s["acc_delta"], s["square_avg"], g)
    s["square_avg"] = e.adadelta_square(o, s["square_avg"], g)
    s["acc_delta"] = e.adadelta_sizes(o, s["acc_delta"], d, g)
    return np.asarray(e.moved(o, p, d, e.num(o.lr)))
