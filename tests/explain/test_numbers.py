"""The numbers of an explanation, by hand and rounded; its descent."""

import math
import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np
import pytest
from explain.networks import network_of, seed_for

from manualnn import (
    LAYERS,
    LOSSES,
    OPTIMIZERS,
    SGD,
    Linear,
    MSELoss,
    Parameters,
    Sequential,
    Sigmoid,
)
from manualnn.explain import EXAMPLE, explain
from manualnn.explain.computation import Computation
from manualnn.explain.descent import descend
from manualnn.explain.numbers import Arithmetic, Number
from manualnn.explain.run import make_run

pytestmark = pytest.mark.once


def by_hand() -> dict[str, float]:
    """Return the numbers of the example, by the textbook's formulas on Python floats."""
    x, t = EXAMPLE["x"][0], EXAMPLE["t"][0]
    w, b = EXAMPLE["parameters"]["0.weight"], EXAMPLE["parameters"]["0.bias"]
    v, c = EXAMPLE["parameters"]["2.weight"], EXAMPLE["parameters"]["2.bias"]
    two, three = range(2), range(3)

    def forward(w: Any, b: Any, v: Any, c: Any) -> tuple[list[float], list[float], float]:
        z = [sum(w[j][i] * x[i] for i in three) + b[j] for j in two]
        h = [1 / (1 + math.exp(-z[j])) for j in two]
        o = [sum(v[k][j] * h[j] for j in two) + c[k] for k in two]
        return h, o, sum((t[k] - o[k]) ** 2 for k in two)

    h, o, error = forward(w, b, v, c)
    dy = [-2 * (t[k] - o[k]) for k in two]
    dz = [sum(dy[k] * v[k][j] for k in two) * h[j] * (1 - h[j]) for j in two]
    found = {"L": error}
    found |= {f"0.weight[{j},{i}]": dz[j] * x[i] for j in two for i in three}
    found |= {f"0.bias[{j}]": dz[j] for j in two}
    found |= {f"2.weight[{k},{j}]": dy[k] * h[j] for k in two for j in two}
    found |= {f"2.bias[{k}]": dy[k] for k in two}
    w = [[w[j][i] - 0.02 * dz[j] * x[i] for i in three] for j in two]
    b = [b[j] - 0.02 * dz[j] for j in two]
    v = [[v[k][j] - 0.02 * dy[k] * h[j] for j in two] for k in two]
    c = [c[k] - 0.02 * dy[k] for k in two]
    return {**found, "L after": forward(w, b, v, c)[2], "0.weight[1,2]′": w[1][2]}


def test_the_example_has_the_numbers_by_hand() -> None:
    hand, e = by_hand(), explain()
    assert e.loss.total.value == pytest.approx(hand["L"], rel=1e-15)
    assert e.errors[1].value == pytest.approx(hand["L after"], rel=1e-15)
    assert len(e.gradients) == 14
    for g in e.gradients:
        expected = pytest.approx(hand[g.parameter.symbol.text], rel=1e-14)
        assert g.path_sum.value == expected
        assert g.backward.value == expected
    assert e.gradients[5].updated.value == pytest.approx(hand["0.weight[1,2]′"], rel=1e-15)


def test_the_text_shows_those_numbers() -> None:
    hand, text = by_hand(), explain(weight="0.weight[1,2]").to_text()
    assert "z0[1] = x[0]·0.weight[1,0] + x[1]·0.weight[1,1] + x[2]·0.weight[1,2]" in text
    assert "= 0.9·0.5 + 0.4·0.3 + 0.5·(-0.1) + (-0.2) = 0.32\n" in text
    assert f"The sum of all paths: ∂L/∂0.weight[1,2] = {hand['0.weight[1,2]']:.6g}." in text
    assert f"{hand['0.weight[1,2]′']:.6g}\n" in text
    assert f"  1         {hand['L after']:.6g}\n" in text
    assert "0.weight[1,2] → z0[1] → a1[1] → y[0] → L" in text
    assert "13 more parameters" in text


def test_the_iterations_are_those_of_training() -> None:
    e = explain(epochs=500, target_loss=0.01, lr=0.1)
    assert e.stopped == "target_loss"
    assert e.errors[-1].value <= 0.01 < e.errors[-2].value
    assert f"reached after {len(e.errors) - 1} updates" in e.to_text()
    assert [q.value for q in explain(epochs=3, lr=0.1).errors] == [q.value for q in e.errors[:4]]


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_divergence_by_a_large_learning_rate_is_reported(form: str) -> None:
    e = explain(lr=1e200)
    assert e.stopped == "diverged"
    shown = getattr(e, f"to_{form}")()
    assert {"text": "∞", "markdown": "∞", "json": '"Infinity"'}[form] in shown or "NaN" in shown


