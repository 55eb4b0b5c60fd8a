"""Bugs of softmax, log-softmax and dropout."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Method, Table, bug
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("activations")
extreme_bug = partial(bug, killed_by="certain:*")

BUGS["softmax-slope-diagonal"] = bug(
    "The softmax is differentiated as if each output depended only on its own input.",
    lines=("dz = da ⊙ a (1 − a)", "dz = a ⊙ (da − Σ da a)"),
    source="libnd4j #440, neuroph #37",
    softmax_backward=lambda e, o, z, a, da: da * (a * (1 - a)),
)
BUGS["softmax-slope-sign"] = bug(
    "The off-diagonal terms of the softmax's slope have the wrong sign.",
    lines=("dz = a ⊙ (da + Σ da a)", "dz = a ⊙ (da − Σ da a)"),
    softmax_backward=lambda e, o, z, a, da: a * (da + (da * a).sum(axis=1, keepdims=True)),
)
BUGS["softmax-slope-plain-sum"] = bug(
    "The sum in the softmax's slope lacks the weights a.",
    lines=("dz = a ⊙ (da − Σ da)", "dz = a ⊙ (da − Σ da a)"),
    softmax_backward=lambda e, o, z, a, da: a * (da - da.sum(axis=1, keepdims=True)),
)


def _softmax(z: Array, axis: int) -> Array:
    exp = np.exp(z - z.max(axis=axis, keepdims=True))
    return np.asarray(exp / exp.sum(axis=axis, keepdims=True))


BUGS["softmax-axis-0"] = bug(
    "The softmax sums over samples instead of outputs.",
    lines=("a = exp(z) / Σₙ exp(z)", "a = exp(z) / Σₖ exp(z)"),
    softmax=lambda e, o, z: _softmax(z, 0),
    softmax_backward=lambda e, o, z, a, da: a * (da - (da * a).sum(axis=0)),
)
BUGS["softmax-axis-0-where-n-is-width"] = bug(
    "The softmax sums over samples if N equals the number of outputs.",
    lines=("a = exp(z) / Σₙ exp(z) for N = K", "a = exp(z) / Σₖ exp(z)"),
    killed_by="l*.*:*",
    softmax=lambda e, o, z: _softmax(z, 0 if z.shape[0] == z.shape[1] else 1),
)
BUGS["softmax-shared-shift"] = extreme_bug(
    "The maximum of the whole batch is subtracted from every row: rows far below it become 0 / 0.",
    lines=("m = max over the array", "m = max over the row"),
    source="crysx_nn #7",
    exact=False,
    softmax=lambda e, o, z: np.exp(z - z.max()) / np.exp(z - z.max()).sum(axis=1, keepdims=True),
)
BUGS["softmax-no-shift"] = extreme_bug(
    "exp overflows because the maximum is not subtracted first.",
    lines=("a = exp(z) / Σ exp(z)", "a = exp(z − m) / Σ exp(z − m), m = max z"),
    exact=False,
    softmax=lambda e, o, z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
)
BUGS["softmax-plus-eps"] = bug(
    "A small number is added to the denominator of the softmax.",
    lines=("a = exp(z − m) / (Σ exp(z − m) + ε)", "a = exp(z − m) / Σ exp(z − m)"),
    eps=[1e-8, 1e-7, 1e-12],
    softmax=lambda e, o, z: (
        _softmax(z, 1) / (1 + e.num(e.eps) * _softmax(z, 1).max(axis=1, keepdims=True))
    ),
)
BUGS["log-softmax-slope-without-sum"] = bug(
    "The gradient of log-softmax lacks the sum over the outputs.",
    lines=("dz = da − exp(a) da", "dz = da − exp(a) Σ da"),
    log_softmax_backward=lambda e, o, z, a, da: da - np.exp(a) * da,
)
BUGS["log-softmax-slope-of-log"] = bug(
    "The gradient of log-softmax uses log-probabilities as probabilities.",
    lines=("dz = da − a Σ da", "dz = da − exp(a) Σ da"),
    log_softmax_backward=lambda e, o, z, a, da: da - a * da.sum(axis=1, keepdims=True),
)
BUGS["log-softmax-of-softmax"] = bug(
    "The logarithm of a softmax is infinite where the softmax underflows to 0.",
    lines=("a = log(softmax(z))", "a = z − m − log Σ exp(z − m)"),
    killed_by="saturation:*",
    exact=False,
    log_softmax=lambda e, o, z: np.log(_softmax(z, 1)),
)
BUGS["log-softmax-axis-0"] = bug(
    "Log-softmax sums over samples instead of outputs.",
    lines=("a = z − log Σₙ exp(z)", "a = z − log Σₖ exp(z)"),
    log_softmax=lambda e, o, z: e.log_shares(z.T).T,
    log_softmax_backward=lambda e, o, z, a, da: da - np.exp(a) * da.sum(axis=0),
)
BUGS["dropout-not-in-backward"] = bug(
    "The mask of dropout is not applied to the gradient.",
    lines=("dz = da", "dz = mask ⊙ da"),
    dropout_backward=lambda e, o, z, a, da: da,
)
BUGS["dropout-mask-twice"] = bug(
    "The mask of dropout is applied to the gradient twice, so that its scale is squared.",
    lines=("dz = mask² ⊙ da", "dz = mask ⊙ da"),
    dropout_backward=lambda e, o, z, a, da: Textbook.dropout(e, o, Textbook.dropout(e, o, da)),
)


def _kept(e: Textbook, o: Options) -> Array | None:
    """Return the mask with entries 0 and 1."""
    mask = Textbook.mask(e, o)
    return None if mask is None else np.sign(mask)


def _rescaled(method: Method) -> Method:
    """Return a method of dropout with its result divided by 1 − p."""

    def rescaled(e: Textbook, o: Options, *arrays: Array) -> Array:
        a = method(e, o, *arrays)
        return a if e.mask(o) is None or o.p == 1 else a / (1 - e.num(o.p))

    return rescaled


BUGS["dropout-mask-of-one-sample"] = bug(
    "The gradient uses the mask of one sample for all samples.",
    lines=("dz[n] = mask[0] ⊙ da[n], or mask[−1]", "dz[n] = mask[n] ⊙ da[n]"),
    sample=[0, -1],
    dropout_backward=lambda e, o, z, a, da: (
        da if e.mask(o) is None or not len(da) else e.mask(o)[e.sample] * da
    ),
)
BUGS["dropout-scaled-again"] = bug(
    "The scale 1 / (1 − p) is applied again, although the mask contains it.",
    lines=("a = mask ⊙ z / (1 − p), dz = mask ⊙ da / (1 − p)", "a = mask ⊙ z, dz = mask ⊙ da"),
    dropout_backward=[_rescaled(Textbook.dropout_backward), Textbook.dropout_backward],
    dropout=_rescaled(Textbook.dropout),
)
BUGS["dropout-unscaled"] = bug(
    "Dropout does not scale the entries that it keeps by 1 / (1 − p).",
    lines=("a = z where kept", "a = z / (1 − p) where kept"),
    source="mxnet",
    mask=_kept,
)
BUGS["dropout-unscaled-backward"] = bug(
    "The gradient of the entries that dropout keeps is not scaled by 1 / (1 − p).",
    lines=("dz = da where kept", "dz = da / (1 − p) where kept"),
    dropout_backward=lambda e, o, z, a, da: da if e.mask(o) is None else da * _kept(e, o),
)
BUGS["dropout-mask-from-zeros"] = bug(
    "The mask of dropout is inferred from zeros in the output: inputs of 0 count as dropped.",
    lines=("dz = da / (1 − p) where a ≠ 0", "dz = da / (1 − p) where kept"),
    killed_by="kinks:*",
    source="kaldi",
    dropout_backward=lambda e, o, z, a, da: (
        da if e.mask(o) is None else da * np.where(a != 0, e.mask(o), 0)
    ),
)
BUGS["dropout-scaled-by-p"] = bug(
    "Dropout scales by 1 / p, as if p were the probability to keep an entry.",
    lines=("a = z / p where kept", "a = z / (1 − p) where kept"),
    mask=lambda e, o: _kept(e, o) if _kept(e, o) is None or not o.p else _kept(e, o) / e.num(o.p),
)
BUGS["dropout-skipped"] = bug(
    "Dropout does nothing, as outside of training.",
    lines=("a = z", "a = mask ⊙ z"),
    mask=lambda e, o: None,
)
