"""Weighted losses, compared with torch's losses of single samples."""

from typing import Any

import numpy as np
import torch
from cases import losses_for
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from values import SEEDS, arrays, targets_for

from manualnn import Loss
from manualnn.losses.indices import ClassLoss
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import LOSS_ROWS, takes_probabilities
from manualnn.oracle.truth.step import truth
from manualnn.spec import to_spec
from reference.losses import build

DTYPES = st.sampled_from([np.dtype(np.float32), np.dtype(np.float64)])


@st.composite
def weighted_batches(draw: st.DrawFn) -> tuple[Loss, Any, Any, Any]:
    dtype, n, width = draw(DTYPES), draw(st.integers(1, 6)), draw(st.integers(1, 4))
    loss = draw(losses_for(width))
    y = draw(arrays((n, width), dtype, ("normal",)))
    if takes_probabilities(to_spec(loss)):
        y = (1 / (1 + np.exp(-np.clip(y, -9, 9)))).astype(dtype)
    t = draw(targets_for(loss, (n, width), dtype))
    rng = np.random.default_rng(draw(SEEDS))
    w = rng.random(n) * 4.0 ** rng.integers(-3, 4, n)
    return loss, y, t, w.astype(dtype)


def divisor(loss: Loss, y: Any, t: Any, w: Any) -> Any:
    """Return Σ wₙ times what torch divides sample n by."""
    if loss.reduction == "sum":
        return 1
    parts = np.full(len(y), y.shape[1], np.longdouble)
    if loss.reduction == "batchmean" or LOSS_ROWS[type(loss).__name__].is_per_sample:
        parts[:] = 1
    if isinstance(loss, ClassLoss):
        parts[:] = 1
        if loss.reduction == "mean" and t.ndim == 1:
            factors = np.ones(y.shape[1], y.dtype) if loss.weight is None else loss.weight
            factors = np.asarray(factors, y.dtype)
            parts = np.array(
                [0 if k == loss.ignore_index else factors[k] for k in t], np.longdouble
            )
    return (w * parts).sum()


@settings(max_examples=max(20, settings.default.max_examples // 5))
@given(batch=weighted_batches())
def test_a_weighted_loss_and_its_gradient_are_torchs(batch: tuple[Loss, Any, Any, Any]) -> None:
    """The bound: the oracle's for the loss lₙ of a sample and its gradient, times wₙ/D, and the
    relative roundings of wₙ, D (a sum of N products of two factors), their quotient and product,
    and of the sum over samples and outputs: at most 2 N + K + 8, each u. Second order: a factor 2.
    """
    loss, y, t, w = batch
    by = divisor(loss, y, t, w)
    assume(by > 0)
    summed = to_spec(loss) | {"reduction": "sum"}
    n, width = y.shape
    value, size, error = (np.zeros((), np.longdouble) for _ in range(3))
    dy, allowed = np.zeros(y.shape, np.longdouble), np.zeros(y.shape, np.longdouble)
    count = (2 * n + width + 8) * np.finfo(y.dtype).eps
    for i in range(n):
        case = Case((), summed, {}, y[i : i + 1], t[i : i + 1], dtype=str(y.dtype))
        expected, share = truth(case), w[i] / by
        value += share * expected.loss.v
        size += share * abs(expected.loss.v)
        error += share * float(expected.loss.bounds)
        dy[i] = share * expected.input_grad.v[0]
        allowed[i] = share * expected.input_grad.bounds[0] + count * abs(dy[i])
    tiny = 64 * float(np.finfo(y.dtype).smallest_subnormal)

    outputs = torch.tensor(y, requires_grad=True)
    each = build(summed, outputs.dtype)
    targets = torch.as_tensor(np.ascontiguousarray(t))
    terms = [each(outputs[i : i + 1], targets[i : i + 1]) * float(w[i]) for i in range(n)]
    total = torch.stack(terms).sum() / float(by)
    total.backward()
    ours = loss.weighted(y, t, w)
    for got, gradient in (ours, (total.detach().numpy(), outputs.grad.numpy())):
        assert abs(got - value) <= 2 * (error + count * size) + tiny
        assert (np.abs(gradient - dy) <= 2 * allowed + tiny).all()
    assert np.sum(loss.divisors(y, t)) * 1 == loss.divisor(y, t) or loss.reduction == "sum"
