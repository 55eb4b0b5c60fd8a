"""Losses of the textbook engine: L = c Σ terms / D and ∂L/∂y = c slopes / D, one method each.

    mse_terms(o, y, t)  mse_slopes(o, y, t)  divisor(o, y, t)

Weights of samples multiply terms and slopes, and their sum takes the place of N in D.

The methods of a loss that is a sum of terms of one output follow from its statement in the table of
features.
"""

from typing import Any

import numpy as np

from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import LOSS_ROWS, Options, listed_labels
from manualnn.oracle.protocol.rows import Loss
from manualnn.oracle.textbook.arithmetic import Arithmetic, Equation


class Losses(Arithmetic):
    """Losses L = Σ terms / D with ∂L/∂y = slopes / D, which a step multiplies by the factor c."""

    weights: Array | None
    """The weights of the samples, or None."""

    # `_add_methods` makes these methods. Bugs and controls call them by name.
    huber_terms: Equation
    huber_slopes: Equation
    hinge_terms: Equation
    hinge_slopes: Equation
    kl_div_terms: Equation
    poisson_slopes: Equation
    poisson_terms: Equation
    smooth_l1_terms: Equation
    smooth_l1_slopes: Equation
    soft_margin_terms: Equation

    def value(self, o: Options, y: Array, t: Array) -> Any:
        terms = self.times_weights(o, self.equation(o, "_terms")(o, y, t))
        return self.total(terms) / self.value_divisor(o, y, t)

    def slope(self, o: Options, y: Array, t: Array) -> Array:
        slopes = self.times_weights(o, self.equation(o, "_slopes")(o, y, t))
        return np.asarray(slopes / self.slope_divisor(o, y, t))

    def times_weights(self, o: Options, terms: Array) -> Array:
        """Return terms or slopes times the weights of their samples."""
        return terms if self.weights is None else terms * self.weights[:, None]

    def sample_count(self, y: Array) -> Any:
        """Return the number of samples, or the sum of their weights."""
        return len(y) if self.weights is None else self.total(self.weights)

    def value_factor(self, o: Options) -> Any:
        return self.num(o.factor)

    def slope_factor(self, o: Options) -> Any:
        return self.num(o.factor)

    def value_divisor(self, o: Options, y: Array, t: Array) -> Any:
        return self.divisor(o, y, t)

    def slope_divisor(self, o: Options, y: Array, t: Array) -> Any:
        return self.divisor(o, y, t)

    def divisor(self, o: Options, y: Array, t: Array) -> Any:
        if LOSS_ROWS[o.type].has_mean_of_weights and o.reduction != "sum":
            return self.equation(o, "_divisor")(o, y, t)
        n = self.sample_count(y)
        mean = n if LOSS_ROWS[o.type].is_per_sample else n * y.shape[1]
        return {"mean": mean, "batchmean": n, "sum": 1}[o.reduction]

    def bce_terms(self, o: Options, y: Array, t: Array) -> Array:
        yes = np.maximum(self.log(y), -100)
        no = np.maximum(self.log1p(-y), -100)
        return -self.sample_weight(o) * (t * yes + (1 - t) * no)

    def bce_slopes(self, o: Options, y: Array, t: Array) -> Array:
        room = np.maximum(y * (1 - y), self.array(np.float32(o.floor)))  # torch's is a float32
        return self.sample_weight(o) * ((y - t) / room)

    def logits_terms(self, o: Options, y: Array, t: Array) -> Array:
        down, up = self.pos_weight(o) * t, 1 - t
        return self.sample_weight(o) * (down * self.softplus_of(-y) + up * self.softplus_of(y))

    def logits_slopes(self, o: Options, y: Array, t: Array) -> Array:
        down, up = self.pos_weight(o) * t, 1 - t
        return self.sample_weight(o) * (up * self.sigma(y) - down * self.sigma(-y))

    def multi_label_soft_margin_terms(self, o: Options, y: Array, t: Array) -> Array:
        both = t * self.softplus_of(-y) + (1 - t) * self.softplus_of(y)
        return np.asarray(self.sample_weight(o) * both / self.outputs_of(y))

    def multi_label_soft_margin_slopes(self, o: Options, y: Array, t: Array) -> Array:
        both = (1 - t) * self.sigma(y) - t * self.sigma(-y)
        return np.asarray(self.sample_weight(o) * both / self.outputs_of(y))

    def outputs_of(self, y: Array) -> Array:
        """Return the number of outputs, by which the terms of one sample are divided."""
        return self.array(y.shape[1])

    def sample_weight(self, o: Options) -> Array:
        return self.array(1 if o.weight is None else o.weight)

    def pos_weight(self, o: Options) -> Array:
        return self.array(1 if o.pos_weight is None else o.pos_weight)

    def cross_entropy_terms(self, o: Options, y: Array, t: Array) -> Array:
        return -self.shares(o, y, t) * self.log_shares(y)

    def cross_entropy_slopes(self, o: Options, y: Array, t: Array) -> Array:
        q = self.shares(o, y, t)
        return self.exp(self.log_shares(y)) * self.total(q, axis=1, keepdims=True) - q

    def nll_terms(self, o: Options, y: Array, t: Array) -> Array:
        return np.asarray(np.where(self.one_hot(o, y, t) > 0, self.nll_slopes(o, y, t) * y, 0))

    def nll_slopes(self, o: Options, y: Array, t: Array) -> Array:
        return -self.one_hot(o, y, t) * self.class_weight(o, y)

    def multi_margin_terms(self, o: Options, y: Array, t: Array) -> Array:
        w = self.multi_margin_weight(o, y, t)
        return w * np.maximum(self.excess(o, y, t), 0) ** o.p

    def multi_margin_slopes(self, o: Options, y: Array, t: Array) -> Array:
        excess = self.excess(o, y, t)
        slopes = np.where(excess > 0, 1, 0) if o.p == 1 else 2 * np.maximum(excess, 0)
        slopes = slopes.astype(y.dtype)
        slopes[np.arange(len(t)), t] = -self.total(slopes, axis=1)
        return self.multi_margin_weight(o, y, t) * slopes

    def excess(self, o: Options, y: Array, t: Array) -> Array:
        """Return margin − y[t] + y of each other class, and 0 of the target's."""
        rows = np.arange(len(t))
        excess = self.num(o.margin) - y[rows, t][:, None] + y
        excess[rows, t] = 0
        return np.asarray(excess.astype(y.dtype))

    def multi_margin_weight(self, o: Options, y: Array, t: Array) -> Array:
        return np.asarray(self.class_weight(o, y)[t][:, None] / self.array(y.shape[1]))

    def multi_label_margin_terms(self, o: Options, y: Array, t: Array) -> Array:
        gaps = self.label_gaps(o, y, t)
        return np.asarray(self.total(np.maximum(gaps, 0), axis=1) / self.classes_of(y))

    def multi_label_margin_slopes(self, o: Options, y: Array, t: Array) -> Array:
        slopes = (self.label_gaps(o, y, t) > 0).astype(y.dtype)
        dy = self.total(slopes, axis=1) - self.total(slopes, axis=2)
        return np.asarray(dy / self.classes_of(y))

    def classes_of(self, y: Array) -> Array:
        """Return the number of classes, by which the terms of one sample are divided."""
        return self.array(y.shape[1])

    def label_gaps(self, o: Options, y: Array, t: Array) -> Array:
        """Return 1 − y[n,j] + y[n,k] for each class j of sample n and each other k, and else 0."""
        counts = self.label_counts(y, t)[:, :, None]
        gaps = counts * (1 - y[:, :, None] + y[:, None, :])
        return np.where(self.label_pairs(counts != 0), gaps, 0).astype(y.dtype)

    def label_pairs(self, is_label: Array) -> Array:
        """Return which pairs of a class of the sample and another class count."""
        return is_label & ~is_label.swapaxes(1, 2)

    def label_counts(self, y: Array, t: Array) -> Array:
        """Return how often each class stands in the list of a sample."""
        is_listed = self.labels_listed(t)
        counts = np.zeros_like(y)
        np.add.at(counts, (np.nonzero(is_listed)[0], t[is_listed]), 1)
        return counts

    def labels_listed(self, t: Array) -> Array:
        """Return which entries of the lists stand before the first −1."""
        return np.asarray(listed_labels(t))

    def shares(self, o: Options, y: Array, t: Array) -> Array:
        """Return the factor of each class's −log p: its smoothed target times its weight."""
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
        return self.mean_divisor(o, y, t)

    def nll_divisor(self, o: Options, y: Array, t: Array) -> Any:
        return self.mean_divisor(o, y, t)

    def mean_divisor(self, o: Options, y: Array, t: Array) -> Any:
        """Return the samples, or the sum of the weights of their classes."""
        if o.reduction == "batchmean" or t.ndim == 2:
            return self.sample_count(y)
        counts = self.counts(o, t)
        weights = self.class_weight(o, y)[t[counts]]
        return self.total(weights if self.weights is None else weights * self.weights[counts])


def _add_methods(row: Loss) -> None:
    """Give Losses the methods of a loss that has a statement."""
    statement = row.statement
    if statement is None:
        return

    def terms(self: Losses, o: Options, y: Array, t: Array) -> Array:
        values: Array = statement.value(self.functions, o, y, t)
        return values

    def slopes(self: Losses, o: Options, y: Array, t: Array) -> Array:
        derivative: Array = statement.derivatives(self.functions, o, y, t)[1]
        return self.at_kink(o, row.kink(o, y, t), derivative)

    setattr(Losses, f"{row.method}_terms", terms)
    setattr(Losses, f"{row.method}_slopes", slopes)


for _row in LOSS_ROWS.values():
    _add_methods(_row)
