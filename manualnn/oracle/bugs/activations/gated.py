"""Bugs of activations that multiply their input by a gate."""

from collections.abc import Callable
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Table, bug
from manualnn.oracle.bugs.edits import change
from manualnn.oracle.bugs.fits import solved
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.protocol.layers.gated import CUBIC, ROOT
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


def _terms(e: Any, z: Array, form: str) -> tuple[Array, Array]:
    """Return the gate of a form of GELU, and z times the slope of the gate."""
    if form == "none":
        return normal_cdf(z), z * normal_pdf(z)
    s = e.num(ROOT) * (z + e.num(CUBIC) * z**3)
    gate = e.sigma(2 * s)
    return gate, 2 * z * gate * e.sigma(-2 * s) * e.num(ROOT) * (1 + 3 * e.num(CUBIC) * z * z)


def _slope_of_both(e: Any, o: Options, z: Array, a: Array) -> Array:
    other = {"none": "tanh", "tanh": "none"}[e.only]
    right = _terms(e, z, o.approximate)
    wrong = _terms(e, z, other) if o.approximate == e.only else right
    return np.asarray(right[0] + wrong[1])


BUGS["gelu-slope-of-both-forms"] = bug(
    "The slope of GELU takes its gate from one form and the other term from the other form.",
    lines=("gelu′ = ½ (1 + tanh(s)) + z φ(z)", "gelu′ = ½ (1 + tanh(s)) + ½ z (1 − tanh(s)²) s′"),
    source="numpy-ml",
    only=["none", "tanh"],
    gelu_slope=_slope_of_both,
)
BUGS["gelu-by-sigmoid"] = bug(
    "GELU is z σ(c z), with its own right gradient.",
    lines=("a = z σ(c z), c = 1.702", "a = z Φ(z)"),
    source="Hendrycks & Gimpel 2016; borgwang/tinynn, where c is 0.1702",
    c=Constant([1.702], solved(1.702, 0.1702, linear=True)),
    gelu=lambda e, o, z: z * e.sigma(e.num(e.c) * z),
    gelu_slope=lambda e, o, z, a: (
        e.sigma(e.num(e.c) * z) * (1 + e.num(e.c) * z * e.sigma(-e.num(e.c) * z))
    ),
)
