"""The command line: its help, its messages, signals and pipes, and the files that it spares."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from command_line import run, write_dataset
from sklearn import datasets

from manualnn import Trainer
from manualnn.cli import cli
from manualnn.serialization import save
from manualnn.tabular import load_model


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("wine") / "wine.csv", datasets.load_wine())


@pytest.fixture(scope="module")
def model(wine: Path) -> Path:
    path = wine.with_name("wine.safetensors")
    assert run("train", wine, "--target", "y", "--epochs=3", "--output", path).exit_code == 0
    return path


def process(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "manualnn", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **options)  # noqa: S603


# ---------------------------------------------------------------------- what is wrong

NUMBERS = "a,b,y\n" + "".join(f"{i},{i * i},{i / 7}\n" for i in range(12))
YES = "a,y\n" + "yes,1\nno,2\n" * 6
DATES = "d,y\n" + "".join(f"2024-01-{i:02},{i}\n" for i in range(10, 24))
NAMES = "n,y\n" + "".join(f"person {i},{i}\n" for i in range(150))
WRONG = {
    "target not there": (NUMBERS, ["--target=z"], "no column 'z', but a, b, y"),
    "ignored not there": (NUMBERS, ["--target=y", "--ignore=c"], "no column 'c'"),
    "ignored target": (NUMBERS, ["--target=y", "--ignore=3"], "target and ignored at once"),
    "nothing left": (NUMBERS, ["--target=y", "--ignore=a", "--ignore=b"], "no column to predict"),
    "two classes to predict": (YES, ["--target=a", "--target=y", "--task=classification"],
                               "classification has one target, got a, y"),
    "a text and a number to predict": (YES, ["--target=a", "--target=y"], "expected numbers"),
    "missing": (NUMBERS.replace("3,9,", ",9,"), ["--target=y", "--missing=fail"],
                "column 'a': the value is missing"),
    "row numbers alone": (",y\n" + "".join(f"{i},{i * i}\n" for i in range(12)), ["--target=y"],
                          "only counts or names the rows: left out; "),
    "dates": (DATES, ["--target=y"], "'d' has dates, such as '2024-01-10'"),
    "too many categories": (NAMES, ["--target=y"], "--ignore n"),
    "negative weight": (NUMBERS.replace("3,9,", "-3,9,"), ["--target=y", "--sample-weight=a"],
                        "the weight is -3, expected a number of 0 or more"),
    "one class": ("a,y\n" + "1,no\n" * 12, ["--target=y"], "every row is of the class 'no'"),
    "too few rows": (NUMBERS[:20], ["--target=y"], "too few rows"),
    "no table": ("", ["--target=y"], "is empty"),
    "a table of another delimiter": (NUMBERS, ["--target=y", "--delimiter=;"], "no column 'y'"),
    "diverged": (NUMBERS, ["--target=y", "--optimizer=SGD", "--lr=1e9"], "diverged in epoch"),
    "infinite rate": (NUMBERS, ["--target=y", "--lr=inf"], "expected a finite number"),
    "target loss": (NUMBERS, ["--target=y", "--target-loss=nan"], "expected a finite number"),
    "hidden": (NUMBERS, ["--target=y", "--hidden=8,x"], "expected widths such as 32"),
    "hidden 0": (NUMBERS, ["--target=y", "--hidden=0"], "expected widths such as 32"),
    "delimiter": (NUMBERS, ["--target=y", "--delimiter=;;"], "expected one character"),
    "an unknown activation": (NUMBERS, ["--target=y", "--activation=Sigmoit"], "'Softplus'"),
    "an unknown option": (NUMBERS, ["--target=y", "--loss=HuberLoss:beta=1"], "no option 'beta'"),
    "an option without a value": (NUMBERS, ["--target=y", "--loss=HuberLoss:1"],
                                  "expected a name, or name:option=value"),
    "no momentum": (NUMBERS, ["--target=y", "--momentum=0.9"], "AdamW has no option 'momentum'"),
    "no parameter": (NUMBERS, ["--target=y", "--group=9.*:lr=1"], "'9.*' fits none of 0.weight"),
    "a group's option": (NUMBERS, ["--target=y", "--group=*:rate=1"], "has the option 'rate'"),
    "loss of classes": (NUMBERS, ["--target=y", "--loss=CrossEntropyLoss"], "expected HuberLoss"),
    "loss of numbers": (YES, ["--target=a", "--loss=MSELoss"], "expected CrossEntropyLoss"),
    "a schedule without its step": (NUMBERS, ["--target=y", "--schedule=StepLR"],
                                    "StepLR needs step_size; got no options"),
    "a schedule of a function": (NUMBERS, ["--target=y", "--schedule=LambdaLR:lr_lambda=x"],
                                 "LambdaLR has no JSON form, because it holds a function"),
    "a schedule without momentum": (
        NUMBERS, ["--target=y", "--schedule=OneCycleLR", "--optimizer=Adagrad"],
        "Adagrad has neither; pass cycle_momentum=False",
    ),
    "classes of numbers": (NUMBERS, ["--target=y", "--class-weight=balanced"],
                           "class_weight is for classes"),
    "a period": (NUMBERS, ["--target=y", "--checkpoint-every=0"], "epochs such as 10"),
    "a network to resume": (NUMBERS, ["--target=y", "--resume={data}"], "not a model file"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "options", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_training_is_said_and_no_file_is_left(
    tmp_path: Path, text: str, options: list[str], message: str
) -> None:
    (tmp_path / "data.csv").write_text(text)
    options = [option.replace("{data}", str(tmp_path / "data.csv")) for option in options]
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
    first = ["train", tmp_path / "data.csv", "--target=y", "--epochs=1"]
    assert run(*first, "--output", tmp_path / "model").exit_code == 0
    old = (tmp_path / "model").read_bytes()
    assert (
        f"nothing was saved. {tmp_path / 'model'} is still the old one." in run(*arguments).stderr
    )
    assert (tmp_path / "model").read_bytes() == old
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data.csv", "model"]


def test_a_file_that_is_no_model_is_replaced_by_force_alone(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(NUMBERS)
    (tmp_path / "thesis").write_text("three years of work")
    arguments = ["train", tmp_path / "data.csv", "--target=y", "--epochs=1",
                 "--output", tmp_path / "thesis"]  # fmt: skip
    result = run(*arguments)
    assert result.exit_code == 2
    assert "say --force" in result.stderr
    assert (tmp_path / "thesis").read_text() == "three years of work"
    assert run(*arguments, "--force").exit_code == 0
    assert run(*arguments).exit_code == 0  # for it is a model now


def test_one_is_told_in_the_singular(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(NUMBERS)
    result = run("train", tmp_path / "data.csv", "--target=y", "--ignore=b", "--epochs=1",
                 "--output", tmp_path / "model")  # fmt: skip
    assert "1 input, Linear 32" in result.stdout
    assert "after 1 epoch, " in result.stdout


def test_the_help_says_what_each_command_does_in_a_whole_sentence() -> None:
    commands = run("--help").stdout.partition("Commands:")[2].strip().splitlines()
    assert len(commands) == len(COMMANDS)
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


def test_a_model_file_that_is_none_is_refused(tmp_path: Path, wine: Path, model: Path) -> None:
    (tmp_path / "half").write_bytes(model.read_bytes()[:-9])
    assert "truncated" in run("predict", tmp_path / "half", wine).stderr
    assert "is not a model file" in run("predict", wine, wine).stderr
    trainer = load_model(model).trainer
    save(tmp_path / "network", trainer)
    assert "not the columns that it is for" in run("predict", tmp_path / "network", wine).stderr
    save(tmp_path / "network", trainer, notes={"table": {"target": "y"}})
    assert (
        "the columns of the model are damaged" in run("predict", tmp_path / "network", wine).stderr
    )


@pytest.mark.parametrize("command", ["train", "predict"])
def test_an_output_that_cannot_be_is_refused_before_the_work(
    tmp_path: Path, wine: Path, model: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "fit", None)
    arguments = [wine, "--target=y"] if command == "train" else [model, wine]
    before = wine.read_bytes()
    for output, message in {
        tmp_path: "it is a folder",
        tmp_path / "nowhere" / "out": "there is no folder",
        wine: "would replace",
    }.items():
        result = run(command, *arguments, "--output", output)
        assert result.exit_code in {1, 2}
        assert message in result.stderr
    if command == "train":
        result = run(command, *arguments, "--output", tmp_path / "m", "--log", tmp_path / "m")
        assert "would replace" in result.stderr
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
    arguments = ["train", wine, "--target=y", "--output", tmp_path / "model"]
    command = [sys.executable, "-c", program, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert result.returncode == code
    assert "pip install 'manualnn[cli]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_model_is_used_without_scikit_learn(wine: Path, model: Path) -> None:
    program = f"""if True:
        import sys
        sys.modules["sklearn"] = None
        from manualnn.cli import cli
        for words in (["info"], ["evaluate", {str(wine)!r}], ["predict", {str(wine)!r}]):
            cli([words[0], {str(model)!r}, *words[1:]], standalone_mode=False)
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-178:] == run("predict", model, wine).stdout.splitlines()[1:]


# ---------------------------------------------------------------------- signals and pipes


def test_ctrl_c_ends_quietly_before_the_training(
    wine: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("manualnn.tabular.reader.read_batches", interrupt)
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
    read, write_end = os.pipe()
    os.close(read)
    child = process("train", wine, "--target=y", "--epochs=1", "--output", tmp_path / "model",
                    stdout=write_end)  # fmt: skip
    os.close(write_end)
    assert child.communicate(timeout=600)[1] == b""
    assert child.returncode == 0
    assert load_model(tmp_path / "model").trainer.params.vector.size == 547


def test_a_reader_that_goes_away_is_no_error(wine: Path, model: Path) -> None:
    read, write_end = os.pipe()
    os.close(read)
    child = process("predict", model, wine, stdout=write_end)
    os.close(write_end)
    assert child.communicate(timeout=600)[1] == b""
    assert child.returncode == 0


COMMANDS = ("bench", "check", "doctor", "evaluate", "explain", "export", "gradcheck", "info",
            "predict", "train", "vectors")  # fmt: skip


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
