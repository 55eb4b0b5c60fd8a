"""The line search of LBFGS: a step length that satisfies the strong Wolfe conditions.

    f(θ + t d) ≤ f(θ) + c₁ t gᵀd        the objective falls enough, c₁ = 10⁻⁴
    |∇f(θ + t d)ᵀd| ≤ c₂ |gᵀd|          and so does its slope, c₂ = 0.9

First the step grows until an interval holds such a t, then the interval shrinks. Each new t is the
minimum of the cubic through the values and slopes at two places. Source: Nocedal & Wright 2006,
Algorithms 3.5 and 3.6, as torch.optim.LBFGS and minFunc have them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from manualnn.elementary import Array

ARMIJO = 1e-4
CURVATURE = 0.9


class Point(NamedTuple):
    """A step length t, with f, ∇f and the slope ∇fᵀd there."""

    t: Any
    f: Any
    g: Array
    slope: Any


class StrongWolfe:
    """A search from a point along d.

    Parameters
    ----------
    evaluate : callable
        Returns the point of a step length.
    start : Point
        The point with t = 0.
    size : float
        max|d|; the search ends where the interval times this is below tolerance_change.

    Attributes
    ----------
    evaluations : int
        Number of evaluations so far.

    """

    def __init__(
        self,
        evaluate: Callable[[Any], Point],
        start: Point,
        *,
        size: Any,
        tolerance_change: float,
    ) -> None:
        self._evaluate = evaluate
        self._start = start
        self._size = size
        self._tolerance_change = tolerance_change
        self._most = 0
        self.evaluations = 0

    def run(self, t: Any, most: int) -> Point:
        """Return the point of the step.

        t is the step length to try first; at most so many evaluations follow the first one.
        """
        self._most = most
        previous, new = self._start, self._point(t)
        while self._has_more():
            is_late = self.evaluations > 2
            if self._is_too_high(new) or (is_late and new.f >= previous.f):
                return self._shrink([previous, new])
            if self._is_flat(new):
                return new
            if new.slope >= 0:
                return self._shrink([previous, new])
            bounds = new.t + 0.01 * (new.t - previous.t), new.t * 10
            t = minimum_of_cubic(previous, new, bounds)
            previous, new = new, self._point(t)
        return self._shrink([self._start, new])

    def _shrink(self, bracket: list[Point]) -> Point:
        """Return a point with both conditions in an interval, or the best one after the search."""
        low, high = _ordered(bracket)
        is_slow = False
        while self._has_more() and not self._is_small(bracket):
            t = minimum_of_cubic(bracket[0], bracket[1])
            least, largest = sorted(point.t for point in bracket)
            margin = 0.1 * (largest - least)
            if min(largest - t, t - least) < margin:
                # Near an end a second time, or outside: go a tenth of the interval inside.
                is_moved = is_slow or t >= largest or t <= least
                if is_moved:
                    t = largest - margin if abs(t - largest) < abs(t - least) else least + margin
                is_slow = not is_moved
            else:
                is_slow = False
            new = self._point(t)
            if self._is_too_high(new) or new.f >= bracket[low].f:
                bracket[high] = new
                low, high = _ordered(bracket)
                continue
            if not self._is_flat(new) and new.slope * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = new
            if self._is_flat(new):
                break
        return bracket[low]

    def _point(self, t: Any) -> Point:
        self.evaluations += 1
        return self._evaluate(t)

    def _has_more(self) -> bool:
        return self.evaluations <= self._most

    def _is_small(self, bracket: list[Point]) -> Any:
        return abs(bracket[1].t - bracket[0].t) * self._size < self._tolerance_change

    def _is_too_high(self, point: Point) -> Any:
        return point.f > self._start.f + ARMIJO * point.t * self._start.slope

    def _is_flat(self, point: Point) -> Any:
        return abs(point.slope) <= -CURVATURE * self._start.slope


def _ordered(bracket: list[Point]) -> tuple[int, int]:
    """Return the positions of the lower and of the higher end."""
    return (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)


def minimum_of_cubic(a: Point, b: Point, bounds: tuple[Any, Any] | None = None) -> Any:
    """Return the t of the minimum of the cubic through two points, within the bounds.

    Without bounds, t is between the points. Without a minimum, it is the middle. Source: Nocedal &
    Wright 2006, equation 3.59.
    """
    if a.t > b.t:
        a, b = b, a
    least, largest = (a.t, b.t) if bounds is None else bounds
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (least + largest) / 2
    root = np.sqrt(square)
    t = b.t - (b.t - a.t) * ((b.slope + root - d1) / (b.slope - a.slope + 2 * root))
    return min(max(t, least), largest)
