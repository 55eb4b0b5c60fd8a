"""MLPClassifier, for two classes, more, or several labels at a time."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    check_classification_targets,
    type_of_target,
    unique_labels,
)

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.estimators.base import Perceptron
from manualnn.estimators.settings import CLASSES, Settings, can_do_steps, named_loss
from manualnn.losses import BCEWithLogitsLoss, CrossEntropyLoss, Loss

MOST_COLUMNS = 64
"""With more classes the targets are indices: a column for each class would take much memory.

With fewer they are columns, because a planned step with them does a third fewer calls of Python."""


@dataclass(eq=False, repr=False)
class MLPClassifier(ClassifierMixin, Perceptron):
    """Network for classification, in place of scikit-learn's MLPClassifier.

    The parameters are scikit-learn's, with its defaults, and those at the end of the list. The same
    parameters and the same `random_state` give scikit-learn's weights, to rounding.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Widths of the hidden layers; may be empty.
    activation : str or layer
        "relu", "logistic", "tanh" or "identity"; the name of a layer of manualnn, such as
        "Softplus", or a layer, such as LeakyReLU(0.1).
    solver : {"adam", "sgd", "lbfgs"}
        The method. "lbfgs" is SciPy's L-BFGS-B on all samples at once.
    alpha : float
        Strength of the penalty α/(2n) Σ W² in each batch of n samples. Biases have no penalty.
    batch_size : int or "auto"
        Samples in a step; "auto" is min(200, N).
    learning_rate : {"constant", "invscaling", "adaptive"}
        Change of the rate of solver="sgd". "invscaling": learning_rate_init / t^power_t after t
        samples. "adaptive": a fifth whenever the training would end, until the rate is 1e-6.
    learning_rate_init, power_t : float
        The initial learning rate, and the power of "invscaling".
    max_iter : int
        Most epochs; for "lbfgs", most iterations.
    shuffle : bool
        If True, every epoch visits the samples in a new order.
    random_state : int, RandomState or None
        Seed of the initial weights, the order, the dropout and the held-out samples.
    tol : float
        The training ends when the loss (or, with early_stopping, the score of the held-out samples)
        has not improved by tol for n_iter_no_change epochs. For "lbfgs", bound of the gradient.
    verbose : bool
        If True, print the loss of every epoch.
    warm_start : bool
        If True, `fit` begins with the weights of the last fit.
    momentum, nesterovs_momentum : float, bool
        Momentum of solver="sgd".
    early_stopping : bool
        If True, hold out validation_fraction of the samples, end when their score stops improving,
        and keep the weights of the best score.
    validation_fraction : float
        Fraction of the samples to hold out.
    beta_1, beta_2, epsilon : float
        Constants of solver="adam". ε is added to √v before the correction, as by scikit-learn.
    n_iter_no_change : int or inf
        Epochs without an improvement after which the training ends.
    max_fun : int
        Most evaluations of the objective by "lbfgs".
    dropout : float
        Probability of dropout after each hidden layer.
    optimizer : Optimizer, optional
        Update rule, such as manualnn.RMSprop(lr=0.01), in place of that of `solver`.
    schedule : callable, optional
        Schedule of the learning rate, such as manualnn.StepLR(10), or another callback.
    dtype : data type, optional
        float32 or float64; by default float32 for X of float32, and float64 for all others.
    loss : str or Loss
        "log_loss": CrossEntropyLoss for three or more classes, BCEWithLogitsLoss for two and for
        labels; or one of these, BCELoss or MultiLabelSoftMarginLoss, by name or with options.
    class_weight : dict, "balanced" or None
        Weights of the classes, multiplied by sample_weight; "balanced": N / (K · count).

    Attributes
    ----------
    trainer_ : Trainer
        The network with its parameters and optimizer, for `manualnn.save`, `explain` and so on.
    history_ : History
        The record of the last call of `fit` or `partial_fit`.
    classes_ : array (K,)
        The classes, sorted.
    coefs_, intercepts_ : sequence of array
        Weights (in, out) and biases (out,) of each layer: views into `trainer_.params`.
    loss_, best_loss_, loss_curve_ : float, float or None, list
        The objective of the last epoch, its minimum (None with early_stopping), and all of them.
    validation_scores_, best_validation_score_ : list or None, float or None
        The scores of the held-out samples.
    n_iter_, t_ : int
        Number of epochs of the last call, and of samples of all calls.
    n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_
        As scikit-learn's.

    Examples
    --------
    >>> from manualnn.estimators import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier((10,), activation="Softplus", solver="lbfgs", random_state=0)
    >>> model = make_pipeline(StandardScaler(), network).fit(X, y)
    >>> model.score(X, y) > 0.95
    True

    """

    loss: Any = "log_loss"
    class_weight: Any = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Settings._parameter_constraints,
        "loss": [StrOptions({"log_loss", *CLASSES}), Loss],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    @available_if(can_do_steps)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train one epoch on X, y.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array (K,)
            All classes that may come; the first call needs them.

        """
        if self.class_weight == "balanced":
            message = "partial_fit does not know all samples; give class_weight as a dict."
            raise ValueError(message)
        if _check_partial_fit_first_call(self, classes):
            self._is_multilabel = type_of_target(y).startswith("multilabel")
        return self._fit(X, y, sample_weight, is_partial=True)

    def predict(self, X: Any) -> Array:
        """Return the class of each row of X (N, features): (N,), or (N, labels) of 0 and 1."""
        y = self._predict_outputs(X)
        codes = self._codes(y)
        return codes if self._is_multilabel else self.classes_[codes]

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of the classes, in the order of `classes_`: (N, K)."""
        y = self._predict_outputs(X)
        p = self.trainer_.loss.probabilities(y)
        if not self._is_multilabel and p.shape[1] > 1:
            return p / p.sum(axis=1, keepdims=True)
        # Between 0 and 1, and never rounded to one of them, so that all logarithms are finite.
        number = np.finfo(p.dtype)
        np.clip(p, number.tiny, 1 - number.epsneg, out=p)
        return p if self._is_multilabel else np.hstack([1 - p, p])[:, : len(self.classes_)]

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of the probabilities: (N, K)."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _resolve_loss(self) -> tuple[Loss, float]:
        loss = self.loss
        if loss == "log_loss":
            is_binary = self._is_multilabel or len(self.classes_) <= 2
            loss = BCEWithLogitsLoss("batchmean") if is_binary else CrossEntropyLoss()
        loss = named_loss(loss, CLASSES)
        if self._is_multilabel and isinstance(loss, CrossEntropyLoss):
            message = "CrossEntropyLoss has one class for a sample; use loss='log_loss' for labels."
            raise SpecError(message)
        return loss, 1.0

    def _encode(self, y: Any, dtype: Any, *, is_first: bool, is_partial: bool) -> Array:
        check_classification_targets(y)
        if is_first and not is_partial:
            self._is_multilabel = type_of_target(y).startswith("multilabel")
            self.classes_ = unique_labels(y)
        else:
            self._require_known_classes(y, may_lack=is_partial)
        loss = self._resolve_loss()[0]
        count = len(self.classes_)
        if self._is_multilabel:
            self.n_outputs_ = count
            return (y.toarray() if issparse(y) else y).astype(dtype)
        labels, inverse = np.unique(y, return_inverse=True)
        codes = np.searchsorted(self.classes_, labels)[inverse]
        has_column_for_each = count > 2 or isinstance(loss, CrossEntropyLoss)
        self.n_outputs_ = count if has_column_for_each else 1
        if isinstance(loss, CrossEntropyLoss) and count > MOST_COLUMNS:
            return codes
        ones = np.arange(count) if has_column_for_each else np.ones(1, int)
        return (codes[:, None] == ones).astype(dtype)

    def _require_known_classes(self, y: Any, *, may_lack: bool) -> None:
        classes = unique_labels(y)
        if may_lack and np.setdiff1d(classes, self.classes_).size:
            message = (
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                f"'y' has {classes}."
            )
            raise ValueError(message)
        if not may_lack and not np.array_equal(classes, self.classes_):
            message = (
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {classes}"
            )
            raise ValueError(message)

    def _weigh(self, y: Any, sample_weight: Array | None) -> Array | None:
        if self.class_weight is None:
            return sample_weight
        of_classes = compute_sample_weight(self.class_weight, y).astype(self.trainer_.params.dtype)
        return of_classes if sample_weight is None else of_classes * sample_weight

    def _codes(self, y: Array) -> Array:
        """Return the index of the class of each row, or the labels as 0 and 1."""
        p = self.trainer_.loss.probabilities(y)
        if self._is_multilabel:
            return (p > 0.5).astype(int)
        if p.shape[1] == 1:
            # If all samples were of one class, there is no class 1.
            return np.minimum(p[:, 0] > 0.5, len(self.classes_) - 1).astype(int)
        return np.argmax(p, axis=1)

    def _score_of(self, t: Array, y: Array, sample_weight: Array | None) -> float:
        if not np.isfinite(y).all():
            return np.nan
        if t.ndim == 2 and not self._is_multilabel:
            t = t[:, 0] if t.shape[1] == 1 else np.argmax(t, axis=1)
        return float(accuracy_score(t.astype(int), self._codes(y), sample_weight=sample_weight))

    def _name_out_activation(self) -> str:
        return "softmax" if isinstance(self.trainer_.loss, CrossEntropyLoss) else "logistic"

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
