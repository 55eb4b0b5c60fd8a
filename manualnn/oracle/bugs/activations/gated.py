"""Bugs of activations that multiply their input by a gate."""

from collections.abc import Callable
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.bugs.edits import change
from manualnn.oracle.protocol.normal import normal_cdf, normal_pdf
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("activations")

BUGS["silu-slope-lacks-a-term"] = bug(
    "The slope of SiLU has one term of the product rule alone.",
    lines=("silu′ = σ(z), or z σ′(z)", "silu′ = σ(z) + z σ′(z)"),
    silu_slope=[
        lambda e, o, z, a: e.sigma(z),
        lambda e, o, z, a: z * e.sigma(z) * e.sigma(-z),
    ],
)
BUGS["silu-slope-without-brackets"] = bug(
    "The slope of SiLU divides its last term alone.",
    lines=("silu′ = 1 + q + z q / (1 + q)²", "silu′ = (1 + q + z q) / (1 + q)², q = exp(−z)"),
    source="dfdx #915",
    silu_slope=lambda e, o, z, a: 1 + (q := np.exp(-z)) + z * q / (1 + q) ** 2,
)
BUGS["silu-slope-sign"] = bug(
    "The slope of SiLU has a wrong sign.",
    lines=("silu′ = σ (1 − z (1 − σ)), a − σ (1 − a)", "silu′ = σ (1 + z (1 − σ)) = a + σ (1 − a)"),
    silu_slope=[
        lambda e, o, z, a: e.sigma(z) * (1 - z * e.sigma(-z)),
        lambda e, o, z, a: a - e.sigma(z) * (1 - a),
    ],
)
BUGS["silu-slope-of-output"] = bug(
    "The slope of SiLU takes the sigmoid of the output.",
    lines=("silu′ = a + σ(a) (1 − a)", "silu′ = a + σ(z) (1 − a)"),
    silu_slope=lambda e, o, z, a: a + e.sigma(a) * (1 - a),
)
BUGS["silu-by-overflowing-exp"] = bug(
    "SiLU computes z exp(z) / (1 + exp(z)), which is inf / inf for large z.",
    lines=("a = z exp(z) / (1 + exp(z))", "a = z / (1 + exp(−z))"),
    exact=False,
    silu=lambda e, o, z: z * np.exp(z) / (1 + np.exp(z)),
)

BUGS["mish-slope-of-tanh"] = bug(
    "The slope of Mish has a wrong factor: 1 − t instead of 1 − t², or no σ(z).",
    lines=("mish′ = t + z σ (1 − t), or t + z (1 − t²)", "mish′ = t + z σ (1 − t²)"),
    mish_slope=[
        lambda e, o, z, a: (t := np.tanh(e.softplus_of(z))) + z * e.sigma(z) * (1 - t),
        lambda e, o, z, a: (t := np.tanh(e.softplus_of(z))) + z * (1 - t * t),
    ],
)
BUGS["mish-slope-lacks-a-term"] = bug(
    "The slope of Mish has one term of the product rule alone.",
    lines=("mish′ = t, or z σ (1 − t²)", "mish′ = t + z σ (1 − t²)"),
    mish_slope=[
        lambda e, o, z, a: np.tanh(e.softplus_of(z)),
        lambda e, o, z, a: z * e.sigma(z) * (1 - np.tanh(e.softplus_of(z)) ** 2),
    ],
)
BUGS["mish-overflows"] = bug(
    "Mish divides two squares of exp, which is inf / inf for large z.",
    lines=("a = z n / (n + 2), n = exp(z)² + 2 exp(z)", "a = z tanh(log(1 + exp(z)))"),
    source="AlexeyAB/darknet #3994",
    exact=False,
    mish=lambda e, o, z: z * (n := np.exp(z) * (np.exp(z) + 2)) / (n + 2),
)


def _of_other_form(suffix: str) -> Callable[..., Any]:
    """Return the method of Textbook with another option."""
    method: Callable[..., Any] = getattr(Textbook, f"gelu{suffix}")
    return lambda e, o, *given: method(e, change(o, approximate=e.only), *given)


BUGS["gelu-forms-exchanged"] = bug(
    "GELU has the other form than its option says: tanh for none, or none for tanh.",
    lines=("a = z ⊙ Φ(z) for approximate = tanh", "a = ½ z (1 + tanh(s)) for approximate = tanh"),
    only=["none", "tanh"],
    gelu=_of_other_form(""),
    gelu_slope=_of_other_form("_slope"),
)
BUGS["gelu-slope-of-the-other-form"] = bug(
    "The slope of GELU is that of the other form: exact for tanh, or tanh for exact.",
    lines=("gelu′ of tanh for approximate = none", "gelu′ = Φ(z) + z φ(z) for approximate = none"),
    only=["none", "tanh"],
    gelu_slope=_of_other_form("_slope"),
)
BUGS["gelu-slope-lacks-a-term"] = bug(
    "The slope of GELU has one term of the product rule alone.",
    lines=("gelu′ = Φ(z), or z φ(z)", "gelu′ = Φ(z) + z φ(z)"),
    gelu_slope=[
        lambda e, o, z, a: normal_cdf(z),
        lambda e, o, z, a: z * normal_pdf(z),
    ],
)
BUGS["gelu-by-sigmoid"] = bug(
    "GELU is z σ(1.702 z), with its own right gradient.",
    lines=("a = z σ(1.702 z)", "a = z Φ(z)"),
    source="Hendrycks & Gimpel 2016",
    gelu=lambda e, o, z: z * e.sigma(e.num(1.702) * z),
    gelu_slope=lambda e, o, z, a: (
        e.sigma(e.num(1.702) * z) * (1 + e.num(1.702) * z * e.sigma(-e.num(1.702) * z))
    ),
)
