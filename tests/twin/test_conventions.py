"""Each row of the documentation's tables of conventions, computed by manualnn and by torch."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn, optim

import manualnn as mnn
from manualnn.spec import to_spec
from reference import Twin

pytestmark = pytest.mark.once

PAGE = Path(__file__).parents[2] / ".docs" / "reference" / "conventions.md"
ROW = re.compile(r"^\| (.+?) \| .* \| (-?[\d.e]+) \|$", re.MULTILINE)
ROWS = dict(ROW.findall(PAGE.read_text(encoding="utf-8")))

Numbers = tuple[float, float]
"""A number of manualnn, and the same of torch."""


def slope(name: str, z: float, *, is_value: bool = False, **options: Any) -> Numbers:
    """Return the slope of an activation at z, or its value."""
    layer, x = getattr(mnn, name)(**options), np.array([[z]])
    net = mnn.Sequential(layer)
    own = dict(net.layer_arrays(net.init(0))[0])
    y = layer.forward(own, x)
    ours = layer.backward(own, x, y, np.ones((1, 1)))
    at = torch.tensor([[z]], dtype=torch.float64, requires_grad=True)
    value = getattr(nn, name)(**options).to(at.dtype).eval()(at)
    value.backward()
    return (y.item(), value.item()) if is_value else (ours.item(), at.grad.item())


def loss(name, y, t, *, reduction="sum", **options) -> Numbers:
    """Return a loss of outputs y and targets t."""
    ours = getattr(mnn, name)(reduction, **as_tuples(options)).value(np.array(y), np.array(t))
    theirs = twin(name, reduction, **options)(torch.tensor(y), torch.tensor(t))
    return float(ours), theirs.item()


def loss_slope(name, y, t, **options) -> Numbers:
    """Return the derivative of a loss with respect to the first output."""
    ours = getattr(mnn, name)("sum", **as_tuples(options)).grad(np.array(y), np.array(t))
    at = torch.tensor(y, requires_grad=True)
    twin(name, "sum", **options)(at, torch.tensor(t)).backward()
    return ours.item(0), at.grad.ravel()[0].item()


def twin(name, reduction, **options) -> Callable[..., torch.Tensor]:
    """Return torch's loss, which has no reduction `batchmean`."""
    if reduction == "batchmean":
        return lambda y, t: twin(name, "sum", **options)(y, t) / len(y)
    options = {key: torch.tensor(v) if key == "weight" else v for key, v in options.items()}
    return getattr(nn, name)(reduction=reduction, **options)


def as_tuples(options):
    return {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}


def steps(name, *gradients, theta=0.0, rates=None, **options) -> Numbers:
    """Return a parameter that starts at theta, after a step with each gradient."""
    options = {"lr": 1.0} | options
    net = mnn.Sequential(mnn.Linear(1, 1, bias=False))
    params = net.load_state_dict({"0.weight": [[theta]]})
    trainer = mnn.Trainer(net, mnn.L1Loss("sum"), getattr(mnn, name)(**options), params=params)
    theirs = torch.tensor([[theta]], dtype=torch.float64, requires_grad=True)
    optimizer = getattr(optim, name)([theirs], **options)
    for lr, g in zip(rates or [options["lr"]] * len(gradients), gradients, strict=True):
        trainer.lr = optimizer.param_groups[0]["lr"] = lr
        trainer.step([[-g]], [[9.0]])  # below its target |θx − t| has the derivative −x by θ
        theirs.grad = torch.tensor([[g]], dtype=torch.float64)
        optimizer.step()
    return trainer.params.vector.item(), theirs.item()


def around(gradient: float, theta: float, **options: float) -> Numbers:
    """Return a weight after a step with that gradient, by manualnn and by torch's functions."""
    net = mnn.Sequential(mnn.Linear(1, 1, bias=False))
    params, grads = (net.load_state_dict({"0.weight": [[v]]}) for v in (theta, gradient))
    rule = mnn.SGD(lr=1.0, **options)
    rule.update(params, grads, rule.init(params))
    spec = {**net.spec(), "optimizer": to_spec(rule), "loss": {"type": "L1Loss"}}
    twin = Twin(spec, {"0.weight": [[theta]]})
    x, t = np.array([[-gradient]]), np.array([[99.0]])  # |θx − t| has the derivative −x by θ
    twin.step(x, t)
    return params.vector.item(), twin.state_dict()["0.weight"].item()


