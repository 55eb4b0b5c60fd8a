"""Tests of the distribution: the source archive, and the wheel installed with NumPy alone.

Run by `tox -e package`, which builds both into the folder that MANUALNN_DIST names.
"""

import os
import subprocess
import tarfile
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

DIST = Path(os.environ["MANUALNN_DIST"])
ROOT = Path(__file__).resolve().parent.parent

TRAINING_STEP = """
import numpy as np, manualnn as mnn
net = mnn.Sequential(mnn.Linear(3, 2), mnn.Sigmoid(), mnn.Linear(2, 2))
trainer = mnn.Trainer(net, mnn.MSELoss(), mnn.Adam(lr=0.01), seed=0)
x, t = np.ones((4, 3)), np.zeros((4, 2))
assert trainer.step(x, t) > trainer.step(x, t)
"""


@pytest.fixture(scope="module")
def wheel() -> Path:
    (path,) = DIST.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a new environment with the wheel, and what it requires, installed."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=True)
    subprocess.run([home / "bin" / "pip", "install", "--quiet", wheel], check=True)  # noqa: S603
    return home / "bin"


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # commands of this file
        command, cwd=cwd, capture_output=True, text=True, check=False
    )


def test_wheel_holds_the_package_alone(wheel):
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "manualnn").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name for name in names if ".dist-info/" not in name} == sources
    assert "manualnn/py.typed" in sources


def test_source_archive_holds_everything_that_the_tests_need():
    (path,) = DIST.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        tops = {Path(name).parts[1] for name in archive.getnames()}
    expected = {"LICENSE", "README.md", "manualnn", "pyproject.toml", "reference", "tests"}
    assert tops >= {*expected, "tox.ini", "PKG-INFO"}


def test_numpy_is_the_only_requirement(metadata):
    required = [r for r in metadata.get_all("Requires-Dist") if "extra ==" not in r]
    assert required == ["numpy>=2.0"]


def test_metadata_describes_the_project(metadata):
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_payload().startswith("# manualnn\n")


def test_clean_environment_has_numpy_alone(bin_folder, tmp_path):
    listed = run(bin_folder / "pip", "list", "--format=freeze", cwd=tmp_path).stdout.split()
    names = {line.partition("==")[0] for line in listed} - {"pip", "setuptools"}
    assert names == {"manualnn", "numpy"}


def test_training_works_in_a_clean_environment(bin_folder, tmp_path):
    result = run(bin_folder / "python", "-W", "error", "-c", TRAINING_STEP, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def test_version_is_the_installed_one(bin_folder, metadata, tmp_path):
    code = "import manualnn; print(manualnn.__version__)"
    assert (
        run(bin_folder / "python", "-c", code, cwd=tmp_path).stdout.strip() == metadata["Version"]
    )


def test_command_says_which_extra_is_missing(bin_folder, tmp_path):
    result = run(bin_folder / "manualnn", cwd=tmp_path)
    assert result.returncode == 2
    assert "pip install 'manualnn[cli]'" in result.stderr
