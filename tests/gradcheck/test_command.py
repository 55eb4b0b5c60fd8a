"""`manualnn gradcheck`: output, files, replay and exit codes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from manualnn.cli import cli
from manualnn.gradcheck import Array
from manualnn.gradcheck import gradcheck as run_gradcheck

pytestmark = pytest.mark.once
MODULE = """
import numpy as np

def cube(x, power=3):
    return x**power

def right(arrays, dy, power=3):
    return [dy * power * arrays[0] ** (power - 1)]

def wrong(arrays, dy, power=3):
    return [dy * power * arrays[0] ** (power - 1) * np.where(arrays[0] > 4, 2, 1)]

value = 5
"""
USED = "gradcheck", "functions.py:cube", "--input", "3,2"


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """Write the file functions.py to the folder in which the commands run."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "functions.py"
    path.write_text(MODULE, encoding="utf-8")
    return path


def manualnn(*arguments):
    return CliRunner().invoke(cli, list(map(str, arguments)))


def test_a_right_gradient_gives_0_and_a_report():
    done = manualnn(*USED, "--vjp", "right", "--json", "report.json")
    assert done.exit_code == 0, done.output
    assert "functions.py:cube is right" in done.output
    report = json.loads(Path("report.json").read_text(encoding="utf-8"))
    assert report["target"] == "functions.py:cube"


def test_options_reach_the_function_and_its_gradient():
    done = manualnn(*USED, "--vjp", "right", "--option", "power=2", "--only", "values")
    assert done.exit_code == 0, done.output
    assert "1 passed" in done.output


def test_a_wrong_gradient_gives_1_and_is_replayed_until_it_is_right(module):
    done = manualnn(*USED, "--vjp", "wrong", "--only", "values")
    assert done.exit_code == 1, done.output
    assert "FAIL  values  functions.py:cube" in done.output
    name = re.search(r"--replay (G-\w+)", done.output)[1]

    again = manualnn(*USED, "--vjp", "wrong", "--replay", name)
    assert again.exit_code == 1, again.output
    assert "FAIL  values" in again.output
    module.write_text(MODULE.replace("2, 1)", "1, 1)"), encoding="utf-8")
    mended = manualnn(*USED, "--vjp", "wrong", "--replay", name)
    assert mended.exit_code == 0, mended.output


WRONG = {
    "no input": (["functions.py:cube"], "--input 5,7"),
    "shape": (["functions.py:cube", "--input", "5x7"], "sizes with commas, such as 5,7"),
    "property": (["functions.py:cube", "--input", "5 lo=0"], "'lo=0' is no property"),
    "number": (["functions.py:cube", "--input", "5 low=a"], "low must be a number; got 'a'"),
    "flag": (["functions.py:cube", "--input", "5 open=1"], "open must be true or false"),
    "kind": (["functions.py:cube", "--input", "5 kind=big"], "'big'"),
    "option": ([*USED[1:], "--option", "power"], "expected KEY=JSON"),
    "kink": ([*USED[1:], "--kink", "0"], "expected X=SLOPE"),
    "no gradient": (USED[1:], "vjp"),
    "no such gradient": ([*USED[1:], "--vjp", "none"], "it has np, cube, right, wrong, value"),
    "no function": (["functions.py", "--input", "5"], "functions.py:f"),
    "a number": (["functions.py:value", "--input", "5", "--vjp", "right"], "5 cannot be called"),
    "no file": (["other.py:f", "--input", "5"], "there is no file other.py"),
    "fails": (
        ["functions.py:cube", "--input", "5", "--vjp", "right", "--option", 'power="a"'],
        "TypeError",
    ),
    "no such check": ([*USED[1:], "--vjp", "right", "--only", "nonesuch"], "no check matches"),
    "no replay": ([*USED[1:], "--vjp", "right", "--replay", "G-1"], "no saved point 'G-1'"),
    "folder": ([*USED[1:], "--vjp", "right", "--json", "none/a.json"], "there is no folder none"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_used_gives_2_and_says_what_to_do(case):
    words, message = WRONG[case]
    done = manualnn("gradcheck", *words)
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.output.replace("│", " ").split())


def test_progress_counts_the_points_of_each_check(capsys):
    report = run_gradcheck(
        np.sin,
        [Array((2,))],
        vjp=lambda arrays, dy: (np.cos(arrays[0]) * dy,),
        only=["values"],
        progress=True,
    )
    shown = capsys.readouterr().err
    assert "values" in shown
    assert re.findall(r"(\d+) points \[", shown)
    assert report.points >= max(int(n) for n in re.findall(r"(\d+) points \[", shown))
