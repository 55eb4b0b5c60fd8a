"""Mistakes in the formulas of slopes: wrong powers and signs, bounds and constants added."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Bug, plant
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "activations")

bug(
    "sigmoid-slope-squares",
    "A factor of the sigmoid's slope is squared.",
    wrong="σ′ = a (1 − a²), a² (1 − a) or a (1 − a)²",
    right="σ′ = a (1 − a)",
    killed_by="layer.Sigmoid*:*",
    variants=[
        {"sigmoid_slope": lambda e, o, z, a: a * (1 - a * a)},
        {"sigmoid_slope": lambda e, o, z, a: a * a * (1 - a)},
        {"sigmoid_slope": lambda e, o, z, a: a * (1 - a) ** 2},
    ],
)
bug(
    "tanh-slope-sign-or-power",
    "The slope of tanh has a wrong sign or a wrong power.",
    wrong="tanh′ = 1 + a², a² − 1, (1 − a)² or 1 − a⁴",
    right="tanh′ = 1 − a²",
    killed_by="layer.Tanh*:*",
    variants=[
        {"tanh_slope": lambda e, o, z, a: 1 + a * a},
        {"tanh_slope": lambda e, o, z, a: a * a - 1},
        {"tanh_slope": lambda e, o, z, a: (1 - a) ** 2},
        {"tanh_slope": lambda e, o, z, a: 1 - a**4},
    ],
)
bug(
    "softplus-slope-of-sigmoid",
    "The slope of softplus is that of the sigmoid, or the sigmoid of the output.",
    wrong="softplus′ = σ(βz) (1 − σ(βz)), or σ(β a)",
    right="softplus′ = σ(β z)",
    killed_by="layer.Softplus*:*",
    variants=[
        {
            "softplus_slope": lambda e, o, z, a: (
                e.sigma(z * e.num(o.beta)) * e.sigma(-z * e.num(o.beta))
            )
        },
        {"softplus_slope": lambda e, o, z, a: e.sigma(a * e.num(o.beta))},
    ],
)
bug(
    "slope-bounded-below",
    "A slope is kept from vanishing: it has a smallest value.",
    wrong="dz = da ⊙ max(f′(z), c)",
    right="dz = da ⊙ f′(z)",
    killed_by="layer.*:*",
    variants=[{"c": c} for c in (0.1, 0.05, 0.01, 1e-3, 1e-4, 1e-5, 1e-6)],
    sigmoid_slope=lambda e, o, z, a: np.maximum(Textbook.sigmoid_slope(e, o, z, a), e.array(e.c)),
    tanh_slope=lambda e, o, z, a: np.maximum(Textbook.tanh_slope(e, o, z, a), e.array(e.c)),
)
bug(
    "slope-plus-constant",
    "A constant is added to a slope, to keep it from vanishing.",
    wrong="dz = da ⊙ (f′(z) + c)",
    right="dz = da ⊙ f′(z)",
    source="Fahlman 1988",
    killed_by="layer.*:*",
    variants=[{"c": c} for c in (0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6)],
    sigmoid_slope=lambda e, o, z, a: Textbook.sigmoid_slope(e, o, z, a) + e.array(e.c),
    tanh_slope=lambda e, o, z, a: Textbook.tanh_slope(e, o, z, a) + e.array(e.c),
)
bug(
    "log-softmax-slope-sum-1",
    "The gradient of log-softmax takes the sum of what comes in for 1.",
    wrong="dz = da − exp(a)",
    right="dz = da − exp(a) Σ da",
    killed_by="layer.LogSoftmax*:*",
    variants=[
        {"log_softmax_backward": lambda e, o, z, a, da: da - np.exp(a)},
        {"log_softmax_backward": lambda e, o, z, a, da: da + np.exp(a)},
    ],
)
