"""The lines of mathematics that a plain engine is made of, one method each, to be overridden.

    Arithmetic     sums, products, elementary functions
    Activations    a = f(z) and da/dz           relu(o, z), relu_slope(o, z, a)
    Losses         Σ terms / D and its slopes   mse_terms(o, y, t), mse_slopes(o, y, t), divisor

A method takes the options o of its layer, loss or rule first, then arrays by the letters of the
equations: z pre-activation, a activation, y outputs, t targets (or the number of an update), p a
parameter, g its gradient, s the optimizer's state of it.
"""

from typing import Any

import numpy as np

from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options

METHODS = {
    "Linear": "linear",
    "Identity": "identity",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "Softplus": "softplus",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Dropout": "dropout",
    "MSELoss": "mse",
    "L1Loss": "l1",
    "HuberLoss": "huber",
    "BCELoss": "bce",
    "BCEWithLogitsLoss": "logits",
    "CrossEntropyLoss": "cross_entropy",
}
"""What the methods of a layer or loss begin with."""


class Arithmetic:
    """What all of them compute with."""

    kind: "np.dtype[Any]"
    """The dtype of the call at hand."""

    def num(self, value: Any) -> Any:
        """Return an option that factors are computed of: 1 − β in float64, or better."""
        return np.longdouble(value) if self.kind == np.longdouble else float(value)

    def array(self, value: Any) -> Array:
        return np.asarray(value, self.kind)

    def matmul(self, a: Array, b: Array) -> Array:
        return np.asarray(a @ b)

    def total(self, a: Array, axis: int | None = None, *, keepdims: bool = False) -> Any:
        return a.sum(axis=axis, keepdims=keepdims)

    def exp(self, v: Array) -> Array:
        return np.exp(v)

    def log(self, v: Array) -> Array:
        return np.log(v)

    def log1p(self, v: Array) -> Array:
        return np.log1p(v)

    def sqrt(self, v: Array) -> Array:
        return np.sqrt(v)

    def larger(self, a: Array, b: Array) -> Array:
        return np.maximum(a, b)

    def sigma(self, v: Array) -> Array:
        e = self.exp(-np.abs(v))
        return np.where(v >= 0, 1, e) / (1 + e)

    def softplus_of(self, v: Array) -> Array:
        return np.maximum(v, 0) + self.log1p(self.exp(-np.abs(v)))

    def log_shares(self, v: Array) -> Array:
        """Return log softmax(v) of every row."""
        shifted = v - v.max(axis=1, keepdims=True)
        return shifted - self.log(self.total(self.exp(shifted), axis=1, keepdims=True))


class Activations(Arithmetic):
    """Layers without parameters."""

    def identity(self, o: Options, z: Array) -> Array:
        return z

    def identity_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        return da

    def sigmoid(self, o: Options, z: Array) -> Array:
        return self.sigma(z)

    def sigmoid_slope(self, o: Options, z: Array, a: Array) -> Array:
        return a * (1 - a)

    def sigmoid_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        return da * self.sigmoid_slope(o, z, a)

    def tanh(self, o: Options, z: Array) -> Array:
        return np.tanh(z)

    def tanh_slope(self, o: Options, z: Array, a: Array) -> Array:
        return 1 - a * a

    def tanh_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        return da * self.tanh_slope(o, z, a)

    def relu(self, o: Options, z: Array) -> Array:
        return np.maximum(z, 0)

    def relu_slope(self, o: Options, z: Array, a: Array) -> Array:
        return self.array(z > 0)

    def relu_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        return da * self.relu_slope(o, z, a)

    def leaky_relu(self, o: Options, z: Array) -> Array:
        return np.where(z > 0, z, self.num(o.negative_slope) * z)

    def leaky_relu_slope(self, o: Options, z: Array, a: Array) -> Array:
        return np.where(z > 0, 1, self.array(o.negative_slope))

    def leaky_relu_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        return da * self.leaky_relu_slope(o, z, a)

    def softplus(self, o: Options, z: Array) -> Array:
        s = z * self.num(o.beta)
        return np.where(s > o.threshold, z, self.softplus_of(s) / self.num(o.beta))

    def softplus_slope(self, o: Options, z: Array, a: Array) -> Array:
        s = z * self.num(o.beta)
        return np.where(s > o.threshold, 1, self.sigma(s))

    def softplus_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        return da * self.softplus_slope(o, z, a)

    def softmax(self, o: Options, z: Array) -> Array:
        e = self.exp(z - z.max(axis=1, keepdims=True))
        return e / self.total(e, axis=1, keepdims=True)

    def softmax_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        return a * (da - self.total(da * a, axis=1, keepdims=True))

    def log_softmax(self, o: Options, z: Array) -> Array:
        return self.log_shares(z)

    def log_softmax_backward(self, o: Options, z: Array, a: Array, da: Array) -> Array:
        return da - self.exp(a) * self.total(da, axis=1, keepdims=True)


