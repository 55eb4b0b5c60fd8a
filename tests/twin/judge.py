"""Holds results against the oracle's bounded numbers, and keeps account of what that is worth.

as_oracles(case)      what the tests draw, as a case of the oracle
Judge()               compares, and remembers how sharply
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
"""A median bound that large, relative to the value, would let mistakes in a formula through."""
BLUNT_AT_THE_END = dict.fromkeys(BLUNT, 1e-2)
"""The same after many steps, each of which makes the bounds of the one before grow."""
MOST_UNDECIDED = 1 / 3
"""A larger share of slopes at jumps, or of entries without a bound, would do so as well.

It is about one in a hundred in general; one in five where nothing but hard options are drawn.
"""


def as_oracles(
    case: cases.Case,
    *,
    params: Parameters | None = None,
    state: Mapping[str, Any] | None = None,
    noise: Mapping[str, Any] | None = None,
    steps: int = 1,
) -> Case:
    """Return the case as the oracle has it, from these parameters and this state on."""
    spec, params = case.spec(), case.params if params is None else params
    return Case(
        layers=tuple(spec["layers"]),
        loss=spec["loss"],
        params=dict(params),
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
        name: kept if name == "step" else dict(Parameters(params.shapes, np.asarray(kept)))
        for name, kept in state.items()
    }


@dataclass
class Judge:
    """Compares, and remembers what the comparisons were worth."""

    sharpness: dict[np.dtype[Any], list[float]] = field(
        default_factory=lambda: {dtype: [] for dtype in BLUNT}
    )
    """For each array compared, the median of e / |v|."""
    entries: int = 0
    without_bound: int = 0
    slopes: int = 0
    undecided: int = 0

    def agree(self, what: str, expected: Bounded, **results: Any) -> None:
        """Every entry of every result lies within the bound, and so does every other program's."""
        has_bound = expected.bounded
        self.entries += has_bound.size
        self.without_bound += int(np.count_nonzero(~has_bound))
        telling = has_bound & (expected.v != 0)
        if telling.any():
            with np.errstate(over="ignore"):
                ratio = np.median(expected.e[telling] / np.abs(expected.v[telling]))
            self.sharpness[expected.kind.dtype].append(float(ratio))
        for who, result in results.items():
            assert np.shape(result) == expected.v.shape, f"{what}: {who} {np.shape(result)}"
            wrong = np.argwhere(refutes(expected, result))
            if len(wrong):
                at = tuple(wrong[0])
                found = ", ".join(f"{name} {float(r[at])!r}" for name, r in results.items())
                message = (
                    f"{what}{[int(i) for i in at]}: {who} is wrong, as are {len(wrong) - 1} others "
                    f"of {has_bound.size}; {found}, expected {float(expected.v[at])!r} "
                    f"± {float(expected.allowed[at]):.3g}"
                )
                raise AssertionError(message)

    def agree_all(self, expected: Mapping[str, Bounded], **results: Mapping[str, Any]) -> None:
        """As `agree`, for every name."""
        for name, near in expected.items():
            self.agree(name, near, **{who: result[name] for who, result in results.items()})

    def note_jumps(self, expected: Expected) -> None:
        undecided, slopes = expected.undecided
        self.undecided += undecided
        self.slopes += slopes

    def require_worth(self, blunt: Mapping[np.dtype[Any], float]) -> None:
        """The comparisons so far would have found a mistake: their median is sharper than blunt."""
        assert self.entries
        assert self.without_bound <= MOST_UNDECIDED * self.entries, self
        assert self.undecided <= MOST_UNDECIDED * self.slopes, self
        for dtype, ratios in self.sharpness.items():
            assert np.median(ratios or [0]) < blunt[dtype], self

    def __str__(self) -> str:
        medians = (f"{d} {np.median(ratios):.1e}" for d, ratios in self.sharpness.items() if ratios)
        return (
            f"{self.entries} entries, {self.without_bound} without a bound; {self.undecided} of "
            f"{self.slopes} slopes undecided; median sharpness {', '.join(medians)}"
        )
