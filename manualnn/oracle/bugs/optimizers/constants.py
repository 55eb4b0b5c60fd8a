"""Bugs of a constant in an update: learning rate, decay, β, ε, limits."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Method, Table, bug
from manualnn.oracle.bugs.edits import after_load, is_of, roots
from manualnn.oracle.bugs.fits import largest, solved
from manualnn.oracle.protocol.features import Options, options_of
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("optimizers")
family = partial(bug, rank=1)
by_line = solved(2.0, 3.0, linear=True)
in_unit = solved(0.9, 0.8, linear=True)


def _changed(name: str, change: Callable[[Any, Options], Any]) -> Method:
    """Return `load` that sets an option of the update rule, if the rule has it."""

    def change_rule(e: Any) -> None:
        if e.rule is not None and hasattr(e.rule, name):
            setattr(e.rule, name, change(e, e.rule))

    return after_load(change_rule)


BUGS["lr-times-constant"] = family(
    "The learning rate is multiplied by a constant.",
    lines=("p ← p − c lr d", "p ← p − lr d"),
    killed_by="optimizer.*:*",
    c=Constant([2.0, 0.5, 10.0, 0.1], by_line),
    load=_changed("lr", lambda e, o: e.num(e.c) * o.lr),
)
BUGS["lr-fixed"] = family(
    "The option lr is ignored: the learning rate is a constant.",
    lines=("lr = c", "lr as given"),
    killed_by="optimizer.*:*",
    c=Constant([1.0, 0.001, 0.01, 0.1], by_line),
    load=_changed("lr", lambda e, o: e.c),
)
BUGS["lr-ignored"] = bug(
    "The option lr is ignored: its default is used, or the step is not multiplied by it.",
    lines=("p ← p − d, or lr = default", "p ← p − lr d"),
    killed_by="optimizer.*:*",
    load=[
        _changed("lr", lambda e, o: 1.0),
        _changed("lr", lambda e, o: options_of({"type": o.type}).lr),
    ],
)
BUGS["lr-decays"] = bug(
    "The learning rate decreases from step to step, although no option requests it.",
    lines=("lr / t, lr / √t, or lr 0.9ᵗ⁻¹", "lr in every step"),
    killed_by="optimizer.*:*",
    rate=[lambda e, t: 1 / t, lambda e, t: 1 / t**0.5, lambda e, t: 0.9 ** (t - 1)],
    moved=lambda e, o, p, d, lr: Textbook.moved(
        e, o, p, d, lr * e.array(e.num(e.rate(e.num(e.now))))
    ),
)
BUGS["decay-times-constant"] = family(
    "The weight decay is multiplied by a constant.",
    lines=("g ← g + c λ p", "g ← g + λ p"),
    killed_by="optimizer.*.weight_decay:*",
    c=Constant([3.0, 0.1, 10.0], by_line),
    load=_changed("weight_decay", lambda e, o: e.num(e.c) * o.weight_decay),
)
BUGS["decay-unasked"] = family(
    "Weights decay, although weight_decay is 0.",
    lines=("g ← g + c p", "g as it is where λ = 0"),
    killed_by="optimizer.*:*",
    c=Constant([0.01, 1e-4, 5e-4], by_line),
    load=_changed("weight_decay", lambda e, o: o.weight_decay or e.c),
)
BUGS["momentum-fixed"] = family(
    "The option momentum is ignored: μ is a constant.",
    lines=("μ = c", "μ as given"),
    killed_by="optimizer.*momentum:*",
    c=Constant([0.9, 0.5], in_unit),
    load=_changed("momentum", lambda e, o: o.momentum and e.c),
)


def _step_with_buffer(e: Any, o: Options, p: Any, g: Any) -> Any:
    """Return a parameter after a step of momentum; the buffers have the order of the updates."""
    g = e.gradient(o, p, g)
    if e.now > 1 + int(e.case.state["step"] if e.case.state else 0):
        g = g + e.num(e.c) * e.buffers.pop(0)
    e.buffers.append(g)
    return e.moved(o, p, g, e.num(o.lr))


BUGS["momentum-unasked"] = family(
    "Momentum is applied, although the option momentum is 0.",
    lines=("b ← c b + g, p ← p − lr b", "p ← p − lr g where μ = 0"),
    killed_by="optimizer.SGD*:*",
    c=Constant([0.9, 0.5], in_unit),
    sgd=lambda e, o, p, g, s, t: (
        Textbook.sgd(e, o, p, g, s, t) if o.momentum else e.step_with_buffer(o, p, g)
    ),
    load=after_load(lambda e: setattr(e, "buffers", [])),
    step_with_buffer=_step_with_buffer,
)


BUGS["alpha-fixed"] = family(
    "The option alpha is ignored: α is a constant.",
    lines=("α = c", "α as given"),
    killed_by="optimizer.RMSprop*:*",
    c=Constant([0.9, 0.95, 0.999], in_unit),
    load=_changed("alpha", lambda e, o: e.c),
)


def _beta_fixed(i: int) -> Method:
    return lambda e, o: tuple(e.c if j == i else b for j, b in enumerate(o.betas))


for _i, _symbol in enumerate("₁₂"):
    BUGS[f"beta-{_i + 1}-fixed"] = family(
        f"The option betas is ignored: β{_symbol} is a constant.",
        lines=(f"β{_symbol} = c", f"β{_symbol} as given"),
        killed_by="optimizer.Ada*.betas:*",
        c=Constant([0.9, 0.99, 0.95, 0.999], in_unit),
        load=_changed("betas", _beta_fixed(_i)),
    )
BUGS["eps-fixed"] = bug(
    "The option eps is ignored: ε is a constant.",
    lines=("ε = c", "ε as given"),
    killed_by="optimizer.*.eps:*",
    c=Constant([1e-8, 1e-7, 1e-6, 1e-10], solved(1e-8, 1e-3)),
    load=_changed("eps", lambda e, o: e.c),
)
BUGS["eps-plus-constant"] = family(
    "A second constant is added to ε.",
    lines=("d = m / (√v + ε + c)", "d = m / (√v + ε)"),
    killed_by="optimizer.*:*",
    c=Constant([1e-8, 1e-7], solved(1e-8)),
    load=_changed("eps", lambda e, o: e.num(o.eps) + e.num(e.c)),
)
BUGS["eps-inside-and-outside"] = bug(
    "ε is inside the root and added to it again.",
    lines=("d = m / (√(v + ε) + ε)", "d = m / (√v + ε)"),
    source="pytorch_optimizer #397",
    killed_by="optimizer.*.eps:*",
    **roots(lambda v, eps: np.sqrt(v + eps) + eps),
)
BUGS["eps-in-squares"] = bug(
    "ε is added to the squares that are stored.",
    lines=("v ← β v + (1 − β) (g² + ε), or v ← … + ε", "v ← β v + (1 − β) g²"),
    killed_by="optimizer.*.eps:*",
    whole=[0, 1],
    adam_square=lambda e, o, v, g, t: (
        Textbook.adam_square(e, o, v, g, t) + _added(e, o, o.betas[1] if hasattr(o, "betas") else 0)
    ),
    rmsprop_square=lambda e, o, v, g: Textbook.rmsprop_square(e, o, v, g) + _added(e, o, o.alpha),
    adagrad_sum=lambda e, o, s, g: Textbook.adagrad_sum(e, o, s, g) + e.num(o.eps),
)


def _added(e: Any, o: Options, beta: float) -> Any:
    return e.num(o.eps) * (1 if e.whole else 1 - e.num(beta))


BUGS["parameters-clipped"] = family(
    "Parameters are clipped after the update.",
    lines=("p ← clip(p − lr d, −c, c)", "p ← p − lr d"),
    killed_by="optimizer.*:*",
    c=Constant([1.0, 5.0, 10.0], largest("params")),
    moved=lambda e, o, p, d, lr: np.clip(
        Textbook.moved(e, o, p, d, lr), e.array(-e.c), e.array(e.c)
    ),
)
BUGS["update-by-sign"] = bug(
    "The update uses the sign of the gradient alone.",
    lines=("p ← p − lr sign(g)", "p ← p − lr g"),
    where=is_of("SGD"),
    gradient=lambda e, o, p, g: np.sign(Textbook.gradient(e, o, p, g)),
)
BUGS["update-by-normalized-gradient"] = bug(
    "The update divides the gradient of each tensor, or of all, by its norm.",
    lines=("p ← p − lr g / ‖g‖", "p ← p − lr g"),
    killed_by="optimizer.*:*",
    of_all=[0, 1],
    updated=lambda e, o, key, p, g, s: Textbook.updated(
        e, o, key, p, g / _norm(e, [*e.grads.values()] if e.of_all else [g]), s
    ),
)


def _norm(e: Any, arrays: list[Any]) -> Any:
    norm = np.sqrt(sum((a * a).sum() for a in arrays))
    return norm or e.array(1)


BUGS["update-clipped"] = family(
    "The update clips the gradients by value; the returned gradients are not clipped.",
    lines=("p ← p − lr clip(g, −c, c)", "p ← p − lr g"),
    killed_by="optimizer.*:*",
    c=Constant([1.0, 5.0, 0.5, 0.1], solved(0.1, 0.2, linear=True)),
    updated=lambda e, o, key, p, g, s: Textbook.updated(
        e, o, key, p, np.clip(g, e.array(-e.c), e.array(e.c)), s
    ),
)
BUGS["update-limited"] = family(
    "The change of each parameter is clipped.",
    lines=("p ← p − clip(lr d, −c, c)", "p ← p − lr d"),
    killed_by="optimizer.*:*",
    c=Constant([1.0, 0.1], solved(0.1, 0.2, linear=True)),
    moved=lambda e, o, p, d, lr: (
        p + np.clip(Textbook.moved(e, o, p, d, lr) - p, e.array(-e.c), e.array(e.c))
    ),
)
BUGS["lr-decay-other-power"] = bug(
    "Adagrad's learning rate decays by another rule.",
    lines=("lr / (1 + η), lr / (1 + η √(t − 1)), or lr exp(−η (t − 1))", "lr / (1 + (t − 1) η)"),
    rule_of=[
        lambda e, a, t: 1 / (1 + a),
        lambda e, a, t: 1 / (1 + a * (t - 1) ** e.num(0.5)),
        lambda e, a, t: np.exp(-a * (t - 1)),
    ],
    adagrad_rate=lambda e, o, t: e.num(o.lr) * e.array(e.rule_of(e.num(o.lr_decay), e.num(t))),
)
BUGS["eps-after-reciprocal"] = bug(
    "ε is added to the reciprocal of the root.",
    lines=("d = m (1 / √v + ε)", "d = m / (√v + ε)"),
    killed_by="optimizer.*.eps:*",
    source="pytorch_optimizer #480",
    **roots(lambda v, eps: 1 / (1 / np.sqrt(v) + eps)),
)
