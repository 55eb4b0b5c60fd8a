"""Bugs in formulas of slopes: wrong powers and signs, lower bounds, added constants."""

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Table, bug
from manualnn.oracle.bugs.fits import solved
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("activations")

BUGS["sigmoid-slope-squares"] = bug(
    "One factor of the sigmoid's slope is squared.",
    lines=("σ′ = a (1 − a²), a² (1 − a) or a (1 − a)²", "σ′ = a (1 − a)"),
    sigmoid_slope=[
        lambda e, o, z, a: a * (1 - a * a),
        lambda e, o, z, a: a * a * (1 - a),
        lambda e, o, z, a: a * (1 - a) ** 2,
    ],
)
BUGS["tanh-slope-sign-or-power"] = bug(
    "The slope of tanh has a wrong sign or a wrong power.",
    lines=("tanh′ = 1 + a², (1 − a)² or 1 − a⁴", "tanh′ = 1 − a²"),
    tanh_slope=[
        lambda e, o, z, a: 1 + a * a,
        lambda e, o, z, a: (1 - a) ** 2,
        lambda e, o, z, a: 1 - a**4,
    ],
)
BUGS["softplus-slope-of-sigmoid"] = bug(
    "The slope of softplus is the slope of the sigmoid, or the sigmoid of the output.",
    lines=("softplus′ = σ(βz) (1 − σ(βz)), or σ(β a)", "softplus′ = σ(β z)"),
    slope_at=[lambda e, s, a: e.sigma(s) * e.sigma(-s), lambda e, s, a: e.sigma(a)],
    softplus_slope=lambda e, o, z, a: e.slope_at(z * e.num(o.beta), a * e.num(o.beta)),
)
BUGS["slope-bounded-below"] = bug(
    "A slope has a positive lower bound, so that it does not vanish.",
    lines=("dz = da ⊙ max(f′(z), c)", "dz = da ⊙ f′(z)"),
    killed_by="saturation:*",
    c=Constant([0.1, 0.05, 0.01, 1e-3, 1e-4, 1e-5, 1e-6], solved(0.1, 1e-3, 1e-5)),
    sigmoid_slope=lambda e, o, z, a: np.maximum(Textbook.sigmoid_slope(e, o, z, a), e.array(e.c)),
    tanh_slope=lambda e, o, z, a: np.maximum(Textbook.tanh_slope(e, o, z, a), e.array(e.c)),
)
BUGS["slope-plus-constant"] = bug(
    "A constant is added to a slope, so that it does not vanish.",
    lines=("dz = da ⊙ (f′(z) + c)", "dz = da ⊙ f′(z)"),
    source="Fahlman 1988",
    c=Constant([0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6], solved(0.1)),
    sigmoid_slope=lambda e, o, z, a: Textbook.sigmoid_slope(e, o, z, a) + e.array(e.c),
    tanh_slope=lambda e, o, z, a: Textbook.tanh_slope(e, o, z, a) + e.array(e.c),
)
BUGS["log-softmax-slope-sum-1"] = bug(
    "The gradient of log-softmax replaces the sum of the incoming gradient by 1.",
    lines=("dz = da − exp(a)", "dz = da − exp(a) Σ da"),
    log_softmax_backward=[
        lambda e, o, z, a, da: da - np.exp(a),
        lambda e, o, z, a, da: da + np.exp(a),
    ],
)
BUGS["slope-of-gradient-alone"] = bug(
    "The backward pass of tanh or of the sigmoid is the slope at the incoming gradient.",
    lines=("dz = f′(da)", "dz = da ⊙ f′(z)"),
    source="yizt/numpy_neural_network #6",
    tanh_backward=lambda e, o, z, a, da: 1 - np.tanh(da) ** 2,
    sigmoid_backward=lambda e, o, z, a, da: e.sigma(da) * e.sigma(-da),
)
