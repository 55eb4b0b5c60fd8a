"""Calculations by hand: published ones, ones with a slip, and ones that are only rounded."""

import math
from decimal import Decimal
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from cases import RULE_ALONE, Case, cases
from explain.networks import network_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from manualnn import LAYERS, LOSSES, OPTIMIZERS, BCELoss, MSELoss
from manualnn.explain import EXAMPLE, check, explain
from manualnn.explain.run import make_run

pytestmark = pytest.mark.once

small_cases = cases(
    dtypes=st.just(np.dtype(np.float64)),
    sizes=st.integers(1, 2),
    widths=st.integers(1, 3),
    depth=st.integers(1, 3),
    options=RULE_ALONE,
)


def verdicts(mine: Any, run: Any = None, **options: Any) -> dict[str, str]:
    return {one.name: one.verdict for one in check(mine, run, **options).comparisons}


# ---------------------------------------------------------------------- slips


def by_hand(slip: str = "", digits: int = 6) -> dict[str, float]:
    """Return the example by the textbook's formulas, each result rounded; with a slip in one."""

    def r(value: float) -> float:
        return float(f"{value:.{digits}g}")

    x, t = EXAMPLE["x"][0], EXAMPLE["t"][0]
    (w, b, v, c), two, three = EXAMPLE["parameters"].values(), range(2), range(3)
    z = [r(sum(w[j][i] * x[i] for i in three) + b[j] * (slip != "bias")) for j in two]
    a = [r(1 / (1 + np.exp(-z[j]))) for j in two]
    weights = np.transpose(v) if slip == "transposed forward" else v
    y = [r(sum(weights[k][j] * a[j] for j in two) + c[k]) for k in two]
    dy = [r((1 if slip == "factor 2" else 2) * (y[k] - t[k])) for k in two]
    if slip == "sign":
        dy[1] = -dy[1]
    weights = np.transpose(v) if slip == "transposed backward" else v
    if slip == "new weights":
        weights = [[v[k][j] - 0.02 * r(dy[k] * a[j]) for j in two] for k in two]
    paths = two if slip != "one path" else range(1)
    da = [r(sum(dy[k] * weights[k][j] for k in paths)) for j in two]
    at = z if slip == "slope at z" else a
    dz = [r(da[j] * (at[j] * (1 - at[j]) if slip != "no slope" else 1)) for j in two]
    e = [r(r(y[k] - t[k]) ** 2) for k in two]
    found = {"e[0]": e[0], "e[1]": e[1], "L": r(e[0] + e[1])}
    for j in two:
        found |= {f"z0[{j}]": z[j], f"a1[{j}]": a[j], f"y[{j}]": y[j], f"∂L/∂y[{j}]": dy[j]}
        found |= {f"∂L/∂a1[{j}]": da[j], f"∂L/∂z0[{j}]": dz[j]}
        for i in three:
            g = r(dz[j] * x[i])
            found[f"∂L/∂0.weight[{j},{i}]"] = g
            lr = {"ascent": -0.02, "no lr": 1}.get(slip, 0.02)
            found[f"0.weight[{j},{i}]′"] = r(w[j][i] - lr * g)
    return found


@pytest.mark.parametrize("digits", [4, 6, 17])
def test_a_calculation_that_is_rounded_has_no_wrong_number(digits: int) -> None:
    assert not set(verdicts(by_hand(digits=digits)).values()) - {"right", "rounded"}


