"""What `train`, `predict`, `evaluate`, `info` and `export` compute, on real and on made tables."""

import csv
import errno
import io
import json
import math
import os
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from command_line import blobs, evaluate, info, predict, run, train, write, write_dataset
from examples_of_layers import example
from sklearn import datasets

import manualnn as mnn
from manualnn.cli import cli
from manualnn.layers import activations
from manualnn.tabular import load_model, read_batches, read_table
from manualnn.tabular.commands import log as log_module
from manualnn.tabular.commands.log import log_epochs
from manualnn.tabular.prepare import prepare
from manualnn.tabular.report import format_results

pytestmark = pytest.mark.once  # what they show depends on no version


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(path.read_text())))


# ---------------------------------------------------------------------- real data


@pytest.mark.parametrize(
    ("name", "score", "least"),
    [
        ("wine", "accuracy", 0.95),
        ("breast_cancer", "accuracy", 0.95),
        ("diabetes", "R²", 0.4),
    ],
)
def test_the_defaults_do_well_on_real_data(
    tmp_path: Path, name: str, score: str, least: float
) -> None:
    data = write_dataset(tmp_path / "data.csv", getattr(datasets, f"load_{name}")())
    train(data, output=tmp_path / "model")
    assert info(tmp_path / "model")["table"]["about"]["scores"]["held out"][score] >= least
    rows = predict(tmp_path / "model", data)
    truth = [row["y"] for row in csv.DictReader(io.StringIO(data.read_text()))]
    if score == "accuracy":
        expected = np.mean([row["prediction"] == y for row, y in zip(rows, truth, strict=True)])
    else:
        t = np.array(truth, float)
        errors = np.array([float(row["prediction"]) for row in rows]) - t
        expected = 1 - np.sum(errors**2) / np.sum((t - t.mean()) ** 2)
    assert evaluate(tmp_path / "model", data)[score] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("name", "dtype"), [("wine", "float32"), ("diabetes", "float64")])
def test_the_command_predicts_bit_for_bit_what_the_library_does(
    tmp_path: Path, name: str, dtype: str
) -> None:
    """This includes the CSV text: a printed float is read back as the same float."""
    data = write_dataset(tmp_path / "data.csv", getattr(datasets, f"load_{name}")())
    prepared = prepare(read_table(data), ["y"], dtype=dtype, seed=3)
    prepared.fit(epochs=7, batch_size=32)
    train(data, f"--dtype={dtype}", "--seed=3", "--epochs=7", output=tmp_path / "model")
    assert load_model(tmp_path / "model").trainer.params == prepared.model.trainer.params
    rows = predict(tmp_path / "model", data, *(["--probabilities"] if name == "wine" else []))
    expected = prepared.model.predict(read_table(data)).tolist()
    assert [type(expected[0])(row["prediction"]) for row in rows] == expected
    if name == "wine":
        p = prepared.model.probabilities(read_table(data))
        names = [f"probability_class_{i}" for i in range(3)]
        assert [[float(row[n]) for n in names] for row in rows] == p.tolist()
        assert [float(row["probability"]) for row in rows] == p.max(axis=1).tolist()


# ---------------------------------------------------------------------- training


def test_several_targets_are_predicted_and_scored_one_by_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 80))
    data = write(tmp_path / "d.csv", {"a": a, "b": b, "y": 1000 + 50 * a, "z": b - a})
    train(data, "--target=z", "--hidden=none", "--epochs=300", output=tmp_path / "m")
    rows = predict(tmp_path / "m", data)
    assert list(rows[0]) == ["prediction_y", "prediction_z"]
    # Both targets are linear, so that a network without hidden layers comes close.
    assert [float(row["prediction_y"]) for row in rows] == pytest.approx(1000 + 50 * a, abs=2)
    assert [float(row["prediction_z"]) for row in rows] == pytest.approx(b - a, abs=0.1)
    assert {"R² of y", "RMSE of z"} < evaluate(tmp_path / "m", data).keys()


