"""Explanation of the backward pass, step by step, with the numbers in the formulas.

    print(explain().to_text())                          # the example: 3 inputs, 2 + 2 neurons
    explain("run.json", weight="0.weight[1,2]", decimals=4).to_markdown()

For each weight and bias, `explain` follows every path from it to the outputs. The factors of a path
are local derivatives, computed by dual numbers through the forward kernels. So the sum over the
paths is independent of the hand-written backward pass, and `explain` compares the two.
"""

from typing import TYPE_CHECKING

from manualnn.lazy import lazy_names

if TYPE_CHECKING:
    from manualnn.explain.build import explain
    from manualnn.explain.explanation import Explanation
    from manualnn.explain.hand.check import check
    from manualnn.explain.model import Gradient, LayerStep, LossStep, PathStep, Quantity
    from manualnn.explain.run import EXAMPLE

__all__ = [
    "EXAMPLE",
    "Explanation",
    "Gradient",
    "LayerStep",
    "LossStep",
    "PathStep",
    "Quantity",
    "check",
    "explain",
]

MAX_DECIMALS = 15
"""Largest number of decimals to round to."""
MAX_DIGITS = 17
"""Largest number of significant digits to show; float64 has no more."""

__getattr__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(__all__, "model"),
        "EXAMPLE": "run",
        "Explanation": "explanation",
        "check": "hand.check",
        "explain": "build",
    },
)