def test_a_growing_error_is_reported() -> None:
    assert "The error has grown" in explain(lr=5, epochs=100).to_text()
    assert "The error has grown" not in explain(epochs=1).to_text()


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_the_advice_fits_the_cause(form: str) -> None:
    too_fast, rounded = explain(lr=1e200), explain(lr=1e200, decimals=2)
    for e in (too_fast, rounded):
        shown = getattr(e, f"to_{form}")()
        assert "smaller learning rate" in shown
        assert not re.search(r"deviation [^0-9]*(nan|inf)", shown)


def test_decimals_rounds_after_every_operation() -> None:
    """One neuron and two decimals; the expected side rounds every step with Python's decimals."""

    def r(value: Decimal) -> Decimal:
        return value.quantize(Decimal("0.01"), ROUND_HALF_EVEN)

    net = Sequential(Linear(2, 1), Sigmoid())
    params = Parameters(net.shapes, np.array([0.35, 0.55, 0.123]))
    w, v, b, x, y, t = map(Decimal, ("0.35", "0.55", "0.12", "0.15", "0.77", "0.9"))
    z = r(r(x * w) + r(y * v)) + b
    a = r(1 / r(1 + r((-z).exp())))
    error = r(r(a - t) * r(a - t))
    slope = r(r(1 - a) * a)
    dy = r((a - t) * 2)
    e = explain(
        *(net, params, [[0.15, 0.77]], [[0.9]]),
        loss=MSELoss(reduction="sum"),
        rule=SGD(lr=0.5),
        decimals=2,
        epochs=1,
    )
    gradient = e.gradients[1]
    assert e.layers[0].outputs[0].value == float(z)
    assert e.layers[1].outputs[0].value == float(a)
    assert e.loss.total.value == float(error)
    assert e.loss.slopes[0].value == float(dy)
    assert e.layers[1].derivatives[0].value == float(slope)
    assert gradient.path_sum.value == float(r(r(dy * slope) * y))
    assert e.layers[1].carried[0].value == float(r(slope * dy))
    assert gradient.backward.value == float(r(r(slope * dy) * y))
    assert gradient.updated.value == float(v - r(r(r(slope * dy) * y) * Decimal("0.5")))


def test_a_change_of_sign_rounds_nothing() -> None:
    """Rounded twice, to 50 digits and to a float, a sum that is a tie goes the wrong way."""
    digits = Decimal("-1." + "3" * 60)
    number = Number(digits, Arithmetic())
    assert [abs(number).value, (-number).value, (-abs(number)).value] == [
        *(Decimal("1." + "3" * 60),) * 2,
        digits,
    ]


def test_deviations_are_from_full_precision() -> None:
    full, rounded = explain(), explain(decimals=4)
    assert full.loss.total.deviation is None
    assert rounded.loss.total.deviation == rounded.loss.total.value - full.loss.total.value
    for exact, short in zip(full.gradients, rounded.gradients, strict=True):
        assert short.path_sum.deviation == short.path_sum.value - exact.path_sum.value
        assert abs(short.path_sum.deviation) < 5e-4
        assert short.difference == exact.difference
    for exact, short in zip(full.errors, rounded.errors, strict=True):
        assert short.deviation == short.value - exact.value
    assert explain(decimals=15).loss.total.value == pytest.approx(full.loss.total.value, abs=1e-14)


