"""The estimators: scikit-learn's weights, the gradient of their objective, and what is ours alone.

scikit-learn's own tests of its networks, and its checks of estimators, are in test_scikit_learn.
"""

import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest

import manualnn as mnn

sklearn = pytest.importorskip("sklearn")

import joblib  # noqa: E402
from scipy import sparse  # noqa: E402
from sklearn import neural_network as theirs  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

from manualnn.estimators import MLPClassifier, MLPRegressor  # noqa: E402
from manualnn.estimators.settings import ACTIVATIONS  # noqa: E402
from manualnn.training.batches import Samples  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 5))
NUMBERS = X @ RNG.normal(size=5) + np.sin(3 * X[:, 0])
CLASSES = np.array(["ash", "elm", "oak"])[np.digitize(NUMBERS, [-1, 1])]
YES = NUMBERS > 0
LABELS = np.c_[YES, X[:, 1] > 0, X[:, 2] > 1].astype(int)
COUNTS = np.round(np.exp(NUMBERS / 3))
WEIGHTS = RNG.uniform(0.1, 2, len(X))
SMALL = {"hidden_layer_sizes": (7, 4), "batch_size": 32, "max_iter": 12, "random_state": 3}
DESCENT = {"solver": "sgd", "learning_rate_init": 0.05}

EQUAL = {
    "default": {"max_iter": 3},
    "logistic": {"activation": "logistic", "alpha": 1.0},
    "tanh": {"activation": "tanh", "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3},
    "identity": {"activation": "identity", "shuffle": False},
    "plain descent": DESCENT | {"momentum": 0, "alpha": 0.5},
    "momentum": DESCENT | {"momentum": 0.5, "nesterovs_momentum": False},
    "nesterov": DESCENT | {"tol": 0.05, "n_iter_no_change": 2, "max_iter": 60},
    "invscaling": DESCENT | {"learning_rate": "invscaling", "power_t": 0.3},
    "adaptive": DESCENT | {"learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 60},
    "lbfgs": {"solver": "lbfgs", "max_iter": 5},
    "float32": {"max_iter": 3, "dtype": "float32"},
}


@pytest.mark.once  # of the newest scikit-learn; others have other networks
@pytest.mark.parametrize("name", EQUAL)
@pytest.mark.parametrize(
    ("kind", "y"),
    [
        ("MLPClassifier", CLASSES),
        ("MLPClassifier", YES),
        ("MLPClassifier", LABELS),
        ("MLPRegressor", NUMBERS),
    ],
)
def test_the_same_seed_gives_scikit_learns_weights(name: str, kind: str, y: np.ndarray) -> None:
    """Both round differently, by some 100 ε of each sum; a step of another formula moves 10⁻³."""
    options = SMALL | EQUAL[name]
    dtype = options.pop("dtype", "float64")
    x = X.astype(dtype)
    weights = None if kind == "MLPRegressor" else WEIGHTS
    expected = getattr(theirs, kind)(**options).fit(x, y, weights)
    found = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}[kind](**options)
    found.fit(x, y, weights)
    tolerance = 1e4 * np.finfo(dtype).eps
    for ours, other in zip(
        (*found.coefs_, *found.intercepts_), expected.coefs_ + expected.intercepts_, strict=True
    ):
        np.testing.assert_allclose(ours, other, rtol=0, atol=tolerance)
        assert ours.dtype == dtype
    assert (found.n_iter_, found.t_) == (expected.n_iter_, expected.t_)
    assert found.out_activation_ == expected.out_activation_
    if kind == "MLPClassifier":
        assert np.array_equal(found.predict(x), expected.predict(x))
    else:
        np.testing.assert_allclose(found.predict(x), expected.predict(x), atol=1e3 * tolerance)
    if weights is None and hasattr(expected, "loss_curve_"):
        np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=tolerance)


@pytest.mark.once
def test_poisson_gives_scikit_learns_weights() -> None:
    found = MLPRegressor("poisson", **SMALL).fit(X, COUNTS)
    expected = theirs.MLPRegressor("poisson", **SMALL).fit(X, COUNTS)
    np.testing.assert_allclose(found.predict(X), expected.predict(X), rtol=1e-9)
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-9)


