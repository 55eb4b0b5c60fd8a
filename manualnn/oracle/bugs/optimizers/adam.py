"""Mistakes in Adam and AdamW."""

from collections.abc import Callable
from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Bug, but, plant
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "optimizers")

bug(
    "adam-uncorrected",
    "Adam's means are not corrected for their start from 0.",
    wrong="m̂ = m, v̂ = v",
    right="m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)",
    source="mlx",
    killed_by="optimizer.Adam*:*",
    adam_correction1=lambda e, o, t: 1,
    adam_correction2=lambda e, o, t: 1,
)
bug(
    "adam-first-moment-uncorrected",
    "Adam's mean of gradients is not corrected for its start from 0.",
    wrong="m̂ = m",
    right="m̂ = m / (1 − β₁ᵗ)",
    killed_by="optimizer.Adam*:*",
    adam_correction1=lambda e, o, t: 1,
)
bug(
    "adam-second-moment-uncorrected",
    "Adam's mean of squares is not corrected for its start from 0.",
    wrong="v̂ = v",
    right="v̂ = v / (1 − β₂ᵗ)",
    killed_by="optimizer.Adam*:*",
    adam_correction2=lambda e, o, t: 1,
)
bug(
    "adam-correction-dropped-late",
    "Adam's bias correction ends at a fixed step, where it is not yet 1.",
    wrong="m̂ = m, v̂ = v from some step on",
    right="m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)",
    killed_by="optimizer.Adam*:*",
    variants=[{"limit": limit} for limit in (10, 100, 1000)],
    adam_correction1=lambda e, o, t: Textbook.adam_correction1(e, o, t) if t <= e.limit else 1,
    adam_correction2=lambda e, o, t: Textbook.adam_correction2(e, o, t) if t <= e.limit else 1,
)
bug(
    "adam-correction-product",
    "Adam's power is a product: β t in place of βᵗ.",
    wrong="1 − β t",
    right="1 − βᵗ",
    killed_by="optimizer.Adam*:*",
    adam_correction1=lambda e, o, t: e.array(1 - e.num(o.betas[0]) * t),
    adam_correction2=lambda e, o, t: e.array(1 - e.num(o.betas[1]) * t),
)
bug(
    "adam-power-in-float32",
    "The powers of Adam's β are kept in float32: 1 − βᵗ is off by up to t roundings.",
    wrong="float32(β)ᵗ",
    right="βᵗ in float64",
    killed_by="optimizer.Adam*:*",
    adam_correction1=lambda e, o, t: 1 - e.num(np.float32(o.betas[0]) ** np.float32(t)),
    adam_correction2=lambda e, o, t: 1 - e.num(np.float32(o.betas[1]) ** np.float32(t)),
)
bug(
    "adam-correction-multiplied",
    "Adam's means are multiplied by their corrections.",
    wrong="m̂ = m (1 − β₁ᵗ), v̂ = v (1 − β₂ᵗ)",
    right="m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)",
    killed_by="optimizer.Adam*:*",
    adam_correction1=lambda e, o, t: 1 / Textbook.adam_correction1(e, o, t),
    adam_correction2=lambda e, o, t: 1 / Textbook.adam_correction2(e, o, t),
)
bug(
    "adam-eps-before-correction",
    "ε is added to the root before that is corrected: ε √(1 − β₂ᵗ)⁻¹ in effect.",
    wrong="d = m̂ √(1 − β₂ᵗ) / (√v + ε)",
    right="d = m̂ / (√v̂ + ε)",
    source="scikit-learn",
    killed_by="optimizer.Adam*.eps:*",
    adam_root=lambda e, o, v, t: (np.sqrt(v) + e.num(o.eps)) / e.adam_correction2(o, t) ** 0.5,
)
bug(
    "adam-root-uncorrected-correction",
    "The correction of the mean square is taken out of the root without its root.",
    wrong="d = m̂ / (√v / (1 − β₂ᵗ) + ε)",
    right="d = m̂ / (√(v / (1 − β₂ᵗ)) + ε)",
    killed_by="optimizer.Adam*:*",
    adam_root=lambda e, o, v, t: np.sqrt(v) / e.adam_correction2(o, t) + e.num(o.eps),
)
bug(
    "adam-betas-swapped",
    "Adam's β₁ and β₂ are swapped.",
    wrong="m ← β₂ m + …, v ← β₁ v + …",
    right="m ← β₁ m + …, v ← β₂ v + …",
    killed_by="optimizer.Adam*:*",
    adam_step=lambda e, o, p, g, s, t: Textbook.adam_step(
        e, but(o, betas=o.betas[::-1]), p, g, s, t
    ),
)
bug(
    "adam-complement-missing",
    "Adam's means take the whole of every new gradient.",
    wrong="m ← β₁ m + g, v ← β₂ v + g²",
    right="m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²",
    killed_by="optimizer.Adam*:*",
    adam_mean=lambda e, o, m, g, t: e.num(o.betas[0]) * m + g,
    adam_square=lambda e, o, v, g, t: e.num(o.betas[1]) * v + g * g,
)
bug(
    "adam-complements-swapped",
    "In Adam's means β and 1 − β are swapped.",
    wrong="m ← (1 − β₁) m + β₁ g, v ← (1 − β₂) v + β₂ g²",
    right="m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²",
    killed_by="optimizer.Adam*:*",
    adam_mean=lambda e, o, m, g, t: (1 - e.num(o.betas[0])) * m + e.num(o.betas[0]) * g,
    adam_square=lambda e, o, v, g, t: (1 - e.num(o.betas[1])) * v + e.num(o.betas[1]) * (g * g),
)