@pytest.mark.parametrize("digits", [4, 15])
@pytest.mark.parametrize(
    ("slip", "first", "words"),
    [
        ("bias", "z0[0]", "the term 0.bias[0] is missing"),
        ("transposed forward", "y[0]", "2.weight[1,0] is taken for 2.weight[0,1], which is the"),
        ("factor 2", "∂L/∂y[0]", "a factor 2 is missing"),
        ("sign", "∂L/∂y[1]", "the sign is wrong"),
        ("transposed backward", "∂L/∂a1[0]", "which is the weight transposed"),
        ("one path", "∂L/∂a1[0]", "the term ∂L/∂y[1]·2.weight[1,0] is missing"),
        ("slope at z", "∂L/∂z0[0]", "z0[0] is taken for a1[0]"),
        ("no slope", "∂L/∂z0[0]", "∂L/∂a1[0] is not multiplied by the derivative"),
        ("new weights", "∂L/∂a1[0]", "which is the weight after the update"),
        ("ascent", "0.weight[0,0]′", "the step is added and not subtracted"),
        ("no lr", "0.weight[0,0]′", "lr is left out"),
    ],
)
def test_the_first_wrong_number_and_the_slip_are_named(
    slip: str, first: str, words: str, digits: int
) -> None:
    """What comes before is right; what follows from a wrong number is not blamed."""
    found = check(by_hand(slip, digits))
    assert found.first is not None
    assert found.first.name == first
    assert words in found.first.slip
    assert f"A likely slip: {found.first.slip}" in found.text()
    astray = [one.name for one in found.comparisons if one.verdict == "wrong"]
    assert {name.partition("[")[0] for name in astray} == {first.partition("[")[0]}
    assert any(one.verdict == "inherited" for one in found.comparisons) == ("′" not in first)


@pytest.mark.parametrize("slip", ["bias", "transposed forward", "slope at z", "one path"])
def test_a_reader_may_go_on_with_more_digits_than_are_written_down(slip: str) -> None:
    """Only the mistaken quantities are wrong, though the others follow from unrounded numbers."""
    mine = {name: Decimal(f"{value:.4f}") for name, value in by_hand(slip, 17).items()}
    found = check(mine)
    wrong = {one.name.partition("[")[0] for one in found.comparisons if one.verdict == "wrong"}
    assert wrong == {found.first.name.partition("[")[0]}
    assert "inherited" in {one.verdict for one in found.comparisons}


def test_a_missing_division_by_the_samples_is_named() -> None:
    net, params, x, t = network_of("Tanh", "MSELoss")
    e = explain(net, params, x, t, loss=MSELoss(reduction="batchmean"))
    dy = 2 * (net.forward(params, x) - t)
    found = check({"dL/dy": dy}, e.spec)
    assert found.first.slip == "the division by N = 3 is missing"
    assert not verdicts({"dL/dy": dy / 3}, e.spec).keys() - verdicts({"dL/dy": dy}, e.spec).keys()
    assert check({"dL/dy": dy / 3}, e.spec).exit_code == 0


# ---------------------------------------------------------------------- digits


HAND = by_hand(digits=17)


