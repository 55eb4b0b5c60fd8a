"""The callback that ends a training as scikit-learn does, and changes its learning rate."""

from typing import Any

import numpy as np

from manualnn.training.stepper import Stepper
from manualnn.training.trainer import History, Trainer

LEAST_RATE = 1e-6
"""The adaptive learning rate is divided by 5 until it is at most this; then training ends."""


class Convergence:
    """Record an epoch in the estimator; end the training when the objective stops improving.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Its attributes `loss_curve_`, `n_iter_` and so on grow with each epoch.
    samples : int
        Samples of an epoch, and of the held-out ones.
    score : callable () -> float, optional
        Returns the score of held-out samples; with early_stopping it decides instead of the loss.

    Attributes
    ----------
    best : array
        The parameters with the best score.

    """

    def __init__(self, estimator: Any, samples: int, score: Any = None) -> None:
        self._estimator = estimator
        self._samples = samples
        self._score = score
        self.best = estimator.trainer_.params.vector.copy()

    def __call__(self, trainer: Trainer, history: History) -> bool:
        """Return True to end the training."""
        est = self._estimator
        est.n_iter_ = history.epochs
        est.t_ += self._samples
        est.loss_ = history.loss[-1]
        est.loss_curve_.append(est.loss_)
        if est.verbose:
            print(f"Iteration {est.n_iter_}, loss = {est.loss_:.8f}")  # noqa: T201 - as asked for
        self._count()
        is_descent = est.solver == "sgd" and est.optimizer is None
        if is_descent and est.learning_rate == "invscaling":
            set_rate(trainer, est.learning_rate_init / (est.t_ + 1) ** est.power_t)
        if est._no_improvement_count <= est.n_iter_no_change:
            return False
        if is_descent and est.learning_rate == "adaptive" and trainer.lr > LEAST_RATE:
            set_rate(trainer, trainer.lr / 5)
            est._no_improvement_count = 0
            if est.verbose:
                print(f"Setting learning rate to {trainer.lr:f}")  # noqa: T201
            return False
        return True

    def _count(self) -> None:
        """Count the epochs without an improvement of at least tol."""
        est = self._estimator
        if self._score is None:
            is_better = est.loss_ <= est.best_loss_ - est.tol
            est.best_loss_ = min(est.best_loss_, est.loss_)
        else:
            score = self._score()
            est.validation_scores_.append(score)
            if est.verbose:
                print(f"Validation score: {score:f}")  # noqa: T201
            # NaN is not below the bound, as in scikit-learn.
            is_better = not score < est.best_validation_score_ + est.tol
            if score > est.best_validation_score_:
                est.best_validation_score_ = score
                np.copyto(self.best, est.trainer_.params.vector)
        est._no_improvement_count = 0 if is_better else est._no_improvement_count + 1


def set_rate(trainer: Stepper, lr: float) -> None:
    """Set the learning rate, and keep the velocity lr · b that the momentum has reached.

    The rate is outside of torch's buffer b, but inside of scikit-learn's velocity.
    """
    buffer = trainer.state.get("momentum_buffer")
    if buffer is not None:
        np.multiply(buffer, trainer.lr / lr, buffer)
    trainer.lr = lr