def normal(name: str, *sizes: int, x: list[float], at: int, **options: float) -> Numbers:
    """Return an output of a layer that normalises the row x, in float64."""
    net = mnn.Sequential(getattr(mnn, name)(*sizes, **options))
    ours = net.forward(net.init(0), np.array([x], float))
    theirs = getattr(nn, name)(*sizes, **options).double()(torch.tensor([x], dtype=torch.float64))
    return ours[0, at].item(), theirs[0, at].item()


def column(*columns: list[float], name: str = "", **options: Any) -> Numbers:
    """Return the last output of BatchNorm1d in training, or a buffer after these batches."""
    net, theirs = (
        mnn.Sequential(mnn.BatchNorm1d(1, **options)),
        nn.BatchNorm1d(1, **options).double(),
    )
    params = net.init(0)
    for values in columns:
        x = np.array(values, float)[:, None]
        ours, y = net.forward(params, x, noise={}), theirs(torch.tensor(x))
        net.track(params, x, noise={})
    if not name:
        return ours[-1].item(), y[-1].item()
    return params.buffers[f"0.{name}"].item(), getattr(theirs, name).item()


def table_slope(indices: list[float], **options: Any) -> Numbers:
    """Return the gradient of row 0 of a table of two rows, of the sum of the outputs."""
    net, x = mnn.Sequential(mnn.Embedding(2, 1, **options)), np.array([indices])
    zeros = np.zeros((1, len(indices)))
    _, grads = net.value_and_grad(net.init(0), mnn.MSELoss("sum"), x, zeros)
    layer, dw = net.layers[0], grads["0.weight"]
    layer.backward_params({}, x, zeros, np.ones_like(zeros), {"weight": dw})
    theirs = nn.Embedding(2, 1, **options).double()
    theirs(torch.tensor(x).long()).sum().backward()
    assert theirs.weight.grad is not None
    return dw[0, 0].item(), theirs.weight.grad[0, 0].item()


def kept_inputs(p: float) -> Numbers:
    """Return the largest factor of an input, among a hundred."""
    masks = mnn.Sequential(mnn.Dropout(p)).sample(0, np.ones((100, 1)))
    theirs = nn.Dropout(p)(torch.ones(100, dtype=torch.float64))
    return masks["0.mask"].max(), theirs.max().item()


def dropped_input(p: float) -> Numbers:
    """Return what AlphaDropout makes of a dropped input, the smallest of a hundred outputs."""
    net, x = mnn.Sequential(mnn.AlphaDropout(p)), np.ones((100, 1))
    ours = net.forward(net.init(0), x, noise=net.sample(0, x))
    return ours.min(), nn.AlphaDropout(p)(torch.ones(100, dtype=torch.float64)).min().item()


