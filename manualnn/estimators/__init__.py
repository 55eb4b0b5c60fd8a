"""Estimators for scikit-learn: MLPClassifier and MLPRegressor, with its parameter names.

    model = make_pipeline(StandardScaler(), MLPClassifier((64,), early_stopping=True))
    model.fit(X, y).score(X_test, y_test)

The same parameters and the same `random_state` give scikit-learn's model, to rounding.
"""

from manualnn.errors import MissingExtraError

try:
    import sklearn  # noqa: F401
except ImportError as error:
    message = (
        "manualnn.estimators needs scikit-learn, which is not installed; "
        "pip install 'manualnn[sklearn]'."
    )
    raise MissingExtraError(message) from error

from manualnn.estimators.classifier import MLPClassifier
from manualnn.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
