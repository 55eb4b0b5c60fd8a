"""Report on the machine: NumPy, its BLAS, the processor, the extras.

    report = examine()         measures; takes some seconds
    report.text()              everything, for people
    report.brief()             a few lines, for the head of a benchmark
    report.to_json()           everything, for programs

The fastest kernels are those with the fastest products on one thread, by the geometric mean of
float32 and float64. The report recommends kernels that are more than WORTH times as fast as the
present ones.
"""

import math
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

import manualnn
from manualnn.doctor.blas import DTYPES, SIZE, Blas, describe_blas, measure_blas
from manualnn.doctor.extras import Package, find_extras, install_commands
from manualnn.doctor.processor import Processor, core_types, read_processor
from manualnn.oracle.truth.extended import LONGDOUBLE_BITS, truth_statement
from manualnn.output.tables import align_columns

WORTH = 1.10
BUSY_LOAD = 0.5
BUSY = "; other processes are running and slow down the products, on all threads most"
COLUMNS = ("float32, 1 thread", "float64, 1 thread", "float32, all", "float64, all")
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE")
NO_THREADPOOLCTL = "not known: threadpoolctl is not installed; pip install 'manualnn[cli]'"
NO_EXTRAS = "not known: manualnn or packaging is not installed; pip install 'manualnn[cli]'"


@dataclass(frozen=True)
class Measured:
    """The speed of a choice of kernels, on one thread and on all."""

    core_type: str
    """The value of OPENBLAS_CORETYPE; "" if it was not changed."""
    one: Blas
    all: Blas


@dataclass(frozen=True)
class Report:
    """Facts about the machine, and the speed of its matrix products."""

    processor: Processor
    present: Measured | str
    """The present kernels, or the reason why they could not be measured."""
    others: list[Measured]
    """All other choices that give different kernels."""
    failed: dict[str, str]
    """OPENBLAS_CORETYPE → the reason why it could not be measured."""
    extras: dict[str, list[Package]]
    size: int
    threads: int
    """Threads of the BLAS in this process; 0 if not known."""
    load: float
    """Running processes, averaged over the last minute; NaN if the system does not report it."""

    def setting(self) -> str:
        """Return the setting of the kernels to recommend; "" if there is none."""
        best, gain = self._best()
        return f"OPENBLAS_CORETYPE={best.core_type}" if best and gain > WORTH else ""

    def verdict(self) -> str:
        """Return the conclusion from the measurements, in one sentence."""
        if isinstance(self.present, str):
            return f"the products could not be measured: {self.present}"
        best, gain = self._best()
        if best is None:
            return "no other kernels to compare with"
        name = best.one.kernels or best.core_type
        if setting := self.setting():
            return (
                f"{name} is {gain:.2f} times as fast as the present choice on one thread: "
                f"set {setting} before Python starts"
            )
        if gain < 1:
            return f"the present choice is the fastest; on one thread {name} reaches {gain:.0%}"
        return f"the present choice is as fast as {name}, within {gain - 1:.0%}"

    def _best(self) -> tuple[Measured | None, float]:
        """Return the fastest other choice, and its speed divided by the present speed."""
        if isinstance(self.present, str) or not self.others:
            return None, 1.0
        best = max(self.others, key=lambda other: other.one.speed)
        return best, best.one.speed / self.present.one.speed

    def brief(self) -> list[str]:
        """Return the facts that a benchmark depends on, as lines."""
        cores = f"{self.processor.cores} core{'s' * (self.processor.cores != 1)}"
        python = platform.python_version()
        lines = [
            f"manualnn {manualnn.__version__}, Python {python}, NumPy {np.__version__}",
            f"{self.processor.name}, {cores}, {self.processor.vectors}; load {self.load} before",
        ]
        if isinstance(self.present, str):
            return [*lines, self.verdict()]
        blas = self.present.one
        kernels = f", kernels {blas.kernels}" if blas.kernels else ""
        speeds = "; ".join(
            f"{dtype} {self.present.one.gflops[dtype]:.0f} on one thread, "
            f"{self.present.all.gflops[dtype]:.0f} on {self.present.all.threads}"
            for dtype in DTYPES
        )
        lines += [f"{blas.name} {blas.version}{kernels}; GFLOP/s: {speeds}"]
        return [*lines, self.verdict()] if self.setting() else lines

    def text(self) -> str:
        """Return everything, as aligned text."""
        facts = {
            "manualnn": manualnn.__version__,
            "Python": f"{platform.python_version()} ({platform.python_implementation()})",
            "NumPy": np.__version__,
            "processor": self.processor.name,
            "cores": f"{self.processor.cores} usable by this process",
            "load": f"{self.load} before" + BUSY * (self.load > BUSY_LOAD),
            "vectors": self.processor.vectors,
            "longdouble": f"{LONGDOUBLE_BITS}-bit mantissa",
            "": truth_statement(),
        }
        facts |= {name: os.environ[name] for name in VARIABLES if name in os.environ}
        if not isinstance(self.present, str):
            blas = self.present.one
            facts["BLAS"] = f"{blas.name} {blas.version}"
            facts["kernels"] = blas.kernels or NO_THREADPOOLCTL
            facts["threads"] = str(self.threads or NO_THREADPOOLCTL)
        title = f"GFLOP/s of a {self.size}×{self.size}×{self.size} product"
        extras = {f"  {extra}": _describe(found) for extra, found in self.extras.items()}
        lines = [
            *align_columns(facts.items(), gap="  "),
            *("", title, *self._products()),
            *("", "extras", *align_columns(extras.items(), gap="  ")),
            *(f"  {command}" for command in install_commands(self.extras)),
        ]
        return "\n".join(lines if self.extras else [*lines, f"  {NO_EXTRAS}"])

    def to_json(self) -> dict[str, Any]:
        """Return the report for JSON, with versions and environment variables."""
        processor = asdict(self.processor) | {"flags": sorted(self.processor.flags)}
        return {
            "manualnn": manualnn.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
            "processor": processor,
            "longdouble_bits": LONGDOUBLE_BITS,
            "truth": truth_statement(),
            "threads": self.threads,
            "load": None if math.isnan(self.load) else self.load,
            "product_size": self.size,
            "present": self.present if isinstance(self.present, str) else asdict(self.present),
            "others": [asdict(other) for other in self.others],
            "failed": self.failed,
            "set": self.setting(),
            "extras": {extra: [asdict(p) for p in found] for extra, found in self.extras.items()},
            "install": install_commands(self.extras),
        }

    def _products(self) -> list[str]:
        if isinstance(self.present, str):
            return [f"  {self.verdict()}"]
        measured = {self.present.one.kernels or "present": self.present}
        measured |= {f"OPENBLAS_CORETYPE={other.core_type}": other for other in self.others}
        rows = [["", *COLUMNS]]
        for name, found in measured.items():
            speeds = [blas.gflops[dtype] for blas in (found.one, found.all) for dtype in DTYPES]
            rows.append([name, *(f"{speed:.0f}" for speed in speeds)])
        lines = align_columns(rows, "lr", gap="  ")
        lines += [f"{name}  {reason}" for name, reason in self.failed.items()]
        return [f"  {line}" for line in [*lines, self.verdict()]]


