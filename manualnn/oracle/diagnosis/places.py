"""Places of a case that hold a description: the number of a layer, "loss" or "optimizer"."""

from typing import Any

from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.masks import with_masks

Place = int | str


def specs_of(case: Case) -> dict[Place, dict[str, Any]]:
    """Return a copy of the description at every place, an optimizer if there is one."""
    specs: dict[Place, dict[str, Any]] = {i: dict(layer) for i, layer in enumerate(case.layers)}
    specs["loss"] = dict(case.loss)
    if case.optimizer is not None:
        specs["optimizer"] = dict(case.optimizer)
    return specs


def with_spec(case: Case, place: Place, spec: dict[str, Any]) -> Case:
    """Return the case with another description at a place, and masks for its p."""
    if isinstance(place, str):
        return case.but(**{place: spec})
    return with_masks(case.but(layers=(*case.layers[:place], spec, *case.layers[place + 1 :])))


def features_of(case: Case) -> set[str]:
    """Return the names of the layers, the loss and the optimizer of a case."""
    return {spec["type"] for _, spec in case.parts()}
