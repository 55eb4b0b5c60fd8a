"""Bugs of softmax and log-softmax."""

from functools import partial

import numpy as np

from manualnn.oracle.bugs.bug import Constant, Table, bug
from manualnn.oracle.bugs.fits import solved
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("activations")
extreme_bug = partial(bug, killed_by="certain:*")
saturation_bug = partial(bug, killed_by="saturation:*")

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
    eps=Constant([1e-8, 1e-7, 1e-12], solved(1e-8)),
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
BUGS["log-softmax-no-shift"] = saturation_bug(
    "exp overflows because the maximum is not subtracted first.",
    lines=(
        "a = z − log Σ exp(z), or log(exp(z) / Σ exp(z))",
        "a = z − m − log Σ exp(z − m), m = max z",
    ),
    exact=False,
    log_softmax=[
        lambda e, o, z: z - np.log(np.exp(z).sum(axis=1, keepdims=True)),
        lambda e, o, z: np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)),
    ],
)
BUGS["log-softmax-shared-shift"] = saturation_bug(
    "The maximum of the whole batch is subtracted from every row: rows far below it underflow.",
    lines=("m = max over the array", "m = max over the row"),
    exact=False,
    log_softmax=lambda e, o, z: (
        z - z.max() - np.log(np.exp(z - z.max()).sum(axis=1, keepdims=True))
    ),
)
BUGS["log-softmax-plus-eps"] = bug(
    "A small number is added to the probabilities inside the logarithm of log-softmax.",
    lines=("a = log(softmax(z) + ε)", "a = log softmax(z)"),
    eps=Constant([1e-8, 1e-7, 1e-12, 1e-10], solved(1e-8)),
    log_softmax=lambda e, o, z: np.log(_softmax(z, 1) + e.num(e.eps)),
)
BUGS["log-softmax-shift-not-added"] = bug(
    "The maximum is not subtracted from z itself, or not added to the logarithm.",
    lines=("a = z − log Σ exp(z − m)", "a = z − m − log Σ exp(z − m)"),
    log_softmax=lambda e, o, z: e.log_shares(z) + z.max(axis=1, keepdims=True),
)
BUGS["log-softmax-is-softmax"] = bug(
    "Log-softmax lacks the logarithm.",
    lines=("a = softmax(z)", "a = log softmax(z)"),
    log_softmax=lambda e, o, z: _softmax(z, 1),
)
BUGS["softmax-over-all"] = bug(
    "The softmax sums over the whole batch, so that all outputs together have the sum 1.",
    lines=("a = exp(z) / Σₙₖ exp(z)", "a = exp(z) / Σₖ exp(z)"),
    softmax=lambda e, o, z: np.exp(z - z.max()) / np.exp(z - z.max()).sum(),
)
BUGS["softmax-over-all-forward-and-backward"] = bug(
    "The softmax sums over the whole batch, with its own right gradient.",
    lines=("a = exp(z) / Σₙₖ exp(z)", "a = exp(z) / Σₖ exp(z)"),
    softmax=lambda e, o, z: np.exp(z - z.max()) / np.exp(z - z.max()).sum(),
    softmax_backward=lambda e, o, z, a, da: a * (da - (da * a).sum()),
)
BUGS["softmax-not-normalized"] = bug(
    "The softmax lacks its denominator.",
    lines=("a = exp(z), or exp(z − m)", "a = exp(z) / Σ exp(z)"),
    shifted=[0, 1],
    softmax=lambda e, o, z: np.exp(z - e.shifted * z.max(axis=1, keepdims=True)),
)
BUGS["softmax-base-2"] = bug(
    "The softmax uses powers of 2 or 10 instead of e.",
    lines=("a = 2^z / Σ 2^z", "a = exp(z) / Σ exp(z)"),
    radix=[2.0, 10.0],
    softmax=lambda e, o, z: _softmax(z * e.log(e.array(e.radix)), 1),
)
BUGS["softmax-axis-0-forward"] = bug(
    "The forward pass of the softmax sums over samples, its backward pass over outputs.",
    lines=("a = exp(z) / Σₙ exp(z)", "a = exp(z) / Σₖ exp(z)"),
    softmax=lambda e, o, z: _softmax(z, 0),
)
BUGS["softmax-slope-axis-0"] = bug(
    "The backward pass of the softmax sums over samples.",
    lines=("dz = a ⊙ (da − Σₙ da a)", "dz = a ⊙ (da − Σₖ da a)"),
    softmax_backward=lambda e, o, z, a, da: a * (da - (da * a).sum(axis=0)),
)
BUGS["softmax-slope-mean"] = bug(
    "The softmax's slope subtracts the mean of da a instead of its sum.",
    lines=("dz = a ⊙ (da − mean(da a))", "dz = a ⊙ (da − Σ da a)"),
    softmax_backward=lambda e, o, z, a, da: a * (da - (da * a).mean(axis=1, keepdims=True)),
)
BUGS["log-softmax-slope-axis-0"] = bug(
    "The backward pass of log-softmax sums over samples.",
    lines=("dz = da − exp(a) Σₙ da", "dz = da − exp(a) Σₖ da"),
    log_softmax_backward=lambda e, o, z, a, da: da - np.exp(a) * da.sum(axis=0),
)
BUGS["log-softmax-slope-sign"] = bug(
    "The gradient of log-softmax adds the term of the sum.",
    lines=("dz = da + exp(a) Σ da", "dz = da − exp(a) Σ da"),
    log_softmax_backward=lambda e, o, z, a, da: da + np.exp(a) * da.sum(axis=1, keepdims=True),
)

BUGS["softmin-sign"] = bug(
    "Softmin has the values of softmax.",
    lines=("a = softmax(z)", "a = softmax(−z)"),
    softmin=Textbook.softmax,
)
