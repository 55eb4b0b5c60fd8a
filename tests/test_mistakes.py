"""The suite notices bugs: each of many, planted in a copy of the package, makes tests fail.

The tables in tests/mistakes list the bugs, each in a file or folder below manualnn:

    @ layers
    # the bug in words
    - correct text, which stands there exactly once
    + wrong text

Only tests that need neither torch nor much time run on the copy, in the order of the tuples here.
The profile nightly plants every bug; the others plant those of changed files, and a share that
rotates (see rotation.py).
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from rotation import choose, profile, turn

pytestmark = pytest.mark.once

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "manualnn"
KERNELS = (
    "test_activations",
    "test_far",
    "test_article",
    "test_losses",
    "test_gradients",
    "test_network",
)
JUDGES = ("oracle/test_compare", "oracle/test_masks", "oracle/test_truth", "oracle/test_checks")
LOOP = ("test_parameters", "test_spec", "test_epochs", "test_training", "test_fit", "test_memory")
HELPERS = (
    "conftest",
    "rotation",
    "toys",
    "cases",
    "values",
    "kills",
    "examples_of_layers",
    "interpreted",
    "muon_bounds",
)
CAUGHT_BY = {
    "layers": (*KERNELS, "test_embedding", "test_normalization", "test_initializers"),
    "batch_norm": ("test_batch_norm",),
    "losses": ("test_losses_by_hand", "test_loss_everywhere", *KERNELS, "test_epochs"),
    "rules": ("test_optimizers", "test_far"),
    "around": ("test_groups", "test_accumulation", "test_average", "test_lbfgs", "test_muon"),
    "oracle": JUDGES,
    "runs": ("oracle/test_expected", "oracle/test_runner"),
    "training": (
        *LOOP,
        *KERNELS,
        "test_initializers",
        "test_schedules",
        "test_divergence",
        "test_interruption",
        "test_plan",
    ),
    "checkpoints": ("test_checkpoints",),
    "compiling": ("test_compiled",),
    "tables": ("test_encoder", "test_reading"),
}


class Mistake(NamedTuple):
    table: str
    file: str
    what: str
    old: str
    new: str

    def places(self, package: Path) -> list[Path]:
        """Return the file that holds the text, once for each time that it does."""
        place = package / self.file
        files = [place] if place.is_file() else sorted(place.rglob("*.py"))
        return [path for path in files for _ in range(path.read_text("utf-8").count(self.old))]


def read(table: str) -> Iterator[Mistake]:
    """Read the bugs of a table."""
    file = what = ""
    old: list[str] = []
    new: list[str] = []
    for line in [*(TESTS / "mistakes" / f"{table}.txt").read_text("utf-8").splitlines(), "@"]:
        mark, text = line[:1], line[2:]
        if mark in {"@", "#"} and old:
            yield Mistake(table, file, what, "\n".join(old), "\n".join(new))
            old, new = [], []
        if mark == "@":
            file = text
        elif mark == "#":
            what = text
        elif mark == "-":
            old.append(text)
        elif mark == "+":
            new.append(text)


MISTAKES = [mistake for table in CAUGHT_BY for mistake in read(table)]
QUICK = ("layers", "losses", "rules", "training")
TABLES = CAUGHT_BY if profile() == "nightly" else [QUICK[turn() % len(QUICK)]]
CHOSEN = choose(MISTAKES, lambda m: [*m.places(PACKAGE), TESTS / "mistakes" / f"{m.table}.txt"])


def run_tests(room: Path, table: str, mistake: Mistake | None = None) -> tuple[int, str]:
    """Run a table's tests on a copy of the package with that bug; return pytest's exit code."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, room / "manualnn", ignore=ignored)
    (room / "tests" / "oracle").mkdir(parents=True)
    helpers = (f"oracle/{helper}" for helper in ("drawn", "exactly", "toy", "toys"))
    for helper in (*HELPERS, *helpers, *CAUGHT_BY[table]):
        shutil.copy(TESTS / f"{helper}.py", room / "tests" / f"{helper}.py")
    shutil.copy(TESTS.parent / "pyproject.toml", room)
    if mistake:
        (path,) = mistake.places(room / "manualnn")
        path.write_text(path.read_text("utf-8").replace(mistake.old, mistake.new), "utf-8")
    tests = [f"tests/{name}.py" for name in CAUGHT_BY[table]]
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(  # noqa: S603 - our own words
        command,
        cwd=room,
        env=own
        | {
            "PYTHONPATH": str(room),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HYPOTHESIS_PROFILE": "dev",  # few examples find an error in a formula
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_there_are_many_mistakes_and_each_is_another() -> None:
    assert len(MISTAKES) >= 150
    assert len({(m.file, m.old, m.new) for m in MISTAKES}) == len(MISTAKES)
    assert len({(m.file, m.what) for m in MISTAKES}) == len(MISTAKES)


@pytest.mark.parametrize("table", CAUGHT_BY)
def test_the_table_fits_the_package(table: str) -> None:
    """The text to be replaced stands there once, and the result is still Python."""
    for mistake in MISTAKES:
        if mistake.table == table:
            places = mistake.places(PACKAGE)
            assert len(places) == 1, f"{mistake.file}: {mistake.what}"
            source = places[0].read_text("utf-8")
            compile(source.replace(mistake.old, mistake.new), str(places[0]), "exec")


@pytest.mark.parametrize("table", TABLES)
def test_without_a_mistake_the_tests_pass(table: str, tmp_path: Path) -> None:
    code, output = run_tests(tmp_path, table)
    assert code == pytest.ExitCode.OK, output


@pytest.mark.parametrize("mistake", CHOSEN, ids=lambda m: f"{m.file}: {m.what}")
def test_the_suite_notices(mistake: Mistake, tmp_path: Path) -> None:
    code, output = run_tests(tmp_path, mistake.table, mistake)
    assert code == pytest.ExitCode.TESTS_FAILED, output