class Losses(Arithmetic):
    """L = Σ terms / D and ∂L/∂y = slopes / D."""

    def value(self, o: Options, y: Array, t: Array) -> Any:
        terms = getattr(self, METHODS[o.type] + "_terms")(o, y, t)
        return self.total(terms) / self.value_divisor(o, y, t)

    def slope(self, o: Options, y: Array, t: Array) -> Array:
        slopes = getattr(self, METHODS[o.type] + "_slopes")(o, y, t)
        return np.asarray(slopes / self.slope_divisor(o, y, t))

    def value_divisor(self, o: Options, y: Array, t: Array) -> Any:
        return self.divisor(o, y, t)

    def slope_divisor(self, o: Options, y: Array, t: Array) -> Any:
        return self.divisor(o, y, t)

    def divisor(self, o: Options, y: Array, t: Array) -> Any:
        if o.type == "CrossEntropyLoss" and o.reduction != "sum":
            return self.cross_entropy_divisor(o, y, t)
        return {"mean": y.size, "batchmean": len(y), "sum": 1}[o.reduction]

    def mse_terms(self, o: Options, y: Array, t: Array) -> Array:
        return (y - t) ** 2

    def mse_slopes(self, o: Options, y: Array, t: Array) -> Array:
        return 2 * (y - t)

    def l1_terms(self, o: Options, y: Array, t: Array) -> Array:
        return np.abs(y - t)

    def l1_slopes(self, o: Options, y: Array, t: Array) -> Array:
        return np.sign(y - t)

    def huber_terms(self, o: Options, y: Array, t: Array) -> Array:
        e, delta = np.abs(y - t), self.num(o.delta)
        return np.where(e <= delta, e * e / 2, delta * (e - delta / 2))

    def huber_slopes(self, o: Options, y: Array, t: Array) -> Array:
        return np.clip(y - t, self.array(-o.delta), self.array(o.delta))

    def bce_terms(self, o: Options, y: Array, t: Array) -> Array:
        yes = np.maximum(self.log(y), -100)
        no = np.maximum(self.log1p(-y), -100)
        return -self.sample_weight(o) * (t * yes + (1 - t) * no)

    def bce_slopes(self, o: Options, y: Array, t: Array) -> Array:
        room = np.maximum(y * (1 - y), self.array(np.float32(1e-12)))  # torch's, in float32
        return self.sample_weight(o) * ((y - t) / room)

    def logits_terms(self, o: Options, y: Array, t: Array) -> Array:
        down, up = self.pos_weight(o) * t, 1 - t
        return self.sample_weight(o) * (down * self.softplus_of(-y) + up * self.softplus_of(y))

    def logits_slopes(self, o: Options, y: Array, t: Array) -> Array:
        down, up = self.pos_weight(o) * t, 1 - t
        return self.sample_weight(o) * (up * self.sigma(y) - down * self.sigma(-y))

    def sample_weight(self, o: Options) -> Array:
        return self.array(1 if o.weight is None else o.weight)

    def pos_weight(self, o: Options) -> Array:
        return self.array(1 if o.pos_weight is None else o.pos_weight)

    def cross_entropy_terms(self, o: Options, y: Array, t: Array) -> Array:
        return -self.shares(o, y, t) * self.log_shares(y)

    def cross_entropy_slopes(self, o: Options, y: Array, t: Array) -> Array:
        q = self.shares(o, y, t)
        return self.exp(self.log_shares(y)) * self.total(q, axis=1, keepdims=True) - q

    def shares(self, o: Options, y: Array, t: Array) -> Array:
        """Return what each class's −log p counts: smoothed targets times the class's weight."""
        q = self.one_hot(o, y, t) if t.ndim == 1 else t
        if o.label_smoothing:
            q = self.smoothed(o, q)
        q = q * self.class_weight(o, y)
        return q if t.ndim == 2 else np.where(self.counts(o, t)[:, None], q, 0)

    def one_hot(self, o: Options, y: Array, t: Array) -> Array:
        q, rows = np.zeros_like(y), np.flatnonzero(self.counts(o, t))
        q[rows, t[rows]] = 1
        return q

    def counts(self, o: Options, t: Array) -> Array:
        return np.asarray(t != o.ignore_index)

    def smoothed(self, o: Options, q: Array) -> Array:
        share = self.num(o.label_smoothing)
        return q * (1 - share) + share / q.shape[1]

    def class_weight(self, o: Options, y: Array) -> Array:
        return self.array(np.ones(y.shape[1]) if o.weight is None else o.weight)

    def cross_entropy_divisor(self, o: Options, y: Array, t: Array) -> Any:
        if o.reduction == "batchmean" or t.ndim == 2:
            return len(y)
        return self.total(self.class_weight(o, y)[t[self.counts(o, t)]])
