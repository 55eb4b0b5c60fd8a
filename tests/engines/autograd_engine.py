"""HIPS autograd behind the oracle's protocol: its derivatives of NumPy code, and its optimizers.

    manualnn check tests/engines/autograd_engine.py:Engine

The network is written as autograd's own examples write one, with the functions that it has; the
gradients are `autograd.value_and_grad`, the updates `autograd.misc.optimizers`.
"""

from importlib.metadata import version

import autograd
import autograd.numpy as np
from autograd.misc import optimizers
from autograd.scipy.special import expit, logsumexp


class Engine:
    def capabilities(self):
        reductions = {"reduction": ["mean", "sum", "batchmean"]}
        return {
            "name": "autograd",
            "version": version("autograd"),
            "dtypes": ["float32", "float64"],
            "layers": {
                **dict.fromkeys(["Linear", "LeakyReLU", "Softplus", "Dropout"], "any"),
                **{name: {} for name in ("Identity", "Sigmoid", "Tanh", "ReLU", "LogSoftmax")},
            },
            "losses": {
                "MSELoss": reductions,
                "L1Loss": reductions,
                "HuberLoss": {**reductions, "delta": "any"},
                "BCEWithLogitsLoss": {**reductions, "weight": "any", "pos_weight": "any"},
                "CrossEntropyLoss": {"reduction": ["mean", "sum"]},
            },
            "optimizers": {
                "SGD": {"momentum": "any"},
                "RMSprop": {"alpha": "any", "eps": "any"},
                "Adam": {"betas": "any", "eps": "any"},
            },
            "returns": ["loss", "outputs", "grads", "input_grad", "params"],
            "max_steps": 50,
            # ∂max(z, 0)/∂z at a tie is shared between the two.
            "kink": {"ReLU": 0.5},
        }

    def step(self, case):
        def objective(params, x):
            outputs = forward(case, params, x)
            return LOSSES[case.loss["type"]](case.loss, outputs, case.t)

        result = {}

        def derivatives(params, _=0):
            loss, (grads, input_grad) = autograd.value_and_grad(lambda both: objective(*both))(
                (params, case.x)
            )
            outputs = np.array(forward(case, params, case.x))  # not x itself, if nothing is done
            result.update(loss=loss, outputs=outputs, grads=grads, input_grad=input_grad)
            return grads

        if case.optimizer is None:
            derivatives(case.params)
        else:
            rule, names = RULES[case.optimizer["type"]]
            options = {name: case.optimizer[option] for option, name in names.items()}
            if "betas" in case.optimizer:
                options["b1"], options["b2"] = case.optimizer["betas"]
            result["params"] = rule(derivatives, case.params, num_iters=case.steps, **options)
        return result


RULES = {
    "SGD": (optimizers.sgd, {"lr": "step_size", "momentum": "mass"}),
    "RMSprop": (optimizers.rmsprop, {"lr": "step_size", "alpha": "gamma", "eps": "eps"}),
    "Adam": (optimizers.adam, {"lr": "step_size", "eps": "eps"}),
}


def forward(case, params, y):
    for i, layer in enumerate(case.layers):
        if layer["type"] == "Linear":
            y = np.dot(y, params[f"{i}.weight"].T)
            y = y + params[f"{i}.bias"] if layer["bias"] else y
        elif layer["type"] == "Dropout":
            y = y * case.noise[f"{i}.mask"] if case.noise else y
        else:
            y = ACTIVATIONS[layer["type"]](layer, y)
    return y


def softplus(layer, z):
    beta, threshold = layer["beta"], layer["threshold"]
    return np.where(beta * z > threshold, z, np.logaddexp(0, beta * z) / beta)


def log_softmax(z):
    return z - logsumexp(z, axis=1, keepdims=True)


ACTIVATIONS = {
    "Identity": lambda _, z: z,
    "Sigmoid": lambda _, z: expit(z),
    "Tanh": lambda _, z: np.tanh(z),
    "ReLU": lambda _, z: np.maximum(z, 0),
    "LeakyReLU": lambda layer, z: np.where(z > 0, z, layer["negative_slope"] * z),
    "Softplus": softplus,
    "LogSoftmax": lambda _, z: log_softmax(z),
}


def reduced(loss, terms):
    divisor = {"mean": terms.size, "batchmean": len(terms), "sum": 1}
    return np.sum(terms) / divisor[loss["reduction"]]


def huber(loss, y, t):
    error, delta = np.abs(y - t), loss["delta"]
    terms = np.where(error < delta, error**2 / 2, delta * (error - delta / 2))
    return reduced(loss, terms)


def bce_with_logits(loss, y, t):
    weight, pos_weight = (np.asarray(loss[name] or 1.0, y.dtype) for name in WEIGHTS)
    terms = (1 - t) * np.logaddexp(0, y) + pos_weight * t * np.logaddexp(0, -y)
    return reduced(loss, weight * terms)


def cross_entropy(loss, y, t):
    t = t if t.ndim == 2 else np.eye(y.shape[1], dtype=y.dtype)[t]
    total = -np.sum(t * log_softmax(y))
    return total if loss["reduction"] == "sum" else total / len(y)


WEIGHTS = ("weight", "pos_weight")
LOSSES = {
    "MSELoss": lambda loss, y, t: reduced(loss, (y - t) ** 2),
    "L1Loss": lambda loss, y, t: reduced(loss, np.abs(y - t)),
    "HuberLoss": huber,
    "BCEWithLogitsLoss": bce_with_logits,
    "CrossEntropyLoss": cross_entropy,
}
