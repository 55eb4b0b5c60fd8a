"""Bugs of ReLU and LeakyReLU, most of them at 0 or on the wrong side of 0."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.bugs.edits import with_options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("activations")
kink_bug = partial(bug, killed_by="kinks:*")

BUGS["relu-slope-at-zero"] = kink_bug(
    "The slope of ReLU at 0 is not 0.",
    lines=("relu′(0) = 1, or ½", "relu′(0) = 0"),
    source="TF #62429",
    at_zero=[1, 0.5],
    relu_slope=lambda e, o, z, a: np.where(z == 0, e.array(e.at_zero), e.array(z > 0)),
)
BUGS["relu-slope-is-activation"] = bug(
    "The slope of ReLU is its value.",
    lines=("dz = da ⊙ a", "dz = da ⊙ [z > 0]"),
    relu_slope=lambda e, o, z, a: a,
)
BUGS["relu-slope-inverted"] = bug(
    "The slope of ReLU is 1 where it must be 0, and 0 where it must be 1.",
    lines=("dz = da ⊙ [z ≤ 0]", "dz = da ⊙ [z > 0]"),
    relu_slope=lambda e, o, z, a: e.array(z <= 0),
)
BUGS["relu-gates-by-gradient"] = bug(
    "ReLU passes only positive gradients back.",
    lines=("dz = max(da, 0) ⊙ [z > 0]", "dz = da ⊙ [z > 0]"),
    relu_backward=lambda e, o, z, a, da: np.maximum(da, 0) * (z > 0),
)
BUGS["relu-capped"] = bug(
    "The output of ReLU is limited to 6.",
    lines=("a = min(max(z, 0), 6)", "a = max(z, 0)"),
    killed_by="optimizer.*:*",
    relu=lambda e, o, z: np.clip(z, 0, 6),
    relu_slope=lambda e, o, z, a: e.array((z > 0) & (z < 6)),
)
BUGS["relu-threshold-above-zero"] = bug(
    "The slope of ReLU is 0 up to a small positive number.",
    lines=("relu′(z) = [z > ε]", "relu′(z) = [z > 0]"),
    killed_by="nearly:*",
    eps=[1e-3, 1e-6],
    relu_slope=lambda e, o, z, a: e.array(z > e.eps),
)
BUGS["leaky-relu-wrong-side"] = bug(
    "LeakyReLU has its small slope on the positive side.",
    lines=("a = α z for z > 0, else z", "a = z for z > 0, else α z"),
    leaky_relu=lambda e, o, z: -Textbook.leaky_relu(e, o, -z),
    leaky_relu_slope=lambda e, o, z, a: np.where(z < 0, 1, e.array(o.negative_slope)),
)
BUGS["leaky-relu-min"] = bug(
    "LeakyReLU is a minimum instead of a sum, so that both sides have the small slope.",
    lines=("a = min(max(z, 0), α z)", "a = max(z, 0) + α min(z, 0)"),
    source="candle",
    leaky_relu=lambda e, o, z: np.minimum(np.maximum(z, 0), e.num(o.negative_slope) * z),
)
BUGS["leaky-relu-max"] = bug(
    "LeakyReLU is the maximum of z and α z, which is wrong for α > 1.",
    lines=("a = max(z, α z)", "a = z for z > 0, else α z"),
    leaky_relu=lambda e, o, z: np.maximum(z, e.num(o.negative_slope) * z),
)
BUGS["leaky-relu-slope-ignored"] = bug(
    "LeakyReLU ignores the option negative_slope: α is always 0.01.",
    lines=("α = 0.01", "α as given"),
    **with_options("leaky_relu", "leaky_relu_slope", negative_slope=0.01),
)
BUGS["leaky-relu-with-relu-slope"] = bug(
    "LeakyReLU has the slope of ReLU: the gradient is 0 where z < 0.",
    lines=("dz = da ⊙ [z > 0]", "dz = da ⊙ (1 for z > 0, else α)"),
    leaky_relu_slope=lambda e, o, z, a: e.array(z > 0),
)
BUGS["leaky-relu-slope-at-zero"] = kink_bug(
    "The slope of LeakyReLU at 0 is 1.",
    lines=("leaky′(0) = 1", "leaky′(0) = α"),
    leaky_relu_slope=lambda e, o, z, a: np.where(z >= 0, 1, e.array(o.negative_slope)),
)
BUGS["leaky-relu-by-absolute-value"] = bug(
    "LeakyReLU is a sum of z and |z|, which loses digits of α z where z < 0.",
    lines=("a = ½ (1 + α) z + ½ (1 − α) |z|", "a = z for z > 0, else α z"),
    source="Theano",
    exact=False,
    leaky_relu=lambda e, o, z: (
        (1 + e.num(o.negative_slope)) / 2 * z + (1 - e.num(o.negative_slope)) / 2 * np.abs(z)
    ),
)
