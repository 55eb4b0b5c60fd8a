"""Bugs of Adadelta and ASGD."""

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


BUGS["asgd-without-decay"] = bug(
    "ASGD lacks its term λ₀ θ, or adds it with the learning rate instead of η.",
    lines=("θ ← θ − η g, or θ − η g − lr λ₀ θ", "θ ← θ − η (g + λ₀ θ)"),
    decay=[lambda e, o, rate: 0, lambda e, o, rate: e.num(o.lr)],
    asgd_moved=lambda e, o, p, g, rate: (
        p * (1 - type(e).decay(e, o, rate) * e.num(o.lambd)) - rate * g
    ),
)
BUGS["asgd-constant-rate"] = bug(
    "The rate of ASGD does not fall, or falls from the first step on.",
    lines=("η = lr, or lr / (1 + λ₀ lr t)^α", "η = lr / (1 + λ₀ lr (t − 1))^α"),
    rate=[lambda e, o, t: e.num(o.lr), lambda e, o, t: Textbook.asgd_rate(e, o, t + 1)],
    asgd_rate=lambda e, o, t: type(e).rate(e, o, t),
)
BUGS["asgd-average-of-all"] = bug(
    "ASGD averages from the first step on, or its t₀ is one step early.",
    lines=("μ = 1 / t, or 1 / max(1, t − t₀)", "μ = 1 / max(1, t − 1 − t₀)"),
    share=[lambda o, t: t, lambda o, t: max(1, t - o.t0)],
    asgd_share=lambda e, o, t: 1 / e.num(type(e).share(o, t)),
)


def _averaged_before(
    e: Textbook, o: Options, p: Array, g: Array, s: dict[str, Array], t: int
) -> Array:
    s["ax"] = e.asgd_average(o, s["ax"], p, e.asgd_share(o, t))
    return np.asarray(e.asgd_moved(o, p, e.gradient(o, p, g), e.asgd_rate(o, t)))


BUGS["asgd-average-of-old"] = bug(
    "ASGD averages the parameters before the step.",
    lines=("a ← a + μ (θ − a) before θ ← θ − η (g + λ₀ θ)", "a ← a + μ (θ − a) after it"),
    asgd=_averaged_before,
)
BUGS["asgd-returns-average"] = bug(
    "ASGD writes its average into the parameters.",
    lines=("θ ← a", "a beside θ"),
    asgd=lambda e, o, p, g, s, t: Textbook.asgd(e, o, p, g, s, t) * 0 + s["ax"],
)
