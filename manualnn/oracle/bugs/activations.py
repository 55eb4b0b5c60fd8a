"""Mistakes in activations and dropout, forward and backward."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.catalogue import Bug, but, plant
from manualnn.oracle.case import Array
from manualnn.oracle.options import Options
from manualnn.oracle.plain import Plain

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
    sigmoid_slope=lambda e, o, z, a: Plain.sigmoid_slope(e, o, z, a) ** 2,
    tanh_slope=lambda e, o, z, a: Plain.tanh_slope(e, o, z, a) ** 2,
    leaky_relu_slope=lambda e, o, z, a: Plain.leaky_relu_slope(e, o, z, a) ** 2,
    softplus_slope=lambda e, o, z, a: Plain.softplus_slope(e, o, z, a) ** 2,
    softmax_backward=lambda e, o, z, a, da: Plain.softmax_backward(
        e, o, z, a, Plain.softmax_backward(e, o, z, a, da)
    ),
    log_softmax_backward=lambda e, o, z, a, da: Plain.log_softmax_backward(
        e, o, z, a, Plain.log_softmax_backward(e, o, z, a, da)
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
    softplus_slope=lambda e, o, z, a: Plain.softplus_slope(e, o, a, a),
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
    killed_by="*",
    variants=[{"c": c} for c in (10, 15, 20, 30, 50)],
    sigma=lambda e, v: Plain.sigma(e, np.clip(v, e.array(-e.c), e.array(e.c))),
)
bug(
    "sigmoid-overflows",
    "exp(z) overflows where z is large and positive: inf / inf.",
    wrong="σ(z) = exp(z) / (1 + exp(z))",
    right="σ(z) = 1 / (1 + exp(−z)) for z ≥ 0",
    killed_by="*",
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
    killed_by="*",
    exact=False,
    tanh=lambda e, o, z: (np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)),
)
bug(
    "tanh-cancels",
    "tanh by way of the sigmoid loses its digits near 0.",
    wrong="a = 2 σ(2z) − 1",
    right="a = tanh(z)",
    killed_by="*",
    exact=False,
    tanh=lambda e, o, z: 2 * e.sigma(2 * z) - 1,
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
    "relu-slope-at-zero",
    "The slope of ReLU at 0 is not 0.",
    wrong="relu′(0) = 1, or ½",
    right="relu′(0) = 0",
    source="TF #62429",
    killed_by="*",
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
    killed_by="*",
    relu=lambda e, o, z: np.clip(z, 0, 6),
    relu_slope=lambda e, o, z, a: e.array((z > 0) & (z < 6)),
)
bug(
    "relu-threshold-above-zero",
    "The slope of ReLU starts a little above 0.",
    wrong="relu′(z) = [z > ε]",
    right="relu′(z) = [z > 0]",
    killed_by="*",
    variants=[{"eps": 1e-3}, {"eps": 1e-6}, {"eps": 1e-8}],
    relu_slope=lambda e, o, z, a: e.array(z > e.eps),
)
bug(
    "leaky-relu-wrong-side",
    "The small slope of LeakyReLU is on the positive side.",
    wrong="a = α z for z > 0, else z",
    right="a = z for z > 0, else α z",
    killed_by="layer.LeakyReLU*:*",
    leaky_relu=lambda e, o, z: -Plain.leaky_relu(e, o, -z),
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
    leaky_relu=lambda e, o, z: Plain.leaky_relu(e, but(o, negative_slope=0.01), z),
    leaky_relu_slope=lambda e, o, z, a: Plain.leaky_relu_slope(
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
    killed_by="*",
    leaky_relu_slope=lambda e, o, z, a: np.where(z >= 0, 1, e.array(o.negative_slope)),
)
bug(
    "softplus-beta-ignored",
    "Softplus takes β = 1, whatever is asked for.",
    wrong="a = log(1 + exp(z))",
    right="a = log(1 + exp(β z)) / β",
    killed_by="layer.Softplus*beta*:*",
    softplus=lambda e, o, z: Plain.softplus(e, but(o, beta=1), z),
    softplus_slope=lambda e, o, z, a: Plain.softplus_slope(e, but(o, beta=1), z, a),
)
bug(
    "softplus-beta-not-in-slope",
    "The slope of softplus is that for β = 1.",
    wrong="softplus′ = σ(z)",
    right="softplus′ = σ(β z)",
    killed_by="layer.Softplus*beta*:*",
    softplus_slope=lambda e, o, z, a: Plain.softplus_slope(e, but(o, beta=1), z, a),
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
    softplus_slope=lambda e, o, z, a: e.num(o.beta) * Plain.softplus_slope(e, o, z, a),
)
bug(
    "softplus-threshold-ignored",
    "Softplus is curved beyond its threshold, too.",
    wrong="a = log(1 + exp(β z)) / β everywhere",
    right="a = z where β z > threshold",
    killed_by="*",
    softplus=lambda e, o, z: Plain.softplus(e, but(o, threshold=np.inf), z),
    softplus_slope=lambda e, o, z, a: Plain.softplus_slope(e, but(o, threshold=np.inf), z, a),
)
bug(
    "softplus-threshold-of-z",
    "The threshold of softplus is compared with z.",
    wrong="a = z where z > threshold",
    right="a = z where β z > threshold",
    killed_by="*",
    softplus=lambda e, o, z: np.where(z > o.threshold, z, Plain.softplus(e, o, z)),
    softplus_slope=lambda e, o, z, a: np.where(z > o.threshold, 1, e.sigma(z * e.num(o.beta))),
)
bug(
    "softplus-cancels",
    "log(1 + exp(z)) is 0 where exp(z) is below the last digit of 1.",
    wrong="a = log(1 + exp(β z)) / β",
    right="a = log1p(exp(β z)) / β",
    killed_by="*",
    exact=False,
    softplus_of=lambda e, v: np.maximum(v, 0) + np.log(1 + np.exp(-np.abs(v))),
)
bug(
    "softplus-overflows",
    "exp(z) overflows where z is large and there is no threshold in time.",
    wrong="a = log(1 + exp(β z)) / β everywhere",
    right="a = z where β z > threshold",
    source="numpy-ml",
    killed_by="*",
    exact=False,
    softplus=lambda e, o, z: np.log1p(np.exp(z * e.num(o.beta))) / e.num(o.beta),
)
bug(
    "softmax-slope-diagonal",
    "The softmax is differentiated as if every output depended on its own input alone.",
    wrong="dz = da ⊙ a (1 − a)",
    right="dz = a ⊙ (da − Σ da a)",
    source="libnd4j #440, neuroph #37",
    killed_by="layer.Softmax*:*",
    softmax_backward=lambda e, o, z, a, da: da * (a * (1 - a)),
)
bug(
    "softmax-slope-sign",
    "The off-diagonal terms of the softmax's slope have the wrong sign.",
    wrong="dz = a ⊙ (da + Σ da a)",
    right="dz = a ⊙ (da − Σ da a)",
    killed_by="layer.Softmax*:*",
    softmax_backward=lambda e, o, z, a, da: a * (da + (da * a).sum(axis=1, keepdims=True)),
)
bug(
    "softmax-slope-plain-sum",
    "The sum in the softmax's slope lacks the weights a.",
    wrong="dz = a ⊙ (da − Σ da)",
    right="dz = a ⊙ (da − Σ da a)",
    killed_by="layer.Softmax*:*",
    softmax_backward=lambda e, o, z, a, da: a * (da - da.sum(axis=1, keepdims=True)),
)


def _softmax(z: Array, axis: int) -> Array:
    exp = np.exp(z - z.max(axis=axis, keepdims=True))
    return np.asarray(exp / exp.sum(axis=axis, keepdims=True))


bug(
    "softmax-axis-0",
    "The softmax runs over samples in place of outputs.",
    wrong="a = exp(z) / Σₙ exp(z)",
    right="a = exp(z) / Σₖ exp(z)",
    killed_by="layer.Softmax*:*",
    softmax=lambda e, o, z: _softmax(z, 0),
    softmax_backward=lambda e, o, z, a, da: a * (da - (da * a).sum(axis=0)),
)
bug(
    "softmax-shared-shift",
    "One maximum, of the whole batch, is subtracted from every row: rows far below become 0 / 0.",
    wrong="m = max over the array",
    right="m = max over the row",
    source="crysx_nn #7",
    killed_by="*",
    exact=False,
    softmax=lambda e, o, z: np.exp(z - z.max()) / np.exp(z - z.max()).sum(axis=1, keepdims=True),
)
bug(
    "softmax-no-shift",
    "exp overflows: the maximum is not subtracted first.",
    wrong="a = exp(z) / Σ exp(z)",
    right="a = exp(z − m) / Σ exp(z − m), m = max z",
    killed_by="*",
    exact=False,
    softmax=lambda e, o, z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
)
bug(
    "softmax-plus-eps",
    "A small number is added to the softmax's denominator.",
    wrong="a = exp(z − m) / (Σ exp(z − m) + ε)",
    right="a = exp(z − m) / Σ exp(z − m)",
    killed_by="layer.Softmax*:*",
    variants=[{"eps": eps} for eps in (1e-8, 1e-7, 1e-12)],
    softmax=lambda e, o, z: (
        _softmax(z, 1) / (1 + e.num(e.eps) * _softmax(z, 1).max(axis=1, keepdims=True))
    ),
)
bug(
    "log-softmax-slope-without-sum",
    "The gradient of log-softmax lacks the sum over the outputs.",
    wrong="dz = da − exp(a) da",
    right="dz = da − exp(a) Σ da",
    killed_by="layer.LogSoftmax*:*",
    log_softmax_backward=lambda e, o, z, a, da: da - np.exp(a) * da,
)
bug(
    "log-softmax-slope-of-log",
    "The gradient of log-softmax takes log-probabilities for probabilities.",
    wrong="dz = da − a Σ da",
    right="dz = da − exp(a) Σ da",
    killed_by="layer.LogSoftmax*:*",
    log_softmax_backward=lambda e, o, z, a, da: da - a * da.sum(axis=1, keepdims=True),
)
bug(
    "log-softmax-of-softmax",
    "The logarithm of a softmax that has underflowed to 0 is infinite.",
    wrong="a = log(softmax(z))",
    right="a = z − m − log Σ exp(z − m)",
    killed_by="*",
    exact=False,
    log_softmax=lambda e, o, z: np.log(_softmax(z, 1)),
)
bug(
    "log-softmax-axis-0",
    "Log-softmax runs over samples in place of outputs.",
    wrong="a = z − log Σₙ exp(z)",
    right="a = z − log Σₖ exp(z)",
    killed_by="layer.LogSoftmax*:*",
    log_softmax=lambda e, o, z: e.log_shares(z.T).T,
    log_softmax_backward=lambda e, o, z, a, da: da - np.exp(a) * da.sum(axis=0),
)
bug(
    "dropout-not-in-backward",
    "The mask of dropout is not applied to the gradient.",
    wrong="dz = da",
    right="dz = mask ⊙ da",
    killed_by="layer.Dropout*:*",
    dropout_backward=lambda e, o, z, a, da: da,
)
bug(
    "dropout-mask-twice",
    "The mask of dropout is applied to the gradient twice: its scale is squared.",
    wrong="dz = mask² ⊙ da",
    right="dz = mask ⊙ da",
    killed_by="layer.Dropout*:*",
    dropout_backward=lambda e, o, z, a, da: Plain.dropout(e, o, Plain.dropout(e, o, da)),
)


def _binary(e: Plain, o: Options) -> Array | None:
    mask = Plain.mask(e, o)
    return None if mask is None else np.sign(mask)


bug(
    "dropout-unscaled",
    "What dropout keeps is not scaled by 1 / (1 − p).",
    wrong="a = z where kept",
    right="a = z / (1 − p) where kept",
    source="mxnet",
    killed_by="layer.Dropout*:*",
    mask=_binary,
)
bug(
    "dropout-unscaled-backward",
    "The gradient of what dropout keeps is not scaled by 1 / (1 − p).",
    wrong="dz = da where kept",
    right="dz = da / (1 − p) where kept",
    killed_by="layer.Dropout*:*",
    dropout_backward=lambda e, o, z, a, da: da if e.mask(o) is None else da * _binary(e, o),
)
bug(
    "dropout-mask-from-zeros",
    "The mask of dropout is inferred from its zeros: inputs that were 0 count as dropped.",
    wrong="dz = da / (1 − p) where a ≠ 0",
    right="dz = da / (1 − p) where kept",
    source="kaldi",
    killed_by="*",
    dropout_backward=lambda e, o, z, a, da: (
        da if e.mask(o) is None else da * np.where(a != 0, e.mask(o), 0)
    ),
)
bug(
    "dropout-scaled-by-p",
    "What dropout keeps is scaled by 1 / p, as if p were the share that is kept.",
    wrong="a = z / p where kept",
    right="a = z / (1 − p) where kept",
    killed_by="layer.Dropout*:*",
    mask=lambda e, o: (
        None if _binary(e, o) is None else _binary(e, o) / e.num(o.p) if o.p else _binary(e, o)
    ),
)
bug(
    "dropout-skipped",
    "Dropout does nothing, as if the engine were not in training.",
    wrong="a = z",
    right="a = mask ⊙ z",
    killed_by="layer.Dropout*:*",
    mask=lambda e, o: None,
)
