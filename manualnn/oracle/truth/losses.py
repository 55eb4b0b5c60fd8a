"""Losses in bounded numbers: the true loss and its gradient by the outputs, with error bounds.

A loss that is a sum of terms of one output follows from its statement in the table of features.
The losses below do not. BCELoss has torch's limits, where its gradient is not the derivative.
BCEWithLogitsLoss and CrossEntropyLoss weight each term by its column or row, and engines compute
them by formulas whose parts cancel.

    value, dy = loss_truth("MSELoss")(options, y, t)        L and ∂L/∂y
    value, dy = loss_truth("MSELoss")(options, y, t, w)     the same with weights of samples, (N, 1)
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from manualnn.oracle.protocol.features import LOSS_ROWS, Options, listed_labels
from manualnn.oracle.protocol.rows import MissingEntryError, Statement
from manualnn.oracle.truth.bounded import Array, Bounded
from manualnn.oracle.truth.elementwise import Evaluation
from manualnn.oracle.truth.functions import exp, exp_of_log, log, log_softmax, sigmoid, softplus

SMALLEST = 3.8e-44
"""A little more than e^−100, below which logarithms are limited."""
Function = Callable[..., tuple[Bounded, Bounded]]
"""(options, y, t), and perhaps the weights of samples → L, ∂L/∂y."""
Weights = Bounded | None


def _over(total: Bounded, divisor: Any) -> Bounded:
    """Return total / divisor in up to three operations, because 1 / D may be rounded first."""
    kind = total.kind
    if isinstance(divisor, Bounded):
        total = total / divisor
    elif divisor != 1:
        e = np.asarray(kind.rough.divide(total.e, divisor))
        total = Bounded(kind.wide.divide(total.v, divisor), e, kind)
    return total.product_rounded(3)


def _divisor(loss: Any, y: Bounded, w: Weights) -> Any:
    """Return the divisor D, an integer, or a sum of the weights of samples."""
    n = len(y.v) if w is None else w.sum()
    mean = n if LOSS_ROWS[loss.type].is_per_sample else n * y.v.shape[1]
    return {"mean": mean, "batchmean": n, "sum": 1}[loss.reduction]


def _reduced(
    loss: Any, y: Bounded, w: Weights, terms: Bounded, slopes: Bounded
) -> tuple[Bounded, Bounded]:
    """Return L and ∂L/∂y. Engines multiply by a weight before the division by D or after it."""
    if w is not None:
        terms, slopes = (terms * w).product_rounded(2), (slopes * w).product_rounded(2)
    divisor = _divisor(loss, y, w)
    return _over(terms.sum(), divisor), _over(slopes, divisor)


def _log_at_least_100(y: Bounded) -> Bounded:
    """Return max(log y, −100); y may leave [0, 1] by its rounding."""
    kind, wide, rough = y.kind, y.kind.wide, y.kind.rough
    v = np.maximum(wide.log(np.clip(y.v, 0, 1)), -100)
    down = (v + 100).astype(rough.dtype)
    up = np.maximum(rough.log(np.minimum(y.most, 1.0)), -100.0) + 100 - down
    share = rough.divide(y.e, kind.size(y.v))
    inside = np.minimum(-rough.log1p(-np.minimum(share, 1.0)), down)
    # If the error is as large as y, or the logarithm is at its limit, use the largest distance.
    e = np.where((share < 1) & (down > 0), inside, np.maximum(down, up))
    e = np.where(y.e < np.inf, e, np.inf)  # an overflow may have given NaN
    return Bounded(v, np.where(y.e == 0, 0.0, e), kind).rounded(kind.ulps)


def _bce(loss: Any, y: Bounded, t: Array, w: Weights = None) -> tuple[Bounded, Bounded]:
    """Limit the logarithms to −100, and the denominator of dy to the convention's `floor`.

    torch's floor is float32's 1e-12. By calculus it is 0: then no bound holds where y or 1 − y may
    be below e^−100. An engine may limit the logarithm there, whose slope is then 0, or not.

    An engine may compute log(1 − y) for log1p(−y), which loses u. Above the limit it may compute
    −t/y + (1 − t)/(1 − y) for the gradient, whose terms may cancel.
    """
    kind = y.kind
    own = kind.number(1 if loss.weight is None else loss.weight)
    target = kind.exact(t)
    rest, other = 1 - target, 1 - y
    no = _log_at_least_100(kind.number(1).plus(-y)).plus_error(kind.gamma(1))
    terms = own * -(target * _log_at_least_100(y) + rest * no)

    room = y * other
    floor = np.float32(loss.floor)
    least = kind.exact(floor).plus_error(abs(loss.floor - float(floor)))
    open_ = room.v > least.v
    room = Bounded(np.maximum(room.v, least.v), room.e + least.e * ~open_, kind)
    error = y - target
    quotient = kind.wide.divide(error.v, room.v)
    # Every engine limits the denominator, so the bound does, too.
    smallest = np.maximum(kind.size(room.v) - room.e, least.size - least.e)
    e = kind.rough.divide(error.e + kind.size(quotient) * room.e, smallest)
    apart = kind.rough.divide(target.size, y.size) + kind.rough.divide(rest.size, other.size)
    dy = Bounded(quotient, e, kind).product_rounded()
    dy = dy.plus_error(np.where(open_, kind.gamma(4) * apart, 0.0))
    if not loss.floor:
        low, high = y.size - y.e <= SMALLEST, other.size - other.e <= SMALLEST
        terms = terms.plus_error(np.where((low & (t != 0)) | (high & (t != 1)), np.inf, 0.0))
        limited = low | high | ~(smallest > 0)
        v = np.where(limited, kind.wide.number(0), dy.v)
        dy = Bounded(v, np.where(limited, np.inf, dy.e), kind)
    return _reduced(loss, y, w, terms, dy * own)


def _bce_with_logits(loss: Any, y: Bounded, t: Array, w: Weights = None) -> tuple[Bounded, Bounded]:
    """Weight softplus(y) and softplus(−y), which do not cancel.

    torch adds (1 − t) y and −(1 + (p − 1) t) log σ(y), which may cancel. So its errors are relative
    to these two terms, and those of dy to 1 − t and 1 + (p − 1) t.
    """
    kind = y.kind
    own = kind.number(1 if loss.weight is None else loss.weight)
    p = kind.number(1 if loss.pos_weight is None else loss.pos_weight)
    target = kind.exact(t)
    up, down = 1 - target, p * target
    low, high = softplus(-y), softplus(y)
    both = up.size + np.abs(p.size - 1) * target.size + 1
    size = both * (y.most + np.minimum(low.size, high.size))
    terms = own * (down * low + up * high).rounded(2 * kind.ulps + 6, size)
    dy = own * (up * sigmoid(y) - down * sigmoid(-y)).rounded(kind.ulps + 6, both)
    return _reduced(loss, y, w, terms, dy)


def _multi_label_soft_margin(
    loss: Any, y: Bounded, t: Array, w: Weights = None
) -> tuple[Bounded, Bounded]:
    """Divide the sums of BCEWithLogitsLoss by the outputs, with a rounding of each term."""
    total = Options(**{**vars(loss), "reduction": "sum", "pos_weight": None})
    value, dy = _bce_with_logits(total, y, t, w)
    divisor = _divisor(loss, y, w)
    return _over(value / y.v.shape[1], divisor), _over(dy / y.v.shape[1], divisor)


def _poisson(loss: Any, y: Bounded, t: Array, w: Weights = None) -> tuple[Bounded, Bounded]:
    """Weigh exp(y) or y against t, of which one may be much larger.

    With `full`, engines add up Stirling's formula and the term in any order.
    """
    kind, target = y.kind, y.kind.exact(t)
    if loss.log_input:
        rate = exp(y)
        terms, dy = rate - target * y, rate - target
    else:
        above = y + loss.eps
        terms, dy = y - target * log(above), 1 - target / above
    terms = terms.rounded(2)
    if loss.full:
        log_t = kind.wide.log(np.where(t > 1, target.v, kind.wide.number(1)))
        stirling = (
            target.v * log_t - target.v + (log_t + kind.wide.log(kind.wide.array(2 * np.pi))) / 2
        )
        size = kind.size(target.v) * (kind.size(log_t) + 1) + kind.size(log_t) + 1
        open_ = t > 1
        extra = Bounded(
            np.where(open_, stirling, kind.wide.number(0)),
            np.where(open_, kind.gamma(kind.ulps + 6) * size, 0.0),
            kind,
        )
        terms = (terms + extra).rounded(2, terms.most + extra.most)
    return _reduced(loss, y, w, terms, dy)


def _target_shares(loss: Any, y: Bounded, t: Array, w: Weights) -> tuple[Bounded, Bounded]:
    """Return the factor of each class's −log p, its target times its weights, and D."""
    kind, (n, classes) = y.kind, y.v.shape
    own = kind.number(np.ones(classes) if loss.weight is None else loss.weight)
    counts = np.ones(n, bool) if t.ndim == 2 else t != loss.ignore_index
    if t.ndim == 1:
        one_hot = np.zeros((n, classes))
        one_hot[counts, t[counts]] = 1
        target = kind.exact(one_hot)
    else:
        target = kind.exact(t)
    if getattr(loss, "label_smoothing", 0):
        smooth = kind.wide.number(loss.label_smoothing)
        smoothed = target.v * (1 - smooth) + smooth / classes
        smoothed = np.where(counts[:, None], smoothed, kind.wide.number(0))
        target = Bounded(smoothed, target.e, kind).rounded(4)
    shares = target * own
    if w is not None:
        shares = (shares * w).product_rounded(2)
    if loss.reduction == "mean" and t.ndim == 1:
        parts = own[t[counts]]
        return shares, (parts if w is None else parts * w[counts, 0]).sum()
    if loss.reduction == "sum":
        return shares, kind.exact(1)
    return shares, kind.exact(n) if w is None else w.sum()


