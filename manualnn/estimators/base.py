"""Base class of the estimators: fitting."""

import copy
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from sklearn.base import _fit_context, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import _check_sample_weight, validate_data

from manualnn.elementary import Array
from manualnn.errors import DivergedError, SpecError
from manualnn.estimators.convergence import Convergence
from manualnn.estimators.lbfgs import minimise
from manualnn.estimators.network import Network
from manualnn.estimators.objective import (
    ObjectiveTrainer,
    Order,
    as_rows,
    as_value_error,
    with_epsilon_hat,
    without_epsilon_hat,
)
from manualnn.estimators.settings import STOCHASTIC
from manualnn.losses import Loss
from manualnn.network.sequential import Sequential
from manualnn.training.batches import Samples
from manualnn.training.history import History

ENDS = {
    "epochs": (
        "Stochastic Optimizer: Maximum iterations ({}) reached and the optimization hasn't "
        "converged yet."
    ),
    "interrupted": "Training interrupted by user.",
    "terminated": "Training interrupted by SIGTERM.",
    "diverged": "Training diverged; the weights are those of the best score.",
}
"""The warnings by `History.stopped`."""


@dataclass(eq=False, repr=False)
class Perceptron(Network):
    """What MLPClassifier and MLPRegressor have in common."""

    # ------------------------------------------------------------------ what differs

    @abstractmethod
    def _resolve_loss(self) -> tuple[Loss, float]:
        """Return the loss for the targets that `_encode` has seen, and its factor."""

    @abstractmethod
    def _encode(self, y: Any, dtype: Any, *, is_first: bool, is_partial: bool) -> Array:
        """Return the targets for the loss."""

    @abstractmethod
    def _score_of(self, t: Array, y: Array, sample_weight: Array | None) -> float:
        """Return the score of the network's outputs y for the targets t of the loss."""

    @abstractmethod
    def _name_out_activation(self) -> str:
        """Return scikit-learn's name of the function that makes predictions of the outputs."""

    def _weigh(self, y: Any, sample_weight: Array | None) -> Array | None:  # noqa: ARG002
        """Return the weights of the samples, with those of their classes."""
        return sample_weight

    # ------------------------------------------------------------------ fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array or sparse matrix (N, features)
            Inputs; standardise them first, as by StandardScaler.
        y : array (N,) or (N, outputs)
            Classes, a multi-label indicator matrix, or numbers.
        sample_weight : array (N,), optional
            Weights of the samples, at least 0. The loss of a batch is Σ w l / Σ w.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X, y or a parameter is not usable, or if training diverges.

        """
        return self._fit(X, y, sample_weight, is_partial=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, is_partial: bool) -> Self:
        if is_partial and self.early_stopping:
            message = "partial_fit does not support early_stopping=True; set it to False."
            raise ValueError(message)
        is_first = not hasattr(self, "trainer_") or not (self.warm_start or is_partial)
        random_state = check_random_state(self.random_state)
        samples = self._begin(
            X, y, sample_weight, random_state, is_first=is_first, is_partial=is_partial
        )
        trainer = self.trainer_
        if not is_partial:
            trainer.rule = self._build_rule()
            trainer.state = trainer.rule.init(trainer.params)
            self.schedule_ = copy.deepcopy(self.schedule)
        if self.solver == "lbfgs":
            self.n_iter_, self.loss_ = minimise(self, samples)
            return self
        if self.solver == "adam" and self.optimizer is None:
            trainer.rule = with_epsilon_hat(trainer.rule)
        usual, trainer.rng = trainer.rng, Order(random_state)
        try:
            self._train(samples, random_state, is_partial=is_partial)
        finally:
            trainer.rng, trainer.rule = usual, without_epsilon_hat(trainer.rule)
        return self

    def _train(
        self, samples: Samples, random_state: np.random.RandomState, *, is_partial: bool
    ) -> None:
        """Train until the objective, or the score of held-out samples, stops improving."""
        held = score = None
        if self.early_stopping:
            samples, held = self._hold_out(samples, random_state)
            score = partial(self._score, held)
        n = len(samples.x)
        convergence = Convergence(self, n, score)
        epochs = 1 if is_partial else self.max_iter
        try:
            # A schedule may watch the loss of the held-out samples.
            seen = held if self.schedule_ else None
            self._run(samples, seen, epochs, self._batch_size(n), [convergence], progress=False)
        except DivergedError as error:
            self.history_ = error.history if isinstance(error.history, History) else History()
            if not self.early_stopping:
                raise as_value_error(error) from error
            # As in scikit-learn, a score that is not a number counts as no improvement.
            self.validation_scores_.append(np.nan)
        ending = ENDS.get(self.history_.stopped)
        if ending and not is_partial:
            warnings.warn(ending.format(self.max_iter), ConvergenceWarning, stacklevel=5)
        if self.early_stopping:
            np.copyto(self.trainer_.params.vector, convergence.best)

    def _score(self, held: Samples) -> float:
        return self._score_of(held.t, self._outputs(held.x), held.w)

    def _run(
        self,
        samples: Samples,
        held: Samples | None,
        epochs: int,
        batch_size: int,
        callbacks: Sequence[Any],
        **options: Any,
    ) -> History:
        x, t, w = samples
        self.history_ = self.trainer_.fit(
            x,
            t,
            sample_weight=w,
            validation_data=held,
            epochs=epochs,
            batch_size=batch_size,
            shuffle=self.shuffle,
            callbacks=[*callbacks, *([self.schedule_] if self.schedule_ else [])],
            **options,
        )
        return self.history_

    def _begin(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        random_state: Any = None,
        *,
        is_first: bool = False,
        is_partial: bool = True,
    ) -> Samples:
        """Return the samples, checked and encoded. Before the first fit, make the trainer."""
        X, y = self._validate(X, y, is_first=is_first)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=X.dtype, ensure_non_negative=True
            )
        t = self._encode(y, X.dtype, is_first=is_first, is_partial=is_partial)
        loss, scale = self._resolve_loss()
        net = self._network(X.shape[1], self.n_outputs_, loss)
        if is_first:
            self._build(net, loss, random_state, X.dtype)
        elif (net, loss) != (self.trainer_.net, self.trainer_.loss):
            message = "the parameters describe another network or loss than the fitted one; set "
            raise SpecError(message + "warm_start=False and call fit, or set them back.")
        self.trainer_.alpha, self.trainer_.scale = float(self.alpha), scale
        return Samples(as_rows(X), t, self._weigh(y, sample_weight))

    def _validate(self, X: Any, y: Any, *, is_first: bool) -> tuple[Any, Any]:
        kinds = (np.float64, np.float32) if self.dtype is None else self.dtype
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=not is_classifier(self),
            dtype=kinds if is_first else self.trainer_.params.dtype,
            reset=is_first,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _build(
        self, net: Sequential, loss: Loss, random_state: np.random.RandomState, dtype: Any
    ) -> None:
        """Make the trainer, and the attributes of a fit without an epoch."""
        params = self._draw_parameters(net, random_state, dtype)
        # The copy keeps the numbers that scikit-learn draws next.
        seed = int(copy.deepcopy(random_state).randint(2**31 - 1))
        self.trainer_ = ObjectiveTrainer(net, loss, self._build_rule(), seed=seed, params=params)
        for name, arrays in self.__dict__.pop("_initial", {}).items():
            self._assign(name, arrays)
        self.schedule_ = copy.deepcopy(self.schedule)
        self.out_activation_ = self._name_out_activation()
        self.n_layers_ = len(self.coefs_) + 1
        self.n_iter_ = self.t_ = 0
        if self.solver in STOCHASTIC:
            self.loss_curve_: list[float] = []
            self._no_improvement_count = 0
            self.best_loss_ = None if self.early_stopping else np.inf
            self.validation_scores_: Any = [] if self.early_stopping else None
            self.best_validation_score_ = -np.inf if self.early_stopping else None

    def _hold_out(
        self, samples: Samples, random_state: np.random.RandomState
    ) -> tuple[Samples, Samples]:
        """Return the samples to train on, and those that decide when to stop."""
        x, t, w = samples
        stratify = t.astype(bool) if is_classifier(self) and self.n_outputs_ == 1 else None
        parts = train_test_split(
            *(part for part in (getattr(x, "matrix", x), t, w) if part is not None),
            random_state=random_state,
            test_size=self.validation_fraction,
            stratify=stratify,
        )
        if parts[1].shape[0] < 2:
            message = (
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
            raise ValueError(message)
        parts[:2] = map(as_rows, parts[:2])
        return Samples(*parts[::2]), Samples(*parts[1::2])

    def _batch_size(self, n: int) -> int:
        if self.batch_size == "auto":
            return min(200, n)
        if self.batch_size > n:
            message = f"batch_size is {self.batch_size}, but there are {n} samples: it becomes {n}."
            warnings.warn(message, stacklevel=6)
        return min(int(self.batch_size), n)

    # ------------------------------------------------------------------ for manualnn.tabular

    def _start(self, X: Any, y: Any) -> ObjectiveTrainer:
        """Make the trainer for X (N, features) and y, without training, and return it."""
        self._validate_params()
        random_state = check_random_state(self.random_state)
        self._begin(X, y, None, random_state, is_first=True, is_partial=False)
        return self.trainer_

    def _fit_with(
        self,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        validation_data: Any = None,
        epochs: int,
        batch_size: int,
        callbacks: Sequence[Any] = (),
        **options: Any,
    ) -> History:
        """Train by the callbacks alone, without the stops of `tol`; `options` are those of fit."""
        samples = self._begin(X, y, sample_weight)
        held = None if validation_data is None else self._begin(*validation_data)
        return self._run(samples, held, epochs, batch_size, callbacks, **options)