@settings(max_examples=max(10, settings().max_examples // 5))
@given(st.sampled_from(sorted(HAND)), st.integers(1, 12))
def test_a_number_is_right_at_its_own_digits(name: str, digits: int) -> None:
    """The number nearest to the truth is right; its neighbours with these digits are not."""
    rounded = Decimal(f"{HAND[name]:.{digits}e}")
    unit = Decimal((0, (1,), int(rounded.as_tuple().exponent)))
    assert verdicts({name: rounded}) == {name: "right"}
    if abs(Decimal(HAND[name]) - rounded) > unit / 100:  # else: an exact number
        for neighbour in (rounded + unit, rounded - unit):
            assert verdicts({name: neighbour}) != {name: "right"}


@pytest.mark.parametrize("decimals", [1, 3])
def test_the_numbers_rounded_by_hand_are_right_with_decimals(decimals: int) -> None:
    """Without decimals, they follow from the rounded numbers before them."""
    e = explain(decimals=decimals)
    numbers = [q for step in e.layers for q in (*step.outputs, *step.carried)]
    numbers += [*e.loss.terms, *e.loss.slopes, *(g.backward for g in e.gradients)]
    mine = {q.symbol.text: Decimal(f"{q.value:.{decimals}f}") for q in numbers}
    assert set(verdicts(mine, decimals=decimals).values()) == {"right"}
    assert set(verdicts(mine).values()) == {"right", "rounded"}


def test_a_hand_may_round_each_product_of_a_sum() -> None:
    """0.0123·0.0045 is 0.0001 to four decimals, three of them are 0.0003; right is 0.0002."""
    linear = {"type": "Linear", "bias": False}
    run = {
        "layers": [
            {**linear, "in_features": 1, "out_features": 3},
            {**linear, "in_features": 3, "out_features": 1},
        ],
        "parameters": {"0.weight": [[0.0123]] * 3, "1.weight": [[0.0045, 0.0045, 0.0045]]},
        "x": [[1]],
        "t": [[0]],
    }
    mine = {"y": [Decimal("0.0003")], "z0": [Decimal("0.0123")] * 3}
    assert verdicts(mine, run, decimals=4)["y[0]"] == "right"
    assert verdicts(mine, run)["y[0]"] == "rounded"


def test_a_mistake_may_be_in_numbers_that_are_not_given() -> None:
    alone = check({"dL/dz0[1]": 0.5})
    assert alone.first.missing == ("a1[1]", "∂L/∂a1[1]")
    assert (
        "The mistake is in this step, or in a1[1], ∂L/∂a1[1], which are not given." in alone.text()
    )
    e = explain()
    given = {q.symbol.text: q.value for q in (*e.layers[1].outputs, *e.layers[2].carried)}
    assert "The mistake is in this step: your numbers" in check({**given, "dL/dz0[1]": 0.5}).text()


def test_what_follows_from_a_wrong_number_may_follow_from_its_unwritten_digits() -> None:
    """0.6271 is σ(0.52), and 0.52 is 0.5 to one digit; right is z0[1] = 0.32."""
    found = verdicts({"z0[1]": Decimal("0.5"), "a1[1]": Decimal("0.6271")})
    assert found == {"z0[1]": "wrong", "a1[1]": "inherited"}


@pytest.mark.parametrize(
    ("layer", "loss", "rule"),
    list(zip(LAYERS, cycle(LOSSES), cycle(OPTIMIZERS), strict=False)),  # 11, 7 and 6: all of each
)
def test_the_numbers_of_float64_are_right(layer: str, loss: str, rule: str) -> None:
    """They differ from the truth in the last of 17 digits, which is no mistake."""
    net, params, x, t = network_of(layer, loss)
    made = LOSSES[loss](), OPTIMIZERS[rule]()
    run = make_run(net, *made, params, (x, t)).spec()
    value, grads = net.value_and_grad(params, made[0], x, t)
    after = params.copy()
    made[1].update(after, grads, made[1].init(after))
    k = int(np.abs(grads["0.bias"]).argmax())  # the slope of a unit that is cut off is 0
    grads["0.bias"][k] *= 1.001
    mine = {"L": value, "y": net.forward(params, x), "gradients": grads, "updated": after}
    found = check(mine, run, epochs=1)
    assert [one.name for one in found.comparisons if one.verdict == "wrong"] == [f"∂L/∂0.bias[{k}]"]


@settings(max_examples=max(8, settings().max_examples // 12))
@given(small_cases, st.sampled_from([4, 6, 17]), st.sampled_from([-1, 2, 0.5]))
def test_no_right_number_of_any_run_is_wrong_and_a_wrong_one_is(
    case: Case, digits: int, factor: float
) -> None:
    """The engine's outputs, gradients and new parameters, written down with some digits."""
    case = case.explained()
    noise = None if case.noise_seed is None else case.net.sample(case.noise_seed, case.x)
    value, grads = case.net.value_and_grad(case.params, case.loss, case.x, case.t, noise=noise)
    y = case.net.forward(case.params, case.x, noise=noise)
    assume(math.isfinite(value) and np.isfinite(grads.vector).all() and grads.vector.any())
    # There the loss's gradient is bounded on purpose and no derivative.
    assume(not isinstance(case.loss, BCELoss) or (y * (1 - y) > 1e-11).all())
    after = case.params.copy()
    case.rule.update(after, grads, case.rule.init(after))
    run = make_run(
        *(case.net, case.loss, case.rule, case.params, (case.x, case.t)),
        dropout_seed=case.noise_seed,
    ).spec()

    def written(values: Any) -> Any:
        text = np.vectorize(lambda v: Decimal(f"{v:.{digits - 1}e}"), otypes=[object])
        return text(values).tolist()

    mine = {"L": written(value), "y": written(y)}
    mine["gradients"] = {key: written(array) for key, array in grads.items()}
    mine["updated"] = {key: written(array) for key, array in after.items()}
    assert check(mine, run, epochs=1).exit_code == 0
    largest = int(np.argmax(np.abs(grads.vector)))
    grads.vector[largest] *= factor
    mine = {"gradients": {key: written(array) for key, array in grads.items()}}
    assert check(mine, run, epochs=1).exit_code == 1
