"""Where no operation rounds, the engine is right to the last bit.

Small integers, and divisors that are powers of two, make every number of a step a short dyadic
fraction, which each float type holds exactly in any order of summation. The expected side computes
one number at a time in Python's fractions.
"""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from cases import Case, lattice_cases
from hypothesis import given
from hypothesis import strategies as st

from manualnn import (
    SGD,
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    L1Loss,
    LeakyReLU,
    Linear,
    MSELoss,
    Parameters,
    ReLU,
    Sequential,
    Softplus,
    Trainer,
)

FLOATS = [np.dtype(t) for t in (np.float32, np.float64, np.longdouble)]

Row = list[Fraction]
Rows = list[Row]


def fractions(array: Any) -> Any:
    """Return an array as nested lists of fractions."""
    if np.ndim(array):
        return [fractions(part) for part in array]
    return Fraction(*array.as_integer_ratio())


def clamp(value: Fraction, limit: Fraction) -> Fraction:
    return max(-limit, min(limit, value))


LOSS_OF_ERROR = {
    "MSELoss": lambda _, e: (e * e, 2 * e),
    "L1Loss": lambda _, e: (abs(e), Fraction((e > 0) - (e < 0))),
    "HuberLoss": lambda loss, e: (
        e * e / 2
        if abs(e) <= loss.delta
        else Fraction(loss.delta) * (abs(e) - Fraction(loss.delta) / 2),
        clamp(e, Fraction(loss.delta)),
    ),
    "SmoothL1Loss": lambda loss, e: (
        e * e / 2 / Fraction(loss.beta) if abs(e) < loss.beta else abs(e) - Fraction(loss.beta) / 2,
        clamp(e / Fraction(loss.beta), Fraction(1)),
    ),
}
"""The loss of one error e = y − t, and its derivative."""
SLOPE_BELOW = {
    "Identity": lambda _: 1,
    "Flatten": lambda _: 1,
    "ReLU": lambda _: 0,
    "LeakyReLU": lambda layer: layer.negative_slope,
}
"""The slope of a layer at and below 0; above it is 1."""


