"""Comparison of results with the oracle's bounded numbers, with statistics of the sharpness.

oracle_case(case)     a drawn case in the oracle's form
Judge()               compares results, and records how sharp the bounds are
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cases
import numpy as np

from manualnn import Parameters
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.truth.bounded import Bounded
from manualnn.oracle.truth.compare import refutes
from manualnn.oracle.truth.step import Expected
from manualnn.spec import to_spec

BLUNT = {np.dtype(np.float32): 1e-3, np.dtype(np.float64): 1e-10}
"""A bound this large, relative to the value, would not find an error in a formula."""
BLUNT_AT_THE_END = dict.fromkeys(BLUNT, 1e-2)
"""The same after many steps, because each step makes the bounds larger."""
SHARP = 1 / 4
"""Smallest acceptable share of cases with sharp bounds, and of cases whose slopes are decided.

A wrong formula fails in each of them. The others overflow, or cancel, or are near a kink: a few
tests of one feature draw mostly these.
"""
MOST_UNDECIDED = 1 / 3
"""Largest share of undecided slopes in a case that is decided."""


def oracle_case(
    case: cases.Case,
    *,
    params: Parameters | None = None,
    state: Mapping[str, Any] | None = None,
    noise: Mapping[str, Any] | None = None,
    steps: int = 1,
) -> Case:
    """Return the case in the oracle's form, with these parameters and this state."""
    spec, params = case.spec(), case.params if params is None else params
    return Case(
        layers=tuple(spec["layers"]),
        loss=spec["loss"],
        params={**params, **params.buffers},
        x=case.x,
        t=case.t,
        optimizer=to_spec(case.rule),
        dtype=str(case.dtype),
        state=None if state is None else apart(params, state),
        noise=None if noise is None else dict(noise),
        steps=steps,
    )


def apart(params: Parameters, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return an optimizer's vectors as arrays by the parameters' names."""
    return {
        name: vector if name == "step" else dict(Parameters(params.shapes, np.asarray(vector)))
        for name, vector in state.items()
    }


@dataclass
class Judge:
    """Compares results with bounded numbers and records how sharp the comparisons are."""

    sharpness: dict[np.dtype[Any], list[float]] = field(
        default_factory=lambda: {dtype: [] for dtype in BLUNT}
    )
    """The median of bound / |value| of each compared array, or of each case that was added.

    A bound may be infinite. Entries that are 0 do not count.
    """
    undecided: list[float] = field(default_factory=list)
    """The share of undecided slopes in each step with slopes, or in each case that was added."""
    entries: int = 0
    largest: dict[str, float] = field(default_factory=dict)
    """The largest error of each side, in units of its bound."""

    def agree(self, what: str, expected: Bounded, **results: Any) -> None:
        """Assert that every entry of every result is within its bound."""
        self.entries += expected.v.size
        counts = ~expected.bounded | (expected.v != 0)
        if counts.any():
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                ratio = expected.e[counts] / np.abs(expected.v[counts])
            ratio[np.isinf(expected.e[counts])] = np.inf  # ∞ / ∞ of what overflows
            self.sharpness[expected.kind.dtype].append(float(np.median(ratio)))
        for who, result in results.items():
            assert np.shape(result) == expected.v.shape, f"{what}: {who} {np.shape(result)}"
            with np.errstate(all="ignore"):
                off = np.nan_to_num(np.abs(result - expected.v) / expected.bounds, nan=0.0)
            self.largest[who] = float(np.max(off, initial=self.largest.get(who, 0.0)))
            wrong = np.argwhere(refutes(expected, result))
            if len(wrong):
                at = tuple(wrong[0])
                numbers = ", ".join(f"{name} {float(r[at])!r}" for name, r in results.items())
                message = (
                    f"{what}{[int(i) for i in at]}: {who} is wrong, as are {len(wrong) - 1} others "
                    f"of {expected.v.size}; got {numbers}, expected {float(expected.v[at])!r} "
                    f"± {float(expected.allowed[at]):.3g}"
                )
                raise AssertionError(message)

    def agree_all(self, expected: Mapping[str, Bounded], **results: Mapping[str, Any]) -> None:
        """Assert that all results agree, for every name."""
        for name, near in expected.items():
            self.agree(name, near, **{who: result[name] for who, result in results.items()})

    def note_jumps(self, expected: Expected) -> None:
        undecided, slopes = expected.undecided
        if slopes:
            self.undecided.append(undecided / slopes)

    def add(self, case: "Judge") -> None:
        """Add the comparisons of one case.

        Its sharpness and its share of undecided slopes count once, because a case of many steps
        has many arrays, and all of them are blunt if its network is ill-conditioned.
        """
        self.entries += case.entries
        for who, off in case.largest.items():
            self.largest[who] = max(off, self.largest.get(who, 0.0))
        if case.undecided:
            self.undecided.append(float(np.median(case.undecided)))
        for dtype, ratios in case.sharpness.items():
            if ratios:
                self.sharpness[dtype].append(float(np.median(ratios)))

    def require_worth(self, blunt: Mapping[np.dtype[Any], float]) -> None:
        """Assert that the comparisons would find an error: many cases are sharper than `blunt`."""
        assert self.entries
        decided = [share <= MOST_UNDECIDED for share in self.undecided]
        assert sum(decided) >= SHARP * len(decided), self
        sharp = [r < blunt[dtype] for dtype, ratios in self.sharpness.items() for r in ratios]
        luck = 3 * np.sqrt(SHARP * (1 - SHARP) * len(sharp))  # three standard deviations
        assert sum(sharp) >= max(1, SHARP * len(sharp) - luck), self

    def __str__(self) -> str:
        medians = (f"{d} {np.median(ratios):.1e}" for d, ratios in self.sharpness.items() if ratios)
        undecided = np.mean(self.undecided or [0])
        return (
            f"{self.entries} entries; {undecided:.0%} of the slopes undecided; "
            f"median sharpness {', '.join(medians)}"
        )
