# ruff: noqa: ARG002 - equations get arguments that not all of them need
"""Formulas that are computed as they are written have one name where they overflow and cancel."""

import numpy as np
import pytest
from oracle.test_diagnose import case

from manualnn.oracle.bugs import BUGS
from manualnn.oracle.diagnosis.names.agreement import Verdict
from manualnn.oracle.diagnosis.names.hypotheses import Hypothesis
from manualnn.oracle.diagnosis.observation import observe
from manualnn.oracle.engines.client import connect
from manualnn.oracle.textbook.engine import Textbook


def exp(v):
    """Return exp(v), rounded up by one digit, as by another library."""
    return np.nextafter(np.exp(v), np.inf)


class Literal(Textbook):
    """Computes softplus and tanh as they are written, and the slope of tanh from tanh."""

    def softplus(self, o, z):
        return np.log(1 + exp(z))

    def tanh(self, o, z):
        power = exp(2 * z)
        return (power - 1) / (power + 1)

    def tanh_slope(self, o, z, a):
        return 1 - a * a


def verdict_of(name, curve, z):
    """Return the best verdict on the engines of a bug at an activation with this input."""
    first = case(n=1, widths=(1, 1, 1), curve=curve)
    ones = {key: np.full_like(a, key.endswith("weight")) for key, a in first.params.items()}
    with connect(Literal) as bench:
        seen = observe(bench, [first.but(params=ones, x=np.array([[z]]), t=np.array([[0.0]]))])
    engines = BUGS[name].engines
    verdicts = {Hypothesis(BUGS[name], engine, engine).judge(seen) for engine in engines}
    return next(verdict for verdict in Verdict if verdict in verdicts)


@pytest.mark.parametrize(
    ("literal", "curve", "z", "others"),
    [
        ("softplus-literal", "Softplus", 800.0, ["softplus-cancels"]),
        ("softplus-literal", "Softplus", -40.0, ["softplus-overflows"]),
        ("tanh-from-overflowing-power", "Tanh", 800.0, ["tanh-cancels"]),
        ("tanh-from-overflowing-power", "Tanh", 1e-9, ["float32-loss"]),
    ],
)
def test_one_literal_formula_explains_what_overflows_and_what_cancels(literal, curve, z, others):
    """At z = 1, nothing overflows or cancels, so a right engine and the bug are alike."""
    assert verdict_of(literal, curve, 1.0) is Verdict.SILENT
    assert verdict_of(literal, curve, z) is Verdict.CONFIRMED
    assert all(verdict_of(name, curve, z) is not Verdict.CONFIRMED for name in others)
