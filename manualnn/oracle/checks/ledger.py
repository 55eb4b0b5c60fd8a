"""Statistics of a run: how many numbers were compared, and how sharp the comparisons were."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.truth.compare import joined

PLAIN = ("loss.", "layer.", "optimizer.", "plain")
"""Prefixes of the recipes of ordinary numbers. The report's sharpness is that of these recipes."""
FINEST, COARSEST, BINS = -80, 48, 16
"""The histogram of log₂(bound / |value|): first octave, last octave, bins per octave."""


@dataclass
class Ledger:
    """Counts of what was judged, and histograms of the sharpness."""

    calls: int = 0
    entries: int = 0
    """Number of entries that were compared with a bound."""
    unbounded: int = 0
    """Number of entries without a bound."""
    undecided: int = 0
    """Number of slopes at kinks for which rounding decides the side."""
    jumps: int = 0
    """Number of slopes at kinks."""
    histograms: dict[str, Array] = field(default_factory=dict)
    """The histogram of log₂(bound / |value|) of all recipes, for each dtype."""
    plain: dict[str, Array] = field(default_factory=dict)
    """The same histogram of the plain recipes alone, for each dtype."""

    def note_case(
        self, case: Case, values: Mapping[str, Array], bounds: Mapping[str, Array]
    ) -> None:
        """Count the comparisons of a case's result with these values and bounds."""
        if values:
            v = joined(values, values).astype(np.longdouble)
            self.note(case.dtype, v, joined(bounds, values), plain=case.recipe.startswith(PLAIN))

    def note(self, dtype: str, v: Array, bound: Array, *, plain: bool = False) -> None:
        """Count comparisons of values with bounds; an infinite bound is none."""
        bounded = np.isfinite(bound)
        self.unbounded += int(np.count_nonzero(~bounded))
        v, bound = v[bounded], bound[bounded]
        self.entries += len(v)
        with np.errstate(all="ignore"):
            ratio = np.log2((bound / np.abs(v)).astype(np.float64))
            ratio = ratio[(v != 0) & (bound > 0) & ~np.isnan(ratio)]
            place = ((np.clip(ratio, FINEST, COARSEST) - FINEST) * BINS).astype(int)
        counts = np.bincount(place, minlength=(COARSEST - FINEST) * BINS + 1)
        for histograms in (self.histograms, self.plain) if plain else (self.histograms,):
            histograms[dtype] = histograms.get(dtype, 0) + counts

    def undecided_share(self) -> float:
        """Return the share of slopes at kinks for which rounding decides the side."""
        return self.undecided / self.jumps if self.jumps else 0.0

    def sharpness(self, *, plain: bool = False) -> dict[str, float]:
        """Return the median of bound / |value| for each dtype, to a 16th of an octave.

        With `plain` it is the median of the plain recipes alone.
        """
        medians = {}
        for dtype, counts in (self.plain if plain else self.histograms).items():
            total = np.cumsum(counts)
            if total[-1]:
                place = int(np.searchsorted(total, total[-1] / 2))
                medians[dtype] = float(2 ** ((place + 1) / BINS + FINEST))
        return medians
