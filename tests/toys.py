"""A small network, its data, and training by hand, for the tests of training.

The hand goes through the samples by itself: forward, loss and gradient come from the network
(judged elsewhere), the order of statements and the batches from here.
"""

from typing import Any

import numpy as np

from manualnn import SGD, Linear, Loss, MSELoss, Optimizer, Sequential, Tanh, Trainer

Array = np.ndarray[Any, Any]
N = 23
RNG = np.random.default_rng(3)
X = RNG.standard_normal((N, 3))
T = RNG.standard_normal((N, 2))
CLASSES = RNG.integers(0, 2, N)
NET = Sequential(Linear(3, 4), Tanh(), Linear(4, 2))
MOMENTUM = SGD(lr=0.1, momentum=0.9)


def trainer(loss: Loss | None = None, rule: Optimizer = MOMENTUM, **options: Any) -> Trainer:
    return Trainer(NET, loss or MSELoss(), rule, **options)


class ByHand:
    """Forward, loss, backward, update: one step after the other, all of it new every time."""

    def __init__(self, like: Trainer) -> None:
        self.net, self.loss, self.rule = like.net, like.loss, like.rule
        self.params = like.params.copy()
        self.state = self.rule.init(self.params)

    def step(self, x: Array, t: Array) -> float:
        value, grads = self.net.value_and_grad(self.params, self.loss, x, t)
        self.rule.update(self.params, grads, self.state)
        return float(value)