def examine(size: int = SIZE) -> Report:
    """Measure products of size × size matrices, with all kernels that the processor can run."""
    processor = read_processor()
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else math.nan
    threads = describe_blas()["threads"]
    others: list[Measured] = []
    failed: dict[str, str] = {}
    present = _measure("", processor.cores, size)
    if not isinstance(present, str) and "openblas" in present.one.name.lower():
        known = {present.one.kernels}
        for core_type in core_types(processor.flags):
            found = _measure(core_type, processor.cores, size, known - {""})
            if isinstance(found, str):
                failed[core_type] = found
            elif found.one.gflops:
                others.append(found)
                known.add(found.one.kernels)
    report = Report(processor, present, others, failed, find_extras(), size, threads, load)
    if isinstance(present, str) or not report.setting():
        return report
    again = _measure("", processor.cores, size)  # the first time may be disturbed
    better = present if isinstance(again, str) else max(present, again, key=lambda m: m.one.speed)
    return replace(report, present=better)


def _measure(core_type: str, cores: int, size: int, known: Iterable[str] = ()) -> Measured | str:
    """Return the speed of these kernels, or the error as text.

    Kernels in `known` are already measured, so they get no numbers.
    """
    one = measure_blas(1, size=size, core_type=core_type, known=known)
    if isinstance(one, str):
        return one
    if cores == 1 or not one.gflops:
        return Measured(core_type, one, one)
    every = measure_blas(cores, size=size, core_type=core_type)
    return every if isinstance(every, str) else Measured(core_type, one, every)


def _describe(packages: list[Package]) -> str:
    found = []
    for package in packages:
        if package.is_satisfied:
            found.append(f"{package.name} {package.version}")
        else:
            state = f"is {package.version}" if package.version else "missing"
            found.append(f"{package.name} ({state}, needs {package.bound})")
    return ", ".join(found)
