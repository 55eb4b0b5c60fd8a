"""MLPRegressor, for one target or several."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from manualnn.elementary import Array, exp
from manualnn.errors import SpecError
from manualnn.estimators.base import Perceptron
from manualnn.estimators.objective import HalfPoissonLoss
from manualnn.estimators.settings import (
    NUMBERS,
    REGRESSION_LOSSES,
    Settings,
    can_do_steps,
    named_loss,
)
from manualnn.losses import Loss, PoissonNLLLoss


@dataclass(eq=False, repr=False)
class _LossFirst:
    """The parameter `loss`, which is the first one of scikit-learn's MLPRegressor."""

    loss: Any = "squared_error"


@dataclass(eq=False, repr=False)
class MLPRegressor(RegressorMixin, Perceptron, _LossFirst):
    """Network for regression, in place of scikit-learn's MLPRegressor.

    The parameters and attributes are those of `MLPClassifier`, except these.

    Parameters
    ----------
    loss : str or Loss
        The loss: "squared_error" (half the square), "absolute_error", "huber" or "poisson", each
        summed over the targets; HuberLoss, L1Loss, MSELoss, SmoothL1Loss or PoissonNLLLoss, by name
        or with options; or a loss of your own. With "poisson" and PoissonNLLLoss the network
        estimates the logarithm of y ≥ 0.

    Examples
    --------
    >>> from manualnn.estimators import MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(200, 5, noise=1, random_state=0)
    >>> model = MLPRegressor(hidden_layer_sizes=(20,), solver="lbfgs").fit(X, y / y.std())
    >>> model.predict(X[:3]).shape
    (3,)

    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Settings._parameter_constraints,
        "loss": [StrOptions({*REGRESSION_LOSSES, *NUMBERS}), Loss],
    }

    @available_if(can_do_steps)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch on X, y; the arguments are those of `fit`."""
        return self._fit(X, y, sample_weight, is_partial=True)

    def predict(self, X: Any) -> Array:
        """Return the predictions for X (N, features): (N,), or (N, targets) for several."""
        y = self._predict_outputs(X)
        y = self._interpret(y)
        return y.ravel() if y.shape[1] == 1 else y

    def _resolve_loss(self) -> tuple[Loss, float]:
        loss = self.loss
        known = REGRESSION_LOSSES.get(loss) if isinstance(loss, str) else None
        return known or named_loss(loss, NUMBERS), 0.5 if loss == "squared_error" else 1.0

    def _encode(self, y: Any, dtype: Any, *, is_first: bool, is_partial: bool) -> Array:  # noqa: ARG002
        t = np.asarray(y, dtype).reshape(len(y), -1)
        if is_first:
            self.n_outputs_ = t.shape[1]
        elif t.shape[1] != self.n_outputs_:
            message = f"y has {t.shape[1]} targets, but the fitted one had {self.n_outputs_}."
            raise SpecError(message)
        return t

    def _interpret(self, y: Array) -> Array:
        return exp(y) if self.out_activation_ == "exp" else y

    def _score_of(self, t: Array, y: Array, sample_weight: Array | None) -> float:
        y = self._interpret(y)
        if not np.isfinite(y).all():
            return np.nan
        with np.errstate(over="ignore", invalid="ignore"):  # of a training that diverges
            return float(r2_score(t, y, sample_weight=sample_weight))

    def _name_out_activation(self) -> str:
        loss = self.trainer_.loss
        is_of_logarithms = isinstance(loss, PoissonNLLLoss) and loss.log_input
        return "exp" if is_of_logarithms or isinstance(loss, HalfPoissonLoss) else "identity"
