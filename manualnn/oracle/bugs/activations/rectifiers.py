"""Bugs of ReLU and LeakyReLU, most of them at 0 or on the wrong side of 0."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Table, bug
from manualnn.oracle.bugs.edits import with_options
from manualnn.oracle.bugs.fits import largest, solved
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("activations")
_with_negative_slope = with_options(
    "leaky_relu", "leaky_relu_slope", negative_slope=lambda e, o: -o.negative_slope
)
kink_bug = partial(bug, killed_by="kinks:*")

BUGS["relu-slope-at-zero"] = kink_bug(
    "The slope of ReLU at 0 is not 0.",
    lines=("relu′(0) = 1, or ½", "relu′(0) = 0"),
    source="TF #62429",
    at_zero=[1, 0.5],
    relu_slope=lambda e, o, z, a: np.where(z == 0, e.array(e.at_zero), e.array(z > 0)),
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
    "The output of ReLU has an upper limit.",
    lines=("a = min(max(z, 0), c)", "a = max(z, 0)"),
    killed_by="optimizer.*:*",
    c=Constant([6.0, 1.0], largest("outputs")),
    relu=lambda e, o, z: np.clip(z, 0, e.array(e.c)),
    relu_slope=lambda e, o, z, a: e.array((z > 0) & (z < e.c)),
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
BUGS["leaky-relu-other-slope"] = bug(
    "LeakyReLU has another slope than the option negative_slope.",
    lines=("α ← c", "α as given"),
    rank=1,
    slope_below=Constant([0.1, 0.2, 1 / 3, 0.05], solved(0.1, 0.2, linear=True)),
    **with_options("leaky_relu", "leaky_relu_slope", negative_slope=lambda e, o: e.slope_below),
)
BUGS["leaky-relu-other-slope-backward"] = bug(
    "The backward pass of LeakyReLU has another slope than its forward pass.",
    lines=("dz = da ⊙ (1 for z > 0, else c)", "dz = da ⊙ (1 for z > 0, else α)"),
    rank=1,
    slope_below=Constant([0.1], solved(0.1, 0.2, linear=True)),
    **with_options("leaky_relu_slope", negative_slope=lambda e, o: e.slope_below),
)
BUGS["leaky-relu-slope-negated"] = bug(
    "The small slope of LeakyReLU has the wrong sign: a = |α z| or −α z below 0.",
    lines=("a = −α z for z < 0, forward, backward or both", "a = α z for z < 0"),
    leaky_relu=[
        _with_negative_slope["leaky_relu"],
        Textbook.leaky_relu,
        _with_negative_slope["leaky_relu"],
    ],
    leaky_relu_slope=[
        Textbook.leaky_relu_slope,
        _with_negative_slope["leaky_relu_slope"],
        _with_negative_slope["leaky_relu_slope"],
    ],
)
BUGS["relu-is-leaky"] = bug(
    "ReLU has a small slope below 0: forward and backward.",
    lines=("a = z for z > 0, else c z", "a = max(z, 0)"),
    rank=1,
    slope_below=Constant([0.01, 0.1, 0.2], solved(0.1, 0.2, linear=True)),
    relu=lambda e, o, z: np.where(z > 0, z, e.num(e.slope_below) * z),
    relu_slope=lambda e, o, z, a: np.where(z > 0, 1, e.array(e.slope_below)),
)
BUGS["relu-slope-is-leaky"] = bug(
    "The slope of ReLU below 0 is a small number.",
    lines=("relu′(z) = c for z ≤ 0", "relu′(z) = 0 for z ≤ 0"),
    rank=1,
    slope_below=Constant([0.01, 0.1], solved(0.1, 0.2, linear=True)),
    relu_slope=lambda e, o, z, a: np.where(z > 0, 1, e.array(e.slope_below)),
)
BUGS["relu-is-absolute"] = bug(
    "ReLU is the absolute value, forward and backward.",
    lines=("a = |z|, dz = da ⊙ sign(z)", "a = max(z, 0), dz = da ⊙ [z > 0]"),
    relu=lambda e, o, z: np.abs(z),
    relu_slope=lambda e, o, z, a: np.sign(z),
)
BUGS["relu-slope-is-sign"] = bug(
    "The slope of ReLU is the sign of z.",
    lines=("dz = da ⊙ sign(z)", "dz = da ⊙ [z > 0]"),
    relu_slope=lambda e, o, z, a: np.sign(z),
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
BUGS["leaky-relu-slope-0-passes-all"] = bug(
    "With negative_slope 0, LeakyReLU passes all gradients back.",
    lines=("dz = da where α = 0", "dz = da ⊙ [z > 0] where α = 0"),
    killed_by="layer.LeakyReLU.negative_slope:*",
    source="chainer #5898",
    where=lambda e, o, z, a: o.negative_slope == 0,
    leaky_relu_slope=lambda e, o, z, a: np.ones_like(z),
)
