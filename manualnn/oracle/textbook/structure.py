"""Layers of the textbook engine with arrays of their own, other than Linear; see `layers`."""

from typing import Any

import numpy as np

from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.arithmetic import Arithmetic

ALPHA = 1.7580993408473766
"""The constant of AlphaDropout: scale · alpha of SELU, as torch has it."""


class Structure(Arithmetic):
    """Layers with learned or random slopes, and layers that change the structure."""

    params: dict[str, Array]
    noise: dict[str, Array]

    def prelu(self, o: Options, z: Array) -> Array:
        return np.where(z > 0, z, self.prelu_weight(o) * z)

    def prelu_slope(self, o: Options, z: Array) -> Array:
        return self.at_kink(o, z == 0, np.where(z > 0, self.array(1), self.prelu_weight(o)))

    def prelu_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        return np.asarray(da * self.prelu_slope(o, z))

    def prelu_grads(self, o: Options, z: Array, da: Array) -> dict[str, Array]:
        dw = self.total(self.prelu_terms(o, z, da), axis=0)
        dw = self.total(dw, keepdims=True) if o.num_parameters == 1 else dw
        return {f"{o.i}.weight": np.asarray(dw)}

    def prelu_terms(self, o: Options, z: Array, da: Array) -> Array:
        return np.where(z > 0, self.array(0), da * z)

    def prelu_weight(self, o: Options) -> Array:
        return self.params[f"{o.i}.weight"]

    def rrelu(self, o: Options, z: Array) -> Array:
        return np.where(z > 0, z, self.rrelu_below(o) * z)

    def rrelu_slope(self, o: Options, z: Array) -> Array:
        return self.at_kink(o, z == 0, np.where(z > 0, self.array(1), self.rrelu_below(o)))

    def rrelu_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        return np.asarray(da * self.rrelu_slope(o, z))

    def rrelu_below(self, o: Options) -> Array:
        drawn = self.rrelu_drawn(o)
        return self.rrelu_mean(o) if drawn is None else drawn

    def rrelu_drawn(self, o: Options) -> Array | None:
        return self.noise.get(f"{o.i}.slope")

    def rrelu_mean(self, o: Options) -> Array:
        return self.array((self.num(o.lower) + self.num(o.upper)) / 2)

    def glu(self, o: Options, z: Array) -> Array:
        u, v = self.glu_halves(z)
        return np.asarray(u * self.sigma(v))

    def glu_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        u, v = self.glu_halves(z)
        return np.concatenate([da * self.sigma(v), da * u * self.glu_slope(v)], axis=1)

    def glu_slope(self, v: Array) -> Array:
        return np.asarray(self.sigma(v) * (1 - self.sigma(v)))

    def glu_halves(self, z: Array) -> tuple[Array, Array]:
        k = z.shape[1] // 2
        return z[:, :k], z[:, k:]

    def alpha_dropout(self, o: Options, z: Array) -> Array:
        mask, c = self.alpha_dropout_mask(o), self.alpha_dropout_scale(o)
        if mask is None:
            return z
        shift = self.array(ALPHA * c) * (mask - 1 + self.array(o.p))
        return np.asarray(self.array(c) * (mask * z) + shift)

    def alpha_dropout_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        mask = self.alpha_dropout_mask(o)
        return da if mask is None else self.array(self.alpha_dropout_scale(o)) * (mask * da)

    def alpha_dropout_mask(self, o: Options) -> Array | None:
        return self.noise.get(f"{o.i}.mask")

    def alpha_dropout_scale(self, o: Options) -> Any:
        """Return c = 1 / √((α² p + 1) (1 − p)); 0 for p = 1."""
        p, alpha = self.num(o.p), self.num(ALPHA)
        return 1 / np.sqrt((alpha * alpha * p + 1) * (1 - p)) if p < 1 else 0 * p
