"""The table of the checks of behaviour."""

from manualnn.gradcheck.behaviour import (
    gradients,
    layout,
    memory,
    repeats,
    subsets,
    transforms,
)
from manualnn.gradcheck.behaviour.check import Check

CHECKS: tuple[Check, ...] = (
    *gradients.CHECKS,
    *repeats.CHECKS,
    *memory.CHECKS,
    *layout.CHECKS,
    *subsets.CHECKS,
    *transforms.CHECKS,
)
SHAPE = next(check for check in CHECKS if check.id == "shape")
"""The check without which no value can be compared."""
