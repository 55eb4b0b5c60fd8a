"""Recipes: what cases are drawn for, each with the judgements that it is put to.

    recipes_for(capabilities)                       every recipe that the claims admit, in order
    recipe.draw(rng, capabilities, size)            a case, or None where the claims admit none
    unclaimed(capabilities)                         names of features that are not claimed

A recipe is named for the feature it is about, "loss.MSELoss.mean", "layer.Tanh",
"optimizer.Adam.amsgrad", or for what it provokes: those are in `provocations`. Features come first,
the losses before the layers before the optimizers, for what fails early is avoided later. A draw is
a function of its arguments alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import PROBABILITIES, Impossible, Size
from manualnn.oracle.cases.draft import Draft
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import ALWAYS, REDUCTIONS, TABLES

FORWARD = ("outputs", "loss", "grads", "input_grad")
DIFFERENTIAL = (*FORWARD, "state", "params")
"""Judgements against the truth, in the order of a step; one call of the engine serves all."""


@dataclass(frozen=True)
class Recipe:
    """What a case is drawn for, how, and to what it is put."""

    name: str
    sentence: str
    """What it draws."""
    make: Callable[[Draft], Case]
    judgements: tuple[str, ...] = DIFFERENTIAL
    share: float = 1.0
    """Of a profile's number of examples."""

    def draw(self, rng: np.random.Generator, claims: Capabilities, size: Size) -> Case | None:
        """Return a case; None where the claims admit none."""
        try:
            with np.errstate(all="ignore"):
                case = self.make(Draft(rng, claims, size))
        except Impossible:
            return None
        return None if claims.refuses(case) else replace(case, recipe=self.name, note=self.sentence)


def recipes_for(claims: Capabilities) -> list[Recipe]:
    """Return every recipe that the claims may admit, the cheap and telling ones first."""
    from manualnn.oracle.cases.stress import PROVOCATIONS

    claimed = [r for name, r in _features().items() if _claims(claims, name)]
    return [*claimed, *PROVOCATIONS]


def unclaimed(claims: Capabilities) -> list[Recipe]:
    """Return the recipes of what is not claimed."""
    return [r for name, r in _features().items() if not _claims(claims, name)]


def _claims(claims: Capabilities, feature: str) -> bool:
    kind, name, *option = feature.split(".")
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


def _features() -> dict[str, Recipe]:
    made = [*_losses(), *_layers(), *_optimizers()]
    return {recipe.name: recipe for recipe in made}


def _losses() -> list[Recipe]:
    recipes = []
    for name, options in TABLES["losses"].items():
        for reduction in REDUCTIONS:
            make = _with_loss(name, reduction=reduction)
            about = f"{name} with reduction {reduction!r}"
            recipes.append(Recipe(f"loss.{name}.{reduction}", about, make, FORWARD))
        for option in options:
            if option != "reduction":
                make = _with_loss(name, option)
                about = f"{name} with {option}"
                recipes.append(Recipe(f"loss.{name}.{option}", about, make, FORWARD))
    about = "CrossEntropyLoss of targets that are probabilities of classes"
    make = _with_loss("CrossEntropyLoss", soft=True)
    return [*recipes, Recipe("loss.CrossEntropyLoss.probabilities", about, make, FORWARD)]


def _with_loss(
    name: str, option: str | None = None, *, soft: bool = False, **given: Any
) -> Callable[[Draft], Case]:
    def make(draft: Draft) -> Case:
        depth = min(1 + draft.chance(0.5), draft.max_depth)
        widths = draft.widths(depth, least_out=2 if name == "CrossEntropyLoss" else 1)
        loss = draft.loss(name, **given)
        option_drawn = option
        if soft and draft.chance(0.5):
            claimed = [o for o in ("weight", "label_smoothing") if o in draft.claims.losses[name]]
            option_drawn = draft.pick(claimed) if claimed else None
        return draft.case(widths=widths, loss=loss, loss_option=option_drawn, soft=soft)

    return make


def _layers() -> list[Recipe]:
    recipes = []
    for name, options in TABLES["layers"].items():
        about = f"{name} first, between others, last and twice in a row"
        recipes.append(Recipe(f"layer.{name}", about, _with_layer(name), FORWARD))
        for option in options:
            if option not in ALWAYS:
                make = _with_layer(name, option)
                recipes.append(
                    Recipe(f"layer.{name}.{option}", f"{name} with {option}", make, FORWARD)
                )
    return recipes


PLACES = ("LAL", "LA", "AL", "A", "LAAL", "LBAL", "LABL", "LALAL")
"""Where a layer A stands: L a Linear one, B another."""
LINEAR_PLACES = ("A", "AA", "AAA", "ABA", "BA")


def _with_layer(name: str, option: str | None = None) -> Callable[[Draft], Case]:
    def make(draft: Draft) -> Case:
        linear = name == "Linear"
        others = [n for n in draft.activations() if n != name]
        places = LINEAR_PLACES if linear else PLACES
        letter = "A" if linear else "L"
        fit = [
            place
            for place in places
            if place.count(letter) <= draft.max_depth and ("B" not in place or others)
        ]
        place = draft.pick(fit)
        loss = draft.loss()
        least = 2 if loss["type"] == "CrossEntropyLoss" else 1
        widths = list(draft.widths(place.count(letter), least_out=least))
        layers: list[Any] = []
        for mark in place:
            if mark == letter:
                a, b = widths.pop(0), widths[0]
                ends = {"in_features": a, "out_features": b}
                layers.append(draft.layer("Linear", option if linear else None, **ends))
            elif mark == "A":
                layers.append(draft.layer(name, option))
            else:
                layers.append(draft.layer(draft.among("layers", others)))
        if layers[-1]["type"] not in PROBABILITIES:
            layers += draft.closing(loss)
        case = draft.case(
            layers=layers, loss=loss, widths=None if "L" in place or linear else widths
        )
        if draft.chance(0.2):  # exact zeros are where a layer may take itself for another
            off = draft.rng.random(case.x.shape) < 0.3
            return case.but(x=np.where(off, 0, case.x).astype(case.dtype))
        return case

    return make


def _optimizers() -> list[Recipe]:
    recipes = []
    for name, options in TABLES["optimizers"].items():
        recipes.append(Recipe(f"optimizer.{name}", name, _with_optimizer(name)))
        for option in options:
            if option not in ALWAYS:
                make = _with_optimizer(name, option)
                recipes.append(Recipe(f"optimizer.{name}.{option}", f"{name} with {option}", make))
    return recipes


def _with_optimizer(name: str, option: str | None = None) -> Callable[[Draft], Case]:
    def make(draft: Draft) -> Case:
        case = draft.case(optimizer=draft.optimizer(name, option))
        if not case.params:
            raise Impossible
        return case

    return make
