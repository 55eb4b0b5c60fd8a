"""scikit-learn's MLP as an engine: its own `_backprop`, and its own rules.

    manualnn check tests/engines/sklearn_engine.py:Engine

Its networks are Linear layers with one and the same activation between them. The regressor's loss
is half of MSELoss: the adapter multiplies loss and gradient alike by 2, and changes nothing else.
The classifier ends in a softmax (3 classes and more) or in sigmoids, with the logarithmic loss; it
averages over samples and sums over outputs.
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
        }

    def step(self, case):
        if reason := refusal(case):
            return {"skipped": reason}
        linear = [i for i, layer in enumerate(case.layers) if layer["type"] == "Linear"]
        mlp = network(case)
        mlp.coefs_ = [np.array(case.params[f"{i}.weight"]) for i in linear]
        mlp.intercepts_ = [np.array(case.params[f"{i}.bias"]) for i in linear]
        mlp.n_layers_ = len(linear) + 1
        t, scale = case.t, 2 if case.loss["type"] == "MSELoss" else 1
        if t.ndim == 1:
            t = np.eye(case.widths[-1], dtype=case.x.dtype)[t]
        params = [*mlp.coefs_, *mlp.intercepts_]
        rule = optimizer(case.optimizer, params) if case.optimizer else None
        for _ in range(case.steps):
            kept = [case.x, *([None] * len(linear))]
            deltas, dW, db = ([None] * len(linear) for _ in range(3))
            value, dW, db = mlp._backprop(case.x, t, None, kept, deltas, dW, db)  # noqa: SLF001
            grads = [g * scale for g in [*dW, *db]]
            if rule:
                rule.update_params(params, grads)
        keys = [f"{i}.{name}" for name in ("weight", "bias") for i in linear]
        result = {"loss": scale * value, "grads": dict(zip(keys, grads, strict=True))}
        return result | ({"params": dict(zip(keys, params, strict=True))} if rule else {})


def refusal(case):
    """Return why scikit-learn has no such network or loss; None where it has."""
    types = [layer["type"] for layer in case.layers]
    between = types[1::2] if "Linear" not in types[1::2] else []
    stacked = ["Linear", *(name for act in between for name in (act, "Linear"))]
    if set(types) == {"Linear"}:
        between = ["Identity"]
    elif types != stacked or len(set(between)) != 1:
        return "its layers are Linear with one and the same activation between them"
    outputs, loss = case.widths[-1], case.loss["type"]
    if loss == "CrossEntropyLoss" and (outputs < 3 or case.t.ndim == 2 or (case.t < 0).any()):
        return "its softmax is for class indices, of at least 3 classes"
    if loss == "BCEWithLogitsLoss" and outputs > 1 and case.loss.get("reduction") != "batchmean":
        return "its binary losses of several outputs are summed, not averaged"
    return None


def network(case):
    """Return the estimator as `fit` would have made it, without parameters."""
    activation = next((s["type"] for s in case.layers if s["type"] != "Linear"), "Identity")
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
