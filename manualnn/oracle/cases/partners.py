"""Partners: the features that may be in a case about another feature.

    claims_of_partners(capabilities, "Softsign")    the claims of all partners and of Softsign
    newcomers(capabilities)                         the claimed features that are not partners
    Avoided(capabilities, recipes, own).claims      the claims without features that are at fault

A draw picks among the claimed features at random. If a new feature joined them, it would change
every case that follows in the stream of random numbers. Therefore the candidates are fixed: the
rows of the table of features say which features and options are partners, and a new row is none. A
new feature has cases of its own: those of its own recipes, and further cases of every stress
recipe, drawn from a stream of their own among the partners and that feature. A new option of an old
feature is drawn by its own recipe alone.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.claims import Claim
from manualnn.oracle.protocol.features import REDUCTIONS, ROWS, options_of, row_of
from manualnn.oracle.protocol.rows import Feature


def claims_of_partners(claims: Capabilities, feature: str = "") -> Capabilities:
    """Return the claims without features and options that are neither partners nor `feature`.

    `feature` is a name, or a name and an option such as "HuberLoss.delta". If an engine claims no
    partner of a kind, all that it claims of this kind remains.
    """
    name, _, option = feature.partition(".")
    narrowed: dict[str, Any] = {}
    for kind, rows in ROWS.items():
        claimed: dict[str, Claim] = getattr(claims, kind)
        narrowed[kind] = {
            other: _partner_options(rows[other], claim, option if other == name else "")
            for other, claim in claimed.items()
            if rows[other].is_partner or other == name
        } or claimed
    return replace(claims, **narrowed)


@dataclass(frozen=True)
class Avoided:
    """The features that the cases of one recipe avoid, because their own recipes failed."""

    claimed: Capabilities
    failed: frozenset[str]
    """Names of recipes, such as "layer.Tanh" and "loss.MSELoss.mean"."""
    own: str
    """The recipe that draws the cases. It does not avoid its own feature."""

    @cached_property
    def recipes(self) -> frozenset[str]:
        """The names of recipes of features and options that are to be avoided."""
        kept = {self.own}
        if self.own.startswith("layer.") and "input_grad" not in self.claimed.returns:
            kept.add(recipe_of("Linear"))  # Without it, such an engine would show no gradient.
        return frozenset(self.failed - kept)

    @cached_property
    def features(self) -> set[str]:
        """The names of the claimed features that are to be avoided in every form."""
        if not self.recipes:
            return set()
        own = self.own.split(".")[1:2]
        names = {name for kind in ROWS for name in getattr(self.claimed, kind) if [name] != own}
        return {name for name in names if self._forms(name) <= self.recipes}

    def _forms(self, name: str) -> set[str]:
        if name not in ROWS["losses"]:
            return {recipe_of(name)}
        claim = self.claimed.losses[name].get("reduction", [])
        reductions = REDUCTIONS if claim == "any" else ("mean", *claim)
        return {recipe_of(name, reduction) for reduction in reductions}

    @cached_property
    def claims(self) -> Capabilities:
        """The claims without the features to be avoided; all of a kind if no other is claimed."""
        if not self.features:
            return self.claimed
        narrowed: dict[str, Any] = {}
        # Networks without parameters test little, so only recipes of another layer avoid Linear.
        kept_anyway = set() if self.own.startswith("layer.") else {"Linear"}
        for kind in ROWS:
            claims: dict[str, Claim] = getattr(self.claimed, kind)
            dropped = self.features - kept_anyway
            kept = {name: claim for name, claim in claims.items() if name not in dropped}
            narrowed[kind] = kept or claims
        rests = self.features & {*narrowed["layers"], *narrowed["losses"]}
        if rests and not self.own.startswith("optimizer."):
            # A wrong gradient would change all numbers of the next step.
            narrowed["max_steps"] = 1
        return replace(self.claimed, **narrowed)

    @property
    def left_out(self) -> list[str]:
        """The names of the features that no case has."""
        kept = (name for kind in ROWS for name in getattr(self.claims, kind))
        return sorted(self.features.difference(kept))


def recipe_of(feature: str, reduction: str = "") -> str:
    """Return the name of a feature's own recipe; a loss has one for each reduction."""
    name = f"{type(row_of(feature)).__name__.lower()}.{feature}"
    return f"{name}.{reduction}" if reduction else name


def recipes_at_fault(case: Case, names: Collection[str]) -> set[str]:
    """Return the recipes of the named features in the form that they have in a case."""
    reduction = options_of(case.loss).reduction
    return {recipe_of(name, reduction if name in ROWS["losses"] else "") for name in names}


def newcomers(claims: Capabilities) -> list[str]:
    """Return the claimed features that are not partners."""
    return [
        name
        for kind, rows in ROWS.items()
        for name in getattr(claims, kind)
        if not rows[name].is_partner
    ]


def has_feature(case: Case, name: str) -> bool:
    """Return True if a layer, the loss or the optimizer of a case has the name."""
    return any(spec["type"] == name for _, spec in case.parts())


def _partner_options(row: Feature, claim: Claim, option: str) -> Claim:
    return {
        o: value
        for o, value in claim.items()
        if row.options[o].is_partner or o == option or row.options[o].is_needed(value)
    }
