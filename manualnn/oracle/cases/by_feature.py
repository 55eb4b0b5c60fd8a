"""Recipes of one feature each: a loss and its reduction, a layer, an optimizer, or one option.

loss_recipes(), layer_recipes(), optimizer_recipes()      one for each feature of the table
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import PROBABILITIES, Impossible
from manualnn.oracle.cases.draft import Draft
from manualnn.oracle.cases.recipe import FORWARD, Recipe
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import ALWAYS, REDUCTIONS, TABLES

PLACES = ("LAL", "LA", "AL", "A", "LAAL", "LBAL", "LABL", "LALAL")
"""Positions of a layer A in a network: L is a Linear layer, B another layer."""
LINEAR_PLACES = ("A", "AA", "AAA", "ABA", "BA")
"""The same for A = Linear."""


def loss_recipes() -> list[Recipe]:
    """Return the recipes of losses: one for each reduction and for each other option."""
    recipes = []
    for name, options in TABLES["losses"].items():
        for reduction in REDUCTIONS:
            make = _with_loss(name, reduction=reduction)
            sentence = f"{name} with reduction {reduction!r}"
            recipes.append(Recipe(f"loss.{name}.{reduction}", sentence, make, FORWARD))
        for option in options:
            if option != "reduction":
                make = _with_loss(name, option)
                recipes.append(
                    Recipe(f"loss.{name}.{option}", f"{name} with {option}", make, FORWARD)
                )
    sentence = "CrossEntropyLoss of targets that are probabilities of classes"
    make = _with_loss("CrossEntropyLoss", soft=True)
    return [*recipes, Recipe("loss.CrossEntropyLoss.probabilities", sentence, make, FORWARD)]


def layer_recipes() -> list[Recipe]:
    """Return the recipes of layers: one for each layer and for each of its options."""
    recipes = []
    for name, options in TABLES["layers"].items():
        sentence = f"{name} first, between others, last and twice in a row"
        recipes.append(Recipe(f"layer.{name}", sentence, _with_layer(name), FORWARD))
        for option in options:
            if option not in ALWAYS:
                make = _with_layer(name, option)
                recipes.append(
                    Recipe(f"layer.{name}.{option}", f"{name} with {option}", make, FORWARD)
                )
    return recipes


def optimizer_recipes() -> list[Recipe]:
    """Return the recipes of optimizers: one for each optimizer and for each of its options."""
    recipes = []
    for name, options in TABLES["optimizers"].items():
        recipes.append(Recipe(f"optimizer.{name}", name, _with_optimizer(name)))
        for option in options:
            if option not in ALWAYS:
                make = _with_optimizer(name, option)
                recipes.append(Recipe(f"optimizer.{name}.{option}", f"{name} with {option}", make))
    return recipes


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


def _with_layer(name: str, option: str | None = None) -> Callable[[Draft], Case]:
    def make(draft: Draft) -> Case:
        linear = name == "Linear"
        others = [n for n in draft.activations() if n != name]
        letter = "A" if linear else "L"
        place = draft.pick(
            [
                place
                for place in (LINEAR_PLACES if linear else PLACES)
                if place.count(letter) <= draft.max_depth and ("B" not in place or others)
            ]
        )
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
        if draft.chance(0.2):  # A wrong layer may treat an input of exactly 0 as a special value.
            off = draft.rng.random(case.x.shape) < 0.3
            return case.but(x=np.where(off, 0, case.x).astype(case.dtype))
        return case

    return make


def _with_optimizer(name: str, option: str | None = None) -> Callable[[Draft], Case]:
    def make(draft: Draft) -> Case:
        case = draft.case(optimizer=draft.optimizer(name, option))
        if not case.params:
            raise Impossible
        return case

    return make
