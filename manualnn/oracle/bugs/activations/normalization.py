"""Bugs of the layers that normalise."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("activations")

BUGS["norm-gradient-only-scaled"] = bug(
    "A normalised row is differentiated as if its mean and its deviation were constants.",
    lines=("dx = g / s", "dx = (g − mean(g) − x̂ mean(g x̂)) / s"),
    norm_through=lambda e, o, g, normal, over: g * over,
)
BUGS["norm-gradient-without-mean"] = bug(
    "The gradient does not go through the mean of the row.",
    lines=("dx = (g − x̂ mean(g x̂)) / s", "dx = (g − mean(g) − x̂ mean(g x̂)) / s"),
    norm_through_mean=lambda e, o, g: g,
)
BUGS["norm-gradient-without-deviation"] = bug(
    "The gradient does not go through the deviation of the row.",
    lines=("dx = (g − mean(g)) / s", "dx = (g − mean(g) − x̂ mean(g x̂)) / s"),
    norm_through_root=lambda e, o, g, normal: 0 * g,
)
BUGS["norm-gradient-factor-of-deviation"] = bug(
    "The part of the gradient that goes through the deviation has a wrong factor.",
    lines=("dx = (g − mean(g) − c x̂ mean(g x̂)) / s", "dx = (g − mean(g) − x̂ mean(g x̂)) / s"),
    share=[2, 0.5, -1],
    norm_through_root=lambda e, o, g, normal: e.share * Textbook.norm_through_root(e, o, g, normal),
)
BUGS["norm-gradient-sums"] = bug(
    "The sums in the gradient of a normalised row are not divided by its length.",
    lines=("dx = (g − Σ g − x̂ Σ g x̂) / s", "dx = (g − mean(g) − x̂ mean(g x̂)) / s"),
    norm_through=lambda e, o, g, normal, over: (
        over * (g - g.shape[1] * (g - Textbook.norm_through(e, o, g, normal, e.array(1))))
    ),
)
BUGS["norm-gradient-without-weight"] = bug(
    "The gradient of a normalised input lacks the weight.",
    lines=("g = dy", "g = W dy"),
    norm_given=lambda e, o, dy: dy,
)
BUGS["norm-weight-gradient-of-input"] = bug(
    "The gradient of the weight is that of the input instead of the normalised input.",
    lines=("dW = Σₙ dy x", "dW = Σₙ dy x̂"),
    norm_dW=lambda e, o, x, dy: (dy * x).sum(axis=0),
)
BUGS["norm-weight-gradient-mean"] = bug(
    "The gradients of weight and bias are means over the samples instead of sums.",
    lines=("dW = meanₙ dy x̂, db = meanₙ dy", "dW = Σₙ dy x̂, db = Σₙ dy"),
    norm_dW=lambda e, o, x, dy: Textbook.norm_dW(e, o, x, dy) / max(1, len(x)),
    norm_db=lambda e, o, x, dy: Textbook.norm_db(e, o, x, dy) / max(1, len(x)),
)
BUGS["norm-unbiased"] = bug(
    "The variance is divided by K − 1 instead of K.",
    lines=("σ² = Σ d² / (K − 1)", "σ² = Σ d² / K"),
    norm_square=lambda e, o, x, d: (d * d).sum(axis=1, keepdims=True) / max(1, d.shape[1] - 1),
)
BUGS["norm-sum-of-squares"] = bug(
    "The variance is a sum of squares that is not divided by K.",
    lines=("σ² = Σ d²", "σ² = Σ d² / K"),
    norm_square=lambda e, o, x, d: (d * d).sum(axis=1, keepdims=True),
)
BUGS["norm-square-of-input"] = bug(
    "The mean is subtracted from the input, but not before its square is taken.",
    lines=("σ² = mean(x²)", "σ² = mean((x − μ)²)"),
    norm_square=lambda e, o, x, d: e.norm_mean(x * x),
)
BUGS["norm-mean-not-subtracted"] = bug(
    "The mean is not subtracted, as in RMSNorm.",
    lines=("x̂ = x / √(mean(x²) + ε)", "x̂ = (x − μ) / √(σ² + ε)"),
    norm_centered=lambda e, o, x: x,
    norm_through_mean=lambda e, o, g: g,
)
BUGS["norm-mean-subtracted"] = bug(
    "RMSNorm subtracts the mean, as LayerNorm does.",
    lines=("x̂ = (x − μ) / √(σ² + ε)", "x̂ = x / √(mean(x²) + ε)"),
    norm_centered=lambda e, o, x: x - e.norm_mean(x),
    norm_through_mean=lambda e, o, g: g - e.norm_mean(g),
)
BUGS["norm-variance-by-difference"] = bug(
    "The variance is a difference of squares, which loses all digits for a row far from 0.",
    lines=("σ² = mean(x²) − μ²", "σ² = mean((x − μ)²)"),
    killed_by="*:*",
    exact=False,
    source="flax.linen.LayerNorm with use_fast_variance",
    norm_square=lambda e, o, x, d: (
        e.norm_mean(d * d) if o.type == "RMSNorm" else e.norm_mean(x * x) - e.norm_mean(x) ** 2
    ),
)
BUGS["norm-eps-outside-root"] = bug(
    "ε is added to the deviation instead of the variance.",
    lines=("x̂ = (x − μ) / (σ + ε)", "x̂ = (x − μ) / √(σ² + ε)"),
    norm_over=lambda e, o, x, d: 1 / (e.sqrt(e.norm_square(o, x, d)) + e.norm_eps(o)),
)
BUGS["norm-without-eps"] = bug(
    "The variance lacks ε, so that a constant row gives 0 / 0.",
    lines=("x̂ = (x − μ) / σ", "x̂ = (x − μ) / √(σ² + ε)"),
    norm_eps=lambda e, o: 0,
)
BUGS["norm-eps-constant"] = bug(
    "ε is another constant than the option or its default.",
    lines=("x̂ = (x − μ) / √(σ² + c)", "x̂ = (x − μ) / √(σ² + ε)"),
    eps=[1e-6, 1e-8, 1e-12],
    norm_eps=lambda e, o: e.num(e.eps),
)
BUGS["norm-without-root"] = bug(
    "A row is divided by its variance instead of its deviation.",
    lines=("x̂ = (x − μ) / (σ² + ε)", "x̂ = (x − μ) / √(σ² + ε)"),
    norm_over=lambda e, o, x, d: 1 / (e.norm_square(o, x, d) + e.norm_eps(o)),
)
BUGS["norm-axis-0"] = bug(
    "Columns of the batch are normalised instead of rows.",
    lines=("μ[i] = meanₙ x[n,i]", "μ[n] = meanᵢ x[n,i]"),
    norm_rows=lambda e, o, x: x.T,
    norm_back=lambda e, o, rows, x: rows.T,
)
BUGS["group-norm-whole-rows"] = bug(
    "The groups are ignored: whole rows are normalised.",
    lines=("μ over all channels", "μ over the channels of a group"),
    where=lambda e, o, *_: o.type == "GroupNorm",
    norm_rows=lambda e, o, x: x,
)


def _interleaved(o: Options, x: Array) -> Array:
    """Return every G-th column in a row of its own."""
    groups = getattr(o, "num_groups", 1)
    return np.swapaxes(x.reshape(len(x), -1, groups), 1, 2).reshape(-1, x.shape[1] // groups)


def _apart(o: Options, rows: Array, x: Array) -> Array:
    groups = getattr(o, "num_groups", 1)
    return np.swapaxes(rows.reshape(len(x), groups, -1), 1, 2).reshape(x.shape)


BUGS["group-norm-interleaved"] = bug(
    "A group consists of every G-th channel instead of neighbouring ones.",
    lines=("group of channel i: i mod G", "group of channel i: ⌊i G / C⌋"),
    where=lambda e, o, *_: o.type == "GroupNorm",
    norm_rows=lambda e, o, x: _interleaved(o, x),
    norm_back=lambda e, o, rows, x: _apart(o, rows, x),
)
