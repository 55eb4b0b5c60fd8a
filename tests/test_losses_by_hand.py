"""Values and gradients of losses, calculated by hand at single places and added up.

A term of one output is stated as plain mathematics of floats, beside its derivative. Every branch,
each tie, and every option is among the places.
"""

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from manualnn import (
    DomainError,
    HingeEmbeddingLoss,
    KLDivLoss,
    Loss,
    MSELoss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    NLLLoss,
    PoissonNLLLoss,
    SoftMarginLoss,
)


class Hand(NamedTuple):
    """A loss of one row, its outputs and targets, and the terms and slopes by hand."""

    loss: Loss
    y: list[float]
    t: list[Any]
    terms: list[float]
    slopes: list[float]


LOG = math.log
HANDS = [
    Hand(MSELoss(), [0.5, -1.0, 3.0], [1.0, 1.0, 3.0], [0.25, 4.0, 0.0], [-1.0, -4.0, 0.0]),
    Hand(KLDivLoss(), [-1.5, 0.25, -2.0], [0.5, 0.0, 1.0],
         [0.5 * (LOG(0.5) + 1.5), 0.0, 2.0], [-0.5, 0.0, -1.0]),
    Hand(KLDivLoss(log_target=True), [-1.5, 0.25, -2.0], [LOG(0.5), 0.0, LOG(0.25)],
         [0.5 * (LOG(0.5) + 1.5), -0.25, 0.25 * (LOG(0.25) + 2)], [-0.5, -1.0, -0.25]),
    Hand(PoissonNLLLoss(), [0.0, LOG(3), -LOG(2)], [0, 2, 1],
         [1.0, 3 - 2 * LOG(3), 0.5 + LOG(2)], [1, 1, -0.5]),
    Hand(PoissonNLLLoss(full=True), [0.0, 0.0], [1, 2],
         [1.0, -1 + 2 * LOG(2) + LOG(4 * math.pi) / 2], [0, -1]),
    Hand(PoissonNLLLoss(log_input=False, eps=0.5), [0.5, 1.5, 0.0], [2, 0, 1],
         [0.5, 1.5, LOG(2)], [-1, 1, -1]),
    Hand(HingeEmbeddingLoss(), [0.75, 3.0, 0.25, 1.0, 2.0, -4.0], [1, 1, -1, -1, -1, 1],
         [0.75, 3.0, 0.75, 0.0, 0.0, -4.0], [1, 1, -1, -1, 0, 1]),
    Hand(HingeEmbeddingLoss(margin=2.0), [1.0, 2.0, 2.5], [-1, -1, -1],
         [1.0, 0.0, 0.0], [-1, -1, 0]),
    Hand(SoftMarginLoss(), [0.0, LOG(3), -LOG(3), LOG(4)], [1, 1, 1, -1],
         [LOG(2), LOG(4 / 3), LOG(4), LOG(5)], [-1 / 2, -1 / 4, -3 / 4, 4 / 5]),
    Hand(SoftMarginLoss(), [1e4, -1e4], [-1, 1], [1e4, 1e4], [1, -1]),
]  # fmt: skip


FACTORS = [("mean", 1.0), ("sum", 1.0), ("batchmean", 1.0), ("sum", 0.5), ("mean", 0.3)]
Y = [[-0.25, -1.5, -2.0], [-0.5, -math.inf, -3.0]]


class OfClasses(NamedTuple):
    """A loss of classes, its terms and slopes by hand, and its divisors."""

    loss: Any
    t: list[Any]
    terms: list[list[float]]
    slopes: list[list[float]]
    mean: float
    batchmean: float = 2
    y: list[list[float]] = Y


CLASSES = [
    OfClasses(NLLLoss(), [2, 0], [[0, 0, 2.0], [0.5, 0, 0]], [[0, 0, -1], [-1, 0, 0]], 2),
    OfClasses(NLLLoss(weight=(0.25, 8.0, 3.0)), [2, 0],
              [[0, 0, 6.0], [0.125, 0, 0]], [[0, 0, -3], [-0.25, 0, 0]], 3.25),
    OfClasses(NLLLoss(weight=(0.25, 8.0, 3.0), ignore_index=0), [2, 0],
              [[0, 0, 6.0], [0, 0, 0]], [[0, 0, -3], [0, 0, 0]], 3),
]  # fmt: skip