def test_early_stopping_saves_the_parameters_of_the_lowest_validation_loss(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    columns = {f"x{i}": rng.normal(size=60) for i in range(8)} | {"y": rng.normal(size=60)}
    data, log = write(tmp_path / "d.csv", columns), tmp_path / "log.csv"
    options = ("--early-stopping", "--patience=7", "--validation-fraction=0.3", "--epochs=500")
    result = train(data, *options, "--log", log)
    losses = [float(row["validation_loss"]) for row in read_csv(log)]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 7 < 500
    assert f" in epoch {best + 1}\n" in result.stdout
    prepared = prepare(read_table(data), ["y"], validation_fraction=0.3)
    rows = prepared.validation
    trainer = load_model(data.with_suffix(".safetensors")).trainer
    assert trainer.evaluate(prepared.x[rows], prepared.t[rows]) == min(losses)
    assert not set(rows) & {*prepared.train, *prepared.test}


def test_balanced_classes_are_weights_of_the_rows(tmp_path: Path) -> None:
    columns = blobs(40)
    columns["y"][:30] = "no"
    counts = {name: list(columns["y"]).count(name) for name in ("no", "yes")}
    columns["w"] = [40 / (2 * counts[name]) for name in columns["y"]]
    data = write(tmp_path / "d.csv", columns)
    usual = ("--test-fraction=0", "--epochs=5")
    train(data, *usual, "--class-weight=balanced", "--ignore=w", output=tmp_path / "balanced")
    train(data, *usual, "--sample-weight=w", output=tmp_path / "weighted")
    train(data, *usual, "--ignore=w", output=tmp_path / "plain")
    balanced, weighted, plain = (
        load_model(tmp_path / name).trainer.params for name in ("balanced", "weighted", "plain")
    )
    assert balanced == weighted != plain


def test_options_reach_the_network_the_loss_and_the_rule(tmp_path: Path) -> None:
    data = write(tmp_path / "d.csv", {"a": np.arange(20.0), "y": np.sin(np.arange(20.0))})
    result = train(
        data, "--hidden=3,2", "--activation=leakyrelu:negative_slope=0.3", "--dropout=0.2",
        "--loss=huberloss:delta=0.5", "--optimizer=SGD:nesterov=true", "--momentum=0.5",
        "--weight-decay=0.01", "--lr=0.1", "--schedule=StepLR:step_size=2,gamma=0.5", "--epochs=5",
        "--l1=0.001", "--l2=0.002", "--max-norm=5", "--clip-value=2", "--group=*.bias:lr=0.4,l1=0",
        "--log", tmp_path / "log.jsonl",
    )  # fmt: skip
    assert "Linear 3, LeakyReLU(negative_slope=0.3), Dropout(p=0.2), Linear 2" in result.stdout
    trainer = load_model(data.with_suffix(".safetensors")).trainer
    assert trainer.loss == mnn.HuberLoss(delta=0.5)
    # Two of the five epochs end a step of the schedule: 0.1, 0.1, 0.05, 0.05, 0.025.
    around: dict[str, Any] = {"l1": 0.001, "l2": 0.002, "max_norm": 5, "clip_value": 2}
    around["groups"] = ({"params": "*.bias", "lr": 0.1, "l1": 0},)
    rule = mnn.SGD(lr=0.025, momentum=0.5, nesterov=True, weight_decay=0.01, **around)
    assert trainer.rule == rule
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["lr"] for line in lines] == [0.1, 0.1, 0.05, 0.05, 0.025]
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4, 5]
    train(data, "--schedule=CosineAnnealingLR", "--lr=0.2", "--epochs=4", "--log", tmp_path / "l")
    lr = [float(row["lr"]) for row in read_csv(tmp_path / "l")]
    assert lr == pytest.approx([0.1 * (1 + math.cos(math.pi * e / 4)) for e in range(4)])
    parts = '[{"type":"ConstantLR","factor":0.5},{"type":"StepLR","step_size":1}]'
    train(
        data, f"--schedule=SequentialLR:schedulers={parts},milestones=[2]", "--lr=0.2",
        "--epochs=4", "--log", tmp_path / "l",
    )  # fmt: skip
    lr = [float(row["lr"]) for row in read_csv(tmp_path / "l")]
    assert lr == pytest.approx([0.1, 0.1, 0.2, 0.02])
    train(data, "--schedule=OneCycleLR", "--lr=0.2", "--epochs=9", "--log", tmp_path / "l")
    lr = [float(row["lr"]) for row in read_csv(tmp_path / "l")]
    assert max(lr) > 0.15
    assert lr[-1] == pytest.approx(0.2 / 25 / 1e4)


