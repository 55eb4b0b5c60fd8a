"""Bugs of smooth activations, and bugs of the slope of any activation."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Table, bug
from manualnn.oracle.bugs.edits import change, with_options
from manualnn.oracle.bugs.fits import largest, solved
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("activations")
saturation_bug = partial(bug, killed_by="saturation:*")


def _logit(a: float) -> float:
    return float(np.log(a / (1 - a))) if 0 < a < 1 else float("nan")


BUGS["slope-formula-at-pre-activation"] = bug(
    "The formula of the slope in terms of a, such as a (1 − a) or 1 − a², gets z.",
    lines=("dz = da ⊙ z (1 − z), or da ⊙ (1 − z²)", "dz = da ⊙ a (1 − a), or da ⊙ (1 − a²)"),
    sigmoid_slope=lambda e, o, z, a: z * (1 - z),
    tanh_slope=lambda e, o, z, a: 1 - z * z,
)
BUGS["slope-of-the-gradient"] = bug(
    "The slope is computed at the incoming gradient.",
    lines=("dz = da ⊙ f′(da)", "dz = da ⊙ f′(z)"),
    sigmoid_backward=lambda e, o, z, a, da: da * (da * (1 - da)),
    tanh_backward=lambda e, o, z, a, da: da * (1 - da * da),
    relu_backward=lambda e, o, z, a, da: np.maximum(da, 0),
    leaky_relu_backward=lambda e, o, z, a, da: da * e.leaky_relu_slope(o, da, a),
)
BUGS["sigmoid-slope-one-minus"] = bug(
    "The slope of the sigmoid lacks a factor or has a wrong sign.",
    lines=("σ′ = 1 − a, or a (1 + a)", "σ′ = a (1 − a)"),
    sigmoid_slope=[
        lambda e, o, z, a: 1 - a,
        lambda e, o, z, a: a * (1 + a),
    ],
)
BUGS["sigmoid-with-tanh-slope"] = bug(
    "The sigmoid has the slope of tanh.",
    lines=("σ′ = 1 − a²", "σ′ = a (1 − a)"),
    sigmoid_slope=lambda e, o, z, a: 1 - a * a,
)
BUGS["sigmoid-clipped"] = saturation_bug(
    "The input of the sigmoid is clipped too early.",
    lines=("σ(clip(z, −c, c))", "σ(z)"),
    c=Constant([10.0, 15.0, 20.0, 30.0], largest("outputs", inverse=_logit)),
    sigma=lambda e, v: Textbook.sigma(e, np.clip(v, e.array(-e.c), e.array(e.c))),
)
BUGS["sigmoid-overflows"] = saturation_bug(
    "exp(z) overflows for large positive z and gives inf / inf.",
    lines=("σ(z) = exp(z) / (1 + exp(z))", "σ(z) = 1 / (1 + exp(−z)) for z ≥ 0"),
    exact=False,
    sigmoid=lambda e, o, z: np.exp(z) / (1 + np.exp(z)),
)
BUGS["sigmoid-hard"] = bug(
    "The sigmoid is replaced by a piecewise linear function.",
    lines=("a = clip(z / 6 + ½, 0, 1)", "a = 1 / (1 + exp(−z))"),
    rise=[1 / 6, 0.2, 0.25],
    sigmoid=lambda e, o, z: np.clip(e.num(e.rise) * z + 0.5, 0, 1),
    sigmoid_slope=lambda e, o, z, a: np.where((a > 0) & (a < 1), e.array(e.rise), 0),
)
BUGS["sigmoid-by-table"] = bug(
    "The sigmoid is read from a table of 4096 numbers from −15 to 15.",
    lines=("a = σ(k h − 15), k h − 15 next to z, h = 30/4096", "a = σ(z)"),
    source="codeplea/genann",
    sigmoid=lambda e, o, z: e.sigma(
        e.num(30) / 4096 * np.clip(np.floor((z + 15) * 4096 / 30 + 0.5), 0, 4095) - 15
    ),
    sigmoid_slope=lambda e, o, z, a: a * (1 - a),
)
BUGS["sigmoid-without-minus"] = bug(
    "The exponent of the sigmoid lacks its minus sign.",
    lines=("a = 1 / (1 + exp(z))", "a = 1 / (1 + exp(−z))"),
    sigmoid=lambda e, o, z: e.sigma(-z),
)
BUGS["tanh-slope-without-square"] = bug(
    "The slope of tanh lacks the square.",
    lines=("tanh′ = 1 − a", "tanh′ = 1 − a²"),
    tanh_slope=lambda e, o, z, a: 1 - a,
)
BUGS["tanh-with-sigmoid-slope"] = bug(
    "tanh has the slope of the sigmoid.",
    lines=("tanh′ = a (1 − a)", "tanh′ = 1 − a²"),
    tanh_slope=lambda e, o, z, a: a * (1 - a),
)
BUGS["tanh-overflows"] = saturation_bug(
    "exp(±z) overflows for large |z| and gives inf / inf.",
    lines=("a = (exp(z) − exp(−z)) / (exp(z) + exp(−z))", "a = tanh(z)"),
    exact=False,
    tanh=lambda e, o, z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
)
BUGS["tanh-cancels"] = bug(
    "tanh is computed through exp or the sigmoid, which loses digits near 0.",
    lines=("a = 2 σ(2z) − 1, or (1 − q) / (1 + q) with q = exp(−2z)", "a = tanh(z)"),
    exact=False,
    tanh=[
        lambda e, o, z: 2 * e.sigma(2 * z) - 1,
        lambda e, o, z: np.copysign((1 - (q := np.exp(-2 * np.abs(z)))) / (1 + q), z),
    ],
)
BUGS["tanh-saturates-early"] = saturation_bug(
    "tanh is cut off at ±1 where |z| is not large enough.",
    lines=("a = ±1 where |z| > c", "a = tanh(z)"),
    c=[2.0, 3.0, 4.0, 5.0, 8.0, 10.0],
    tanh=lambda e, o, z: np.where(np.abs(z) > e.c, np.sign(z), np.tanh(z)),
)
BUGS["tanh-by-fraction"] = bug(
    "tanh is replaced by a rational function.",
    lines=("a = z (27 + z²) / (27 + 9 z²), clipped to ±1", "a = tanh(z)"),
    tanh=lambda e, o, z: np.clip(z * (27 + z * z) / (27 + 9 * z * z), -1, 1),
)
BUGS["tanh-scaled"] = bug(
    "tanh is replaced by the scaled tanh of LeCun (1998).",
    lines=("a = 1.7159 tanh(⅔ z)", "a = tanh(z)"),
    tanh=lambda e, o, z: e.num(1.7159) * np.tanh(2 * z / 3),
    tanh_slope=lambda e, o, z, a: 2 * e.num(1.7159) / 3 * (1 - (a / e.num(1.7159)) ** 2),
)
BUGS["softplus-beta-ignored"] = bug(
    "Softplus ignores the option beta: β is always 1.",
    lines=("a = log(1 + exp(z))", "a = log(1 + exp(β z)) / β"),
    **with_options("softplus", "softplus_slope", beta=1),
)
BUGS["softplus-beta-not-in-slope"] = bug(
    "The slope of softplus is that for β = 1.",
    lines=("softplus′ = σ(z)", "softplus′ = σ(β z)"),
    **with_options("softplus_slope", beta=1),
)
BUGS["softplus-not-divided"] = bug(
    "Softplus is not divided by β.",
    lines=("a = log(1 + exp(β z))", "a = log(1 + exp(β z)) / β"),
    softplus=lambda e, o, z: np.where(
        z * e.num(o.beta) > o.threshold, z, e.softplus_of(z * e.num(o.beta))
    ),
)
BUGS["softplus-slope-times-beta"] = bug(
    "The slope of softplus has an additional factor β, which 1/β cancels in the right one.",
    lines=("softplus′ = β σ(β z)", "softplus′ = σ(β z)"),
    softplus_slope=lambda e, o, z, a: e.num(o.beta) * Textbook.softplus_slope(e, o, z, a),
)
BUGS["softplus-threshold-ignored"] = bug(
    "Softplus ignores the option threshold: it is curved everywhere.",
    lines=("a = log(1 + exp(β z)) / β everywhere", "a = z where β z > threshold"),
    **with_options("softplus", "softplus_slope", threshold=np.inf),
)
BUGS["softplus-threshold-of-z"] = bug(
    "The threshold of softplus is compared with z instead of β z.",
    lines=("a = z where z > threshold", "a = z where β z > threshold"),
    softplus=lambda e, o, z: np.where(
        z > o.threshold, z, Textbook.softplus(e, change(o, threshold=np.inf), z)
    ),
    softplus_slope=lambda e, o, z, a: np.where(z > o.threshold, 1, e.sigma(z * e.num(o.beta))),
)
BUGS["softplus-cancels"] = bug(
    "log(1 + exp(z)) is 0 where exp(z) is smaller than the last digit of 1.",
    lines=("a = log(1 + exp(β z)) / β", "a = log1p(exp(β z)) / β"),
    killed_by="layer.Softplus*:*",
    exact=False,
    softplus_of=lambda e, v: np.maximum(v, 0) + np.log(1 + np.exp(-np.abs(v))),
)
BUGS["softplus-overflows"] = bug(
    "exp(z) overflows for large z because the threshold is not applied.",
    lines=("a = log(1 + exp(β z)) / β everywhere", "a = z where β z > threshold"),
    source="numpy-ml",
    exact=False,
    softplus=lambda e, o, z: np.log1p(np.exp(z * e.num(o.beta))) / e.num(o.beta),
)
BUGS["softplus-without-log1p"] = bug(
    "log(1 + q) is computed as it is written, which loses the digits of a small q.",
    lines=(
        "a = max(z, 0) + log(1 + q), q = exp(−|z|)",
        "a = max(z, 0) + log1p(q), z above threshold",
    ),
    source="borgwang/tinynn",
    exact=False,
    softplus=lambda e, o, z: (
        (np.log(1 + np.exp(-np.abs(z * e.num(o.beta)))) + np.maximum(z * e.num(o.beta), 0))
        / e.num(o.beta)
    ),
)
BUGS["softplus-literal"] = bug(
    "log(1 + exp(z)) is computed as it is written: inf for large z, and 0 for small ones.",
    lines=("a = log(1 + exp(β z)) / β everywhere", "a = log1p(exp(β z)) / β, z above threshold"),
    source="numpy-ml, ML-From-Scratch",
    exact=False,
    softplus=lambda e, o, z: np.log(1 + np.exp(z * e.num(o.beta))) / e.num(o.beta),
    softplus_slope=[
        lambda e, o, z, a: e.sigma(z * e.num(o.beta)),
        lambda e, o, z, a: (q := np.exp(z * e.num(o.beta))) / (q + 1),
    ],
)
BUGS["sigmoid-slope-overflows"] = saturation_bug(
    "The slope of the sigmoid divides by a square of exp, which overflows: inf / inf, or 0.",
    lines=("σ′ = exp(−z) / (1 + exp(−z))², or the same with exp(z)", "σ′ = a (1 − a)"),
    source="smolgrad",
    exact=False,
    sign=[-1, 1],
    sigmoid_slope=lambda e, o, z, a: (q := np.exp(e.sign * z)) / (1 + q) ** 2,
)
BUGS["tanh-from-overflowing-power"] = saturation_bug(
    "exp(2z) overflows for large z and gives inf / inf, or exp(−2z) for large negative z.",
    lines=("a = (exp(2z) − 1) / (exp(2z) + 1), or the same with exp(−2z)", "a = tanh(z)"),
    exact=False,
    sign=[1, -1],
    tanh=lambda e, o, z: e.sign * (np.exp(2 * e.sign * z) - 1) / (np.exp(2 * e.sign * z) + 1),
)
BUGS["tanh-is-sigmoid"] = bug(
    "tanh is 2 σ(z) − 1 or σ(z), with its own right gradient.",
    lines=("a = 2 σ(z) − 1, or σ(z)", "a = tanh(z)"),
    tanh=[lambda e, o, z: 2 * e.sigma(z) - 1, lambda e, o, z: e.sigma(z)],
    tanh_slope=[
        lambda e, o, z, a: 2 * e.sigma(z) * e.sigma(-z),
        lambda e, o, z, a: e.sigma(z) * e.sigma(-z),
    ],
)
BUGS["sigmoid-is-tanh"] = bug(
    "The sigmoid is tanh(z), or ½ (1 + tanh z) without halving z.",
    lines=("a = tanh(z), or ½ (1 + tanh(z))", "a = 1 / (1 + exp(−z))"),
    sigmoid=[lambda e, o, z: np.tanh(z), lambda e, o, z: e.sigma(2 * z)],
    sigmoid_slope=[
        lambda e, o, z, a: 1 - np.tanh(z) ** 2,
        lambda e, o, z, a: 2 * e.sigma(2 * z) * e.sigma(-2 * z),
    ],
)
BUGS["tanh-slope-halved-or-doubled-square"] = bug(
    "The slope of tanh has a factor at the square.",
    lines=("tanh′ = 1 − 2 a², or 1 − ½ a²", "tanh′ = 1 − a²"),
    share=Constant([2.0, 0.5], solved(2.0, 3.0, linear=True)),
    tanh_slope=lambda e, o, z, a: 1 - e.num(e.share) * a * a,
)
BUGS["softplus-other-threshold"] = bug(
    "Softplus has another threshold than the option: it is linear too early or too late.",
    lines=("a = z where β z > c", "a = z where β z > threshold"),
    c=[0.0, 5.0, 10.0, 15.0],
    **with_options("softplus", "softplus_slope", threshold=lambda e, o: e.c),
)
BUGS["softplus-is-relu"] = bug(
    "Softplus is ReLU, forward or backward.",
    lines=("a = max(z, 0), or softplus′ = [z > 0]", "a = log(1 + exp(β z)) / β"),
    softplus=[lambda e, o, z: np.maximum(z, 0), Textbook.softplus],
    softplus_slope=[
        Textbook.softplus_slope,
        lambda e, o, z, a: e.array(z > 0),
    ],
)
BUGS["softplus-slope-of-exp"] = bug(
    "The slope of softplus is e / (1 + e) with a wrong sign of the exponent, or exp(z).",
    lines=("softplus′ = σ(−β z), or exp(β z)", "softplus′ = σ(β z)"),
    of=[lambda e, s: e.sigma(-s), lambda e, s: np.exp(s)],
    softplus_slope=lambda e, o, z, a: e.of(z * e.num(o.beta)),
)
BUGS["softsign-slope"] = bug(
    "The slope of Softsign lacks the square or has a wrong sign.",
    lines=(
        "1 / (1 + |z|), 1 / (1 + z²), 1 / (1 + z)², −1 / (1 + |z|)² for z < 0",
        "softsign′ = 1 / (1 + |z|)²",
    ),
    softsign_slope=[
        lambda e, o, z, a: 1 / (1 + np.abs(z)),
        lambda e, o, z, a: 1 / (1 + z * z),
        lambda e, o, z, a: 1 / (1 + z) ** 2,
        lambda e, o, z, a: np.where(z < 0, -1, 1) / (1 + np.abs(z)) ** 2,
        lambda e, o, z, a: (1 - a) ** 2,
    ],
)
BUGS["softsign-of-square-or-root"] = bug(
    "Softsign divides by another number than 1 + |z|.",
    lines=("a = z / √(1 + z²), z / (1 + z), or z / (1 + z²)", "a = z / (1 + |z|)"),
    softsign=[
        lambda e, o, z: z / np.sqrt(1 + z * z),
        lambda e, o, z: z / (1 + z),
        lambda e, o, z: z / (1 + z * z),
    ],
)

BUGS["log-sigmoid-overflows"] = bug(
    "LogSigmoid is computed as it is written: −inf for large negative inputs, 0 for large ones.",
    lines=("a = log(1 / (1 + exp(−z)))", "a = min(z, 0) − log1p(exp(−|z|))"),
    source="pytorch #1835",
    exact=False,
    log_sigmoid=[
        lambda e, o, z: np.log(1 / (1 + np.exp(-z))),
        lambda e, o, z: -np.log1p(np.exp(-z)),
    ],
)
BUGS["log-sigmoid-slope-is-sigmoid"] = bug(
    "The slope of LogSigmoid is the sigmoid, or the slope of the sigmoid.",
    lines=("log σ′ = σ(z), or σ(z) (1 − σ(z))", "(log σ)′ = 1 − σ(z)"),
    log_sigmoid_slope=[
        lambda e, o, z, a: e.sigma(z),
        lambda e, o, z, a: e.sigma(z) * e.sigma(-z),
    ],
)

BUGS["tanhshrink-slope-of-tanh"] = bug(
    "The slope of Tanhshrink is that of tanh, or lacks its square.",
    lines=("tanhshrink′ = 1 − tanh(z)², or tanh(z)", "tanhshrink′ = tanh(z)²"),
    tanhshrink_slope=[
        lambda e, o, z, a: 1 - np.tanh(z) ** 2,
        lambda e, o, z, a: np.tanh(z),
    ],
)
