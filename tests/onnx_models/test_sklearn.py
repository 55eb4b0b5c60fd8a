"""scikit-learn's networks and pipelines come through skl2onnx, and predict what they predicted."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx_models.bounds import error_bound
from skl2onnx import to_onnx
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from manualnn import SpecError, estimators
from manualnn.onnx import load_onnx, save_onnx

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)) * 5 + 2
TWO, THREE = (X[:, 0] > 2).astype(int), RNG.integers(0, 3, 40)
SMALL: dict[str, Any] = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}

CASES: dict[str, tuple[Any, Any, type, dict[str, Any]]] = {
    "two classes": (MLPClassifier(**SMALL), TWO, np.float32, {}),
    "names": (
        MLPClassifier(activation="tanh", **SMALL),
        np.array(["a", "b", "c"])[THREE],
        np.float32,
        {},
    ),
    "numbers": (
        make_pipeline(StandardScaler(), MLPClassifier(activation="logistic", **SMALL)),
        THREE,
        np.float64,
        {"options": {"zipmap": False}},
    ),
    "labels": (
        MLPClassifier(activation="identity", **SMALL),
        np.c_[TWO, 1 - TWO, THREE > 1].astype(int),
        np.float64,
        {"target_opset": 12},
    ),
    "regression": (
        make_pipeline(StandardScaler(), MLPRegressor(**SMALL)),
        X[:, 0],
        np.float32,
        {"target_opset": 15},
    ),
    "scaled twice": (
        make_pipeline(MinMaxScaler(), StandardScaler(), MLPRegressor(**SMALL)),
        X[:, 1],
        np.float64,
        {},
    ),
}


def fit(estimator: Any, t: Any, dtype: type) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it did not converge
        return estimator.fit(X.astype(dtype), t)


@pytest.mark.parametrize("name", CASES)
def test_an_imported_pipeline_predicts_what_it_predicted(name: str) -> None:
    estimator, t, dtype, options = CASES[name]
    fit(estimator, t, dtype)
    net, params = load_onnx(to_onnx(estimator, X[:1].astype(dtype), **options))
    x = X.astype(dtype)
    predict = getattr(estimator, "predict_proba", estimator.predict)
    # scikit-learn scales one by one: the rounding of another Linear for each of its two steps.
    bound = 4 * error_bound(net, params, x)
    assert (np.abs(net.forward(params, x) - predict(x).reshape(len(x), -1)) <= bound).all()


def test_several_targets_need_the_output_before_the_reshape_of_skl2onnx() -> None:
    """skl2onnx 1.20 makes (2N, 1) of two targets, which are not the rows of the predictions."""
    regressor = fit(MLPRegressor(**SMALL), X[:, :2], np.float64)
    proto = to_onnx(regressor, X[:1])
    with pytest.raises(SpecError, match="each row as it is"):
        load_onnx(proto)
    net, params = load_onnx(proto, output="add_result1")
    bound = 2 * error_bound(net, params, X)
    assert (np.abs(net.forward(params, X) - regressor.predict(X)) <= bound).all()


@pytest.mark.parametrize("classes", [TWO, THREE])
def test_an_estimator_of_ours_is_exported_as_it_is(classes: Any, tmp_path: Path) -> None:
    model = estimators.MLPClassifier(**SMALL)
    with pytest.raises(SpecError, match=r"a fitted estimator.*got MLPClassifier"):
        save_onnx(tmp_path / "model.onnx", model)
    fit(model, classes, np.float64)
    save_onnx(tmp_path / "model.onnx", model, probabilities=True)
    (p,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"x": X})
    expected = model.predict_proba(X)[:, -p.shape[1] :]
    # 15 products a number, of numbers up to 20, each rounded to 2⁻⁵³, and one exp.
    np.testing.assert_allclose(p, expected, rtol=1e-12)
