"""Bugs of Rprop and Lion."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("optimizers")
SIZE = "η ← min(max(η, Γ₋), Γ₊)"
KEPT = "g ← 0 where g g′ < 0"
WAY = "θ ← θ − lr sign(β₁ m + (1 − β₁) g)"

BUGS["rprop-keeps-gradient"] = bug(
    "Rprop does not set the gradient to 0 where its sign changes, so that it steps at once.",
    lines=("g where g g′ < 0", KEPT),
    rprop_kept=lambda e, o, g, change: g.copy(),
)
BUGS["rprop-etas-swapped"] = bug(
    "Rprop shrinks its steps where the sign stays, and enlarges them where it changes.",
    lines=("η η₋ where g g′ > 0, η η₊ where g g′ < 0", "η η₊ where g g′ > 0, η η₋ where g g′ < 0"),
    rprop_factor=lambda e, o, change: Textbook.rprop_factor(e, o, -change),
)
BUGS["rprop-unlimited"] = bug(
    "Rprop does not limit the sizes of its steps, or from one side only.",
    lines=("η, max(η, Γ₋) or min(η, Γ₊)", SIZE),
    limited=[
        lambda o, size: size,
        lambda o, size: np.maximum(size, o.step_sizes[0]),
        lambda o, size: np.minimum(size, o.step_sizes[1]),
    ],
    rprop_limited=lambda e, o, size: type(e).limited(o, size),
)
BUGS["rprop-scaled-by-gradient"] = bug(
    "Rprop multiplies its step by the gradient instead of the gradient's sign.",
    lines=("θ ← θ − η g", "θ ← θ − η sign(g)"),
    rprop_step=lambda e, o, g, size: g * size,
)
BUGS["rprop-scaled-by-rate"] = bug(
    "Rprop multiplies each step by the learning rate, which is its first size already.",
    lines=("θ ← θ − lr η sign(g)", "θ ← θ − η sign(g)"),
    rprop_step=lambda e, o, g, size: np.sign(g) * size * e.num(o.lr),
)
BUGS["rprop-grows-where-unknown"] = bug(
    "Rprop enlarges or shrinks its step where one of the gradients is 0, as in the first step.",
    lines=("η η₊ where g g′ ≥ 0, or η η₋ where g g′ ≤ 0", "η where g g′ = 0"),
    unknown=[1, -1],
    rprop_factor=lambda e, o, change: Textbook.rprop_factor(
        e, o, np.where(change == 0, e.array(e.unknown), change)
    ),
)
BUGS["lion-average-before-step"] = bug(
    "Lion steps along its new average, as signSGD with momentum does.",
    lines=("θ ← θ − lr sign(m) after m ← β₂ m + (1 − β₂) g", WAY),
    lion_direction=lambda e, o, m, g: np.sign(e.average(m, g, o.betas[1])),
)
BUGS["lion-betas-swapped"] = bug(
    "Lion uses β₂ for its step and β₁ for its average.",
    lines=("sign(β₂ m + (1 − β₂) g), m ← β₁ m + (1 − β₁) g", "β₁ for the step, β₂ for m"),
    lion_direction=lambda e, o, m, g: np.sign(e.average(m, g, o.betas[1])),
    lion_mean=lambda e, o, m, g: e.average(m, g, o.betas[0]),
)
BUGS["lion-one-beta"] = bug(
    "Lion averages with β₁, the β of its step.",
    lines=("m ← β₁ m + (1 − β₁) g", "m ← β₂ m + (1 − β₂) g"),
    lion_mean=lambda e, o, m, g: e.average(m, g, o.betas[0]),
)
BUGS["lion-keeps-step"] = bug(
    "Lion averages from the direction of its step, not from its old average.",
    lines=("m ← β₂ c + (1 − β₂) g, c = β₁ m + (1 − β₁) g", "m ← β₂ m + (1 − β₂) g"),
    lion_mean=lambda e, o, m, g: e.average(e.average(m, g, o.betas[0]), g, o.betas[1]),
)
BUGS["lion-without-sign"] = bug(
    "Lion lacks the sign: it steps along its average.",
    lines=("θ ← θ − lr (β₁ m + (1 − β₁) g)", WAY),
    lion_direction=lambda e, o, m, g: e.average(m, g, o.betas[0]),
)


def _coupled(e: Textbook, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
    g, m = e.gradient(o, p, g), s["exp_avg"]
    s["exp_avg"] = e.lion_mean(o, m, g)
    return np.asarray(e.moved(o, p, e.lion_direction(o, m, g), e.num(o.lr)))


BUGS["lion-decay-in-gradient"] = bug(
    "The weight decay of Lion is added to the gradient.",
    lines=("g ← g + λ θ", "θ ← θ − lr λ θ"),
    killed_by="optimizer.Lion.weight_decay:*",
    lion=_coupled,
)
