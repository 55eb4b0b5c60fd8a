"""Relations between two runs of the engine that hold whatever the right numbers are.

Each relation is required of floats without any rounding, on the lattice (see cases.py), where the
order of a sum cannot matter. It is also required of every layer and loss on mpmath numbers of 60
digits, of which 40 must agree.
"""

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial
from itertools import pairwise, product
from typing import Any

import mpmath
import numpy as np
import pytest
from cases import Array, Case, cases, lattice_cases
from examples_of_layers import example
from hypothesis import assume, given
from hypothesis import strategies as st
from rounding import as_mpmath

from manualnn import (
    Dropout,
    Layer,
    Linear,
    Loss,
    MSELoss,
    Parameters,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    Trainer,
)
from manualnn.oracle.protocol.features import LAYER_ROWS, row_of

H = mpmath.mpf(10) ** -20


@pytest.fixture(autouse=True, scope="module")
def sixty_digits() -> Iterator[None]:
    with mpmath.workdps(60):
        yield


def precise(value: Any) -> Any:
    """Return a layer, a loss or an option of one with mpmath numbers for floats."""
    if isinstance(value, float):
        return mpmath.mpf(value)
    if isinstance(value, tuple):
        return tuple(map(precise, value))
    if isinstance(value, Layer | Loss) and not isinstance(value, Dropout):
        return replace(value, **{f.name: precise(getattr(value, f.name)) for f in fields(value)})
    return value


def on_mpmath(case: Case) -> Case:
    return replace(
        case,
        net=Sequential(*map(precise, case.net.layers)),
        params=Parameters(case.net.shapes, as_mpmath(case.params.vector)),
        x=as_mpmath(case.x),
        t=case.t if case.t.dtype.kind == "i" else as_mpmath(case.t),
        loss=precise(case.loss),
    )


small = partial(
    cases,
    dtypes=st.just(np.dtype(np.float64)),
    sizes=st.integers(1, 5),
    widths=st.integers(1, 4),
    depth=st.integers(1, 3),
    steps=st.just(1),
    styles=("normal", "integers"),
)
any_case = small()
either = st.one_of(lattice_cases(), any_case.map(on_mpmath))


class Run:
    """Loss and gradients of a case, or of one that it was changed to."""

    def __init__(self, case: Case, noise: dict[str, Array] | None, **changes: Any) -> None:
        changed = replace(case, **changes)
        self.loss, grads, self.dx = changed.net.value_and_grad(
            changed.params, changed.loss, changed.x, changed.t, noise=noise, input_grad=True
        )
        self.grad = grads.vector


def noise_of(case: Case) -> dict[str, Array] | None:
    """Return a case's noise in its dtype."""
    if case.noise_seed is None:
        return None
    drawn = case.net.sample(case.noise_seed, np.zeros(case.x.shape))
    convert = as_mpmath if case.dtype == object else lambda a: a.astype(case.dtype)
    return {key: convert(array) for key, array in drawn.items()}


def rows_of(noise: dict[str, Array] | None, rows: Any) -> dict[str, Array] | None:
    return noise and {key: mask[rows] for key, mask in noise.items()}


def assert_same(got: Any, wanted: Any) -> None:
    """Assert equality; of mpmath numbers to 40 digits of the largest."""
    got, wanted = np.atleast_1d(got), np.atleast_1d(wanted)
    assert got.shape == wanted.shape
    if got.dtype != object:
        np.testing.assert_array_equal(got, wanted)
    elif got.size:
        got, wanted = as_mpmath(got), as_mpmath(wanted)
        scale = 1 + max(abs(w) for w in wanted.flat)
        assert max(abs(d) for d in (got - wanted).flat) <= scale * mpmath.mpf(10) ** -40


@given(case=either, seed=st.integers(0, 99))
def test_order_of_the_samples_does_not_matter(case: Case, seed: int) -> None:
    """A permuted batch has the same loss and ∂L/∂θ, and the permuted ∂L/∂x."""
    order, noise = np.random.default_rng(seed).permutation(len(case.x)), noise_of(case)
    whole = Run(case, noise)
    moved = Run(case, rows_of(noise, order), x=case.x[order], t=case.t[order])
    assert_same(moved.loss, whole.loss)
    assert_same(moved.grad, whole.grad)
    assert_same(moved.dx, whole.dx[order])


