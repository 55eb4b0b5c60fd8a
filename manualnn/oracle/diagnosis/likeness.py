"""Likeness of findings: whether a smaller case shows the same failure.

same_failure(found, finding)    True if two findings show the same failure
place_of("grads.0.bias")        ("grads", "bias")
"""

import math

import numpy as np

from manualnn.oracle.diagnosis.places import features_of
from manualnn.oracle.findings import Entry, Finding
from manualnn.oracle.protocol.case import Case

MATERIAL = 2**10
"""Rounding errors of ordinary small cases are smaller than this, in units of eps."""

CONSTANTS = (0.0, -1.0, 2.0, 0.5, -2.0, -0.5, 3.0, 4.0, 0.25)
"""Factors of common bugs. A smaller case has to show the same one."""


def same_failure(found: Finding | None, finding: Finding) -> bool:
    """Return True if the finding of a smaller case shows the same failure as `finding`.

    The kind is the same, and the blamed features are in the case. For wrong numbers, the first
    wrong quantity is of the same group and of the same kind of parameter, the number is finite or
    not in both findings, and a simple factor such as -1 stays. An error larger than rounding must
    not become one of rounding, such as 10⁻¹⁶ in place of an exact 0 where everything cancels.
    """
    if found is None or found.kind != finding.kind:
        return False
    if not set(finding.blamed) <= features_of(found.case):
        return False
    if finding.kind != "wrong":
        return _error_name(found) == _error_name(finding)
    if bool(found.entries) != bool(finding.entries):
        return False
    if finding.entries and not _is_same_entry(found.entries[0], finding.entries[0], finding.case):
        return False
    return _is_material(found) or not _is_material(finding)


def _is_same_entry(new: Entry, old: Entry, case: Case) -> bool:
    if place_of(new.quantity) != place_of(old.quantity):
        return False
    if math.isfinite(new.got) != math.isfinite(old.got):
        return False
    factor = _simple_factor(old, case)
    return factor is None or _is_factor(factor, new)


def place_of(quantity: str) -> tuple[str, str]:
    """Return the group of a quantity and its kind of parameter: ("grads", "bias")."""
    return quantity.partition(".")[0], quantity.rpartition(".")[2]


def _simple_factor(entry: Entry, case: Case) -> float | None:
    """Return got / expected if it is a simple constant, and None if a size may explain it."""
    factor = next((c for c in CONSTANTS if _is_factor(c, entry)), None)
    sizes = {case.n, case.n - 1, case.n * case.widths[-1], *case.widths} - {0}
    return None if factor in {c for size in sizes for c in (size, 1 / size)} else factor


def _is_factor(factor: float, entry: Entry) -> bool:
    """Return True if got is the factor times the truth, to three digits."""
    if not math.isfinite(entry.got) or not abs(entry.expected) > entry.bound:
        return False
    return abs(entry.got - factor * entry.expected) <= 1e-3 * abs(factor * entry.expected)


def _error_name(finding: Finding) -> str:
    """Return the name of the exception at the end of a message, such as "ValueError"."""
    lines = finding.message.strip().splitlines()
    return lines[-1].partition(":")[0] if finding.kind == "error" and lines else ""


def _is_material(finding: Finding) -> bool:
    """Return True if an error is far larger than the rounding of numbers around 1."""
    least = MATERIAL * float(np.finfo(finding.case.dtype).eps)
    return any(not abs(entry.got - entry.expected) <= least for entry in finding.entries)
