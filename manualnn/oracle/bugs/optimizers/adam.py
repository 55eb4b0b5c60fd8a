"""Bugs of Adam and AdamW."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Method, Methods, Table, bug
from manualnn.oracle.bugs.edits import KnowsKey, is_of, with_options
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("optimizers")
State = dict[str, Array]
amsgrad_bug = partial(bug, killed_by="optimizer.Adam*.amsgrad:*")


def _corrections(compute: Callable[[Any, float, int], Any]) -> Methods:
    """Return both bias corrections, each as compute(e, β, t)."""
    return {
        "adam_correction1": lambda e, o, t: compute(e, o.betas[0], t),
        "adam_correction2": lambda e, o, t: compute(e, o.betas[1], t),
    }


def _along(direction: Callable[[Any, Options, Array, Array, int], Array]) -> Method:
    """Return Adam's step along direction(e, o, m, g, t) instead of the corrected mean."""

    def adam_step(e: Textbook, o: Options, p: Array, g: Array, s: State, t: int) -> Array:
        Textbook.adam_step(e, o, p, g, s, t)
        v = s["max_exp_avg_sq" if o.amsgrad else "exp_avg_sq"]
        return p - e.num(o.lr) * (direction(e, o, s["exp_avg"], g, t) / e.adam_root(o, v, t))

    return adam_step


def _storing(choose: Callable[[State, State], State]) -> Method:
    """Return Adam's step, with AMSGrad's state changed by choose(state before, state after)."""

    def adam_step(e: Textbook, o: Options, p: Array, g: Array, s: State, t: int) -> Array:
        before = dict(s)
        p = Textbook.adam_step(e, o, p, g, s, t)
        if o.amsgrad:
            s |= choose(before, s)
        return p

    return adam_step


