"""Mistakes that any update rule may have: its sign, its rate, its decay, its ε."""

from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Bug, but, plant
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "optimizers")

bug(
    "update-uphill",
    "The update goes up the gradient.",
    wrong="p ← p + lr d",
    right="p ← p − lr d",
    killed_by="optimizer.*:*",
    moved=lambda e, o, p, d, lr: p + lr * d,
)
bug(
    "lr-applied-twice",
    "The learning rate is applied twice.",
    wrong="p ← p − lr² d",
    right="p ← p − lr d",
    source="Optimisers.jl",
    killed_by="optimizer.*:*",
    moved=lambda e, o, p, d, lr: p - e.num(o.lr) * lr * d,
)
bug(
    "lr-over-n",
    "The learning rate is divided by the number of samples.",
    wrong="p ← p − lr / N d",
    right="p ← p − lr d",
    killed_by="optimizer.*:*",
    moved=lambda e, o, p, d, lr: p - lr / len(e.x) * d,
)
bug(
    "update-forgotten",
    "The parameters come back as they were.",
    wrong="p ← p",
    right="p ← p − lr d",
    killed_by="optimizer.*:*",
    moved=lambda e, o, p, d, lr: p,
)
bug(
    "bias-not-updated",
    "Biases are not updated.",
    wrong="b ← b",
    right="b ← b − lr d",
    killed_by="optimizer.*:*",
    moved=lambda e, o, p, d, lr: p if p.ndim == 1 else p - lr * d,
)
bug(
    "weights-not-updated-below-the-last",
    "Only the last layer's parameters are updated.",
    wrong="θₗ ← θₗ for all but the last layer",
    right="θₗ ← θₗ − lr dₗ",
    killed_by="optimizer.*:*",
    updated=lambda e, o, key, p, g, s: (
        Textbook.updated(e, o, key, p, g, s)
        if int(key.partition(".")[0]) == max(q.i for q in e.layers if q.type == "Linear")
        else p
    ),
)
bug(
    "maximize-ignored",
    "The option maximize is ignored.",
    wrong="g ← g",
    right="g ← −g with maximize",
    killed_by="optimizer.*.maximize:*",
    uphill=lambda e, o, g: g,
)
bug(
    "maximize-flips-decay",
    "With maximize, the weight decay changes its sign as well: weights grow.",
    wrong="g ← −(g + λ p)",
    right="g ← −g + λ p",
    killed_by="optimizer.*:*",
    gradient=lambda e, o, p, g: e.uphill(o, Textbook.gradient(e, but(o, maximize=False), p, g)),
)
bug(
    "decay-ignored",
    "The option weight_decay is ignored.",
    wrong="g ← g",
    right="g ← g + λ p",
    killed_by="optimizer.*.weight_decay:*",
    gradient=lambda e, o, p, g: e.uphill(o, g),
    adamw_decayed=lambda e, o, p: p,
)


def _decayed(factor: float) -> dict[str, Any]:
    return {
        "gradient": lambda e, o, p, g: Textbook.gradient(
            e, but(o, weight_decay=factor * e.num(o.weight_decay)), p, g
        ),
        "adamw_decayed": lambda e, o, p: Textbook.adamw_decayed(
            e, but(o, weight_decay=factor * e.num(o.weight_decay)), p
        ),
    }


