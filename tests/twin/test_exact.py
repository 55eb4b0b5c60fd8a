"""Where no operation rounds, and where a convention decides, both sides are equal bit for bit."""

from typing import Any

import numpy as np
import pytest
import torch
from cases import DTYPES, Array, Case, cases, lattice_cases
from hypothesis import given
from hypothesis import strategies as st

from manualnn import (
    BCELoss,
    DTypeError,
    HuberLoss,
    L1Loss,
    Layer,
    LeakyReLU,
    Linear,
    Loss,
    MSELoss,
    ReLU,
    Sequential,
    Softplus,
    SpecError,
)
from manualnn.spec import to_spec
from reference import Twin


@given(lattice_cases())
def test_one_step_of_exact_arithmetic_is_torchs_to_the_last_bit(case: Case) -> None:
    params = case.params.copy()
    noise = case.noise()
    twin = Twin(case.spec(), params.state_dict(), noise=noise)
    theirs = twin.step(case.x, case.t)
    value, grads, dx = case.net.value_and_grad(
        params, case.loss, case.x, case.t, noise=noise, input_grad=True
    )
    assert value == theirs.loss
    np.testing.assert_array_equal(case.net.forward(params, case.x, noise=noise), theirs.outputs)
    np.testing.assert_array_equal(dx, theirs.input_grad)
    for key, gradient in grads.items():
        np.testing.assert_array_equal(gradient, theirs.grads[key])

    state = case.rule.init(params)
    case.rule.update(params, grads, state)
    for key, array in params.items():
        np.testing.assert_array_equal(array, twin.state_dict()[key])
    for name, vector in twin.optimizer_state().items():
        np.testing.assert_array_equal(state[name], vector)


@given(cases(steps=st.just(1)))
def test_a_state_dict_goes_both_ways_unchanged(case: Case) -> None:
    twin = Twin(case.spec(), case.params.state_dict())
    back = case.net.load_state_dict(twin.module.state_dict())
    if len(back):
        assert back == case.params
    assert case.net.load_state_dict(twin.state_dict(), dtype=case.dtype) == case.params


@given(st.integers(1, 9), st.integers(1, 9), DTYPES)
def test_torchs_own_parameters_load_unchanged(width: int, out: int, dtype: np.dtype[Any]) -> None:
    module = torch.nn.Sequential(
        torch.nn.Linear(width, out), torch.nn.ReLU(), torch.nn.Linear(out, 2)
    )
    module.to(getattr(torch, str(dtype)))
    net = Sequential(Linear(width, out), ReLU(), Linear(out, 2))
    params = net.load_state_dict(module.state_dict())
    assert params.dtype == dtype
    for key, tensor in module.state_dict().items():
        np.testing.assert_array_equal(params[key], tensor.numpy())


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_torchs_half_precision_is_converted_only_if_a_dtype_is_given(half: torch.dtype) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2)).to(half)
    net = Sequential(Linear(3, 2))
    with pytest.raises(DTypeError, match=r"weight is .*float16, expected float32, float64"):
        net.load_state_dict(module.state_dict())
    params = net.load_state_dict(dict(module.named_parameters()), dtype="float32")
    for key, tensor in module.state_dict().items():
        np.testing.assert_array_equal(params[key], tensor.float().numpy())


def test_a_torch_module_and_a_tensor_without_data_are_refused() -> None:
    net, module = Sequential(Linear(3, 2)), torch.nn.Sequential(torch.nn.Linear(3, 2))
    with pytest.raises(SpecError, match=r"type Sequential; pass its state_dict\(\)\."):
        net.load_state_dict(module)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match=r"0\.weight cannot be copied to the CPU"):
        net.load_state_dict(module.to("meta").state_dict())


AT_KINKS: list[tuple[Layer, list[float], list[float]]] = [
    (ReLU(), [0.0, -0.0, 5e-324, -1.0, 1.0], [0, 0, 1, 0, 1]),
    (LeakyReLU(0.25), [0.0, -0.0, 5e-324, -1.0, 1.0], [0.25, 0.25, 1, 0.25, 1]),
    (Softplus(1.0, 0.0), [0.0, -0.0, 1e-9], [0.5, 0.5, 1]),
    (Softplus(2.0, 8.0), [4.0, np.nextafter(4.0, 5)], [1 / (1 + np.exp(-8.0)), 1]),
]


@pytest.mark.parametrize(("layer", "z", "slopes"), AT_KINKS)
def test_the_slope_at_a_kink_is_torchs(layer: Layer, z: list[float], slopes: list[float]) -> None:
    net, x = Sequential(layer), np.array([z])
    loss = L1Loss(reduction="sum")
    params, y = net.init(), net.forward(net.init(), x)
    _, _, dx = net.value_and_grad(params, loss, x, y - 0.5, input_grad=True)  # dy = 1
    theirs = Twin({**net.spec(), "loss": to_spec(loss)}, {}).value_and_grad(x, y - 0.5)
    for slope in (dx, theirs.input_grad):
        np.testing.assert_allclose(slope, [slopes], rtol=4 * np.finfo(float).eps)  # exp: 4 ulp


LOSSES_AT_KINKS: list[tuple[Loss, list[float]]] = [
    (L1Loss(reduction="sum"), [0.0, -0.0, 5e-324, -5e-324, 1.0]),
    (HuberLoss(reduction="sum", delta=0.5), [0.0, 0.5, -0.5, np.nextafter(0.5, 1), 3.0]),
    (HuberLoss(reduction="batchmean", delta=2.0), [2.0, -2.0, -2.5, 2.5, 0.25]),
]


@pytest.mark.parametrize(("loss", "errors"), LOSSES_AT_KINKS)
def test_the_gradient_of_a_loss_at_a_kink_is_torchs(loss: Loss, errors: list[float]) -> None:
    y = np.array([errors, errors])
    theirs = Twin({"layers": [], "loss": to_spec(loss)}, {}).value_and_grad(y, np.zeros_like(y))
    np.testing.assert_array_equal(loss.grad(y, np.zeros_like(y)), theirs.input_grad)
    assert loss.value(y, np.zeros_like(y)) == theirs.loss


def _losses_of(y: Array, reduction: str) -> list[tuple[float, Array]]:
    t = np.full_like(y, 0.25)
    kinds = (MSELoss, L1Loss, HuberLoss, BCELoss)
    return [kind(reduction=reduction).value_and_grad(y, t) for kind in kinds]


def test_batchmean_is_the_sum_over_n_and_the_mean_times_the_outputs() -> None:
    y = np.random.default_rng(0).integers(1, 16, (4, 8)) / 16  # every division is exact
    three = (_losses_of(y, name) for name in ("batchmean", "sum", "mean"))
    for (batchmean, dy), (total, dy_total), (mean, dy_mean) in zip(*three, strict=True):
        assert batchmean == total / 4 == mean * 8
        np.testing.assert_array_equal(dy, dy_total / 4)
        np.testing.assert_array_equal(dy, dy_mean * 8)
