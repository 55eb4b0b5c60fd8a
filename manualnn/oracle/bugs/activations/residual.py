"""Bugs of residual connections."""

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("activations")

BUGS["residual-not-in-backward"] = bug(
    "The gradient of a Residual goes through its layers alone.",
    lines=("dz = (∂f/∂z)ᵀ da", "dz = da + (∂f/∂z)ᵀ da"),
    residual_backward=lambda e, o, z, a, da: Textbook.residual_backward(e, o, z, a, da) - da,
)
BUGS["residual-passes-gradient-alone"] = bug(
    "The gradient of a Residual's input lacks what goes through its layers.",
    lines=("dz = da", "dz = da + (∂f/∂z)ᵀ da"),
    residual_backward=lambda e, o, z, a, da: 0 * Textbook.residual_backward(e, o, z, a, da) + da,
)
BUGS["residual-left-out"] = bug(
    "A Residual does not add its input.",
    lines=("a = f(z), dz = (∂f/∂z)ᵀ da", "a = z + f(z), dz = da + (∂f/∂z)ᵀ da"),
    residual=lambda e, o, z: Textbook.residual(e, o, z) - z,
    residual_backward=lambda e, o, z, a, da: Textbook.residual_backward(e, o, z, a, da) - da,
)
