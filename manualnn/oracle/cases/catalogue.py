"""All recipes: one for each feature and option, then the stress recipes.

    recipes_for(capabilities)      the recipes of what an engine claims, in the order of a run
    unclaimed(capabilities)        the recipes of features that it does not claim

Features come first, losses before layers before optimizers, because later recipes avoid a feature
that has failed in its own recipe.
"""

from manualnn.oracle.cases.by_feature import feature_recipes
from manualnn.oracle.cases.recipe import Recipe
from manualnn.oracle.cases.stress import STRESS
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.features import REDUCTIONS, TABLES, row_of


def recipes_for(claims: Capabilities) -> list[Recipe]:
    """Return every recipe that the claims may admit, in the order of a run."""
    return [*(recipe for recipe in feature_recipes() if _is_claimed(claims, recipe)), *STRESS]


def unclaimed(claims: Capabilities) -> list[Recipe]:
    """Return the recipes of features that are not claimed."""
    return [recipe for recipe in feature_recipes() if not _is_claimed(claims, recipe)]


def _is_claimed(claims: Capabilities, recipe: Recipe) -> bool:
    _, name, *option = recipe.name.split(".")
    claim = next((c[name] for kind in TABLES if name in (c := getattr(claims, kind))), None)
    if claim is None or not option:
        return claim is not None
    if option[0] == "sample_weights":
        return claims.sample_weights
    if option[0] == "probabilities":
        return "probabilities" in claims.class_targets
    values = claims.values(name, "reduction" if option[0] in REDUCTIONS else option[0])
    if option[0] in REDUCTIONS:
        return values == "any" or option[0] in values
    default = row_of(name).options[option[0]].default
    return values == "any" or any(value != default for value in values)
