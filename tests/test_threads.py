"""Any number of threads may share a network, a trainer's prediction, a loss and a rule."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from manualnn import (
    Adam,
    CrossEntropyLoss,
    Dropout,
    LeakyReLU,
    Linear,
    Sequential,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
    Trainer,
)

NET = Sequential(
    Linear(5, 40),
    Tanh(),
    Dropout(),
    Linear(40, 40),
    LeakyReLU(),
    Softplus(),
    Linear(40, 4),
    Sigmoid(),
)
LOSS = CrossEntropyLoss(label_smoothing=0.1)
PARAMS = NET.init(seed=0)
THREADS = 6
RNG = np.random.default_rng(4)
BATCHES = [(RNG.standard_normal((n, 5)), RNG.integers(0, 4, n)) for n in (1, 2, 7, 64, 200, 3) * 10]


def gradient(x: Any, t: Any) -> list[Any]:
    noise = NET.sample(len(x), x)
    value, grads, dx = NET.value_and_grad(PARAMS, LOSS, x, t, noise=noise, input_grad=True)
    return [np.asarray(value), grads.vector, dx]


TRAINED = Trainer(NET, LOSS, Adam(), params=PARAMS)
TASKS: dict[str, Callable[[Any, Any], list[Any]]] = {
    "forward": lambda x, _: [NET.forward(PARAMS, x)],
    "predict": lambda x, _: [TRAINED.predict(x)],
    "classify": lambda x, _: list(TRAINED.classify(x)),
    "value_and_grad": gradient,
}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_many_threads_give_what_one_gives_bit_for_bit(
    task: Callable[[Any, Any], list[Any]],
) -> None:
    serial = [task(x, t) for x, t in BATCHES]
    start = Barrier(THREADS)

    def work(worker: int) -> bool:
        start.wait()
        order = np.random.default_rng(worker).permutation(len(BATCHES))
        return all(
            np.array_equal(a, b)
            for i in order
            for a, b in zip(task(*BATCHES[i]), serial[i], strict=True)
        )

    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(work, range(THREADS)))


def test_trainers_in_threads_are_independent() -> None:
    """Networks, losses and rules are shared; everything that changes is each trainer's own."""
    net, rule = Sequential(Linear(5, 9), Tanh(), Linear(9, 4), Softmax()), Adam()
    x, t = BATCHES[4]
    start = Barrier(THREADS)

    def train(seed: int) -> tuple[list[float], list[float]]:
        start.wait()
        trainer = Trainer(net, LOSS, rule, seed=seed)
        return trainer.fit(x, t, epochs=10, batch_size=32).loss, trainer.params.vector.tolist()

    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(train, range(THREADS)))
    start = Barrier(1)
    assert together == [train(seed) for seed in range(THREADS)]
