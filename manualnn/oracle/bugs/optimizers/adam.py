"""Bugs of Adam and AdamW."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Bug, Methods, add_bug, with_options
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(add_bug, BUGS, "optimizers")
adam_bug = partial(bug, killed_by="optimizer.Adam*:*")
amsgrad_bug = partial(bug, killed_by="optimizer.Adam*.amsgrad:*")
adamw_bug = partial(bug, killed_by="optimizer.AdamW*:*")


def _corrections(compute: Callable[[Any, float, int], Any]) -> Methods:
    """Return both bias corrections, each as compute(e, β, t)."""
    return {
        "adam_correction1": lambda e, o, t: compute(e, o.betas[0], t),
        "adam_correction2": lambda e, o, t: compute(e, o.betas[1], t),
    }


adam_bug(
    "adam-uncorrected",
    "The bias corrections of Adam's means are missing.",
    lines=("m̂ = m, v̂ = v", "m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)"),
    source="mlx",
    **_corrections(lambda e, beta, t: 1),
)
adam_bug(
    "adam-first-moment-uncorrected",
    "The bias correction of Adam's mean of gradients is missing.",
    lines=("m̂ = m", "m̂ = m / (1 − β₁ᵗ)"),
    adam_correction1=lambda e, o, t: 1,
)
adam_bug(
    "adam-second-moment-uncorrected",
    "The bias correction of Adam's mean of squares is missing.",
    lines=("v̂ = v", "v̂ = v / (1 − β₂ᵗ)"),
    adam_correction2=lambda e, o, t: 1,
)
adam_bug(
    "adam-correction-dropped-late",
    "Adam's bias correction ends after a fixed number of steps, although it is not yet 1.",
    lines=("m̂ = m, v̂ = v from some step on", "m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)"),
    variants=[{"limit": limit} for limit in (10, 100, 1000)],
    **_corrections(lambda e, beta, t: 1 - e.num(beta) ** t if t <= e.limit else 1),
)
adam_bug(
    "adam-correction-product",
    "Adam's power of β is a product: β t instead of βᵗ.",
    lines=("1 − β t", "1 − βᵗ"),
    **_corrections(lambda e, beta, t: e.array(1 - e.num(beta) * t)),
)
adam_bug(
    "adam-power-in-float32",
    "The powers of Adam's β are computed in float32: 1 − βᵗ has the error of up to t roundings.",
    lines=("float32(β)ᵗ", "βᵗ in float64"),
    **_corrections(lambda e, beta, t: 1 - e.num(np.float32(beta) ** np.float32(t))),
)
adam_bug(
    "adam-correction-multiplied",
    "Adam's means are multiplied by their bias corrections instead of divided.",
    lines=("m̂ = m (1 − β₁ᵗ), v̂ = v (1 − β₂ᵗ)", "m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)"),
    **_corrections(lambda e, beta, t: 1 / (1 - e.num(beta) ** t)),
)
bug(
    "adam-eps-before-correction",
    "ε is added to the root before the bias correction: its effect is ε / √(1 − β₂ᵗ).",
    lines=("d = m̂ √(1 − β₂ᵗ) / (√v + ε)", "d = m̂ / (√v̂ + ε)"),
    source="scikit-learn",
    killed_by="optimizer.Adam*.eps:*",
    adam_root=lambda e, o, v, t: (np.sqrt(v) + e.num(o.eps)) / e.adam_correction2(o, t) ** 0.5,
)
adam_bug(
    "adam-root-uncorrected-correction",
    "The bias correction of the mean square is moved out of the root without its root.",
    lines=("d = m̂ / (√v / (1 − β₂ᵗ) + ε)", "d = m̂ / (√(v / (1 − β₂ᵗ)) + ε)"),
    adam_root=lambda e, o, v, t: np.sqrt(v) / e.adam_correction2(o, t) + e.num(o.eps),
)
adam_bug(
    "adam-betas-swapped",
    "Adam's β₁ and β₂ are swapped.",
    lines=("m ← β₂ m + …, v ← β₁ v + …", "m ← β₁ m + …, v ← β₂ v + …"),
    **with_options("adam_step", betas=lambda e, o: o.betas[::-1]),
)
adam_bug(
    "adam-complement-missing",
    "Adam's means add each new gradient without the factor 1 − β.",
    lines=("m ← β₁ m + g, v ← β₂ v + g²", "m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²"),
    adam_mean=lambda e, o, m, g, t: e.num(o.betas[0]) * m + g,
    adam_square=lambda e, o, v, g, t: e.num(o.betas[1]) * v + g * g,
)
adam_bug(
    "adam-complements-swapped",
    "β and 1 − β are swapped in Adam's means.",
    lines=(
        "m ← (1 − β₁) m + β₁ g, v ← (1 − β₂) v + β₂ g²",
        "m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²",
    ),
    adam_mean=lambda e, o, m, g, t: (1 - e.num(o.betas[0])) * m + e.num(o.betas[0]) * g,
    adam_square=lambda e, o, v, g, t: (1 - e.num(o.betas[1])) * v + e.num(o.betas[1]) * (g * g),
)


class SquaresTheMean(Textbook):
    mean: Array

    def adam_mean(self, o: Options, m: Array, g: Array, t: int) -> Array:
        self.mean = super().adam_mean(o, m, g, t)
        return self.mean


adam_bug(
    "adam-square-of-mean",
    "Adam's second moment averages the square of the mean instead of the gradient.",
    lines=("v ← β₂ v + (1 − β₂) m²", "v ← β₂ v + (1 − β₂) g²"),
    base=SquaresTheMean,
    adam_square=lambda e, o, v, g, t: Textbook.adam_square(e, o, v, e.mean, t),
)
adam_bug(
    "adam-nesterov",
    "Adam uses Nesterov's look-ahead, as NAdam does.",
    lines=("d = (β₁ m + (1 − β₁) g) / (1 − β₁ᵗ) / (√v̂ + ε)", "d = m / (1 − β₁ᵗ) / (√v̂ + ε)"),
    adam_step=lambda e, o, p, g, s, t: _along(
        *(e, o, p, g, s, t),
        lambda m: (e.num(o.betas[0]) * m + (1 - e.num(o.betas[0])) * g) / e.adam_correction1(o, t),
    ),
)
adam_bug(
    "adam-without-mean",
    "Adam's step uses the gradient instead of its mean.",
    lines=("d = g / (√v̂ + ε)", "d = m̂ / (√v̂ + ε)"),
    adam_step=lambda e, o, p, g, s, t: _along(e, o, p, g, s, t, lambda _: g),
)


def _along(
    e: Textbook,
    o: Options,
    p: Array,
    g: Array,
    s: dict[str, Array],
    t: int,
    direction: Callable[[Array], Array],
) -> Array:
    """Do Adam's step along another direction than the corrected mean."""
    Textbook.adam_step(e, o, p, g, s, t)
    v = s["max_exp_avg_sq" if o.amsgrad else "exp_avg_sq"]
    return p - e.num(o.lr) * (direction(s["exp_avg"]) / e.adam_root(o, v, t))


