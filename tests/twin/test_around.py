"""Groups, penalties and clipping are torch's, in each step and as functions."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import swa_utils
from toys import NET, T, X, trainer
from values import SEEDS

from manualnn import AveragedModel, Parameters, Trainer, clip_grad_norm_, clip_grad_value_
from manualnn.training.run import Run
from reference import Twin

NORMS = st.sampled_from([0.0, 0.1, 1.0, 50.0])
TYPES = st.sampled_from([2.0, 1.0, 3.0, math.inf])
DTYPES = st.sampled_from(["float32", "float64"])
SHAPES = {"0.weight": (3, 5), "0.bias": (3,), "2.weight": (2, 3)}


def unit(dtype: Any) -> float:
    """Return the unit roundoff u."""
    return float(np.finfo(dtype).eps) / 2


def gradients(seed: int, dtype: str, scale: float) -> tuple[Parameters, list[torch.Tensor]]:
    ours = Parameters(SHAPES, dtype=dtype)
    ours.vector[...] = np.random.default_rng(seed).standard_normal(ours.vector.size) * scale
    theirs = [torch.zeros(shape, requires_grad=True) for shape in SHAPES.values()]
    theirs = [p.detach().to(getattr(torch, dtype)).requires_grad_() for p in theirs]
    for p, array in zip(theirs, ours.values(), strict=True):
        p.grad = torch.tensor(array)
    return ours, theirs


def flat(params: list[torch.Tensor]) -> np.ndarray[Any, Any]:
    return np.concatenate([p.grad.numpy().ravel() for p in params])


@given(SEEDS, DTYPES, st.sampled_from([1e-4, 1.0, 1e6]), NORMS, TYPES)
def test_clipping_by_norm_is_torchs(
    seed: int, dtype: str, scale: float, max_norm: float, norm_type: float
) -> None:
    """Each norm is within P + 5 roundings, of its powers, their sum and the root."""
    ours, theirs = gradients(seed, dtype, scale)
    before = ours.vector.copy()
    norm = clip_grad_norm_(ours, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type).item()
    rounding = 2 * (ours.vector.size + 5) * unit(dtype)
    assert abs(norm - expected) <= rounding * expected
    limit = (rounding + 4 * unit(dtype)) * np.abs(before)
    assert (np.abs(ours.vector - flat(theirs)) <= limit).all()


@given(SEEDS, DTYPES, st.sampled_from([0.0, 0.3, 2.0]))
def test_clipping_by_value_is_torchs(seed: int, dtype: str, clip_value: float) -> None:
    """Equal, and so are NaN and infinity."""
    ours, theirs = gradients(seed, dtype, 1.0)
    for i, extreme in enumerate([math.nan, math.inf, -math.inf, -0.0]):
        ours.vector[i] = extreme
        theirs[0].grad.view(-1)[i] = extreme
    clip_grad_value_(ours, clip_value)
    torch.nn.utils.clip_grad_value_(theirs, clip_value)
    np.testing.assert_array_equal(ours.vector, flat(theirs))


def test_gradients_that_are_not_finite_become_torchs() -> None:
    for extreme in (math.nan, math.inf, -math.inf):
        ours, theirs = gradients(3, "float64", 1.0)
        ours.vector[1] = extreme
        theirs[0].grad.view(-1)[1] = extreme
        clip_grad_norm_(ours, 1.0)
        torch.nn.utils.clip_grad_norm_(theirs, 1.0)
        np.testing.assert_array_equal(ours.vector, flat(theirs))


PARTS = st.lists(
    st.fixed_dictionaries(
        {"params": st.sampled_from(["*.bias", "*.weight", "0.*", "*"])},
        optional={
            "lr": st.sampled_from([0.0, 0.3]),
            "weight_decay": st.sampled_from([0.0, 0.2]),
            "l1": st.sampled_from([0.0, 0.2]),
            "l2": st.sampled_from([0.0, 0.4]),
        },
    ),
    max_size=3,
    unique_by=lambda group: group["params"],
)


RULE = st.fixed_dictionaries(
    {"lr": st.sampled_from([0.02, 0.5])},
    optional={
        "momentum": st.just(0.9),
        "weight_decay": st.just(0.2),
        "maximize": st.just(True),  # noqa: FBT003
    },
)


@settings(max_examples=max(12, settings.default.max_examples // 4))
@given(
    SEEDS,
    DTYPES,
    RULE,
    PARTS,
    st.fixed_dictionaries(
        {"l1": st.sampled_from([0.0, 0.1]), "l2": st.sampled_from([0.0, 0.3])},
        optional={
            "clip_value": st.sampled_from([0.01, 1.0]),
            "max_norm": st.sampled_from([0.01, 1.0, 100.0]),
            "norm_type": TYPES,
        },
    ),
)
def test_a_step_around_gradient_descent_is_torchs(
    seed: int,
    dtype: str,
    rule: dict[str, Any],
    groups: list[dict[str, Any]],
    options: dict[str, Any],
) -> None:
    """From the same gradient, in two steps, of which the second has a momentum.

    The gradient of the objective has 4 roundings, the factor of the norm P + 9 on either side, and
    the step with its decay and momentum 8. All of them are relative to the sizes of the terms.
    """
    spec = {"optimizer": {"type": "SGD", **rule, **options, "groups": groups}, "dtype": dtype}
    ours = Trainer.from_spec({**NET.spec(), **spec}, seed=seed)
    params, state = ours.params, ours.state
    x, t = (a.astype(dtype) for a in (X, T))
    size = params.vector.size
    memory = np.zeros(size)
    for _ in range(2):
        twin = Twin(ours.spec(), params.state_dict(), optimizer_state=state)
        grads = params.zeros_like()
        for name, array in twin.value_and_grad(x, t).grads.items():
            grads[name] = array
        theta = np.abs(params.vector).astype(float)
        twin.step(x, t)
        ours.rule.update(params, grads, state)
        theirs = np.concatenate([a.ravel() for a in twin.state_dict().values()])
        memory = memory + np.abs(grads.vector) + 0.2 + 1.0 * theta
        limit = 2 * (size + 21) * unit(dtype) * (memory + theta)
        assert (np.abs(params.vector - theirs) <= limit).all()


@pytest.mark.parametrize("kind", ["AdamW", "ASGD", "SGD"])
def test_a_group_with_another_rule_is_an_optimizer_of_torchs_own(kind: str) -> None:
    """The network is smooth, and a step multiplies rounding errors by less than 10."""
    groups = [{"params": "*.bias", "type": kind}]
    spec = {"optimizer": {"type": "RMSprop", "lr": 0.01, "groups": groups, "l2": 0.1}}
    ours = Trainer.from_spec({**NET.spec(), **spec}, seed=3)
    for _ in range(3):
        twin = Twin(ours.spec(), ours.params.state_dict(), optimizer_state=ours.state)
        twin.step(X, T)
        ours.step(X, T)
        for name, array in twin.state_dict().items():
            limit = 1e-8 if kind == "ASGD" else 1e-13  # torch keeps ASGD's rate in float32
            np.testing.assert_allclose(ours.params[name], array, rtol=0, atol=limit)
    state = twin.optimizer_state()
    assert state.keys() - {"step"} == set(ours.rule.state_names())


@given(SEEDS, DTYPES, st.sampled_from([0.0, 0.3, 0.5, 0.9, 0.999, 1.0]), st.integers(1, 8))
def test_the_moving_average_of_parameters_is_torchs(
    seed: int, dtype: str, decay: float, steps: int
) -> None:
    """Both round 4 times in each step, relative to the sizes of θ and θ̄."""
    rng = np.random.default_rng(seed)
    module = torch.nn.Linear(3, 2, dtype=getattr(torch, dtype))
    theirs = swa_utils.AveragedModel(module, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(decay))
    ours, average = trainer(params=NET.init(seed).astype(dtype)), AveragedModel(decay)
    run = Run(ours, None, None, [])  # type: ignore[arg-type]
    average.begin(run)
    largest = 0.0
    for _ in range(steps):
        ours.params.vector = rng.standard_normal(ours.params.vector.size).astype(dtype)
        with torch.no_grad():
            module.weight.copy_(torch.tensor(ours.params.vector[:6].reshape(2, 3)))
            module.bias.copy_(torch.tensor(ours.params.vector[6:8]))
        largest = max(largest, float(np.abs(ours.params.vector[:8]).max()))
        average.after_step(run)
        theirs.update_parameters(module)
    expected = np.concatenate([p.detach().numpy().ravel() for p in theirs.parameters()])
    error = np.abs(average.params.vector[:8] - expected)
    assert (error <= 8 * steps * unit(dtype) * largest).all()
