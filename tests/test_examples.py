"""The examples of README and of the documentation: every block of code that a page shows.

    python    one program, whose output is the page's blocks of `text`, in order
    json      the files run.json and mine.json
    sh        commands; those of manualnn and python are run, installing is not
    console   commands with what they print; … stands for lines that are left out

A block that begins with `# name.py` is that file. A page finds the files of .docs/examples.
"""

import contextlib
import io
import re
import shlex
import shutil
import sys
import textwrap
import types
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from manualnn.cli import cli

ROOT = Path(__file__).resolve().parent.parent
# The guide of pictures is left out, because building the site runs it to draw them.
GUIDES = sorted(set(ROOT.joinpath(".docs").rglob("*.md")) - {ROOT / ".docs/guides/pictures.md"})
PAGES = [ROOT / "README.md", *(pytest.param(page, marks=pytest.mark.once) for page in GUIDES)]
FILE = re.compile(r"# (\w+\.py)\b.*\n")


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a language, in order."""
    fence = rf"^ *```{language}\n(.*?)^ *```"
    found = re.findall(fence, page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


def program(page: Path) -> str:
    """Return the blocks of Python that are no file."""
    return "\n".join(code for code in blocks(page, "python") if not FILE.match(code))


@pytest.fixture(name="page", params=PAGES, ids=lambda page: page.stem)
def folder_of_page(request, tmp_path, monkeypatch):
    """Work in a folder with the files that the page shows, and give the page."""
    shutil.copytree(ROOT / ".docs" / "examples", tmp_path, dirs_exist_ok=True)
    tmp_path.joinpath(".docs").symlink_to(ROOT / ".docs")  # as in the folder of the README
    programs = blocks(request.param, "python")
    files = {match[1]: code for code in programs if (match := FILE.match(code))}
    files |= dict(zip(["run.json", "mine.json"], blocks(request.param, "json"), strict=False))
    for name, code in files.items():
        tmp_path.joinpath(name).write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest-xdist sets a width
    yield request.param
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def run_program(code: str) -> str:
    """Run Python in a module of its own, and return what it prints."""
    module = types.ModuleType("example")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "example", "exec"), vars(module))  # noqa: S102  # our own examples
    return printed.getvalue()


def run_command(line: str) -> Result:
    name, *words = shlex.split(line, comments=True)
    assert name == "manualnn", line
    return CliRunner().invoke(cli, words)


def test_programs_and_commands_run(page):
    for line in "".join(blocks(page, "sh")).splitlines():
        if line.startswith("manualnn "):
            assert (done := run_command(line)).exit_code == 0, done.output
        elif line.startswith("python "):
            run_program(Path(line.removeprefix("python ")).read_text("utf-8"))
    code = program(page)
    if re.search(r"^import torch\b", code, re.MULTILINE):
        pytest.importorskip("torch")
    assert run_program(code) == "".join(blocks(page, "text"))


@pytest.mark.once
def test_sessions_are_what_the_command_prints(page):
    for session in blocks(page, "console"):
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE):
            done = run_command(command)
            assert done.exit_code == ("check" in command), done.output  # which all find something
            rest = done.stdout
            for part in shown.split("…\n"):
                assert part in rest
                rest = rest[rest.index(part) + len(part) :]
