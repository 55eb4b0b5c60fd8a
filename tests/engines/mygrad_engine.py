"""MyGrad behind the oracle's protocol: its tensors, and what mygrad.nnet offers. No optimizers.

manualnn check tests/engines/mygrad_engine.py:Engine
"""

from importlib.metadata import version

import mygrad as mg
from mygrad import nnet


class Engine:
    def capabilities(self):
        reductions = {"reduction": ["mean", "sum", "batchmean"]}
        return {
            "name": "MyGrad",
            "version": version("mygrad"),
            "dtypes": ["float32", "float64"],
            "layers": {
                **dict.fromkeys(["Linear", "LeakyReLU", "Dropout"], "any"),
                **{name: {} for name in ("Identity", "Sigmoid", "Tanh", "ReLU")},
                **{name: {} for name in ("Softmax", "LogSoftmax")},
            },
            "losses": {
                "MSELoss": reductions,
                "L1Loss": reductions,
                "BCEWithLogitsLoss": {**reductions, "weight": "any", "pos_weight": "any"},
                "CrossEntropyLoss": {"weight": "any"},
            },
            "returns": ["loss", "outputs", "grads", "input_grad"],
            # leaky_relu adds a maximum and a minimum, which have no gradient where they tie.
            "kink": {"LeakyReLU": 0.0},
        }

    def step(self, case):
        if case.loss["type"] == "CrossEntropyLoss" and case.t.ndim == 2:
            return {"skipped": "softmax_crossentropy takes the numbers of classes only"}
        x = mg.tensor(case.x)
        params = {key: mg.tensor(array) for key, array in case.params.items()}
        outputs = forward(case, params, x)
        loss = LOSSES[case.loss["type"]](case.loss, outputs, case.t)
        loss.backward()
        return {
            "loss": loss.item(),
            "outputs": outputs.data,
            "grads": {key: gradient(tensor) for key, tensor in params.items()},
            "input_grad": gradient(x),
        }


def gradient(tensor):
    """MyGrad says None where nothing came back."""
    return 0 * tensor.data if tensor.grad is None else tensor.grad


def forward(case, params, y):
    for i, layer in enumerate(case.layers):
        if layer["type"] == "Linear":
            y = mg.matmul(y, params[f"{i}.weight"].T)
            y = y + params[f"{i}.bias"] if layer["bias"] else y
        elif layer["type"] == "Dropout":
            y = y * case.noise[f"{i}.mask"] if case.noise else y
        else:
            y = ACTIVATIONS[layer["type"]](layer, y)
    return y


ACTIVATIONS = {
    "Identity": lambda _, z: +z,
    "Sigmoid": lambda _, z: nnet.sigmoid(z),
    "Tanh": lambda _, z: nnet.tanh(z),
    "ReLU": lambda _, z: nnet.relu(z),
    "LeakyReLU": lambda layer, z: nnet.leaky_relu(z, layer["negative_slope"]),
    "Softmax": lambda _, z: nnet.softmax(z),
    "LogSoftmax": lambda _, z: nnet.logsoftmax(z),
}


def reduced(loss, terms):
    divisor = {"mean": terms.size, "batchmean": len(terms), "sum": 1}
    return mg.sum(terms) / divisor[loss["reduction"]]


def bce_with_logits(loss, y, t):
    weight, pos_weight = (mg.asarray(loss[name] or 1, y.dtype) for name in ("weight", "pos_weight"))
    terms = (1 - t) * mg.logaddexp(y, 0) + pos_weight * t * mg.logaddexp(-y, 0)
    return reduced(loss, weight * terms)


def cross_entropy(loss, y, t):
    if loss["weight"] is None:
        return nnet.softmax_crossentropy(y, t)
    weights = mg.asarray(loss["weight"], y.dtype)
    return nnet.negative_log_likelihood(nnet.logsoftmax(y), t, weights=weights)


LOSSES = {
    "MSELoss": lambda loss, y, t: reduced(loss, (y - t) ** 2),
    "L1Loss": lambda loss, y, t: reduced(loss, mg.abs(y - t)),
    "BCEWithLogitsLoss": bce_with_logits,
    "CrossEntropyLoss": cross_entropy,
}
