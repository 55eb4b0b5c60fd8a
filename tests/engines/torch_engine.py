"""PyTorch as an engine: torch.nn and torch.optim, with every gradient from torch.autograd.

    manualnn check tests/engines/torch_engine.py:Engine

Everything is claimed except the reduction `batchmean`, which torch's losses do not have.
"""

import numpy as np
import torch
from torch import nn

LOSSES = {
    "MSELoss": (),
    "L1Loss": (),
    "HuberLoss": ("delta",),
    "BCELoss": ("weight",),
    "BCEWithLogitsLoss": ("weight", "pos_weight"),
    "CrossEntropyLoss": ("weight", "ignore_index", "label_smoothing"),
}
LAYERS = [
    *("Linear", "Identity", "Sigmoid", "Tanh", "ReLU", "LeakyReLU", "Softplus"),
    *("Softmax", "LogSoftmax", "Dropout"),
]


class GivenDropout(nn.Module):
    """Dropout with the case's mask, for nn.Dropout draws its own; as it predicts without one."""

    def __init__(self, mask):
        super().__init__()
        self.mask = mask

    def forward(self, x):
        return x if self.mask is None else x * self.mask


class Engine:
    def __init__(self):
        torch.set_num_threads(1)

    def capabilities(self):
        return {
            "name": "PyTorch",
            "version": torch.__version__.partition("+")[0],
            "dtypes": ["float32", "float64"],
            "layers": dict.fromkeys(LAYERS, "any"),
            "losses": {
                name: {"reduction": ["mean", "sum"], **dict.fromkeys(options, "any")}
                for name, options in LOSSES.items()
            },
            "optimizers": dict.fromkeys(("SGD", "RMSprop", "Adagrad", "Adam", "AdamW"), "any"),
            "returns": ["loss", "grads", "params", "outputs", "input_grad", "state"],
            "accepts_state": True,
            "max_steps": 10_000,
            "empty_batch": True,
        }

    def step(self, case):
        dtype = getattr(torch, case.dtype)
        noise = case.noise or {}
        layers = []
        for i, spec in enumerate(case.layers):
            mask = noise.get(f"{i}.mask")
            dropout = GivenDropout(mask if mask is None else tensor(mask, dtype))
            layers.append(dropout if spec["type"] == "Dropout" else make(nn, spec))
        net = nn.Sequential(*layers).to(dtype)
        net.load_state_dict({key: tensor(array, dtype) for key, array in case.params.items()})
        params = dict(net.named_parameters())
        weights = {
            name: torch.tensor(case.loss[name], dtype=dtype)
            for name in ("weight", "pos_weight")
            if case.loss.get(name) is not None
        }
        own = {name: value for name, value in case.loss.items() if name != "factor"}  # always 1
        loss = make(nn, {**own, **weights})
        rule = None
        if case.optimizer and params:  # torch refuses to make a rule for nothing
            rule = make(torch.optim, case.optimizer, params.values())
            load(rule, params, case.state)
        x = tensor(case.x, dtype).requires_grad_()
        t = tensor(case.t, dtype if np.asarray(case.t).dtype.kind == "f" else torch.int64)
        for _ in range(case.steps):
            y = net(x)
            value = loss(y, t)
            dx, *grads = torch.autograd.grad(value, [x, *params.values()])
            for p, g in zip(params.values(), grads, strict=True):
                p.grad = g
            if rule:
                rule.step()
        named = dict(zip(params, grads, strict=True))
        result = {"loss": value, "outputs": y, "input_grad": dx, "grads": named}
        if case.optimizer:
            steps = case.steps + (case.state["step"] if case.state else 0)
            result |= {"params": params, "state": {"step": steps, **kept(rule, params)}}
        return numpy(result)


def make(module, spec, *arguments):
    options = {name: value for name, value in spec.items() if name != "type"}
    return getattr(module, spec["type"])(*arguments, **options)


def load(rule, params, state):
    """Make the rule go on from state["step"] updates, if there are any."""
    if state and state["step"]:
        for key, p in params.items():
            own = {n: tensor(a[key], p.dtype) for n, a in state.items() if n != "step"}
            rule.state[p] = {"step": torch.tensor(float(state["step"])), **own}


def kept(rule, params):
    """Return what the rule keeps, {name: {key: tensor}}; torch counts the steps there, too."""
    named = {}
    for key, p in params.items():
        for name, value in rule.state[p].items():
            if name != "step" and value is not None:
                named.setdefault(name, {})[key] = value
    return named


def tensor(array, dtype):
    return torch.tensor(np.array(array), dtype=dtype)


def numpy(result):
    if isinstance(result, dict):
        return {name: numpy(value) for name, value in result.items()}
    return result.detach().numpy() if isinstance(result, torch.Tensor) else result
