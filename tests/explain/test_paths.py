"""Path sums: counted, by brute force, and compared with backward."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from cases import RULE_ALONE, Case, cases
from explain.networks import network_of, seed_for
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rotation import choose, file_of

from manualnn import (
    LAYERS,
    LOSSES,
    BCELoss,
    Linear,
    MSELoss,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from manualnn.explain import Explanation, explain

pytestmark = pytest.mark.once

HALF = settings(max_examples=max(10, settings().max_examples // 2))
small_cases = cases(
    dtypes=st.just(np.dtype(np.float64)),
    sizes=st.integers(1, 3),
    widths=st.integers(1, 4),
    depth=st.integers(1, 3),
    options=RULE_ALONE,
)


def explain_case(case: Case, **options: Any) -> Explanation:
    case = case.explained()
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
    case = case.explained()
    return None if case.noise_seed is None else case.net.sample(case.noise_seed, case.x)


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
@pytest.mark.parametrize("layer", choose(LAYERS, lambda n: [file_of(LAYERS[n])], parts=3, most=3))
def test_bounds_are_sharp_for_every_layer_and_loss(layer: str, loss: str) -> None:
    """A wide bound would accept a wrong gradient: it allows at most about 200 roundings.

    The slopes of a normalised row add up to 0, so that its sums over paths cancel.
    """
    net, params, x, t = network_of(layer, loss)
    gradients = explain(
        net, params, x, t, loss=LOSSES[loss](), dropout_seed=seed_for(net)
    ).gradients
    largest = max(abs(g.backward.value) for g in gradients)
    assert all(g.agrees for g in gradients)
    roundings = 1000 if layer.endswith("Norm") else 200
    assert all(g.bound <= roundings * 2.0**-53 * max(1.0, largest) for g in gradients)


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


def test_every_local_derivative_is_listed_where_all_are_asked_for() -> None:
    net = Sequential(Linear(1, 2), Tanh(), Linear(2, 3))
    x = np.array([[0.5], [-1.0]])
    e = explain(net, net.init(0), x, np.ones((2, 3)), every=True)
    assert [layer.derivatives_left_out for layer in e.layers] == [0, 0, 0]
    last = {q.symbol.text for q in e.layers[2].derivatives}
    assert len(last) == 2 * (6 + 3 + 6)  # of each sample: weights, biases, units


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
