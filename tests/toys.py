"""A small network, its data, update rules, and training by hand, for the tests of training.

Training by hand is a loop over the samples. Forward, loss and gradient come from the network, which
other tests judge. The order of the statements and the batches are written here.
"""

from dataclasses import fields
from typing import Any

import numpy as np

from manualnn import (
    OPTIMIZERS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Linear,
    Loss,
    MSELoss,
    Optimizer,
    RMSprop,
    Sequential,
    Tanh,
    Trainer,
)
from manualnn.oracle.protocol.features import OPTIMIZER_ROWS
from manualnn.spec import QUIET

Array = np.ndarray[Any, Any]
N = 23
RNG = np.random.default_rng(3)
X = RNG.standard_normal((N, 3))
T = RNG.standard_normal((N, 2))
CLASSES = RNG.integers(0, 2, N)
NET = Sequential(Linear(3, 4), Tanh(), Linear(4, 2))
MOMENTUM = SGD(lr=0.1, momentum=0.9)
RULES: list[Optimizer] = [
    SGD(lr=0.02),
    SGD(lr=0.1, weight_decay=0.3, maximize=True),
    SGD(lr=0.1, momentum=0.9),
    SGD(lr=0.1, momentum=0.7, dampening=0.4),
    SGD(lr=0.1, momentum=0.7, dampening=1.0, weight_decay=0.1),
    SGD(lr=0.1, momentum=0.7, nesterov=True, weight_decay=0.1),
    RMSprop(),
    RMSprop(lr=0.1, alpha=0.6, eps=0.1, weight_decay=0.2, maximize=True),
    RMSprop(lr=0.1, alpha=0.6, eps=0.1, momentum=0.8),
    RMSprop(lr=0.1, alpha=0.6, eps=0.1, momentum=0.8, centered=True),
    Adagrad(),
    Adagrad(lr=0.5, lr_decay=0.3, initial_accumulator_value=0.2, eps=0.1),
    Adagrad(lr=0.5, weight_decay=0.3, maximize=True),
    Adam(),
    Adam(lr=0.1, betas=(0.5, 0.7), eps=0.1, weight_decay=0.2),
    Adam(lr=0.1, betas=(0.5, 0.2), eps=0.1, amsgrad=True, maximize=True),
    Adam(lr=0.1, betas=(0.0, 0.9)),
    AdamW(),
    AdamW(lr=0.1, betas=(0.5, 0.7), eps=0.1, weight_decay=0.5, maximize=True),
    AdamW(lr=0.1, betas=(0.5, 0.2), eps=0.1, weight_decay=0.5, amsgrad=True),
]
AROUND = {field.name for field in fields(Optimizer) if field.kw_only}
"""Penalties, clipping and groups: options of every rule, which have tests of their own."""
for name, row in OPTIMIZER_ROWS.items():
    if row.is_entrywise and not any(type(rule).__name__ == name for rule in RULES):
        others = {o: known.others[0] for o, known in row.options.items() if o not in AROUND}
        RULES += [OPTIMIZERS[name](), OPTIMIZERS[name](**others)]


def own_fields(kind: Any) -> list[Any]:
    """Return the fields of a layer, loss or rule without the options that every rule has."""
    return [field for field in fields(kind) if field.metadata != QUIET]


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
