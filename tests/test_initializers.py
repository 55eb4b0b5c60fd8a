"""Random initial values: from the seed alone, in torch's ranges, by torch's names."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from manualnn import Linear, Sequential, ShapeError, Sigmoid, SpecError
from manualnn.initializers import (
    calculate_gain,
    constant,
    eye,
    kaiming_normal,
    kaiming_uniform,
    lecun_normal,
    lecun_uniform,
    normal,
    ones,
    orthogonal,
    sparse,
    trunc_normal,
    uniform,
    xavier_normal,
    xavier_uniform,
    zeros,
)

NET = Sequential(Linear(3, 200), Sigmoid(), Linear(200, 50))
OUT, IN = 300, 200


def draw(initializer: Any, shape: tuple[int, ...] = (OUT, IN)) -> np.ndarray[Any, Any]:
    return np.asarray(initializer(np.random.default_rng(7), shape))


@pytest.mark.parametrize("seed", [0, 1, 2**40, np.int64(3)])
def test_the_same_seed_gives_the_same_values(seed: int) -> None:
    assert NET.init(seed) == NET.init(seed)


def test_zero_is_a_seed_and_none_is_not() -> None:
    assert NET.init(seed=0) == NET.init(seed=0)
    assert NET.init(seed=0) != NET.init(seed=1)
    assert NET.init(seed=None) != NET.init(seed=None)


def test_a_generator_goes_on_where_it_stands() -> None:
    rng = np.random.default_rng(5)
    first, second = NET.init(rng), NET.init(rng)
    assert first == NET.init(seed=5)
    assert second != first


def test_float32_values_are_those_of_float64_rounded() -> None:
    assert NET.init(0, np.float32) == NET.init(0, np.float64).astype(np.float32)


def test_by_default_weight_and_bias_fill_torchs_range() -> None:
    """Both are uniform in ±1/√in; the extremes of thousands of entries come close to it."""
    params = NET.init(seed=0)
    for key, in_features in {"0.weight": 3, "0.bias": 3, "2.weight": 200}.items():
        reach = np.abs(params[key]).max() * math.sqrt(in_features)
        assert 0.95 < reach <= 1
        assert abs(params[key].mean() * math.sqrt(in_features)) < 0.15


def test_every_parameter_is_drawn_by_itself() -> None:
    net = Sequential(Linear(4, 4), Linear(4, 4))
    vector = net.init(seed=0).vector
    assert len(np.unique(vector)) == vector.size


def test_named_initializers_replace_the_default_of_every_layer() -> None:
    params = NET.init(seed=0, weight=partial(uniform, a=2.0, b=3.0), bias=zeros)
    for key, view in params.items():
        if key.endswith("bias"):
            assert not view.any()
        else:
            assert ((view >= 2) & (view < 3)).all()


def test_a_bias_initializer_leaves_the_weights_as_they_were() -> None:
    assert np.array_equal(NET.init(0, bias=zeros)["2.weight"], NET.init(0)["2.weight"])


def test_an_initializer_for_no_parameter_is_refused() -> None:
    with pytest.raises(SpecError, match=r"no layer has a parameter wieght; there are 0\.weight"):
        NET.init(seed=0, wieght=zeros)


@pytest.mark.parametrize("shape", [(50, 200), (1,), ()])
def test_an_initializer_that_returns_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"initializer of bias must return .* \(200,\)"):
        NET.init(seed=0, bias=lambda rng, _: rng.random(shape))


# Standard deviations by the formulas of the papers, worked out here.
STD = {
    "xavier": math.sqrt(2 / (IN + OUT)),
    "xavier, gain 5/3": 5 / 3 * math.sqrt(2 / (IN + OUT)),
    "he, fan_in": math.sqrt(2 / IN),
    "he, fan_out": math.sqrt(2 / OUT),
    "he, slope 1": math.sqrt(1 / IN),
}
SPREAD = [
    (xavier_normal, "xavier"),
    (xavier_uniform, "xavier"),
    (partial(xavier_normal, gain=5 / 3), "xavier, gain 5/3"),
    (partial(xavier_uniform, gain=5 / 3), "xavier, gain 5/3"),
    (kaiming_normal, "he, fan_in"),
    (kaiming_uniform, "he, fan_in"),
    (partial(kaiming_normal, mode="fan_out", nonlinearity="relu"), "he, fan_out"),
    (partial(kaiming_uniform, mode="fan_out", nonlinearity="relu"), "he, fan_out"),
    (partial(kaiming_normal, a=1), "he, slope 1"),
    (partial(kaiming_uniform, a=1), "he, slope 1"),
]


@pytest.mark.parametrize(("initializer", "name"), SPREAD)
def test_values_have_the_papers_standard_deviation(initializer: Any, name: str) -> None:
    """The estimate from 60,000 values has a relative error of 0.3 %; five of those are allowed."""
    values = draw(initializer)
    assert values.std() == pytest.approx(STD[name], rel=0.015)
    assert abs(values.mean()) < 0.02 * STD[name]


@pytest.mark.parametrize("initializer", [xavier_uniform, kaiming_uniform])
def test_uniform_values_end_at_root_three_deviations(initializer: Any) -> None:
    values = draw(initializer)
    assert np.abs(values).max() == pytest.approx(math.sqrt(3) * values.std(), rel=0.02)


@pytest.mark.parametrize("initializer", [xavier_normal, kaiming_normal])
def test_normal_values_go_beyond_three_deviations(initializer: Any) -> None:
    values = draw(initializer)
    assert 3 < np.abs(values).max() / values.std() < 6


def test_plain_uniform_and_normal_take_their_options() -> None:
    values = draw(partial(uniform, a=-3.0, b=1.0))
    assert -3 <= values.min() < -2.99
    assert 0.99 < values.max() < 1
    values = draw(partial(normal, mean=5.0, std=0.1))
    assert values.mean() == pytest.approx(5, abs=0.01)
    assert values.std() == pytest.approx(0.1, rel=0.02)


def test_gains_are_torchs() -> None:
    assert calculate_gain("linear") == calculate_gain("sigmoid") == 1
    assert calculate_gain("tanh") == 5 / 3
    assert calculate_gain("relu") == math.sqrt(2)
    assert calculate_gain("selu") == 0.75
    assert calculate_gain("leaky_relu") == math.sqrt(2 / 1.0001)
    assert calculate_gain("leaky_relu", 0) == math.sqrt(2)
    assert calculate_gain("leaky_relu", 2) == math.sqrt(0.4)


def test_an_unknown_nonlinearity_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"one of linear, sigmoid, tanh, .* got 'gelu'"):
        draw(partial(kaiming_normal, nonlinearity="gelu"))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(SpecError, match="'fan_in' or 'fan_out', got 'fan_avg'"):
        draw(partial(kaiming_normal, mode="fan_avg"))


@pytest.mark.parametrize("initializer", [xavier_uniform, xavier_normal, kaiming_uniform])
def test_a_vector_has_no_fans(initializer: Any) -> None:
    with pytest.raises(SpecError, match=r"shape \(out, in\), got shape \(3,\); use zeros"):
        draw(initializer, (3,))


# ---------------------------------------------------------------------- whole distributions

ALARM = 1e-9
"""Rate of false alarms of each test below, for seeds drawn at random. The seeds are fixed."""


def follows(values: np.ndarray[Any, Any], cdf: Callable[[float], float]) -> bool:
    """Return True if values are a sample of a continuous distribution, or nearly one.

    Dvoretzky, Kiefer, Wolfowitz and Massart: sup |Fₙ − F| > √(ln(2/α) / 2n) has at most the
    probability α, for any F and n.
    """
    x = np.sort(values.ravel())
    n = x.size
    exact = np.array([cdf(one) for one in x.tolist()])
    ranks = np.arange(n)
    distance = max((exact - ranks / n).max(), ((ranks + 1) / n - exact).max())
    return bool(distance <= math.sqrt(math.log(2 / ALARM) / (2 * n)))


def normal_cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def truncated(mean: float, std: float, a: float, b: float) -> Callable[[float], float]:
    """Return the distribution function of normals between a and b, exact in the tails."""
    sign = -1 if a > mean else 1  # the side where the differences do not cancel

    def below(x: float) -> float:
        return normal_cdf(sign * (x - mean) / std)

    return lambda x: (below(x) - below(a)) / (below(b) - below(a))


@pytest.mark.parametrize(
    ("initializer", "cdf"),
    [
        (lecun_normal, lambda x: normal_cdf(x * math.sqrt(IN))),
        (lecun_uniform, lambda x: (x / math.sqrt(3 / IN) + 1) / 2),
        (xavier_normal, lambda x: normal_cdf(x / math.sqrt(2 / (IN + OUT)))),
        (kaiming_normal, lambda x: normal_cdf(x / math.sqrt(2 / IN))),
    ],
)
def test_scaled_values_have_their_distribution(initializer: Any, cdf: Any) -> None:
    assert follows(draw(initializer), cdf)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0.0, 1.0, -2.0, 2.0),
        (0.0, 0.02, -2.0, 2.0),
        (1.0, 2.0, 0.5, 2.5),
        (0.0, 1.0, -0.1, 9.0),
        (0.0, 1.0, 1.0, 3.0),
        (0.0, 2.0, 9.0, 99.0),
        (0.0, 1.0, 0.01, 5.0),
        (3.0, 0.5, -7.0, 1.0),
        (0.0, 1.0, 30.0, 30.01),
        (0.0, 1.0, 6.0, math.inf),
    ],
)
def test_truncated_normals_have_their_distribution_also_far_from_the_mean(
    mean: float, std: float, a: float, b: float
) -> None:
    values = draw(partial(trunc_normal, mean=mean, std=std, a=a, b=b), (100, 100))
    assert ((values >= a) & (values <= b)).all()
    assert follows(values, truncated(mean, std, a, b))


@pytest.mark.parametrize("shape", [(5, 5), (30, 7), (7, 30), (1, 4), (1, 1)])
def test_orthogonal_matrices_are_orthogonal(shape: tuple[int, int]) -> None:
    """Householder's Q is within a small multiple of m n roundings of an orthogonal matrix."""
    w = draw(partial(orthogonal, gain=1.5), shape)
    small = w.T @ w if shape[0] > shape[1] else w @ w.T
    bound = 1.5**2 * 8 * shape[0] * shape[1] * 2**-53
    assert w.shape == shape
    assert np.abs(small - 1.5**2 * np.eye(min(shape))).max() <= bound