def test_any_activation_trains_on_a_table(tmp_path: Path) -> None:
    data = write(tmp_path / "d.csv", {"a": np.arange(10.0), "y": np.sin(np.arange(10.0))})
    table = read_table(data)
    for name in activations.__all__:
        activation = example(name, 4)
        prepared = prepare(table, ["y"], hidden=(4, 4), activation=activation)
        prepared.fit(epochs=1, batch_size=8)
        assert np.isfinite(prepared.predict()).all()
    train(data, "--hidden=4,4", "--epochs=1", "--activation=GLU")
    model = data.with_suffix(".safetensors")
    shapes = [array.shape for array in load_model(model).trainer.params.values()]
    assert shapes == [(4, 1), (4,), (4, 2), (4,), (1, 2), (1,)]
    assert len(predict(model, data)) == 10


def test_the_model_has_the_average_of_the_parameters(tmp_path: Path) -> None:
    data = write(tmp_path / "d.csv", {"a": np.arange(20.0), "y": np.sin(np.arange(20.0))})
    ends = []
    for decay in ("0", "0.5", "1"):
        train(data, "--epochs=2", "--batch-size=8", f"--average={decay}", output=tmp_path / "m")
        ends.append(load_model(tmp_path / "m").trainer.params.vector)
    train(data, "--epochs=2", "--batch-size=8", output=tmp_path / "plain")
    np.testing.assert_array_equal(ends[0], load_model(tmp_path / "plain").trainer.params.vector)
    # Of the four steps, the first counts 1/8, and the others 1/8, 1/4 and 1/2.
    assert not np.array_equal(ends[0], ends[1])
    assert not np.array_equal(ends[1], ends[2])


def test_a_solver_steps_on_all_rows_with_its_own_rate(tmp_path: Path) -> None:
    data = write(tmp_path / "d.csv", {"a": np.arange(20.0), "y": np.sin(np.arange(20.0))})
    train(
        data, "--optimizer=lbfgs:line_search_fn=strong_wolfe", "--epochs=3", output=tmp_path / "m"
    )
    trainer = load_model(tmp_path / "m").trainer
    assert trainer.rule == mnn.LBFGS(line_search_fn="strong_wolfe")


def test_biases_beside_a_rule_of_matrices_have_adamw_or_the_rule_of_a_group(tmp_path: Path) -> None:
    data = write(tmp_path / "d.csv", {"a": np.arange(20.0), "y": np.sin(np.arange(20.0))})
    train(data, "--optimizer=muon", "--epochs=2", "--lr=0.02", output=tmp_path / "m")
    groups = [{"params": "*.bias", "type": "AdamW"}]
    assert load_model(tmp_path / "m").trainer.rule == mnn.Muon(lr=0.02, groups=groups)
    group = "--group=*.bias:type=SGD,lr=0.1"
    train(data, "--optimizer=muon", group, "--epochs=2", "--lr=0.02", output=tmp_path / "m")
    groups = [{"params": "*.bias", "type": "SGD", "lr": 0.1}]
    assert load_model(tmp_path / "m").trainer.rule == mnn.Muon(lr=0.02, groups=groups)


