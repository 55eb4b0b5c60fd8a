"""Normalising layers of the textbook engine: y = W x̂ + b, one method for each line.

norm_centered(o, x)                 d = x − μ, of rows that are normalised together
norm_square(o, x, d)                σ², the mean of d²
norm_over(o, x, d)                  1/√(σ² + ε)
norm_through(o, g, normal, over)    ∂L/∂x of the rows, given ∂L/∂x̂
batch_norm_running(o, x)            x̂ of prediction, and 1/√(running variance + ε)
batch_norm_track(o, x)              the running mean and variance after a step of training
layer_norm(o, x), …                 the layers, from these lines
"""

from typing import Any

import numpy as np

from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.arithmetic import Arithmetic


class Normalizations(Arithmetic):
    """LayerNorm, RMSNorm, GroupNorm and BatchNorm1d."""

    case: Case
    params: dict[str, Array]

    def layer_norm(self, o: Options, x: Array) -> Array:
        normal, _ = self.norm_parts(o, x)
        return self.norm_back(o, normal, x) * self.norm_factor(o) + self.norm_summand(o)

    def layer_norm_backward(self, o: Options, x: Array, y: Array, dy: Array) -> Array:
        g = self.norm_rows(o, self.norm_given(o, dy))
        return self.norm_back(o, self.norm_through(o, g, *self.norm_parts(o, x)), x)

    def layer_norm_grads(self, o: Options, x: Array, dy: Array) -> dict[str, Array]:
        parts = {f"{o.i}.weight": self.norm_dW, f"{o.i}.bias": self.norm_db}
        return {key: of(o, x, dy) for key, of in parts.items() if key in self.params}

    rms_norm = group_norm = batch_norm = layer_norm
    rms_norm_backward = group_norm_backward = layer_norm_backward
    rms_norm_grads = group_norm_grads = batch_norm_grads = layer_norm_grads

    def batch_norm_backward(self, o: Options, x: Array, y: Array, dy: Array) -> Array:
        if self.batch_norm_uses_batch(o):
            return self.layer_norm_backward(o, x, y, dy)
        return self.norm_given(o, dy) * self.batch_norm_running(o, x)[1].T

    def batch_norm_uses_batch(self, o: Options) -> bool:
        return self.case.noise is not None or not o.track_running_stats

    def batch_norm_running(self, o: Options, x: Array) -> tuple[Array, Array]:
        mean, variance = (self.params[f"{o.i}.running_{name}"] for name in ("mean", "var"))
        over = 1 / self.sqrt(variance + self.norm_eps(o))
        return ((x - mean) * over).T, over[:, None]

    def batch_norm_track(self, o: Options, x: Array) -> None:
        if self.case.noise is None:
            return
        count = self.params[f"{o.i}.num_batches_tracked"] + 1
        self.params[f"{o.i}.num_batches_tracked"] = np.asarray(count)
        if len(x) < 2:
            return
        share = self.num(1 / count if o.momentum is None else o.momentum)
        d = self.norm_centered(o, x.T)
        batch = {"mean": self.norm_mean(x.T)[:, 0], "var": self.batch_norm_variance(o, d)}
        for name, value in batch.items():
            key = f"{o.i}.running_{name}"
            self.params[key] = self.array(self.batch_norm_moved(o, self.params[key], value, share))

    def batch_norm_variance(self, o: Options, d: Array) -> Array:
        """Return the unbiased variance of the columns."""
        return np.asarray(self.total(d * d, axis=1) / (d.shape[1] - 1))

    def batch_norm_moved(self, o: Options, old: Array, new: Array, share: Any) -> Array:
        return (1 - share) * old + share * new

    def norm_rows(self, o: Options, x: Array) -> Array:
        """Return the numbers that are normalised together as rows."""
        if o.type == "BatchNorm1d":
            return x.T
        return x.reshape(-1, x.shape[1] // getattr(o, "num_groups", 1))

    def norm_back(self, o: Options, rows: Array, x: Array) -> Array:
        return rows.T if o.type == "BatchNorm1d" else rows.reshape(x.shape)

    def norm_parts(self, o: Options, x: Array) -> tuple[Array, Array]:
        """Return x̂ and 1/√(σ² + ε) of the rows."""
        if o.type == "BatchNorm1d" and not self.batch_norm_uses_batch(o):
            return self.batch_norm_running(o, x)
        x = self.norm_rows(o, x)
        d = self.norm_centered(o, x)
        over = self.norm_over(o, x, d)
        return d * over, over

    def norm_mean(self, x: Array) -> Array:
        return np.asarray(self.total(x, axis=1, keepdims=True) / x.shape[1])

    def norm_centered(self, o: Options, x: Array) -> Array:
        return x if o.type == "RMSNorm" else x - self.norm_mean(x)

    def norm_square(self, o: Options, x: Array, d: Array) -> Array:
        return self.norm_mean(d * d)

    def norm_eps(self, o: Options) -> Any:
        return self.num(np.finfo(self.case.dtype).eps if o.eps is None else o.eps)

    def norm_over(self, o: Options, x: Array, d: Array) -> Array:
        return 1 / self.sqrt(self.norm_square(o, x, d) + self.norm_eps(o))

    def norm_factor(self, o: Options) -> Array:
        return self.params.get(f"{o.i}.weight", self.array(1))

    def norm_summand(self, o: Options) -> Array:
        return self.params.get(f"{o.i}.bias", self.array(0))

    def norm_given(self, o: Options, dy: Array) -> Array:
        """Return ∂L/∂x̂."""
        return dy * self.norm_factor(o)

    def norm_through(self, o: Options, g: Array, normal: Array, over: Array) -> Array:
        return (self.norm_through_mean(o, g) - self.norm_through_root(o, g, normal)) * over

    def norm_through_mean(self, o: Options, g: Array) -> Array:
        return g if o.type == "RMSNorm" else g - self.norm_mean(g)

    def norm_through_root(self, o: Options, g: Array, normal: Array) -> Array:
        return normal * self.norm_mean(g * normal)

    def norm_dW(self, o: Options, x: Array, dy: Array) -> Array:
        normal, _ = self.norm_parts(o, x)
        return np.asarray(self.total(dy * self.norm_back(o, normal, x), axis=0))

    def norm_db(self, o: Options, x: Array, dy: Array) -> Array:
        return np.asarray(self.total(dy, axis=0))
