"""Embedding is torch's: outputs, gradients and updated tables, within the sum of the roundings."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import reference
from manualnn import INDEX_LAYERS, SGD, Adam, Embedding, Linear, MSELoss, Sequential, Tanh, Trainer
from reference.layers import INDEX_LAYERS as THEIRS


@given(st.data())
def test_steps_are_torchs(data: st.DataObject) -> None:
    """Three steps of a network with a table, from random sizes, indices, options and rates."""
    rows, size, k = (data.draw(st.integers(1, most)) for most in (6, 4, 4))
    place = data.draw(st.one_of(st.none(), st.integers(-rows, rows - 1)))
    layer = Embedding(rows, size, place, scale_grad_by_freq=data.draw(st.booleans()))
    net = Sequential(layer, Tanh(), Linear(k * size, 2))
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n, lr = data.draw(st.integers(1, 8)), data.draw(st.floats(0, 1))
    x = rng.integers(0, rows, (n, k)).astype(dtype)
    t = rng.normal(size=(n, 2)).astype(dtype)
    trainer = Trainer(net, MSELoss(), SGD(lr=lr, momentum=0.5), seed=1, dtype=dtype)
    twin = reference.Twin(trainer.spec(), trainer.params.state_dict())
    # Values and slopes are below 10; sums have at most n k + k size + 2 terms, in three steps.
    bound = 3 * (n * k + k * size + 20) * 10 * float(np.finfo(dtype).eps)
    for _ in range(3):
        value, grads, dx = net.value_and_grad(trainer.params, MSELoss(), x, t, input_grad=True)
        theirs = twin.value_and_grad(x, t)
        assert abs(value - theirs.loss) <= bound * max(1, value)
        largest = max(1.0, float(np.abs(grads.vector).max()))
        for key, grad in grads.items():
            assert np.abs(grad - theirs.grads[key]).max() <= bound * largest
        assert not dx.any()
        assert not theirs.input_grad.any()
        assert trainer.step(x, t) == pytest.approx(theirs.loss, rel=bound, abs=bound)
        twin.step(x, t)
        for key, array in twin.state_dict().items():
            assert np.abs(trainer.params[key] - array).max() <= bound * largest * 10


def test_options_and_defaults_are_torchs() -> None:
    assert THEIRS.keys() == INDEX_LAYERS.keys()
    known = inspect.signature(torch.nn.Embedding).parameters
    for name, parameter in inspect.signature(Embedding).parameters.items():
        assert parameter.default == known[name].default


def test_a_state_dict_goes_both_ways() -> None:
    module = torch.nn.Sequential(torch.nn.Embedding(4, 3, padding_idx=2), torch.nn.Flatten())
    net = Sequential(Embedding(4, 3, padding_idx=2))
    params = net.load_state_dict(module.state_dict(), "float32")
    x = np.array([[0, 3], [2, 1]])
    wanted = module(torch.from_numpy(x)).detach().numpy()
    assert np.array_equal(net.forward(params, x), wanted)
    tensors: dict[str, Any] = {k: torch.from_numpy(a) for k, a in params.state_dict().items()}
    module.load_state_dict(tensors)


def test_rows_that_do_not_come_move_by_momentum_alone() -> None:
    """As in torch, whose gradients are dense: Adam moves a row after its index has come."""
    net = Sequential(Embedding(3, 1))
    trainer = Trainer(net, MSELoss(), Adam(lr=0.1), dtype="float64")
    twin = reference.Twin(trainer.spec(), trainer.params.state_dict())
    for x in (np.array([[0.0]]), np.array([[1.0]]), np.array([[1.0]])):
        trainer.step(x, np.zeros((1, 1)))
        twin.step(x, np.zeros((1, 1)))
    ours, theirs = trainer.params["0.weight"], twin.state_dict()["0.weight"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
