"""Models for tables: scikit-learn's encoding, targets, predictions from data of any form."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import manualnn as mnn
from manualnn.errors import ModelFileError, SpecError, TableError
from manualnn.tabular import Encoder, Table, TableModel, Target, load_model

NUMBERS = st.one_of(
    st.none(), st.integers(-99, 99), st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
)
WORDS = st.sampled_from(["a", "b", "c", "00210", "é", None, "yes", True])


def columns_of(draw: Any, kind: Any, rows: int) -> dict[str, list[Any]]:
    names = draw(st.lists(st.sampled_from("uvw"), unique=True, max_size=3))
    cells = st.lists(kind, min_size=rows, max_size=rows).filter(lambda x: len(set(x)) > 1)
    prefix = "number" if kind is NUMBERS else "word"
    return {f"{prefix} {name}": draw(cells) for name in names}


@st.composite
def tables(draw: Any) -> dict[str, list[Any]]:
    rows = draw(st.integers(3, 8))
    found = columns_of(draw, NUMBERS, rows) | columns_of(draw, WORDS, rows)
    return found or {"number": list(range(rows))}


EPS = np.finfo(float).eps

# ---------------------------------------------------------------------- encoding


@given(data=tables(), new=tables())
def test_encoding_is_scikit_learns(data: Any, new: Any) -> None:
    """The same numbers as a pipeline of scikit-learn, on rows of training and on others."""
    encoder = Encoder.fit(Table.of(data), data)
    numbers = [name for name in encoder.numbers if name in data]
    words = [name for name, _ in encoder.categories]
    assert sorted([*numbers, *words, *encoder.left_out]) == sorted(data)
    pipeline = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(
                    SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
                ),
                list(range(len(numbers))),
            ),
            (
                "words",
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                list(range(len(numbers), len(numbers) + len(words))),
            ),
        ]
    )

    def matrix(source: Any) -> Any:
        rows = len(next(iter(source.values())))
        filled = {name: source.get(name, [None] * rows) for name in (*numbers, *words)}
        cells = [[np.nan if x is None else float(x) for x in filled[name]] for name in numbers]
        texts = [[None if x is None else str(x) for x in filled[name]] for name in words]
        out = np.empty((rows, len(numbers) + len(words)), object)
        for i, column in enumerate([*cells, *texts]):
            out[:, i] = column
        return out, filled

    pipeline.fit(matrix(data)[0])
    for source in (data, new):
        expected, filled = matrix(source)
        found, theirs = encoder.transform(filled), pipeline.transform(expected).astype(float)
        # Means and deviations of up to 8 rows may be added up in another order.
        allowed = 32 * EPS * abs(theirs)
        if numbers:
            scale = pipeline.named_transformers_["numbers"]["standardscaler"].scale_
            largest = [max(abs(x) for x in data[name] if x is not None) for name in numbers]
            shifts = np.append(largest, np.ones(len(scale) - len(numbers))) / scale
            allowed[:, : len(scale)] += 16 * EPS * shifts * (1 + abs(theirs[:, : len(scale)]))
        assert (abs(found - theirs) <= allowed).all(), (found, theirs)
        assert found.shape[1] == encoder.width == len(encoder.inputs)
        known = {name: set(labels) for name, labels in encoder.categories}
        unknown = {
            name: sum((None if x is None else str(x)) not in known[name] for x in filled[name])
            for name in words
        }
        assert encoder.count_unknown(filled) == {k: n for k, n in unknown.items() if n}


@given(data=tables())
def test_an_encoder_survives_json_bit_for_bit(data: Any) -> None:
    encoder = Encoder.fit(Table.of(data), data, hashed=[name for name in data if name == "word u"])
    again = Encoder.from_json(json.loads(json.dumps(encoder.to_json())))
    assert again == encoder
    np.testing.assert_array_equal(again.transform(data), encoder.transform(data))
    assert len(encoder.describe()) == len(encoder.features)


@pytest.mark.parametrize("value", [[0.5], [[0.5]], "0.5", True, None, 10**400, math.inf])
@pytest.mark.parametrize("part", ["medians", "mean", "scale"])
def test_an_encoder_from_json_has_finite_numbers(part: str, value: Any) -> None:
    sound = Encoder.fit(Table.of({"a": [1.0, 2.0]}), ["a"]).to_json()
    with pytest.raises(ValueError, match="encoding of the columns is damaged"):
        Encoder.from_json({**sound, part: [value]})


def test_only_the_rows_to_train_on_are_learnt_from_but_all_rows_tell_the_kind() -> None:
    table = Table.of({"x": [1, 2, 4, 1e9], "w": ["a", "b", "a", "c"], "m": ["1", "2", "1", "old"]})
    encoder = Encoder.fit(table, table.columns, train=np.arange(3))
    alone = Encoder.fit(table.take(np.arange(3)), ["x", "w"])
    assert (encoder.medians, encoder.mean, encoder.scale) == (
        alone.medians, alone.mean, alone.scale)  # fmt: skip
    assert encoder.categories == (("w", ("a", "b")), ("m", ("1", "2")))
    assert encoder.count_unknown(table) == {"w": 1, "m": 1}


def test_hashing_gives_equal_texts_equal_buckets_and_needs_no_vocabulary() -> None:
    words = [f"w{i % 150}" for i in range(300)]
    data = {"w": words, "n": [*range(300)], "v": ["a", "b"] * 150}
    encoder = Encoder.fit(Table.of(data), data, hashed=["w"], buckets=7)
    rows = {"w": [*words, "new", None], "n": [149.5] * 302, "v": ["c"] * 302}
    number, *others = encoder.transform(rows).T
    assert not number.any()
    assert not np.any(others[:2])
    x = np.array(others[2:]).T
    assert x.shape == (302, 7)
    np.testing.assert_array_equal(x.sum(axis=1), 1)
    np.testing.assert_array_equal(x[:150], x[150:300])
    assert x.any(axis=0).all()


REFUSED: dict[str, tuple[dict[str, list[Any]], str]] = {
    "date": ({"d": ["2020-01-02", "2020-01-03"], "x": [1, 2]}, r"--ignore d\).*'d' has dates.*num"),
    "many": ({"w": [f"w{i}" for i in range(101)] * 2}, "'w' has 101 .*than 100 .*--hash w"),
    "many, often": ({"w": [f"w{i}" for i in range(101)] * 5}, "with --max-categories 101"),
    "names": ({"my w": [f"w{i}" for i in range(21)]}, "--ignore 'my w'.*different text in every"),
    "numbers": (
        {"x": [*range(120), "n. v."]},
        "numbers in 120 rows and text in 1: 'n. v.' .*-value='n. v.'",
    ),
    "constant": ({"x": [1, 1], "w": ["a", "a"], "e": [None, None]}, "no column to predict from"),
    "infinite": ({"x": [1, np.inf]}, "row 2, column 'x': got inf, expected a finite number"),
    "huge": ({"x": [1e308, -1e308]}, "column 'x': the numbers are too large to be scaled"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_encoded_is_refused_with_a_remedy(data: Any, message: str) -> None:
    with pytest.raises(TableError, match=message):
        Encoder.fit(Table.of(data), data)


def test_missing_cells_may_be_refused() -> None:
    data = {"x": [1, None, 3], "w": ["a", "b", None]}
    with pytest.raises(TableError, match=r"row 2, column 'x': the value is missing \(1 mis"):
        Encoder.fit(Table.of(data), data, missing="fail")


def test_a_constant_column_has_no_effect_and_is_not_needed() -> None:
    encoder = Encoder.fit(Table.of({"x": [0.1] * 9, "y": range(9)}), ["x", "y"])
    assert (encoder.left_out, encoder.features) == (("x",), ("y",))
    assert encoder.transform({"y": [4]}).tolist() == [[0]]


# ---------------------------------------------------------------------- targets


def target(cells: list[Any], **options: Any) -> Target:
    return Target.fit(Table.of({"y": cells}), ["y"], **options)


TASKS = [
    (["a", "b"] * 10, "classification"),
    ([0, 1.0] * 10, "classification"),
    ([*range(20)] * 2, "classification"),
    ([*range(20)] + [1] * 19, "regression"),
    ([*range(21)] * 2, "regression"),
    ([0, 0.5] * 10, "regression"),
    (["1", "2", "many"] * 10, "classification"),
    ([True, False], "classification"),
]


@pytest.mark.parametrize(("cells", "task"), TASKS)
def test_the_task_is_told_from_the_target(cells: list[Any], task: str) -> None:
    assert target(cells).task == task


def test_classes_are_one_for_equal_numbers_and_in_the_order_of_numbers() -> None:
    assert target([10, "9", "8.0", "8", 8.0, "1e1"] * 2).classes == ("8", "9", "10")
    assert target(["10", "9", "b"] * 5).classes == ("10", "9", "b")
    assert target(["00210", "210", "210"]).classes == ("00210", "210")
    assert target(["9007199254740993", "9007199254740992"] * 9, task="classification").classes == (
        "9007199254740992", "9007199254740993")  # fmt: skip
    assert target([1, 2, 1] * 3).values.tolist() == [1, 2]
    assert target(["a", "b", "a"]).values.tolist() == ["a", "b"]


def test_rows_without_a_target_are_told_unless_missing_is_a_class() -> None:
    cells = ["a", None, "b", "NA", "a"]
    table = Table.of({"y": cells})
    assert target(cells).known(table).tolist() == [True, False, True, False, True]
    assert target(cells).encode(table).tolist() == [0, 1, 0]
    classes = target(cells, missing_class=True)
    assert classes.classes == ("a", "b", "(missing)")
    assert classes.encode(table).tolist() == [0, 2, 1, 2, 0]
    with pytest.raises(TableError, match="a missing number cannot be a class"):
        target([1, 2, None] * 4, missing_class=True)


def test_several_numbers_are_scaled_each_by_the_rows_to_train_on() -> None:
    table = Table.of({"a": [1.5, 2.5, 99, None], "b": [10, 30, 5, 7]})
    numbers = Target.fit(table, ["a", "b"], train=np.array([0, 1]))
    assert (numbers.mean, numbers.deviation) == ((2, 20), (0.5, 10))
    t = numbers.encode(table)
    np.testing.assert_array_equal(t, [[-1, -1], [1, 1], [194, -1.5]])
    np.testing.assert_array_equal(numbers.decode(t), [[1.5, 10], [2.5, 30], [99, 5]])
    with pytest.raises(TableError, match="classification has one target, got a, b"):
        Target.fit(table, ["a", "b"], task="classification")


NO_TARGETS: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "one class": (["a"] * 12, {}, "every row is of the class 'a'"),
    "no class": ([None] * 3, {}, "every row lacks its class"),
    "names": ([*"abc"], {}, "each of the 3 rows has a class of its own"),
    "text": (["a", "b"] * 6, {"task": "regression"}, "the target is text, expected numbers"),
    "constant": ([2.5] * 12, {}, "every row to train on has the same value, 2.5"),
    "huge": ([1e308, -1e308] * 6, {"task": "regression"}, "too large to be scaled"),
}


@pytest.mark.parametrize(("cells", "options", "message"), NO_TARGETS.values(), ids=NO_TARGETS)
def test_a_target_that_cannot_be_learnt_is_refused(cells: Any, options: Any, message: str) -> None:
    with pytest.raises(TableError, match=message):
        target(cells, **options)


# ---------------------------------------------------------------------- models


def model(data: dict[str, list[Any]], names: list[str], dtype: str = "float64") -> TableModel:
    """Return a model with random parameters for the columns of a mapping."""
    table = Table.of(data)
    found = Target.fit(table, names)
    encoder = Encoder.fit(table, [name for name in data if name not in names])
    net = mnn.Sequential(mnn.Linear(encoder.width, 3), mnn.Tanh(), mnn.Linear(3, found.width))
    loss = mnn.CrossEntropyLoss() if found.classes else mnn.MSELoss()
    trainer = mnn.Trainer(net, loss, mnn.SGD(), seed=1, dtype=dtype)
    return TableModel(trainer, encoder, found, {"rows": len(table)})


DATA = {
    "age": [1.0, 2.0, None, 4.5, 5.0, 6.0],
    "city": ["x", "y", "x", "?", "z", "x"],
    "member": [True, False, True, True, False, True],
    "kind": ["p", "q", "r", "p", "q", "r"],
    "price": [1.5, 2.5, 7.5, 3.0, 0.5, 9.25],
    "size": [3, 1, 4, 1, 5, 9],
}


class Frame:
    """What a data frame of any library has: columns by name."""

    def __init__(self, data: dict[str, list[Any]]) -> None:
        self.data = data
        self.columns = list(data)

    def __getitem__(self, name: str) -> Any:
        return np.array(self.data[name], object)


FEATURES = {name: DATA[name] for name in ("age", "city", "member")}


@pytest.mark.parametrize(
    "form", ["records", "array", "lists", "structured", "frame", "pandas", "polars"]
)
def test_a_model_predicts_the_same_from_data_of_any_form(form: str) -> None:
    predictor = model(FEATURES | {"kind": DATA["kind"]}, ["kind"])
    expected = predictor.probabilities(FEATURES)
    rows: Any = list(zip(*FEATURES.values(), strict=True))
    if form == "records":
        rows = [dict(zip(FEATURES, row, strict=True)) for row in rows]
    elif form == "array":
        rows = np.array(rows, object)
    elif form == "structured":
        filled = [(np.nan if age is None else age, city, member) for age, city, member in rows]
        rows = np.array(filled, [("age", float), ("city", "U9"), ("member", bool)])
    elif form == "frame":
        rows = Frame(FEATURES)
    elif form in {"pandas", "polars"}:
        rows = pytest.importorskip(form).DataFrame(FEATURES)
    np.testing.assert_array_equal(predictor.probabilities(rows), expected)
    assert predictor.predict({"city": "x", "age": 1, "member": "TRUE"}).shape == (1,)


def test_the_columns_of_an_array_are_in_the_order_of_the_table() -> None:
    data = {"zip": ["00501", "7", "00501", "7"], "a": [0.5, 1, 2, 3], "kind": [*"pqpq"]}
    predictor = model(data, ["kind"])
    assert predictor.encoder.features == ("zip", "a")
    np.testing.assert_array_equal(
        predictor.probabilities(np.array([["00501", 0.5]], object)),
        predictor.probabilities({"zip": "00501", "a": 0.5}),
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("names", [["kind"], ["price"], ["price", "size"]])
def test_a_saved_model_is_the_same_model(tmp_path: Path, names: list[str], dtype: str) -> None:
    data = FEATURES | {name: DATA[name] for name in names}
    predictor = model(data, names, dtype)
    predictor.save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert (again.encoder, again.target, again.about) == (
        predictor.encoder, predictor.target, {"rows": 6})  # fmt: skip
    np.testing.assert_array_equal(again.predict(data), predictor.predict(data))
    assert again.predict(data).shape == ((6,) if len(names) == 1 else (6, 2))
    with pytest.raises(ModelFileError, match=r"manualnn\.tabular\.load_model"):
        mnn.load(tmp_path / "m")


def test_scores_are_scikit_learns() -> None:
    data = FEATURES | {"kind": [*"pqr", None, *"qr"]}
    weights = np.arange(1.0, 7)
    known = np.array([0, 1, 2, 4, 5])
    for weight in (None, weights):
        used = None if weight is None else weight[known]
        classes = model(data, ["kind"])
        truth, p = np.array(data["kind"])[known], classes.probabilities(data)[known]
        found = classes.scores(data, weight)
        assert found["accuracy"] == pytest.approx(
            accuracy_score(truth, classes.predict(data)[known], sample_weight=used)
        )
        assert found["log-loss"] == pytest.approx(log_loss(truth, p, sample_weight=used))
        numbers = model(FEATURES | {n: DATA[n] for n in ("price", "size")}, ["price", "size"])
        found = numbers.scores(DATA, weight)
        for i, name in enumerate(("price", "size")):
            pair = (np.array(DATA[name]), numbers.predict(DATA)[:, i])
            assert found[f"R² of {name}"] == pytest.approx(r2_score(*pair, sample_weight=weight))
            assert found[f"MAE of {name}"] == pytest.approx(
                mean_absolute_error(*pair, sample_weight=weight)
            )


def test_scores_that_are_not_defined_are_none() -> None:
    numbers = model(FEATURES | {"price": DATA["price"]}, ["price"])
    for price in (0.1, 0.7, 2.3, 1 / 3, 1e6 / 7):  # the mean of some of them is rounded
        constant = numbers.scores(FEATURES | {"price": [price] * 6})
        assert constant["R²"] is None
        assert constant["RMSE"] is not None
    nothing = numbers.scores(FEATURES | {"price": [None] * 6})
    assert set(nothing.values()) == {None}
    with pytest.raises(SpecError, match="a regression has no probabilities"):
        numbers.probabilities(FEATURES)


def test_what_does_not_fit_a_model_is_refused() -> None:
    predictor = model(FEATURES | {"kind": DATA["kind"]}, ["kind"])
    wrong: dict[str, Any] = {
        "lacks 2 of the 3 columns .*: age, member.*Did you mean 'age' by 'aged'":
            {"aged": [1], "city": ["x"]},
        "row 2, column 'age': got the text 'old', expected a number":
            FEATURES | {"age": [1, "old", 2, 3, 4, 5]},
        "the columns of the data must have one length": FEATURES | {"age": [1]},
        r"shape \(N, 3\) in the order age, city, member": np.zeros((2, 2)),
    }  # fmt: skip
    for message, data in wrong.items():
        with pytest.raises(TableError, match=message):
            predictor.predict(data)
    with pytest.raises(TableError, match="row 1, column 'kind': the class 'new' is not known"):
        predictor.scores(FEATURES | {"kind": ["new"] * 6})


def test_no_rows_give_no_predictions() -> None:
    predictor = model(FEATURES | {"kind": DATA["kind"]}, ["kind"])
    assert predictor.probabilities({name: [] for name in FEATURES}).shape == (0, 3)
    assert predictor.probabilities([]).shape == (0, 3)


def _damage(table: dict[str, Any], path: str, value: Any) -> None:
    *keys, last = path.split(".")
    for key in keys:
        table = table[key]
    table[last] = value


DAMAGE = {
    "encoder.mean": [1.0], "encoder.scale": [0.0, 0.0], "encoder.medians": ["x"],
    "encoder.numbers": 5, "encoder.features": ["age"],
    "encoder.indicated": [7], "encoder.categories": [["city", [1]]],
    "encoder.hashed": [["city", -1]],
    "target.classes": ["p"], "target.names": [], "target.mean": [1.0], "about": 3, "encoder": None,
}  # fmt: skip


@pytest.mark.parametrize(("path", "value"), DAMAGE.items())
def test_a_damaged_description_of_the_columns_is_refused(
    tmp_path: Path, path: str, value: Any
) -> None:
    predictor = model(FEATURES | {"kind": DATA["kind"]}, ["kind"])
    table = {
        "encoder": predictor.encoder.to_json(),
        "target": predictor.target.to_json(),
        "about": {},
    }
    _damage(table, path, value)
    mnn.serialization.save(tmp_path / "m", predictor.trainer, notes={"table": table})
    with pytest.raises(ModelFileError, match="the columns"):
        load_model(tmp_path / "m")
    mnn.save(tmp_path / "net", predictor.trainer)
    with pytest.raises(ModelFileError, match="not the columns that it is for"):
        load_model(tmp_path / "net")


def test_prediction_needs_numpy_and_safetensors_alone(tmp_path: Path) -> None:
    import subprocess

    model(FEATURES | {"kind": DATA["kind"]}, ["kind"]).save(tmp_path / "m")
    code = (
        "import sys\n"
        "for name in ('sklearn', 'duckdb', 'scipy', 'pandas'): sys.modules[name] = None\n"
        "from manualnn.tabular import load_model, read_table\n"
        f"model = load_model({str(tmp_path / 'm')!r})\n"
        f"print(model.predict({FEATURES!r}).tolist())\n"
        "try: read_table('x')\n"
        "except ImportError as error: print(error)\n"
    )
    result = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    predicted = load_model(tmp_path / "m").predict(FEATURES).tolist()
    assert result.stdout == (
        f"{predicted}\nreading tables needs DuckDB; pip install 'manualnn[data]'.\n"
    )