@pytest.mark.parametrize("decimals", [None, 3])
def test_the_backward_pass_is_the_one_by_hand(decimals: int | None) -> None:
    """∂L/∂a = Wᵀ ∂L/∂y, ∂L/∂z = a (1 − a) ∂L/∂a, ∂L/∂W = ∂L/∂z xᵀ, from the numbers shown."""
    e = explain(decimals=decimals)
    tolerance = 1e-15 if decimals is None else 1.1e-3
    dy = [q.value for q in e.loss.slopes]
    a, da, dz = (
        [q.value for q in quantities]
        for quantities in (e.layers[1].outputs, e.layers[2].carried, e.layers[1].carried)
    )
    v, x = EXAMPLE["parameters"]["2.weight"], EXAMPLE["x"][0]
    for i in range(2):
        assert da[i] == pytest.approx(dy[0] * v[0][i] + dy[1] * v[1][i], abs=tolerance)
        assert dz[i] == pytest.approx(a[i] * (1 - a[i]) * da[i], abs=tolerance)
        for j in range(3):
            assert e.backward["0.weight"][i][j] == pytest.approx(dz[i] * x[j], abs=tolerance)
    assert e.layers[0].carried == []
    assert "∂L/∂a1[0] = ∂L/∂y[0]·2.weight[0,0] + ∂L/∂y[1]·2.weight[1,0]" in e.to_text()
    assert "∂L/∂0.weight[1,2] = ∂L/∂z0[1]·x[2]" in e.to_text(full=True)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_gradient_shown_step_by_step_is_the_one_of_the_update(layer: str) -> None:
    """They agree to the last decimal, although formulas and numbers are computed separately."""
    net, params, x, t = network_of(layer, "MSELoss")
    one = make_run(net, MSELoss(), SGD(), params, (x, t), dropout_seed=seed_for(net))
    _, shown = Computation(one, Arithmetic(3), {(0, "weight", (0, 0))}).backward
    _, _, used = descend(one, 3, 1, None)
    formulas = [f for i in sorted(shown) for array in shown[i].values() for f in array.flat]
    assert [f.value for f in formulas] == list(used)


@pytest.mark.parametrize("decimals", [0, 2, 4])
@pytest.mark.parametrize("rule", OPTIMIZERS)
def test_no_rule_divides_by_a_number_that_rounding_made_zero(rule: str, decimals: int) -> None:
    e = explain({**EXAMPLE, "optimizer": {"type": rule}}, decimals=decimals)
    assert e.stopped == "epochs"
    assert all(abs(g.updated.value - g.parameter.value) <= 0.5 for g in e.gradients)
    assert not re.search(r"\b(nan|inf|NaN)\b|∞", e.to_text() + e.to_markdown())


def test_every_number_has_the_requested_decimals() -> None:
    text = explain(decimals=3).to_text(full=True)
    body = text[text.index("FORWARD PASS") :]
    shown = re.findall(r" = (-?[\d.]+) +deviation", body)
    assert len(shown) > 50
    assert all(re.fullmatch(r"-?\d+\.\d{3}", number) for number in shown)


# ---------------------------------------------------------------------- the factor of the loss


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_factor_of_the_loss_multiplies_the_error_and_every_gradient(
    loss: str, reduction: str
) -> None:
    net, params, x, t = network_of("Tanh", loss)
    made, factor = LOSSES[loss](reduction=reduction), 0.3
    e = explain(net, params, x, t, loss=made, loss_factor=factor, epochs=1)
    value, grads = net.value_and_grad(params, made, x, t)
    assert e.loss.total.value == pytest.approx(factor * value, rel=1e-13)
    for g, slope in zip(e.gradients, grads.vector, strict=True):
        assert g.backward.value == pytest.approx(factor * slope, rel=1e-11, abs=1e-15)
        assert g.agrees
    terms = sum(q.value for q in e.loss.terms)
    assert e.loss.total.value == pytest.approx(terms / e.loss.divisor, rel=1e-13)
    again = explain(e.spec, epochs=1)
    assert (again.spec["loss"]["factor"], again.to_json()) == (factor, e.to_json())


def test_half_the_sum_of_squares_has_the_derivative_y_minus_t() -> None:
    """E = ½ Σ (t − y)², as many articles define it: ∂E/∂y = y − t."""
    run = {**EXAMPLE, "loss": {"type": "MSELoss", "reduction": "sum", "factor": 0.5}}
    e, y = explain(run), np.array([q.value for q in explain().layers[2].outputs])
    t = np.array(EXAMPLE["t"][0])
    np.testing.assert_allclose([q.value for q in e.loss.slopes], y - t, rtol=1e-15)
    np.testing.assert_allclose([q.value for q in e.loss.terms], (y - t) ** 2 / 2, rtol=1e-15)
    assert "∂L/∂y[0] = y[0] - t[0] = 0.548641 - 0.2 = 0.348641\n" in e.to_text()
    assert "Here D = 1" in e.to_text()
    assert "L = factor/D Σₙₖ (y[n,k] − t[n,k])²" in e.to_text()
    assert "dy = 2 factor/D (y − t)" in e.to_text()
    assert "Loss: MSELoss(reduction='sum', factor=0.5)." in e.to_text()
    assert "E = ½ Σ (t − y)² is 0.5 L" in explain().to_text()
    assert "½" not in e.to_text()
