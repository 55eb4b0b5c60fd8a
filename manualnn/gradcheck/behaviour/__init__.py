"""Checks of a gradient besides its values: linearity, memory, layouts, calls in any order."""

from manualnn.gradcheck.behaviour.check import Check
from manualnn.gradcheck.behaviour.table import CHECKS, SHAPE

__all__ = ["CHECKS", "SHAPE", "Check"]
