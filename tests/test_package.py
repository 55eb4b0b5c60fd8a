"""The project as a whole: its layout, its examples, its imports."""

import ast
import doctest
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import manualnn

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(manualnn.__path__, prefix="manualnn.")
)

TOP_LEVEL = {"LICENSE", "README.md", "manualnn", "pyproject.toml", "reference", "tests", "tox.ini"}

FOREIGN = {
    "a path of one machine": re.compile(r"(?<![\w.>}])/(?:work|root|tmp|home)/\w+"),
    "the host of a package registry": re.compile(r"(?:py)pi\.|(?:python)hosted\.|(?:npm)js\."),
}


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607  # git is wherever the machine has it
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def imported(name: str) -> ModuleType:
    """Import a module; skip the test if it needs a framework, or Numba, and that is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        known = {"jax": "gradcheck.functions", "torch": "gradcheck.functions", "numba": "compiling"}
        if known.get(str(error.name), "\n") not in name:
            raise
        pytest.skip(f"{name} needs {error.name}")


def run_python(
    code: str, *options: str, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    paths = [str(folder or ""), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(  # noqa: S603  # our own interpreter and code
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )


# ------------------------------------------------------------------ layout


def test_top_level_holds_nothing_else():
    names = {path.relative_to(ROOT).parts[0] for path in tracked_files()}
    assert {name for name in names if not name.startswith(".")} == TOP_LEVEL


@pytest.mark.parametrize("what", FOREIGN)
def test_no_file_names(what):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line}"
        for path in tracked_files()
        if path.is_file()
        # Pictures are no UTF-8, but their notes may name files.
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if FOREIGN[what].search(line)
    ]
    assert found == []


def test_readme_and_ci_run_the_tests_by_the_same_command():
    command = re.search(r"^python3 -m venv .* -e test\b", read(".ci/run"), re.MULTILINE)
    assert f"\n{command[0]}\n" in read("README.md")


def test_readme_names_every_layer_loss_and_optimizer():
    readme = read("README.md")
    for table in (manualnn.LAYERS, manualnn.LOSSES, manualnn.OPTIMIZERS):
        for name in table:
            assert f"`{name}`" in readme, f"README.md does not name {name}; add it to the table."


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


# ------------------------------------------------------------------ the installed package


def test_package_says_that_it_is_typed():
    assert Path(manualnn.__file__).with_name("py.typed").is_file()


def test_wheel_is_what_is_tested():
    """Where tox has installed the wheel, the sources beside the tests stay out of the way."""
    installed = Path(manualnn.__file__).is_relative_to(sysconfig.get_path("purelib"))
    assert installed == (os.environ.get("MANUALNN_FROM_WHEEL") == "1")


def test_public_names_exist_once():
    assert len(set(manualnn.__all__)) == len(manualnn.__all__)
    for name in manualnn.__all__:
        assert hasattr(manualnn, name)


def test_dir_has_the_public_names_before_the_first_use():
    code = "import manualnn; names = dir(manualnn); print(set(manualnn.__all__) <= set(names))"
    assert run_python(code).stdout == "True\n"
    assert {"load", "save", "Sequential", "Trainer", "Sigmoid", "MSELoss"} <= set(dir(manualnn))


def test_star_import_brings_the_public_names():
    names = {}
    exec("from manualnn import *", names)  # noqa: S102 - no other way to a star import
    assert set(manualnn.__all__) <= names.keys()


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'manualnn' has no attribute 'Sequence'"):
        _ = manualnn.Sequence
    assert not hasattr(manualnn, "__wrapped__")


def test_type_checkers_see_the_public_names():
    """The imports for type checkers bring the names that are loaded at their first use."""
    (block,) = (
        node
        for node in ast.parse(inspect.getsource(manualnn)).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    names = set()
    for line in block.body:
        module = importlib.import_module(line.module)
        for alias in line.names:
            names |= set(module.__all__) if alias.name == "*" else {alias.asname}
    assert names == set(manualnn.__all__)


# ------------------------------------------------------------------ imports


def test_import_brings_numpy_and_nothing_else():
    code = """
import sys, numpy
before = set(sys.modules)
from manualnn import *
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""
    imported = set(run_python(code).stdout.split())
    assert "manualnn" in imported
    assert imported - sys.stdlib_module_names <= {"manualnn", "numpy"}


def test_import_waits_for_the_first_use_of_a_name():
    code = "import sys, manualnn; print('numpy' in sys.modules)"
    assert run_python(code).stdout == "False\n"


def test_import_leaves_the_random_part_of_numpy_for_later():
    code = "import sys, numpy; from manualnn import *; print('numpy.random' in sys.modules)"
    assert run_python(code).stdout == "False\n"


def test_command_without_its_extra_says_what_to_install():
    code = "import sys; sys.modules['click'] = None; from manualnn.__main__ import main; main()"
    result = run_python(code)
    assert result.returncode == 2
    assert result.stderr == (
        "manualnn: the command line needs an extra; pip install 'manualnn[cli]'.\n"
    )


# ------------------------------------------------------------------ documentation


@pytest.mark.parametrize("name", ["manualnn", *MODULES])
def test_examples_in_docstrings_are_true(name):
    module = imported(name)
    known = {public: getattr(manualnn, public) for public in manualnn.__all__}
    known |= {"np": np, "mnn": manualnn, "x": np.ones((64, 3)), "t": np.ones((64, 2))}
    known["net"] = manualnn.Sequential(manualnn.Linear(3, 2))
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(module, extraglobs=known):
        runner.run(example)
    assert runner.summarize(verbose=False).failed == 0


def test_readme_is_short():
    """Somebody who has two minutes reads it."""
    assert read("README.md").count("\n") <= 270


@pytest.mark.parametrize("page", ["README.md", "tests/benchmarks/README.md"])
def test_page_has_no_gap_left_to_fill(page):
    assert not re.findall(r"\b[A-Z]+_TABLE\b|TODO|XXX", read(page))


def test_readme_shows_plots_that_are_there_and_leaves_the_tables_to_their_page():
    targets = re.findall(r"\]\((tests/benchmarks/[^)]*)\)", read("README.md"))
    assert len(targets) == 3
    assert all((ROOT / target).is_file() for target in targets)
    assert "<!-- benchmark: begin -->" in read("tests/benchmarks/README.md")
    assert "<!-- benchmark:" not in read("README.md")
