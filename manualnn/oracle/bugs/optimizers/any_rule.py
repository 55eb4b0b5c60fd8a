"""Bugs of any update rule: sign, learning rate, weight decay, ε."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Bug, Methods, add_bug, change, roots, with_options
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
DECAY = ("gradient", "adamw_decayed")
"""Methods that apply the weight decay."""
bug = partial(add_bug, BUGS, "optimizers")
any_bug = partial(bug, killed_by="optimizer.*:*")
decay_bug = partial(bug, killed_by="optimizer.*.weight_decay:*")
eps_bug = partial(bug, killed_by="optimizer.*.eps:*")

any_bug(
    "update-uphill",
    "The update adds the step instead of subtracting it.",
    lines=("p ← p + lr d", "p ← p − lr d"),
    moved=lambda e, o, p, d, lr: p + lr * d,
)
any_bug(
    "lr-applied-twice",
    "The learning rate is applied twice.",
    lines=("p ← p − lr² d", "p ← p − lr d"),
    source="Optimisers.jl",
    moved=lambda e, o, p, d, lr: p - e.num(o.lr) * lr * d,
)
any_bug(
    "lr-over-n",
    "The learning rate is divided by the number of samples.",
    lines=("p ← p − lr / N d", "p ← p − lr d"),
    moved=lambda e, o, p, d, lr: p - lr / len(e.x) * d,
)
any_bug(
    "update-forgotten",
    "The parameters are not updated.",
    lines=("p ← p", "p ← p − lr d"),
    moved=lambda e, o, p, d, lr: p,
)
any_bug(
    "bias-not-updated",
    "Biases are not updated.",
    lines=("b ← b", "b ← b − lr d"),
    moved=lambda e, o, p, d, lr: p if p.ndim == 1 else p - lr * d,
)
any_bug(
    "weights-not-updated-below-the-last",
    "Only the last layer's parameters are updated.",
    lines=("θₗ ← θₗ for all but the last layer", "θₗ ← θₗ − lr dₗ"),
    updated=lambda e, o, key, p, g, s: (
        Textbook.updated(e, o, key, p, g, s)
        if int(key.partition(".")[0]) == max(q.i for q in e.layers if q.type == "Linear")
        else p
    ),
)
bug(
    "maximize-ignored",
    "The option maximize is ignored.",
    lines=("g ← g", "g ← −g with maximize"),
    killed_by="optimizer.*.maximize:*",
    uphill=lambda e, o, g: g,
)
any_bug(
    "maximize-flips-decay",
    "With maximize, the weight decay has the wrong sign as well: weights grow.",
    lines=("g ← −(g + λ p)", "g ← −g + λ p"),
    gradient=lambda e, o, p, g: e.uphill(o, Textbook.gradient(e, change(o, maximize=False), p, g)),
)
decay_bug(
    "decay-ignored",
    "The option weight_decay is ignored.",
    lines=("g ← g", "g ← g + λ p"),
    gradient=lambda e, o, p, g: e.uphill(o, g),
    adamw_decayed=lambda e, o, p: p,
)


def _scaled_decay(factor: float) -> Methods:
    return with_options(*DECAY, weight_decay=lambda e, o: factor * e.num(o.weight_decay))


decay_bug(
    "decay-doubled",
    "The weight decay has the factor 2 from the derivative of λ p²; torch's has no such factor.",
    lines=("g ← g + 2 λ p", "g ← g + λ p"),
    **_scaled_decay(2),
)
decay_bug(
    "decay-halved",
    "The weight decay is halved.",
    lines=("g ← g + ½ λ p", "g ← g + λ p"),
    **_scaled_decay(0.5),
)
decay_bug(
    "decay-negated",
    "The weight decay has the wrong sign: weights grow.",
    lines=("g ← g − λ p", "g ← g + λ p"),
    **_scaled_decay(-1),
)
decay_bug(
    "decay-over-n",
    "The weight decay is divided by the number of samples.",
    lines=("g ← g + λ / N p", "g ← g + λ p"),
    **with_options(*DECAY, weight_decay=lambda e, o: e.num(o.weight_decay) / len(e.x)),
)
decay_bug(
    "decay-skips-bias",
    "The weight decay is not applied to biases.",
    lines=("g ← g for b", "g ← g + λ p, also for b"),
    gradient=lambda e, o, p, g: e.uphill(o, g) if p.ndim == 1 else Textbook.gradient(e, o, p, g),
    adamw_decayed=lambda e, o, p: p if p.ndim == 1 else Textbook.adamw_decayed(e, o, p),
)
decay_bug(
    "decay-of-signs",
    "The decay is that of Σ |p|: every weight is reduced by the same amount.",
    lines=("g ← g + λ sign(p)", "g ← g + λ p"),
    gradient=lambda e, o, p, g: (
        e.uphill(o, g) + e.num(o.weight_decay) * np.sign(p) if o.weight_decay else e.uphill(o, g)
    ),
)


class Decoupled(Textbook):
    def gradient(self, o: Options, p: Array, g: Array) -> Array:
        return self.uphill(o, g)

    def updated(self, o: Options, key: str, p: Array, g: Array, s: dict[str, Array]) -> Array:
        if o.type != "AdamW":
            p = self.adamw_decayed(o, p)
        return super().updated(o, key, p, g, s)


decay_bug(
    "decay-decoupled",
    "The weight decay is that of AdamW: it is not part of the gradient.",
    lines=("p ← (1 − lr λ) p, then the rule for g", "g ← g + λ p, then the rule for g"),
    base=Decoupled,
)
bug(
    "gradient-returned-with-decay",
    "The returned gradients contain the weight decay.",
    lines=("∂L/∂p = g + λ p", "∂L/∂p = g"),
    killed_by="*:grads",
    result=lambda e, value, dx: {
        **Textbook.result(e, value, dx),
        "grads": {
            key: g
            if e.rule is None
            else e.gradient(change(e.rule, maximize=False), e.array(e.case.params[key]), g)
            for key, g in e.grads.items()
        },
    },
)
bug(
    "loss-after-update",
    "The returned loss is that of the parameters after the update.",
    lines=("L(θ after)", "L(θ before)"),
    killed_by="*:loss",
    result=lambda e, value, dx: {
        **Textbook.result(e, value, dx),
        "loss": e.value(e.loss, e.forward(e.x)[-1], e.t),
    },
)
bug(
    "outputs-after-update",
    "The returned outputs are those of the parameters after the update.",
    lines=("y(x, θ after)", "y(x, θ before)"),
    killed_by="*:outputs",
    result=lambda e, value, dx: {
        **Textbook.result(e, value, dx),
        "outputs": e.forward(e.x)[-1].copy(),
    },
)


def _forward_from_the_start(e: Textbook, x: Array) -> list[Array]:
    now, e.params = e.params, {k: e.array(a) for k, a in e.case.params.items()}
    ys = Textbook.forward(e, x)
    e.params = now
    return ys


bug(
    "first-steps-gradient-kept",
    "All updates of a call use the gradient of the first one.",
    lines=("g = ∂L/∂θ at θ₀", "g = ∂L/∂θ at θₜ"),
    killed_by="steps:*",
    forward=_forward_from_the_start,
)
eps_bug(
    "eps-inside-root",
    "ε is inside the root.",
    lines=("d = m / √(v + ε)", "d = m / (√v + ε)"),
    source="Keras #17391, optax, Torchy",
    **roots(lambda v, eps: np.sqrt(v + eps)),
)
eps_bug(
    "eps-missing",
    "ε is missing.",
    lines=("d = m / √v", "d = m / (√v + ε)"),
    **roots(lambda v, eps: np.sqrt(v)),
)
eps_bug(
    "eps-as-minimum",
    "ε is a lower bound of the root instead of being added.",
    lines=("d = m / max(√v, ε)", "d = m / (√v + ε)"),
    **roots(lambda v, eps: np.maximum(np.sqrt(v), eps)),
)
eps_bug(
    "eps-fixed",
    "The option eps is ignored: ε is always 1e-8.",
    lines=("ε = 1e-8", "ε as given"),
    **with_options("rmsprop_root", "adagrad_root", "adam_root", eps=1e-8),
)
any_bug(
    "root-missing",
    "The root is missing, so that the step is divided by the mean square.",
    lines=("d = m / (v + ε)", "d = m / (√v + ε)"),
    **roots(lambda v, eps: v + eps),
)
any_bug(
    "squares-not-squared",
    "The gradient is not squared before it is averaged.",
    lines=("v ← β v + (1 − β) |g|", "v ← β v + (1 − β) g²"),
    rmsprop_square=lambda e, o, v, g: e.num(o.alpha) * v + (1 - e.num(o.alpha)) * np.abs(g),
    adagrad_sum=lambda e, o, s, g: s + np.abs(g),
    adam_square=lambda e, o, v, g, t: e.num(o.betas[1]) * v + (1 - e.num(o.betas[1])) * np.abs(g),
)


class UsesOldSquares(Textbook):
    at = ""

    def updated(self, o: Options, key: str, p: Array, g: Array, s: dict[str, Array]) -> Array:
        self.at = key
        return super().updated(o, key, p, g, s)

    def rmsprop_variance(self, o: Options, v: Array, m: Array) -> Array:
        old = self.state
        return super().rmsprop_variance(o, old["square_avg"][self.at], old["grad_avg"][self.at])

    def rmsprop_root(self, o: Options, v: Array) -> Array:
        return super().rmsprop_root(o, v if o.centered else self.state["square_avg"][self.at])

    def adagrad_root(self, o: Options, s: Array) -> Array:
        return super().adagrad_root(o, self.state["sum"][self.at])


any_bug(
    "old-squares",
    "The step is divided by the root of the squares without the current gradient.",
    lines=("d = g / (√vₜ₋₁ + ε)", "d = g / (√vₜ + ε)"),
    base=UsesOldSquares,
)
