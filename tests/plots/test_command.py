"""The pictures of `manualnn train --plots`: which files, of which numbers, and what stays."""

from pathlib import Path

import numpy as np
import pytest
from command_line import blobs, run, train, write

from manualnn import plot
from manualnn.tabular import load_model, read_table
from manualnn.tabular.commands import plots as commands
from manualnn.tabular.prepare import prepare

PNG = b"\x89PNG\r\n\x1a\n"
KINDS = ("loss", "confusion_matrix", "prediction_error", "residuals", "decision_boundary")


@pytest.fixture
def drawn(monkeypatch):
    """What each function of manualnn.plot was called with, by its name; figures stay empty."""
    calls = {}
    for kind in KINDS:
        monkeypatch.setattr(
            plot, kind, lambda *values, _kind=kind, **_: calls.setdefault(_kind, []).append(values)
        )
    return calls


def pictures(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def titles(monkeypatch):
    """The title of each picture, or the label of its vertical axis if it has none."""
    found = {}

    def note(*arguments):
        for name, figure in draw(*arguments):
            ax = figure.axes[0]
            found[name] = ax.get_title() or ax.get_ylabel()
            yield name, figure

    draw = commands._draw  # noqa: SLF001 - its figures
    monkeypatch.setattr(commands, "_draw", note)
    return found


def test_classes_of_two_features_get_three_pictures(tmp_path, drawn, titles):
    data = blobs(80)
    data["b"][:8] = np.nan  # rows that have no place in the picture
    table = write(tmp_path / "data.csv", data)
    # A network that learns nothing errs, so that actual and predicted classes differ.
    result = train(table, "--epochs=3", "--lr=0", "--plots", tmp_path / "plots")
    names = ["loss.png", "confusion_matrix.png", "decision_boundary.png"]
    assert result.stdout.endswith(f"\n\npictures in {tmp_path / 'plots'}: {', '.join(names)}\n")
    assert pictures(tmp_path / "plots") == sorted(names)
    for name in names:
        assert (tmp_path / "plots" / name).read_bytes().startswith(PNG)
    model = load_model(tmp_path / "data.safetensors")
    ((history, _),) = drawn["loss"]
    assert history.epochs == 3
    ((true, predicted),) = drawn["confusion_matrix"]
    prepared = prepare(read_table(table), ["y"])
    assert true.tolist() == data["y"][prepared.test].tolist() != predicted.tolist()
    assert np.mean(true == predicted) == model.about["scores"]["held out"]["accuracy"]
    ((shown_model, x, t),) = drawn["decision_boundary"]
    rows = prepared.test[prepared.test >= 8]  # held out, as in the other pictures
    assert 0 < len(rows) < len(prepared.test)
    assert x.tolist() == np.c_[data["a"], data["b"]][rows].tolist()
    assert t.tolist() == data["y"][rows].tolist()
    assert np.array_equal(shown_model.predict(x), model.predict(read_table(table))[rows])
    assert titles["decision_boundary"] == f"y as predicted, and rows held out: {len(rows)}"


def test_numbers_get_their_errors_in_the_unit_of_the_column(tmp_path, drawn, titles):
    rng = np.random.default_rng(0)
    data = {"a": rng.normal(size=30), "y": 1000 + 100 * rng.normal(size=30)}
    data["z"] = -data["y"]
    options = ["--target=z", "--epochs=2", "--test-fraction=0", "--plots", tmp_path]
    result = train(write(tmp_path / "data.csv", data), *options)
    # The loss is of other numbers than the errors beside it.
    assert titles["loss"] == "loss of the standardised target"
    assert "MSELoss of the standardised target, " in result.stdout
    model = load_model(tmp_path / "data.safetensors")
    predicted = model.predict({"a": data["a"]})
    for i, name in enumerate(("y", "z")):
        for kind in ("prediction_error", "residuals"):
            true, shown = drawn[kind][i]
            assert np.allclose(true, data[name])
            assert np.allclose(shown, predicted[:, i])
    assert {"prediction_error.png", "loss.png"} <= {*pictures(tmp_path)}


@pytest.mark.once
@pytest.mark.usefixtures("drawn")
def test_files_of_others_stay_and_ours_are_renewed(tmp_path):
    table = write(tmp_path / "data.csv", {**blobs(), "c": blobs(seed=1)["a"]})
    folder = tmp_path / "plots"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    train(table, "--epochs=1", "--plots", folder)
    assert pictures(folder) == ["confusion_matrix.png", "loss.png", "notes.txt"]
    ours = (folder / "loss.png").read_bytes()
    (folder / "loss.png").write_bytes(ours + b"longer")
    train(table, "--epochs=1", "--plots", folder)
    assert (folder / "loss.png").read_bytes() == ours
    # One more feature, and the regions of an earlier training would tell of another model.
    train(write(tmp_path / "two.csv", blobs()), "--epochs=1", "--plots", folder)
    assert "decision_boundary.png" in pictures(folder)
    train(table, "--epochs=1", "--plots", folder)
    assert pictures(folder) == ["confusion_matrix.png", "loss.png", "notes.txt"]
    (folder / "decision_boundary.png").write_bytes(PNG + b"mine")
    refused = run("train", table, "--target=y", "--output", tmp_path / "m", "--plots", folder)
    assert refused.exit_code == 2
    assert "decision_boundary.png would be replaced, but it is no picture of" in refused.output
    assert not (tmp_path / "m").exists()
    train(table, "--epochs=1", "--force", "--plots", folder)
    assert (folder / "decision_boundary.png").read_bytes() == PNG + b"mine"  # there was none


@pytest.mark.once
@pytest.mark.parametrize(
    ("plots", "said"),
    [
        ("no/folder", "there is no folder"),
        ("data.csv", "is a file"),
        ("model", "would replace"),
        ("file", "is a file"),
        ("/proc/manualnn", "cannot be made"),  # also for root
        ("pictures", "is a folder"),
    ],
)
def test_what_is_wrong_with_the_folder_is_said_before_the_training(
    tmp_path, monkeypatch, plots, said
):
    monkeypatch.chdir(tmp_path)
    write(Path("data.csv"), blobs())
    Path("file").write_text("")
    Path("pictures", "loss.png").mkdir(parents=True)
    result = run("train", "data.csv", "--target=y", "--output=model", "--plots", plots)
    assert result.exit_code in {1, 2}
    assert said in result.output
    assert not Path("model").exists()


@pytest.mark.once
@pytest.mark.usefixtures("drawn")
def test_a_full_disk_costs_the_pictures_and_not_the_model(tmp_path, monkeypatch):
    def refuse(path, content):  # noqa: ARG001
        message = f"cannot write to {path}: No space left on device; nothing was saved."
        raise OSError(message)

    monkeypatch.setattr("manualnn.tabular.commands.plots.write_whole", refuse)
    arguments = [write(tmp_path / "data.csv", blobs()), "--target=y", "--epochs=1"]
    plots = ["--plots", tmp_path / "plots", "--output", tmp_path / "model"]
    result = run("train", *arguments, *plots)
    assert result.exit_code == 1
    assert "accuracy" in result.stdout
    assert "No space left" in result.stderr
    assert load_model(tmp_path / "model").about["epochs"] == 1


def test_without_matplotlib_nothing_is_trained(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    table = write(tmp_path / "data.csv", blobs())
    result = run("train", table, "--target=y", "--output", tmp_path / "m", "--plots", tmp_path)
    assert result.exit_code == 1
    assert "pictures need Matplotlib; pip install 'manualnn[plot]'." in result.output
    assert pictures(tmp_path) == ["data.csv"]
