"""A recipe: a way to draw cases, with the judgements that the cases are put to.

    recipe.draw(rng, capabilities, size)      a case, or None if the capabilities admit none

A recipe of one feature carries the feature's name: "loss.MSELoss.mean", "layer.Tanh",
"optimizer.Adam.amsgrad". Those are in `by_feature`. A stress recipe carries the name of what it
stresses, such as "saturation". Those are in `stress`. `catalogue` lists both.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from manualnn.oracle.cases.choices import Impossible, Size
from manualnn.oracle.cases.draft import Draft
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case

FORWARD = ("outputs", "loss", "grads", "input_grad")
DIFFERENTIAL = (*FORWARD, "state", "params")
"""Judgements against the truth, in the order of a step. One call of the engine serves all."""


@dataclass(frozen=True)
class Recipe:
    """A way to draw cases, and the names of their judgements."""

    name: str
    sentence: str
    """Description of the cases, for the report."""
    make: Callable[[Draft], Case]
    judgements: tuple[str, ...] = DIFFERENTIAL
    share: float = 1.0
    """Number of cases, relative to the number of examples of the profile."""

    def draw(self, rng: np.random.Generator, claims: Capabilities, size: Size) -> Case | None:
        """Return a case that the arguments determine; None if the claims admit none."""
        try:
            with np.errstate(all="ignore"):
                case = self.make(Draft(rng, claims, size))
        except Impossible:
            return None
        return None if claims.refuses(case) else replace(case, recipe=self.name, note=self.sentence)
