"""A toy engine to plant bugs in, written sample by sample and independent of the catalogue.

    Toy("bias over N")()      a factory of engines with that bug; Toy() of correct ones

A bug is a name. The code looks for the name at the place where the bug is.
"""

import numpy as np

CURVES = {
    "Sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda _, a: a * (1 - a)),
    "Tanh": (np.tanh, lambda _, a: 1 - a * a),
    "ReLU": (lambda z: z * (z > 0), lambda z, _: 1.0 * (z > 0)),
}


def cornered(bias, g, _):
    g = g.copy()
    g[(-1,) * g.ndim] *= 1 if bias else 0.97
    return g


SPOILT = {
    "bias over N": lambda bias, g, n: g / n if bias else g,
    "a cube in the bias": lambda bias, g, _: g + g**3 if bias else g,
    "no bias gradient from one sample": lambda bias, g, n: 0 * g if bias and n == 1 else g,
    "1.01 where wide": lambda _, g, __: g * (1.01 if g.shape[-1] > 12 else 1),
    "0.97 at a corner": cornered,
    "wrong when N is a multiple of 4": lambda _, g, n: g if n % 4 else 1.3 * g,
}


class Toy:
    def __init__(self, *mistakes):
        self.mistakes = mistakes

    def __call__(self):
        return Engine(self.mistakes)


