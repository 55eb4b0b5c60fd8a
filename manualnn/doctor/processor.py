"""The processor: its name, the cores that this process may use, its widest vector instructions.

read_processor()             of this machine
parse_cpuinfo(text)          of what Linux tells in /proc/cpuinfo
core_types(flags)            which of OpenBLAS's kernels a processor with these flags can run
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
"""Values of OPENBLAS_CORETYPE → flags of the processors that it is for."""

VECTORS = (
    ("avx512f", "AVX-512"),
    ("avx2", "AVX2"),
    ("avx", "AVX"),
    ("sse2", "SSE2"),
    ("sve", "SVE"),
    ("asimd", "NEON"),
)
"""Flags of the processor, the widest first, for each kind of machine."""


@dataclass(frozen=True)
class Processor:
    """What is known of it."""

    name: str
    cores: int
    """That this process may use."""
    vectors: str
    flags: frozenset[str]


def read_processor() -> Processor:
    """Return this machine's; what is not told is "not known"."""
    text = CPUINFO.read_text(encoding="utf-8", errors="replace") if CPUINFO.exists() else ""
    name, flags = parse_cpuinfo(text)
    name = name or platform.processor() or platform.machine() or NOT_KNOWN
    return Processor(name, usable_cores(), widest_vectors(flags), flags)


def parse_cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    """Return the first core's name and flags; empty where they are not told."""
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