PAIRS, ZEROS = [[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]
TWO_CLASSES = {"y": ZEROS, "t": [0, 1], "reduction": "mean"}

NUMBERS: dict[str, Callable[[], Numbers]] = {
    "The slope of `ReLU` at 0 is 0": lambda: slope("ReLU", 0.0),
    "The slope of `LeakyReLU` at 0 is its `negative_slope`": lambda: slope("LeakyReLU", 0.0),
    "The slope of `ELU` at 0 is its `alpha`": lambda: slope("ELU", 0.0, alpha=2.0),
    "The slope of `SELU` at 0 is λ α": lambda: slope("SELU", 0.0),
    "The slope of `Hardtanh` and `ReLU6` at a bound is 0": lambda: slope("Hardtanh", 1.0),
    "The slope of `Hardsigmoid` at ±3 is 0": lambda: slope("Hardsigmoid", 3.0),
    "The slope of `Hardswish` at −3 is 0": lambda: slope("Hardswish", -3.0),
    "and at 3 it is 1": lambda: slope("Hardswish", 3.0),
    "The slope of `Softshrink` and `Hardshrink` at ±`lambd` is 0": lambda: slope("Softshrink", 0.5),
    "The slope of `Threshold` at its threshold is 0": lambda: slope(
        "Threshold", 1.0, threshold=1.0, value=2.0
    ),
    "and its value there is `value`": lambda: slope(
        "Threshold", 1.0, threshold=1.0, value=2.0, is_value=True
    ),
    "`GELU` is z Φ(z) unless you say otherwise": lambda: slope("GELU", 1.0, is_value=True),
    'with `approximate="tanh"`, it is ½ z (1 + tanh(√(2/π) (z + 0.044715 z³)))': lambda: slope(
        "GELU", 1.0, is_value=True, approximate="tanh"
    ),
    "The slope of `GELU` at 0 is ½, in both forms": lambda: slope("GELU", 0.0, approximate="tanh"),
    "The slope of `Mish` at 0 is tanh(log 2)": lambda: slope("Mish", 0.0),
    "The slope of `L1Loss` at y = t is 0": lambda: loss_slope("L1Loss", [[1.0]], [[1.0]]),
    "`SmoothL1Loss` with β = 0 is `L1Loss`": lambda: loss_slope(
        "SmoothL1Loss", [[1.0]], [[1.0]], beta=0.0
    ),
    "`Softplus` is z where βz > 20": lambda: slope("Softplus", 21.0, is_value=True),
    "`BCELoss` limits each logarithm to −100": lambda: loss("BCELoss", [[0.0]], [[1.0]]),
    "`BCELoss` limits the divisor of its slope to 10⁻¹²": lambda: loss_slope(
        "BCELoss", [[0.0]], [[1.0]]
    ),
    "`KLDivLoss` of a target 0 is 0": lambda: loss("KLDivLoss", [[-3.0]], [[0.0]]),
    "The slope of `HingeEmbeddingLoss` at y = `margin` is −1 for t = −1": lambda: loss_slope(
        "HingeEmbeddingLoss", [[1.0]], [[-1.0]]
    ),
    "The slope of `PReLU` at 0 is its weight": lambda: slope("PReLU", 0.0),
    "`RReLU` in prediction has the mean slope": lambda: slope(
        "RReLU", -2.0, lower=0.1, upper=0.3, is_value=True
    ),
    "The slope of `MultiMarginLoss` is 0 where an output is `margin` below the target's": lambda: (
        loss_slope("MultiMarginLoss", [[0.0, 1.0]], [1])
    ),
    "The slope of `MultiLabelMarginLoss` is 0 where an output is 1 below a target's": lambda: (
        loss_slope("MultiLabelMarginLoss", [[0.0, 1.0]], [[1, -1]])
    ),
    "Its targets end before the first −1": lambda: loss(
        "MultiLabelMarginLoss", [[0.0] * 4], [[1, -1, 0, -1]]
    ),
    "A target that stands twice before it counts twice": lambda: loss(
        "MultiLabelMarginLoss", [[0.0] * 4], [[1, 1, -1, -1]]
    ),
    "`Dropout` divides what it keeps by 1 − p": lambda: kept_inputs(0.75),
    "`AlphaDropout` has the constant α of SELU": lambda: dropped_input(0.5),
    "`LayerNorm` divides the squares by their number": lambda: normal(
        "LayerNorm", 3, x=[1, 3, 5], at=2, eps=0.0
    ),
    "ε of `LayerNorm` is inside of the root": lambda: normal(
        "LayerNorm", 2, x=[1, 3], at=1, eps=3.0
    ),
    "`LayerNorm` of a constant row is 0": lambda: normal("LayerNorm", 2, x=[1, 1], at=0),
    "ε of `RMSNorm` is the spacing of the dtype at 1": lambda: normal(
        "RMSNorm", 2, x=[2**-26, 2**-26], at=0
    ),
    "`GroupNorm` takes neighbouring channels": lambda: normal(
        "GroupNorm", 2, 4, x=[1, 3, 10, 14], at=1, eps=0.0
    ),
    "`BatchNorm1d` divides the squares of a batch by their number": lambda: column([1, 3], eps=3.0),
    "`running_var` of `BatchNorm1d` is unbiased": lambda: column(
        [1, 3], name="running_var", momentum=0.5
    ),
    "`momentum` of `BatchNorm1d` is the share of the batch": lambda: column(
        [1, 3], name="running_mean", momentum=0.25
    ),
    "`momentum=None` is the mean over all batches": lambda: column(
        [1, 3], [5, 7], name="running_mean", momentum=None
    ),
    "`Embedding` adds the gradients of an index that comes twice": lambda: table_slope([0.0, 0.0]),
    "`scale_grad_by_freq` divides them by their number": lambda: table_slope(
        [0.0, 0.0], scale_grad_by_freq=True
    ),
    "Row `padding_idx` has no gradient": lambda: table_slope([0.0, 1.0], padding_idx=0),
    "`MSELoss` has no ½": lambda: loss("MSELoss", [[3.0]], [[1.0]]),
    "The slope of `MSELoss` has the 2": lambda: loss_slope("MSELoss", [[3.0]], [[1.0]]),
    "`HuberLoss` has a ½": lambda: loss("HuberLoss", [[0.5]], [[0.0]]),
    "`HuberLoss` of a large error has the factor δ": lambda: loss(
        "HuberLoss", [[5.0]], [[0.0]], delta=2.0
    ),
    "`SmoothL1Loss` is `HuberLoss` divided by β": lambda: loss(
        "SmoothL1Loss", [[5.0]], [[0.0]], beta=2.0
    ),
    "`mean` divides by samples times outputs": lambda: loss(
        "MSELoss", PAIRS, ZEROS, reduction="mean"
    ),
    "`batchmean` divides by samples": lambda: loss("MSELoss", PAIRS, ZEROS, reduction="batchmean"),
    "`CrossEntropyLoss` with `mean` divides by samples": lambda: loss(
        "CrossEntropyLoss", [[0.0] * 4] * 2, [0, 1], reduction="mean"
    ),
    "with class weights, it divides by the sum of the samples' weights": lambda: loss(
        "CrossEntropyLoss", **TWO_CLASSES, weight=[1.0, 3.0]
    ),
    "`MultiLabelSoftMarginLoss` with `sum` divides by the outputs": lambda: loss(
        "MultiLabelSoftMarginLoss", [[0.0] * 4] * 2, [[0.0] * 4] * 2, reduction="sum"
    ),
    "`NLLLoss` takes logarithms of probabilities, and has no softmax": lambda: loss(
        "NLLLoss", [[-1.0, -2.0]], [1]
    ),
    "`label_smoothing` ε gives ε/K to every class": lambda: loss_slope(
        "CrossEntropyLoss", [[0.0, 0.0]], [0], label_smoothing=0.5
    ),
    "`weight_decay` λ adds λθ to the gradient, as a penalty ½ λθ² does": lambda: steps(
        "SGD", 0.0, theta=1.0, weight_decay=0.1
    ),
    "`AdamW` shrinks θ by lr λ": lambda: steps("AdamW", 0.0, theta=1.0, lr=0.5, weight_decay=0.1),
    "The first step of momentum has no dampening": lambda: steps(
        "SGD", 1.0, momentum=0.9, dampening=0.5
    ),
    "later steps have it": lambda: steps("SGD", 1.0, 1.0, momentum=0.9, dampening=0.5),
    "The learning rate is outside of the momentum buffer": lambda: steps(
        "SGD", 1.0, 1.0, momentum=0.5, rates=[1.0, 0.0]
    ),
    "`nesterov` adds μ times the new buffer to the gradient": lambda: steps(
        "SGD", 1.0, momentum=0.5, nesterov=True
    ),
    "ε of `Adam` is outside of the root, after the correction": lambda: steps("Adam", 1.0, eps=1.0),
    "`AMSGrad` takes the maximum of the averages before their correction": lambda: steps(
        "Adam", 1.0, 0.5, betas=(0.0, 0.5), eps=0.0, amsgrad=True
    ),
    "ε of `RMSprop` is outside of the root, and its average starts at 0": lambda: steps(
        "RMSprop", 1.0, alpha=0.75, eps=1.0
    ),
    "`RMSprop` with `centered` subtracts the squared mean": lambda: steps(
        "RMSprop", 1.0, alpha=0.75, eps=1.0, centered=True
    ),
    "ε of `Adagrad` is outside of the root": lambda: steps("Adagrad", 1.0, eps=1.0),
    "`lr_decay` of `Adagrad` begins with the second step": lambda: steps(
        "Adagrad", 1.0, 1.0, lr_decay=1.0, eps=0.0
    ),
    "ε of `Adadelta` is inside of both roots": lambda: steps("Adadelta", 1.0, rho=0.75, eps=1.0),
    "`Adadelta` averages its steps without the learning rate": lambda: steps(
        "Adadelta", 1.0, 1.0, lr=0.5, rho=0.75, eps=1.0
    ),
    "The momentum of `NAdam` begins with β₁/2": lambda: steps(
        "NAdam", 1.0, 0.5, betas=(0.5, 0.0), eps=0.0, momentum_decay=0.0
    ),
    "`RAdam` divides by the root where ρₜ > 5": lambda: steps(
        "RAdam", *[1.0] * 6, betas=(0.0, 0.9), eps=0.0
    ),
    "ε of `RAdam` is outside of the root, before the correction": lambda: steps(
        "RAdam", *[1.0] * 6, betas=(0.0, 0.9), eps=1.0
    ),
    "The rate of `ASGD` falls from the second step on": lambda: steps(
        "ASGD", 1.0, 2.0, lambd=1.0, alpha=1.0
    ),
    "`Rprop` begins with steps of lr, whatever the gradient": lambda: steps("Rprop", 4.0, lr=0.5),
    "`Rprop` leaves out the step where the sign changes": lambda: steps("Rprop", 1.0, -1.0, lr=0.5),
    "the next step goes on with a smaller size, which does not change": lambda: steps(
        "Rprop", 1.0, -1.0, -1.0, -1.0, lr=0.5
    ),
    "`Rprop` limits the first step as well": lambda: steps("Rprop", 1.0, lr=100.0),
    "ε of `Adamax` is inside of the maximum": lambda: steps("Adamax", 1.0, eps=1.0),
    "`Muon` averages the gradient, B ← μB + (1 − μ)g": lambda: steps(
        "Muon", 0.5, momentum=0.5, nesterov=False, ns_steps=0, eps=1.0
    ),
    "ε of `Muon` is a lower limit of the norm, and not added": lambda: steps(
        "Muon", 2.0, momentum=0.0, ns_steps=0, eps=1.0
    ),
    "`l1` λ adds λ sign(θ), and sign(0) is 0": lambda: around(0.0, theta=0.0, l1=0.5),
    "`l2` λ adds 2λθ, twice as much as `weight_decay`": lambda: around(0.0, theta=1.0, l2=0.1),
    "`max_norm` divides by the norm plus 10⁻⁶": lambda: around(3.0, theta=0.0, max_norm=1.0),
    "`max_norm` and `clip_value` see the penalty's gradient": lambda: around(
        -1.0, theta=1.0, l2=2.0, clip_value=1.0
    ),
    "and not the decay of `weight_decay`": lambda: around(
        -1.0, theta=1.0, weight_decay=2.0, clip_value=1.0
    ),
}


def test_every_row_is_computed():
    assert list(NUMBERS) == list(ROWS)


@pytest.mark.parametrize("row", NUMBERS)
def test_row_is_true_of_both(row):
    assert NUMBERS[row]() == pytest.approx((float(ROWS[row]),) * 2, rel=1e-8, abs=0)


def test_gelu_differs_from_torchs_far_from_0():
    for z, expected in ((1e160, 1.0), (-1e160, 0.0)):
        ours, theirs = slope("GELU", z, approximate="tanh")
        assert ours == expected
        assert np.isnan(theirs)
    ours, theirs = slope("GELU", -12.0, is_value=True)
    assert ours == pytest.approx(-6 * math.erfc(12 / math.sqrt(2)), rel=1e-14)
    assert ours == pytest.approx(-2.131778534493215e-32, rel=1e-14)
    assert theirs == 0


HINGES = {
    "HingeEmbeddingLoss": ("HingeEmbeddingLoss", [[-1.0] * 4], {}, math.nan),
    "MultiMarginLoss": ("MultiMarginLoss", [1], {}, 0.125),
    "MultiMarginLoss, squared": ("MultiMarginLoss", [1], {"p": 2}, 0.0625),
    "MultiLabelMarginLoss": ("MultiLabelMarginLoss", [[1, -1, -1, -1]], {}, 0.125),
}


@pytest.mark.parametrize("name", HINGES)
def test_a_hinge_of_nan_is_nan_where_torch_may_have_0(name):
    """Of the hinges of classes, ½ is the only positive one beside NaN; it is divided by K = 4."""
    kind, target, options, expected = HINGES[name]
    ours, theirs = loss(kind, [[math.nan, 1.0, 0.5, -1.0]], target, **options)
    assert math.isnan(ours)
    assert theirs == pytest.approx(expected, nan_ok=True)
