"""Bugs of activations that are linear for positive inputs and exponential for others."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.protocol.layers.exponential import ALPHA, SCALE

BUGS = Table("activations")

BUGS["elu-slope-from-output"] = bug(
    "The slope of ELU is computed from its output by another formula than a + α.",
    lines=("elu′ = a + 1, or a, or −a, for z < 0", "elu′ = a + α = α exp(z) for z < 0"),
    source="DeepCL #46",
    elu_slope=[
        lambda e, o, z, a: np.where(z > 0, 1, a + 1),
        lambda e, o, z, a: np.where(z > 0, 1, a),
        lambda e, o, z, a: np.where(z > 0, 1, -a),
    ],
)
BUGS["elu-slope-from-input"] = bug(
    "The slope of ELU adds α to the input instead of the output.",
    lines=("elu′ = z + α for z < 0", "elu′ = a + α for z < 0"),
    source="mlpack #1540",
    elu_slope=lambda e, o, z, a: np.where(z > 0, 1, z + e.num(o.alpha)),
)
BUGS["elu-subtracts-alpha"] = bug(
    "ELU subtracts α from the exponential instead of multiplying by it.",
    lines=("a = exp(z) − α for z < 0", "a = α (exp(z) − 1) for z < 0"),
    source="apache/singa #480",
    elu=lambda e, o, z: np.where(z > 0, z, np.exp(z) - e.num(o.alpha)),
)
BUGS["elu-adds-exponential-everywhere"] = bug(
    "ELU adds the exponential of positive inputs as well: it has no minimum with 0.",
    lines=("a = max(z, 0) + α (exp(z) − 1)", "a = max(z, 0) + α (exp(min(z, 0)) − 1)"),
    elu=lambda e, o, z: np.maximum(z, 0) + e.num(o.alpha) * (np.exp(z) - 1),
)
BUGS["elu-as-maximum-and-minimum"] = bug(
    "ELU is the sum of a maximum and a minimum, which is another function for α < 0, and 0 · inf "
    "for α = 0.",
    lines=("a = max(z, 0) + min(α (exp(z) − 1), 0)", "a = z for z > 0, else α (exp(z) − 1)"),
    source="borgwang/tinynn",
    killed_by="layer.ELU.alpha:*",
    exact=False,
    elu=lambda e, o, z: np.maximum(z, 0) + np.minimum(e.num(o.alpha) * (np.exp(z) - 1), 0),
)
BUGS["exponential-slope-of-relu"] = bug(
    "The slope of ELU, SELU or CELU is 0 where z < 0, as that of ReLU.",
    lines=("elu′ = 0 for z < 0", "elu′ = α exp(z) for z < 0"),
    source="borgwang/tinynn",
    elu_slope=lambda e, o, z, a: e.array(z > 0),
    selu_slope=lambda e, o, z, a: e.num(SCALE) * (z > 0),
    celu_slope=lambda e, o, z, a: e.array(z > 0),
)
BUGS["elu-slope-without-brackets"] = bug(
    "The slope of ELU compares z with a sum instead of adding to a comparison.",
    lines=("elu′ = [z > 0 + [z < 0] α exp(z)]", "elu′ = [z > 0] + [z ≤ 0] α exp(z)"),
    source="borgwang/tinynn",
    exact=False,
    elu_slope=lambda e, o, z, a: e.array(z > (z < 0) * e.num(o.alpha) * np.exp(z)),
)
BUGS["exponential-slope-at-zero"] = bug(
    "The slope of ELU or SELU at 0 is that of positive inputs.",
    lines=("elu′(0) = 1, selu′(0) = λ", "elu′(0) = α, selu′(0) = λ α"),
    source="numpy-ml",
    elu_slope=lambda e, o, z, a: np.where(z >= 0, 1, e.num(o.alpha) * np.exp(z)),
    selu_slope=lambda e, o, z, a: e.num(SCALE) * np.where(z >= 0, 1, e.num(ALPHA) * np.exp(z)),
)

BUGS["selu-constants-rounded"] = bug(
    "The constants of SELU have few digits.",
    lines=("α = 1.6733 or 1.67326, λ = 1.0507", "α = 1.6732632423543772, λ = 1.0507009873554805"),
    alpha=[1.6733, 1.67326, 1.673],
    selu=lambda e, o, z: e.num(1.0507) * np.where(z > 0, z, e.num(e.alpha) * np.expm1(z)),
    selu_slope=lambda e, o, z, a: e.num(1.0507) * np.where(z > 0, 1, e.num(e.alpha) * np.exp(z)),
)
BUGS["selu-slope-from-output"] = bug(
    "The slope of SELU is computed from its output without the factor λ of α, or with it twice.",
    lines=("selu′ = λ (a + α), or a + α, for z < 0", "selu′ = a + λ α = λ α exp(z) for z < 0"),
    source="RubixML #427",
    selu_slope=[
        lambda e, o, z, a: e.num(SCALE) * np.where(z > 0, 1, a + e.num(ALPHA)),
        lambda e, o, z, a: np.where(z > 0, e.num(SCALE), a + e.num(ALPHA)),
    ],
)
BUGS["selu-slope-without-alpha"] = bug(
    "The slope of SELU lacks the factor α.",
    lines=("selu′ = λ exp(z) for z < 0", "selu′ = λ α exp(z) for z < 0"),
    source="deeplearning4j/libnd4j #401",
    selu_slope=lambda e, o, z, a: e.num(SCALE) * np.where(z > 0, 1, np.exp(z)),
)
BUGS["selu-without-scale"] = bug(
    "SELU lacks the factor λ of positive inputs.",
    lines=("a = z for z > 0", "a = λ z for z > 0"),
    source="GiorgosXou/NeuralNetworks #51",
    selu=lambda e, o, z: np.where(z > 0, z, e.num(SCALE * ALPHA) * np.expm1(z)),
)

BUGS["celu-slope-of-elu"] = bug(
    "The slope of CELU is that of ELU: it has a factor α, or its exponent is not divided by α.",
    lines=("celu′ = α exp(z), or α exp(z / α), for z < 0", "celu′ = exp(z / α) for z < 0"),
    celu_slope=[
        lambda e, o, z, a: np.where(z > 0, 1, e.num(o.alpha) * np.exp(z)),
        lambda e, o, z, a: np.where(z > 0, 1, e.num(o.alpha) * np.exp(z / e.num(o.alpha))),
    ],
)
BUGS["celu-is-elu"] = bug(
    "CELU is ELU, with its own right gradient.",
    lines=("a = α (exp(z) − 1) for z < 0", "a = α (exp(z / α) − 1) for z < 0"),
    celu=lambda e, o, z: np.where(z > 0, z, e.num(o.alpha) * np.expm1(z)),
    celu_slope=lambda e, o, z, a: np.where(z > 0, 1, e.num(o.alpha) * np.exp(z)),
)
