"""An engine with one bug: the gradient of the bias is a mean over samples, not a sum."""

import numpy as np


class Engine:
    def capabilities(self):
        return {
            "name": "mytoy",
            "layers": ["Linear", "Tanh"],
            "losses": ["MSELoss"],
            "optimizers": ["SGD"],
        }

    def step(self, case):
        a = [case.x]  # the input, then every layer's output
        for i, layer in enumerate(case.layers):
            if layer["type"] == "Linear":
                a.append(a[-1] @ case.params[f"{i}.weight"].T + case.params[f"{i}.bias"])
            else:
                a.append(np.tanh(a[-1]))
        error = a[-1] - case.t
        d, grads = 2 * error / error.size, {}
        for i in reversed(range(len(case.layers))):
            if case.layers[i]["type"] == "Linear":
                grads[f"{i}.weight"] = d.T @ a[i]
                grads[f"{i}.bias"] = d.mean(axis=0)
                d = d @ case.params[f"{i}.weight"]
            else:
                d = d * (1 - a[i + 1] ** 2)
        lr = case.optimizer["lr"]
        params = {key: case.params[key] - lr * grads[key] for key in grads}
        return {"loss": np.mean(error**2), "grads": grads, "params": params}