@pytest.mark.once
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (MLPClassifier(alpha=3.0, activation="tanh"), CLASSES),
        (MLPClassifier(alpha=3.0, activation=mnn.Softplus(), loss="BCELoss"), YES),
        (MLPRegressor(alpha=3.0, activation="logistic"), np.c_[NUMBERS, X[:, 0]]),
        (MLPRegressor("poisson", alpha=3.0, activation="Softsign"), COUNTS),
    ],
)
def test_the_gradient_is_the_slope_of_the_objective(estimator, y, weights) -> None:
    """Central differences with step h err by about h² of the third derivative and ε/h."""
    estimator = clone(estimator).set_params(hidden_layer_sizes=(4,), random_state=0)
    trainer = estimator._start(X, y)  # noqa: SLF001
    t = estimator._encode(y, X.dtype, is_first=False, is_partial=True)  # noqa: SLF001
    samples, h = Samples(X, t, weights), 1e-5
    theta = trainer.params.vector
    slope = trainer.value_and_grad(samples)[1].copy()
    for i in range(theta.size):
        sides = []
        for side in (h, -h):
            before = theta[i]
            theta[i] += side
            sides.append(trainer.value_and_grad(samples)[0])
            theta[i] = before
        assert (sides[0] - sides[1]) / (2 * h) == pytest.approx(slope[i], rel=1e-6, abs=1e-8)


def test_hidden_layers_take_the_width_of_the_activation() -> None:
    for activation in ACTIVATIONS:
        options = {"hidden_layer_sizes": (6, 4), "activation": activation, "max_iter": 1}
        model = MLPRegressor(**options).fit(X, NUMBERS)
        assert np.isfinite(model.predict(X)).all()
    halved = model.set_params(activation="GLU").fit(X, NUMBERS)
    assert [weight.shape for weight in halved.coefs_] == [(5, 6), (3, 4), (2, 1)]
    with pytest.raises(mnn.SpecError, match="even number of inputs, got 5"):
        halved.set_params(hidden_layer_sizes=5).fit(X, NUMBERS)


def test_the_learning_rate_follows_scikit_learns_rules() -> None:
    options = DESCENT | SMALL
    model = MLPRegressor(learning_rate="invscaling", power_t=0.25, **options).fit(X, NUMBERS)
    assert model.trainer_.lr == pytest.approx(0.05 / (12 * len(X) + 1) ** 0.25)
    options |= {"max_iter": 300, "tol": 10.0, "n_iter_no_change": 1}
    model = MLPRegressor(learning_rate="adaptive", **options).fit(X, NUMBERS)
    assert model.n_iter_ < 300
    assert 1e-6 / 5 < model.trainer_.lr <= 1e-6


def test_lbfgs_ends_when_the_slope_is_within_tol() -> None:
    model = MLPRegressor(solver="lbfgs", **SMALL).fit(X, NUMBERS)
    value, slope = model.trainer_.value_and_grad(Samples(X, NUMBERS[:, None]))
    assert model.loss_ == pytest.approx(value, rel=1e-12)
    loose = clone(model).set_params(tol=10 * np.abs(slope).max()).fit(X, NUMBERS)
    assert loose.n_iter_ < model.n_iter_


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_sparse_matrix_trains_and_predicts_as_its_array(solver: str) -> None:
    options = SMALL | {"solver": solver}
    x = np.where(np.abs(X) > 1, X, 0)
    weights = np.where(YES, WEIGHTS, 0)
    dense = MLPClassifier(**options).fit(x, CLASSES, weights)
    model = MLPClassifier(**options).fit(sparse.csc_array(x), CLASSES, weights)
    assert np.array_equal(model.trainer_.params.vector, dense.trainer_.params.vector)
    assert np.array_equal(model.predict_proba(sparse.csr_matrix(x)), dense.predict_proba(x))


