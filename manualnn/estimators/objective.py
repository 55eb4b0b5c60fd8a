"""The objective of the estimators, and scikit-learn's variants of Adam and of the random order.

    c · L + α/(2n) Σ W²         L the loss of a batch, n its samples (or the sum of their weights)

The penalty is scikit-learn's: of the weights W, not of the biases, and divided by n.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse

from manualnn.elementary import Array, exp, log
from manualnn.errors import DivergedError, DomainError
from manualnn.losses import Loss
from manualnn.optimizers import Adam, Optimizer
from manualnn.optimizers.planned import Rates
from manualnn.training.batches import Samples
from manualnn.training.step_plan import StepPlan
from manualnn.training.trainer import Trainer
from manualnn.validation import as_weights


class ObjectiveTrainer(Trainer):
    """Trainer of c · L + α/(2n) Σ W²; `last_loss` and the history hold this objective.

    Attributes
    ----------
    alpha : float
        α, the strength of the penalty.
    scale : float
        c, the factor of the loss.

    """

    alpha: float = 0.0
    scale: float = 1.0

    def _prepare(self) -> None:
        super()._prepare()
        is_weight = self.params.zeros_like()
        for key, array in is_weight.items():
            array.fill(key.endswith("weight"))
        self._is_weight = is_weight.vector
        self._scratch = np.empty_like(self._is_weight)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle and copy all attributes except those that `_prepare` makes."""
        state, prepared = super().__getstate__(), {"_is_weight", "_scratch"}
        return {name: value for name, value in state.items() if name not in prepared}

    def value_and_grad(self, samples: Samples) -> tuple[float, Array]:
        """Return the objective for all samples and its gradient, which the next call overwrites."""
        plan = self._plans.find(self.loss, *samples)
        if plan.rule is not self.rule:
            plan.set_rule(self.rule)
        with np.errstate(all="ignore"):
            return self._evaluate(plan), self._plans.grads.vector

    def _evaluate(self, plan: StepPlan) -> float:
        value = self.scale * plan.run()
        theta, g = self._params.vector, self._plans.grads.vector
        if self.scale != 1:
            np.multiply(g, self.scale, g)
        n = len(plan.y) if plan.w is None else float(np.add.reduce(plan.w))
        if not self.alpha or not n:
            return value
        share = self.alpha / n
        # The gradient of plain descent already has the rule's factor.
        step = share * (self.rule.factor or 0) if plan.is_descent else share
        scratch = np.multiply(theta, self._is_weight, self._scratch)
        value += share / 2 * float(scratch.dot(theta))
        np.add(g, np.multiply(scratch, step, scratch), g)
        return value

    def _samples(self, x: Any, t: Any, sample_weight: Any) -> Samples:
        if not isinstance(x, SparseRows):
            return super()._samples(x, t, sample_weight)
        rows: Any = x
        t = self._targets(t, rows)
        w = None if sample_weight is None else as_weights(sample_weight, len(x), x.dtype)
        if w is not None and not w.all():
            counts = w > 0
            return Samples(as_rows(x.matrix[counts]), t[counts], w[counts])
        return Samples(rows, t, w)


class SparseRows:
    """A sparse matrix that `Batches` reads as an array: only rows that it takes become dense."""

    def __init__(self, matrix: Any) -> None:
        self.matrix = matrix.tocsr()
        self.shape, self.dtype = matrix.shape, matrix.dtype

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.shape[0])

    def __getitem__(self, rows: Any) -> Array:
        """Return the rows as an array."""
        return self.matrix[rows].toarray()

    def view(self) -> Array:
        """Return all rows as an array, for a step on all of them."""
        return self[:]

    def take(self, rows: Array, axis: int, out: Array, mode: str) -> Array:
        """Write the rows into `out`, as np.take does."""
        del axis, mode
        return self.matrix[rows].toarray(out=out)


def as_rows(x: Any) -> Any:
    """Return an array as it is, and a sparse matrix as SparseRows."""
    return SparseRows(x) if issparse(x) else x


class EpsilonHatAdam(Adam):
    """Adam as the last lines of section 2 in Kingma & Ba 2015 compute it, and scikit-learn does.

    θ ← θ − lr √c₂ / c₁ · m / (√v + ε)      cᵢ = 1 − βᵢᵗ; Adam itself has ε √c₂ instead of ε
    """

    def rates(self, t: Any) -> Rates:
        """Return lr √c₂ / c₁ and ε."""
        return Adam.rates(self, t)[0], self.eps


def with_epsilon_hat(rule: Optimizer) -> Optimizer:
    """Return scikit-learn's variant of Adam."""
    return EpsilonHatAdam(**vars(rule))


def without_epsilon_hat(rule: Optimizer) -> Optimizer:
    """Return Adam for its variant, which no file can name, and any other rule as it is."""
    return Adam(**vars(rule)) if type(rule) is EpsilonHatAdam else rule


@dataclass(frozen=True, repr=False, eq=False)
class HalfPoissonLoss(Loss):
    """Half the Poisson deviance of counts t, whose logarithm the network estimates.

    Forward, D the divisor of the reduction
        L = 1/D Σₙₖ exp(y) − t + t (log t − y)          t log t = 0 where t = 0

    Backward
        dy = 1/D (exp(y) − t)

    Shapes: y, t, dy (N, K); t ≥ 0. It is scikit-learn's loss="poisson".
    """

    def targets(self, t: Any, y: Array, /) -> Array:
        """Return the targets. Raises DomainError for a negative one."""
        t = Loss.targets(self, t, y)
        if t.min() < 0:
            message = f"loss='poisson' expects y ≥ 0, got {t.min():g}; use 'squared_error'."
            raise DomainError(message)
        return t

    def terms(self, y: Array, t: Array, /) -> Array:
        """Return the terms of the deviance."""
        return exp(y) - t + t * (log(np.where(t > 0, t, 1)) - y)

    def backward(self, y: Array, t: Array, /, *, out: Array | None = None) -> Array:
        """Return dy."""
        dy = np.subtract(exp(y, out=out), t, out=out)
        return np.multiply(dy, self.share(y, t), out=dy)


class Order(np.random.Generator):
    """A Generator that draws the orders and numbers of a RandomState as scikit-learn does.

    Each epoch permutes the order of the epoch before it.
    """

    def __init__(self, random_state: np.random.RandomState) -> None:
        super().__init__(random_state._bit_generator)
        self._random_state = random_state
        self._last: Array | None = None

    def permutation(self, n: Any, axis: int = 0) -> Array:
        """Return the order of n samples in the next epoch."""
        del axis
        drawn = np.arange(n)
        self._random_state.shuffle(drawn)
        self._last = drawn if self._last is None else self._last[drawn]
        return self._last


class NonFiniteWeightsError(DivergedError, ValueError):
    """Training diverged. It is a ValueError as well, because scikit-learn raises one."""


def as_value_error(error: DivergedError) -> NonFiniteWeightsError:
    """Return the error with scikit-learn's sentence and ours."""
    message = (
        "Solver produced non-finite parameter weights. The input data may contain large values "
        f"and need to be preprocessed. {error}"
    )
    return NonFiniteWeightsError(
        message, epoch=error.epoch, last_loss=error.last_loss, history=error.history
    )
