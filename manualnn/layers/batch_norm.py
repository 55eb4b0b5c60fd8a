"""BatchNorm1d: each column of a batch with mean 0 and variance 1, and running averages of both.

In training, the layer uses the mean and the variance of the batch. In prediction it uses the
running averages, so that a prediction does not depend on the other samples. The averages are
buffers: they have torch's names, and no gradient.
"""

from dataclasses import dataclass

import numpy as np

from manualnn.elementary import Array, sqrt
from manualnn.layers.base import Layer, LayerArrays
from manualnn.layers.normalization import _Normalization, affine, mean_of_rows
from manualnn.spec import require

__all__ = ["BatchNorm1d"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class BatchNorm1d(_Normalization):
    """Each column with mean 0 and variance 1 over the batch, then as LayerNorm.

    Forward, x̂[n,i] = (x[n,i] − μ[i]) / s[i], μ[i] and σ²[i] the mean and the variance of column i
        y[n,i] = W[i] x̂[n,i] + b[i]      s[i] = √(σ²[i] + ε), σ²[i] = Σₘ (x[m,i] − μ[i])² / N

    Backward, given dy = ∂L/∂y, with g[n,i] = W[i] dy[n,i]
        dx[n,i] = (g[n,i] − Σₘ g[m,i] / N − x̂[n,i] Σₘ g[m,i] x̂[m,i] / N) / s[i]
        dW = Σₙ dy[n] ⊙ x̂[n]               W acts on every row
        db = Σₙ dy[n]                      b is added to every row

    The two sums over m come from μ and s, which depend on every sample of the batch. In prediction
    μ and σ² are the buffers `running_mean` and `running_var`, and dx = g / s. A step of training
    changes the buffers, after it has used the batch's μ and σ²:

        running_mean ← (1 − α) running_mean + α μ
        running_var  ← (1 − α) running_var + α σ² N / (N − 1)

    α is `momentum`, or 1 / num_batches_tracked for None, which gives the mean over all batches. The
    running variance is the unbiased one, with N − 1. Without track_running_stats there are no
    buffers, and prediction normalises by its own batch, too.

    A batch of one sample has no variance: training on it raises ShapeError. torch raises, too, but
    has counted the batch. An empty batch only counts. Each batch is normalised by itself, also
    those that accumulate to one step. Weights of samples change neither μ nor σ². torch takes a
    momentum outside of 0 … 1, too, with which a running variance may become negative.

    Shapes: x, y, dx, dy (N, C); W, b, dW, db, running_mean, running_var (C,), C = num_features. W
    is `weight`, b is `bias`.

    Source: Ioffe & Szegedy 2015; torch.nn.BatchNorm1d, of (N, C) arrays. W starts at 1, b at 0.
    """

    num_features: int
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = True
    track_running_stats: bool = True
    bias: bool = True

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        require(self, "num_features", "an integer of at least 1", self.num_features >= 1)
        require(self, "eps", "a number above 0", self.eps > 0)
        is_share = self.momentum is None or 0 <= self.momentum <= 1
        require(self, "momentum", "None, or a number from 0 to 1", is_share)

    @property
    def in_features(self) -> int:
        return self.num_features

    @property
    def parameters(self) -> tuple[str, ...]:
        return affine(has_weight=self.affine, has_bias=self.bias)

    def epsilon(self, x: Array) -> float:
        return self.eps

    def buffers(self) -> dict[str, Array]:
        if not self.track_running_stats:
            return {}
        return {
            "running_mean": np.zeros(self.num_features),
            "running_var": np.ones(self.num_features),
            "num_batches_tracked": np.array(0),
        }

    def row_count(self, n: int) -> int:
        return self.num_features

    def scratch_shapes(self, shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        shapes = _Normalization.scratch_shapes(self, shape)
        if self.track_running_stats:
            shapes["mean"] = shapes["variance"] = shapes["over"]
        return shapes

    def refuses(self, n: int, /, *, is_training: bool) -> bool:
        return n == 1 and (is_training or not self.track_running_stats)

    def track(self, params: LayerArrays, n: int, /) -> None:
        if not self.track_running_stats:
            return
        count = params["num_batches_tracked"]
        count += 1
        if n < 2:
            return
        share = 1 / int(count) if self.momentum is None else self.momentum
        batch = {
            "running_mean": params["mean"][:, 0],
            "running_var": params["variance"][:, 0] * (n / (n - 1)),
        }
        for name, value in batch.items():
            params[name][...] = (1 - share) * params[name] + share * value

    def rows(self, x: Array) -> Array:
        return x.T

    def back(self, rows: Array, x: Array) -> Array:
        return rows.T

    def normalize(self, params: LayerArrays, x: Array) -> tuple[Array, Array]:
        if not self._uses_batch(params):
            over = self._over(params)
            normal = np.subtract(x, params["running_mean"])
            return self.rows(np.multiply(normal, over, out=normal)), over[:, None]
        if "mean" in params:
            # The mean by way of differences from the first entry would lose digits if that entry
            # is much larger than the mean.
            np.positive(mean_of_rows(self.rows(x)), out=params["mean"])
        return _Normalization.normalize(self, params, x)

    def backward(
        self, params: LayerArrays, x: Array, y: Array, dy: Array, /, *, out: Array | None = None
    ) -> Array:
        if self._uses_batch(params):
            return _Normalization.backward(self, params, x, y, dy, out=out)
        return np.multiply(self.given(params, dy), self._over(params), out=out)

    def _uses_batch(self, params: LayerArrays) -> bool:
        return "normal" in params or not self.track_running_stats

    def _over(self, params: LayerArrays) -> Array:
        """Return 1/√(σ² + ε) of prediction."""
        over = np.add(params["running_var"], self.eps)
        return np.divide(1, sqrt(over, out=over), out=over)