def _cross_entropy(loss: Any, y: Bounded, t: Array, w: Weights = None) -> tuple[Bounded, Bounded]:
    q, divisor = _target_shares(loss, y, t, w)
    log_p = log_softmax(y)
    value = ((q * -log_p).sum() / divisor).rounded(4)
    g = -q / divisor
    shared = exp_of_log(log_p) * g.sum(axis=1, keepdims=True)
    # An engine may divide by D last; then the roundings of both terms count.
    return value, (g - shared).rounded(2, g.most + shared.most)


def _nll(loss: Any, y: Bounded, t: Array, w: Weights = None) -> tuple[Bounded, Bounded]:
    q, divisor = _target_shares(loss, y, t, w)
    return ((q * -y).sum() / divisor).rounded(4), (-q / divisor).rounded(2).plus_error(_beyond(y))


def _beyond(y: Bounded) -> Array:
    """Return an infinite error for rows with an output that may overflow, because 0 ∞ is NaN."""
    return np.where((y.e < np.inf).all(axis=1, keepdims=True), 0.0, np.inf)


def _gaps(loss: Any, y: Bounded, own: Array, margin: float, is_out: Array) -> tuple[Bounded, ...]:
    """Return margin − y[own] + y where it is above 0, and its slope, both 0 at the places `is_out`.

    A slope is open where rounding decides on which side of 0 the difference is.
    """
    kind, rows, zero = y.kind, np.arange(len(own)), y.kind.wide.number(0)
    other = Bounded(y.v[rows, own][:, None], y.e[rows, own][:, None], kind)
    gap = y - other + margin
    # Any order of the two additions
    gap = gap.plus_error(2 * kind.u * (y.most + other.most + abs(margin)) * (gap.e > 0))
    gap = Bounded(np.where(is_out, zero, gap.v), np.where(is_out, 0.0, gap.e), kind)
    is_open = (gap.size <= gap.e) & ~is_out & (gap.e > 0)
    excess = Bounded(np.maximum(gap.v, 0), np.where((gap.v < 0) & ~is_open, 0.0, gap.e), kind)
    if getattr(loss, "p", 1) == 2:
        return excess * excess, excess * 2
    kind.jumps.append((int(np.count_nonzero(is_open)), is_open.size))
    above = np.where(gap.v > 0, kind.wide.number(1), zero)
    return excess, Bounded(above, np.where(is_open, 1.0, 0.0), kind)


