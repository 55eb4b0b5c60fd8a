"""What an update computes, and how far from it rounding may lead: bounds.py for the optimizers.

rule(options, p, g, state, t) returns the new p and state of step t = 1, 2, …; vectors all of them.
Factors such as 1 − β₁ᵗ are computed in Python's float64 by every program, whatever the dtype.

√v is ill-conditioned at 0 and g/(√v + ε) is as steep as 1/ε there: the bounds say so, for they are
those of the numbers at hand and not of a general case. An entry whose gradient is nothing but
rounding error may so be left without a useful bound, and does not need one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from manualnn.oracle.near import Near, Precision

State = dict[str, Near]
FLOAT64_U = np.longdouble(2) ** -53


def _in_float64(kind: Precision, value: Any, terms: Any) -> Near:
    """Return a factor that a program computes in float64 from terms that large, then rounds."""
    near = kind.exact(value).plus_error(4 * FLOAT64_U * np.abs(np.longdouble(terms)))
    return near.rounded()


def _complement(kind: Precision, beta: float) -> Near:
    """Return 1 − β."""
    return _in_float64(kind, 1 - np.longdouble(beta), 1 - np.longdouble(beta))


def _correction(kind: Precision, beta: float, t: int) -> Near:
    """Return 1 − βᵗ, which loses what βᵗ and 1 have in common."""
    power = np.longdouble(beta) ** t
    return _in_float64(kind, 1 - power, 1 + power)


def _blend(old: Near, new: Near, share: Near) -> Near:
    """Return (1 − share) old + share new, or old + share (new − old), after 4 roundings."""
    v = old.v + share.v * (new.v - old.v)
    e = np.abs(1 - share.v) * old.e + np.abs(share.v) * new.e + share.e * np.abs(new.v - old.v)
    return Near(v, e, old.kind).rounded(4, np.abs(old.v) + old.e + np.abs(new.v) + new.e)


def _root(v: Near) -> Near:
    return v.through(lambda a: np.sqrt(np.maximum(a, 0)), 1)


def _step(lr: Near, g: Near, root: Near, eps: float) -> Near:
    """Return lr g / (root + ε), in whichever order; nobody divides by less than ε.

    A program that begins with lr g may lose η by underflow, before it divides.
    """
    denominator = root + eps
    least = g.kind.number(eps)
    room = np.maximum(denominator.v - denominator.e, least.v * (1 - 2 * g.kind.u))
    quotient = g.v / denominator.v
    e = (g.e + np.abs(quotient) * denominator.e) / room
    lost = np.where(g.v == 0, 0, g.kind.eta / room)
    return (Near(quotient, e, g.kind).rounded(3) * lr).plus_error(lost)


def _gradient(o: Any, p: Near, g: Near) -> Near:
    g = -g if o.maximize else g
    return g + p * o.weight_decay if o.weight_decay else g


def _sgd(o: Any, p: Near, g: Near, state: State, t: int) -> tuple[Near, State]:
    g = _gradient(o, p, g)
    if not o.momentum:
        return p - g * o.lr, {}
    b = state["momentum_buffer"]
    b = g if t == 1 else b * o.momentum + g * _complement(g.kind, o.dampening)
    direction = g + b * o.momentum if o.nesterov else b
    return p - direction * o.lr, {"momentum_buffer": b}


def _rmsprop(o: Any, p: Near, g: Near, state: State, _: int) -> tuple[Near, State]:
    g = _gradient(o, p, g)
    share = _complement(g.kind, o.alpha)
    v = state["square_avg"] * o.alpha + (g * g * share)
    after = {"square_avg": v}
    if o.centered:
        m = _blend(state["grad_avg"], g, share)
        after["grad_avg"] = m
        v = v - m * m
        # Where rounding may make v − m² negative, torch's root of it is NaN.
        v = v.plus_error(np.where(v.v < v.e, np.inf, 0))
    lr = g.kind.number(o.lr)
    if not o.momentum:
        return p - _step(lr, g, _root(v), o.eps), after
    b = state["momentum_buffer"] * o.momentum + _step(g.kind.exact(1), g, _root(v), o.eps)
    return p - b * lr, {**after, "momentum_buffer": b}


def _adagrad(o: Any, p: Near, g: Near, state: State, t: int) -> tuple[Near, State]:
    g = _gradient(o, p, g)
    s = state["sum"] + g * g
    lr = np.longdouble(o.lr) / (1 + (t - 1) * np.longdouble(o.lr_decay))
    return p - _step(_in_float64(g.kind, lr, lr), g, _root(s), o.eps), {"sum": s}


def _adam_step(o: Any, p: Near, g: Near, state: State, t: int) -> tuple[Near, State]:
    kind, (beta1, beta2) = g.kind, o.betas
    m = _blend(state["exp_avg"], g, _complement(kind, beta1))
    v = state["exp_avg_sq"] * beta2 + g * g * _complement(kind, beta2)
    after = {"exp_avg": m, "exp_avg_sq": v}
    if o.amsgrad:
        old = state["max_exp_avg_sq"]
        v = Near(np.maximum(old.v, v.v), np.maximum(old.e, v.e), kind)
        after["max_exp_avg_sq"] = v
    # torch divides the root by √(1 − β₂ᵗ): two roundings more than the root of the quotient.
    root = _root(v / _correction(kind, beta2, t)).rounded(2)
    lr = kind.number(o.lr) / _correction(kind, beta1, t)
    return p - _step(lr, m, root, o.eps), after


def _adam(o: Any, p: Near, g: Near, state: State, t: int) -> tuple[Near, State]:
    return _adam_step(o, p, _gradient(o, p, g), state, t)


def _adamw(o: Any, p: Near, g: Near, state: State, t: int) -> tuple[Near, State]:
    decay = np.longdouble(o.lr) * np.longdouble(o.weight_decay)
    p = p * _in_float64(g.kind, 1 - decay, 1 + decay)
    return _adam_step(o, p, -g if o.maximize else g, state, t)


RULES: dict[str, Callable[[Any, Near, Near, State, int], tuple[Near, State]]] = {
    "SGD": _sgd,
    "RMSprop": _rmsprop,
    "Adagrad": _adagrad,
    "Adam": _adam,
    "AdamW": _adamw,
}
