"""How a measurement gets a Python of its own: threads and kernels are chosen when NumPy loads.

environment(threads=2)         this process's, with so many threads for every BLAS and OpenMP
python(module, *arguments)     the command that runs a module with the same import path
usable_cores()                 how many cores this process may use
"""

import os
import sys
from collections.abc import Mapping

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def environment(threads: int, others: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a child; this process's stays as it is."""
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)  # noqa: PTH109  # text
    chosen = dict.fromkeys(THREADS, str(threads))
    return os.environ | chosen | {"PYTHONPATH": path} | dict(others or {})


def python(module: str, *arguments: str) -> list[str]:
    """Return the command; -P keeps the current folder from hiding packages by its files' names."""
    return [sys.executable, "-P", "-m", module, *arguments]


def usable_cores() -> int:
    """Return the number of cores in this process's affinity, or of all where that is not told."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
