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
            outputs = forward(case, params, case.x)
            result.update(loss=loss, outputs=outputs, grads=grads, input_grad=input_grad)
            return grads

        if case.optimizer is None:
            derivatives(case.params)
        else:
            options = {
                NAMES[option]: value for option, value in flat(case.optimizer) if option in NAMES
            }
            rule = RULES[case.optimizer["type"]]
            result["params"] = rule(derivatives, case.params, num_iters=case.steps, **options)
        return result


RULES = {"SGD": optimizers.sgd, "RMSprop": optimizers.rmsprop, "Adam": optimizers.adam}
DEFAULTS = {"SGD": {"lr": 0.001, "momentum": 0.0}, "RMSprop": {"lr": 0.01, "alpha": 0.99}}
NAMES = {"lr": "step_size", "momentum": "mass", "alpha": "gamma", "eps": "eps"}
NAMES |= {"beta1": "b1", "beta2": "b2"}


def flat(optimizer):
    """The options as autograd takes them: torch's defaults, and two betas instead of a pair."""
    options = {**DEFAULTS.get(optimizer["type"], {}), **optimizer}
    beta1, beta2 = options.pop("betas", (0.9, 0.999))
    if optimizer["type"] == "Adam":
        options |= {"beta1": beta1, "beta2": beta2}
    return options.items()


def forward(case, params, y):
    for i, layer in enumerate(case.layers):
        if layer["type"] == "Linear":
            y = np.dot(y, params[f"{i}.weight"].T)
            y = y + params[f"{i}.bias"] if layer.get("bias", True) else y
        elif layer["type"] == "Dropout":
            y = y * case.noise[f"{i}.mask"] if case.noise else y
        else:
            y = ACTIVATIONS[layer["type"]](layer, y)
    return y


def softplus(layer, z):
    beta, threshold = layer.get("beta", 1.0), layer.get("threshold", 20.0)
    return np.where(beta * z > threshold, z, np.logaddexp(0, beta * z) / beta)


def log_softmax(z):
    return z - logsumexp(z, axis=1, keepdims=True)


ACTIVATIONS = {
    "Identity": lambda _, z: z,
    "Sigmoid": lambda _, z: expit(z),
    "Tanh": lambda _, z: np.tanh(z),
    "ReLU": lambda _, z: np.maximum(z, 0),
    "LeakyReLU": lambda layer, z: np.where(z > 0, z, layer.get("negative_slope", 0.01) * z),
    "Softplus": softplus,
    "LogSoftmax": lambda _, z: log_softmax(z),
}


def reduced(loss, terms):
    divisor = {"mean": terms.size, "batchmean": len(terms), "sum": 1}
    return np.sum(terms) / divisor[loss.get("reduction", "mean")]


def huber(loss, y, t):
    error, delta = np.abs(y - t), loss.get("delta", 1.0)
    terms = np.where(error < delta, error**2 / 2, delta * (error - delta / 2))
    return reduced(loss, terms)


def bce_with_logits(loss, y, t):
    weight, pos_weight = (np.asarray(loss.get(name) or 1.0, y.dtype) for name in WEIGHTS)
    terms = (1 - t) * np.logaddexp(0, y) + pos_weight * t * np.logaddexp(0, -y)
    return reduced(loss, weight * terms)


def cross_entropy(loss, y, t):
    t = t if t.ndim == 2 else np.eye(y.shape[1], dtype=y.dtype)[t]
    total = -np.sum(t * log_softmax(y))
    return total if loss.get("reduction") == "sum" else total / len(y)


WEIGHTS = ("weight", "pos_weight")
LOSSES = {
    "MSELoss": lambda loss, y, t: reduced(loss, (y - t) ** 2),
    "L1Loss": lambda loss, y, t: reduced(loss, np.abs(y - t)),
    "HuberLoss": huber,
    "BCEWithLogitsLoss": bce_with_logits,
    "CrossEntropyLoss": cross_entropy,
}
