"""The sparsity of a Jacobian, and the columns that can be perturbed together.

The parameters are halved again and again. At each level, blocks of parameters on which no output
depends in common share a color, and are perturbed together: an output that changes then depends on
the only block of that color that it can depend on. An elementwise function of n entries costs
4 log₂ n values, a dense one 8 n.

The pattern holds near one point. There an output that does not change has derivative 0, whatever
it does elsewhere. The steps are large, because small changes may be lost in rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]

MOST_UNEXPLAINED = 1_000_000
REACH = 2.0**-3
"""Largest step of a probe, relative to the size of x."""


@dataclass(frozen=True, eq=False)
class Pattern:
    """Output rows[k] depends on parameter cols[k]. Columns of one color share no output."""

    rows: Indices
    cols: Indices
    colors: Indices
    """The color of each parameter."""

    @property
    def count(self) -> int:
        """Number of colors."""
        return int(self.colors.max(initial=-1)) + 1


def find_pattern(
    respond: Callable[[NDArray[np.bool_]], NDArray[np.bool_]], shape: tuple[int, int], budget: int
) -> Pattern | None:
    """Return the pattern of a Jacobian of that shape; None if it needs more colors than budget.

    `respond(mask)` perturbs the parameters of a mask and says which outputs change.
    """
    outputs, n = shape
    rows, blocks = np.arange(outputs), np.zeros(outputs, int)
    if n == 0:
        return Pattern(rows[:0], blocks[:0], np.zeros(0, int))
    index = np.arange(n)
    for bits in range((n - 1).bit_length(), -1, -1):
        # The blocks of the level above, their colors, and the halves of each.
        above = color(rows, blocks, outputs, (n - 1 >> bits + 1) + 1, budget)
        if above is None:
            return None
        found = []
        for one in range(int(above.max()) + 1):
            mine = above[blocks] == one
            for half in (0, 1):
                mask = (above[index >> bits + 1] == one) & (index >> bits & 1 == half)
                if mask.any():
                    answers = respond(mask)
                    children = np.unique(index[mask] >> bits)
                    child = 2 * blocks + half
                    explained = mine & answers[rows] & (child <= n - 1 >> bits)
                    found.append((rows[explained], child[explained]))
                    # An answer that no known block explains may come from any block of the mask.
                    others = np.setdiff1d(np.flatnonzero(answers), rows[explained])
                    if others.size * children.size > MOST_UNEXPLAINED:
                        return None
                    found.append((np.repeat(others, children.size), np.tile(children, others.size)))
        rows, blocks = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return make_pattern(rows, blocks, shape, budget)


def make_pattern(
    rows: Indices, cols: Indices, shape: tuple[int, int], budget: int
) -> Pattern | None:
    """Return a pattern with colors; None if it needs more colors than budget."""
    order = np.lexsort((rows, cols))
    colors = color(rows, cols, *shape, budget)
    return None if colors is None else Pattern(rows[order], cols[order], colors)


def united(a: Pattern, b: Pattern, shape: tuple[int, int], budget: int) -> Pattern | None:
    """Return the pattern of all dependences of both."""
    flat = np.union1d(a.rows * shape[1] + a.cols, b.rows * shape[1] + b.cols)
    return make_pattern(*np.divmod(flat, max(1, shape[1])), shape, budget)


def color(rows: Indices, cols: Indices, outputs: int, n: int, budget: int) -> Indices | None:
    """Return a color for each of n columns, greedily; None if there are more than budget."""
    colors = np.zeros(n, int)
    if not rows.size or np.bincount(rows).max() < 2:
        return colors
    order = np.argsort(cols, kind="stable")
    used = [0] * outputs  # the bits of each are its colors
    columns, starts = np.unique(cols[order], return_index=True)
    ends = np.append(starts[1:], cols.size)
    ordered = rows[order].tolist()
    for column, start, end in zip(*(a.tolist() for a in (columns, starts, ends)), strict=True):
        taken, mine = 0, ordered[start:end]
        for row in mine:
            taken |= used[row]
        free = ~taken & (taken + 1)
        colors[column] = free.bit_length() - 1
        if colors[column] >= budget:
            return None
        for row in mine:
            used[row] |= free
    return colors