def test_orthogonal_matrices_prefer_no_direction() -> None:
    """The first entry of the first column of a 3 × 3 rotation or reflection is uniform in ±1."""
    rng = np.random.default_rng(1)
    matrices = np.stack([orthogonal(rng, (3, 3)) for _ in range(4000)])
    for i, j in ((0, 0), (2, 1), (2, 2)):
        assert follows(matrices[:, i, j], lambda x: (x + 1) / 2)
    wide = np.stack([orthogonal(rng, (2, 3)) for _ in range(2000)])
    assert follows(wide[:, 1, 1], lambda x: (x + 1) / 2)


def test_sparse_columns_have_their_zeros_anywhere() -> None:
    values = draw(partial(sparse, sparsity=0.3, std=0.5), (7, 3000))
    zeros_ = values == 0
    assert (zeros_.sum(axis=0) == 3).all()  # ⌈2.1⌉
    assert follows(values[~zeros_], lambda x: normal_cdf(x / 0.5))
    # Hoeffding: each row is 0 in 3 of 7 columns, independently.
    error = math.sqrt(math.log(2 * 7 / ALARM) / (2 * 3000))
    assert np.abs(zeros_.mean(axis=1) - 3 / 7).max() <= error
    assert (draw(partial(sparse, sparsity=1.0), (4, 3)) == 0).all()


def test_constants_are_torchs() -> None:
    assert (draw(partial(constant, val=0.25), (2, 3)) == 0.25).all()
    assert (draw(ones, (4,)) == 1).all()
    assert np.array_equal(draw(eye, (2, 3)), [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    ("initializer", "message"),
    [
        (partial(trunc_normal, a=2, b=2), "a below b, got std=1, a=2 and b=2"),
        (partial(trunc_normal, std=0), "std above 0"),
        (partial(trunc_normal, a=math.nan), "a below b"),
        (partial(sparse, sparsity=1.5), "sparsity must be from 0 to 1, got 1.5"),
        (partial(constant, val="x"), "val must be a finite number, got 'x'"),
        (partial(orthogonal, gain=math.inf), "gain must be a finite number, got inf"),
    ],
)
def test_wrong_options_of_shaped_values_are_refused(initializer: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        draw(initializer)
    with pytest.raises(SpecError, match="shape"):
        draw(orthogonal, (3,))