BUGS["adam-uncorrected"] = bug(
    "The bias corrections of Adam's means are missing.",
    lines=("m̂ = m, v̂ = v", "m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)"),
    source="mlx",
    where=is_of("Adam", "AdamW"),
    **_corrections(lambda e, beta, t: 1),
)
BUGS["adam-first-moment-uncorrected"] = bug(
    "The bias correction of Adam's mean of gradients is missing.",
    lines=("m̂ = m", "m̂ = m / (1 − β₁ᵗ)"),
    adam_correction1=lambda e, o, t: 1,
)
BUGS["adam-second-moment-uncorrected"] = bug(
    "The bias correction of Adam's mean of squares is missing.",
    lines=("v̂ = v", "v̂ = v / (1 − β₂ᵗ)"),
    adam_correction2=lambda e, o, t: 1,
)
BUGS["adam-correction-dropped-late"] = bug(
    "Adam's bias correction ends after a fixed number of steps, although it is not yet 1.",
    lines=("m̂ = m, v̂ = v from some step on", "m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)"),
    limit=[10, 100, 1000],
    **_corrections(lambda e, beta, t: 1 - e.num(beta) ** t if t <= e.limit else 1),
)
BUGS["adam-correction-product"] = bug(
    "Adam's power of β is a product: β t instead of βᵗ.",
    lines=("1 − β t", "1 − βᵗ"),
    **_corrections(lambda e, beta, t: e.array(1 - e.num(beta) * t)),
)
BUGS["adam-power-in-float32"] = bug(
    "The powers of Adam's β are computed in float32: 1 − βᵗ has the error of up to t roundings.",
    lines=("float32(β)ᵗ", "βᵗ in float64"),
    **_corrections(lambda e, beta, t: 1 - e.num(np.float32(beta) ** np.float32(t))),
)
BUGS["adam-correction-multiplied"] = bug(
    "Adam's means are multiplied by their bias corrections instead of divided.",
    lines=("m̂ = m (1 − β₁ᵗ), v̂ = v (1 − β₂ᵗ)", "m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)"),
    source="convnetjs #70, whose t counts samples as well",
    count=[lambda e, t: t, lambda e, t: t * max(len(e.x), 1)],
    **_corrections(lambda e, beta, t: 1 / (1 - e.num(beta) ** e.count(t))),
)
BUGS["adam-step-counts-samples"] = bug(
    "The t of Adam's bias corrections counts samples instead of updates.",
    lines=("1 − β^(N t)", "1 − βᵗ"),
    source="convnetjs",
    **_corrections(lambda e, beta, t: 1 - e.num(beta) ** (t * max(len(e.x), 1))),
)
BUGS["adam-eps-before-correction"] = bug(
    "ε is added to the root before the bias correction: its effect is ε / √(1 − β₂ᵗ).",
    lines=("d = m̂ √(1 − β₂ᵗ) / (√v + ε)", "d = m̂ / (√v̂ + ε)"),
    killed_by="optimizer.Adam*.eps:*",
    source="scikit-learn, torchani #261",
    adam_root=lambda e, o, v, t: (np.sqrt(v) + e.num(o.eps)) / e.adam_correction2(o, t) ** 0.5,
)
BUGS["adam-root-uncorrected-correction"] = bug(
    "The bias correction of the mean square is moved out of the root without its root.",
    lines=("d = m̂ / (√v / (1 − β₂ᵗ) + ε)", "d = m̂ / (√(v / (1 − β₂ᵗ)) + ε)"),
    adam_root=lambda e, o, v, t: np.sqrt(v) / e.adam_correction2(o, t) + e.num(o.eps),
)
BUGS["adam-betas-swapped"] = bug(
    "Adam's β₁ and β₂ are swapped.",
    lines=("m ← β₂ m + …, v ← β₁ v + …", "m ← β₁ m + …, v ← β₂ v + …"),
    **with_options("adam_step", betas=lambda e, o: o.betas[::-1]),
)
BUGS["adam-complement-missing"] = bug(
    "Adam's means add each new gradient without the factor 1 − β.",
    lines=("m ← β₁ m + g, v ← β₂ v + g²", "m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²"),
    where=is_of("Adam", "AdamW"),
    adam_mean=lambda e, o, m, g, t: e.num(o.betas[0]) * m + g,
    adam_square=lambda e, o, v, g, t: e.num(o.betas[1]) * v + g * g,
)
BUGS["adam-complements-swapped"] = bug(
    "β and 1 − β are swapped in Adam's means.",
    lines=(
        "m ← (1 − β₁) m + β₁ g, v ← (1 − β₂) v + β₂ g²",
        "m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²",
    ),
    where=is_of("Adam", "AdamW"),
    adam_mean=lambda e, o, m, g, t: (1 - e.num(o.betas[0])) * m + e.num(o.betas[0]) * g,
    adam_square=lambda e, o, v, g, t: (1 - e.num(o.betas[1])) * v + e.num(o.betas[1]) * (g * g),
)
BUGS["adam-square-of-mean"] = bug(
    "Adam's second moment averages the square of the mean instead of the gradient.",
    lines=("v ← β₂ v + (1 − β₂) m²", "v ← β₂ v + (1 − β₂) g²"),
    base=KnowsKey,
    adam_square=lambda e, o, v, g, t: Textbook.adam_square(
        e, o, v, e.adam_mean(o, e.old("exp_avg"), g, t), t
    ),
)
BUGS["adam-nesterov"] = bug(
    "Adam uses Nesterov's look-ahead, as NAdam does.",
    lines=("d = (β₁ m + (1 − β₁) g) / (1 − β₁ᵗ) / (√v̂ + ε)", "d = m / (1 − β₁ᵗ) / (√v̂ + ε)"),
    adam_step=_along(
        lambda e, o, m, g, t: (
            (e.num(o.betas[0]) * m + (1 - e.num(o.betas[0])) * g) / e.adam_correction1(o, t)
        )
    ),
)
BUGS["adam-without-mean"] = bug(
    "Adam's step uses the gradient instead of its mean.",
    lines=("d = g / (√v̂ + ε)", "d = m̂ / (√v̂ + ε)"),
    adam_step=_along(lambda e, o, m, g, t: g),
)
BUGS["amsgrad-ignored"] = amsgrad_bug(
    "The option amsgrad is ignored.",
    lines=("√v̂", "√(max(v_max, v) / (1 − β₂ᵗ))"),
    **with_options("adam_step", amsgrad=False),
)
BUGS["amsgrad-maximum-not-kept"] = amsgrad_bug(
    "AMSGrad computes the maximum, but does not store it.",
    lines=("v_max stays as it was", "v_max ← max(v_max, v)"),
    source="chainer",
    adam_step=_storing(lambda before, after: {"max_exp_avg_sq": before["max_exp_avg_sq"]}),
)
BUGS["amsgrad-of-corrected"] = amsgrad_bug(
    "AMSGrad computes the maximum of the corrected means.",
    lines=("v_max ← max(v_max, v̂)", "v_max ← max(v_max, v), corrected afterwards"),
    source="optax",
    adam_maximum=lambda e, o, old, v, t: np.maximum(old, v / e.adam_correction2(o, t)),
    where=lambda e, o, *given: getattr(o, "amsgrad", False),
    adam_root=lambda e, o, v, t: np.sqrt(v) + e.num(o.eps),
)
BUGS["amsgrad-overwrites-mean"] = amsgrad_bug(
    "AMSGrad stores the maximum in the mean of squares as well.",
    lines=("v ← max(v_max, v)", "v_max ← max(v_max, v), v as it is"),
    adam_step=_storing(lambda before, after: {"exp_avg_sq": after["max_exp_avg_sq"].copy()}),
)
BUGS["amsgrad-minimum"] = amsgrad_bug(
    "AMSGrad uses the minimum instead of the maximum.",
    lines=("v_max ← min(v_max, v)", "v_max ← max(v_max, v)"),
    adam_maximum=lambda e, o, old, v, t: np.minimum(old, v),
)
BUGS["adamw-decay-without-lr"] = bug(
    "The decay of AdamW lacks the learning rate.",
    lines=("p ← (1 − λ) p", "p ← (1 − lr λ) p"),
    source="chainer, Flux",
    adamw_decayed=lambda e, o, p: p * (1 - e.num(o.weight_decay)),
)
BUGS["adamw-is-adam"] = bug(
    "The decay of AdamW is part of the means, as in Adam.",
    lines=("g ← g + λ p", "p ← (1 − lr λ) p"),
    adamw=lambda e, o, p, g, s, t: e.adam(o, p, g, s, t),
)
BUGS["adamw-decay-after-update"] = bug(
    "AdamW applies the decay after the update.",
    lines=("p ← (1 − lr λ) (p − lr d)", "p ← (1 − lr λ) p − lr d"),
    adamw=lambda e, o, p, g, s, t: e.adamw_decayed(o, e.adam_step(o, p, e.uphill(o, g), s, t)),
)
BUGS["adamw-decay-corrected"] = bug(
    "The decay of AdamW uses the learning rate after the bias correction.",
    lines=("p ← (1 − lr λ / (1 − β₁ᵗ)) p", "p ← (1 − lr λ) p"),
    where=lambda e, o, p: hasattr(o, "betas"),
    **with_options(
        "adamw_decayed", lr=lambda e, o: e.num(o.lr) / Textbook.adam_correction1(e, o, e.now)
    ),
)
