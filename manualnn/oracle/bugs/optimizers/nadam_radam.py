"""Bugs of NAdam and RAdam."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("optimizers")
OF_GRADIENT = "(1 − μₜ) / (1 − μ₁ μ₂ … μₜ) g"
OF_MEAN = "μₜ₊₁ / (1 − μ₁ μ₂ … μₜ₊₁) m"
MOMENTUM = "μₜ = β₁ (1 − ½ 0.96^(t ψ))"
RATE = "lr r √(1 − β₂ᵗ) / (√v + ε)"


def _root_of_paper(e: Textbook, o: Options, v: Array, t: int) -> Array:
    """Return √v + ε √(1 − β₂ᵗ), which is √v̂ + ε after the correction."""
    return np.asarray(np.sqrt(v) + e.num(o.eps) * np.sqrt(e.adam_correction2(o, t)))


BUGS["nadam-without-product"] = bug(
    "NAdam corrects with 1 − β₁ᵗ, or with the last momentum, not with the product of all.",
    lines=("1 − β₁ᵗ or 1 − μₜ", "1 − μ₁ μ₂ … μₜ"),
    product=[
        lambda e, o, t: e.num(o.betas[0]) ** t,
        Textbook.nadam_momentum,
    ],
    nadam_product=lambda e, o, t: type(e).product(e, o, t),
)
BUGS["nadam-momentum-of-now"] = bug(
    "NAdam takes the momentum of this step for the average, not that of the next step.",
    lines=("μₜ / (1 − μ₁ μ₂ … μₜ) m", OF_MEAN),
    nadam_mean_share=lambda e, o, t: e.nadam_momentum(o, t) / (1 - e.nadam_product(o, t)),
)
BUGS["nadam-corrected-by-now"] = bug(
    "NAdam corrects its average with the product of momenta without the next one.",
    lines=("μₜ₊₁ / (1 − μ₁ μ₂ … μₜ) m", OF_MEAN),
    nadam_mean_share=lambda e, o, t: e.nadam_momentum(o, t + 1) / (1 - e.nadam_product(o, t)),
)
BUGS["nadam-without-gradient"] = bug(
    "NAdam steps along its average alone, as Adam does.",
    lines=("d = m̂ / (√v̂ + ε)", f"d = ({OF_GRADIENT} + …) / (√v̂ + ε)"),
    nadam_gradient_share=lambda e, o, t: e.array(0.0),
    nadam_mean_share=lambda e, o, t: 1 / e.adam_correction1(o, t),
)
BUGS["nadam-gradient-uncorrected"] = bug(
    "NAdam does not correct the gradient's share of its step.",
    lines=("(1 − μₜ) g", OF_GRADIENT),
    nadam_gradient_share=lambda e, o, t: 1 - e.nadam_momentum(o, t),
)
BUGS["nadam-momentum-whole"] = bug(
    "The momentum of NAdam lacks the ½, or its warm-up counts from 0.",
    lines=("μₜ = β₁ (1 − 0.96^(t ψ)), or t − 1", MOMENTUM),
    momentum=[
        lambda e, o, t: e.num(o.betas[0]) * (1 - e.nadam_warmth(o, t)),
        lambda e, o, t: Textbook.nadam_momentum(e, o, t - 1),
    ],
    nadam_momentum=lambda e, o, t: type(e).momentum(e, o, t),
)
BUGS["radam-without-rectification"] = bug(
    "RAdam lacks its factor r: it is Adam after some plain steps.",
    lines=("lr √(1 − β₂ᵗ) / (√v + ε)", RATE),
    radam_share=lambda e, o, t: e.array(1.0),
)
BUGS["radam-share-without-root"] = bug(
    "The factor r of RAdam lacks its root, or is the quotient of the wrong end.",
    lines=("r = (ρₜ − 4) (ρₜ − 2) ρₘ / …, or its inverse", "r = √((ρₜ − 4) (ρₜ − 2) ρₘ / …)"),
    share=[lambda r: r * r, lambda r: 1 / r],
    radam_share=lambda e, o, t: type(e).share(Textbook.radam_share(e, o, t)),
)
BUGS["radam-always-adaptive"] = bug(
    "RAdam divides by its root from the first step: r is 1, or 0, where it is unknown.",
    lines=("r = 1, or 0, where ρₜ ≤ 5", "θ ← θ − lr m̂ where ρₜ ≤ 5"),
    early=[1.0, 0.0],
    radam_is_reliable=lambda e, o, t: True,
    radam_share=lambda e, o, t: (
        Textbook.radam_share(e, o, t) if Textbook.radam_is_reliable(e, o, t) else e.array(e.early)
    ),
)
BUGS["radam-limit"] = bug(
    "RAdam begins to divide by its root above another length than 5: 4, as in the paper, or 6.",
    lines=("where ρₜ > 4, or > 6", "where ρₜ > 5"),
    source="Liu et al. 2020; PyTorch, tf.addons: 5",
    limit=[4, 6],
    radam_is_reliable=lambda e, o, t: bool(e.radam_length(o, t) > e.limit),
)
BUGS["radam-length-without-steps"] = bug(
    "The length ρₜ of RAdam lacks the number of steps; the rest may be as in the paper.",
    lines=("ρₜ = ρₘ − 2 β₂ᵗ / (1 − β₂ᵗ)", "ρₜ = ρₘ − 2 t β₂ᵗ / (1 − β₂ᵗ)"),
    source="borgwang/tinynn",
    limit=[5, 4],
    radam_root=[Textbook.radam_root, _root_of_paper],
    radam_length=lambda e, o, t: (
        2 / (1 - (beta := e.num(o.betas[1]))) - 1 - 2 * beta**t / e.adam_correction2(o, t)
    ),
    radam_is_reliable=lambda e, o, t: bool(e.radam_length(o, t) > e.limit),
)
BUGS["radam-early-uncorrected"] = bug(
    "The early steps of RAdam lack the correction of the average.",
    lines=("θ ← θ − lr m", "θ ← θ − lr m̂"),
    radam_early=lambda e, o, m, t: m * e.adam_correction1(o, t),
)
BUGS["radam-eps-after-correction"] = bug(
    "ε of RAdam is added to the corrected root, as in Adam.",
    lines=("lr r m̂ / (√v̂ + ε)", RATE),
    radam_root=_root_of_paper,
)
BUGS["radam-squares-uncorrected"] = bug(
    "RAdam does not correct its squares.",
    lines=("lr r m̂ / (√v + ε)", RATE),
    radam_factor=lambda e, o, t: e.radam_share(o, t),
)
