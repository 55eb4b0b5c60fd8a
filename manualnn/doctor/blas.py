"""NumPy's BLAS, and what its products reach.

    measure_blas(threads)                   the kernels as they are, in a process of its own
    measure_blas(threads, core_type=…)      with other kernels of OpenBLAS
    python -m manualnn.doctor.blas 1024     that process: a JSON object on standard output

Threads and kernels are read from the environment when NumPy loads; so every choice is measured in a
process of its own, and this one's environment stays as it is.
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
"""Repeats stop after so long, at least one being done."""
LIMIT = 60.0
"""Seconds for a process."""
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Blas:
    """A BLAS, and its speed."""

    name: str
    version: str
    kernels: str
    """The architecture that its kernels are for; empty if threadpoolctl is missing."""
    threads: int
    gflops: dict[str, float]
    """dtype → 10⁹ floating-point operations a second; empty where these kernels are known."""

    @property
    def speed(self) -> float:
        """Return the geometric mean over the precisions."""
        return float(prod(self.gflops.values()) ** (1 / len(self.gflops)))


def measure_blas(
    threads: int, *, size: int = SIZE, core_type: str = "", known: Iterable[str] = ()
) -> Blas | str:
    """Return what the BLAS is and reaches, or why it could not be measured.

    Where its kernels are among those known, nothing is timed.
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
    """Return name, version, kernels and threads of the BLAS that NumPy has loaded here."""
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
    """Return for each dtype the best of some products, in GFLOP/s."""
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
    """Measure, unless the kernels are known."""
    size, *known = sys.argv[1:]
    about = describe_blas()
    gflops = {} if about["kernels"] in known else measure_products(int(size))
    sys.stdout.write(json.dumps(asdict(Blas(**about, gflops=gflops))))


if __name__ == "__main__":
    main()