SCORES = [[0.5, 2.0, -0.5], [1.0, 0.0, 0.0]]  # excesses 2.5 and 0 over class 0; ties at 0
CLASSES += [
    OfClasses(MultiMarginLoss(), [0, 0], [[0, 2.5 / 3, 0], [0, 0, 0]],
              [[-1 / 3, 1 / 3, 0], [0, 0, 0]], 2, y=SCORES),
    OfClasses(MultiMarginLoss(margin=2.0, weight=(3.0, 1.0, 0.5)), [0, 2],
              [[0, 3.5, 1.0], [0.5, 1 / 3, 0]], [[-2, 1, 1], [1 / 6, 1 / 6, -1 / 3]], 2, y=SCORES),
    OfClasses(MultiMarginLoss(p=2, margin=2.0), [0, 1],
              [[0, 3.5**2 / 3, 1 / 3], [3.0, 0, 4 / 3]],
              [[-3.0, 7 / 3, 2 / 3], [2.0, -10 / 3, 4 / 3]], 2, y=SCORES),
]  # fmt: skip


CLASSES += [
    OfClasses(MultiLabelMarginLoss(), [[2, -1, 0], [0, 2, -1]],
              [[2 / 3, 3.5 / 3, 0], [0, 1 / 3, 0]],
              [[1 / 3, 1 / 3, -2 / 3], [0, 1 / 3, -1 / 3]], 2, y=SCORES),
    OfClasses(MultiLabelMarginLoss(), [[0, 0, -1], [2, 1, -1]],  # twice is counted twice
              [[0, 5 / 3, 0], [4 / 3, 0, 0]],
              [[-2 / 3, 2 / 3, 0], [2 / 3, -1 / 3, -1 / 3]], 2, y=SCORES),
]  # fmt: skip


CLASSES.append(
    OfClasses(MultiLabelSoftMarginLoss(weight=(3.0, 1.5)), [[1, 0], [0.5, 1]],
              [[1.5 * LOG(2), 0.75 * LOG(4)], [0.75 * LOG(16 / 3), 0.75 * LOG(4 / 3)]],
              [[-0.75, 0.5625], [-0.375, -0.1875]], 2, y=[[0, LOG(3)], [-LOG(3), LOG(3)]]),
)  # fmt: skip


@pytest.mark.parametrize(("reduction", "factor"), FACTORS)
@pytest.mark.parametrize("hand", CLASSES, ids=lambda hand: str(hand.loss))
def test_losses_of_classes_are_those_by_hand(
    hand: OfClasses, reduction: str, factor: float
) -> None:
    loss = replace(hand.loss, reduction=reduction, factor=factor)
    divisor = {"mean": hand.mean, "sum": 1, "batchmean": hand.batchmean}[reduction] / factor
    value, dy = loss.value_and_grad(hand.y, hand.t)
    assert value == pytest.approx(np.sum(hand.terms) / divisor, rel=1e-14)
    np.testing.assert_allclose(dy, np.array(hand.slopes) / divisor, rtol=8e-15, atol=0)


@pytest.mark.parametrize("tiny", [1e-30, 1e-17, 5e-324])
def test_a_hinge_just_above_0_has_its_slope(tiny: float) -> None:
    """1 − 1 + tiny is above 0, in this order, which is torch's; tiny − 1 + 1 rounds to 0."""
    y = [[tiny, 1.0]]
    assert MultiMarginLoss("sum").value_and_grad(y, [1])[0] == tiny / 2
    assert MultiMarginLoss("sum").grad(y, [1]).tolist() == [[0.5, -0.5]]
    assert MultiLabelMarginLoss("sum").grad(y, [[1, -1]]).tolist() == [[0.5, -0.5]]


@pytest.mark.parametrize("hand", HANDS, ids=lambda hand: str(hand.loss))
@pytest.mark.parametrize(("reduction", "factor"), FACTORS)
def test_value_and_gradient_are_those_by_hand(hand: Hand, reduction: str, factor: float) -> None:
    """Two rows, the second the first reversed; a few roundings of a few terms."""
    loss: Any = replace(hand.loss, reduction=reduction, factor=factor)
    y, t = ([values, values[::-1]] for values in (hand.y, hand.t))
    divisor = {"mean": 2 * len(hand.y), "sum": 1, "batchmean": 2}[reduction] / factor
    value, dy = loss.value_and_grad(y, t)
    assert value == pytest.approx(2 * math.fsum(hand.terms) / divisor, rel=1e-14)
    expected = np.array([hand.slopes, hand.slopes[::-1]]) / divisor
    np.testing.assert_allclose(dy, expected, rtol=1e-15 * 8, atol=0)
    np.testing.assert_allclose(loss.terms(np.array(y), np.array(t))[0], hand.terms, rtol=1e-14)


@pytest.mark.parametrize(
    ("loss", "y", "t", "message"),
    [
        (
            HingeEmbeddingLoss(),
            [[0.0, 0.0]],
            [[1, 0]],
            r"1 and −1, got t\[0, 1\] = 0.0; .*2 \* t - 1",
        ),
        (KLDivLoss(), [[0.0, 0.0]], [[0.5, -0.5]], r"t ≥ 0, got t\[0, 1\] = -0.5; .*log_target"),
    ],
)
def test_what_is_outside_the_domain_is_refused(loss: Loss, y: Any, t: Any, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        loss.value(y, t)