@given(case=either, data=st.data())
def test_gradients_of_shards_add_up(case: Case, data: st.DataObject) -> None:
    """With reduction sum, those of any split of the batch, equal or not, make the whole's.

    With another reduction the whole is that sum over the divisor.
    """
    cut, noise = data.draw(st.integers(0, len(case.x))), noise_of(case)
    summed = replace(case, loss=replace(case.loss, reduction="sum"))
    whole = Run(summed, noise)
    parts = [slice(cut), slice(cut, None)]
    runs = [Run(summed, rows_of(noise, s), x=case.x[s], t=case.t[s]) for s in parts]
    assert_same(runs[0].loss + runs[1].loss, whole.loss)
    assert_same(runs[0].grad + runs[1].grad, whole.grad)
    assert_same(np.concatenate([runs[0].dx, runs[1].dx]), whole.dx)
    y = np.zeros((len(case.x), case.net.out_features or case.x.shape[1]), case.dtype)
    divisor = case.loss.divisor(y, case.t)
    averaged = Run(case, noise)
    if divisor:
        assert_same(averaged.grad * divisor, whole.grad)
        assert_same(averaged.loss * divisor, whole.loss)


@given(case=either)
def test_a_duplicated_batch_has_the_same_mean_and_twice_the_sum(case: Case) -> None:
    noise = noise_of(case)
    once = Run(case, noise)
    twice = Run(
        case,
        noise and {key: np.concatenate([mask, mask]) for key, mask in noise.items()},
        x=np.concatenate([case.x, case.x]),
        t=np.concatenate([case.t, case.t]),
    )
    factor = 2 if case.loss.reduction == "sum" else 1
    assert_same(twice.loss, once.loss * factor)
    assert_same(twice.grad, once.grad * factor)


@given(case=either)
def test_bias_is_the_weight_of_a_column_of_ones(case: Case) -> None:
    """A first layer without bias but with an input that is always 1 has the same ∂L/∂(W, b)."""
    first = case.net.layers[0]
    assume(isinstance(first, Linear) and first.bias)
    wider = Linear(first.in_features + 1, first.out_features, bias=False)
    net = Sequential(wider, *case.net.layers[1:])
    arrays = case.params.state_dict()
    W = np.column_stack([arrays.pop("0.weight"), arrays.pop("0.bias")])
    moved = Parameters(net.shapes, np.concatenate([W.ravel(), *map(np.ravel, arrays.values())]))
    ones = np.ones((len(case.x), 1), case.x.dtype)
    noise = noise_of(case)
    with_bias = case.net.value_and_grad(case.params, case.loss, case.x, case.t, noise=noise)
    x = np.column_stack([case.x, ones])
    without = net.value_and_grad(moved, case.loss, x, case.t, noise=noise)
    assert_same(without[0], with_bias[0])
    assert_same(without[1]["0.weight"][:, :-1], with_bias[1]["0.weight"])
    assert_same(without[1]["0.weight"][:, -1], with_bias[1]["0.bias"])


KEEP_ORDER = [name for name, row in LAYER_ROWS.items() if row.keeps_order]
KEEP_WIDTH = [name for name, row in LAYER_ROWS.items() if row.keeps_width]


