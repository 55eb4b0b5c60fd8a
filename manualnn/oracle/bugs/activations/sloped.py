"""Bugs of rectifiers whose slope below 0 is learned, or random in training."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("activations")

BUGS["prelu-gradient-of-every-input"] = bug(
    "The gradient of PReLU's weight contains the inputs above 0.",
    lines=("dW = Σ da ⊙ z", "dW = Σ da ⊙ min(z, 0)"),
    prelu_terms=lambda e, o, z, da: da * z,
)
BUGS["prelu-gradient-of-positive-inputs"] = bug(
    "The gradient of PReLU's weight is that of the inputs above 0.",
    lines=("dW = Σ da ⊙ max(z, 0)", "dW = Σ da ⊙ min(z, 0)"),
    prelu_terms=lambda e, o, z, da: da * np.maximum(z, 0),
)
BUGS["prelu-gradient-of-the-sign"] = bug(
    "The gradient of PReLU's weight lacks the factor z.",
    lines=("dW = Σ da ⊙ [z < 0]", "dW = Σ da ⊙ min(z, 0)"),
    prelu_terms=lambda e, o, z, da: da * (z < 0),
)
BUGS["prelu-gradient-averaged"] = bug(
    "The gradient of PReLU's weight is averaged over the samples.",
    lines=("dW = (1/N) Σ da ⊙ min(z, 0)", "dW = Σ da ⊙ min(z, 0)"),
    prelu_terms=lambda e, o, z, da: Textbook.prelu_terms(e, o, z, da) / len(z),
)
BUGS["prelu-weight-not-learned"] = bug(
    "The slope of PReLU is its initial value, and its gradient is 0.",
    lines=("a = max(z, 0) + init · min(z, 0), dW = 0", "a = max(z, 0) + W min(z, 0)"),
    prelu_weight=lambda e, o: e.array([o.init]),
    prelu_terms=lambda e, o, z, da: 0 * z,
)
BUGS["prelu-slope-at-zero"] = bug(
    "The slope of PReLU at 0 is 1.",
    lines=("prelu′(0) = 1", "prelu′(0) = W"),
    prelu_slope=lambda e, o, z: np.where(z >= 0, e.array(1), e.prelu_weight(o)),
)
BUGS["rrelu-mean-in-training"] = bug(
    "RReLU has the mean slope in training as well.",
    lines=("s = (lower + upper) / 2", "s as drawn"),
    rrelu_drawn=lambda e, o: None,
)
BUGS["rrelu-mean-in-backward"] = bug(
    "The backward pass of RReLU has the mean slope, the forward pass the drawn one.",
    lines=("dz = da ⊙ (1 for z > 0, else (lower + upper) / 2)", "dz = da ⊙ (1 for z > 0, else s)"),
    rrelu_slope=lambda e, o, z: np.where(z > 0, e.array(1), e.rrelu_mean(o)),
)
BUGS["rrelu-slope-at-zero"] = bug(
    "The slope of RReLU at 0 is 1.",
    lines=("rrelu′(0) = 1", "rrelu′(0) = s, as drawn"),
    source="chainer",
    rrelu_slope=lambda e, o, z: np.where(z == 0, e.array(1), Textbook.rrelu_slope(e, o, z)),
)
BUGS["rrelu-bound-in-prediction"] = bug(
    "RReLU has the slope lower, or upper, in prediction.",
    lines=("s = lower, or upper", "s = (lower + upper) / 2"),
    rrelu_mean=[lambda e, o: e.array(o.lower), lambda e, o: e.array(o.upper)],
)
