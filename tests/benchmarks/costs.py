"""What a library costs before its first step: to import, and to have on the disk."""

import re
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import manualnn
from manualnn.doctor.processes import environment

IMPORTS = {"manualnn": "manualnn", "torch": "torch", "scikit-learn": "sklearn.neural_network"}
IMPORTS |= {"JAX": "jax"}
SIZES = {"manualnn": "manualnn", "torch": "torch", "scikit-learn": "scikit-learn"}
SIZES |= {"JAX": "jax", "MyGrad": "mygrad", "autograd": "autograd", "tinygrad": "tinygrad"}


def import_seconds(rounds):
    """Return for each library the median of the seconds that it takes beyond `import numpy`."""
    there = {name: m for name, m in IMPORTS.items() if find_spec(m.partition(".")[0])}
    taken = {name: [] for name in there}
    for _ in range(rounds):
        for name, module in there.items():
            code = (
                "import numpy, time; started = time.perf_counter(); "
                f"import {module}; print(time.perf_counter() - started)"
            )
            command = [sys.executable, "-P", "-c", code]
            told = subprocess.check_output(command, env=environment(1))  # noqa: S603  # our own code
            taken[name].append(float(told))
    return {name: median(seconds) for name, seconds in taken.items()}


def installed_bytes():
    """Return for each installed library the bytes of its files, and with what it requires."""
    sizes = {}
    for name, package in SIZES.items():
        needed = required(package)
        if needed:
            files = {each: package_bytes(each) for each in needed}
            sizes[name] = {"alone": files[package], "with what it needs": sum(files.values())}
    return sizes


def required(package, found=None):
    """Return the package and all that it requires, without extras; nothing if it is not there."""
    found = set() if found is None else found
    name = re.sub(r"[-_.]+", "-", package).lower()
    if name in found or not (name == "manualnn" or installed(name)):
        return found
    found.add(name)
    needed = ["numpy"] if name == "manualnn" else metadata.requires(name) or []
    for requirement in needed:
        if "extra ==" not in requirement:
            required(re.match(r"[\w.-]+", requirement)[0], found)
    return found


def installed(name):
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def package_bytes(name):
    """Return the bytes of a package's files, without those that Python compiles."""
    if name == "manualnn":
        paths = Path(manualnn.__file__).parent.rglob("*")
    else:
        distribution = metadata.distribution(name)
        paths = [Path(distribution.locate_file(file)) for file in distribution.files or ()]
    return sum(p.stat().st_size for p in paths if p.is_file() and p.suffix != ".pyc")
