"""tinygrad behind the oracle's protocol, in float32: its tensors, losses and optimizers.

    manualnn check tests/engines/tinygrad_engine.py:Engine

Its CPU device compiles with clang. Without clang, its PYTHON device interprets, slowly. The
environment variable DEV chooses another device, as always in tinygrad. Compiling takes tenths of a
second for every new shape. So nothing is optimized or checked on the way (`QUICKLY`), and a case
has at most two columns, samples and updates, and one Linear layer.
"""

import os
import shutil
from importlib.metadata import version

if "DEV" not in os.environ:
    os.environ["DEV"] = "CPU" if shutil.which("clang") else "PYTHON"

from tinygrad import Context, Tensor, nn

QUICKLY = Context(TRAINING=1, NOOPT=1, PARALLEL=0, SPEC=0)
"""TRAINING is what its optimizers ask for; the others concern how it compiles."""


class Engine:
    def capabilities(self):
        reductions = {"reduction": ["mean", "sum"]}
        return {
            "name": "tinygrad",
            "version": version("tinygrad"),
            "dtypes": ["float32"],
            "layers": {
                **dict.fromkeys(["Linear", "LeakyReLU"], "any"),
                **{name: {} for name in ("Identity", "Sigmoid", "Tanh", "ReLU")},
                **{name: {} for name in ("Softmax", "LogSoftmax")},
                "Softplus": {"beta": "any"},
            },
            "losses": {
                "MSELoss": reductions,
                "L1Loss": reductions,
                "BCELoss": reductions,
                "BCEWithLogitsLoss": {**reductions, "pos_weight": "any"},
                "CrossEntropyLoss": {
                    **reductions,
                    "label_smoothing": "any",
                    "ignore_index": "any",
                },
            },
            "optimizers": {
                "SGD": dict.fromkeys(["momentum", "weight_decay", "nesterov"], "any"),
                "Adam": {"betas": "any", "eps": "any"},
                "AdamW": {"betas": "any", "eps": "any", "weight_decay": "any"},
            },
            "returns": ["loss", "outputs", "grads", "input_grad", "params", "state"],
            "max_steps": 2,
            "max_width": 2,
            "max_batch": 2,
            "max_depth": 1,
            # leaky_relu takes z itself where z is not below 0.
            "kink": {"LeakyReLU": 1.0},
        }

    @QUICKLY
    def step(self, case):
        x = Tensor(case.x)
        params = {key: Tensor(array).is_param_() for key, array in case.params.items()}
        rule = optimizer(case.optimizer, list(params.values()))
        for _ in range(case.steps):
            for tensor in (x, *params.values()):
                tensor.grad = None
            outputs = forward(case, params, x)
            loss = LOSSES[case.loss["type"]](case.loss, outputs, Tensor(case.t))
            loss.backward()
            # One graph for all of them: alone, each would be computed and compiled from x on.
            Tensor.realize(loss, outputs, x.grad, *(p.grad for p in params.values()))
            result = {
                "loss": loss.item(),
                "outputs": outputs.numpy(),
                "grads": {key: tensor.grad.numpy() for key, tensor in params.items()},
                "input_grad": x.grad.numpy(),
            }
            if rule:
                rule.step()
        kept = {"step": case.steps}
        for name, tensors in state(rule).items():
            kept[name] = {key: t.numpy() for key, t in zip(params, tensors, strict=True)}
        result["params"] = {key: tensor.numpy() for key, tensor in params.items()}
        return result | {"state": kept}


def optimizer(spec, params):
    """Return the rule; None where there is nothing to update, which tinygrad does not take."""
    if not params:
        return None
    options = {name: spec[name] for name in OPTIONS[spec["type"]]}
    if "betas" in spec:
        options["b1"], options["b2"] = spec["betas"]
    return getattr(nn.optim, spec["type"])(params, **options)


OPTIONS = {
    "SGD": ("lr", "momentum", "weight_decay", "nesterov"),
    "Adam": ("lr", "eps"),
    "AdamW": ("lr", "eps", "weight_decay"),
}


def state(rule):
    """SGD is its LARS without the adaption of the rate, Adam and AdamW its LAMB without it."""
    if rule is None:
        return {}
    if isinstance(rule, nn.optim.LARS):
        return {"momentum_buffer": rule.b} if rule.momentum else {}
    return {"exp_avg": rule.m, "exp_avg_sq": rule.v}


def forward(case, params, y):
    for i, layer in enumerate(case.layers):
        if layer["type"] == "Linear":
            y = y.linear(params[f"{i}.weight"].T, params.get(f"{i}.bias"))
        else:
            y = ACTIVATIONS[layer["type"]](layer, y)
    return y


ACTIVATIONS = {
    "Identity": lambda _, z: z,
    "Sigmoid": lambda _, z: z.sigmoid(),
    "Tanh": lambda _, z: z.tanh(),
    "ReLU": lambda _, z: z.relu(),
    "LeakyReLU": lambda layer, z: z.leaky_relu(layer["negative_slope"]),
    "Softplus": lambda layer, z: z.softplus(layer["beta"]),
    "Softmax": lambda _, z: z.softmax(),
    "LogSoftmax": lambda _, z: z.log_softmax(),
}


def reduced(loss, terms):
    return terms.sum() if loss["reduction"] == "sum" else terms.mean()


def bce_with_logits(loss, y, t):
    pos_weight = None if loss["pos_weight"] is None else Tensor(loss["pos_weight"])
    return y.binary_crossentropy_logits(t, loss["reduction"], pos_weight)


def cross_entropy(loss, y, t):
    smoothing, reduction = loss["label_smoothing"], loss["reduction"]
    if t.ndim == 2:
        return y.cross_entropy(t, reduction, smoothing)
    return y.sparse_categorical_crossentropy(t, loss["ignore_index"], smoothing, reduction)


LOSSES = {
    "MSELoss": lambda loss, y, t: reduced(loss, (y - t).square()),
    "L1Loss": lambda loss, y, t: reduced(loss, (y - t).abs()),
    "BCELoss": lambda loss, y, t: y.binary_crossentropy(t, loss["reduction"]),
    "BCEWithLogitsLoss": bce_with_logits,
    "CrossEntropyLoss": cross_entropy,
}