bug(
    "decay-doubled",
    "The weight decay has the factor 2 of λ p², which torch's has not.",
    wrong="g ← g + 2 λ p",
    right="g ← g + λ p",
    killed_by="optimizer.*.weight_decay:*",
    **_decayed(2),
)
bug(
    "decay-halved",
    "The weight decay is halved.",
    wrong="g ← g + ½ λ p",
    right="g ← g + λ p",
    killed_by="optimizer.*.weight_decay:*",
    **_decayed(0.5),
)
bug(
    "decay-negated",
    "The weight decay has the wrong sign: weights grow.",
    wrong="g ← g − λ p",
    right="g ← g + λ p",
    killed_by="optimizer.*.weight_decay:*",
    **_decayed(-1),
)
bug(
    "decay-over-n",
    "The weight decay is divided by the number of samples.",
    wrong="g ← g + λ / N p",
    right="g ← g + λ p",
    killed_by="optimizer.*.weight_decay:*",
    gradient=lambda e, o, p, g: Textbook.gradient(
        e, but(o, weight_decay=e.num(o.weight_decay) / len(e.x)), p, g
    ),
    adamw_decayed=lambda e, o, p: Textbook.adamw_decayed(
        e, but(o, weight_decay=e.num(o.weight_decay) / len(e.x)), p
    ),
)
bug(
    "decay-skips-bias",
    "Biases do not decay.",
    wrong="g ← g for b",
    right="g ← g + λ p, for b as well",
    killed_by="optimizer.*.weight_decay:*",
    gradient=lambda e, o, p, g: e.uphill(o, g) if p.ndim == 1 else Textbook.gradient(e, o, p, g),
    adamw_decayed=lambda e, o, p: p if p.ndim == 1 else Textbook.adamw_decayed(e, o, p),
)
bug(
    "decay-of-signs",
    "The decay is that of Σ |p|: every weight loses the same.",
    wrong="g ← g + λ sign(p)",
    right="g ← g + λ p",
    killed_by="optimizer.*.weight_decay:*",
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


bug(
    "decay-decoupled",
    "The weight decay is that of AdamW: it does not go through the rule.",
    wrong="p ← (1 − lr λ) p, then the rule for g",
    right="g ← g + λ p, then the rule for g",
    killed_by="optimizer.*.weight_decay:*",
    base=Decoupled,
)
bug(
    "gradient-returned-with-decay",
    "The gradients that are returned contain the weight decay.",
    wrong="∂L/∂p = g + λ p",
    right="∂L/∂p = g",
    killed_by="*:grads",
    result=lambda e, value, dx: {
        **Textbook.result(e, value, dx),
        "grads": {
            key: g
            if e.rule is None
            else e.gradient(but(e.rule, maximize=False), e.array(e.case.params[key]), g)
            for key, g in e.grads.items()
        },
    },
)
bug(
    "loss-after-update",
    "The loss that is returned is that of the parameters after the update.",
    wrong="L(θ after)",
    right="L(θ before)",
    killed_by="*:loss",
    result=lambda e, value, dx: {
        **Textbook.result(e, value, dx),
        "loss": e.value(e.loss, e.forward(e.x)[-1], e.t),
    },
)
bug(
    "outputs-after-update",
    "The outputs that are returned are those of the parameters after the update.",
    wrong="y(x, θ after)",
    right="y(x, θ before)",
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
    "Of several updates, all use the gradient of the first.",
    wrong="g = ∂L/∂θ at θ₀",
    right="g = ∂L/∂θ at θₜ",
    killed_by="steps:*",
    forward=_forward_from_the_start,
)
bug(
    "eps-inside-root",
    "ε stands inside the root.",
    wrong="d = m / √(v + ε)",
    right="d = m / (√v + ε)",
    source="Keras #17391, optax, Torchy",
    killed_by="optimizer.*.eps:*",
    rmsprop_root=lambda e, o, v: np.sqrt(v + e.num(o.eps)),
    adagrad_root=lambda e, o, s: np.sqrt(s + e.num(o.eps)),
    adam_root=lambda e, o, v, t: np.sqrt(v / e.adam_correction2(o, t) + e.num(o.eps)),
)
bug(
    "eps-missing",
    "ε is missing.",
    wrong="d = m / √v",
    right="d = m / (√v + ε)",
    killed_by="optimizer.*.eps:*",
    rmsprop_root=lambda e, o, v: np.sqrt(v),
    adagrad_root=lambda e, o, s: np.sqrt(s),
    adam_root=lambda e, o, v, t: np.sqrt(v / e.adam_correction2(o, t)),
)
bug(
    "eps-as-minimum",
    "ε is a lower bound of the root, and not added to it.",
    wrong="d = m / max(√v, ε)",
    right="d = m / (√v + ε)",
    killed_by="optimizer.*.eps:*",
    rmsprop_root=lambda e, o, v: np.maximum(np.sqrt(v), e.num(o.eps)),
    adagrad_root=lambda e, o, s: np.maximum(np.sqrt(s), e.num(o.eps)),
    adam_root=lambda e, o, v, t: np.maximum(np.sqrt(v / e.adam_correction2(o, t)), e.num(o.eps)),
)
bug(
    "eps-fixed",
    "ε is 1e-8, whatever is asked for.",
    wrong="ε = 1e-8",
    right="ε as given",
    killed_by="optimizer.*.eps:*",
    rmsprop_root=lambda e, o, v: np.sqrt(v) + e.num(1e-8),
    adagrad_root=lambda e, o, s: np.sqrt(s) + e.num(1e-8),
    adam_root=lambda e, o, v, t: np.sqrt(v / e.adam_correction2(o, t)) + e.num(1e-8),
)
bug(
    "root-missing",
    "The root is missing: the step is divided by the mean square.",
    wrong="d = m / (v + ε)",
    right="d = m / (√v + ε)",
    killed_by="optimizer.*:*",
    rmsprop_root=lambda e, o, v: v + e.num(o.eps),
    adagrad_root=lambda e, o, s: s + e.num(o.eps),
    adam_root=lambda e, o, v, t: v / e.adam_correction2(o, t) + e.num(o.eps),
)
bug(
    "squares-not-squared",
    "The gradient is not squared before it is averaged.",
    wrong="v ← β v + (1 − β) |g|",
    right="v ← β v + (1 − β) g²",
    killed_by="optimizer.*:*",
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


bug(
    "old-squares",
    "The step is divided by the root of the squares from before this gradient.",
    wrong="d = g / (√vₜ₋₁ + ε)",
    right="d = g / (√vₜ + ε)",
    killed_by="optimizer.*:*",
    base=UsesOldSquares,
)
