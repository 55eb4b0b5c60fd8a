"""Bugs of activations that are linear between bounds."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug

BUGS = Table("activations")

BUGS["hardtanh-slope-at-bounds"] = bug(
    "The slope of Hardtanh is 1 at its bounds as well.",
    lines=("hardtanh′ = [min ≤ z ≤ max]", "hardtanh′ = [min < z < max]"),
    hardtanh_slope=lambda e, o, z, a: e.array((z >= o.min_val) & (z <= o.max_val)),
)
BUGS["hardtanh-slope-without-a-bound"] = bug(
    "The slope of Hardtanh is 1 beyond one of its bounds.",
    lines=("hardtanh′ = [z > min], or [z < max]", "hardtanh′ = [min < z < max]"),
    hardtanh_slope=[
        lambda e, o, z, a: e.array(z > o.min_val),
        lambda e, o, z, a: e.array(z < o.max_val),
    ],
)

BUGS["relu-six-slope-without-its-bound"] = bug(
    "The slope of ReLU6 is that of ReLU, or it is 1 at 6.",
    lines=("relu6′ = [z > 0], or [0 < z ≤ 6]", "relu6′ = [0 < z < 6]"),
    relu_six_slope=[
        lambda e, o, z, a: e.array(z > 0),
        lambda e, o, z, a: e.array((z > 0) & (z <= 6)),
    ],
)
BUGS["relu-six-of-another-bound"] = bug(
    "ReLU6 is cut off at another number than 6, with its own right gradient.",
    lines=("a = min(max(z, 0), 1), or without a bound", "a = min(max(z, 0), 6)"),
    most=[1.0, np.inf],
    relu_six=lambda e, o, z: np.clip(z, 0, e.array(e.most)),
    relu_six_slope=lambda e, o, z, a: e.array((z > 0) & (z < e.most)),
)
