"""The checks of an engine as tests: in an author's own suite, and by this suite's --engine."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from oracle.toys import TOY

from manualnn.oracle.pytest_checks import CheckFailedError, checks

ROOT = Path(__file__).parents[2]
PATTERNS = ["layer.Linear:grads", "layer.Tanh:outputs"]
SUITE = f"""
from manualnn.oracle import parametrize_with_checks
from toy import {{engine}}

@parametrize_with_checks({{engine}}, profile="quick", only={PATTERNS})
def test_engine(check):
    check()
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The module toy, in the folder where the test runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.py").write_text(TOY, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("toy", tmp_path / "toy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytested(*arguments, folder):
    """Return the output of pytest, and its exit code."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *map(str, arguments)]
    run = subprocess.run(  # noqa: S603
        command, cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    return run.stdout + run.stderr, run.returncode


def test_every_check_of_an_engine_that_is_right_passes(toy):
    found = checks(toy.Right, only=PATTERNS)
    assert sorted(check.id for check in found) == PATTERNS
    for check in found:
        check()


def test_collecting_asks_for_capabilities_and_runs_no_case(toy):
    toy.Right.step = lambda *_: pytest.fail("a case was run")
    assert checks(toy.Right)


def test_the_message_of_a_failure_is_the_report(toy, tmp_path):
    (check,) = checks(toy.MeanBias, only=["layer.Linear:grads"])
    with pytest.raises(CheckFailedError) as caught:
        check()
    output = str(caught.value)
    assert "FAIL  layer.Linear:grads  toy 1.0" in output
    assert "grads.0.bias" in output
    name = re.search(r"--replay (R-\w+)", output)[1]
    assert (tmp_path / ".manualnn" / f"{name}.json").is_file()


def test_a_check_that_judged_no_case_does_not_pass(toy):
    for check in checks(toy.Picky, only=PATTERNS):
        with pytest.raises((pytest.skip.Exception, CheckFailedError)) as caught:
            check()
        assert "not in the mood" in str(caught.value) or "no case" in str(caught.value)


def test_a_pattern_that_matches_no_check_is_an_error(toy):
    with pytest.raises(ValueError, match="no check of toy:Right matches"):
        checks(toy.Right, only=["nonesuch:*"])


@pytest.mark.usefixtures("toy")
def test_an_authors_suite_has_a_test_for_every_check(tmp_path):
    (tmp_path / "test_mine.py").write_text(SUITE.format(engine="MeanBias"), encoding="utf-8")
    output, code = pytested("-q", "-rA", "test_mine.py", folder=tmp_path)
    assert code == 1, output
    assert "PASSED test_mine.py::test_engine[layer.Tanh:outputs]" in output
    assert "FAILED test_mine.py::test_engine[layer.Linear:grads]" in output
    assert "toy 1.0 (float64)" in output
    assert "engine.result(" not in output  # the author needs the report, not the frames


@pytest.mark.usefixtures("toy")
def test_the_summary_has_the_likely_bug_and_the_command_to_replay_works_from_here(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "suite").mkdir()
    for name in ("toy.py", "test_mine.py"):
        content = TOY if name == "toy.py" else SUITE.format(engine="MeanBias")
        (tmp_path / "suite" / name).write_text(content, encoding="utf-8")
    (tmp_path / "toy.py").unlink()
    output, code = pytested("suite/test_mine.py", folder=tmp_path)
    assert code == 1, output
    summary = next(line for line in output.splitlines() if line.startswith("FAILED"))
    assert re.search(r"Linear:grads\] - CheckFailedError: [A-Z]\w+ \w+", summary)
    command = re.search(r"replay +manualnn check (suite/toy\.py:MeanBias --replay R-\w+)", output)
    replay = [sys.executable, "-m", "manualnn", "check", *command[1].split()]
    replayed = subprocess.run(replay, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603
    assert replayed.returncode == 1, replayed.stdout + replayed.stderr
    assert "grads.0.bias" in replayed.stdout


@pytest.mark.usefixtures("toy")
def test_this_suite_judges_the_engine_that_it_is_given(tmp_path):
    target = f"--engine={tmp_path / 'toy.py'}:MeanBias"
    options = f"--rootdir={ROOT}", "-c", ROOT / "pyproject.toml", "-k", "Linear:grads", "-n1"
    output, code = pytested(ROOT / "tests", target, *options, folder=tmp_path)
    assert code == 1, output
    assert f"engine: {tmp_path / 'toy.py'}:MeanBias; of all tests only test_engine.py" in output
    assert "test_engine[layer.Linear:grads]" in output
    assert not re.search(r"tests/(?!test_engine)\S+\.py", output), output
