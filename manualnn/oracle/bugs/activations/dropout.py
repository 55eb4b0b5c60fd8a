"""Bugs of dropout."""

from collections.abc import Callable
from typing import Any

import numpy as np

from manualnn.oracle.bugs.bug import Method, Table, bug
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("activations")

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
BUGS["dropout-inverted"] = bug(
    "Dropout keeps the entries that it must drop.",
    lines=("a = z / (1 − p) where dropped", "a = z / (1 − p) where kept"),
    mask=lambda e, o: (
        None if (kept := _kept(e, o)) is None or o.p == 1 else (1 - kept) / (1 - e.num(o.p))
    ),
)
BUGS["dropout-times-keep"] = bug(
    "Dropout multiplies by 1 − p, as outside of training.",
    lines=("a = z (1 − p) where kept, or everywhere", "a = z / (1 − p) where kept"),
    everywhere=[0, 1],
    mask=lambda e, o: (
        None
        if (kept := _kept(e, o)) is None
        else np.maximum(kept, e.array(e.everywhere)) * (1 - e.num(o.p))
    ),
)
BUGS["dropout-scaled-by-count"] = bug(
    "Dropout scales by the share of entries that it really kept, instead of by 1 / (1 − p).",
    lines=("a = z N K / (number kept) where kept", "a = z / (1 − p) where kept"),
    mask=lambda e, o: (
        None
        if (kept := _kept(e, o)) is None
        else kept / np.maximum(kept.mean(), e.array(1e-12))
        if kept.size
        else kept
    ),
)
BUGS["dropout-same-for-all-samples"] = bug(
    "Dropout uses the mask of the first sample for all samples.",
    lines=("a[n] = mask[0] ⊙ z[n]", "a[n] = mask[n] ⊙ z[n]"),
    mask=lambda e, o: (
        mask if (mask := Textbook.mask(e, o)) is None or not len(mask) else mask[:1] + 0 * mask
    ),
)


def _bias_before(e: Textbook, o: Options) -> Array:
    """Return the bias of the Linear layer before a layer, or 0."""
    return e.array(e.params.get(f"{o.i - 1}.bias", 0))


BUGS["dropout-before-bias"] = bug(
    "Dropout is applied to the product of a Linear layer before its bias is added.",
    lines=("a = mask ⊙ (x Wᵀ) + b", "a = mask ⊙ (x Wᵀ + b)"),
    dropout=lambda e, o, z: (
        z if (mask := e.mask(o)) is None else mask * (z - _bias_before(e, o)) + _bias_before(e, o)
    ),
)


def _in_prediction(share: Callable[[Any], Any]) -> Method:
    """Return the mask of 0 and 1, and in prediction a factor instead."""

    def mask(e: Textbook, o: Options) -> Array:
        kept = _kept(e, o)
        return np.asarray(e.num(share(o.p))) if kept is None else kept

    return mask


BUGS["dropout-scaled-in-prediction"] = bug(
    "Dropout scales in prediction instead of training: by 1 − p as in its paper, or by p.",
    lines=(
        "a = z where kept; a = (1 − p) z, or p z, in prediction",
        "a = z / (1 − p) where kept; a = z in prediction",
    ),
    source="Srivastava et al. 2014, ML-From-Scratch; by p, not in backward: karpathy/convnetjs",
    mask=[_in_prediction(lambda p: 1 - p), _in_prediction(lambda p: p)],
    dropout_backward=[
        Textbook.dropout_backward,
        lambda e, o, z, a, da: da if (kept := _kept(e, o)) is None else kept * da,
    ],
)
