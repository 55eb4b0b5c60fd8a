"""Bugs of Muon."""

from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("optimizers")
NORMALISED = "X = U / max(‖U‖, ε)"
BUFFER = "B ← μ B + (1 − μ) g"
AHEAD = "U = μ B + (1 − μ) g"
ITERATION = "X ← a X + (b A + c A²) X, A = X Xᵀ"
SCALE = "r = √max(1, m/n), or 0.2 √max(m, n) with match_rms_adamw"

BUGS["muon-not-normalised"] = bug(
    "Muon does not divide the matrix by its norm before the iteration.",
    lines=("X = U", NORMALISED),
    muon_normalised=lambda e, o, u: u,
)
BUGS["muon-without-eps"] = bug(
    "Muon divides by the norm without ε, so that a tiny gradient makes a full step, and 0 NaN.",
    lines=("X = U / ‖U‖", NORMALISED),
    muon_normalised=lambda e, o, u: u / e.norm_of([u]),
)
BUGS["muon-eps-added"] = bug(
    "Muon adds ε to the norm.",
    lines=("X = U / (‖U‖ + ε)", NORMALISED),
    source="KellerJordan/Muon",
    muon_normalised=lambda e, o, u: u / (e.norm_of([u]) + e.num(o.eps)),
)
BUGS["muon-divides-by-largest-entry"] = bug(
    "Muon divides the matrix by its largest entry in place of its norm.",
    lines=("X = U / max(max|U|, ε)", NORMALISED),
    muon_normalised=lambda e, o, u: u / e.larger(np.abs(u).max(), e.num(o.eps)),
)


def _orthogonal(e: Any, o: Options, u: Array) -> Any:
    changed = Options(**{**vars(o), "ns_steps": max(0, o.ns_steps + e.more)})
    return Textbook.muon_orthogonal(e, changed, u)


BUGS["muon-other-number-of-iterations"] = bug(
    "Muon iterates once less or once more than ns_steps.",
    lines=("ns_steps ± 1 iterations", "ns_steps iterations"),
    more=[-1, 1],
    muon_orthogonal=_orthogonal,
)
BUGS["muon-cubic"] = bug(
    "Muon uses the cubic iteration of Newton and Schulz, and ignores ns_coefficients.",
    lines=("X ← 1.5 X − 0.5 A X", ITERATION),
    muon_iterated=lambda e, o, x: Textbook.muon_iterated(
        e, Options(**{**vars(o), "ns_coefficients": (1.5, -0.5, 0.0)}), x
    ),
)
BUGS["muon-without-quintic"] = bug(
    "Muon lacks the term c A² X of its iteration.",
    lines=("X ← a X + b A X", ITERATION),
    muon_iterated=lambda e, o, x: Textbook.muon_iterated(
        e, Options(**{**vars(o), "ns_coefficients": (*o.ns_coefficients[:2], 0.0)}), x
    ),
)


def _scale(e: Any, o: Options, p: Array) -> Any:
    rows, columns = p.shape
    return e.num(e.scale(rows, columns))


BUGS["muon-scale-of-shape"] = bug(
    "Muon scales the learning rate by another function of the shape, or not at all.",
    lines=("r = 1, r = √max(1, n/m), r = √(m/n) or r = max(1, m/n)", SCALE),
    scale=[
        staticmethod(lambda m, n: 1.0),
        staticmethod(lambda m, n: max(1, n / m) ** 0.5),
        staticmethod(lambda m, n: (m / n) ** 0.5),
        staticmethod(lambda m, n: max(1, m / n)),
    ],
    where=lambda e, o, p: o.adjust_lr_fn != "match_rms_adamw",
    muon_scale=_scale,
)
BUGS["muon-scale-of-adamw"] = bug(
    "Muon matches AdamW's size of steps with other factors, or not at all.",
    lines=("r = √max(1, m/n), r = √max(m, n) or r = 0.2 √(m n)", SCALE),
    scale=[
        staticmethod(lambda m, n: max(1, m / n) ** 0.5),
        staticmethod(lambda m, n: max(m, n) ** 0.5),
        staticmethod(lambda m, n: 0.2 * (m * n) ** 0.5),
    ],
    where=lambda e, o, p: o.adjust_lr_fn == "match_rms_adamw",
    muon_scale=_scale,
)
BUGS["muon-accumulates"] = bug(
    "Muon adds up gradients as SGD does, in place of a moving average.",
    lines=("B ← μ B + g, U = g + μ B", f"{BUFFER}, {AHEAD}"),
    source="torch's docstring",
    muon_buffer=lambda e, o, b, g: e.num(o.momentum) * b + g,
    muon_direction=lambda e, o, b, g: g + e.num(o.momentum) * b if o.nesterov else b,
)
BUGS["muon-nesterov-of-sgd"] = bug(
    "Muon looks ahead as SGD does, although its buffer is a moving average.",
    lines=("U = g + μ B", AHEAD),
    muon_direction=lambda e, o, b, g: g + e.num(o.momentum) * b if o.nesterov else b,
)
BUGS["muon-nesterov-ignored"] = bug(
    "Muon steps along its buffer, although nesterov is true.",
    lines=("U = B", AHEAD),
    muon_direction=lambda e, o, b, g: b,
)


def _keeping(e: Textbook, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
    moved = Textbook.muon(e, o, p, g, s, t)
    s["momentum_buffer"] = e.muon_direction(o, s["momentum_buffer"], g)
    return moved


BUGS["muon-keeps-step"] = bug(
    "Muon keeps the matrix of its step as its buffer.",
    lines=("B ← U after the step", BUFFER),
    where=lambda e, o, p, g, s, t: o.nesterov,
    muon=_keeping,
)


def _coupled(e: Textbook, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Any:
    plain = Options(**{**vars(o), "weight_decay": 0.0})
    return Textbook.muon(e, plain, p, g + e.num(o.weight_decay) * p, s, t)


BUGS["muon-decay-in-gradient"] = bug(
    "The weight decay of Muon is added to the gradient.",
    lines=("g ← g + λ θ", "θ ← (1 − lr λ) θ"),
    killed_by="optimizer.Muon*:*",
    muon=_coupled,
)
BUGS["muon-decay-scaled"] = bug(
    "The weight decay of Muon is scaled by the shape as the step is, or lacks the learning rate.",
    lines=("θ ← (1 − lr r λ) θ or (1 − λ) θ", "θ ← (1 − lr λ) θ"),
    rate=[
        staticmethod(lambda e, o, p: e.num(o.lr) * e.muon_scale(o, p)),
        staticmethod(lambda e, o, p: 1.0),
    ],
    muon_decayed=lambda e, o, p: p - e.rate(e, o, p) * e.num(o.weight_decay) * p,
)