def _squares_the_mean(
    e: Textbook, o: Options, p: Array, g: Array, s: dict[str, Array], t: int
) -> Array:
    s["exp_avg"] = m = e.adam_mean(o, s["exp_avg"], g, t)
    s["exp_avg_sq"] = v = e.adam_square(o, s["exp_avg_sq"], m, t)
    if o.amsgrad:
        s["max_exp_avg_sq"] = v = e.adam_maximum(o, s["max_exp_avg_sq"], v, t)
    return p - e.num(o.lr) / e.adam_correction1(o, t) * (m / e.adam_root(o, v, t))


bug(
    "adam-square-of-mean",
    "Adam's second moment averages the square of the mean, not of the gradient.",
    wrong="v ← β₂ v + (1 − β₂) m²",
    right="v ← β₂ v + (1 − β₂) g²",
    killed_by="optimizer.Adam*:*",
    adam_step=_squares_the_mean,
)
bug(
    "adam-nesterov",
    "Adam looks ahead as NAdam does.",
    wrong="d = (β₁ m + (1 − β₁) g) / (1 − β₁ᵗ) / (√v̂ + ε)",
    right="d = m / (1 − β₁ᵗ) / (√v̂ + ε)",
    killed_by="optimizer.Adam*:*",
    adam_step=lambda e, o, p, g, s, t: _along(
        *(e, o, p, g, s, t),
        lambda m: (e.num(o.betas[0]) * m + (1 - e.num(o.betas[0])) * g) / e.adam_correction1(o, t),
    ),
)
bug(
    "adam-without-mean",
    "Adam's step takes the gradient in place of its mean.",
    wrong="d = g / (√v̂ + ε)",
    right="d = m̂ / (√v̂ + ε)",
    killed_by="optimizer.Adam*:*",
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
    """Take Adam's step with another direction than the corrected mean."""
    Textbook.adam_step(e, o, p, g, s, t)
    v = s["max_exp_avg_sq" if o.amsgrad else "exp_avg_sq"]
    return p - e.num(o.lr) * (direction(s["exp_avg"]) / e.adam_root(o, v, t))


bug(
    "amsgrad-ignored",
    "The option amsgrad is ignored.",
    wrong="√v̂",
    right="√(max(v_max, v) / (1 − β₂ᵗ))",
    killed_by="optimizer.Adam*.amsgrad:*",
    adam_step=lambda e, o, p, g, s, t: Textbook.adam_step(e, but(o, amsgrad=False), p, g, s, t),
)


class ForgetsTheMaximum(Textbook):
    def adam_step(self, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
        old = s.get("max_exp_avg_sq")
        p = super().adam_step(o, p, g, s, t)
        if old is not None:
            s["max_exp_avg_sq"] = old
        return p


bug(
    "amsgrad-maximum-not-kept",
    "AMSGrad's maximum is taken and not stored.",
    wrong="v_max stays as it was",
    right="v_max ← max(v_max, v)",
    source="chainer",
    killed_by="optimizer.Adam*.amsgrad:*",
    base=ForgetsTheMaximum,
)
bug(
    "amsgrad-of-corrected",
    "AMSGrad's maximum is taken over the corrected means.",
    wrong="v_max ← max(v_max, v̂)",
    right="v_max ← max(v_max, v), corrected afterwards",
    source="optax",
    killed_by="optimizer.Adam*.amsgrad:*",
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


bug(
    "amsgrad-overwrites-mean",
    "AMSGrad's maximum is stored in place of the mean of squares.",
    wrong="v ← max(v_max, v)",
    right="v_max ← max(v_max, v), v as it is",
    killed_by="optimizer.Adam*.amsgrad:*",
    base=KeepsTheMaximumAsMean,
)
bug(
    "amsgrad-minimum",
    "AMSGrad takes the minimum.",
    wrong="v_max ← min(v_max, v)",
    right="v_max ← max(v_max, v)",
    killed_by="optimizer.Adam*.amsgrad:*",
    adam_maximum=lambda e, o, old, v, t: np.minimum(old, v),
)
bug(
    "adamw-decay-without-lr",
    "AdamW's decay lacks the learning rate.",
    wrong="p ← (1 − λ) p",
    right="p ← (1 − lr λ) p",
    source="chainer, Flux",
    killed_by="optimizer.AdamW*:*",
    adamw_decayed=lambda e, o, p: p * (1 - e.num(o.weight_decay)),
)
bug(
    "adamw-is-adam",
    "AdamW's decay goes through the means, as Adam's does.",
    wrong="g ← g + λ p",
    right="p ← (1 − lr λ) p",
    killed_by="optimizer.AdamW*:*",
    adamw=lambda e, o, p, g, s, t: e.adam(o, p, g, s, t),
)
bug(
    "adamw-decay-after-update",
    "AdamW decays what the update has made.",
    wrong="p ← (1 − lr λ) (p − lr d)",
    right="p ← (1 − lr λ) p − lr d",
    killed_by="optimizer.AdamW*:*",
    adamw=lambda e, o, p, g, s, t: e.adamw_decayed(o, e.adam_step(o, p, e.uphill(o, g), s, t)),
)
bug(
    "adamw-decay-corrected",
    "AdamW's decay takes the rate after the bias correction.",
    wrong="p ← (1 − lr λ / (1 − β₁ᵗ)) p",
    right="p ← (1 − lr λ) p",
    killed_by="optimizer.AdamW*:*",
    adamw_decayed=lambda e, o, p: Textbook.adamw_decayed(
        e, but(o, lr=e.num(o.lr) / e.adam_correction1(o, e.now)), p
    ),
)