@pytest.mark.once
def test_a_sparse_matrix_is_never_dense_as_a_whole() -> None:
    x = sparse.random_array((4000, 2000), density=1e-3, rng=np.random.default_rng(0))
    y = np.arange(4000) % 2
    model = MLPClassifier((2,), max_iter=1, batch_size=50, early_stopping=True)
    tracemalloc.start()
    model.fit(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4000 * 2000 * 8 / 4


def test_weights_of_classes_are_weights_of_samples() -> None:
    def weights(**options) -> np.ndarray:
        sample_weight = options.pop("sample_weight", None)
        model = MLPClassifier(dtype="float32", **SMALL, **options).fit(X, CLASSES, sample_weight)
        return model.trainer_.params.vector

    named = {"ash": 2.0, "elm": 0.5, "oak": 1.0}
    of_samples = np.array([named[name] for name in CLASSES])
    assert np.array_equal(weights(class_weight=named), weights(sample_weight=of_samples))
    names, counts = np.unique(CLASSES, return_counts=True)
    balanced = dict(zip(names, len(X) / (3 * counts), strict=True))
    product = np.array([balanced[name] for name in CLASSES], "f4") * WEIGHTS.astype("f4")
    both = weights(class_weight="balanced", sample_weight=WEIGHTS)
    assert np.array_equal(weights(sample_weight=product), both)


def test_layers_rules_schedules_and_losses_of_manualnn_are_parameters() -> None:
    model = MLPRegressor(
        loss=mnn.HuberLoss(delta=2.0),
        hidden_layer_sizes=(6,),
        activation=mnn.LeakyReLU(0.2),
        optimizer=mnn.RMSprop(lr=0.02),
        schedule=mnn.StepLR(2, gamma=0.5),
        dropout=0.25,
        dtype="float32",
        max_iter=5,
    ).fit(X, NUMBERS)
    net = mnn.Sequential(mnn.Linear(5, 6), mnn.LeakyReLU(0.2), mnn.Dropout(0.25), mnn.Linear(6, 1))
    assert model.trainer_.net == net
    assert model.trainer_.loss == mnn.HuberLoss(delta=2.0)
    assert model.trainer_.rule == mnn.RMSprop(lr=0.02 * 0.5**2)
    assert model.history_.lr == [0.02, 0.02, 0.01, 0.01, 0.005]
    assert model.predict(X).dtype == np.float32
    assert model.schedule.last_epoch == 0, "fit has changed a parameter of the estimator"
    assert "schedule=StepLR(step_size=2, gamma=0.5)" in " ".join(repr(model).split())


def test_a_schedule_may_watch_the_held_out_samples() -> None:
    schedule = mnn.ReduceLROnPlateau(patience=0, threshold=10.0)
    model = MLPRegressor(early_stopping=True, schedule=schedule, **SMALL).fit(X, NUMBERS)
    assert len(model.history_.validation_loss) == model.n_iter_
    assert model.trainer_.lr < 0.001


def test_the_trainer_of_a_fitted_estimator_can_be_saved(tmp_path: Path) -> None:
    model = MLPRegressor(**SMALL).fit(X, NUMBERS)
    mnn.save(tmp_path / "model", model.trainer_)
    assert np.array_equal(mnn.load(tmp_path / "model").predict(X)[:, 0], model.predict(X))
    with pytest.raises(mnn.ModelFileError, match="HalfPoissonLoss"):
        mnn.save(tmp_path / "other", MLPRegressor("poisson", **SMALL).fit(X, COUNTS).trainer_)


@pytest.mark.once
def test_early_stopping_keeps_the_weights_of_the_best_score() -> None:
    model = MLPClassifier(early_stopping=True, **SMALL | {"max_iter": 60}).fit(X, YES)
    scores = []
    other = MLPClassifier(early_stopping=True, **SMALL | {"max_iter": 1})
    for epochs in range(1, model.n_iter_ + 1):
        other.set_params(max_iter=epochs).fit(X, YES)
        scores.append(other.best_validation_score_)
    first = scores.index(model.best_validation_score_) + 1
    other.set_params(max_iter=first).fit(X, YES)
    assert np.array_equal(model.trainer_.params.vector, other.trainer_.params.vector)
    assert first < model.n_iter_


def test_weights_may_be_assigned_before_and_after_a_fit() -> None:
    given = MLPRegressor(**SMALL).fit(X, NUMBERS)
    model = MLPRegressor(**SMALL | {"learning_rate_init": 1e-300, "max_iter": 1})
    model.coefs_, model.intercepts_ = given.coefs_, given.intercepts_
    assert np.array_equal(model.fit(X, NUMBERS).predict(X), given.predict(X))
    model.coefs_ = [2 * array for array in given.coefs_]
    assert np.array_equal(model.coefs_[0], 2 * given.coefs_[0])
    with pytest.raises(mnn.ShapeError):
        model.coefs_ = given.coefs_[:1]


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_grid_search_over_a_pipeline_chooses_among_our_layers(kind: type) -> None:
    y = CLASSES if kind is MLPClassifier else NUMBERS
    name = kind.__name__.lower()
    grid = {
        f"{name}__activation": ["relu", mnn.Tanh()],
        f"{name}__optimizer": [None, mnn.AdamW(lr=0.05)],
    }
    search = GridSearchCV(make_pipeline(StandardScaler(), kind(**SMALL)), grid, cv=2).fit(X, y)
    rates = {None: 0.001, mnn.AdamW(lr=0.05): 0.05}
    best = search.best_params_
    assert search.best_estimator_[-1].trainer_.lr == rates[best[f"{name}__optimizer"]]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_sample_weights_are_routed() -> None:
    model = MLPClassifier(**SMALL)
    expected = model.fit(StandardScaler().fit_transform(X), YES, WEIGHTS).coefs_[0].copy()
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, model.set_fit_request(sample_weight=True))
        pipe.fit(X, YES, sample_weight=WEIGHTS)
    assert np.array_equal(pipe[-1].coefs_[0], expected)