def test_batches_of_a_step_count_as_one_batch(tmp_path: Path) -> None:
    """Up to rounding, which two steps of AdamW keep far below 10⁻⁹; four steps go elsewhere."""
    data = write(tmp_path / "d.csv", {"a": np.arange(20.0), "y": np.sin(np.arange(20.0))})
    ends = []
    for options in (
        {"batch-size": 16},
        {"batch-size": 4, "accumulation-steps": 4},
        {"batch-size": 4},
    ):
        words = [f"--{name}={value}" for name, value in options.items()]
        train(data, "--epochs=2", *words, output=tmp_path / "m")
        ends.append(load_model(tmp_path / "m").trainer.params.vector)
    assert np.abs(ends[1] - ends[0]).max() < 1e-9 < np.abs(ends[2] - ends[0]).max()


def test_rows_without_a_target_are_left_out_or_a_class(tmp_path: Path) -> None:
    columns = blobs(60)
    columns["y"] = ["" if i % 6 == 0 else name for i, name in enumerate(columns["y"])]
    data = write(tmp_path / "d.csv", columns)
    assert "10 rows without 'y' left out" in train(data, "--epochs=1").stdout
    facts = info(data.with_suffix(".safetensors"))["table"]
    assert facts["target"]["classes"] == ["no", "yes"]
    assert sum(facts["about"]["rows"].values()) == 50
    assert run("evaluate", data.with_suffix(".safetensors"), data).stdout.startswith(
        f"{data}: 50 rows with a target, of 60"
    )
    train(data, "--epochs=1", "--missing-class")
    facts = info(data.with_suffix(".safetensors"))["table"]
    assert facts["target"]["classes"] == ["no", "yes", "(missing)"]


def test_held_out_rows_are_a_fraction_of_each_class_and_the_rest_has_every_class() -> None:
    from manualnn.tabular.table import Table

    rng = np.random.default_rng(0)
    for sizes in ([50, 30, 20], [1, 1, 98], [2] * 50, [97, 1, 1, 1]):
        y = np.repeat([f"c{i:02}" for i in range(len(sizes))], sizes)
        table = Table.of({"x": rng.normal(size=100), "y": rng.permutation(y)})
        made = prepare(table, ["y"], test_fraction=0.25, validation_fraction=0.2, seed=4)
        parts = made.train, made.validation, made.test
        assert sorted(np.concatenate(parts)) == list(range(100))
        assert [len(part) for part in parts] == [60, 15, 25] or sizes == [2] * 50
        counts = [np.bincount(made.t[part], minlength=len(sizes)) for part in parts]
        assert (counts[0] >= 1).all()
        # One row of each class stays; of the others, each class gives its share of the 25 rows.
        spare = np.array(sizes) - 1
        assert (abs(counts[2] - 25 * spare / spare.sum()) <= 1).all()


def test_a_class_of_one_row_is_trained_on(tmp_path: Path) -> None:
    columns = blobs(30)
    columns["y"][7] = "once"
    result = train(write(tmp_path / "d.csv", columns), "--epochs=1")
    assert "1 of 3 classes with a single row, which is trained on" in result.stdout


