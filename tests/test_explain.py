"""Explanation: numbers checked by hand, by brute force over all paths and by the engine."""

import json
import math
import re
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import Case, cases
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rotation import third
from schemas import validate

from manualnn import (
    LAYERS,
    LOSSES,
    OPTIMIZERS,
    SGD,
    BCELoss,
    Dropout,
    Linear,
    ManualNNError,
    MSELoss,
    Parameters,
    Sequential,
    Sigmoid,
    Softmax,
    SpecError,
    Tanh,
)
from manualnn.cli import cli
from manualnn.explain import EXAMPLE, Explanation, explain
from manualnn.explain.computation import Computation
from manualnn.explain.descent import descend
from manualnn.explain.naming import letter
from manualnn.explain.numbers import Arithmetic
from manualnn.explain.run import make_run

pytestmark = pytest.mark.once

HALF = settings(max_examples=max(10, settings().max_examples // 2))
small_cases = cases(
    dtypes=st.just(np.dtype(np.float64)),
    sizes=st.integers(1, 3),
    widths=st.integers(1, 4),
    depth=st.integers(1, 3),
)


def explain_case(case: Case, **options: Any) -> Explanation:
    value, grads = case.net.value_and_grad(
        case.params, case.loss, case.x, case.t, noise=_noise(case)
    )
    assume(math.isfinite(value) and np.isfinite(grads.vector).all())
    return explain(
        *(case.net, case.params, case.x, case.t),
        loss=case.loss,
        rule=case.rule,
        dropout_seed=case.noise_seed,
        epochs=1,
        **options,
    )


def _noise(case: Case) -> Any:
    return {} if case.noise_seed is None else case.net.sample(case.noise_seed, case.x)


def network_of(layer: str, loss: str) -> tuple[Sequential, Parameters, Any, Any]:
    """Return a small network with that layer, its parameters, and three samples."""
    rng = np.random.default_rng(7)
    middle = LAYERS[layer](3, 3) if layer == "Linear" else LAYERS[layer]()
    last = [Sigmoid()] if loss == "BCELoss" else []
    net = Sequential(Linear(2, 3), middle, Linear(3, 2), *last)
    t = rng.integers(0, 2, 3) if loss == "CrossEntropyLoss" else rng.random((3, 2))
    return net, net.init(seed=1), rng.standard_normal((3, 2)), t


# ---------------------------------------------------------------------- path sums


@HALF
@given(case=small_cases)
def test_the_sum_over_all_paths_is_what_backward_computed(case: Case) -> None:
    """The difference is within a bound, derived from the rounding of each operation."""
    y = case.net.forward(case.params, case.x, noise=_noise(case))
    # There the loss's gradient is bounded on purpose and no derivative.
    assume(not isinstance(case.loss, BCELoss) or (y * (1 - y) > 1e-11).all())
    for gradient in explain_case(case).gradients:
        assert abs(gradient.difference) <= gradient.bound, gradient.parameter.symbol.text


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layer", LAYERS)
def test_bounds_are_sharp_for_every_layer_and_loss(layer: str, loss: str) -> None:
    """A wide bound would accept a wrong gradient: it allows at most about 200 roundings."""
    net, params, x, t = network_of(layer, loss)
    gradients = explain(net, params, x, t, loss=LOSSES[loss](), dropout_seed=3).gradients
    largest = max(abs(g.backward.value) for g in gradients)
    assert all(g.agrees for g in gradients)
    assert all(g.bound <= 200 * 2.0**-53 * max(1.0, largest) for g in gradients)


def test_a_wrong_backward_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative error of 10⁻⁹ in the slope of the sigmoid changes all gradients before it."""
    right = Sigmoid.backward

    def wrong(self: Sigmoid, *args: Any, out: Any = None) -> Any:
        return np.multiply(right(self, *args, out=out), 1 + 1e-9, out=out)

    monkeypatch.setattr(Sigmoid, "backward", wrong)
    explanation = explain()
    differing = [g.parameter.symbol.text[0] for g in explanation.gradients if not g.agrees]
    assert differing == ["0"] * 8
    assert "6 of 14 path sums agree" in explanation.to_text()
    assert "DIFFERS" in explanation.to_text()


@pytest.mark.parametrize("samples", [1, 3])
def test_paths_are_counted_exactly(samples: int) -> None:
    """Softmax connects every input with every output; the paths of all samples are added."""
    net = Sequential(Linear(2, 4), Tanh(), Linear(4, 3), Softmax(), Linear(3, 2))
    x = np.ones((samples, 2))
    e = explain(net, net.init(0), x, np.ones((samples, 2)), paths=2)
    assert e.gradients_left_out == net.init(0).vector.size - len(e.gradients)
    expected = {"0": 3 * 3 * 2, "2": 3 * 2, "4": 1}
    for weight, layer in [("0.weight[1,1]", "0"), ("2.bias[2]", "2"), ("4.weight[1,0]", "4")]:
        (g,) = explain(net, net.init(0), x, np.ones((samples, 2)), weight=weight, paths=2).gradients
        assert g.path_count == samples * expected[layer]
        assert len(g.paths) == min(2, g.path_count)
        assert g.paths_left_out == g.path_count - len(g.paths)


def test_the_strongest_paths_are_those_that_brute_force_finds() -> None:
    """In a linear network a path is a product of weights and ∂L/∂y; small integers are exact."""
    rng = np.random.default_rng(5)
    net = Sequential(Linear(2, 4), Linear(4, 5), Linear(5, 3))
    params = net.init(0)
    params.vector[...] = rng.integers(-9, 10, params.vector.size)
    x, t = np.array([[2.0, -3.0]]), np.zeros((1, 3))
    (gradient,) = explain(
        net, params, x, t, loss=MSELoss(reduction="sum"), weight="0.weight[1,0]", paths=7
    ).gradients
    dy = 2 * net.forward(params, x)[0]
    every = [
        x[0, 0] * params["1.weight"][j, 1] * params["2.weight"][k, j] * dy[k]
        for j, k in product(range(5), range(3))
    ]
    strongest = sorted(map(abs, every), reverse=True)
    assert [abs(path.product.value) for path in gradient.paths] == strongest[:7]
    assert gradient.share == pytest.approx(sum(strongest[:7]) / sum(strongest), rel=1e-15)
    assert gradient.path_sum.value == sum(every)
    assert gradient.difference == 0


def test_a_path_is_the_product_of_its_factors() -> None:
    for gradient in explain().gradients:
        for path in gradient.paths:
            factors = math.prod(factor.value for factor in path.factors)
            assert path.product.value == pytest.approx(factors, rel=1e-15)
            assert len(path.factors) == len(path.units) - 1


def test_a_neuron_on_its_flat_side_keeps_its_paths_with_product_zero() -> None:
    net = Sequential(Linear(1, 1), LAYERS["ReLU"](), Linear(1, 1))
    params = net.init(0)
    params["0.weight"][...] = -1.0
    params["0.bias"][...] = 0.0
    e = explain(net, params, [[1.0]], [[1.0]], weight="0.weight[0,0]")
    assert e.gradients[0].path_count == 1
    assert e.gradients[0].paths[0].product.value == 0
    assert "There is a factor 0 on each of these paths" in e.to_text()
    assert "a1[0] = max(z0[0], 0) = max(-1, 0) = 0" in e.to_text()
    assert "∂a1[0]/∂z0[0] = [a1[0] > 0] = [0 > 0] = 0" in e.to_text()


# ---------------------------------------------------------------------- the example, by hand


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
    assert "= 0.9·0.5 + 0.4·0.3 + 0.5·(-0.1) + (-0.2)\n" in text
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


# ---------------------------------------------------------------------- decimals


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
    one = make_run(net, MSELoss(), SGD(), params, (x, t), dropout_seed=1)
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


# ---------------------------------------------------------------------- the three forms


@pytest.mark.parametrize("layer", third(LAYERS, "explain", "layers", __file__))
def test_every_layer_and_loss_is_shown_in_every_form(layer: str) -> None:
    for loss, decimals in product(LOSSES, (None, 3)):
        net, params, x, t = network_of(layer, loss)
        e = explain(
            net, params, x, t, loss=LOSSES[loss](), decimals=decimals, dropout_seed=1, epochs=1
        )
        assert f"{layer}(" in e.to_text()
        assert json.loads(e.to_json())["loss"]["loss"].startswith(loss)
        assert_balanced(e.to_markdown())
    validate("explanation", e.to_json())


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize("decimals", [None, 12])
def test_the_update_is_the_rules_own(rule: str, decimals: int | None) -> None:
    net, params, x, t = network_of("Tanh", "MSELoss")
    e = explain(net, params, x, t, rule=OPTIMIZERS[rule](), decimals=decimals, epochs=1)
    _, grads = net.value_and_grad(params, MSELoss(), x, t)
    after = params.copy()
    OPTIMIZERS[rule]().update(after, grads, OPTIMIZERS[rule]().init(after))
    tolerance = 1e-14 if decimals is None else 1e-9
    found = [g.updated.value for g in e.gradients]
    np.testing.assert_allclose(found, after.vector, rtol=0, atol=tolerance)
    validate("explanation", e.to_json())
    assert rule == "SGD" or "θ ← θ −" in e.to_text()
    assert_balanced(e.to_markdown())


def assert_balanced(markdown: str) -> None:
    """Every formula block and every bracket in it is closed; every table has its columns."""
    fences = re.findall(r"^```(\w*)$", markdown, re.MULTILINE)
    assert fences[1::2] == [""] * (len(fences) // 2)
    assert set(fences[::2]) <= {"math", "text"}
    for block in re.findall(r"^```math\n(.*?)\n```$", markdown, re.MULTILINE | re.DOTALL):
        bare = block.replace("\\\\", "")
        assert bare.count("{") == bare.count("}")
        assert bare.count(r"\left") == bare.count(r"\right")
        assert bare.count(r"\begin{aligned}") == bare.count(r"\end{aligned}") == 1
        assert not re.search(r"\}\^\{?[^{}]*\}?\^", bare)
    tables = re.findall(r"(?:^\|.*\|\n?)+", markdown, re.MULTILINE)
    assert tables
    for table in tables:
        assert len({row.count("|") for row in table.splitlines()}) == 1


def test_json_has_the_numbers_of_the_explanation() -> None:
    e = explain(decimals=5)
    read = json.loads(e.to_json())
    assert read == e.to_dict()
    assert read["schema"] == "manualnn.explain/1"
    assert read["gradients"][3]["path_sum"]["value"] == e.gradients[3].path_sum.value
    assert read["layers"][1]["outputs"][0]["formula"]["names"] == "1 / (1 + exp(-z0[0]))"
    again = explain({**read["spec"], "dtype": "float64"}, decimals=5)
    assert again.to_json() == e.to_json()


def test_a_large_network_explains_the_largest_gradients_and_counts_the_others() -> None:
    net = Sequential(Linear(30, 20), Tanh(), Linear(20, 20), Tanh(), Linear(20, 10))
    params, x, t = net.init(0), np.ones((1, 30)), np.zeros((1, 10))
    e = explain(net, params, x, t, epochs=1)
    _, grads = net.value_and_grad(params, MSELoss(), x, t)
    largest = np.sort(np.abs(grads.vector))[::-1][: len(e.gradients)]
    assert [abs(g.backward.value) for g in e.gradients] == list(largest)
    assert e.gradients_left_out == params.vector.size - len(e.gradients)
    (one,) = explain(net, params, x, t, epochs=1, weight="0.weight[3,4]", paths=5).gradients
    assert (one.path_count, one.paths_left_out, one.agrees) == (200, 195, True)
    assert 0 < one.share < 1


def test_json_has_every_gradient_even_if_the_text_leaves_some_out() -> None:
    net = Sequential(Linear(30, 20), Tanh(), Linear(20, 10))
    params, x, t = net.init(0), np.ones((1, 30)), np.zeros((1, 10))
    read = json.loads(explain(net, params, x, t, epochs=1).to_json())
    _, grads = net.value_and_grad(params, MSELoss(), x, t)
    assert read["backward"] == {key: array.tolist() for key, array in grads.items()}
    assert read["spec"]["parameters"] == {key: array.tolist() for key, array in params.items()}


def test_adam_shows_its_state_and_the_names_of_its_options() -> None:
    e = explain({**EXAMPLE, "optimizer": {"type": "Adam"}}, weight="0.bias[1]", decimals=3)
    m, v = e.gradients[0].state
    g = e.gradients[0].backward.value
    assert m.value == pytest.approx(0.1 * g, rel=1e-12)
    assert v.value == pytest.approx(0.001 * g * g, rel=1e-12)
    text = e.to_text()
    assert "exp_avg = ∂L/∂0.bias[1]·(1 - β₁)" in text
    assert "- exp_avg / (√(exp_avg_sq) + eps·√(1 - β₂))·(lr·√(1 - β₂) / (1 - β₁))" in text
    assert "only the new parameter is rounded" in " ".join(text.split())


def test_divisor_and_classes_are_printed() -> None:
    net = Sequential(Linear(2, 3))
    params, x = net.init(0), np.ones((2, 2))
    loss = LOSSES["CrossEntropyLoss"](weight=(0.5, 1.0, 2.0))
    text = explain(net, params, x, np.array([2, 0]), loss=loss, decimals=2).to_text()
    assert "Here D = 2.5: reduction 'mean', N = 2 samples, K = 3 outputs" in text
    assert "Targets: t[0] = class 2, t[1] = class 0." in text
    assert "Here D = 4: reduction 'mean'" in explain(
        Sequential(Linear(2, 2)), Sequential(Linear(2, 2)).init(0), x, x
    ).to_text().replace("\n", " ")


def test_classes_left_out_are_counted() -> None:
    net = Sequential(Linear(1, 2))
    loss, t = LOSSES["CrossEntropyLoss"](), np.arange(30) % 2
    text = explain(net, net.init(0), np.ones((30, 1)), t, loss=loss, epochs=1).to_text()
    assert "6 more targets left out" in text


def test_an_output_has_the_letter_of_its_equation() -> None:
    class Unit:
        """Some unit.

        Forward, α = alpha
            a = z where z > 0, else α (exp(z) − 1)
        """

    assert letter(Unit()) == "a"
    assert [letter(Linear(1, 1)), letter(Sigmoid())] == ["z", "a"]


def test_dropout_does_nothing_unless_a_seed_is_given() -> None:
    net = Sequential(Linear(2, 8), Dropout(0.5), Linear(8, 1))
    params, x, t = net.init(0), np.ones((1, 2)), np.ones((1, 1))
    silent, masked = (explain(net, params, x, t, dropout_seed=seed) for seed in (None, 4))
    assert silent.loss.total.value == pytest.approx(MSELoss().value(net.forward(params, x), t))
    y = net.forward(params, x, noise=net.sample(4, x))
    assert masked.loss.total.value == pytest.approx(MSELoss().value(y, t))
    assert "as in prediction" in silent.to_text()
    assert "as in training" in masked.to_text()


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": [[1.0, 2.0]]}, "^x must have rows of 3 numbers, got 1 row of 2 numbers.$"),
        ({"x": [[1.0, 2.0], [1.0]]}, r"^x must .*, got \[\[1.0, 2.0\], \[1.0\]\].$"),
        ({"x": []}, "^x must have rows of 3 numbers, got 0 numbers.$"),
        ({"x": [[True, 1, 2]]}, r"^x must have rows of 3 numbers, got \[\[true, 1, 2\]\].$"),
        ({"x": "1"}, '^x must have rows of 3 numbers, got "1".$'),
        ({"t": [[1.0]]}, "^t must have 1 row of 2 numbers, got 1 row of 1 number.$"),
        ({"t": [[math.nan, 1.0]]}, r"^t\[0\]\[0\] must be a finite number, got NaN.$"),
        ({"t": [[1, 10**400]]}, r"^t\[0\]\[1\] must be a finite number, got 1000"),
        (
            {"t": [2], "loss": {"type": "CrossEntropyLoss"}},
            r"^t\[0\] must be a class, an integer from 0 to 1, got 2",
        ),
        (
            {"parameters": {"0.weight": [[1.0]]}},
            '^parameters must be an object with "0.weight", "0.bias", .*; got "0.weight".$',
        ),
        (
            {"parameters": {**EXAMPLE["parameters"], "2.bias": [[1, 2]]}},
            r"^parameters\[\"2.bias\"\] must have 2 numbers, got 1 row of 2 numbers.$",
        ),
        ({"layers": 3}, r"^layers must be a list of objects such as .*, got 3.$"),
        (
            {"layers": [EXAMPLE["layers"][0], EXAMPLE["layers"][0]]},
            r"^layers\[1\].in_features must be 2, as layers\[0\].out_features, got 3.$",
        ),
        (
            {"layers": [{"type": "Linear", "in_features": 3.5, "out_features": 2}]},
            r"^layers\[0\].in_features must be an integer, got 3.5.$",
        ),
        (
            {"optimizer": {"type": "SGD", "nesterov": 1}},
            "^optimizer.nesterov must be true or false, got 1.$",
        ),
        (
            {"loss": {"type": "CrossEntropyLoss", "weight": [1, "a"]}},
            r"^loss.weight must be a list of numbers, or null, got \[1, \"a\"\].$",
        ),
        (
            {"optimizer": {"type": "Adam", "betas": [0.9]}},
            r"^optimizer.betas must be a list of 2 numbers, got \[0.9\].$",
        ),
        ({"dtype": "float8"}, '^dtype must be "float64" or "float32", got "float8".$'),
        ({"dtype": []}, '^dtype must be "float64" or "float32", got .*.$'),
        ({"loss_factor": 0}, "^loss_factor must be a number greater than 0, got 0.$"),
        ({"loss_factor": True}, "^loss_factor must be a number greater than 0, got true.$"),
        ({"masks": {"1.mask": [[1, 1]]}}, "^masks must be an object with no keys; got "),
        ({"parameters": 3}, "parameters must be an object"),
        ({"layers": [{"type": "Sigmoyd"}]}, "did you mean 'Sigmoid'"),
        ({"layers": [{"type": "Sigmoid"}], "parameters": {}}, "no parameters"),
        ({"targets": 1}, 'unknown keys "targets"'),
        ({"seed": -1, "parameters": None}, "seed must be an integer of at least 0"),
        (
            {"x": [[1e300, 1e300, 1e300]], "layers": [EXAMPLE["layers"][0]]},
            "^parameters must be an object with",
        ),
        ({"t": [[1e300, 1e300]]}, "scale x"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused_with_advice(change: Any, message: str) -> None:
    spec = {key: value for key, value in {**EXAMPLE, **change}.items() if value is not None}
    with pytest.raises(ManualNNError, match=message):
        explain(spec)


@pytest.mark.parametrize("key", ["layers", "x", "t", "parameters"])
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(SpecError, match=f"lacks {key}"):
        explain({k: v for k, v in EXAMPLE.items() if k != key})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"weight": "0.weight[2,0]"},
            r"no parameter 0.weight\[2,0\]; there are 0.weight\[0…1,0…2\]",
        ),
        ({"weight": "1.weight[0,0]"}, "there is no parameter"),
        ({"weight": "0.weight[0]"}, "there is no parameter"),
        ({"weight": "weight"}, "named like 0.weight"),
        ({"decimals": 16}, "from 0 to 15, got 16"),
        ({"decimals": True}, "from 0 to 15"),
        ({"epochs": 0}, "at least 1, got 0"),
        ({"paths": 0}, "at least 1, got 0"),
        ({"target_loss": math.nan}, "finite number, got nan"),
        ({"lr": math.inf}, "finite number, got inf"),
        ({"lr": -1.0}, "lr must be at least 0"),
        ({"dropout_seed": -3}, "at least 0, got -3"),
    ],
)
def test_an_option_out_of_range_is_refused_with_advice(options: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        explain(**options)


def test_a_network_without_its_numbers_is_refused() -> None:
    with pytest.raises(SpecError, match="needs params, x, t"):
        explain(Sequential(Linear(1, 1)))


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["explain", *arguments])


def test_the_command_prints_what_the_library_returns(tmp_path: Path) -> None:
    spec = tmp_path / "run.json"
    spec.write_text(json.dumps(EXAMPLE), encoding="utf-8")
    for form in ("text", "markdown", "json"):
        shown = run(str(spec), "--format", form, "--decimals", "4", "--weight", "0.bias[1]")
        assert shown.exit_code == 0
        expected = explain(decimals=4, weight="0.bias[1]")
        assert shown.stdout == getattr(expected, f"to_{form}")()


@pytest.mark.parametrize(
    ("content", "arguments", "code", "message"),
    [
        ("{", (), 1, "expected JSON, got something else in line 1, column 2"),
        ("[1]", (), 1, "must be a JSON object"),
        ("{}", (), 1, "lacks layers, x, t, parameters"),
        (None, ("--weight", "9.weight[0,0]"), 1, "there is no parameter 9.weight"),
        (None, ("--decimals", "99"), 2, "0<=x<=15"),
        (None, ("--target-loss", "nan"), 1, "target_loss must be a finite number"),
        (None, ("--epochs", "0"), 2, "x>=1"),
    ],
)
def test_the_command_reports_errors_without_a_traceback(
    tmp_path: Path, content: str | None, arguments: tuple[str, ...], code: int, message: str
) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content, encoding="utf-8")
        arguments = (str(tmp_path / "run.json"), *arguments)
    shown = run(*arguments)
    assert shown.exit_code == code
    assert message in shown.output
    assert isinstance(shown.exception, SystemExit)
