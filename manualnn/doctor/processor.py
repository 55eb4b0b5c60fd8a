"""Processor: its name, the cores that this process may use, its widest vector instructions.

read_processor()             the processor of this machine
parse_cpuinfo(text)          name and flags from the content of Linux's /proc/cpuinfo
core_types(flags)            the kernels of OpenBLAS that a processor with these flags can run
"""

import platform
from dataclasses import dataclass
from pathlib import Path

from manualnn.doctor.processes import usable_cores

NOT_KNOWN = "not known"
CPUINFO = Path("/proc/cpuinfo")

AVX2 = frozenset({"avx2", "fma"})
AVX512 = AVX2 | {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}
CORE_TYPES: dict[str, frozenset[str]] = {
    "Haswell": AVX2,
    "Zen": AVX2,
    "SkylakeX": AVX512,
    "Cooperlake": AVX512 | {"avx512_bf16"},
    "SapphireRapids": AVX512
    | {"avx512_bf16", "avx512_fp16", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8"},
}
"""Value of OPENBLAS_CORETYPE → flags that its kernels need."""

VECTORS = (
    ("avx512f", "AVX-512"),
    ("avx2", "AVX2"),
    ("avx", "AVX"),
    ("sse2", "SSE2"),
    ("sve", "SVE"),
    ("asimd", "NEON"),
)
"""Flag → vector instructions, the widest first."""


@dataclass(frozen=True)
class Processor:
    """Facts about a processor."""

    name: str
    cores: int
    """Cores that this process may use."""
    vectors: str
    flags: frozenset[str]


def read_processor() -> Processor:
    """Return the processor of this machine, with "not known" for missing facts."""
    text = CPUINFO.read_text(encoding="utf-8", errors="replace") if CPUINFO.exists() else ""
    name, flags = parse_cpuinfo(text)
    name = name or platform.processor() or platform.machine() or NOT_KNOWN
    return Processor(name, usable_cores(), widest_vectors(flags), flags)


def parse_cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    """Return name and flags of the first core; empty if the text lacks them."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags") or fields.get("Features") or ""
    return fields.get("model name", ""), frozenset(flags.split())


def widest_vectors(flags: frozenset[str]) -> str:
    """Return the name of the widest vector instructions."""
    return next((name for flag, name in VECTORS if flag in flags), NOT_KNOWN)


def core_types(flags: frozenset[str]) -> list[str]:
    """Return the values of OPENBLAS_CORETYPE that the processor can run."""
    return [name for name, needed in CORE_TYPES.items() if needed <= flags]