def test_a_remark_says_that_features_are_useless(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = {f"x{i}": rng.normal(size=60) for i in range(20)}
    data = write(tmp_path / "d.csv", {**noise, "y": rng.normal(size=60)})
    remark = "Held-out rows are predicted worse than without features (RMSE)"
    by_heart = "what holds for the training rows only. Try "
    for options, why in {
        "--epochs=1": "more --epochs",
        "--epochs=300": f"{by_heart}--early-stopping, more --weight-decay, --dropout or a smaller",
        "--epochs=300 --dropout=0.1": "more --weight-decay, more --dropout or a smaller --hidden;",
    }.items():
        report = train(data, *options.split(), "--lr=0.01").stdout
        assert remark in report
        assert why in report
    useless = {"trained on": {"RMSE": 0.0}, "held out": {"RMSE": 2.0}, "no features": {"RMSE": 1.0}}
    stopped = prepare(read_table(data), ["y"], validation_fraction=0.1)
    assert f"{by_heart}more --weight-decay, --dropout or" in format_results(stopped, useless)
    linear = prepare(read_table(data), ["y"], hidden=())
    assert f"{by_heart}--early-stopping or more --weight-decay;" in format_results(linear, useless)
    assert "worse than" not in train(write(tmp_path / "e.csv", blobs())).stdout


# ---------------------------------------------------------------------- prediction


def test_kept_columns_are_copied_as_they_stand_over_many_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "d.csv", blobs())
    train(data, "--epochs=1")
    model, n = data.with_suffix(".safetensors"), 60
    new = {"id": [f"{i:06}" for i in range(n)], "b": [" 1.50 "] * n, "a": np.arange(n)}
    new_data = write(tmp_path / "n.csv", new)
    whole = predict(model, new_data)
    monkeypatch.setattr("manualnn.tabular.reader.read_batches", partial(read_batches, rows=7))
    rows = predict(model, new_data, "--keep=id", "--keep=2", "--output", tmp_path / "out.csv")
    assert rows == []
    rows = read_csv(tmp_path / "out.csv")
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in whole]
    assert list(rows[0]) == ["id", "b", *whole[0]]
    assert [row["id"] for row in rows] == new["id"]
    assert {row["b"] for row in rows} == {" 1.50 "}
    result = run("predict", model, new_data, "--keep=prediction")
    assert "no column 'prediction'" in result.stderr


def test_a_header_without_rows_gives_a_header_and_no_rows(tmp_path: Path) -> None:
    data = write(tmp_path / "d.csv", blobs())
    train(data, "--epochs=1")
    result = run("predict", data.with_suffix(".safetensors"), "-", "--keep=a", text="b,a\n")
    assert (result.exit_code, result.stdout) == (0, "a,prediction,probability\n")


def test_columns_that_nobody_needs_never_refuse(tmp_path: Path) -> None:
    columns = blobs()
    data = write(tmp_path / "d.csv", columns)
    train(data, "--epochs=1")
    other = {
        "": range(60),
        "text": ["x"] * 60,
        "b": columns["b"],
        "a": columns["a"],
        "y": ["?"] * 60,
    }
    text = write(tmp_path / "n.csv", other).read_text().replace("text", "", 1)
    assert predict(data.with_suffix(".safetensors"), "-", text=text) == predict(
        data.with_suffix(".safetensors"), data
    )


def test_unknown_categories_are_counted(tmp_path: Path) -> None:
    columns = blobs()
    columns["city"] = ["Rome", "Oslo"] * 30
    data = write(tmp_path / "d.csv", columns)
    train(data, "--epochs=1")
    columns["city"][:3] = ["Bern", "Bonn", "Bern"]
    result = run("predict", data.with_suffix(".safetensors"), write(tmp_path / "n.csv", columns))
    assert result.exit_code == 0
    assert "column 'city': 3 values of no category that the model knows" in result.stderr


def test_a_text_for_missing_is_remembered(tmp_path: Path) -> None:
    columns = blobs()
    columns["a"][0] = -999
    data = write(tmp_path / "d.csv", columns)
    result = train(data, "--epochs=1", "--missing-value=-999.0")
    assert "1 value in 1 feature: a (1)" in result.stdout
    gap = predict(data.with_suffix(".safetensors"), "-", text="a,b\n,1\n")
    assert predict(data.with_suffix(".safetensors"), "-", text="a,b\n-999.0,1\n") == gap


