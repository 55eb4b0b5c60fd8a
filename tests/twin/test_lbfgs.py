"""LBFGS is torch's step by step: loss, parameters, and numbers of iterations and evaluations."""

from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from values import SEEDS

from manualnn import LAYERS, LBFGS, OPTIMIZERS, Linear, MSELoss, Sequential, Trainer
from reference.around import OPTIONS, change_gradients, penalty

NUMBERS = st.fixed_dictionaries(
    {
        "lr": st.sampled_from([1.0, 0.1, 0.5]),
        "max_iter": st.integers(1, 8),
        "history_size": st.sampled_from([1, 2, 5, 100]),
        "line_search_fn": st.sampled_from([None, "strong_wolfe"]),
    },
    optional={
        "max_eval": st.integers(1, 12),
        "tolerance_grad": st.sampled_from([0.0, 1e-2, 10.0]),
        "tolerance_change": st.sampled_from([0.0, 1e-3, 1e-1]),
    },
)
STEPS = 5
NEAR = 1e-7
"""A step is compared where a change of a last digit at the start changes the end by less."""


@settings(max_examples=max(20, settings.default.max_examples // 4))
@given(
    seed=SEEDS,
    options=NUMBERS,
    penalties=st.sampled_from([{}, {"l2": 0.01}, {"l1": 0.01}]),
    name=st.sampled_from(["Tanh", "Sigmoid", "Softplus", "Identity"]),
)
def test_each_step_is_torchs(
    seed: int, options: dict[str, Any], penalties: dict[str, float], name: str
) -> None:
    """The bound is 1000 times the distance to the same steps from a start that rounds elsewhere.

    So it follows how much a run multiplies rounding errors. A run that multiplies them beyond NEAR
    is compared up to there.
    """
    rng = np.random.default_rng(seed)
    net = Sequential(Linear(3, 4), LAYERS[name](), Linear(4, 2))
    x, t = rng.standard_normal((7, 3)), rng.standard_normal((7, 2))
    rule = LBFGS(**options, **penalties)
    ours = Trainer(net, MSELoss(), rule, seed=seed)
    start = ours.params.vector
    moved = ours.params.copy()
    moved.vector[...] *= 1 + 2.0**-52 * rng.choice([-1, 1], start.size)
    beside = Trainer(net, MSELoss(), rule, params=moved)
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 4), getattr(torch.nn, name)(), torch.nn.Linear(4, 2)
    ).double()
    module.load_state_dict({k: torch.tensor(v) for k, v in ours.params.state_dict().items()})
    theirs = torch.optim.LBFGS(module.parameters(), **options)
    inputs, targets = torch.tensor(x), torch.tensor(t)
    around = OPTIONS | penalties
    params = dict(module.named_parameters())

    def closure() -> Any:
        theirs.zero_grad()
        loss = torch.nn.functional.mse_loss(module(inputs), targets)
        loss.backward()
        change_gradients(around, params)
        return (loss + penalty(around, params)).detach()

    for _ in range(STEPS):
        value, expected = ours.step(x, t), float(theirs.step(closure))
        beside.step(x, t)
        theta = ours.params.vector
        size = 1 + np.abs(theta).max()
        spread = np.abs(theta - beside.params.vector).max()
        numbers = ("n_iter", "func_evals")
        if spread > NEAR * size or any(ours.state[n] != beside.state[n] for n in numbers):
            return
        bound = 1000 * spread + 2.0**-48 * size
        flat = np.concatenate([p.detach().numpy().ravel() for p in params.values()])
        assert np.abs(theta - flat).max() <= bound
        assert abs(value - expected) <= 100 * bound * (1 + abs(expected))
        state = theirs.state[next(module.parameters())]
        for number in numbers:
            assert int(ours.state[number]) == state[number]
        if "old_dirs" in state:
            assert int(ours.state["stored"]) == len(state["old_dirs"])


def test_options_and_defaults_are_torchs() -> None:
    group = torch.optim.LBFGS([torch.zeros(1)]).param_groups[0]
    ours = vars(LBFGS())
    for name in group.keys() - {"params", "max_eval"}:
        assert ours[name] == group[name]
    assert group["max_eval"] == LBFGS().max_iter * 5 // 4
    assert "LBFGS" not in OPTIMIZERS
