"""micrograd behind the oracle's protocol: scalars with addition, multiplication and ReLU.

    manualnn check tests/engines/micrograd_engine.py:Engine
    manualnn check tests/engines/micrograd_engine.py:Large

Its topological sort goes through sets of objects, in the order of their addresses in memory, and
so does the sum that makes a gradient. Two terms have the same sum in either order; with more, two
runs of the same step differ in their last bits. `Engine` claims at most two of everything, and is
correct. `Large` shows the difference: it fails the check history:repeat. There is no optimizer.
"""

from importlib.metadata import version

import numpy as np
from micrograd.engine import Value


class Engine:
    def capabilities(self):
        return {
            "name": "micrograd",
            "version": version("micrograd"),
            "layers": {"Linear": {"bias": "any"}, "ReLU": {}, "Identity": {}},
            "losses": {"MSELoss": {"reduction": ["mean", "sum", "batchmean"]}},
            "returns": ["loss", "outputs", "grads", "input_grad"],
            "max_width": 2,
            "max_batch": 2,
            "max_depth": 3,
        }

    def step(self, case):
        x, params = values(case.x), {key: values(array) for key, array in case.params.items()}
        rows = [forward(case, params, row) for row in x]
        squares = [
            (y - t) ** 2
            for row, targets in zip(rows, case.t.tolist(), strict=True)
            for y, t in zip(row, targets, strict=True)
        ]
        divisor = {"mean": len(squares), "batchmean": len(rows), "sum": 1}
        loss = sum(squares) / divisor[case.loss["reduction"]]
        loss.backward()
        return {
            "loss": loss.data,
            "outputs": numbers("data", rows),
            "grads": {key: numbers("grad", array) for key, array in params.items()},
            "input_grad": numbers("grad", x),
        }


class Large(Engine):
    def capabilities(self):
        return {**super().capabilities(), "max_width": 8, "max_batch": 9}


def forward(case, params, y):
    for i, layer in enumerate(case.layers):
        if layer["type"] == "Linear":
            weight = params[f"{i}.weight"]
            bias = params.get(f"{i}.bias", [0.0] * len(weight))
            y = [
                sum((w * v for w, v in zip(row, y, strict=True)), b)
                for row, b in zip(weight, bias, strict=True)
            ]
        elif layer["type"] == "ReLU":
            y = [z.relu() for z in y]
    return y


def values(array):
    return np.vectorize(Value, otypes=[object])(array.astype(object)).tolist()


def numbers(name, nested):
    return np.vectorize(lambda value: getattr(value, name), otypes=[float])(np.array(nested))
