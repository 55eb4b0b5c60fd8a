"""The command `manualnn explain`."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from manualnn.cli import cli
from manualnn.explain import EXAMPLE, explain

pytestmark = pytest.mark.once


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["explain", *arguments])


def test_the_command_prints_what_the_library_returns(tmp_path: Path) -> None:
    spec = tmp_path / "run.json"
    spec.write_text(json.dumps(EXAMPLE), encoding="utf-8")
    for form in ("text", "markdown", "json"):
        shown = run(str(spec), "--format", form, "--decimals", "4", "--weight", "0.bias[1]")
        assert shown.exit_code == 0
        expected = explain(decimals=4, weight="0.bias[1]")
        assert shown.stdout == getattr(expected, f"to_{form}")()


@pytest.mark.parametrize(
    ("content", "arguments", "code", "message"),
    [
        ("{", (), 1, "expected JSON, got something else in line 1, column 2"),
        ("[1]", (), 1, "must be a JSON object"),
        ("{}", (), 1, "lacks layers, x, t, parameters"),
        (None, ("--weight", "9.weight[0,0]"), 1, "there is no parameter 9.weight"),
        (None, ("--decimals", "99"), 2, "0<=x<=15"),
        (None, ("--target-loss", "nan"), 1, "target_loss must be a finite number"),
        (None, ("--epochs", "0"), 2, "x>=1"),
    ],
)
def test_the_command_reports_errors_without_a_traceback(
    tmp_path: Path, content: str | None, arguments: tuple[str, ...], code: int, message: str
) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content, encoding="utf-8")
        arguments = (str(tmp_path / "run.json"), *arguments)
    shown = run(*arguments)
    assert shown.exit_code == code
    assert message in shown.output
    assert isinstance(shown.exception, SystemExit)


def test_full_shows_every_parameter_of_a_large_network(tmp_path: Path) -> None:
    """Without it, more than 32 parameters are too many, and 8 are explained."""
    spec = tmp_path / "run.json"
    layer = {"type": "Linear", "in_features": 12, "out_features": 3}
    content = {"layers": [layer], "x": [[1.0] * 12], "t": [[0.0] * 3], "seed": 0}
    spec.write_text(json.dumps(content), encoding="utf-8")
    shown = run(str(spec), "--full", "--epochs", "1").stdout
    assert len(re.findall(r"^0\.\w+\S+ = \S+: 1 path$", shown, re.MULTILINE)) == 39
    assert "left out" not in shown
    assert "31 more parameters left out" in run(str(spec), "--epochs", "1").stdout
    read = json.loads(run(str(spec), "--full", "--epochs", "1", "--format", "json").stdout)
    assert len(read["gradients"]) == 39


INTERRUPTED = """
import os, signal, sys
from manualnn.__main__ import main
from manualnn.explain.numbers import Number

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have turned Ctrl-C off

def multiply(self, other, real=Number.__mul__, calls=[]):
    calls.append(1)
    if len(calls) == 20:
        os.kill(os.getpid(), signal.SIGINT)
    return real(self, other)

Number.__mul__ = multiply
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process")
@pytest.mark.parametrize("arguments", [(), ("--check", "mine.json"), ("--html", "page.html")])
def test_ctrl_c_ends_the_command_without_a_message(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Ctrl-C comes in an operation on an array of objects, where NumPy would go on."""
    (tmp_path / "mine.json").write_text('{"L": 0.75}', encoding="utf-8")
    command = [sys.executable, "-c", INTERRUPTED, "explain", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
    assert not (tmp_path / "page.html").exists()
