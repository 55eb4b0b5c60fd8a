"""Mistakes in softmax and log-softmax, which mix the outputs, and in dropout."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Bug, plant
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "activations")

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
    "softmax-axis-0-where-n-is-width",
    "The softmax runs over samples where there are as many as outputs.",
    wrong="a = exp(z) / Σₙ exp(z) for N = K",
    right="a = exp(z) / Σₖ exp(z)",
    killed_by="l*.*:*",
    softmax=lambda e, o, z: _softmax(z, 0 if z.shape[0] == z.shape[1] else 1),
)
bug(
    "softmax-shared-shift",
    "One maximum, of the whole batch, is subtracted from every row: rows far below become 0 / 0.",
    wrong="m = max over the array",
    right="m = max over the row",
    source="crysx_nn #7",
    killed_by="certain:*",
    exact=False,
    softmax=lambda e, o, z: np.exp(z - z.max()) / np.exp(z - z.max()).sum(axis=1, keepdims=True),
)
bug(
    "softmax-no-shift",
    "exp overflows: the maximum is not subtracted first.",
    wrong="a = exp(z) / Σ exp(z)",
    right="a = exp(z − m) / Σ exp(z − m), m = max z",
    killed_by="certain:*",
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
    killed_by="saturation:*",
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
    dropout_backward=lambda e, o, z, a, da: Textbook.dropout(e, o, Textbook.dropout(e, o, da)),
)


def _binary(e: Textbook, o: Options) -> Array | None:
    mask = Textbook.mask(e, o)
    return None if mask is None else np.sign(mask)


bug(
    "dropout-mask-of-one-sample",
    "The gradient takes the mask of one sample for all.",
    wrong="dz[n] = mask[0] ⊙ da[n], or mask[−1]",
    right="dz[n] = mask[n] ⊙ da[n]",
    killed_by="layer.Dropout*:*",
    variants=[{"sample": 0}, {"sample": -1}],
    dropout_backward=lambda e, o, z, a, da: (
        da if e.mask(o) is None or not len(da) else e.mask(o)[e.sample] * da
    ),
)
bug(
    "dropout-scaled-again",
    "Masks hold the scale 1 / (1 − p) already, and it is applied once more.",
    wrong="a = mask ⊙ z / (1 − p), dz = mask ⊙ da / (1 − p)",
    right="a = mask ⊙ z, dz = mask ⊙ da",
    killed_by="layer.Dropout*:*",
    variants=[{"backward_too": True}, {"backward_too": False}],
    dropout=lambda e, o, z: _rescaled(e, o, Textbook.dropout(e, o, z)),
    dropout_backward=lambda e, o, z, a, da: (
        _rescaled(e, o, Textbook.dropout_backward(e, o, z, a, da))
        if e.backward_too
        else Textbook.dropout_backward(e, o, z, a, da)
    ),
)


def _rescaled(e: Textbook, o: Options, a: Array) -> Array:
    return a if e.mask(o) is None or o.p == 1 else a / (1 - e.num(o.p))


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
    killed_by="kinks:*",
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
