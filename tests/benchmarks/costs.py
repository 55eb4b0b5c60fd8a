"""Cost of a library before its first step: the time to import it, and its size on the disk."""

import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import manualnn
from manualnn.doctor.processes import environment

IMPORTS = {"manualnn": "manualnn", "torch": "torch", "scikit-learn": "sklearn.neural_network"}
IMPORTS |= {"JAX": "jax"}
SIZES = {"manualnn": "manualnn", "torch": "torch", "scikit-learn": "scikit-learn"}
SIZES |= {"JAX": "jax", "MyGrad": "mygrad", "autograd": "autograd", "tinygrad": "tinygrad"}


def import_seconds(rounds):
    """Return for each library the median time of its import after `import numpy`, in seconds."""
    installed = {name: m for name, m in IMPORTS.items() if find_spec(m.partition(".")[0])}
    taken = {name: [] for name in installed}
    for _ in range(rounds):
        for name, module in installed.items():
            code = (
                "import numpy, time; started = time.perf_counter(); "
                f"import {module}; print(time.perf_counter() - started)"
            )
            command = [sys.executable, "-P", "-c", code]
            printed = subprocess.check_output(command, env=environment(1))  # noqa: S603  # our code
            taken[name].append(float(printed))
    return {name: median(seconds) for name, seconds in taken.items()}


def installed_bytes():
    """Return for each installed library its size in bytes, alone and with its requirements."""
    sizes = {}
    for name, package in SIZES.items():
        needed = required(package)
        if needed:
            files = {each: package_bytes(each) for each in needed}
            sizes[name] = {"alone": files[package], "with what it needs": sum(files.values())}
    return sizes


def required(package, found=None):
    """Return the package and all that it requires, without extras; nothing if not installed."""
    found = set() if found is None else found
    name = canonicalize_name(package)
    if name in found or not (name == "manualnn" or is_installed(name)):
        return found
    found.add(name)
    lines = ["numpy"] if name == "manualnn" else metadata.requires(name) or []
    for requirement in map(Requirement, lines):
        if not requirement.marker or requirement.marker.evaluate({"extra": ""}):
            required(requirement.name, found)
    return found


def is_installed(name):
    try:
        return bool(metadata.distribution(name))
    except metadata.PackageNotFoundError:
        return False


def package_bytes(name):
    """Return the size of a package's files in bytes, without compiled Python files."""
    if name == "manualnn":
        paths = Path(manualnn.__file__).parent.rglob("*")
    else:
        distribution = metadata.distribution(name)
        paths = [Path(distribution.locate_file(file)) for file in distribution.files or ()]
    return sum(p.stat().st_size for p in paths if p.is_file() and p.suffix != ".pyc")
