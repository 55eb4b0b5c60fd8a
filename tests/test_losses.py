"""Losses: values computed by hand, refused arguments, and predicted classes."""

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
from values import of_kind

from manualnn import (
    LOSSES,
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    DomainError,
    DTypeError,
    HuberLoss,
    L1Loss,
    Loss,
    MSELoss,
    MultiLabelMarginLoss,
    Sequential,
    ShapeError,
    Sigmoid,
    SpecError,
)
from manualnn.losses.indices import IndexLoss

Y = [[0.5, -1.0, 2.0], [3.0, 0.25, -4.0]]
T = [[1.0, 1.0, 2.0], [-1.0, 0.5, -0.5]]
P = [[0.5, 0.125, 0.75], [0.25, 0.625, 0.875]]
Q = [[1.0, 0.0, 0.25], [0.0, 1.0, 0.5]]
W = (1.0, 3.0, 0.5)
POS = (2.0, 0.5, 4.0)
CLASSES = [2, 0]


def sigma(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def bce(p: float, t: float, yes: float = 1.0) -> float:
    return -(yes * t * math.log(p) + (1 - t) * math.log(1 - p))


def log_probability(row: list[float], k: int) -> float:
    return row[k] - math.log(sum(map(math.exp, row)))


def huber(e: float, delta: float) -> float:
    return e * e / 2 if abs(e) <= delta else delta * (abs(e) - delta / 2)


def total(function: Any, y: list[list[float]], t: list[list[float]]) -> float:
    """Return the sum of function(y, t, column) over all entries."""
    return sum(
        function(a, b, k)
        for row_y, row_t in zip(y, t, strict=True)
        for k, (a, b) in enumerate(zip(row_y, row_t, strict=True))
    )


SMOOTH = 0.1
SUMS: list[tuple[Loss, list[list[float]], Any, float]] = [
    (MSELoss(), Y, T, total(lambda y, t, _: (y - t) ** 2, Y, T)),
    (L1Loss(), Y, T, total(lambda y, t, _: abs(y - t), Y, T)),
    (HuberLoss(), Y, T, total(lambda y, t, _: huber(y - t, 1.0), Y, T)),
    (HuberLoss(delta=0.375), Y, T, total(lambda y, t, _: huber(y - t, 0.375), Y, T)),
    (BCELoss(), P, Q, total(lambda y, t, _: bce(y, t), P, Q)),
    (BCELoss(weight=W), P, Q, total(lambda y, t, k: W[k] * bce(y, t), P, Q)),
    (BCEWithLogitsLoss(), Y, Q, total(lambda y, t, _: bce(sigma(y), t), Y, Q)),
    (
        BCEWithLogitsLoss(weight=W, pos_weight=POS),
        Y,
        Q,
        total(lambda y, t, k: W[k] * bce(sigma(y), t, POS[k]), Y, Q),
    ),
    (
        CrossEntropyLoss(),
        Y,
        [[0.5, 0.25, 0.25], [0.0, 0.75, 0.25]],
        -sum(
            q * log_probability(row, k)
            for row, qs in zip(Y, [[0.5, 0.25, 0.25], [0.0, 0.75, 0.25]], strict=True)
            for k, q in enumerate(qs)
        ),
    ),
    (
        CrossEntropyLoss(label_smoothing=SMOOTH),
        Y,
        CLASSES,
        -sum(
            ((1 - SMOOTH) * (k == c) + SMOOTH / 3) * log_probability(row, k)
            for row, c in zip(Y, CLASSES, strict=True)
            for k in range(3)
        ),
    ),
    (
        CrossEntropyLoss(weight=W),
        Y,
        CLASSES,
        -sum(W[c] * log_probability(row, c) for row, c in zip(Y, CLASSES, strict=True)),
    ),
]


def mean_divisor(loss: Loss) -> float:
    """Return what torch's mean divides the sum by, for the two samples of three above."""
    if not isinstance(loss, CrossEntropyLoss):
        return 6
    return sum(W[c] for c in CLASSES) if loss.weight else 2


def reduced(loss: Loss, reduction: str) -> Loss:
    return type(loss)(**{**vars(loss), "reduction": reduction})


@pytest.mark.parametrize(("loss", "y", "t", "expected"), SUMS, ids=[repr(case[0]) for case in SUMS])
def test_values_are_the_sums_of_the_textbook(loss: Loss, y: Any, t: Any, expected: float) -> None:
    def value(reduction: str) -> float:
        return float(reduced(loss, reduction).value(y, t))

    assert value("sum") == pytest.approx(expected, rel=1e-14)
    assert value("batchmean") == pytest.approx(expected / 2, rel=1e-14)
    assert value("mean") == pytest.approx(expected / mean_divisor(loss), rel=1e-14)


@pytest.mark.parametrize(("loss", "y", "t", "expected"), SUMS, ids=[repr(case[0]) for case in SUMS])
@pytest.mark.parametrize("reduction", ["mean", "sum", "batchmean"])
def test_the_combined_kernel_gives_what_the_two_give(
    loss: Loss, y: Any, t: Any, expected: float, reduction: str
) -> None:
    loss = reduced(loss, reduction)
    value, grad = loss.value_and_grad(y, t)
    assert value == pytest.approx(loss.value(y, t), rel=1e-15)
    assert np.allclose(grad, loss.grad(y, t), rtol=1e-15, atol=1e-16)
    out = np.empty((2, 3))
    assert loss.grad(y, t, out=out) is out
    assert np.array_equal(out, loss.grad(y, t))
    assert expected != 0


@pytest.mark.parametrize("smoothing", [0.0, SMOOTH])
def test_ignored_samples_count_for_nothing(smoothing: float) -> None:
    loss = CrossEntropyLoss(weight=W, ignore_index=1, label_smoothing=smoothing)
    y, t = [*Y, [9.0, 8.0, 7.0]], [*CLASSES, 1]
    assert loss.value(y, t) == pytest.approx(loss.value(Y, CLASSES), rel=1e-15)
    grad = loss.grad(y, t)
    assert np.array_equal(grad[:2], loss.grad(Y, CLASSES))
    assert not grad[2].any()


@pytest.mark.parametrize("loss", [MSELoss(), BCEWithLogitsLoss(), CrossEntropyLoss()])
@pytest.mark.parametrize("dtype", ["float32", "float64", "longdouble"])
def test_value_and_gradient_have_the_dtype_of_the_output(loss: Loss, dtype: str) -> None:
    y, t = np.array(Y, dtype), np.array(Q, dtype)
    assert np.asarray(loss.value(y, t)).dtype == dtype
    assert loss.grad(y, t).dtype == dtype


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("loss", [MSELoss(), L1Loss(), HuberLoss(), BCELoss(), BCEWithLogitsLoss()])
@pytest.mark.parametrize("dimensions", [(4,), (1, 4), (4, 2), (1, 1), ()])
def test_targets_are_never_broadcast(loss: Loss, dimensions: tuple[int, ...]) -> None:
    """A column against a row would silently compare every output with every target."""
    with pytest.raises(ShapeError, match=r"expects t of shape \(4, 1\), as y is, got"):
        loss.value(np.full((4, 1), 0.5), np.full(dimensions, 0.5))


def test_a_vector_of_targets_is_advised_of_its_column() -> None:
    with pytest.raises(ShapeError, match=r"got \(4,\); pass t.reshape\(4, 1\)"):
        MSELoss().value(np.zeros((4, 1)), np.zeros(4))


@pytest.mark.parametrize("loss", LOSSES.values())
def test_outputs_must_be_a_batch(loss: type[Loss]) -> None:
    with pytest.raises(ShapeError, match=r"expects y of shape \(N, K\), got \(3,\)"):
        loss().value(np.zeros(3), np.zeros(3))


def test_targets_of_another_float_type_are_refused() -> None:
    with pytest.raises(DTypeError, match=r"t is float64, .* pass t.astype\(np.float32\)"):
        MSELoss().value(np.zeros((2, 3), np.float32), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("t", "message"),
    [
        ([0, 3], r"class indices from 0 to 2, got t\[1\] = 3"),
        ([-1, 0], r"class indices from 0 to 2, got t\[0\] = -1"),
    ],
)
def test_class_indices_outside_the_classes_are_refused(t: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CrossEntropyLoss().value(Y, t)


@pytest.mark.parametrize("t", [[0.0, 1.0], [0, 1, 2], [[0], [1]], [[0, 1]], 1, ["a", "b"]])
def test_what_is_neither_indices_nor_probabilities_is_refused(t: Any) -> None:
    with pytest.raises(ShapeError, match="expects"):
        CrossEntropyLoss().value(Y, t)


@pytest.mark.parametrize(
    ("t", "message"),
    [
        (
            [[0.0, 1.0], [1.0, -1.0]],
            r"integers of shape \(2, 2\), whose rows .*; got t of dtype float64",
        ),
        ([[0], [1]], r"got t of dtype int64 and shape \(2, 1\)"),
        ([[0, 1], [1, 2]], r"from 0 to 1, and −1 behind .*, got t\[1, 1\] = 2"),
        ([[0, -2], [1, -1]], r"got t\[0, 1\] = -2"),
    ],
)
def test_what_is_no_list_of_classes_is_refused(t: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiLabelMarginLoss().value(np.zeros((2, 2)), t)


@pytest.mark.parametrize(
    "loss",
    [
        BCELoss(weight=(1.0,)),
        BCEWithLogitsLoss(weight=W + W),
        BCEWithLogitsLoss(pos_weight=()),
        CrossEntropyLoss(weight=(1.0,)),
    ],
)
def test_there_is_one_weight_for_each_output(loss: Loss) -> None:
    with pytest.raises(ShapeError, match="one number for each of 3 outputs"):
        loss.value(P, Q)


def test_probabilities_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got y\[1, 0\] = 1.5; end the network in Sigmoid\(\)"):
        BCELoss().value([[0.0, 1.0], [1.5, 0.0]], np.zeros((2, 2)))


@pytest.mark.parametrize("t", [-0.25, 1.25])
def test_targets_of_bce_outside_their_range_are_refused(t: float) -> None:
    """As in torch, where BCEWithLogitsLoss takes any target."""
    message = rf"expects probabilities, 0 ≤ t ≤ 1, got t\[1, 0\] = {t}; pass \(t \+ 1\) / 2"
    with pytest.raises(DomainError, match=message):
        BCELoss().value(np.full((2, 2), 0.5), [[0.0, 1.0], [t, 0.0]])
    BCEWithLogitsLoss().value(np.full((2, 2), 0.5), [[0.0, 1.0], [t, 0.0]])


@pytest.mark.parametrize("ignored", [-1, 0, 2])
def test_probabilities_have_no_index_to_ignore(ignored: int) -> None:
    """torch refuses an index of 0 or more, and overlooks another one."""
    loss = CrossEntropyLoss(ignore_index=ignored)
    t = [[0.5, 0.25, 0.25], [0.0, 0.75, 0.25]]
    if ignored < 0:
        assert loss.value(Y, t) == CrossEntropyLoss().value(Y, t)
        return
    with pytest.raises(SpecError, match=f"ignore_index={ignored} needs class indices, got prob"):
        loss.value(Y, t)


@pytest.mark.parametrize("reduction", ["mean", "sum", "batchmean"])
@pytest.mark.parametrize("loss", LOSSES.values())
def test_a_loss_of_no_samples_is_0(loss: type[Loss], reduction: str) -> None:
    nothing = np.zeros((0, 3))
    t = np.zeros(0, int) if issubclass(loss, IndexLoss) else of_kind(loss.__name__, nothing)
    assert loss(reduction=reduction).value(nothing, t) == 0
    assert loss(reduction=reduction).grad(nothing, t).shape == (0, 3)


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(SpecError, match="one of mean, sum, batchmean, got 'none'"):
        MSELoss(reduction="none")


def test_arguments_are_not_changed() -> None:
    y = np.array(P)
    y.flags.writeable = False
    for name, loss in LOSSES.items():
        t = np.array(CLASSES) if issubclass(loss, IndexLoss) else of_kind(name, np.array(Q))
        t.flags.writeable, before = False, t.copy()
        loss().value_and_grad(y, t)
        loss().grad(y, t)
        assert np.array_equal(t, before)
    assert np.array_equal(y, P)


# ---------------------------------------------------------------------- classes


def test_cross_entropy_predicts_the_likeliest_class_and_its_probability() -> None:
    classes, probability = CrossEntropyLoss().classify(np.array(Y))
    assert classes.tolist() == [2, 0]
    expected = [math.exp(log_probability(row, c)) for row, c in zip(Y, [2, 0], strict=True)]
    assert np.allclose(probability, expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("loss", "y", "p"),
    [
        (BCELoss(), P, P),
        (BCEWithLogitsLoss(), Y, [[sigma(z) for z in row] for row in Y]),
    ],
)
def test_binary_losses_predict_each_output_by_itself(loss: Loss, y: Any, p: Any) -> None:
    classes, probability = loss.classify(np.array(y))
    assert classes.tolist() == [[int(v >= 0.5) for v in row] for row in p]
    assert np.allclose(probability, [[max(v, 1 - v) for v in row] for row in p], rtol=1e-14)


@pytest.mark.parametrize("loss", [MSELoss(), L1Loss(), HuberLoss()])
def test_losses_of_regression_have_no_classes(loss: Loss) -> None:
    with pytest.raises(SpecError, match=r"a loss for regression: .* train with CrossEntropyLoss"):
        loss.classify(np.array(Y))


# ---------------------------------------------------------------------- descriptions


@pytest.mark.parametrize("loss", [case[0] for case in SUMS], ids=repr)
def test_losses_are_values(loss: Loss) -> None:
    for again in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):  # noqa: S301 - its own bytes
        assert again == loss
        assert hash(again) == hash(loss)
    assert reduced(loss, "sum") != loss
    with pytest.raises(AttributeError, match="cannot assign"):
        loss.reduction = "sum"  # type: ignore[misc]


# ---------------------------------------------------------------------- gradients


@pytest.mark.parametrize(("loss", "y", "t"), [c[:3] for c in SUMS], ids=[repr(c[0]) for c in SUMS])
@pytest.mark.parametrize("reduction", ["mean", "sum", "batchmean"])
def test_gradients_are_differences_of_the_value(loss: Loss, y: Any, t: Any, reduction: str) -> None:
    """A difference errs by about h² = 10⁻¹⁰ by its formula and eps/h = 10⁻¹¹ by rounding."""
    loss, y, h = reduced(loss, reduction), np.array(y), 1e-5
    for place in np.ndindex(y.shape):
        step = np.zeros_like(y)
        step[place] = h
        difference = (loss.value(y + step, t) - loss.value(y - step, t)) / (2 * h)
        assert loss.grad(y, t)[place] == pytest.approx(difference, rel=1e-8, abs=1e-9)


def test_gradients_where_two_branches_meet() -> None:
    """At y = t and at |y − t| = δ, where torch takes these values."""
    assert L1Loss("sum").grad([[2.0, 3.0]], [[2.0, 1.0]]).tolist() == [[0, 1]]
    assert HuberLoss("sum").grad([[1.0, -1.0, 0.0]], [[0.0, 0.0, 0.0]]).tolist() == [[1, -1, 0]]


def test_certain_probabilities_have_finite_losses() -> None:
    """Each logarithm is at least −100, and the denominator at least 10⁻¹², as torch has it."""
    loss = BCELoss("sum")
    assert loss.value([[0.0, 1.0]], [[1.0, 0.0]]) == 200
    assert loss.value([[0.0, 1.0]], [[0.0, 1.0]]) == 0
    assert loss.grad([[0.0, 1.0]], [[1.0, 0.0]])[0] == pytest.approx([-1e12, 1e12], rel=1e-7)


def test_extreme_scores_have_finite_losses() -> None:
    assert BCEWithLogitsLoss("sum").value([[-1e4, 1e4]], [[1.0, 0.0]]) == 2e4
    assert BCEWithLogitsLoss("sum").grad([[-1e4, 1e4]], [[1.0, 0.0]]).tolist() == [[-1, 1]]
    assert CrossEntropyLoss("sum").value([[-1e4, 1e4]], [0]) == 2e4
    assert CrossEntropyLoss("sum").grad([[-1e4, 1e4]], [0]).tolist() == [[-1, 1]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bce_of_a_saturated_sigmoid_is_its_bound(dtype: Any) -> None:
    """−log 0 counts as 100, as in torch; the sigmoid is not kept above 0."""
    net = Sequential(Sigmoid())
    y = net.forward(net.init(0, dtype), np.array([[-800], [-1e4]], dtype))
    assert BCELoss("sum").value(y, np.ones((2, 1), dtype)) == 200
