"""Recipes of one feature each: a loss and its reduction, a layer, an optimizer, or one option.

feature_recipes()      the recipes of every loss, then of every layer, then of every optimizer
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import Impossible
from manualnn.oracle.cases.corners.layers import layer_corners
from manualnn.oracle.cases.corners.losses import loss_corners
from manualnn.oracle.cases.corners.rules import rule_corners
from manualnn.oracle.cases.draft import Draft, gives_probabilities
from manualnn.oracle.cases.recipe import DIFFERENTIAL, FORWARD, Recipe
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import (
    ALWAYS,
    LAYER_ROWS,
    LOSS_ROWS,
    OPTIMIZER_ROWS,
    REDUCTIONS,
    fit,
    has_buffers,
    row_of,
    width_of,
)

PLACES = ("LAL", "LA", "AL", "A", "LAAL", "LBAL", "LABL", "LALAL")
"""Positions of a layer A in a network: L is a Linear layer, B another layer."""
LINEAR_PLACES = ("A", "AA", "AAA", "ABA", "BA")
"""The same for A = Linear."""

WEIGHTS_SHARE = 1 / 5
"""Share of the cases with weights of samples, because a loss treats them like any other."""

Make = Callable[[Draft], Case]


def feature_recipes() -> Iterator[Recipe]:
    """Yield the recipes of every loss, layer and optimizer, and of each of its options."""
    for name, row in LOSS_ROWS.items():
        for r in REDUCTIONS:
            recipe = _recipe(
                f"loss.{name}", f" with reduction {r!r}", _with_loss(name, reduction=r), r
            )
            yield replace(recipe, corners=tuple(loss_corners(name, r)))
        yield from _option_recipes(f"loss.{name}", _with_loss)
        recipe = _recipe(
            f"loss.{name}", " with weights of samples", _with_weights(name), "sample_weights"
        )
        yield replace(recipe, share=WEIGHTS_SHARE)
        if row.targets == "classes" and "probabilities" in row.class_targets:
            sentence, make = " of probabilities of classes", _with_loss(name, probabilities=True)
            recipe = _recipe(f"loss.{name}", sentence, make, "probabilities")
            yield replace(recipe, corners=tuple(loss_corners(name, "probabilities")))
    for name in LAYER_ROWS:
        sentence = " first, between others, last and twice in a row"
        recipe = _recipe(f"layer.{name}", sentence, _with_layer(name))
        yield replace(recipe, corners=tuple(layer_corners(name)))
        yield from _option_recipes(f"layer.{name}", _with_layer)
    for name in OPTIMIZER_ROWS:
        recipe = _recipe(f"optimizer.{name}", "", _with_optimizer(name))
        yield replace(recipe, corners=tuple(rule_corners(name)))
        yield from _option_recipes(f"optimizer.{name}", _with_optimizer)


def _option_recipes(name: str, make: Callable[[str, str], Make]) -> Iterator[Recipe]:
    kind, _, feature = name.partition(".")
    corners = {"loss": loss_corners, "layer": layer_corners, "optimizer": rule_corners}[kind]
    for option in row_of(feature).options:
        if option not in ALWAYS and option != "reduction":
            recipe = _recipe(name, f" with {option}", make(feature, option), option)
            share = row_of(feature).options[option].share
            visited = tuple(corners(feature, option)) if share == 1 else ()
            yield replace(recipe, feature=f"{feature}.{option}", share=share, corners=visited)


def _recipe(name: str, sentence: str, make: Make, suffix: str = "") -> Recipe:
    kind, _, feature = name.partition(".")
    judgements: tuple[str, ...] = DIFFERENTIAL if kind == "optimizer" else FORWARD
    if has_buffers(feature):
        judgements = (*FORWARD, "params")
    full_name = f"{name}.{suffix}" if suffix else name
    return Recipe(full_name, feature + sentence, make, 1, judgements, feature)


def _with_loss(
    name: str, option: str | None = None, *, probabilities: bool = False, **given: Any
) -> Make:
    def make(draft: Draft) -> Case:
        loss = draft.loss(name, **given)
        widths = draft.widths(min(1 + draft.chance(0.5), draft.max_depth), loss)
        drawn = option
        if probabilities and draft.chance(0.5):
            claimed = [o for o in ("weight", "label_smoothing") if o in draft.claims.losses[name]]
            drawn = draft.pick(claimed) if claimed else None
        return draft.case(widths=widths, loss=loss, loss_option=drawn, probabilities=probabilities)

    return make


def _with_weights(name: str) -> Make:
    """Draw cases of two samples or more, because the mean of one sample ignores its weight."""

    def make(draft: Draft) -> Case:
        options = [o for o in draft.options(name) if o != "factor"]
        drawn = draft.pick(options) if options and draft.chance(0.5) else None
        loss = draft.loss(name)
        widths = draft.widths(min(1 + draft.chance(0.5), draft.max_depth), loss)
        n = draft.count(draft.max_batch, 2 if draft.max_batch > 1 else 1)
        case = draft.case(widths=widths, loss=loss, loss_option=drawn, n=n)
        return case.but(sample_weights=draft.sample_weights(n))

    return make


def _with_layer(name: str, option: str | None = None) -> Make:
    linear = name == "Linear"
    places, letter = (LINEAR_PLACES, "A") if linear else (PLACES, "L")

    def admitted(draft: Draft) -> list[str]:
        has_others = any(n != name for n in draft.activations())
        return [
            p
            for p in places
            if p.count(letter) <= draft.max_depth
            and ("B" not in p or has_others)
            and _is_admitted(draft, p, letter)
        ]

    def make(draft: Draft) -> Case:
        others = [n for n in draft.activations() if n != name]
        place = draft.pick(admitted(draft))
        loss = draft.loss()
        multiple = 1 if linear else LAYER_ROWS[name].multiple ** place.count("A")
        first, *outputs = (multiple * w for w in draft.widths(place.count(letter), loss))
        layers: list[Any] = []
        width = first
        for mark in place:
            if mark == letter:
                ends = {"in_features": width, "out_features": outputs.pop(0)}
                layers.append(draft.layer("Linear", option if linear else None, **ends))
            else:
                known = (name, option) if mark == "A" else (draft.pick_name(others), None)
                layers.append(draft.layer(*known))
            layers[-1] = fit(layers[-1], width)
            width = width_of(layers[-1], width)
        if not gives_probabilities(layers[-1]):
            layers += draft.closing_layers(loss)
        if not draft.claims.admits_network(layer["type"] for layer in layers):
            layers.append(draft.layer(draft.pick_name(draft.activations())))
        case = draft.case(layers=layers, loss=loss, widths=[first])
        if has_buffers(name):
            case = _tracked(draft, case)
        if draft.chance(0.2):  # An incorrect layer may treat an input of exactly 0 differently.
            off = draft.rng.random(case.x.shape) < 0.3
            return case.but(x=np.where(off, 0, case.x).astype(case.dtype))
        return case

    return make


def _tracked(draft: Draft, case: Case) -> Case:
    """Return a case of several steps in training, with the learning rate 0 where that is claimed.

    Then the buffers follow from all steps, and do not depend on the update rule.
    """
    rule = case.optimizer
    if rule is None or case.noise is None or not OPTIMIZER_ROWS[rule["type"]].scales_with_lr:
        return case
    several = case.but(optimizer={**rule, "lr": 0.0}, steps=draft.count(draft.max_steps))
    return case if draft.claims.refuses(several) else several


def _is_admitted(draft: Draft, place: str, letter: str) -> bool:
    """Return True if the claims admit the place, or the place and a last layer after it."""
    names = ["Linear" if mark == letter else "" for mark in place]
    return any(draft.claims.admits_network(order) for order in (names, [*names, ""]))


def _with_optimizer(name: str, option: str | None = None) -> Make:
    def make(draft: Draft) -> Case:
        case = draft.training_case(draft.optimizer(name, option))
        if not case.learned:
            raise Impossible
        return case

    return make
