"""Engines that are wrong in their numbers only: every relation between their own answers holds.

IMPRECISE["six digits"]      a subclass of `Textbook`
"""

import numpy as np

from manualnn.oracle.textbook.engine import Textbook


def _result(change):
    """Return a method that changes all numbers of a result."""

    def changed(value):
        if isinstance(value, dict):
            return {k: a if k == "step" else changed(a) for k, a in value.items()}
        return change(np.asarray(value))

    return lambda e, value, dx: {
        name: changed(a) for name, a in Textbook.result(e, value, dx).items()
    }


def _significant(a, digits=6):
    with np.errstate(all="ignore"):
        exponent = np.floor(np.log10(np.abs(np.where(a == 0, 1, a))))
        factor = 10.0 ** np.nan_to_num(digits - 1 - exponent)
        rounded = np.rint(a * factor) / factor
    return np.where(np.isfinite(rounded), rounded, a).astype(a.dtype)


def _single(a):
    return a.astype(np.float32 if a.dtype == np.float64 else np.float16).astype(a.dtype)


def _rational_tanh(z):
    """Return Lambert's fraction, whose relative error grows from 0 to a few per cent."""
    z = np.clip(z, -4.97, 4.97)
    return (
        z
        * (135135 + z * z * (17325 + z * z * (378 + z * z)))
        / (135135 + z * z * (62370 + z * z * (3150 + z * z * 28)))
    )


def _table_sigma(e, v):
    """Return the logistic function of the nearest of 2001 points."""
    points = np.linspace(-10, 10, 2001)
    nearest = np.clip(np.rint((np.nan_to_num(v) + 10) * 100), 0, 2000).astype(int)
    return (1 / (1 + np.exp(-points)))[nearest].astype(v.dtype)


def _thousandfold(e, o, y, t):
    return 1000 * Textbook.slope(e, o, y, t)


LINES = {
    "rational tanh": {"tanh": lambda e, o, z: _rational_tanh(z)},
    "table of the sigmoid": {"sigma": _table_sigma},
    "six digits": {"result": _result(_significant)},
    "four decimals": {"result": _result(lambda a: np.round(a, 4))},
    "outputs in fewer bits": {"linear": lambda e, o, x: _single(Textbook.linear(e, o, x))},
    "gradient a thousandfold": {"slope": _thousandfold},
    "loss of one half": {
        "value": lambda e, o, y, t: Textbook.value(e, o, y, t) / 2,
        "slope": lambda e, o, y, t: Textbook.slope(e, o, y, t) / 2,
    },
    "exp in fewer bits": {"exp": lambda e, v: _single(np.exp(v))},
}
IMPRECISE = {name: type("Imprecise", (Textbook,), lines) for name, lines in LINES.items()}
