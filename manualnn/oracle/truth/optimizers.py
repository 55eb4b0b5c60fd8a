"""What an update computes, and how far from it rounding may lead: bounds.py for the optimizers.

    RULES[name]     rule(options, p, g, state, t) → p, state, after step t = 1, 2, …; vectors all

Factors such as 1 − β₁ᵗ are computed in Python's float64 by torch, and in float32 by a program that
has nothing else: a bound allows the latter, with β rounded to the dtype, and βᵗ by a power or by t
products. That is no more than rounding in float64, and relative to 1 − β in float32.

√v is ill-conditioned at 0 and g/(√v + ε) is as steep as 1/ε there: the bounds say so, for they are
those of the numbers at hand and not of a general case. An entry whose gradient is nothing but
rounding error may so be left without a useful bound, and does not need one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.functions import larger, root

State = dict[str, Bounded]


def _complement(kind: Precision, beta: float) -> Bounded:
    """Return 1 − β, which loses what β loses by being rounded."""
    return kind.number(1) - kind.number(beta)


def _correction(kind: Precision, beta: float, t: int) -> Bounded:
    """Return 1 − βᵗ, which loses what βᵗ and 1 have in common.

    βᵗ is β, a power (wrong by a unit in the last place, 2u) or the product of t − 1 roundings.
    """
    base = kind.number(beta)
    power = kind.wide.array(kind.wide.number(beta) ** t)
    share = t * float(base.e) / beta if beta else 0.0
    lost = kind.size(power) * (share + (kind.gamma(max(t - 1, 2)) if t > 1 else 0.0))
    return kind.number(1) - Bounded(power, lost, kind)


def _blend(old: Bounded, new: Bounded, share: Bounded) -> Bounded:
    """Return (1 − share) old + share new, or old + share (new − old), after 4 roundings.

    The latter is written from the end that is nearer: a share above ½ may start from new.
    """
    kind = old.kind
    v = old.v + share.v * (new.v - old.v)
    lost = kind.size(1 - share.v) * old.e + share.size * new.e + share.e * (old.most + new.most)
    size = old.most + (new.most if share.v > 0.5 else share.size * new.most)
    return Bounded(v, lost + kind.rounding(4, size, v), kind)


def _step(lr: Bounded, g: Bounded, over: Bounded, eps: float) -> Bounded:
    """Return lr g / (root + ε), in whichever order; nobody divides by less than ε.

    A program that begins with lr g may lose η by underflow, before it divides.
    """
    kind, least = g.kind, g.kind.number(eps)
    denominator = over + least
    room = np.maximum(denominator.size - denominator.e, (least.size - least.e) * (1 - 2 * kind.u))
    quotient = kind.wide.divide(g.v, denominator.v)
    e = kind.rough.divide(g.e + kind.size(quotient) * denominator.e, room)
    lost = kind.rough.divide(np.where(g.most == 0, 0.0, 4 * kind.eta), room)
    return (
        Bounded(quotient, e, kind).product_rounded(3).times(lr).product_rounded().plus_error(lost)
    )


def _gradient(o: Any, p: Bounded, g: Bounded) -> Bounded:
    g = -g if o.maximize else g
    return g + p * o.weight_decay if o.weight_decay else g


def _sgd(o: Any, p: Bounded, g: Bounded, state: State, t: int) -> tuple[Bounded, State]:
    g = _gradient(o, p, g)
    if not o.momentum:
        return (p - g * o.lr).plus_error(_shrunk(o, p, g)), {}
    b = state["momentum_buffer"]
    b = g if t == 1 else b * o.momentum + g * _complement(g.kind, o.dampening)
    direction = g + b * o.momentum if o.nesterov else b
    return p - direction * o.lr, {"momentum_buffer": b}


def _shrunk(o: Any, p: Bounded, g: Bounded) -> Any:
    """Return the error of (1 − lr λ) p − lr g, as textbooks have it, in place of p − lr (g + λ p).

    Both options are rounded, and so are their product, 1 − lr λ, and its product with p.
    """
    if not o.weight_decay:
        return 0.0
    decay = abs(o.lr * o.weight_decay)
    own = g.most + abs(o.weight_decay) * p.most
    size = (abs(1 - o.lr * o.weight_decay) + decay) * p.most + abs(o.lr) * own
    return p.kind.rounding(3, size)


def _rmsprop(o: Any, p: Bounded, g: Bounded, state: State, _: int) -> tuple[Bounded, State]:
    g = _gradient(o, p, g)
    share = _complement(g.kind, o.alpha)
    v = _blend(state["square_avg"], g * g, share)
    after = {"square_avg": v}
    if o.centered:
        m = _blend(state["grad_avg"], g, share)
        after["grad_avg"] = m
        v = v - m * m
        # Where rounding may make v − m² negative, torch's root of it is NaN.
        v = v.plus_error(np.where(v.v < v.e, np.inf, 0.0))
    lr = g.kind.number(o.lr)
    if not o.momentum:
        return p - _step(lr, g, root(v), o.eps), after
    b = state["momentum_buffer"] * o.momentum + _step(g.kind.exact(1), g, root(v), o.eps)
    return p - b * lr, {**after, "momentum_buffer": b}


def _adagrad(o: Any, p: Bounded, g: Bounded, state: State, t: int) -> tuple[Bounded, State]:
    g = _gradient(o, p, g)
    s = state["sum"] + g * g
    number = g.kind.wide.number
    rate = number(o.lr) / (1 + (t - 1) * number(o.lr_decay))
    # Both options are rounded, and so is what is done with them.
    lr = Bounded(rate, np.asarray(0.0), g.kind).rounded(5 if o.lr_decay else 1)
    return p - _step(lr, g, root(s), o.eps), {"sum": s}


def _adam_step(o: Any, p: Bounded, g: Bounded, state: State, t: int) -> tuple[Bounded, State]:
    kind, (beta1, beta2) = g.kind, o.betas
    m = _blend(state["exp_avg"], g, _complement(kind, beta1))
    v = _blend(state["exp_avg_sq"], g * g, _complement(kind, beta2))
    after = {"exp_avg": m, "exp_avg_sq": v}
    if o.amsgrad:
        v = after["max_exp_avg_sq"] = larger(state["max_exp_avg_sq"], v)
    # torch divides the root by √(1 − β₂ᵗ): two roundings more than the root of the quotient.
    over = root(v / _correction(kind, beta2, t)).rounded(2)
    lr = kind.number(o.lr) / _correction(kind, beta1, t)
    return p - _step(lr, m, over, o.eps), after


def _adam(o: Any, p: Bounded, g: Bounded, state: State, t: int) -> tuple[Bounded, State]:
    return _adam_step(o, p, _gradient(o, p, g), state, t)


def _adamw(o: Any, p: Bounded, g: Bounded, state: State, t: int) -> tuple[Bounded, State]:
    kind = p.kind
    decay = kind.wide.array(kind.wide.number(o.lr) * kind.wide.number(o.weight_decay))
    kept = kind.size(1 - decay)
    # A program may multiply by 1 − lr λ, or subtract lr λ θ, or λ θ before it multiplies by lr.
    size = p.most * (kept + 2 * kind.size(decay))
    v = p.v * (1 - decay)
    p = Bounded(v, p.e * kept + kind.rounding(4, size, v), kind)
    return _adam_step(o, p, -g if o.maximize else g, state, t)


RULES: dict[str, Callable[[Any, Bounded, Bounded, State, int], tuple[Bounded, State]]] = {
    "SGD": _sgd,
    "RMSprop": _rmsprop,
    "Adagrad": _adagrad,
    "Adam": _adam,
    "AdamW": _adamw,
}
