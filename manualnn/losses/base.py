"""The loss contract: the distance L of the outputs y from the targets t, and ∂L/∂y.

A loss is a frozen description, like a layer. `forward` and `backward` are its kernels. `value`,
`grad` and `value_and_grad` check their arguments and then call the kernels.

`reduction` defines how the terms of a batch become one number. For outputs of shape (N, K):

    mean        divide by all terms         ÷ N K     torch's default
    batchmean   divide by the samples       ÷ N       the textbook's E = 1/N Σₙ Σₖ (t − y)²
    sum         divide by nothing           ÷ 1

Gradients differ by the same factors: from mean to batchmean K, from batchmean to sum N. A loss that
has one term for each sample (CrossEntropyLoss) divides by N also for mean.

`factor` is a constant that multiplies L and its gradient. MSELoss(reduction="sum", factor=0.5) is
the ½ Σ (t − y)² of many articles. Where the factor is c, each c/D stands for the 1/D of a loss's
equations.

A mean over nothing is 0, and so is its gradient: D is 0 if there are no samples, if all targets are
ignored, or if the weights of all their classes are 0. torch returns 0/0 = NaN there.

Samples may have weights wₙ, as if sample n came wₙ times. With the terms lₙₖ, and with sample n's
part dₙ of the divisor D = Σₙ dₙ (K for mean, 1 for batchmean):

    mean, batchmean     L = Σₙ wₙ Σₖ lₙₖ / Σₙ wₙ dₙ
    sum                 L = Σₙ wₙ Σₖ lₙₖ
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from manualnn.elementary import Array, ratio
from manualnn.errors import ShapeError, SpecError
from manualnn.spec import QUIET, Description, require
from manualnn.validation import as_array, as_dtype, as_floats, as_weights, shown

REDUCTIONS = ("mean", "sum", "batchmean")


def require_loss(loss: Any) -> None:
    """Raise SpecError if loss is not a Loss."""
    if not isinstance(loss, Loss):
        message = f"expected a loss such as MSELoss(), got {shown(loss)}."
        raise SpecError(message)


@dataclass(frozen=True, repr=False, eq=False)
class Loss(Description):
    """Base of every loss: y and t of the same shape (N, K)."""

    reduction: str = "mean"
    factor: float = field(default=1.0, kw_only=True, metadata=QUIET)

    def __post_init__(self) -> None:
        Description.__post_init__(self)
        factor: Any = self.factor  # may be a symbol
        fits = 1e-30 <= factor <= 1e30 if isinstance(factor, int | float) else factor > 0
        require(self, "factor", "from 1e-30 to 1e30", fits)
        require(self, "reduction", f"one of {', '.join(REDUCTIONS)}", self.reduction in REDUCTIONS)

    def forward(self, y: Array, t: Array, /) -> Any:
        """Return L, a scalar of y's dtype."""
        return self.reduced(self.terms(y, t), y, t)

    def terms(self, y: Array, t: Array, /) -> Array:
        """Return the terms l, whose sum times factor / D is L; shape (N, K)."""
        kind = type(self).__name__
        message = f"{kind} has no method terms(y, t), which sample weights and {kind}.forward need."
        raise SpecError(message)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        """Return dy = ∂L/∂y."""
        raise NotImplementedError

    def forward_and_backward(
        self, y: Array, t: Array, /, *, out: Array | None = None
    ) -> tuple[Any, Array]:
        """Return L and dy. A loss overrides this if both need the same intermediate results."""
        return self.forward(y, t), self.backward(y, t, out=out)

    def with_gradient(
        self, y: Array, t: Array, w: Array | None, /, *, out: Array | None = None
    ) -> tuple[Any, Array]:
        """Return L and dy for samples with the weights w, or with none."""
        if w is None:
            return self.forward_and_backward(y, t, out=out)
        return self.weighted(y, t, w, out=out)

    def divisor(self, y: Array, t: Array, /) -> Any:
        """Return the divisor of the sum of all terms."""
        return {"mean": y.size, "batchmean": len(y), "sum": 1}[self.reduction]

    def divisors(self, y: Array, t: Array, /) -> Array:
        """Return d, each sample's part of the divisor, unless the reduction is sum; shape (N,)."""
        return np.full(len(y), y.shape[1] if self.reduction == "mean" else 1, y.dtype)

    def weighted_divisor(self, y: Array, t: Array, w: Array, /) -> Any:
        """Return the divisor for samples with the weights w, shape (N,)."""
        return 1 if self.reduction == "sum" else np.dot(w, self.divisors(y, t))

    def weighted(
        self, y: Array, t: Array, w: Array, /, *, out: Array | None = None
    ) -> tuple[Any, Array]:
        """Return L and dy for samples with the weights w, shape (N,)."""
        divisor = self.weighted_divisor(y, t, w)
        total = np.dot(w, np.add.reduce(self.terms(y, t), axis=1))
        dy = self.backward(y, t, out=out)  # which divides by the divisor without weights
        factor = w * self.divisor(y, t) / (divisor or 1)
        return self.over(total, divisor, y), np.multiply(dy, factor[:, None], out=dy)

    def share(self, y: Array, t: Array, /, numerator: int = 1) -> Any:
        """Return numerator · factor / D in y's dtype, or 0 if D is 0."""
        divisor = self._scaled(self.divisor(y, t), y)
        return ratio(numerator if divisor else 0, divisor or 1, y)

    def divided(self, dy: Array, y: Array, t: Array, out: Array | None, /) -> Array:
        """Return factor / D · dy, or 0 if D is 0; dy may change."""
        divisor = self._scaled(self.divisor(y, t), y)
        if not divisor:
            dy.fill(0)
        return np.divide(dy, divisor or 1, out=out, order="C")

    def reduced(self, terms: Array, y: Array, t: Array, /) -> Any:
        """Return factor / D · Σ terms, or 0 if D is 0."""
        return self.over(np.add.reduce(terms, axis=None), self.divisor(y, t), y)

    def over(self, total: Any, divisor: Any, y: Array, /) -> Any:
        """Return factor / divisor · total, or 0 if the divisor is 0."""
        return total / self._scaled(divisor, y) if divisor else y.dtype.type(0)

    def _scaled(self, divisor: Any, y: Array) -> Any:
        return divisor if self.factor == 1 else ratio(divisor, self.factor, y)

    def targets(self, t: Any, y: Array, /) -> Array:
        """Return the targets t as an array that fits the outputs y.

        Raises ShapeError, DTypeError or DomainError if t does not fit.
        """
        t = as_floats(t, y.dtype, "t")
        if t.shape != y.shape:
            hint = ""
            if t.size == y.size:
                hint = f"; pass t.reshape({', '.join(map(str, y.shape))})"
            message = (
                f"{type(self).__name__} expects t of shape {y.shape}, as y is, got {t.shape}{hint}."
            )
            raise ShapeError(message)
        return t

    def require_outputs(self, y: Array, /) -> None:
        """Raise DomainError if the outputs y are outside the domain of the loss."""

    def value(self, y: Any, t: Any, /, *, sample_weight: Any = None) -> Any:
        """Check y (N, K), t (see the class) and weights wₙ ≥ 0, shape (N,). Return L, a scalar.

        Raises ShapeError, DTypeError or DomainError if one of them does not fit.
        """
        y, t, w = self._checked(y, t, sample_weight)
        with np.errstate(all="ignore"):
            return self.forward(y, t) if w is None else self.weighted(y, t, w)[0]

    def grad(
        self, y: Any, t: Any, /, *, sample_weight: Any = None, out: Array | None = None
    ) -> Array:
        """Return ∂L/∂y of shape (N, K); the arguments and errors are those of `value`."""
        y, t, w = self._checked(y, t, sample_weight)
        with np.errstate(all="ignore"):
            return self.backward(y, t, out=out) if w is None else self.weighted(y, t, w, out=out)[1]

    def value_and_grad(
        self, y: Any, t: Any, /, *, sample_weight: Any = None, out: Array | None = None
    ) -> tuple[Any, Array]:
        """Return L and ∂L/∂y; the arguments and errors are those of `value`."""
        y, t, w = self._checked(y, t, sample_weight)
        with np.errstate(all="ignore"):
            return self.with_gradient(y, t, w, out=out)

    def probabilities(self, y: Array, /) -> Array:
        """Return the probabilities for the outputs y, shape (N, K)."""
        message = (
            f"{type(self).__name__} is a loss for regression: its outputs are not probabilities; "
            f"train with CrossEntropyLoss, BCELoss or BCEWithLogitsLoss to predict classes."
        )
        raise SpecError(message)

    def classify(self, y: Any, /) -> tuple[Array, Array]:
        """Return the likelier class of each output, 0 or 1, and its probability; both (N, K)."""
        p = self.probabilities(self._outputs(y))
        classes = (p >= 0.5).astype(np.intp)
        return classes, np.where(classes, p, 1 - p)

    def _checked(self, y: Any, t: Any, w: Any) -> tuple[Array, Array, Array | None]:
        y = self._outputs(y)
        self.require_outputs(y)
        return y, self.targets(t, y), None if w is None else as_weights(w, len(y), y.dtype)

    def _outputs(self, y: Any) -> Array:
        """Return y as an array of floats of shape (N, K). Raises ShapeError or DTypeError."""
        y = as_array(y, "y")
        y = as_floats(y, as_dtype(np.float64 if y.dtype.kind in "biu" else y.dtype), "y")
        if y.ndim != 2:
            message = f"{type(self).__name__} expects y of shape (N, K), got {y.shape}."
            raise ShapeError(message)
        return y