def _multi_margin(loss: Any, y: Bounded, t: Array, w: Weights = None) -> tuple[Bounded, Bounded]:
    kind = y.kind
    is_own = np.arange(y.v.shape[1]) == t[:, None]
    share = kind.number(np.ones(y.v.shape[1]) if loss.weight is None else loss.weight)[t]
    share = Bounded(share.v[:, None], share.e[:, None], kind) / y.v.shape[1]
    excess, slopes = _gaps(loss, y, t, loss.margin, is_own)
    total = slopes.sum(axis=1, keepdims=True)
    dy = Bounded(np.where(is_own, -total.v, slopes.v), np.where(is_own, total.e, slopes.e), kind)
    value, dy = _reduced(loss, y, w, excess * share, dy * share)
    return value, dy.plus_error(_beyond(y))


def _multi_label_margin(
    loss: Any, y: Bounded, t: Array, w: Weights = None
) -> tuple[Bounded, Bounded]:
    """Add up one hinge loss for each place of the lists of classes."""
    kind, columns = y.kind, np.arange(y.v.shape[1])
    is_listed = listed_labels(t)
    is_label = np.any((t[:, :, None] == columns) & is_listed[:, :, None], axis=1)
    terms, dy = [], kind.exact(np.zeros(y.v.shape))
    for place in range(t.shape[1]):
        own, is_in = t[:, place], is_listed[:, place, None]
        excess, slopes = _gaps(loss, y, own, 1.0, is_label | ~is_in)
        total, is_own = slopes.sum(axis=1, keepdims=True), (columns == own[:, None]) & is_in
        terms.append(excess / y.v.shape[1])
        dy = dy + slopes - total * kind.exact(is_own.astype(float))
    v, e = (np.concatenate(part, axis=1) for part in zip(*((a.v, a.e) for a in terms), strict=True))
    every = Bounded(v, e, kind)
    value, dy = _reduced(loss, y, w, every, dy / y.v.shape[1])
    return value, dy.plus_error(_beyond(y))