@pytest.mark.parametrize(
    "model", [MLPClassifier(optimizer=mnn.SGD(lr=0.1)), MLPRegressor(schedule=mnn.StepLR(1))]
)
def test_a_copy_predicts_and_goes_on_alike(model, tmp_path: Path) -> None:
    model = clone(model).set_params(**SMALL, dropout=0.1).fit(X, YES)
    joblib.dump(model, tmp_path / "model")
    copy = joblib.load(tmp_path / "model")
    for either in (model, copy):
        either.partial_fit(X, YES)
    assert np.array_equal(copy.predict(X), model.predict(X))


def test_more_rows_than_are_predicted_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MLPRegressor(**SMALL).fit(X, np.c_[NUMBERS, NUMBERS])
    whole = model.predict(X)
    monkeypatch.setattr("manualnn.estimators.network.CHUNK", 7)
    np.testing.assert_allclose(model.predict(X), whole, rtol=1e-12)


def test_probabilities_are_never_rounded_to_0_or_1() -> None:
    model = MLPClassifier((), max_iter=1).fit(X, YES)
    model.coefs_ = [np.full((5, 1), 1e3)]
    assert np.isfinite(model.predict_log_proba(X)).all()
    assert np.array_equal(model.predict(X), model.predict_proba(X)[:, 1] > 0.5)


