"""Layers of the textbook engine with arrays of their own, other than Linear; see `layers`."""

import numpy as np

from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.arithmetic import Arithmetic


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