LOSSES: dict[str, Function] = {
    "BCELoss": _bce,
    "BCEWithLogitsLoss": _bce_with_logits,
    "CrossEntropyLoss": _cross_entropy,
    "NLLLoss": _nll,
    "PoissonNLLLoss": _poisson,
    "MultiLabelMarginLoss": _multi_label_margin,
    "MultiLabelSoftMarginLoss": _multi_label_soft_margin,
    "MultiMarginLoss": _multi_margin,
}
"""The losses that do not follow from a statement."""


def loss_truth(name: str) -> Function:
    """Return the function (options, y, t) → L, ∂L/∂y of a loss; raises MissingEntryError."""
    if name in LOSSES:
        return LOSSES[name]
    row = LOSS_ROWS.get(name)
    if row is None or row.statement is None or row.statement.bounds is None:
        raise MissingEntryError(
            f"truth/losses.py has no entry for {name!r}; add one to LOSSES, or add a statement "
            "with bounds to its row in protocol/losses."
        )
    return _stated(row.statement)


def _stated(statement: Statement) -> Function:
    def function(loss: Any, y: Bounded, t: Array, w: Weights = None) -> tuple[Bounded, Bounded]:
        found = Evaluation(statement, loss, y, y.kind.exact(t).v)
        dy = found.slope(y.kind.kink.get(loss.type))
        return _reduced(loss, y, w, found.value(), dy)

    return function
