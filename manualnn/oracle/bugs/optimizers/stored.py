"""Bugs of what an optimizer stores, and of when it does so."""

from functools import partial
from typing import Any

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.bugs.edits import DECOUPLED, KnowsKey, with_options, with_result
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.protocol.optimizers import ROWS
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("optimizers")
update_bug = partial(bug, killed_by="optimizer.*:*")
Arrays = dict[str, Array]
NAMES = list(dict.fromkeys(state.name for row in ROWS for state in row.state))
"""The names of all arrays that an optimizer stores."""


def _started_again(e: Any, o: Options, key: str, p: Array, g: Array, s: Arrays) -> Array:
    if e.name in s:
        s[e.name] = e.first(o, p, e.name)
    return Textbook.updated(e, o, key, p, g, s)


def _not_stored(e: Any, o: Options, key: str, p: Array, g: Array, s: Arrays) -> Array:
    before = dict(s)
    p = Textbook.updated(e, o, key, p, g, s)
    s |= {name: before[name] for name in before if name == e.name}
    return p


def _twice(e: Any, o: Options, key: str, p: Array, g: Array, s: Arrays) -> Array:
    p = Textbook.updated(e, o, key, p, g, s)
    e.now += e.advance
    p = Textbook.updated(e, o, key, p, g, s)
    e.now -= e.advance
    return p


BUGS["array-starts-again"] = update_bug(
    "One array of the optimizer's state starts again in every step.",
    lines=("v ← β v₀ + … in every step", "v ← β v + …"),
    name=NAMES,
    updated=_started_again,
)
BUGS["array-not-stored"] = update_bug(
    "The new value of one array of the optimizer's state is used, but not stored.",
    lines=("v stays as it was", "v ← β v + …"),
    name=[name for name in NAMES if name != "max_exp_avg_sq"],
    updated=_not_stored,
)
BUGS["averages-start-from-1"] = update_bug(
    "The averages of squares start from 1 instead of 0.",
    lines=("v₀ = 1", "v₀ = 0"),
    names=[("exp_avg_sq",), ("square_avg",), ("exp_avg", "exp_avg_sq", "square_avg")],
    first=lambda e, o, p, name: Textbook.first(e, o, p, name) + (name in e.names),
)
BUGS["averages-start-from-gradient"] = update_bug(
    "An average starts from the first gradient or its square, without the factor 1 − β.",
    lines=("m₁ = g, or v₁ = g²", "m₁ = (1 − β₁) g, v₁ = (1 − β₂) g²"),
    names=[("exp_avg",), ("exp_avg_sq",), ("exp_avg", "exp_avg_sq"), ("square_avg",)],
    adam_mean=lambda e, o, m, g, t: (
        g.copy() if t == 1 and "exp_avg" in e.names else Textbook.adam_mean(e, o, m, g, t)
    ),
    adam_square=lambda e, o, v, g, t: (
        g * g if t == 1 and "exp_avg_sq" in e.names else Textbook.adam_square(e, o, v, g, t)
    ),
    rmsprop_square=lambda e, o, v, g: (
        g * g if e.now == 1 and "square_avg" in e.names else Textbook.rmsprop_square(e, o, v, g)
    ),
)
BUGS["update-twice"] = update_bug(
    "Each step updates the parameters and the state twice with the same gradient.",
    lines=("two updates with g", "one update with g"),
    advance=[0, 1],
    updated=_twice,
)
BUGS["update-of-old-buffer"] = bug(
    "The step follows the momentum buffer before its update.",
    lines=("p ← p − lr bₜ₋₁", "p ← p − lr bₜ"),
    base=KnowsKey,
    where=lambda e, o, *given: not o.nesterov,
    sgd_direction=lambda e, o, g, b: e.old("momentum_buffer"),
)
BUGS["update-of-old-mean"] = bug(
    "Adam's step uses the mean or the squares before their update.",
    lines=("d = mₜ₋₁ / …, or … / (√vₜ₋₁ + ε)", "d = m̂ₜ / (√v̂ₜ + ε)"),
    killed_by="optimizer.Adam*:*",
    base=KnowsKey,
    name=["exp_avg", "exp_avg_sq"],
    moved_by_quotient=lambda e, o, p, d, root, lr: Textbook.moved_by_quotient(
        e,
        o,
        p,
        e.old("exp_avg") if e.name == "exp_avg" and "exp_avg" in e.state else d,
        root,
        lr,
    ),
    adam_root=lambda e, o, v, t: Textbook.adam_root(
        e,
        o,
        e.old("exp_avg_sq") if e.name == "exp_avg_sq" and not getattr(o, "amsgrad", False) else v,
        t,
    ),
)


