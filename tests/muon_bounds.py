"""A bound of the rounding errors of Muon's step, in the Frobenius norm.

X ← p(X) with p(s) = a s + b s³ + c s⁵ acts on singular values. p is odd, so that the derivative of
X ↦ p(X) is at most L = max |p′| over the singular values, from 0 to s: that is the largest of
|a + 3 b x + 5 c x²| on [0, s²], at an end or at its vertex. An error e before an iteration is so at
most L e after it, plus the roundings of the iteration itself.
"""

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

COEFFICIENTS = [(3.4445, -4.775, 2.0315), (1.5, -0.5, 0.0), (2.0, -1.5, 0.5)]


def options(*eps: float) -> st.SearchStrategy[dict[str, Any]]:
    """Draw options of Muon, with one of these values of eps or the default."""
    return st.fixed_dictionaries(
        {"lr": st.sampled_from([0.5, 0.02])},
        optional={
            "momentum": st.sampled_from([0.0, 0.5]),
            "nesterov": st.just(False),  # noqa: FBT003
            "weight_decay": st.sampled_from([0.0, 0.7]),
            "ns_coefficients": st.sampled_from(COEFFICIENTS),
            "ns_steps": st.integers(0, 6),
            "eps": st.sampled_from(eps),
            "adjust_lr_fn": st.sampled_from(["original", "match_rms_adamw"]),
        },
    )


PROGRAMS = 2
"""Ours and the one that it is compared with."""


class Bound:
    """The bound of the steps of a matrix, from the first one on."""

    def __init__(self, rule: Any, shape: tuple[int, ...], dtype: str) -> None:
        self._rule, self._shape = rule, shape
        self._u = float(np.finfo(dtype).eps) / 2
        self._sizes: Any = 0.0
        self._steps = 0

    def of_step(self, theta: Any, g: Any, direction: Any) -> float:
        """Return the bound of the new θ; `direction` is U."""
        o, u, (rows, columns) = self._rule, self._u, self._shape
        self._steps += 1
        self._sizes = o.momentum * self._sizes + (1 - o.momentum) * np.abs(g)
        sizes = np.linalg.norm(self._sizes + np.abs(g))
        norm = max(np.linalg.norm(direction), o.eps)
        rate = o.lr * max(1.0, math.sqrt(max(rows, columns)))
        # U has 5 roundings a step; the norm of r c terms has r c + 3, and X is divided twice.
        e = (8 * self._steps * sizes / norm + rows * columns + 8) * u
        s = norm and np.linalg.norm(direction, 2) / norm
        e, x = self._after_iterations(e, float(s))
        steps = rate * (e + 6 * u * x)
        return float(PROGRAMS * (steps + 4 * u * (1 + o.lr) * (np.linalg.norm(theta) + rate * x)))

    def _after_iterations(self, e: float, s: float) -> tuple[float, float]:
        """Return the error of X and a bound of ‖X‖, from the largest singular value."""
        (a, b, c), u = self._rule.ns_coefficients, self._u
        inner, root = max(self._shape) + 4, math.sqrt(min(self._shape))
        for _ in range(self._rule.ns_steps):
            size = root * s
            vertex = [-3 * b / (10 * c)] if c and 0 < -3 * b / (10 * c) < s * s else []
            slope = max(abs(a + 3 * b * x + 5 * c * x * x) for x in (0.0, s * s, *vertex))
            lost = a * size + 2 * inner * abs(b) * size**3 + 3 * inner * abs(c) * size**5
            e = slope * e + lost * u
            grid = np.linspace(0, s, 200)
            s = float(np.abs(a * grid + b * grid**3 + c * grid**5).max()) * 1.01
        return e, root * s