amsgrad_bug(
    "amsgrad-ignored",
    "The option amsgrad is ignored.",
    lines=("√v̂", "√(max(v_max, v) / (1 − β₂ᵗ))"),
    **with_options("adam_step", amsgrad=False),
)


class ForgetsTheMaximum(Textbook):
    def adam_step(self, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
        old = s.get("max_exp_avg_sq")
        p = super().adam_step(o, p, g, s, t)
        if old is not None:
            s["max_exp_avg_sq"] = old
        return p


amsgrad_bug(
    "amsgrad-maximum-not-kept",
    "AMSGrad computes the maximum, but does not store it.",
    lines=("v_max stays as it was", "v_max ← max(v_max, v)"),
    source="chainer",
    base=ForgetsTheMaximum,
)
amsgrad_bug(
    "amsgrad-of-corrected",
    "AMSGrad computes the maximum of the corrected means.",
    lines=("v_max ← max(v_max, v̂)", "v_max ← max(v_max, v), corrected afterwards"),
    source="optax",
    adam_maximum=lambda e, o, old, v, t: np.maximum(old, v / e.adam_correction2(o, t)),
    adam_root=lambda e, o, v, t: (
        np.sqrt(v) + e.num(o.eps) if o.amsgrad else Textbook.adam_root(e, o, v, t)
    ),
)


class KeepsTheMaximumAsMean(Textbook):
    def adam_step(self, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
        p = super().adam_step(o, p, g, s, t)
        if o.amsgrad:
            s["exp_avg_sq"] = s["max_exp_avg_sq"].copy()
        return p


amsgrad_bug(
    "amsgrad-overwrites-mean",
    "AMSGrad stores the maximum in the mean of squares as well.",
    lines=("v ← max(v_max, v)", "v_max ← max(v_max, v), v as it is"),
    base=KeepsTheMaximumAsMean,
)
amsgrad_bug(
    "amsgrad-minimum",
    "AMSGrad uses the minimum instead of the maximum.",
    lines=("v_max ← min(v_max, v)", "v_max ← max(v_max, v)"),
    adam_maximum=lambda e, o, old, v, t: np.minimum(old, v),
)
adamw_bug(
    "adamw-decay-without-lr",
    "The decay of AdamW lacks the learning rate.",
    lines=("p ← (1 − λ) p", "p ← (1 − lr λ) p"),
    source="chainer, Flux",
    adamw_decayed=lambda e, o, p: p * (1 - e.num(o.weight_decay)),
)
adamw_bug(
    "adamw-is-adam",
    "The decay of AdamW is part of the means, as in Adam.",
    lines=("g ← g + λ p", "p ← (1 − lr λ) p"),
    adamw=lambda e, o, p, g, s, t: e.adam(o, p, g, s, t),
)
adamw_bug(
    "adamw-decay-after-update",
    "AdamW applies the decay after the update.",
    lines=("p ← (1 − lr λ) (p − lr d)", "p ← (1 − lr λ) p − lr d"),
    adamw=lambda e, o, p, g, s, t: e.adamw_decayed(o, e.adam_step(o, p, e.uphill(o, g), s, t)),
)
adamw_bug(
    "adamw-decay-corrected",
    "The decay of AdamW uses the learning rate after the bias correction.",
    lines=("p ← (1 − lr λ / (1 − β₁ᵗ)) p", "p ← (1 − lr λ) p"),
    **with_options(
        "adamw_decayed", lr=lambda e, o: e.num(o.lr) / Textbook.adam_correction1(e, o, e.now)
    ),
)
