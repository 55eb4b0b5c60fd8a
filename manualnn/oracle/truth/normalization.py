"""Layers that normalise, in bounded numbers: y = W x̂ + b, where x̂ = (x − μ) / √(σ² + ε).

    forward(layer, own, x), backward(layer, own, x, y, dy)      the layers: see `layers`
    Normalized(rows, eps).value, .backward(g)                   x̂ of rows, and ∂L/∂x given ∂L/∂x̂

M is the mean of |x| over a row. The bound covers the formulas that engines really use:

    x r − μ r               in place of (x − μ) r, r = 1/√(σ² + ε): the size of |x| r + M r
    Welford's variance      relative error K u √(1 + M²/σ²) (Chan, Golub & LeVeque 1983), where two
                            passes have K u + (K u)² (1 + M²/σ²)
    r³ (μ Σ g − Σ g x)      in place of −r Σ g x̂: the sums cancel, and r³ may underflow

The variance as E[x²] − E[x]² has an error of K u M² whatever σ² is. It is no correct formula.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from manualnn.oracle.truth.bounded import Array, Bounded


class Normalized:
    """Rows that are normalised: see the module. `centers` is False for a mean square."""

    def __init__(self, x: Bounded, eps: Bounded, *, centers: bool = True) -> None:
        self.x, self.eps, self.centers = x, eps, centers
        self.kind, self.k = x.kind, x.v.shape[1]
        self.size = x.most + (self.share(x.most) if centers else 0)
        """|x| + M."""

    def share(self, a: Array) -> Array:
        """Return the mean of each row, as a column."""
        return np.asarray(a.sum(axis=1, keepdims=True) / self.k)

    def mean(self, a: Bounded) -> Bounded:
        """Return the mean of each row. The terms or the sum may be divided."""
        mean = a.sum(axis=1, keepdims=True) / self.k
        return mean.plus_error(self.kind.rounding(2, self.share(a.most)))

    @cached_property
    def centered(self) -> Bounded:
        """D = x − μ, by itself or within x r − μ r; x if nothing is subtracted."""
        if not self.centers:
            return self.x
        return (self.x - self.mean(self.x)).rounded(4, self.size)

    @cached_property
    def variance(self) -> Bounded:
        """σ², the mean of d². An error of the mean counts with its square, because Σ d is 0."""
        x, d, kind = self.x, self.centered, self.kind
        v = self.share(d.v * d.v)
        shift = self.mean(x).e if self.centers else 0
        off = x.e + shift
        e = self.share(2 * d.size * x.e + off * off)
        squares = np.asarray(np.square(d.size + off).sum(axis=1, keepdims=True))
        e = e + kind.summing(self.k + 4, squares, squares) / self.k
        if self.centers:
            by_welford = kind.rough.sqrt(self.share(d.size * d.size)) * self.share(x.most)
            e = e + kind.gamma(2 * self.k + 8) * by_welford
        return Bounded(v, e, kind)

    @cached_property
    def over(self) -> Bounded:
        """R = 1/√(σ² + ε). No engine has a negative variance."""
        kind = self.kind
        q = self.variance.plus(self.eps).rounded()
        least = self.eps.size * (1 - 2**-10)
        down = np.minimum(q.e, q.size - least)
        root, low = kind.rough.sqrt(q.size), kind.rough.sqrt(q.size - down)
        e = kind.rough.divide(down, root * low * (root + low))
        e = np.where(q.bounded & (low > 0), e, np.inf)
        r = kind.wide.divide(1, kind.wide.sqrt(q.v))
        return Bounded(r, e, kind).rounded(kind.ulps + 2)

    @cached_property
    def value(self) -> Bounded:
        """x̂ = d r."""
        return self.centered.times(self.over).product_rounded(2)

    def backward(self, g: Bounded) -> Bounded:
        """Return dx = r (g − mean(g) − x̂ mean(g x̂))."""
        kind, r = self.kind, self.over.most
        along = self.mean(g * self.value)
        inner = g.plus(-self.value.times(along))
        size = g.most + self.value.most * along.most
        if self.centers:
            mean = self.mean(g)
            inner, size = inner.plus(-mean), size + mean.most
        dx = inner.rounded(4, size).times(self.over).product_rounded(2)
        # b x + c with b = r³ (μ Σ g − Σ g x) / K, in place of −r x̂ mean(g x̂)
        sums = self.share(g.most * self.size)
        cubed = kind.gamma(2 * self.k + 8) * r * r * r + 4 * kind.eta
        b = along.most * r * r
        return dx.plus_error(cubed * sums * self.centered.most + kind.gamma(8) * b * self.size)


class Running(Normalized):
    """Rows that are normalised by the running mean and variance, which are columns."""

    def __init__(self, x: Bounded, eps: Bounded, mean: Bounded, variance: Bounded) -> None:
        super().__init__(x, eps)
        self.running_mean, self.running_variance = mean, variance

    @cached_property
    def centered(self) -> Bounded:
        """X − μ, or within x r − μ r, or within x (r w) + (b − μ r w)."""
        size = self.x.most + self.running_mean.most
        return (self.x - self.running_mean).rounded(4, size)

    @cached_property
    def variance(self) -> Bounded:
        """σ²."""
        return self.running_variance

    def backward(self, g: Bounded) -> Bounded:
        """Return dx = g r."""
        return g.times(self.over).product_rounded(3)


def forward(layer: Any, own: Mapping[str, Bounded], x: Bounded) -> Bounded:
    """Return y."""
    normalized = _normalized(layer, own, x)
    y = _back(layer, normalized.value, x)
    if "weight" in own:
        y = y * own["weight"]
    if "bias" in own:  # x r w + (b − μ r w) rounds b as well.
        y = y.rounded(2, y.most + own["bias"].most) + own["bias"]
    y.evaluation = normalized
    return y


def backward(
    layer: Any, own: Mapping[str, Bounded], x: Bounded, y: Bounded, dy: Bounded
) -> tuple[Bounded, Mapping[str, Bounded]]:
    """Return dx, and the gradients of the parameters."""
    normalized = y.evaluation or _normalized(layer, own, x)
    g = dy * own["weight"] if "weight" in own else dy
    dx = normalized.backward(_rows(layer, g))
    given = {
        "weight": lambda: (dy * _back(layer, normalized.value, x)).sum(axis=0),
        "bias": lambda: dy.sum(axis=0),
    }
    return _back(layer, dx, x), {name: given[name]() for name in given if name in own}


def _normalized(layer: Any, own: Mapping[str, Bounded], x: Bounded) -> Normalized:
    eps = np.finfo(x.kind.dtype).eps if layer.eps is None else layer.eps
    rows, centers = _rows(layer, x), layer.type != "RMSNorm"
    if "running_mean" in own:
        mean, variance = (_reshaped(own[f"running_{name}"], -1, 1) for name in ("mean", "var"))
        return Running(rows, x.kind.number(float(eps)), mean, variance)
    return Normalized(rows, x.kind.number(float(eps)), centers=centers)


def _rows(layer: Any, x: Bounded) -> Bounded:
    """Return the numbers that are normalised together as rows: for BatchNorm1d, the columns."""
    if layer.type == "BatchNorm1d":
        return x.T
    return _reshaped(x, -1, x.v.shape[1] // getattr(layer, "num_groups", 1))


def _back(layer: Any, rows: Bounded, x: Bounded) -> Bounded:
    """Return such rows in the shape of x."""
    return rows.T if layer.type == "BatchNorm1d" else _reshaped(rows, *x.v.shape)


def tracked(
    layer: Any, buffers: Mapping[str, Bounded], x: Bounded, y: Bounded
) -> dict[str, Bounded]:
    """Return the buffers of BatchNorm1d after a step of training that gave y.

    An engine has (1 − α) r + α μ or r + α (μ − r), whose errors are those of |r| + |μ|.
    """
    kind, n = x.kind, len(x.v)
    count = buffers["num_batches_tracked"].v + 1
    new = dict(buffers) | {"num_batches_tracked": kind.exact(count)}
    if n < 2:
        return new
    normalized = y.evaluation
    share = kind.number(1 / float(count) if layer.momentum is None else layer.momentum)
    batch = {
        "running_mean": normalized.mean(x.T),
        "running_var": (normalized.variance * n / (n - 1)).rounded(2),
    }
    for name, column in batch.items():
        old, value = buffers[name], _reshaped(column, -1)
        moved = old * (1 - share) + share * value
        new[name] = moved.rounded(4, old.most + value.most)
    return new


def _reshaped(a: Bounded, *shape: int) -> Bounded:
    return Bounded(a.v.reshape(shape), a.e.reshape(shape), a.kind, known=a.known)
