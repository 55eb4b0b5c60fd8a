"""Bugs of any update rule: sign, learning rate, weight decay, ε."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Methods, Table, bug
from manualnn.oracle.bugs.edits import DECOUPLED, KnowsKey, change, roots, with_options, with_result
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("optimizers")
DECAY = ("gradient", "adamw_decayed")
"""Methods that apply the weight decay."""
decay_bug = partial(bug, killed_by="optimizer.*.weight_decay:*")
eps_bug = partial(bug, killed_by="optimizer.*.eps:*")

BUGS["update-uphill"] = bug(
    "The update adds the step instead of subtracting it.",
    lines=("p ← p + lr d", "p ← p − lr d"),
    source="caffe2, pytorch #11678",
    moved=lambda e, o, p, d, lr: p + lr * d,
)
BUGS["lr-applied-twice"] = bug(
    "The learning rate is applied twice.",
    lines=("p ← p − lr² d", "p ← p − lr d"),
    source="Optimisers.jl",
    moved=lambda e, o, p, d, lr: p - e.num(o.lr) * lr * d,
)
BUGS["lr-over-n"] = bug(
    "The learning rate is divided by the number of samples.",
    lines=("p ← p − lr / N d", "p ← p − lr d"),
    source="d2l-en #1000",
    moved=lambda e, o, p, d, lr: p - lr / len(e.x) * d,
)
BUGS["update-forgotten"] = bug(
    "The parameters are not updated.",
    lines=("p ← p", "p ← p − lr d"),
    moved=lambda e, o, p, d, lr: p,
)
BUGS["bias-not-updated"] = bug(
    "Biases are not updated.",
    lines=("b ← b", "b ← b − lr d"),
    moved=lambda e, o, p, d, lr: p if p.ndim == 1 else p - lr * d,
)
BUGS["weights-not-updated-below-the-last"] = bug(
    "Only the last layer's parameters are updated.",
    lines=("θₗ ← θₗ for all but the last layer", "θₗ ← θₗ − lr dₗ"),
    where=lambda e, o, key, *given: (
        int(key.partition(".")[0]) != max((q.i for q in e.layers if q.type == "Linear"), default=-1)
    ),
    updated=lambda e, o, key, p, g, s: p,
)
BUGS["maximize-ignored"] = bug(
    "The option maximize is ignored.",
    lines=("g ← g", "g ← −g with maximize"),
    killed_by="optimizer.*.maximize:*",
    uphill=lambda e, o, g: g,
)
BUGS["maximize-flips-decay"] = bug(
    "With maximize, the weight decay has the wrong sign as well: weights grow.",
    lines=("g ← −(g + λ p)", "g ← −g + λ p"),
    gradient=lambda e, o, p, g: e.uphill(o, Textbook.gradient(e, change(o, maximize=False), p, g)),
)
BUGS["decay-ignored"] = decay_bug(
    "The option weight_decay is ignored.",
    lines=("g ← g", "g ← g + λ p"),
    gradient=lambda e, o, p, g: e.uphill(o, g),
    adamw_decayed=lambda e, o, p: p,
)


def _scaled_decay(factor: float) -> Methods:
    return with_options(*DECAY, weight_decay=lambda e, o: factor * e.num(o.weight_decay))


BUGS["decay-doubled"] = decay_bug(
    "The weight decay has the factor 2 from the derivative of λ p²; torch's has no such factor.",
    lines=("g ← g + 2 λ p", "g ← g + λ p"),
    **_scaled_decay(2),
)
BUGS["decay-halved"] = decay_bug(
    "The weight decay is halved.",
    lines=("g ← g + ½ λ p", "g ← g + λ p"),
    **_scaled_decay(0.5),
)
BUGS["decay-negated"] = decay_bug(
    "The weight decay has the wrong sign: weights grow.",
    lines=("g ← g − λ p", "g ← g + λ p"),
    source="chainer #261",
    **_scaled_decay(-1),
)
BUGS["decay-over-n"] = decay_bug(
    "The weight decay is divided by the number of samples.",
    lines=("g ← g + λ / N p", "g ← g + λ p"),
    **with_options(*DECAY, weight_decay=lambda e, o: e.num(o.weight_decay) / len(e.x)),
)
BUGS["decay-skips-bias"] = decay_bug(
    "The weight decay is not applied to biases.",
    lines=("g ← g for b", "g ← g + λ p, also for b"),
    where=lambda e, o, p, *given: p.ndim == 1,
    gradient=lambda e, o, p, g: e.uphill(o, g),
    adamw_decayed=lambda e, o, p: p,
)
BUGS["decay-of-signs"] = decay_bug(
    "The decay is that of Σ |p|: every weight is reduced by the same amount.",
    lines=("g ← g + λ sign(p)", "g ← g + λ p"),
    where=lambda e, o, p, g: o.weight_decay,
    gradient=lambda e, o, p, g: e.uphill(o, g) + e.num(o.weight_decay) * np.sign(p),
)
BUGS["decay-decoupled"] = decay_bug(
    "The weight decay is that of AdamW: it is not part of the gradient.",
    lines=("p ← (1 − lr λ) p, then the rule for g", "g ← g + λ p, then the rule for g"),
    source="mxnet #9363",
    gradient=lambda e, o, p, g: e.uphill(o, g),
    updated=lambda e, o, key, p, g, s: Textbook.updated(
        e, o, key, p if o.type in DECOUPLED else e.adamw_decayed(o, p), g, s
    ),
)
BUGS["gradient-returned-with-decay"] = bug(
    "The returned gradients contain the weight decay.",
    lines=("∂L/∂p = g + λ p", "∂L/∂p = g"),
    killed_by="*:grads",
    result=with_result(
        "grads",
        lambda e, grads: (
            {
                key: e.gradient(change(e.rule, maximize=False), e.array(e.case.params[key]), g)
                for key, g in grads.items()
            }
            if e.rule
            else grads
        ),
    ),
)
BUGS["loss-after-update"] = bug(
    "The returned loss is that of the parameters after the update.",
    lines=("L(θ after)", "L(θ before)"),
    killed_by="*:loss",
    result=with_result("loss", lambda e, _: e.value(e.loss, e.forward(e.x)[-1], e.t)),
)
BUGS["outputs-after-update"] = bug(
    "The returned outputs are those of the parameters after the update.",
    lines=("y(x, θ after)", "y(x, θ before)"),
    killed_by="*:outputs",
    result=with_result("outputs", lambda e, _: e.forward(e.x)[-1].copy()),
)


def _forward_from_the_start(e: Textbook, x: Array) -> list[Array]:
    now, e.params = e.params, {k: e.array(a) for k, a in e.case.params.items()}
    ys = Textbook.forward(e, x)
    e.params = now
    return ys


BUGS["first-steps-gradient-kept"] = bug(
    "All updates of a call use the gradient of the first one.",
    lines=("g = ∂L/∂θ at θ₀", "g = ∂L/∂θ at θₜ"),
    killed_by="steps:*",
    forward=_forward_from_the_start,
)
BUGS["eps-inside-root"] = eps_bug(
    "ε is inside the root.",
    lines=("d = m / √(v + ε)", "d = m / (√v + ε)"),
    source="Keras #17391, optax, Torchy",
    **roots(lambda v, eps: np.sqrt(v + eps)),
)
BUGS["eps-missing"] = eps_bug(
    "ε is missing.",
    lines=("d = m / √v", "d = m / (√v + ε)"),
    **roots(lambda v, eps: np.sqrt(v)),
)
BUGS["eps-as-minimum"] = eps_bug(
    "ε is a lower bound of the root instead of being added.",
    lines=("d = m / max(√v, ε)", "d = m / (√v + ε)"),
    **roots(lambda v, eps: np.maximum(np.sqrt(v), eps)),
)
BUGS["root-missing"] = bug(
    "The root is missing, so that the step is divided by the mean square.",
    lines=("d = m / (v + ε)", "d = m / (√v + ε)"),
    **roots(lambda v, eps: v + eps),
)
BUGS["squares-not-squared"] = bug(
    "The gradient is not squared before it is averaged.",
    lines=("v ← β v + (1 − β) |g|", "v ← β v + (1 − β) g²"),
    rmsprop_square=lambda e, o, v, g: e.num(o.alpha) * v + (1 - e.num(o.alpha)) * np.abs(g),
    adagrad_sum=lambda e, o, s, g: s + np.abs(g),
    adam_square=lambda e, o, v, g, t: e.num(o.betas[1]) * v + (1 - e.num(o.betas[1])) * np.abs(g),
)
BUGS["old-squares"] = bug(
    "The step is divided by the root of the squares without the current gradient.",
    lines=("d = g / (√vₜ₋₁ + ε)", "d = g / (√vₜ + ε)"),
    base=KnowsKey,
    rmsprop_variance=lambda e, o, v, m: Textbook.rmsprop_variance(
        e, o, e.old("square_avg"), e.old("grad_avg")
    ),
    rmsprop_root=lambda e, o, v: Textbook.rmsprop_root(
        e, o, v if o.centered else e.old("square_avg")
    ),
    adagrad_root=lambda e, o, s: Textbook.adagrad_root(e, o, e.old("sum")),
)
