"""Partners: the features that may be in a case about another feature.

    claims_of_partners(capabilities, "Softsign")    the claims of all partners and of Softsign
    newcomers(capabilities)                         the claimed features that are not partners

A draw picks among the claimed features at random. If a new feature joined them, it would change
every case that follows in the stream of random numbers. Therefore the candidates are fixed: the
rows of the table of features say which features and options are partners, and a new row is none. A
new feature has cases of its own: those of its own recipes, and further cases of every stress
recipe, drawn from a stream of their own among the partners and that feature. A new option of an old
feature is drawn by its own recipe alone.
"""

from dataclasses import replace
from typing import Any

from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.claims import Claim
from manualnn.oracle.protocol.features import ROWS
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
    return {o: value for o, value in claim.items() if row.options[o].is_partner or o == option}
