"""Mistakes in smooth activations, and in what all activations share, forward and backward."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Bug, but, plant
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "activations")

bug(
    "slope-missing",
    "The slope of the activation is missing in the backward pass.",
    wrong="dz = da",
    right="dz = da ⊙ f′(z)",
    killed_by="layer.*:*",
    sigmoid_slope=lambda e, o, z, a: np.ones_like(z),
    tanh_slope=lambda e, o, z, a: np.ones_like(z),
    relu_slope=lambda e, o, z, a: np.ones_like(z),
    leaky_relu_slope=lambda e, o, z, a: np.ones_like(z),
    softplus_slope=lambda e, o, z, a: np.ones_like(z),
    softmax_backward=lambda e, o, z, a, da: da,
    log_softmax_backward=lambda e, o, z, a, da: da,
)
bug(
    "slope-squared",
    "The slope of the activation is applied twice.",
    wrong="dz = da ⊙ f′(z)²",
    right="dz = da ⊙ f′(z)",
    killed_by="layer.*:*",
    sigmoid_slope=lambda e, o, z, a: Textbook.sigmoid_slope(e, o, z, a) ** 2,
    tanh_slope=lambda e, o, z, a: Textbook.tanh_slope(e, o, z, a) ** 2,
    leaky_relu_slope=lambda e, o, z, a: Textbook.leaky_relu_slope(e, o, z, a) ** 2,
    softplus_slope=lambda e, o, z, a: Textbook.softplus_slope(e, o, z, a) ** 2,
    softmax_backward=lambda e, o, z, a, da: Textbook.softmax_backward(
        e, o, z, a, Textbook.softmax_backward(e, o, z, a, da)
    ),
    log_softmax_backward=lambda e, o, z, a, da: Textbook.log_softmax_backward(
        e, o, z, a, Textbook.log_softmax_backward(e, o, z, a, da)
    ),
)
bug(
    "slope-at-activation",
    "The slope is taken at the activation, as if it were the pre-activation.",
    wrong="dz = da ⊙ f′(a)",
    right="dz = da ⊙ f′(z)",
    killed_by="layer.*:*",
    sigmoid_slope=lambda e, o, z, a: e.sigma(a) * (1 - e.sigma(a)),
    tanh_slope=lambda e, o, z, a: 1 - np.tanh(a) ** 2,
    softplus_slope=lambda e, o, z, a: Textbook.softplus_slope(e, o, a, a),
)
bug(
    "slope-formula-at-pre-activation",
    "The slope's formula in terms of a is given z: a (1 − a) or 1 − a² of the wrong variable.",
    wrong="dz = da ⊙ z (1 − z), or da ⊙ (1 − z²)",
    right="dz = da ⊙ a (1 − a), or da ⊙ (1 − a²)",
    killed_by="layer.*:*",
    sigmoid_slope=lambda e, o, z, a: z * (1 - z),
    tanh_slope=lambda e, o, z, a: 1 - z * z,
)
bug(
    "slope-of-the-gradient",
    "The slope is taken at the incoming gradient.",
    wrong="dz = da ⊙ f′(da)",
    right="dz = da ⊙ f′(z)",
    killed_by="layer.*:*",
    sigmoid_backward=lambda e, o, z, a, da: da * (da * (1 - da)),
    tanh_backward=lambda e, o, z, a, da: da * (1 - da * da),
    relu_backward=lambda e, o, z, a, da: np.maximum(da, 0),
    leaky_relu_backward=lambda e, o, z, a, da: da * e.leaky_relu_slope(o, da, a),
)
bug(
    "sigmoid-slope-one-minus",
    "The slope of the sigmoid has lost a factor or a sign.",
    wrong="σ′ = 1 − a, a (1 + a), a − 1 …",
    right="σ′ = a (1 − a)",
    killed_by="layer.Sigmoid*:*",
    variants=[
        {"sigmoid_slope": lambda e, o, z, a: 1 - a},
        {"sigmoid_slope": lambda e, o, z, a: a},
        {"sigmoid_slope": lambda e, o, z, a: a * (1 + a)},
        {"sigmoid_slope": lambda e, o, z, a: a * (a - 1)},
    ],
)
bug(
    "sigmoid-with-tanh-slope",
    "The sigmoid has the slope of tanh.",
    wrong="σ′ = 1 − a²",
    right="σ′ = a (1 − a)",
    killed_by="layer.Sigmoid*:*",
    sigmoid_slope=lambda e, o, z, a: 1 - a * a,
)
bug(
    "sigmoid-clipped",
    "The sigmoid's input is clipped so early that it shows.",
    wrong="σ(clip(z, −c, c))",
    right="σ(z)",
    killed_by="saturation:*",
    variants=[{"c": c} for c in (10, 15, 20, 30)],
    sigma=lambda e, v: Textbook.sigma(e, np.clip(v, e.array(-e.c), e.array(e.c))),
)
bug(
    "sigmoid-overflows",
    "exp(z) overflows where z is large and positive: inf / inf.",
    wrong="σ(z) = exp(z) / (1 + exp(z))",
    right="σ(z) = 1 / (1 + exp(−z)) for z ≥ 0",
    killed_by="saturation:*",
    exact=False,
    sigmoid=lambda e, o, z: np.exp(z) / (1 + np.exp(z)),
)
bug(
    "sigmoid-hard",
    "A piecewise linear function stands for the sigmoid.",
    wrong="a = clip(z / 6 + ½, 0, 1)",
    right="a = 1 / (1 + exp(−z))",
    killed_by="layer.Sigmoid*:*",
    variants=[{"rise": 1 / 6}, {"rise": 0.2}, {"rise": 0.25}],
    sigmoid=lambda e, o, z: np.clip(e.num(e.rise) * z + 0.5, 0, 1),
    sigmoid_slope=lambda e, o, z, a: np.where((a > 0) & (a < 1), e.array(e.rise), 0),
)
bug(
    "sigmoid-without-minus",
    "The exponent of the sigmoid lacks its minus.",
    wrong="a = 1 / (1 + exp(z))",
    right="a = 1 / (1 + exp(−z))",
    killed_by="layer.Sigmoid*:*",
    sigmoid=lambda e, o, z: e.sigma(-z),
)
bug(
    "tanh-slope-without-square",
    "The slope of tanh lacks the square.",
    wrong="tanh′ = 1 − a",
    right="tanh′ = 1 − a²",
    killed_by="layer.Tanh*:*",
    tanh_slope=lambda e, o, z, a: 1 - a,
)
bug(
    "tanh-with-sigmoid-slope",
    "tanh has the slope of the sigmoid.",
    wrong="tanh′ = a (1 − a)",
    right="tanh′ = 1 − a²",
    killed_by="layer.Tanh*:*",
    tanh_slope=lambda e, o, z, a: a * (1 - a),
)
bug(
    "tanh-overflows",
    "exp(±z) overflows where |z| is large: inf / inf.",
    wrong="a = (exp(z) − exp(−z)) / (exp(z) + exp(−z))",
    right="a = tanh(z)",
    killed_by="saturation:*",
    exact=False,
    tanh=lambda e, o, z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
)


def _by_exp(z: Array) -> Array:
    q = np.exp(-2 * np.abs(z))
    return np.asarray(np.copysign((1 - q) / (1 + q), z))


bug(
    "tanh-cancels",
    "tanh by way of exp or of the sigmoid loses its digits near 0.",
    wrong="a = 2 σ(2z) − 1, or (1 − q) / (1 + q) with q = exp(−2z)",
    right="a = tanh(z)",
    killed_by="layer.Tanh:*",
    exact=False,
    variants=[
        {"tanh": lambda e, o, z: 2 * e.sigma(2 * z) - 1},
        {"tanh": lambda e, o, z: _by_exp(z)},
    ],
)
bug(
    "tanh-saturates-early",
    "tanh is cut off at ±1 where |z| is far from large.",
    wrong="a = ±1 where |z| > c",
    right="a = tanh(z)",
    killed_by="saturation:*",
    variants=[{"c": c} for c in (2.0, 3.0, 4.0, 5.0, 8.0, 10.0)],
    tanh=lambda e, o, z: np.where(np.abs(z) > e.c, np.sign(z), np.tanh(z)),
)
bug(
    "tanh-by-fraction",
    "A rational function stands for tanh.",
    wrong="a = z (27 + z²) / (27 + 9 z²), clipped to ±1",
    right="a = tanh(z)",
    killed_by="layer.Tanh*:*",
    tanh=lambda e, o, z: np.clip(z * (27 + z * z) / (27 + 9 * z * z), -1, 1),
)
bug(
    "tanh-scaled",
    "The scaled tanh of LeCun (1998) stands for tanh.",
    wrong="a = 1.7159 tanh(⅔ z)",
    right="a = tanh(z)",
    killed_by="layer.Tanh*:*",
    tanh=lambda e, o, z: e.num(1.7159) * np.tanh(2 * z / 3),
    tanh_slope=lambda e, o, z, a: 2 * e.num(1.7159) / 3 * (1 - (a / e.num(1.7159)) ** 2),
)
bug(
    "softplus-beta-ignored",
    "Softplus takes β = 1, whatever is asked for.",
    wrong="a = log(1 + exp(z))",
    right="a = log(1 + exp(β z)) / β",
    killed_by="layer.Softplus*beta*:*",
    softplus=lambda e, o, z: Textbook.softplus(e, but(o, beta=1), z),
    softplus_slope=lambda e, o, z, a: Textbook.softplus_slope(e, but(o, beta=1), z, a),
)
bug(
    "softplus-beta-not-in-slope",
    "The slope of softplus is that for β = 1.",
    wrong="softplus′ = σ(z)",
    right="softplus′ = σ(β z)",
    killed_by="layer.Softplus*beta*:*",
    softplus_slope=lambda e, o, z, a: Textbook.softplus_slope(e, but(o, beta=1), z, a),
)
bug(
    "softplus-not-divided",
    "Softplus is not divided by β.",
    wrong="a = log(1 + exp(β z))",
    right="a = log(1 + exp(β z)) / β",
    killed_by="layer.Softplus*beta*:*",
    softplus=lambda e, o, z: np.where(
        z * e.num(o.beta) > o.threshold, z, e.softplus_of(z * e.num(o.beta))
    ),
)
bug(
    "softplus-slope-times-beta",
    "The slope of softplus has the factor β, which 1/β takes away.",
    wrong="softplus′ = β σ(β z)",
    right="softplus′ = σ(β z)",
    killed_by="layer.Softplus*beta*:*",
    softplus_slope=lambda e, o, z, a: e.num(o.beta) * Textbook.softplus_slope(e, o, z, a),
)
bug(
    "softplus-threshold-ignored",
    "Softplus is curved beyond its threshold, too.",
    wrong="a = log(1 + exp(β z)) / β everywhere",
    right="a = z where β z > threshold",
    killed_by="layer.Softplus.threshold:*",
    softplus=lambda e, o, z: Textbook.softplus(e, but(o, threshold=np.inf), z),
    softplus_slope=lambda e, o, z, a: Textbook.softplus_slope(e, but(o, threshold=np.inf), z, a),
)
bug(
    "softplus-threshold-of-z",
    "The threshold of softplus is compared with z.",
    wrong="a = z where z > threshold",
    right="a = z where β z > threshold",
    killed_by="layer.Softplus.beta:*",
    softplus=lambda e, o, z: np.where(
        z > o.threshold, z, Textbook.softplus(e, but(o, threshold=np.inf), z)
    ),
    softplus_slope=lambda e, o, z, a: np.where(z > o.threshold, 1, e.sigma(z * e.num(o.beta))),
)
bug(
    "softplus-cancels",
    "log(1 + exp(z)) is 0 where exp(z) is below the last digit of 1.",
    wrong="a = log(1 + exp(β z)) / β",
    right="a = log1p(exp(β z)) / β",
    killed_by="layer.Softplus*:*",
    exact=False,
    softplus_of=lambda e, v: np.maximum(v, 0) + np.log(1 + np.exp(-np.abs(v))),
)
bug(
    "softplus-overflows",
    "exp(z) overflows where z is large and there is no threshold in time.",
    wrong="a = log(1 + exp(β z)) / β everywhere",
    right="a = z where β z > threshold",
    source="numpy-ml",
    killed_by="layer.Softplus*:*",
    exact=False,
    softplus=lambda e, o, z: np.log1p(np.exp(z * e.num(o.beta))) / e.num(o.beta),
)
