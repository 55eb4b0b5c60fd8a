"""What the functions of manualnn.plot refuse, and what they say."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

import manualnn as mnn
from manualnn import plot
from manualnn.errors import DomainError, DTypeError, ShapeError, SpecError

X = np.random.default_rng(0).normal(size=(40, 2))
T = (X[:, 0] * X[:, 1] > 0).astype(int)
NET = mnn.Sequential(mnn.Linear(2, 6), mnn.ReLU(), mnn.Linear(6, 2))

BAD = {
    "ax": lambda: plot.loss(mnn.History([1.0]), "axes"),
    "several axes": lambda: plot.loss(mnn.History([1.0]), Figure().subplots(2)),
    "no history": lambda: plot.loss([1.0]),
    "no epoch": lambda: plot.loss(mnn.History()),
    "lengths": lambda: plot.confusion_matrix([1], [1, 2]),
    "mixed labels": lambda: plot.confusion_matrix(np.array([1, "a"], object), [1, 2]),
    "no rows": lambda: plot.residuals([], []),
    "texts": lambda: plot.residuals(["a"], [1.0]),
    "not finite": lambda: plot.prediction_error([np.nan], [1.0]),
    "normalize": lambda: plot.confusion_matrix([1], [1], normalize="rows"),
    "three inputs": lambda: plot.decision_boundary(len, np.ones((4, 3))),
    "inputs not finite": lambda: plot.decision_boundary(len, [[np.inf, 1]]),
    "no model": lambda: plot.decision_boundary(3, X),
    "a regression": lambda: plot.decision_boundary(lambda x: x[:, 0], X),
    "too few classes": lambda: plot.decision_boundary(lambda x: x[1:, 0], X),
    "resolution": lambda: plot.decision_boundary(lambda x: x[:, 0], X, resolution=1),
    "targets": lambda: plot.decision_boundary(lambda x: x[:, 0] > 0, X, T[1:]),
    "other params": lambda: plot.network(NET, mnn.Sequential(mnn.Linear(1, 1)).init(0)),
    "no weights": lambda: plot.network(mnn.Sequential(mnn.Tanh())),
    "no network": lambda: plot.network("net"),
    "most": lambda: plot.network(NET, most=0),
    "no samples": lambda: plot.activations(NET, NET.init(0), X[:0]),
    "no gradient": lambda: plot.gradients(
        mnn.Sequential(mnn.Tanh()), mnn.Sequential(mnn.Tanh()).init(0), mnn.MSELoss(), X, X
    ),
    "a range beyond all numbers": lambda: plot.activations(
        mnn.Sequential(mnn.Identity()), mnn.Sequential(mnn.Tanh()).init(0), [[-1.7e308], [1.7e308]]
    ),
    "bins": lambda: plot.activations(NET, NET.init(0), X, bins=0),
    "no trainer": lambda: plot.range_test(NET, X, T),
    "rates": lambda: plot.range_test(mnn.Trainer(NET, mnn.MSELoss(), mnn.SGD()), X, X, lr_min=20),
    "no range test": lambda: plot.learning_rate_range(mnn.History([1.0])),
    "a trainer": lambda: plot.learning_rate_range(mnn.Trainer(NET, mnn.MSELoss(), mnn.SGD())),
    "ragged labels": lambda: plot.confusion_matrix([[1], [2, 3]], [1, 2]),
    "a label twice": lambda: plot.confusion_matrix([1, 2], [1, 2], labels=[1, 1, 2]),
    "a class that is no number": lambda: plot.decision_boundary(
        lambda x: x[:, 0] > 0, X, T * np.nan
    ),
    "ragged inputs": lambda: plot.decision_boundary(len, [[1, 2], [3]]),
    "inputs of texts": lambda: plot.decision_boundary(len, [["a", "b"]]),
    "one name": lambda: plot.decision_boundary(lambda x: x[:, 0] > 0, X, names=["a"]),
    "no net": lambda: plot.activations(None, NET.init(0), X),
}


REFUSED = {
    "ax": (SpecError, "ax must be one Axes of Matplotlib, got 'axes'"),
    "several axes": (SpecError, "ax must be one Axes of Matplotlib, got array("),
    "no history": (SpecError, "the History that fit returned, or the path of a log, got [1.0]"),
    "no epoch": (SpecError, "has no epoch to draw; train for at least one"),
    "lengths": (ShapeError, "must have one entry for each row, got 1 and 2"),
    "mixed labels": (DomainError, "labels must be all texts or all numbers"),
    "no rows": (ShapeError, "y_true must have shape (N,), with N of at least 1, got (0,)"),
    "texts": (DTypeError, "y_true must be an array of real numbers"),
    "not finite": (DomainError, "y_true must be finite, got nan at index (0,)"),
    "normalize": (SpecError, "normalize must be one of true, pred, all, got 'rows'"),
    "three inputs": (ShapeError, "x of shape (N, 2), with N of at least 1, got (4, 3)"),
    "inputs not finite": (DomainError, "x must be finite, got inf at index (0, 0)"),
    "no model": (SpecError, "expected a Trainer, an object with predict, or a function, got 3"),
    "a regression": (SpecError, "more than 100 different numbers; pass a classifier"),
    "too few classes": (ShapeError, "the model predicted 39999 classes for 40000 places"),
    "resolution": (SpecError, "resolution must be an integer of at least 2, got 1"),
    "targets": (ShapeError, "one class for each of the 40 rows of x, got 39"),
    "other params": (ShapeError, "got {'0.weight': (1, 1), '0.bias': (1,)}"),
    "no weights": (SpecError, "needs a network with a Linear layer, got Sequential(Tanh())"),
    "no network": (SpecError, "expected a Sequential, such as trainer.net, got 'net'"),
    "most": (SpecError, "most must be an integer of at least 1, got 0"),
    "no samples": (ShapeError, "activations need at least one sample and one layer"),
    "no gradient": (ShapeError, "Sequential(Tanh()) has no parameters"),
    "a range beyond all numbers": (DomainError, "the range of the outputs of layer 0"),
    "bins": (SpecError, "bins must be an integer of at least 1, got 0"),
    "no trainer": (SpecError, "a range test needs a Trainer, got Sequential("),
    "rates": (SpecError, "expected 0 < lr_min < lr_max, got 20 and 10.0"),
    "no range test": (SpecError, "expected the result of range_test"),
    "a trainer": (SpecError, "expected the result of range_test"),
    "ragged labels": (ShapeError, "y_true must have rows of the same length"),
    "a label twice": (DomainError, "labels must be distinct, got [1, 1, 2]"),
    "a class that is no number": (DomainError, "t must be finite, got nan at index (0,)"),
    "ragged inputs": (ShapeError, "x must have rows of the same length"),
    "inputs of texts": (DTypeError, "x must be an array of real numbers"),
    "one name": (SpecError, "names must be two texts, got ['a']"),
    "no net": (SpecError, "expected a Sequential, such as trainer.net, got None"),
}


def test_each_bad_argument_has_its_message():
    assert BAD.keys() == REFUSED.keys()


@pytest.mark.parametrize("what", BAD)
def test_bad_arguments_are_refused(what):
    kind, message = REFUSED[what]
    with pytest.raises(kind, match=re.escape(message)):
        BAD[what]()
