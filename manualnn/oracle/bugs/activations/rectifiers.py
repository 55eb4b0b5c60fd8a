"""Mistakes in ReLU and LeakyReLU, most of them at 0 or on the wrong side of it."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Bug, but, plant
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "activations")

bug(
    "relu-slope-at-zero",
    "The slope of ReLU at 0 is not 0.",
    wrong="relu′(0) = 1, or ½",
    right="relu′(0) = 0",
    source="TF #62429",
    killed_by="kinks:*",
    variants=[{"at_zero": 1}, {"at_zero": 0.5}],
    relu_slope=lambda e, o, z, a: np.where(z == 0, e.array(e.at_zero), e.array(z > 0)),
)
bug(
    "relu-slope-is-activation",
    "The slope of ReLU is its value.",
    wrong="dz = da ⊙ a",
    right="dz = da ⊙ [z > 0]",
    killed_by="layer.ReLU*:*",
    relu_slope=lambda e, o, z, a: a,
)
bug(
    "relu-slope-inverted",
    "The slope of ReLU is 1 where it has to be 0.",
    wrong="dz = da ⊙ [z ≤ 0]",
    right="dz = da ⊙ [z > 0]",
    killed_by="layer.ReLU*:*",
    relu_slope=lambda e, o, z, a: e.array(z <= 0),
)
bug(
    "relu-gates-by-gradient",
    "ReLU lets through only gradients that are positive themselves.",
    wrong="dz = max(da, 0) ⊙ [z > 0]",
    right="dz = da ⊙ [z > 0]",
    killed_by="layer.ReLU*:*",
    relu_backward=lambda e, o, z, a, da: np.maximum(da, 0) * (z > 0),
)
bug(
    "relu-capped",
    "ReLU stops at 6.",
    wrong="a = min(max(z, 0), 6)",
    right="a = max(z, 0)",
    killed_by="optimizer.*:*",
    relu=lambda e, o, z: np.clip(z, 0, 6),
    relu_slope=lambda e, o, z, a: e.array((z > 0) & (z < 6)),
)
bug(
    "relu-threshold-above-zero",
    "The slope of ReLU starts a little above 0.",
    wrong="relu′(z) = [z > ε]",
    right="relu′(z) = [z > 0]",
    killed_by="nearly:*",
    variants=[{"eps": 1e-3}, {"eps": 1e-6}],
    relu_slope=lambda e, o, z, a: e.array(z > e.eps),
)
bug(
    "leaky-relu-wrong-side",
    "The small slope of LeakyReLU is on the positive side.",
    wrong="a = α z for z > 0, else z",
    right="a = z for z > 0, else α z",
    killed_by="layer.LeakyReLU*:*",
    leaky_relu=lambda e, o, z: -Textbook.leaky_relu(e, o, -z),
    leaky_relu_slope=lambda e, o, z, a: np.where(z < 0, 1, e.array(o.negative_slope)),
)
bug(
    "leaky-relu-min",
    "LeakyReLU takes a minimum: both sides have the small slope.",
    wrong="a = min(max(z, 0), α z)",
    right="a = max(z, 0) + α min(z, 0)",
    source="candle",
    killed_by="layer.LeakyReLU*:*",
    leaky_relu=lambda e, o, z: np.minimum(np.maximum(z, 0), e.num(o.negative_slope) * z),
)
bug(
    "leaky-relu-max",
    "LeakyReLU takes a maximum, which is another function where α > 1.",
    wrong="a = max(z, α z)",
    right="a = z for z > 0, else α z",
    killed_by="layer.LeakyReLU*negative_slope*:*",
    leaky_relu=lambda e, o, z: np.maximum(z, e.num(o.negative_slope) * z),
)
bug(
    "leaky-relu-slope-ignored",
    "LeakyReLU takes α = 0.01, whatever is asked for.",
    wrong="α = 0.01",
    right="α as given",
    killed_by="layer.LeakyReLU*negative_slope*:*",
    leaky_relu=lambda e, o, z: Textbook.leaky_relu(e, but(o, negative_slope=0.01), z),
    leaky_relu_slope=lambda e, o, z, a: Textbook.leaky_relu_slope(
        e, but(o, negative_slope=0.01), z, a
    ),
)
bug(
    "leaky-relu-with-relu-slope",
    "LeakyReLU is differentiated as ReLU: nothing comes back where z < 0.",
    wrong="dz = da ⊙ [z > 0]",
    right="dz = da ⊙ (1 for z > 0, else α)",
    killed_by="layer.LeakyReLU*:*",
    leaky_relu_slope=lambda e, o, z, a: e.array(z > 0),
)
bug(
    "leaky-relu-slope-at-zero",
    "The slope of LeakyReLU at 0 is 1.",
    wrong="leaky′(0) = 1",
    right="leaky′(0) = α",
    killed_by="kinks:*",
    leaky_relu_slope=lambda e, o, z, a: np.where(z >= 0, 1, e.array(o.negative_slope)),
)
bug(
    "leaky-relu-by-absolute-value",
    "LeakyReLU as a sum of z and |z| loses the digits of α z where z < 0.",
    wrong="a = ½ (1 + α) z + ½ (1 − α) |z|",
    right="a = z for z > 0, else α z",
    source="Theano",
    killed_by="layer.LeakyReLU*:*",
    exact=False,
    leaky_relu=lambda e, o, z: (
        (1 + e.num(o.negative_slope)) / 2 * z + (1 - e.num(o.negative_slope)) / 2 * np.abs(z)
    ),
)
