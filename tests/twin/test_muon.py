"""Muon is torch's step by step, with torch's iteration in the dtype of the parameters."""

import inspect
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from muon_bounds import Bound, options
from values import SEEDS

from manualnn import MATRIX_RULES, Linear, MSELoss, Muon, Parameters, Sequential, Tanh, Trainer
from reference import Twin
from reference import optimizers as theirs

SHAPES = {"0.weight": (3, 5), "1.weight": (6, 2), "2.weight": (1, 1), "3.weight": (4, 4)}
OPTIONS = options(1e-3, 1.0, 100.0)


@settings(max_examples=max(20, settings.default.max_examples // 4))
@given(
    seed=SEEDS,
    dtype=st.sampled_from(["float32", "float64"]),
    options=OPTIONS,
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    rank=st.sampled_from([1, 2, 6]),
)
def test_each_step_is_torchs(
    seed: int, dtype: str, options: dict[str, Any], scale: float, rank: int
) -> None:
    """From the same θ and B; the bound is that of `muon_bounds`."""
    rng, rule = np.random.default_rng(seed), Muon(**options)
    size = sum(r * c for r, c in SHAPES.values())
    params = Parameters(SHAPES, rng.standard_normal(size).astype(dtype))
    state, g = rule.init(params), params.zeros_like()
    bounds = {name: Bound(rule, shape, dtype) for name, shape in SHAPES.items()}
    for _ in range(4):
        for name, (rows, columns) in SHAPES.items():
            left, right = rng.standard_normal((rows, rank)), rng.standard_normal((rank, columns))
            g[name] = (scale * left @ right).astype(dtype)
        tensors = [torch.tensor(a).requires_grad_() for a in params.values()]
        for p, own in zip(tensors, g.values(), strict=True):
            p.grad = torch.tensor(own)
        other = theirs.build({"type": "Muon", **options}, tensors)
        if state["step"]:
            theirs.load_state(other, tensors, state)
        start = params.copy()
        rule.update(params, g, state)
        other.step()
        buffer = theirs.state_vectors(other, tensors)["momentum_buffer"]
        near = 1e-5 if dtype == "float32" else 1e-14
        np.testing.assert_allclose(state["momentum_buffer"], buffer, atol=20 * near * scale)
        mu, average = rule.momentum, Parameters(SHAPES, state["momentum_buffer"])
        for name, p in zip(SHAPES, tensors, strict=True):
            u = mu * average[name] + (1 - mu) * g[name] if rule.nesterov else average[name]
            limit = bounds[name].of_step(start[name], g[name], u)
            assert np.linalg.norm(params[name] - p.detach().numpy()) <= limit


def test_a_network_with_biases_is_torchs_by_two_optimizers() -> None:
    groups = [{"params": "*.bias", "type": "AdamW", "lr": 3e-4}]
    net = Sequential(Linear(3, 4), Tanh(), Linear(4, 2))
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
    ours = Trainer(net, MSELoss(), Muon(lr=0.02, groups=groups), seed=0)
    for _ in range(4):
        twin = Twin(ours.spec(), ours.params.state_dict(), optimizer_state=ours.state)
        twin.step(x, t)
        ours.step(x, t)
        for name, array in twin.state_dict().items():
            np.testing.assert_allclose(ours.params[name], array, atol=1e-11)


def test_torch_itself_differs_by_its_bfloat16_alone() -> None:
    """One step of torch's own program is near where all singular values are large."""
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0].astype(np.float32)
    p = torch.zeros((4, 4), requires_grad=True)
    p.grad = torch.tensor(q)
    torch.optim.Muon([p], lr=1.0).step()
    params, rule = Parameters({"0.weight": (4, 4)}, dtype="float32"), Muon(lr=1.0)
    rule.update(params, Parameters(params.shapes, q.ravel()), rule.init(params))
    distance = np.linalg.norm(params["0.weight"] - p.detach().numpy())
    assert 1e-4 < distance < 0.1


def test_options_and_defaults_are_torchs() -> None:
    torchs = inspect.signature(torch.optim.Muon).parameters
    ours = {name: getattr(Muon(), name) for name in torchs if name != "params"}
    assert ours == {name: torchs[name].default for name in ours}
    assert theirs.MATRIX_RULES.keys() == MATRIX_RULES.keys()
