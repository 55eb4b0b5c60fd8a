"""A recipe: a way to draw cases, with the judgements that the cases are put to.

    recipe.draw(rng, capabilities, size)                  a case; None if the claims admit none
    recipe.draw(rng, capabilities, size, "Softsign")      a case with this newcomer: see `partners`
    recipe.draw(rng, capabilities, size, corner=2)        a case of the third corner, if claimed
    recipe.examples(capabilities, 25)                     ("", 0), ("", 1), …, ("Softsign", 0), …

A *corner* is what every run visits for certain: a default, an end of an option, a branch of a
formula. The first cases of a recipe visit its corners in order, in every dtype; the others are
drawn at random.

A recipe of one feature carries the feature's name: "loss.MSELoss.mean", "layer.Tanh",
"optimizer.Adam.amsgrad". Those are in `by_feature`. A stress recipe carries the name of what it
stresses, such as "saturation". Those are in `stress`. `catalogue` lists both.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from manualnn.oracle.cases.choices import Impossible, Size
from manualnn.oracle.cases.draft import Draft
from manualnn.oracle.cases.partners import claims_of_partners, has_feature, newcomers
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case

FORWARD = ("outputs", "loss", "grads", "input_grad")
DIFFERENTIAL = (*FORWARD, "state", "params")
"""Judgements against the truth, in the order of a step. One call of the engine serves all."""
NEWCOMER_SHARE = 1 / 8
"""Number of cases with a newcomer, relative to those without one."""
ATTEMPTS = 8
"""Draws for a case that has the newcomer."""


@dataclass(frozen=True)
class Recipe:
    """A way to draw cases, and the names of their judgements."""

    name: str
    sentence: str
    """Description of the cases, for the report."""
    make: Callable[[Draft], Case]
    share: float = 1
    """Number of cases, relative to the number of examples of the profile."""
    judgements: tuple[str, ...] = DIFFERENTIAL
    feature: str = ""
    """The feature or option of a recipe of one feature, such as "Tanh" or "HuberLoss.delta"."""
    corners: tuple[Callable[[Draft], Case], ...] = ()
    """Makers of the first cases. If the claims do not allow a corner, `make` takes its turn."""

    @property
    def is_sampled(self) -> bool:
        """True if a recipe of one feature has few cases, because others ask the same."""
        return bool(self.feature) and self.share < 1

    def examples(self, claims: Capabilities, count: int) -> Iterator[tuple[str, int]]:
        """Yield the newcomer and the number of every case, "" for the cases without a newcomer.

        `count` is the number of cases of a recipe whose share is 1. A recipe of one feature has no
        newcomers, because partners stand beside its feature.
        """
        for newcomer in ("", *([] if self.feature else newcomers(claims))):
            share = self.share * (NEWCOMER_SHARE if newcomer else 1)
            yield from ((newcomer, i) for i in range(max(1, round(count * share))))

    def key(self, number: int, newcomer: str = "") -> tuple[int, ...]:
        """Return the key of a case's random numbers, unique for every recipe and newcomer."""
        own = (zlib.crc32(self.name.encode()), number)
        return (*own, zlib.crc32(newcomer.encode())) if newcomer else own

    def draw(
        self,
        rng: np.random.Generator,
        claims: Capabilities,
        size: Size,
        newcomer: str = "",
        corner: int | None = None,
    ) -> Case | None:
        """Return a case that the arguments determine; None if the claims admit none.

        The case has the newcomer. Otherwise it has the recipe's own feature and partners alone.
        `corner` is the number of a corner; without one, or beyond the last, the case is random.
        """
        narrowed = claims_of_partners(claims, self.feature or newcomer)
        corners = self.corners[corner : corner + 1] if corner is not None else ()
        is_rare = newcomer or claims.networks != Capabilities.networks
        for make in (*corners, *[self.make] * (ATTEMPTS if is_rare else 1)):
            try:
                with np.errstate(all="ignore"):
                    case = make(Draft(rng, narrowed, size, newcomer))
            except Impossible:
                continue
            if newcomer and not has_feature(case, newcomer):
                continue
            if not claims.refuses(case):
                return replace(case, recipe=self.name, note=self.sentence)
        return None
