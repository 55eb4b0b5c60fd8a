"""What the doctor found, and what it says of it.

    report = examine()         measures; takes some seconds
    report.text()              aligned, for people
    report.brief()             a few lines, for the head of a benchmark
    report.to_json()           everything

The fastest kernels are those whose products on one thread are the fastest, in the geometric mean
over float32 and float64; worth a word where they are more than WORTH times as fast as the present.
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
from manualnn.doctor.extras import Package, advice, find_extras
from manualnn.doctor.processor import Processor, core_types, read_processor
from manualnn.oracle.truth.extended import LONGDOUBLE_BITS, truth_statement

WORTH = 1.10
BUSY_LOAD = 0.5
BUSY = "; other processes are running, which slows what is measured on all threads most"
COLUMNS = ("float32, 1 thread", "float64, 1 thread", "float32, all", "float64, all")
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE")
NO_THREADPOOLCTL = "not known, for threadpoolctl is not installed: pip install 'manualnn[cli]'"


@dataclass(frozen=True)
class Measured:
    """A choice of kernels on one thread and on all."""

    core_type: str
    """What OPENBLAS_CORETYPE was set to; "" if it was left as it is."""
    one: Blas
    all: Blas


@dataclass(frozen=True)
class Report:
    """All that was found."""

    processor: Processor
    present: Measured | str
    """The kernels as they are, or why they could not be measured."""
    others: list[Measured]
    """Every other choice whose kernels are not the same."""
    failed: dict[str, str]
    """Choices that could not be measured, and why."""
    extras: dict[str, list[Package]]
    size: int
    threads: int
    """That the BLAS takes in this process; 0 where it is not known."""
    load: float
    """Processes that were running, the mean over the minute before; NaN where it is not told."""

    def advised(self) -> str:
        """Return what to set for products that are more than WORTH faster; "" if nothing."""
        best, gain = self._best()
        return f"OPENBLAS_CORETYPE={best.core_type}" if best and gain > WORTH else ""

    def verdict(self) -> str:
        """Return what follows from the measurements of the kernels."""
        if isinstance(self.present, str):
            return f"the products could not be measured: {self.present}"
        best, gain = self._best()
        if best is None:
            return "no other kernels to compare with"
        name = best.one.kernels or best.core_type
        if setting := self.advised():
            return (
                f"{name} is {gain:.2f} times as fast as the present choice on one thread: "
                f"set {setting} before Python starts"
            )
        if gain < 1:
            return f"the present choice is the fastest; on one thread {name} reaches {gain:.0%}"
        return f"the present choice is as fast as {name}, within {gain - 1:.0%}"

    def _best(self) -> tuple[Measured | None, float]:
        """Return the fastest other choice, and how many times as fast as the present it is."""
        if isinstance(self.present, str) or not self.others:
            return None, 1.0
        best = max(self.others, key=lambda other: other.one.speed)
        return best, best.one.speed / self.present.one.speed

    def brief(self) -> list[str]:
        """Return what a benchmark depends on."""
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
        return [*lines, self.verdict()] if self.advised() else lines

    def text(self) -> str:
        """Return everything, aligned."""
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
        lines = _aligned(facts)
        lines += [
            "",
            f"GFLOP/s of a {self.size}×{self.size}×{self.size} product",
            *self._products(),
        ]
        lines += ["", "extras", *_aligned({f"  {e}": _told(p) for e, p in self.extras.items()})]
        if not self.extras:
            lines.append("  not known, for manualnn is not installed as a package")
        lines += [f"  {command}" for command in advice(self.extras)]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return everything, with the versions and variables that it depends on."""
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
            "set": self.advised(),
            "extras": {extra: [asdict(p) for p in found] for extra, found in self.extras.items()},
            "install": advice(self.extras),
        }

    def _products(self) -> list[str]:
        if isinstance(self.present, str):
            return [f"  {self.verdict()}"]
        names = {self.present.one.kernels or "as it is": self.present}
        names |= {f"OPENBLAS_CORETYPE={other.core_type}": other for other in self.others}
        width = max(map(len, [*names, *self.failed]))
        lines = [f"  {'':{width}}  {'  '.join(COLUMNS)}"]
        for name, measured in names.items():
            numbers = [b.gflops[dtype] for b in (measured.one, measured.all) for dtype in DTYPES]
            cells = [f"{n:{len(head)}.0f}" for n, head in zip(numbers, COLUMNS, strict=True)]
            lines.append(f"  {name:{width}}  {'  '.join(cells)}")
        lines += [f"  {name:{width}}  {reason}" for name, reason in self.failed.items()]
        return [*lines, f"  {self.verdict()}"]


def examine(size: int = SIZE) -> Report:
    """Measure products of that size with every choice of kernels that the processor can run."""
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
    if isinstance(present, str) or not report.advised():
        return report
    again = _measure("", processor.cores, size)  # for another process may have been in its way
    better = present if isinstance(again, str) else max(present, again, key=lambda m: m.one.speed)
    return replace(report, present=better)


def _measure(core_type: str, cores: int, size: int, known: Iterable[str] = ()) -> Measured | str:
    """Return the speed of these kernels, of known ones without numbers; or what is wrong."""
    one = measure_blas(1, size=size, core_type=core_type, known=known)
    if isinstance(one, str):
        return one
    if cores == 1 or not one.gflops:
        return Measured(core_type, one, one)
    every = measure_blas(cores, size=size, core_type=core_type)
    return every if isinstance(every, str) else Measured(core_type, one, every)


def _aligned(facts: dict[str, str]) -> list[str]:
    width = max(map(len, facts), default=0)
    return [f"{name:{width}}  {value}".rstrip() for name, value in facts.items()]


def _told(packages: list[Package]) -> str:
    told = []
    for package in packages:
        if package.satisfied:
            told.append(f"{package.name} {package.version}")
        else:
            have = f"is {package.version}, needs" if package.version else "missing, needs"
            told.append(f"{package.name} ({have} {package.bound})")
    return ", ".join(told)
