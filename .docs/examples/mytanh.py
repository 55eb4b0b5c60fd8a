"""A function and its derivative, which has a bug, with an engine that asks for both."""

import numpy as np


def tanh(z):
    return np.tanh(z)


def tanh_backward(z, da):
    return da * (1 - np.tanh(z)) ** 2


class Engine:
    def capabilities(self):
        return {
            "name": "mytanh",
            "layers": ["Tanh"],
            "losses": ["MSELoss"],
            "networks": "A",
            "returns": ["loss", "outputs", "grads", "input_grad"],
        }

    def step(self, case):
        y = tanh(case.x)
        error = y - case.t
        return {
            "loss": np.mean(error**2),
            "outputs": y,
            "grads": {},
            "input_grad": tanh_backward(case.x, 2 * error / error.size),
        }