@pytest.mark.parametrize("name", KEEP_ORDER)
def test_order_of_the_hidden_units_does_not_matter(name: str) -> None:
    """Hidden units in another order compute the same, and their gradients move with them."""
    rng = np.random.default_rng(3)
    net = Sequential(Linear(2, 3), example(name, 3), Linear(3, 2))
    params = Parameters(net.shapes, as_mpmath(rng.normal(size=Parameters(net.shapes).vector.size)))
    x, t = as_mpmath(rng.normal(size=(4, 2))), as_mpmath(rng.normal(size=(4, 2)))
    noise = {key: as_mpmath(mask) for key, mask in net.sample(1, np.ones((4, 2))).items()}
    order = np.array([2, 0, 1])

    def permuted(p: Parameters) -> dict[str, Array]:
        moved = {key: a.copy() for key, a in p.items()}
        for key in p:
            if p[key].shape[0] == len(order):
                moved[key] = p[key][order]
        moved["2.weight"] = p["2.weight"][:, order]
        return moved

    loss, grads = net.value_and_grad(params, MSELoss(), x, t, noise=noise)
    moved = Parameters(net.shapes, np.concatenate([a.ravel() for a in permuted(params).values()]))
    shuffled = {key: mask[:, order] for key, mask in noise.items()}
    again, moved_grads = net.value_and_grad(moved, MSELoss(), x, t, noise=shuffled)
    assert_same(again, loss)
    for key, wanted in permuted(grads).items():
        assert_same(moved_grads[key], wanted)


@given(case=cases(styles=("normal",), options={"lr": 0.0, "momentum": st.sampled_from([0.0, 0.5])}))
def test_a_step_at_learning_rate_0_changes_no_bit(case: Case) -> None:
    assume(row_of(type(case.rule).__name__).scales_with_lr)  # type: ignore[attr-defined]
    params = case.params.copy()
    _, grads = case.net.value_and_grad(params, case.loss, case.x, case.t, noise=case.noise())
    assume(np.isfinite(grads.vector).all() and np.abs(grads.vector).max(initial=0) < 1e18)
    case.rule.update(params, grads, case.rule.init(params))
    assert params == case.params


@given(case=cases(styles=("normal", "integers"), sizes=st.integers(1, 9)))
def test_a_step_is_forward_backward_and_update(case: Case) -> None:
    """`Trainer.step`, as it is planned, is value_and_grad and the rule's update, bit for bit.

    The loss that it returns contains the rule's penalty.
    Plain descent multiplies by α in the loss's gradient, so α must be a number that rounds nothing.
    """
    noise = case.net.sample(0, case.x)
    assume(not noise)
    assume(not any(layer.refuses(len(case.x), is_training=True) for layer in case.net.layers))
    rule = case.rule
    if rule.factor:
        rule = replace(rule, lr=2.0 ** round(math.log2(rule.lr)))
    trainer = Trainer(case.net, case.loss, rule, params=case.params)
    params, state = case.params.copy(), rule.init(case.params)
    for _ in range(case.steps):
        loss, grads = case.net.value_and_grad(params, case.loss, case.x, case.t, noise=noise)
        wanted = float(loss) + rule.penalty(params)
        rule.update(params, grads, state)
        case.net.track(params, case.x, noise=noise)
        assume(np.isfinite(params.vector).all() and np.isfinite(wanted))
        assert trainer.step(case.x, case.t) == wanted
        assert trainer.params == params


@given(case=cases(sizes=st.integers(1, 9), styles=("normal", "integers")))
def test_asking_for_the_input_gradient_changes_no_other(case: Case) -> None:
    """Stopping at the first layer with parameters leaves out no derivative that they need."""
    arguments = case.params, case.loss, case.x, case.t
    _, without = case.net.value_and_grad(*arguments, noise=case.noise())
    _, grads, _ = case.net.value_and_grad(*arguments, noise=case.noise(), input_grad=True)
    assert np.array_equal(without.vector, grads.vector, equal_nan=True)


