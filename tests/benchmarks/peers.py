"""Who is timed: each peer is one function that returns one training step, ready to be called.

A peer imports what it needs inside its function, for each runs in a process of its own. To add one,
write its function and name it in PEERS.
"""

import warnings
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from cases import Batch, Case

Step = Callable[[], object]

LR = 1e-4  # small, so that no run of thousands of steps leaves the range where nothing underflows


def products(case: Case, batch: Batch) -> Step:
    """The matrix products of a step and nothing else, as NumPy's BLAS does them: the lower bound.

    One forward and two backward for each layer; none for the gradient of the network's input.
    """
    rng = np.random.default_rng(0)
    calls = []
    x = batch.x
    for i, (n_in, n_out) in enumerate(pairwise(case.widths)):
        weight = (rng.standard_normal((n_out, n_in)) / n_in).astype(case.dtype)
        z = x @ weight.T
        calls.append((x, weight.T, z))
        calls.append((z.T, x, np.empty_like(weight)))
        if i:
            calls.append((z, weight, np.empty_like(x)))
        x = z

    def step() -> None:
        for left, right, out in calls:
            np.dot(left, right, out)

    return step


def _manualnn(case: Case, batch: Batch, optimizer: str) -> Step:
    import manualnn as mnn

    layers = []
    for n_in, n_out in pairwise(case.widths):
        layers += [mnn.Linear(n_in, n_out), mnn.LAYERS[case.activation]()]
    net = mnn.Sequential(*layers[:-1])
    rule = mnn.OPTIMIZERS[optimizer](lr=LR)
    trainer = mnn.Trainer(net, mnn.MSELoss(), rule, seed=0, dtype=case.dtype)
    return lambda: trainer.step(batch.x, batch.t)


def _torch(case: Case, batch: Batch, optimizer: str) -> Step:
    import torch

    layers: list[torch.nn.Module] = []
    for n_in, n_out in pairwise(case.widths):
        layers += [torch.nn.Linear(n_in, n_out), getattr(torch.nn, case.activation)()]
    net = torch.nn.Sequential(*layers[:-1]).to(getattr(torch, case.dtype))
    loss = torch.nn.MSELoss()
    rule = getattr(torch.optim, optimizer)(net.parameters(), lr=LR)
    x, t = torch.from_numpy(batch.x), torch.from_numpy(batch.t)

    def step() -> None:
        rule.zero_grad()
        loss(net(x), t).backward()
        rule.step()

    return step


def _sklearn(case: Case, batch: Batch, solver: str) -> Step:
    from sklearn.neural_network import MLPRegressor

    regressor = MLPRegressor(
        hidden_layer_sizes=case.widths[1:-1],
        activation={"Sigmoid": "logistic", "ReLU": "relu"}[case.activation],
        solver=solver,
        alpha=0.0,
        batch_size=case.batch,
        learning_rate_init=LR,
        momentum=0.0,
        nesterovs_momentum=False,
        shuffle=False,
    )
    t = batch.t if batch.t.shape[1] > 1 else batch.t[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        regressor.partial_fit(batch.x, t)
    return lambda: regressor.partial_fit(batch.x, t)


PEERS: dict[str, Callable[[Case, Batch], Step]] = {
    "products": products,
    "manualnn SGD": lambda case, batch: _manualnn(case, batch, "SGD"),
    "manualnn Adam": lambda case, batch: _manualnn(case, batch, "Adam"),
    "torch SGD": lambda case, batch: _torch(case, batch, "SGD"),
    "torch Adam": lambda case, batch: _torch(case, batch, "Adam"),
    "scikit-learn SGD": lambda case, batch: _sklearn(case, batch, "sgd"),
    "scikit-learn Adam": lambda case, batch: _sklearn(case, batch, "adam"),
}
