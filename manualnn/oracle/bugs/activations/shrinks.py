"""Bugs of activations that set small or low inputs to a constant."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug

BUGS = Table("activations")

BUGS["softshrink-slope-at-its-limit"] = bug(
    "The slope of Softshrink at ±λ is 1.",
    lines=("softshrink′ = [|z| ≥ λ]", "softshrink′ = [|z| > λ]"),
    source="attorch #15",
    softshrink_slope=lambda e, o, z, a: e.array(np.abs(z) >= o.lambd),
)
BUGS["softshrink-wrong-side"] = bug(
    "Softshrink moves negative inputs away from 0, or does not move them.",
    lines=("a = z − λ, or z, for z < −λ", "a = z + λ for z < −λ"),
    shift=[-1, 0],
    softshrink=lambda e, o, z: np.where(
        z > o.lambd,
        z - e.num(o.lambd),
        np.where(z < -o.lambd, z + e.shift * e.num(o.lambd), e.array(0)),
    ),
)

BUGS["hardshrink-at-its-limit"] = bug(
    "Hardshrink lets ±λ pass.",
    lines=("a = z ⊙ [|z| ≥ λ]", "a = z ⊙ [|z| > λ]"),
    source="attorch #15",
    hardshrink=lambda e, o, z: np.where(np.abs(z) >= o.lambd, z, e.array(0)),
    hardshrink_slope=lambda e, o, z, a: e.array(np.abs(z) >= o.lambd),
)
BUGS["hardshrink-mirrors"] = bug(
    "Hardshrink changes the sign of negative inputs.",
    lines=("a = −z for z < −λ", "a = z for z < −λ"),
    source="torch/nn #1270",
    hardshrink=lambda e, o, z: np.where(np.abs(z) > o.lambd, np.abs(z), e.array(0)),
)

BUGS["threshold-at-its-limit"] = bug(
    "Threshold lets an input pass that equals the threshold.",
    lines=("a = z where z ≥ threshold", "a = z where z > threshold"),
    threshold=lambda e, o, z: np.where(z >= o.threshold, z, e.num(o.value)),
    threshold_slope=lambda e, o, z, a: e.array(z >= o.threshold),
)
BUGS["threshold-slope-of-output"] = bug(
    "The slope of Threshold follows from the output instead of the input.",
    lines=("threshold′ = [a > threshold]", "threshold′ = [z > threshold]"),
    threshold_slope=lambda e, o, z, a: e.array(a > o.threshold),
)
