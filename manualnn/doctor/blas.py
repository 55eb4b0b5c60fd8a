"""Speed of NumPy's BLAS: name, version, kernels, and GFLOP/s of matrix products.

    measure_blas(threads)                   the present kernels, in a separate process
    measure_blas(threads, core_type=…)      other kernels of OpenBLAS
    python -m manualnn.doctor.blas 1024     the separate process: prints a JSON object

NumPy reads the number of threads and the kernels from the environment when it is loaded. So every
choice needs a process of its own. The environment of this process does not change.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Any

from manualnn.doctor.processes import environment, python

SIZE = 1024
"""Rows and columns of the matrices."""
REPEATS = 10
SECONDS = 0.3
"""Time limit of the repeats of a product; at least one is done."""
LIMIT = 60.0
"""Timeout of a process, in seconds."""
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Blas:
    """A BLAS and its speed."""

    name: str
    version: str
    kernels: str
    """The architecture of its kernels; empty if threadpoolctl is missing."""
    threads: int
    gflops: dict[str, float]
    """dtype → 10⁹ floating-point operations per second; empty if the kernels were known."""

    @property
    def speed(self) -> float:
        """Return the geometric mean over the precisions."""
        return float(prod(self.gflops.values()) ** (1 / len(self.gflops)))


def measure_blas(
    threads: int, *, size: int = SIZE, core_type: str = "", known: Iterable[str] = ()
) -> Blas | str:
    """Return the BLAS and its speed, or the reason why it could not be measured.

    Kernels that are in `known` are not timed.
    """
    others = {"OPENBLAS_CORETYPE": core_type} if core_type else {}
    command = python("manualnn.doctor.blas", str(size), *known)
    try:
        done = subprocess.run(  # noqa: S603  # our own module
            command,
            env=environment(threads, others),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {LIMIT:g} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return lines[-1]
    found = Blas(**json.loads(done.stdout))
    return found if found.threads else replace(found, threads=threads)


def describe_blas() -> dict[str, Any]:
    """Return name, version, kernels and threads of the BLAS that NumPy uses in this process."""
    import numpy as np

    built: Any = np.show_config(mode="dicts")
    found = built.get("Build Dependencies", {}).get("blas", {})
    about: dict[str, Any] = {
        "name": found.get("name", "not known"),
        "version": found.get("version", "not known"),
        "kernels": "",
        "threads": 0,
    }
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return about
    for library in threadpool_info():
        if library["user_api"] == "blas":
            about |= {"name": library["internal_api"], "version": library["version"] or "not known"}
            about["kernels"] = library.get("architecture") or ""
            about["threads"] = library["num_threads"]
            break
    return about


def measure_products(size: int) -> dict[str, float]:
    """Return for each dtype the speed of the fastest of some products, in GFLOP/s."""
    import numpy as np

    rng = np.random.default_rng(0)
    gflops = {}
    for dtype in DTYPES:
        a, b = rng.standard_normal((2, size, size)).astype(dtype)
        out = np.empty_like(a)
        np.dot(a, b, out)
        best, started = float("inf"), time.perf_counter()
        for _ in range(REPEATS):
            before = time.perf_counter()
            np.dot(a, b, out)
            after = time.perf_counter()
            best = min(best, after - before)
            if after - started > SECONDS:
                break
        gflops[dtype] = 2e-9 * size**3 / best
    return gflops


def main() -> None:
    """Print the BLAS and its speed; measure only kernels that are not known."""
    size, *known = sys.argv[1:]
    about = describe_blas()
    gflops = {} if about["kernels"] in known else measure_products(int(size))
    sys.stdout.write(json.dumps(asdict(Blas(**about, gflops=gflops))))


if __name__ == "__main__":
    main()
