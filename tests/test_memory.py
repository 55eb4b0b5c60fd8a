"""A step allocates nothing that stays, and at its best nothing of the batch's size.

The tests bound the peak memory of one step, minus the memory before it. tracemalloc measures both,
NumPy's arrays included.
"""

import tracemalloc

import numpy as np
import pytest
from examples_of_layers import example
from values import of_kind

from manualnn import (
    LAYERS,
    LOSSES,
    OPTIMIZERS,
    SGD,
    Adam,
    Identity,
    Layer,
    Linear,
    Loss,
    MSELoss,
    Optimizer,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
    Trainer,
)
from manualnn.losses.indices import IndexLoss

IN, WIDTH, OUT = 16, 64, 8
SMALL = 8192 * (8 + 1) + 4096
"""Bytes, for a step in float64: nothing of a size that a network or a batch gives, but the buffers
in which NumPy turns truth values into numbers (older releases keep both), and Python's objects."""

OTHERS = [name for name in LAYERS if name != "Linear"]


def step_memory(net: Sequential, loss: Loss, rule: Optimizer, n: int) -> tuple[int, int]:
    """Return the bytes that a warm step leaves behind, and its peak."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, IN))
    classes = isinstance(loss, IndexLoss)
    t = rng.integers(0, OUT, n) if classes else of_kind(type(loss).__name__, np.full((n, OUT), 0.5))
    trainer = Trainer(net, loss, rule)
    for _ in range(2):
        trainer.step(x, t)
    tracemalloc.start()
    try:
        trainer.step(x, t)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        trainer.step(x, t)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before, peak - before


def network(*between: Layer) -> Sequential:
    return Sequential(Linear(IN, WIDTH), *between, Linear(WIDTH, OUT), Sigmoid())


@pytest.mark.parametrize("between", [Identity(), Sigmoid(), Tanh(), ReLU()], ids=repr)
@pytest.mark.parametrize("n", [200, 3000])
def test_a_step_allocates_nothing_of_the_batchs_size(between: Layer, n: int) -> None:
    """One array of a layer's output would be 12 times the bound for the larger batch."""
    kept, peak = step_memory(network(between), MSELoss(), SGD(lr=1e-3), n)
    assert kept < 1000
    assert peak < SMALL


@pytest.mark.parametrize("rule", [kind() for kind in OPTIMIZERS.values()], ids=repr)
def test_an_update_allocates_nothing_of_the_parameters_size(rule: Optimizer) -> None:
    net = Sequential(Linear(IN, 3000), Tanh(), Linear(3000, OUT))
    kept, peak = step_memory(net, MSELoss(), rule, 10)
    assert kept < 1000
    assert peak < SMALL


@pytest.mark.parametrize("name", OTHERS)
def test_no_layer_keeps_memory_or_needs_more_than_a_few_arrays(name: str) -> None:
    n = 2000
    layer = example(name, WIDTH)
    net = Sequential(Linear(IN, WIDTH), layer, Linear(layer.width(WIDTH), OUT), Sigmoid())
    kept, peak = step_memory(net, MSELoss(), Adam(), n)
    assert kept < 1000
    assert peak < SMALL + 4.5 * 8 * n * WIDTH


@pytest.mark.parametrize("kind", LOSSES.values())
def test_no_loss_keeps_memory_or_needs_more_than_a_few_arrays_of_the_output(
    kind: type[Loss],
) -> None:
    n = 2000
    kept, peak = step_memory(network(Tanh()), kind(), Adam(), n)
    assert kept < 1000
    assert peak < SMALL + 6.5 * 8 * n * OUT


def test_softmax_needs_one_number_for_each_sample() -> None:
    kept, peak = step_memory(network(Softmax()), MSELoss(), SGD(), 3000)
    assert kept < 1000
    assert peak < SMALL + 2 * 8 * 3000


def test_epochs_of_shuffled_batches_keep_nothing() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((3000, IN)), rng.standard_normal((3000, OUT))
    trainer = Trainer(network(Tanh()), MSELoss(), Adam())
    trainer.fit(x, t, epochs=2, batch_size=70)
    tracemalloc.start()
    try:
        trainer.fit(x, t, epochs=1, batch_size=70)
        before, _ = tracemalloc.get_traced_memory()
        trainer.fit(x, t, epochs=10, batch_size=70)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 5000