def test_the_score_of_a_constant_target_is_undefined(tmp_path: Path) -> None:
    data = write(tmp_path / "d.csv", {"a": np.arange(30.0), "y": np.arange(30.0) ** 2})
    train(data, "--epochs=2")
    new = write(tmp_path / "n.csv", {"a": [1, 2, 3], "y": [7, 7, 7]})
    model = data.with_suffix(".safetensors")
    errors = np.array([float(row["prediction"]) for row in predict(model, new)]) - 7
    scores = evaluate(model, new)
    assert scores["R²"] is None
    assert scores["RMSE"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert "undefined" in run("evaluate", model, new).stdout


def test_all_missing_columns_are_named_at_once_and_which_is_the_target(tmp_path: Path) -> None:
    data = write(tmp_path / "d.csv", blobs())
    train(data, "--epochs=1")
    new = write(tmp_path / "n.csv", {"a": [1, 2], "c": [3, 4]})
    result = run("evaluate", data.with_suffix(".safetensors"), new)
    lack = "lacks 2 of the 3 columns that the model was trained on: b, y (the target). It has a, c"
    assert lack in result.stderr
    with pytest.raises(mnn.TableError, match=re.escape(lack)):
        load_model(data.with_suffix(".safetensors")).scores(read_table(new))


def test_two_targets_in_one_option_are_refused_with_the_remedy(tmp_path: Path) -> None:
    data = write(tmp_path / "d.csv", {"a": [1, 2], "y": [3, 4], "z": [5, 6]})
    result = run("train", data, "--target=y,z", "--output", tmp_path / "m")
    assert result.exit_code == 1
    assert "has no column 'y,z', but 'y' and 'z'; name each on its own" in result.stderr
    assert "several --target" in result.stderr


# ---------------------------------------------------------------------- model files


def test_info_says_what_a_file_holds(tmp_path: Path) -> None:
    columns = blobs()
    columns["city"] = ["Rome", "Oslo", ""] * 20
    data = write(tmp_path / "d.csv", columns)
    train(data, "--epochs=2")
    text = run("info", data.with_suffix(".safetensors")).stdout
    for part in ("checksum correct", "y: 2 classes, no, yes", "5 inputs, Linear 32",
                 "3 categories: Oslo, Rome, missing",
                 "CrossEntropyLoss", f"manualnn train {data} --target=y", "held out"):  # fmt: skip
        assert part in text
    content = bytearray(data.with_suffix(".safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "damaged").write_bytes(content)
    result = run("info", tmp_path / "damaged")
    assert result.exit_code == 1
    assert "checksum" in result.stderr
    trainer = mnn.Trainer(mnn.Sequential(mnn.Linear(3, 2)), mnn.MSELoss(), mnn.SGD(lr=0.1))
    trainer.step(np.ones((1, 3)), np.ones((1, 2)))
    mnn.save(tmp_path / "network", trainer)
    text = run("info", tmp_path / "network").stdout
    assert "3 inputs, Linear 2; 8 parameters" in text
    assert "SGD(lr=0.1" in text


def test_an_exported_network_gives_the_outputs_of_the_model(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    data = write(tmp_path / "d.csv", blobs())
    train(data, "--epochs=2", "--activation=Tanh", "--dtype=float32")
    model = load_model(data.with_suffix(".safetensors"))
    x = model.encoder.transform(read_table(data), np.float32)
    command = ("export", data.with_suffix(".safetensors"), "--format=onnx")
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "encoder" in result.stderr
    (y,) = onnxruntime.InferenceSession(tmp_path / "d.onnx").run(None, {"x": x})
    # 33 products a number, each rounded to 2⁻²⁴, of numbers of the order of 1.
    np.testing.assert_allclose(y, model.outputs(read_table(data)), rtol=1e-5, atol=1e-5)
    assert "exists; replace it with --force" in run(*command).stderr
    command = ("export", data.with_suffix(".safetensors"), "--format=onnx", "--force")
    assert run(*command, "--probabilities", "--opset=17").exit_code == 0
    (y,) = onnxruntime.InferenceSession(tmp_path / "d.onnx").run(None, {"x": x})
    np.testing.assert_allclose(y, model.probabilities(read_table(data)), rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------------- interruption


@pytest.fixture
def usual_signals() -> Iterator[None]:
    """Let signals do what Python lets them do: a shell starts background jobs with SIGINT off."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_training_that_was_cut_short_goes_on_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: signal.Signals, code: int
) -> None:
    data = write(tmp_path / "d.csv", blobs())
    options = ("--dropout=0.3", "--schedule=CosineAnnealingLR", "--early-stopping", "--epochs=20",
               "--patience=19", "--batch-size=7")  # fmt: skip
    train(data, *options, "--log", tmp_path / "whole.csv", output=tmp_path / "whole")

    @contextmanager
    def interrupted(path: str) -> Any:
        with log_epochs(path) as write_line:

            def callback(trainer: Any, history: Any) -> None:
                write_line(trainer, history)
                if history.epochs == 5 and not history.stopped:
                    os.kill(os.getpid(), sent)

            yield callback

    cut = ("train", data, "--target=y", *options, "--log", tmp_path / "cut.csv",
           "--output", tmp_path / "cut")  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(log_module, "log_epochs", interrupted)
        result = run(*cut)
    assert result.exit_code == code
    assert (tmp_path / "cut").exists() == (sent == signal.SIGINT)
    checkpoint = tmp_path / "cut.checkpoint"
    assert f"--resume {checkpoint}" in result.stdout
    result = run(*cut, "--resume", checkpoint)
    assert result.exit_code == 0, result.output
    assert not checkpoint.exists()
    whole, again = (load_model(tmp_path / name).trainer.params for name in ("whole", "cut"))
    assert whole == again
    logs = [read_csv(tmp_path / f"{name}.csv") for name in ("whole", "cut")]
    assert [{**row, "seconds": ""} for row in logs[0]] == [{**r, "seconds": ""} for r in logs[1]]


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_prediction_that_was_cut_short_says_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: signal.Signals, code: int
) -> None:
    data = write(tmp_path / "d.csv", blobs())
    train(data, "--epochs=1")

    def interrupted(*arguments: Any, **options: Any) -> Any:
        with closing(read_batches(*arguments, **options, rows=7)) as parts:
            yield from (next(parts), next(parts))
            os.kill(os.getpid(), sent)
            yield from parts

    monkeypatch.setattr("manualnn.tabular.reader.read_batches", interrupted)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    command = ("predict", data.with_suffix(".safetensors"), data)
    result = run(*command, "--output", tmp_path / "p.csv")
    assert result.exit_code == code
    assert result.stderr == f"stopped after 14 rows; {tmp_path / 'p.csv'} was not written\n"
    assert not (tmp_path / "p.csv").exists()
    result = run(*command)
    assert (result.exit_code, result.stderr) == (code, "stopped after 14 rows\n")
    assert len(result.stdout.splitlines()) == 1 + 14
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_checkpoint_is_kept_where_it_was_asked_for(tmp_path: Path) -> None:
    data = write(tmp_path / "d.csv", blobs())
    train(data, "--epochs=4", "--checkpoint-every=2", output=tmp_path / "m")
    checkpoint = tmp_path / "m.checkpoint"
    train(data, "--epochs=9", output=tmp_path / "whole")
    train(data, "--epochs=9", "--resume", checkpoint, output=tmp_path / "n")
    assert (
        load_model(tmp_path / "n").trainer.params == load_model(tmp_path / "whole").trainer.params
    )
    log = ("--log", tmp_path / "log.csv")
    train(data, "--epochs=4", "--resume", checkpoint, *log, output=tmp_path / "n")
    lines = read_csv(tmp_path / "log.csv")
    assert [line["epoch"] for line in lines] == ["1", "2", "3", "4"]
    # Nothing was left to train, so that the checkpoint is worth as much as before.
    train(data, "--epochs=4", "--resume", checkpoint, output=tmp_path / "m")
    before = checkpoint.read_bytes()
    result = run("train", data, "--target=y", "--epochs=3", "--resume", checkpoint, "--output",
                 tmp_path / "m")  # fmt: skip
    assert result.exit_code == 2
    assert f"{checkpoint} holds 4 epochs already; --epochs must be more than 4" in result.stderr
    assert checkpoint.read_bytes() == before
    other = write(tmp_path / "o.csv", blobs(seed=1))
    result = run("train", other, "--target=y", "--resume", checkpoint, "--output", tmp_path / "m",
                 *log)  # fmt: skip
    assert result.exit_code == 1
    assert f"cannot resume from {checkpoint}" in result.stderr
    assert "samples" in result.stderr
    assert read_csv(tmp_path / "log.csv") == lines


# ---------------------------------------------------------------------- full disks


@contextmanager
def largest_file(size: int) -> Any:
    """Let the system refuse every file that grows beyond a size, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_without_room_leaves_the_one_before_and_the_way_to_go_on(
    tmp_path: Path,
) -> None:
    data = write(tmp_path / "d.csv", blobs())
    options = ("--hidden=none", "--checkpoint-every=10", "--epochs=100")
    train(data, *options, output=tmp_path / "whole")
    train(data, *options, "--epochs=55", output=tmp_path / "m")
    checkpoint = tmp_path / "m.checkpoint"
    room = checkpoint.stat().st_size  # that of 55 epochs; each adds 16 bytes
    checkpoint.unlink()
    (tmp_path / "m").unlink()
    command = ("train", data, "--target=y", *options, "--output", tmp_path / "m")
    with largest_file(room):
        result = run(*command)
    assert result.exit_code == 1
    assert f"cannot write to {checkpoint}: File too large; the old file is" in result.stderr
    assert f"{checkpoint} holds the training after 50 epochs" in result.stderr
    words = result.stderr.splitlines()[-1].split()
    assert words == ["manualnn", *map(str, command), "--resume", str(checkpoint)]
    assert run(*words[1:]).exit_code == 0
    models = [load_model(tmp_path / name).trainer.params for name in ("m", "whole")]
    assert models[0] == models[1]


def test_a_model_without_room_is_saved_by_the_command_in_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "d.csv", blobs())
    train(data, "--epochs=3", output=tmp_path / "whole")

    def fail(*_: Any) -> None:
        message = "cannot write to m: No space left on device; nothing was saved."
        raise mnn.ModelFileError(message)

    with monkeypatch.context() as patch:
        patch.setattr("manualnn.tabular.model.TableModel.save", fail)
        result = run("train", data, "--target=y", "--epochs=3", "--output", tmp_path / "m")
    assert result.exit_code == 1
    assert f"{tmp_path / 'm.checkpoint'} holds the training after 3 epochs" in result.stderr
    assert run(*result.stderr.splitlines()[-1].split()[1:]).exit_code == 0
    models = [load_model(tmp_path / name).trainer.params for name in ("m", "whole")]
    assert models[0] == models[1]


def test_a_log_without_room_does_not_end_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "d.csv", blobs())
    monkeypatch.setattr("manualnn.tabular.commands.options.require_writable", lambda _: None)
    result = train(data, "--epochs=3", "--log=/dev/full")
    assert result.stderr == (
        "cannot write to /dev/full: No space left on device; the log ends after 0 epochs; the "
        "training goes on.\n"
    )
    assert "after 3 epochs" in result.stdout
    with log_epochs(str(tmp_path / "log.csv")) as log:
        history = mnn.History(loss=[0.5], lr=[0.1], seconds=1.0)
        log(None, history)
        before = (tmp_path / "log.csv").read_bytes()
        history.loss.append(0.25)
        history.lr.append(0.1)
        with largest_file(len(before) + 3):
            log(None, history)
    assert (tmp_path / "log.csv").read_bytes() == before  # no half of a line


class FullDisk(io.RawIOBase):
    """A file with room for so many writes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.null = os.open(os.devnull, os.O_WRONLY)

    def fileno(self) -> int:
        return self.null

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.room -= 1
        if self.room == -1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(content)


def test_a_standard_output_without_room_is_named_and_what_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "d.csv", blobs())
    model = data.with_suffix(".safetensors")
    arguments = ["train", data, "--target=y", "--epochs=1", "--output", model]
    for room, rest in ((0, ""), (1, f" The model is saved as {model}.")):
        assert not model.exists()
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BufferedWriter(FullDisk(room))))
        with pytest.raises(click.ClickException) as caught:
            cli.main(list(map(str, arguments)), standalone_mode=False)
        reason = "cannot write to the standard output: No space left on device."
        assert caught.value.message == reason + rest
    load_model(model)
