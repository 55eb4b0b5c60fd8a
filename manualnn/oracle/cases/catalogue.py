"""All recipes: one for each feature and option, then the stress recipes.

    recipes_for(capabilities)      the recipes of what an engine claims, in the order of a run
    unclaimed(capabilities)        the recipes of features that it does not claim

Features come first, losses before layers before optimizers, because later recipes avoid a feature
that has failed in its own recipe.
"""

from manualnn.oracle.cases.by_feature import layer_recipes, loss_recipes, optimizer_recipes
from manualnn.oracle.cases.recipe import Recipe
from manualnn.oracle.cases.stress import STRESS
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.features import REDUCTIONS, TABLES


def recipes_for(claims: Capabilities) -> list[Recipe]:
    """Return every recipe that the claims may admit, in the order of a run."""
    return [*(recipe for recipe in _feature_recipes() if _is_claimed(claims, recipe)), *STRESS]


def unclaimed(claims: Capabilities) -> list[Recipe]:
    """Return the recipes of features that are not claimed."""
    return [recipe for recipe in _feature_recipes() if not _is_claimed(claims, recipe)]


def _feature_recipes() -> list[Recipe]:
    return [*loss_recipes(), *layer_recipes(), *optimizer_recipes()]


def _is_claimed(claims: Capabilities, recipe: Recipe) -> bool:
    kind, name, *option = recipe.name.split(".")
    claim = getattr(claims, {"loss": "losses"}.get(kind, kind + "s")).get(name)
    if claim is None or not option:
        return claim is not None
    if option[0] in REDUCTIONS:
        values = claim.get("reduction", [])
        return option[0] == "mean" or values == "any" or option[0] in values
    if option[0] == "probabilities":
        return True
    values = claim.get(option[0], [])
    default = next(t[name] for t in TABLES.values() if name in t)[option[0]]
    return values == "any" or any(value != default for value in values)