class NesterovInPlace(Textbook):
    """Writes Nesterov's direction into the momentum buffer."""

    def sgd(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        p = super().sgd(o, p, g, s, t)
        if o.nesterov:
            g = self.gradient(o, self.before, g)
            s["momentum_buffer"] = self.sgd_direction(o, g, s["momentum_buffer"])
        return p

    def updated(self, o: Options, key: str, p: Array, g: Array, s: Arrays) -> Array:
        self.before = p
        return super().updated(o, key, p, g, s)


BUGS["nesterov-overwrites-buffer"] = bug(
    "Nesterov's direction is written into the momentum buffer.",
    lines=("b ← g + μ b, p ← p − lr b", "d = g + μ b, p ← p − lr d"),
    source="google-research #1711",
    base=NesterovInPlace,
)
BUGS["nesterov-before-buffer"] = bug(
    "Nesterov's look-ahead is added to the gradient before it enters the buffer.",
    lines=("g ← g + μ b, b ← μ b + g, p ← p − lr b", "b ← μ b + g, p ← p − lr (g + μ b)"),
    source="mlx #87",
    sgd_buffer=lambda e, o, b, g, t: Textbook.sgd_buffer(
        e, o, b, g + e.num(o.momentum) * b if o.nesterov and t > 1 else g, t
    ),
    **with_options("sgd_direction", nesterov=False),
)
BUGS["nesterov-from-ahead"] = bug(
    "Nesterov's step adds the whole momentum twice: it looks ahead and moves on from there.",
    lines=("p ← p − lr (g + 2 μ b)", "p ← p − lr (g + μ b)"),
    source="simd_neuralnet #17",
    sgd_direction=lambda e, o, g, b: g + 2 * e.num(o.momentum) * b if o.nesterov else b,
)
BUGS["momentum-sign"] = bug(
    "A sign in the momentum buffer is wrong.",
    lines=("b ← μ b − g, or −μ b + g, or g − μ b with p ← p − lr b", "b ← μ b + g, p ← p − lr b"),
    signs=[(1, -1), (-1, 1)],
    where=lambda e, o, b, g, t: t > 1,
    sgd_buffer=lambda e, o, b, g, t: (
        e.signs[0] * e.num(o.momentum) * b + e.signs[1] * (1 - e.num(o.dampening)) * g
    ),
)
BUGS["momentum-not-of-old-buffer"] = bug(
    "The momentum multiplies the whole new buffer.",
    lines=("b ← μ (b + g)", "b ← μ b + g"),
    sgd_buffer=lambda e, o, b, g, t: (
        e.num(o.momentum) * Textbook.sgd_buffer(e, o, b, g, t)
        if t == 1
        else e.num(o.momentum) * (b + (1 - e.num(o.dampening)) * g)
    ),
)
BUGS["momentum-complement-after-first"] = bug(
    "From the second step on, the gradient enters the momentum buffer with the factor 1 − μ.",
    lines=("b ← μ b + (1 − μ) g, b₁ = g", "b ← μ b + (1 − τ) g"),
    sgd_buffer=lambda e, o, b, g, t: (
        g.copy() if t == 1 else e.num(o.momentum) * b + (1 - e.num(o.momentum)) * g
    ),
)
BUGS["decay-after-update"] = bug(
    "The weight decay multiplies the parameter after the update.",
    lines=("p ← (1 − lr λ) (p − lr d)", "g ← g + λ p, then the rule for g"),
    killed_by="optimizer.*weight_decay*:*",
    where=lambda e, o, *given: o.type not in DECOUPLED,
    gradient=lambda e, o, p, g: e.uphill(o, g),
    updated=lambda e, o, key, p, g, s: Textbook.adamw_decayed(
        e, o, Textbook.updated(e, o, key, p, g, s)
    ),
)
BUGS["decay-applied-twice"] = bug(
    "The weight decay is part of the gradient, and multiplies the parameter as well.",
    lines=("g ← g + λ p and p ← (1 − lr λ) p", "one of both"),
    killed_by="optimizer.*weight_decay*:*",
    updated=lambda e, o, key, p, g, s: Textbook.updated(
        e,
        o,
        key,
        p if o.type in DECOUPLED else e.adamw_decayed(o, p),
        g + e.num(o.weight_decay) * p if o.type in DECOUPLED else g,
        s,
    ),
)
BUGS["decay-only-of-bias"] = bug(
    "The weight decay is applied to biases only.",
    lines=("g ← g for W", "g ← g + λ p, also for W"),
    killed_by="optimizer.*.weight_decay:*",
    where=lambda e, o, p, *given: p.ndim == 2,
    gradient=lambda e, o, p, g: e.uphill(o, g),
    adamw_decayed=lambda e, o, p: p,
)
BUGS["decay-of-first-parameters"] = bug(
    "The weight decay is that of the parameters before the first update.",
    lines=("g ← g + λ p₀", "g ← g + λ pₜ"),
    killed_by="optimizer.*weight_decay*:*",
    base=KnowsKey,
    gradient=lambda e, o, p, g: (
        e.uphill(o, g) + e.num(o.weight_decay) * e.array(e.case.params[e.key])
    ),
)
BUGS["maximize-negates-gradients"] = update_bug(
    "With maximize, the returned gradients are negated as well.",
    lines=("∂L/∂θ ← −∂L/∂θ", "θ ← θ + lr ∂L/∂θ; ∂L/∂θ stays"),
    result=with_result(
        "grads",
        lambda e, grads: {
            k: -g if getattr(e.rule, "maximize", False) else g for k, g in grads.items()
        },
    ),
)
BUGS["maximize-always"] = update_bug(
    "The option maximize acts on the parameter's step, but not on the stored averages.",
    lines=("m of g, p ← p + lr d", "g ← −g, m of −g, p ← p − lr d"),
    where=lambda e, o, *given: getattr(o, "maximize", False),
    uphill=lambda e, o, g: g,
    moved=lambda e, o, p, d, lr: p + lr * d,
)


def _is_of_end(e: Any, o: Options, key: str, *given: Any) -> bool:
    return bool(key == list(e.params)[e.place])


BUGS["parameter-not-updated"] = update_bug(
    "The first or the last parameter is not updated, because a loop is off by one.",
    lines=("θ₁ ← θ₁, or the last θ ← θ", "θᵢ ← θᵢ − lr dᵢ for all i"),
    place=[0, -1],
    where=_is_of_end,
    updated=lambda e, o, key, p, g, s: p,
)
BUGS["weights-not-updated"] = update_bug(
    "Weights are not updated: only biases learn.",
    lines=("W ← W", "W ← W − lr d"),
    moved=lambda e, o, p, d, lr: p if p.ndim == 2 else p - lr * d,
)
BUGS["last-layer-not-updated"] = update_bug(
    "The parameters of the last Linear layer are not updated.",
    lines=("θₗ ← θₗ for the last layer", "θₗ ← θₗ − lr dₗ"),
    where=lambda e, o, key, *given: (
        int(key.partition(".")[0]) == max((q.i for q in e.layers if q.type == "Linear"), default=-1)
    ),
    updated=lambda e, o, key, p, g, s: p,
)
BUGS["update-once-per-call"] = bug(
    "Only the first step of a call updates the parameters, or only the last.",
    lines=("θ ← θ for t > 1", "θ ← θ − lr d in every step"),
    killed_by="steps:*",
    first_only=[1, 0],
    where=lambda e, o, *given: (
        e.now - int(e.case.state["step"] if e.case.state else 0) > 1
        if e.first_only
        else e.now - int(e.case.state["step"] if e.case.state else 0) < e.case.steps
    ),
    updated=lambda e, o, key, p, g, s: p,
)
BUGS["update-of-means-of-rows"] = update_bug(
    "Weights are updated by the mean of their gradient over the outputs or the inputs.",
    lines=("W ← W − lr mean(dW)", "W ← W − lr dW"),
    along=[0, 1],
    where=lambda e, o, key, p, *given: p.ndim == 2,
    updated=lambda e, o, key, p, g, s: Textbook.updated(
        e, o, key, p, g.mean(axis=e.along, keepdims=True) + 0 * g, s
    ),
)
BUGS["squares-of-parameters"] = bug(
    "The optimizer averages squares of the parameters instead of the gradients.",
    lines=("v ← β v + (1 − β) p²", "v ← β v + (1 − β) g²"),
    killed_by="optimizer.*:*",
    source="yizt/numpy_neural_network #6",
    base=KnowsKey,
    rmsprop_square=lambda e, o, v, g: Textbook.rmsprop_square(e, o, v, e.params[e.key]),
    adagrad_sum=lambda e, o, s, g: Textbook.adagrad_sum(e, o, s, e.params[e.key]),
    adam_square=lambda e, o, v, g, t: Textbook.adam_square(e, o, v, e.params[e.key], t),
)