@given(case=small(loss_names=("CrossEntropyLoss",)).map(on_mpmath))
def test_the_gradient_of_the_logits_adds_up_to_0(case: Case) -> None:
    """Σ_c ∂L/∂y[n,c] = 0: softmax does not see a shift, whatever the targets and weights."""
    y = case.net.forward(case.params, case.x)
    dy = case.loss.grad(y, case.t)
    assert_same(dy.sum(axis=1), as_mpmath(np.zeros(len(y))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
@given(power=st.integers(-20, 20), seed=st.integers(0, 99))
def test_scaling_by_a_power_of_two_changes_no_bit(power: int, seed: int, dtype: Any) -> None:
    """2ᵏ x and 2⁻ᵏ W₀ give the same outputs; ∂L/∂W₀ grows by 2ᵏ, ∂L/∂x by 2⁻ᵏ, nothing else."""
    rng = np.random.default_rng(seed)
    net = Sequential(Linear(5, 7), Tanh(), Linear(7, 3), Sigmoid())
    params = net.init(seed, dtype)
    x, t = rng.normal(size=(9, 5)).astype(dtype), rng.random((9, 3)).astype(dtype)
    scale = dtype(2) ** power
    scaled = params.copy()
    scaled["0.weight"][...] /= scale
    loss, grads, dx = net.value_and_grad(params, MSELoss(), x, t, input_grad=True)
    again, scaled_grads, scaled_dx = net.value_and_grad(
        scaled, MSELoss(), x * scale, t, input_grad=True
    )
    scaled_grads["0.weight"][...] /= scale
    assert again == loss
    assert scaled_grads == grads
    assert np.array_equal(scaled_dx * scale, dx)


@given(seed=st.integers(0, 99), dead=st.sets(st.integers(0, 5), min_size=1))
def test_a_dead_unit_has_no_gradient_at_all(seed: int, dead: set[int]) -> None:
    """A rectifier that no sample excites gets exactly 0, on both sides; the others do not."""
    rng, units = np.random.default_rng(seed), sorted(dead)
    net = Sequential(Linear(3, 6), ReLU(), Linear(6, 2))
    params = net.init(seed)
    params["0.bias"][...] = 50
    params["0.bias"][units] = -100
    x, t = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    _, grads = net.value_and_grad(params, MSELoss(), x, t)
    alive = [j for j in range(6) if j not in dead]
    assert not grads["0.weight"][units].any()
    assert not grads["0.bias"][units].any()
    assert not grads["2.weight"][:, units].any()
    assert grads["0.weight"][alive].all()
    assert grads["2.weight"][:, alive].all()


def slope_matrix(function: Any, point: Array) -> Array:
    """Return ∂f[j]/∂x[i] of a function of one row, by central differences."""
    columns = []
    for i in range(len(point)):
        step = np.array([H if k == i else mpmath.mpf(0) for k in range(len(point))], object)
        columns.append((function(point + step) - function(point - step)) / (2 * H))
    return np.array(columns, object).T


@pytest.mark.parametrize("name", KEEP_WIDTH)
def test_a_gradient_is_the_sum_over_all_paths(name: str) -> None:
    """∂L/∂W₀[j,i] = Σ, over samples and paths from unit j to the outputs, x[i] · slopes · ∂L/∂y.

    The slopes are differences of each layer's forward; its backward has no part in them.
    """
    rng = np.random.default_rng(11)
    layers = (Linear(2, 3), example(name, 3), Linear(3, 2), example(name, 2), Linear(2, 2))
    net, loss = Sequential(*layers), MSELoss()
    params = Parameters(net.shapes, as_mpmath(rng.normal(size=Parameters(net.shapes).vector.size)))
    x, t = as_mpmath(rng.normal(size=(2, 2))), as_mpmath(rng.normal(size=(2, 2)))
    noise = {key: as_mpmath(mask) for key, mask in net.sample(1, np.ones((2, 2))).items()}
    _, grads = net.value_and_grad(params, loss, x, t, noise=noise or None)
    wanted = np.zeros((3, 2), object)
    for n in range(2):
        row, slopes = x[n], []
        for i, layer in enumerate(layers):
            own = dict(net.layer_arrays(params)[i])
            for key in layer.sample_shapes((1, len(row))):
                own[key] = noise[f"{i}.{key}"][n : n + 1]

            def run(z: Array, layer: Any = layer, own: Any = own) -> Array:
                return layer.forward(own, z[None])[0]

            slopes.append(slope_matrix(run, row))
            row = run(row)
        end = (row - t[n]) * 2 / t.size
        for path in product(*(range(len(s)) for s in slopes)):
            strength = end[path[-1]]
            for s, (start, stop) in zip(slopes[1:], pairwise(path), strict=True):
                strength *= s[stop, start]
            wanted[path[0]] += strength * x[n]
    scale = mpmath.mpf(10) ** -30  # of differences; see test_derivatives.py
    assert max(abs(d) for d in (grads["0.weight"] - wanted).flat) < scale
