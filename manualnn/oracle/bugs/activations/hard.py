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

BUGS["hardsigmoid-slope-everywhere"] = bug(
    "The slope of Hardsigmoid is 1 / 6 also where it is flat, or at −3 and 3.",
    lines=("hardsigmoid′ = 1 / 6, or [−3 ≤ z ≤ 3] / 6", "hardsigmoid′ = [−3 < z < 3] / 6"),
    source="pytorch #51408, #49922",
    hardsigmoid_slope=[
        lambda e, o, z, a: 0 * z + e.num(1) / 6,
        lambda e, o, z, a: e.array((z >= -3) & (z <= 3)) / 6,
    ],
)
BUGS["hardsigmoid-of-another-slope"] = bug(
    "Hardsigmoid is 0.2 z + 0.5 between −2.5 and 2.5, or z / 4 + 0.5, with its own right gradient.",
    lines=("a = min(max(0.2 z + 0.5, 0), 1)", "a = min(max(z / 6 + 0.5, 0), 1)"),
    source="Keras",
    rise=[0.2, 0.25],
    hardsigmoid=lambda e, o, z: np.clip(e.num(e.rise) * z + 0.5, 0, 1),
    hardsigmoid_slope=lambda e, o, z, a: np.where((a > 0) & (a < 1), e.array(e.rise), 0),
)

BUGS["hardswish-slope-at-bounds"] = bug(
    "The slope of Hardswish at −3 and 3 is that of the parabola.",
    lines=("hardswish′ = z / 3 + ½ for −3 ≤ z ≤ 3", "hardswish′ = z / 3 + ½ for −3 < z < 3"),
    source="pytorch #147801",
    hardswish_slope=lambda e, o, z, a: np.where(np.abs(z) <= 3, z / 3 + 0.5, z > 3),
)
BUGS["hardswish-slope-lacks-a-term"] = bug(
    "The slope of Hardswish has one term of the product rule alone.",
    lines=("hardswish′ = h(z), or z h′(z)", "hardswish′ = h(z) + z h′(z)"),
    hardswish_slope=[
        lambda e, o, z, a: np.clip(z + 3, 0, 6) / 6,
        lambda e, o, z, a: np.where(np.abs(z) < 3, z / 6, 0),
    ],
)
