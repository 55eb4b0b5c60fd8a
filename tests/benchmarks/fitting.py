"""Training on scikit-learn's digits, until a given share of the test digits is correct.

The same for every peer: 64-64-10, ReLU, cross-entropy, Adam with lr 0.001, batches of 32; 1,437
digits to train on, and 360 test digits that are checked after every epoch. A call has a new seed.
"""

from itertools import count
from typing import ClassVar

import numpy as np

from manualnn.benchmark.cases import Case
from manualnn.benchmark.peers import ManualNN, Peer, Run, Torch

CASE = Case((64, 64, 10), 32, "float32", "ReLU", "Adam")
ACCURACY = 0.95
EPOCHS = 200
"""Largest number of epochs; all peers need about ten."""


def digits(dtype):
    """Return the digits to train on and the test digits: x, t, x, t."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x, t = (data.data[order] / 16).astype(dtype), data.target[order]
    return x[:-360], t[:-360], x[-360:], t[-360:]


class FitManualNN(Peer):
    name = ManualNN.name
    needs: ClassVar = {"sklearn": "scikit-learn"}

    def fit(self, case, batch):
        del batch
        import manualnn as mnn

        x, t, held_x, held_t = digits(case.dtype)
        seeds = count()

        def is_accurate(trainer, _):
            return np.mean(trainer.predict(held_x).argmax(1) == held_t) >= ACCURACY

        def call():
            net = mnn.Sequential(mnn.Linear(64, 64), mnn.ReLU(), mnn.Linear(64, 10))
            trainer = mnn.Trainer(
                net, mnn.CrossEntropyLoss(), mnn.Adam(), seed=next(seeds), dtype=case.dtype
            )
            history = trainer.fit(
                x, t, epochs=EPOCHS, batch_size=case.batch, callbacks=is_accurate, progress=False
            )
            assert history.stopped == "callback"

        return Run(call)


class FitTorch(Peer):
    name = Torch.name
    needs: ClassVar = {"torch": "torch", "sklearn": "scikit-learn"}

    def fit(self, case, batch):
        del batch
        import torch

        x, t, held_x, held_t = map(torch.from_numpy, digits(case.dtype))
        loss, seeds = torch.nn.CrossEntropyLoss(), count()

        def accuracy(net):
            with torch.inference_mode():
                return (net(held_x).argmax(1) == held_t).float().mean().item()

        def epoch(net, rule):
            for rows in torch.randperm(len(x)).split(case.batch):
                rule.zero_grad(set_to_none=True)
                loss(net(x[rows]), t[rows]).backward()
                rule.step()

        def call():
            torch.manual_seed(next(seeds))
            net = torch.nn.Sequential(
                torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
            )
            rule = torch.optim.Adam(net.parameters(), fused=True)
            for _ in range(EPOCHS):
                epoch(net, rule)
                if accuracy(net) >= ACCURACY:
                    return
            raise AssertionError

        return Run(call, "fused")


class FitScikitLearn(Peer):
    name = "scikit-learn"
    needs: ClassVar = {"sklearn": "scikit-learn"}

    def fit(self, case, batch):
        del batch
        from sklearn.neural_network import MLPClassifier

        x, t, held_x, held_t = digits(case.dtype)
        seeds, classes = count(), np.unique(t)

        def call():
            classifier = MLPClassifier((64,), alpha=0, batch_size=32, random_state=next(seeds))
            for _ in range(EPOCHS):
                classifier.partial_fit(x, t, classes=classes)
                if np.mean(classifier.predict(held_x) == held_t) >= ACCURACY:
                    return
            raise AssertionError

        return Run(call)


FITTERS = (FitManualNN, FitTorch, FitScikitLearn)