class Engine:
    def __init__(self, mistakes=()):
        self.mistakes = mistakes
        self.kept = None

    def has(self, mistake):
        return mistake in self.mistakes

    def capabilities(self):
        return {
            "layers": ["Linear", *CURVES],
            "losses": {
                "MSELoss": {"reduction": ["mean", "sum"]},
                "BCEWithLogitsLoss": {},
                "CrossEntropyLoss": {},
            },
            "optimizers": {
                "SGD": {"momentum": "any", "weight_decay": "any"},
                "Adam": {"betas": "any", "eps": "any"},
            },
            "returns": ["outputs", "loss", "grads", "input_grad", "params", "state"],
            "accepts_state": True,
            "max_steps": 50,
        }

    def step(self, case):
        theta = {key: array.copy() for key, array in case.params.items()}
        state = {} if case.state is None else {k: v for k, v in case.state.items() if k != "step"}
        first = 0 if case.state is None else case.state["step"]
        for now in range(first + 1, first + 1 + case.steps):
            loss, outputs, grads, dx = self.passes(case, theta)
            if case.optimizer:
                theta, state = self.moved(case.optimizer, theta, grads, state, now)
        if self.has("outputs of the new weights"):
            outputs = self.passes(case, theta)[1]
        if self.has("loss of the new weights"):
            loss = self.passes(case, theta)[0]
        return {
            "loss": loss,
            "outputs": outputs,
            "grads": grads,
            "input_grad": dx,
            "params": theta,
            "state": {"step": first + case.steps, **state},
        }

    def passes(self, case, theta):
        grads = {key: np.zeros_like(array) for key, array in theta.items()}
        walks = [self.forward(case.layers, theta, row) for row in case.x]
        outputs = np.array([walk[-1] for walk in walks])
        loss, slopes = self.judged(case.loss, outputs, case.t)
        rows = [
            self.backward(case.layers, theta, walk, slope, grads)
            for walk, slope in zip(walks, slopes, strict=True)
        ]
        if self.has("no last sample in the weights"):
            again = {key: np.zeros_like(array) for key, array in theta.items()}
            for walk, slope in zip(walks[:-1], slopes[:-1], strict=True):
                self.backward(case.layers, theta, walk, slope, again)
            grads = {k: again[k] if k.endswith("weight") else g for k, g in grads.items()}
        grads = self.spoilt(case, grads)
        return loss, outputs, grads, np.array(rows)

    def spoilt(self, case, grads):
        if self.has("accumulates"):
            shapes = [g.shape for g in grads.values()]
            if self.kept and [g.shape for g in self.kept.values()] == shapes:
                grads = {key: g + self.kept[key] for key, g in grads.items()}
            self.kept = {key: g.copy() for key, g in grads.items()}
        for mistake in filter(self.has, SPOILT):
            grads = {
                key: SPOILT[mistake](key.endswith("bias"), g, len(case.x))
                for key, g in grads.items()
            }
        return grads

    def forward(self, layers, theta, row):
        walk = [row]
        for i, layer in enumerate(layers):
            if layer["type"] == "Linear":
                z = np.array([weights @ walk[-1] for weights in theta[f"{i}.weight"]])
                walk.append(z + theta.get(f"{i}.bias", 0))
            else:
                walk.append(CURVES[layer["type"]][0](walk[-1]))
        if self.has("cubes outputs"):
            walk[-1] = walk[-1] + 0.001 * walk[-1] ** 3
        return walk

    def backward(self, layers, theta, walk, error, grads):
        for i in reversed(range(len(layers))):
            kind = layers[i]["type"]
            if kind == "Linear":
                grads[f"{i}.weight"] += np.outer(error, walk[i])
                if f"{i}.bias" in grads:
                    grads[f"{i}.bias"] += error
                w = theta[f"{i}.weight"]
                if self.has("transposed when square") and w.shape[0] == w.shape[1]:
                    w = w.T
                error = error @ w
            elif not (self.has("no output slope") and i == len(layers) - 1):
                z, a = walk[i], walk[i + 1]
                if self.has("slope of z") and kind in {"Sigmoid", "Tanh"}:
                    a = z
                slope = CURVES[kind][1](z, a)
                if self.has("tanh 1 - a") and kind == "Tanh":
                    slope = 1 - a
                error = error * slope
        return error

    def judged(self, loss, y, t):
        n, k = y.shape
        if loss["type"] == "MSELoss":
            divisor = n * k if loss.get("reduction", "mean") == "mean" else 1
            factor = 1 if self.has("no 2") else 2
            by = n if self.has("slope by N") and divisor > 1 else divisor
            return ((y - t) ** 2).sum() / divisor, factor * (y - t) / by
        if loss["type"] == "BCEWithLogitsLoss":
            terms = np.maximum(y, 0) - y * t + np.log1p(np.exp(-abs(y)))
            p = 0.5 * (1 + np.tanh(y / 2))
            return terms.mean(), (p - t) / (n if self.has("logits by N") else n * k)
        e = np.exp(y - y.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        if t.ndim == 1:
            counted = (t != loss.get("ignore_index", -100)) * 1.0
            q = np.eye(k)[np.where(counted, t, 0)] * counted[:, None]
        else:
            counted, q = np.ones(n), t
        divisor = counted.sum()
        logs = y - y.max(1, keepdims=True) - np.log(e.sum(1, keepdims=True))
        if self.has("bits"):
            logs = logs / np.log(2)
        slope = p * q.sum(1, keepdims=True) - q
        if self.has("softmax slope too"):
            slope = slope * p * (1 - p)
        return -(q * logs).sum() / divisor, slope / divisor

    def moved(self, rule, theta, grads, state, now):
        if rule["type"] == "SGD":
            return self.sgd(rule, theta, grads, state)
        lr, (b1, b2) = rule.get("lr", 0.001), rule.get("betas", (0.9, 0.999))
        eps = rule.get("eps", 1e-8)
        first, second, new = {}, {}, {}
        for key, g in grads.items():
            m = state["exp_avg"][key] if state else np.zeros_like(g)
            v = state["exp_avg_sq"][key] if state else np.zeros_like(g)
            first[key] = m = b1 * m + (1 - b1) * g
            second[key] = v = b2 * v + (1 - b2) * g * g
            t = 1 if self.has("no power") else now
            if self.has("no correction beyond 20") and now > 20:
                m_hat, v_hat = m, v
            else:
                m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
            if self.has("eps in the root"):
                new[key] = theta[key] - lr * m_hat / np.sqrt(v_hat + eps)
            else:
                new[key] = theta[key] - lr * m_hat / (np.sqrt(v_hat) + eps)
        return new, {"exp_avg": first, "exp_avg_sq": second}

    def sgd(self, rule, theta, grads, state):
        lr, mu, decay = rule.get("lr", 0.001), rule.get("momentum", 0), rule.get("weight_decay", 0)
        buffers, new = {}, {}
        for key, g in grads.items():
            times = 2 if self.has("decay twice") else 1
            step = g + times * decay * theta[key]
            if mu:
                share = 1 - mu if self.has("momentum blends") else 1
                old = state["momentum_buffer"][key] if state else np.zeros_like(g)
                step = buffers[key] = mu * old + share * step
            new[key] = theta[key] + (lr if self.has("uphill") else -lr) * step
        return new, {"momentum_buffer": buffers} if mu else {}
