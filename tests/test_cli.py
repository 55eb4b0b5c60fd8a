"""`manualnn train` and `manualnn predict` on real data, their error messages, and the help."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from sklearn import datasets

from manualnn import Trainer
from manualnn.cli import cli
from manualnn.tabular.csv_model import TableModel
from manualnn.tabular.csv_table import read_csv
from manualnn.tabular.prepare import prepare


def write(path: Path, data: Any) -> Path:
    """Write a data set of scikit-learn as the README does, with the target last."""
    target = data.target_names[data.target] if "target_names" in data else data.target
    header = ",".join([*data.feature_names, "target"])
    rows = np.column_stack([data.data.astype(str), target.astype(str)])
    np.savetxt(path, rows, "%s", ",", header=header, comments="", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("wine") / "wine.csv", datasets.load_wine())


@pytest.fixture(scope="module")
def model(wine: Path) -> Path:
    path = wine.with_name("wine.safetensors")
    assert run("train", wine, "--target", "target", "--output", path).exit_code == 0
    return path


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


def predictions(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def process(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "manualnn", *map(str, arguments)]
    # A shell's background job ignores Ctrl-C, and so would its children.
    default = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(  # noqa: S603
        command,
        stderr=subprocess.PIPE,
        preexec_fn=default,  # noqa: PLW1509
        **options,
    )


# ---------------------------------------------------------------------- real data


@pytest.mark.parametrize(
    ("name", "score", "least"),
    [
        ("digits", "accuracy", 95.0),
        ("wine", "accuracy", 95.0),
        ("iris", "accuracy", 90.0),
        ("breast_cancer", "accuracy", 95.0),
        ("diabetes", "R²", 0.4),
    ],
)
def test_the_defaults_do_well_on_real_data(
    tmp_path: Path, name: str, score: str, least: float
) -> None:
    data = write(tmp_path / "data.csv", getattr(datasets, f"load_{name}")())
    result = run("train", data, "--target", "target", "--output", tmp_path / "model")
    assert result.exit_code == 0, result.output
    line = next(line for line in result.stdout.splitlines() if line.strip().startswith(score))
    held_out = float(line.split()[2].rstrip("%"))
    assert held_out >= least
    result = run("predict", tmp_path / "model", data)
    assert len(predictions(result.stdout)) == len(read_csv(data))
    assert f"against the column 'target': {'accuracy' if score != 'R²' else 'RMSE'}" in (
        result.stderr
    )
    assert "rows that the model was trained on may be among them" in result.stderr


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_the_saved_model_predicts_bit_for_bit_what_the_trained_one_does(
    tmp_path: Path, name: str, dtype: str
) -> None:
    """This includes the CSV text: a printed float is read back as the same float."""
    data = write(tmp_path / "data.csv", getattr(datasets, f"load_{name}")())
    plan = prepare(read_csv(data), "target", dtype=dtype, seed=3)
    plan.model.trainer.fit(plan.x[plan.train], plan.t[plan.train], epochs=7, batch_size=32)
    run("train", data, "--target=target", f"--dtype={dtype}", "--seed=3", "--epochs=7",
        "--output", tmp_path / "model")  # fmt: skip
    assert TableModel.load(tmp_path / "model").trainer.params == plan.model.trainer.params
    expected = plan.model.predict(read_csv(data))
    run("predict", tmp_path / "model", data, "--output", tmp_path / "out.csv")
    rows = predictions((tmp_path / "out.csv").read_text(encoding="utf-8"))
    numbers = "probability" if "probability" in expected else "prediction"
    assert [float(row[numbers]) for row in rows] == expected[numbers]
    assert [row["prediction"] for row in rows] == list(map(str, expected["prediction"]))


def test_columns_are_matched_by_name_and_others_reported(
    tmp_path: Path, wine: Path, model: Path
) -> None:
    with wine.open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    with (tmp_path / "new.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerows(
            [
                ["note", "Kunde; Nr.", *header[-2::-1]],
                *(["good", "1", *row[-2::-1]] for row in rows),
            ]
        )
    shuffled = run("predict", model, tmp_path / "new.csv")
    assert shuffled.stdout == run("predict", model, wine).stdout
    assert (
        "not used, because the model was trained without: 'note', 'Kunde; Nr.'" in shuffled.stderr
    )
    assert "against" not in shuffled.stderr


def test_training_on_all_rows_and_without_a_hidden_layer(tmp_path: Path, wine: Path) -> None:
    result = run("train", wine, "--target=target", "--test-fraction=0", "--hidden=none",
                 "--ignore=hue", "--ignore=ash", "--target-loss=0.5",
                 "--output", tmp_path / "m")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "178 to train on, 0 held out" in result.stdout
    assert "11 inputs, Linear 3; 36 parameters" in result.stdout
    assert "ignored    ash, hue" in result.stdout
    assert "the loss is at most 0.5" in result.stdout


# ---------------------------------------------------------------------- what is wrong

NUMBERS = "a,b,y\n" + "".join(f"{i},{i * i},{i / 7}\n" for i in range(12))
WRONG = {
    "target not there": (NUMBERS, ["--target=z"], "no column 'z', but a, b, y"),
    "ignored not there": (NUMBERS, ["--target=y", "--ignore=c"], "no column 'c'"),
    "nothing left": (NUMBERS, ["--target=y", "--ignore=a", "--ignore=b"], "no column to predict"),
    "text": (NUMBERS.replace("3,9,", "3,nine,"), ["--target=y"], "line 5, column 'b': got the te"),
    "missing": (NUMBERS.replace("3,9,", "3,,"), ["--target=y"], "line 5, column 'b': the cell is"),
    "NaN": (NUMBERS.replace("3,9,", "nan,9,"), ["--target=y"], "line 5, column 'a': the value is"),
    "too few rows": (NUMBERS[:20], ["--target=y"], "too few rows"),
    "no table": ("", ["--target=y"], "is empty"),
    "a table of another delimiter": (NUMBERS, ["--target=y", "--delimiter=;"], "no column 'y'"),
    "diverged": (NUMBERS, ["--target=y", "--optimizer=SGD", "--lr=1e9"], "diverged in epoch"),
    "diverged at once": (NUMBERS, ["--target=y", "--lr=inf"], "Try a smaller --lr than inf"),
    "target loss": (NUMBERS, ["--target=y", "--target-loss=nan"], "a number of 0 or more; got nan"),
    "hidden": (NUMBERS, ["--target=y", "--hidden=8,x"], "expected widths such as 32"),
    "hidden 0": (NUMBERS, ["--target=y", "--hidden=0"], "expected widths such as 32"),
    "delimiter": (NUMBERS, ["--target=y", "--delimiter=;;"], "expected one character"),
}


@pytest.mark.parametrize(("text", "options", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_training_is_said_and_no_file_is_left(
    tmp_path: Path, text: str, options: list[str], message: str
) -> None:
    (tmp_path / "data.csv").write_text(text)
    result = run("train", tmp_path / "data.csv", *options, "--output", tmp_path / "model")
    assert result.exit_code in {1, 2}
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert [file.name for file in tmp_path.iterdir()] == ["data.csv"]


def test_a_training_that_diverges_saves_nothing_and_tells_of_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(NUMBERS)
    arguments = ["train", tmp_path / "data.csv", "--target=y", "--optimizer=SGD", "--lr=1e9",
                 "--output", tmp_path / "model"]  # fmt: skip
    assert run(*arguments).stderr.endswith(
        "; nothing was saved. Try a smaller --lr than 1e+09, or leave it out.\n"
    )
    (tmp_path / "model").write_text("old")
    assert (
        f"nothing was saved. {tmp_path / 'model'} is still the old one." in run(*arguments).stderr
    )
    assert (tmp_path / "model").read_text() == "old"


def test_one_is_told_in_the_singular(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(NUMBERS)
    result = run("train", tmp_path / "data.csv", "--target=y", "--ignore=b", "--epochs=1",
                 "--output", tmp_path / "model")  # fmt: skip
    assert "1 input, Linear 32" in result.stdout
    assert "after 1 epoch, " in result.stdout


def test_the_help_says_what_each_command_does_in_a_whole_sentence() -> None:
    commands = run("--help").stdout.partition("Commands:")[2].strip().splitlines()
    assert len(commands) == 7
    assert all(line.endswith(".") and not line.endswith("...") for line in commands)


def test_columns_that_differ_from_those_trained_on_are_named(
    tmp_path: Path, wine: Path, model: Path
) -> None:
    renamed = wine.read_text().replace("alcohol,", "alcohol_percent,", 1).replace("ash,", "x,", 1)
    (tmp_path / "new.csv").write_text(renamed)
    result = run("predict", model, tmp_path / "new.csv", "--output", tmp_path / "out.csv")
    assert result.exit_code == 1
    assert "lacks 2 of the 13 columns that the model was trained on: alcohol, ash" in result.stderr
    assert "Did you mean 'alcohol' by 'alcohol_percent'" in result.stderr
    assert not (tmp_path / "out.csv").exists()


def test_a_target_that_is_not_there_in_every_row_does_not_stop_predictions(
    tmp_path: Path, wine: Path, model: Path
) -> None:
    (tmp_path / "new.csv").write_text(wine.read_text().replace("class_1", "class_9"))
    result = run("predict", model, tmp_path / "new.csv")
    assert result.exit_code == 0
    assert result.stdout == run("predict", model, wine).stdout
    assert "no scores" in result.stderr
    assert "the model does not know the class 'class_9'" in result.stderr


def test_a_model_file_that_is_none_is_refused(tmp_path: Path, wine: Path, model: Path) -> None:
    (tmp_path / "half").write_bytes(model.read_bytes()[:-9])
    assert "truncated" in run("predict", tmp_path / "half", wine).stderr
    assert "is not a model file" in run("predict", wine, wine).stderr
    trainer = TableModel.load(model).trainer
    from manualnn.serialization import save

    save(tmp_path / "network", trainer)
    assert "not the columns that it is for" in run("predict", tmp_path / "network", wine).stderr
    save(tmp_path / "network", trainer, notes={"table": {"target": "y"}})
    assert "do not fit the network" in run("predict", tmp_path / "network", wine).stderr


@pytest.mark.parametrize("command", ["train", "predict"])
def test_an_output_that_cannot_be_is_refused_before_the_work(
    tmp_path: Path, wine: Path, model: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "fit", None)
    arguments = [wine, "--target=target"] if command == "train" else [model, wine]
    before = wine.read_bytes()
    for output, message in {
        tmp_path: "it is a folder",
        tmp_path / "nowhere" / "out": "there is no folder",
        wine: "would replace",
    }.items():
        result = run(command, *arguments, "--output", output)
        assert result.exit_code in {1, 2}
        assert message in result.stderr
    assert wine.read_bytes() == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("missing", "code"), [("safetensors", 1), ("click", 2)])
def test_without_an_extra_the_message_names_it(
    tmp_path: Path, wine: Path, missing: str, code: int
) -> None:
    program = f"""if True:
        import sys
        sys.modules[{missing!r}] = None
        from manualnn.__main__ import main
        main()
    """
    arguments = ["train", wine, "--target=target", "--output", tmp_path / "model"]
    command = [sys.executable, "-c", program, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert result.returncode == code
    assert "pip install 'manualnn[cli]'" in result.stderr
    assert "Traceback" not in result.stderr


# ---------------------------------------------------------------------- signals and pipes


def test_ctrl_c_saves_what_was_learnt_until_then(tmp_path: Path, wine: Path) -> None:
    path = tmp_path / "model"
    child = process("train", wine, "--target=target", "--epochs=1000000000", "--output", path,
                    stdout=subprocess.PIPE)  # fmt: skip
    assert child.stdout is not None
    for line in child.stdout:
        if b"training" in line:  # the last line before the training
            break
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    out, error = child.communicate(timeout=60)
    assert child.returncode == 130, error
    assert b"Ctrl-C; the model as trained until then is saved" in out
    assert TableModel.load(path).trainer.params.vector.size == 547


def test_ctrl_c_ends_quietly_before_the_training(
    wine: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("manualnn.tabular.csv_table.read_csv", interrupt)
    assert run("predict", model, wine).exit_code == 130


def test_ctrl_c_ends_quietly_while_modules_are_loaded() -> None:
    program = """if True:
        import sys
        class Interrupt:
            def find_spec(self, name, *_):
                if name == "manualnn.cli":
                    raise KeyboardInterrupt
        sys.meta_path.insert(0, Interrupt())
        from manualnn.__main__ import main
        main()
    """
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    assert (result.returncode, result.stderr) == (130, b"")


def test_a_model_is_saved_also_where_the_reader_of_the_report_goes_away(
    tmp_path: Path, wine: Path
) -> None:
    (tmp_path / "model").write_text("old")
    read, write_end = os.pipe()
    os.close(read)
    child = process("train", wine, "--target=target", "--epochs=1", "--output", tmp_path / "model",
                    stdout=write_end)  # fmt: skip
    os.close(write_end)
    assert child.communicate(timeout=60)[1] == b""
    assert child.returncode == 0
    assert TableModel.load(tmp_path / "model").trainer.params.vector.size == 547


def test_a_reader_that_goes_away_is_no_error(wine: Path, model: Path) -> None:
    read, write_end = os.pipe()
    os.close(read)
    child = process("predict", model, wine, stdout=write_end)
    os.close(write_end)
    assert child.communicate(timeout=60)[1] == b""
    assert child.returncode == 0


COMMANDS = ("bench", "check", "doctor", "explain", "predict", "train", "vectors")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_needs_no_numpy(command: str) -> None:
    program = f"""if True:
        import sys
        sys.argv = ["manualnn", *{command.split()}, "--help"]
        from manualnn.__main__ import main
        try:
            main()
        finally:
            sys.stderr.write(str(int("numpy" in sys.modules)))
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "0")
    assert done.stdout.startswith(f"Usage: manualnn {command}".rstrip())


def test_the_group_has_every_command() -> None:
    assert tuple(cli.list_commands(click.Context(cli))) == COMMANDS
    for name in COMMANDS:
        assert cli.get_command(click.Context(cli), name).name == name


def test_an_unknown_activation_is_answered_by_all_names(wine: Path) -> None:
    result = run("train", wine, "--target=target", "--activation=Sigmoit")
    assert result.exit_code == 2
    assert "'Sigmoit' is not one of" in result.stderr
    assert "'Softplus'" in result.stderr
