"""scikit-learn's MLP as an engine: its own `_backprop`, and its own rules.

    manualnn check tests/engines/sklearn_engine.py:Engine

Its networks are Linear layers with one and the same activation between them; the classifier ends in
a softmax (3 classes and more) or in sigmoids, inside of the loss. Its losses differ from torch's by
a factor: ½ in the squared loss, the number of outputs K in the binary one, which it sums over them.
The adapter multiplies loss and gradient alike by that factor, and changes nothing else.
"""

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

ACTIVATIONS = {"Identity": "identity", "Sigmoid": "logistic", "Tanh": "tanh", "ReLU": "relu"}


class Engine:
    def capabilities(self):
        return {
            "name": "scikit-learn MLP",
            "version": sklearn.__version__,
            "dtypes": ["float32", "float64"],
            "layers": ["Linear", *ACTIVATIONS],
            "losses": {
                "MSELoss": {},
                "BCEWithLogitsLoss": {"reduction": ["batchmean"]},
                "CrossEntropyLoss": {},
            },
            "optimizers": {
                "SGD": {"momentum": "any", "nesterov": "any"},
                "Adam": {"betas": "any", "eps": "any"},
            },
            "weight_layout": "in,out",
            "max_steps": 100,
            "sample_weights": True,
        }

    def step(self, case):
        if reason := refusal(case):
            return {"skipped": reason}
        linear = [i for i, layer in enumerate(case.layers) if layer["type"] == "Linear"]
        mlp = network(case)
        mlp.coefs_ = [np.array(case.params[f"{i}.weight"]) for i in linear]
        mlp.intercepts_ = [np.array(case.params[f"{i}.bias"]) for i in linear]
        mlp.n_layers_ = len(linear) + 1
        t, w, scale = case.t, case.sample_weights, factor(case)
        if t.ndim == 1:
            t = np.eye(case.widths[-1], dtype=case.x.dtype)[t]
        params = [*mlp.coefs_, *mlp.intercepts_]
        rule = optimizer(case.optimizer, params) if case.optimizer else None
        for _ in range(case.steps):
            kept = [case.x, *([None] * len(linear))]
            deltas, dW, db = ([None] * len(linear) for _ in range(3))
            value, dW, db = mlp._backprop(case.x, t, w, kept, deltas, dW, db)  # noqa: SLF001
            grads = [g * scale for g in [*dW, *db]]
            if rule:
                rule.update_params(params, grads)
        keys = [f"{i}.{name}" for name in ("weight", "bias") for i in linear]
        result = {"loss": scale * value, "grads": dict(zip(keys, grads, strict=True))}
        return result | ({"params": dict(zip(keys, params, strict=True))} if rule else {})


def refusal(case):
    """Return why scikit-learn has no such network or loss; None where it has."""
    types = [layer["type"] for layer in case.layers if layer["type"] != "Identity"]
    between = set(types) - {"Linear"}
    stacked = ["Linear", *(name for act in types[1::2] for name in (act, "Linear"))]
    if len(between) > 1 or types != (stacked if between else ["Linear"] * max(1, len(types))):
        return "its layers are Linear with one and the same activation between them"
    classes = case.t.ndim == 1 and case.widths[-1] >= 3 and (case.t >= 0).all()
    if case.loss["type"] == "CrossEntropyLoss" and not classes:
        return "its softmax is for class indices, of at least 3 classes"
    return None


def factor(case):
    """Return by what scikit-learn's loss and gradient have to be multiplied to mean torch's."""
    if case.loss["type"] == "MSELoss":
        return 2
    mean = case.loss["type"] == "BCEWithLogitsLoss" and case.loss["reduction"] == "mean"
    return 1 / case.widths[-1] if mean else 1


def network(case):
    """Return the estimator as `fit` would have made it, without parameters."""
    types = (layer["type"] for layer in case.layers)
    activation = next((name for name in types if name not in {"Linear", "Identity"}), "Identity")
    options = {"activation": ACTIVATIONS[activation], "alpha": 0}
    ends = {"BCEWithLogitsLoss": "logistic", "CrossEntropyLoss": "softmax"}
    end = ends.get(case.loss["type"])
    mlp = MLPClassifier(**options) if end else MLPRegressor(**options)
    mlp.out_activation_ = end or "identity"
    return mlp


def optimizer(spec, params):
    if spec["type"] == "SGD":
        momentum, nesterov = spec.get("momentum", 0.0), spec.get("nesterov", False)
        return SGDOptimizer(params, spec.get("lr", 1e-3), "constant", momentum, nesterov)
    betas, eps = spec.get("betas", (0.9, 0.999)), spec.get("eps", 1e-8)
    return AdamOptimizer(params, spec.get("lr", 1e-3), *betas, eps)
