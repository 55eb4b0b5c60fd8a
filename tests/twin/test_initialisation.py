"""Initial values are drawn as torch draws them: the same bounds, means and deviations."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import init

import manualnn as mnn

SHAPE = (8, 5)
MANY = 40_000
NONLINEARITIES = ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]


def alike(ours: np.ndarray[Any, Any], theirs: torch.Tensor) -> None:
    """Bound, mean and deviation are the same within 6 standard errors of samples that large.

    The deviation of a sample of n has a standard error of at most σ/√(2n), the mean of σ/√n.
    """
    a, b = ours.ravel(), theirs.numpy().ravel()
    error = b.std() * math.sqrt(1 / len(a) + 1 / len(b))
    assert abs(a.mean() - b.mean()) < 6 * error
    assert abs(a.std() - b.std()) < 6 * error / math.sqrt(2)


def fills(ours: np.ndarray[Any, Any], bound: float) -> None:
    """Nothing lies outside ±bound, and n uniform numbers come as near to it as they should.

    All of them stay below (1 − 15/n) of it once in e¹⁵ times.
    """
    assert bound * (1 - 15 / ours.size) <= np.abs(ours).max() <= bound


def drawn(
    ours: Callable[..., Any], theirs: Callable[..., Any], **options: Any
) -> tuple[np.ndarray[Any, Any], torch.Tensor]:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    repeats = MANY // math.prod(SHAPE)
    mine = np.stack([ours(rng, SHAPE, **options) for _ in range(repeats)])
    other = torch.stack([theirs(torch.empty(SHAPE), **options) for _ in range(repeats)])
    return mine, other


def has_deviation(ours: np.ndarray[Any, Any], std: float, name: str) -> None:
    assert ours.std() == pytest.approx(std, rel=6 / math.sqrt(2 * MANY))
    if name.endswith("uniform"):
        fills(ours, math.sqrt(3) * std)


@pytest.mark.parametrize("name", ["xavier_uniform", "xavier_normal"])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_xavier_is_torchs(name: str, gain: float) -> None:
    ours, theirs = drawn(getattr(mnn.initializers, name), getattr(init, f"{name}_"), gain=gain)
    alike(ours, theirs)
    has_deviation(ours, gain * math.sqrt(2 / sum(SHAPE)), name)


@pytest.mark.parametrize("name", ["kaiming_uniform", "kaiming_normal"])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize("nonlinearity", ["relu", "leaky_relu", "tanh"])
def test_kaiming_is_torchs(name: str, mode: str, nonlinearity: Any) -> None:
    options = {"a": 0.3, "mode": mode, "nonlinearity": nonlinearity}
    ours, theirs = drawn(getattr(mnn.initializers, name), getattr(init, f"{name}_"), **options)
    alike(ours, theirs)
    fan = SHAPE[1] if mode == "fan_in" else SHAPE[0]
    has_deviation(ours, init.calculate_gain(nonlinearity, 0.3) / math.sqrt(fan), name)


@pytest.mark.parametrize("name", ["uniform", "normal"])
def test_plain_distributions_are_torchs(name: str) -> None:
    alike(*drawn(getattr(mnn.initializers, name), getattr(init, f"{name}_")))


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("param", [None, 0.2, 0.0])
def test_calculate_gain_is_torchs(nonlinearity: Any, param: float | None) -> None:
    assert mnn.calculate_gain(nonlinearity, param) == init.calculate_gain(nonlinearity, param)


def test_a_slope_of_true_is_refused_as_by_torch() -> None:
    for gain_of in (mnn.calculate_gain, init.calculate_gain):
        with pytest.raises(ValueError, match="True"):
            gain_of("leaky_relu", param=True)


@pytest.mark.parametrize(("in_features", "out_features"), [(50, 80), (1, 400), (400, 1)])
def test_a_linear_layer_starts_as_torchs(in_features: int, out_features: int) -> None:
    """Weights and biases uniform in ±1/√in: nothing outside, and the range filled."""
    net = mnn.Sequential(mnn.Linear(in_features, out_features))
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    repeats = 100
    ours = [net.init(rng) for _ in range(repeats)]
    theirs = [torch.nn.Linear(in_features, out_features) for _ in range(repeats)]
    bound = 1 / math.sqrt(in_features)
    for name in ("weight", "bias"):
        mine = np.concatenate([p[f"0.{name}"].ravel() for p in ours])
        alike(mine, torch.cat([getattr(m, name).detach().ravel() for m in theirs]))
        fills(mine, bound)


def test_options_and_zeros_reach_the_parameters() -> None:
    net = mnn.Sequential(mnn.Linear(50, 80))
    weight = partial(mnn.kaiming_normal, nonlinearity="relu")
    params = net.init(0, weight=weight, bias=mnn.initializers.zeros)
    assert not params["0.bias"].any()
    assert params["0.weight"].std() == pytest.approx(math.sqrt(2 / 50), rel=6 / math.sqrt(2 * 4000))
