"""Bugs of activations that are linear for positive inputs and exponential for others."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug

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
