"""Separate Python processes for measurements, because NumPy chooses threads when it is loaded.

environment(threads=2)         the environment with this number of threads for BLAS and OpenMP
python(module, *arguments)     the command that runs a module with the same import path
usable_cores()                 the number of cores that this process may use
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
    """Return the environment for a new process; that of this process does not change."""
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)  # noqa: PTH109  # text
    chosen = dict.fromkeys(THREADS, str(threads))
    return os.environ | chosen | {"PYTHONPATH": path} | dict(others or {})


def python(module: str, *arguments: str) -> list[str]:
    """Return the command; with -P, files of the current folder cannot shadow packages."""
    return [sys.executable, "-P", "-m", module, *arguments]


def usable_cores() -> int:
    """Return the number of cores in this process's affinity, or of all cores if it is unknown."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