OF_CLASSES = {"BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "MultiLabelSoftMarginLoss"}
OF_NUMBERS = {"HuberLoss", "L1Loss", "MSELoss", "PoissonNLLLoss", "SmoothL1Loss"}


@pytest.mark.parametrize("name", mnn.LOSSES)
@pytest.mark.parametrize(
    ("kind", "y", "names"),
    [(MLPClassifier, YES, OF_CLASSES), (MLPRegressor, np.exp(NUMBERS / 3), OF_NUMBERS)],
    ids=["classes", "numbers"],
)
def test_every_loss_is_learned_or_refused(kind, y, names, name) -> None:
    """PoissonNLLLoss, whose outputs are logarithms, predicts the numbers, too."""
    for loss in (name, mnn.LOSSES[name]()):
        options = {"solver": "lbfgs", "max_iter": 30, "random_state": 3}
        model = kind(loss=loss, hidden_layer_sizes=(7,), **options)
        if name in names:
            assert model.fit(X, y).score(X, y) > 0.7
        else:
            with pytest.raises(ValueError, match="loss"):
                model.fit(X, y)


def test_one_class_alone_is_predicted() -> None:
    model = MLPClassifier(**SMALL).fit(X, np.full(len(X), "oak"))
    assert model.predict_proba(X[:2]).shape == (2, 1)
    model.intercepts_ = [np.full_like(array, 1e3) for array in model.intercepts_]
    model.coefs_ = [np.zeros_like(array) for array in model.coefs_]
    assert model.predict(X[:2]).tolist() == ["oak", "oak"]


def test_more_classes_than_columns() -> None:
    x = np.tile(X, (2, 1))
    y = np.arange(len(x)) % 70
    model = MLPClassifier(**SMALL).fit(x, y)
    expected = theirs.MLPClassifier(**SMALL).fit(x, y)
    np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize(
    ("model", "y", "message"),
    [
        (MLPRegressor(activation=mnn.Linear(5, 5)), NUMBERS, "activation must be an activation"),
        (MLPRegressor(hidden_layer_sizes=(3, 2.5)), NUMBERS, "pass integers"),
        (MLPRegressor(loss=mnn.BCELoss()), NUMBERS, "loss must be one of"),
        (MLPClassifier(loss=mnn.MSELoss()), YES, "loss must be one of"),
        (MLPClassifier(loss="CrossEntropyLoss"), LABELS, "for labels"),
        (MLPRegressor(solver="lbfgs", dropout=0.1), NUMBERS, "no dropout"),
        (MLPRegressor(solver="lbfgs", optimizer=mnn.SGD()), NUMBERS, "no optimizer"),
        (MLPRegressor(loss="poisson"), NUMBERS, "expects y ≥ 0"),
        (MLPRegressor(dtype="float16"), NUMBERS, "'dtype' parameter"),
        (MLPRegressor(optimizer="Adam"), NUMBERS, "'optimizer' parameter"),
        (MLPClassifier(class_weight={"ash": 1}), YES, "class_weight"),
        (MLPRegressor(**DESCENT | {"learning_rate_init": 1e3}), NUMBERS, "smaller learning rate"),
    ],
)
def test_what_cannot_be_fitted_is_refused(model, y: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clone(model).fit(X, y)


@pytest.mark.parametrize(
    "change",
    [{"hidden_layer_sizes": (3,)}, {"activation": "tanh"}, {"dropout": 0.5}, {"loss": "huber"}],
)
def test_a_fitted_network_is_not_changed_in_silence(change: dict) -> None:
    model = MLPRegressor(warm_start=True, **SMALL).fit(X, NUMBERS).set_params(**change)
    for fit in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match="another network or loss"):
            fit(X, NUMBERS)
    assert model.set_params(warm_start=False).fit(X, NUMBERS).n_iter_ == 12


def test_partial_fit_does_not_balance_classes_that_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="as a dict"):
        MLPClassifier(class_weight="balanced").partial_fit(X, YES, classes=[False, True])


def test_warnings_say_how_a_training_ended() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        MLPRegressor(**SMALL).fit(X, NUMBERS)
        options = DESCENT | {"learning_rate_init": 1e3, "early_stopping": True}
        MLPRegressor(**options).fit(X, NUMBERS)
        MLPRegressor(schedule=interrupt).fit(X, NUMBERS)
    assert [str(w.message).partition(" ")[0] for w in caught] == ["Stochastic", *["Training"] * 2]
    assert "by user" in str(caught[-1].message)
    assert all(w.filename == __file__ for w in caught)


def test_without_scikit_learn_the_extra_is_named() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import manualnn.estimators"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "MissingExtraError: manualnn.estimators needs scikit-learn" in done.stderr
    assert "manualnn[sklearn]" in done.stderr