class ByHand:
    """One step in fractions: sample by sample, neuron by neuron, path by path."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.params = {key: fractions(view) for key, view in case.params.items()}
        self.noise = {key: fractions(mask) for key, mask in (case.noise() or {}).items()}
        self.grads = {
            key: np.zeros(view.shape, int).astype(object) for key, view in case.params.items()
        }
        rows, targets = fractions(case.x), fractions(case.t)
        terms = {"mean": len(rows) * len(targets[0]), "batchmean": len(rows), "sum": 1}
        self.divisor = terms[case.loss.reduction] / Fraction(case.loss.factor)
        self.loss = Fraction(0)
        self.y: Rows = []
        self.dx: Rows = []
        for n, (row, target) in enumerate(zip(rows, targets, strict=True)):
            self.dx.append(self._sample(n, row, target))

    def _sample(self, n: int, row: Row, target: Row) -> Row:
        layers = self.case.net.layers
        inputs = []
        for i, layer in enumerate(layers):
            inputs.append(row)
            row = self._forward(i, layer, n, row)
        self.y.append(row)
        of_error = LOSS_OF_ERROR[type(self.case.loss).__name__]
        pairs = [of_error(self.case.loss, y - t) for y, t in zip(row, target, strict=True)]
        self.loss += sum(value for value, _ in pairs) / self.divisor
        delta = [slope / self.divisor for _, slope in pairs]
        for i in reversed(range(len(layers))):
            delta = self._backward(i, layers[i], n, inputs[i], delta)
        return delta

    def _slope(self, i: int, layer: Any, n: int, k: int, z: Fraction) -> Fraction:
        kind = type(layer).__name__
        if kind == "Dropout":
            return self.noise[f"{i}.mask"][n][k] if self.noise else Fraction(1)
        return Fraction(1 if z > 0 else SLOPE_BELOW[kind](layer))

    def _forward(self, i: int, layer: Any, n: int, row: Row) -> Row:
        if not isinstance(layer, Linear):
            return [self._slope(i, layer, n, k, z) * z for k, z in enumerate(row)]
        bias = self.params.get(f"{i}.bias", [0] * layer.out_features)
        return [
            sum(w * x for w, x in zip(weights, row, strict=True)) + b
            for weights, b in zip(self.params[f"{i}.weight"], bias, strict=True)
        ]

    def _backward(self, i: int, layer: Any, n: int, row: Row, delta: Row) -> Row:
        if not isinstance(layer, Linear):
            return [d * self._slope(i, layer, n, k, row[k]) for k, d in enumerate(delta)]
        weights = self.params[f"{i}.weight"]
        for j, d in enumerate(delta):
            if layer.bias:
                self.grads[f"{i}.bias"][j] += d
            for k, x in enumerate(row):
                self.grads[f"{i}.weight"][j, k] += d * x
        return [
            sum((d * weights[j][k] for j, d in enumerate(delta)), Fraction(0))
            for k in range(len(row))
        ]

    def first_sgd_step(self, theta: Fraction, g: Fraction) -> Fraction:
        rule: Any = self.case.rule
        g = (-g if rule.maximize else g) + Fraction(rule.weight_decay) * theta
        if rule.nesterov:
            g += Fraction(rule.momentum) * g
        return theta - Fraction(rule.lr) * g


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@given(data=st.data())
def test_a_step_on_the_lattice_is_exact(dtype: Any, data: st.DataObject) -> None:
    """Outputs, loss, every gradient and every updated parameter equal the fractions."""
    known = (*SLOPE_BELOW, "Dropout")
    case = data.draw(lattice_cases(st.just(dtype), layer_names=known, loss_names=(*LOSS_OF_ERROR,)))
    by_hand, noise = ByHand(case), case.noise()
    y = case.net.forward(case.params, case.x, noise=noise)
    value, grads, dx = case.net.value_and_grad(
        case.params, case.loss, case.x, case.t, noise=noise, input_grad=True
    )
    assert fractions(y) == by_hand.y
    assert fractions(np.asarray(value)[()]) == by_hand.loss
    assert fractions(dx) == by_hand.dx
    assert {key: fractions(g) for key, g in grads.items()} == {
        key: g.tolist() for key, g in by_hand.grads.items()
    }
    params, state = case.params.copy(), case.rule.init(case.params)
    case.rule.update(params, grads, state)
    wanted = np.concatenate([[], *(g.ravel() for g in by_hand.grads.values())])
    assert fractions(params.vector) == [
        by_hand.first_sgd_step(theta, g)
        for theta, g in zip(fractions(case.params.vector), wanted, strict=True)
    ]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_three_steps_with_momentum_are_exact(dtype: Any) -> None:
    """A trainer's parameters after each step equal those of fractions, momentum buffer and all."""
    net = Sequential(Linear(2, 2), ReLU(), Linear(2, 1))
    params = Parameters(net.shapes, np.array([1, -1, 2, 1, 0, 1, 1, -1, 0], dtype))
    x, t = np.array([[1, 2], [2, -1]], dtype), np.array([[1], [-2]], dtype)
    rule = SGD(lr=0.125, momentum=0.5, dampening=0.5)
    trainer = Trainer(net, MSELoss(), rule, params=params)
    case = Case(net, params.copy(), x, t, MSELoss(), rule)
    theta, b = [Fraction(int(p)) for p in params.vector], None
    for _ in range(3):
        by_hand = ByHand(case)
        g = np.concatenate([g.ravel() for g in by_hand.grads.values()])
        b = g if b is None else [v / 2 + w / 2 for v, w in zip(b, g, strict=True)]
        theta = [p - v / 8 for p, v in zip(theta, b, strict=True)]
        assert Fraction(trainer.step(x, t)) == by_hand.loss
        assert fractions(trainer.params.vector) == theta
        case = replace(case, params=trainer.params.copy())


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    ("layer", "z", "slope"),
    [
        (ReLU(), 0, 0),
        (ReLU(), -0.0, 0),
        (LeakyReLU(0.25), 0, 0.25),
        (Softplus(1.0, 0.0), 0, 0.5),
    ],
    ids=str,
)
def test_slope_at_a_kink_is_exact(layer: Any, z: float, slope: float, dtype: Any) -> None:
    x = np.full((1, 1), z, dtype)
    assert layer.backward({}, x, layer.forward({}, x), np.ones((1, 1), dtype)) == slope


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    ("loss", "pair", "value", "slope"),
    [
        (L1Loss(), (3, 3), 0, 0),
        (HuberLoss(delta=2.0), (5, 3), 2, 2),
        (HuberLoss(delta=2.0), (1, 3), 2, -2),
        (HuberLoss(delta=2.0), (-3, 3), 10, -2),
        (MSELoss(), (5, 3), 4, 4),
        (BCELoss(), (0, 1), 100, None),
        (BCELoss(), (1, 0), 100, None),
        (BCELoss(), (0, 0), 0, 0),
        (BCELoss(), (1, 1), 0, 0),
        (BCEWithLogitsLoss(), (1e4, 0), 1e4, 1),
        (BCEWithLogitsLoss(), (-1e4, 1), 1e4, -1),
    ],
    ids=str,
)
def test_loss_at_its_edges_is_exact(
    loss: Any, pair: tuple[float, float], value: float, slope: float | None, dtype: Any
) -> None:
    """At kinks, bounds and in full saturation; BCELoss there has torch's finite slope."""
    y, t = (np.full((1, 1), v, dtype) for v in pair)
    got, dy = loss.value_and_grad(y, t)
    assert got == value
    assert np.isfinite(dy) if slope is None else dy == slope


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_cross_entropy_of_certain_logits_is_exact(dtype: Any) -> None:
    """Logits ±10⁴: surely right costs 0, surely wrong 2·10⁴, and no exponential is left over."""
    y = np.array([[1e4, -1e4], [1e4, -1e4]], dtype)
    value, dy = CrossEntropyLoss("sum").value_and_grad(y, np.array([0, 1]))
    assert value == 20_000
    assert dy.tolist() == [[0, 0], [1, -1]]
