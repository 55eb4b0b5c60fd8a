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


def forward(layer: Any, own: Mapping[str, Bounded], x: Bounded) -> Bounded:
    """Return y."""
    normalized = _normalized(layer, x)
    y = _reshaped(normalized.value, *x.v.shape)
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
    normalized = y.evaluation or _normalized(layer, x)
    g = dy * own["weight"] if "weight" in own else dy
    dx = normalized.backward(_reshaped(g, -1, normalized.k))
    given = {
        "weight": lambda: (dy * _reshaped(normalized.value, *x.v.shape)).sum(axis=0),
        "bias": lambda: dy.sum(axis=0),
    }
    return _reshaped(dx, *x.v.shape), {name: given[name]() for name in given if name in own}


def _normalized(layer: Any, x: Bounded) -> Normalized:
    eps = np.finfo(x.kind.dtype).eps if layer.eps is None else layer.eps
    k = x.v.shape[1] // getattr(layer, "num_groups", 1)
    rows, centers = _reshaped(x, -1, k), layer.type != "RMSNorm"
    return Normalized(rows, x.kind.number(float(eps)), centers=centers)


def _reshaped(a: Bounded, *shape: int) -> Bounded:
    return Bounded(a.v.reshape(shape), a.e.reshape(shape), a.kind, known=a.known)
