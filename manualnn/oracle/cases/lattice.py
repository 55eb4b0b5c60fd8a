"""Cases in which no operation rounds: small integers, and powers of two to divide and step by.

    lattice(draft)       a case with integers throughout
    on_kinks(draft)      the same with pre-activations of exactly 0, and targets that are met

Every sum and product in such a case is a multiple of one power of two and less than 2²⁴ of it:
exact in float32, in whatever order. Weights and biases are up to 1, inputs and targets up to 2,
layers up to 4 wide, so that outputs are at most 4 (4 · 2 + 1) + 1 = 37 and errors at most 39; two
slopes of ¼ leave multiples of 2⁻⁴, whose squares sum to less than 2²⁴ · 2⁻⁸ over 32 outputs.
Gradients are multiples of 2⁻¹² up to 156, updates by lr ≥ ¼ of 2⁻¹⁴ up to 256.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from manualnn.oracle.cases.draft import Draft
from manualnn.oracle.protocol.case import Array, Case

DYADIC = {"LeakyReLU": (0.5, 0.25, 0.0), "HuberLoss": (1.0, 2.0, 0.5)}
DYADIC_LAYERS = ("ReLU", "LeakyReLU", "Identity", "Dropout")
SIZES = (1, 2, 4)


def lattice(draft: Draft) -> Case:
    """Return a case of at most two Linear layers, in which nothing rounds."""
    losses = [n for n in ("MSELoss", "L1Loss", "HuberLoss") if n in draft.claims.losses]
    loss = draft.loss(draft.among("losses", losses))
    if loss["type"] == "HuberLoss":
        loss["delta"] = _dyadic(draft, "losses", "HuberLoss", "delta")
    depth = min(1 + draft.chance(0.6), draft.max_depth)
    sizes = [s for s in SIZES if s <= min(draft.max_width, draft.max_batch)]
    widths = [draft.pick(sizes) for _ in range(depth + 1)]
    layers = _layers(draft, widths)
    n = draft.pick([s for s in (1, 2, 4, 8) if s <= draft.max_batch])
    drawn = draft.case(widths=widths, layers=layers, loss=loss, n=n, optimizer=_sgd(draft))
    drawn = drawn.but(steps=1)

    def integers(name: str, a: Array) -> Array:
        if name.startswith("noise"):
            return draft.rng.integers(0, 2, a.shape).astype(a.dtype)
        most = 2 if name in ("x", "t") else 1
        return draft.rng.integers(-most, most + 1, a.shape).astype(a.dtype)

    return drawn.map(integers)


def on_kinks(draft: Draft) -> Case:
    """Return a lattice case whose errors and pre-activations are often exactly 0, or tie."""
    case = lattice(draft)
    for key, array in case.params.items():
        if draft.chance(0.4):  # a row of zeros: z = 0 for every sample
            array[int(draft.rng.integers(len(array)))] = draft.pick((0.0, -0.0))
        elif draft.chance(0.3) and key.endswith("weight"):
            array[:] = array[:1]  # ties
    return case.but(t=_met(draft, case))


def _met(draft: Draft, case: Case) -> Array:
    """Return targets that are outputs, or differ from them by the loss's own kink."""
    y = case.x
    for i, layer in enumerate(case.layers):
        if layer["type"] == "Linear":
            y = y @ case.params[f"{i}.weight"].T + case.params.get(f"{i}.bias", 0)
        elif layer["type"] == "Dropout":
            y = y * (case.noise or {}).get(f"{i}.mask", 1)
        elif layer["type"] != "Identity":
            y = np.where(
                y > 0, y, layer.get("negative_slope", 0.01) * y if "Leaky" in layer["type"] else 0
            )
    by = case.loss.get("delta", 1.0) * draft.rng.integers(-1, 2, y.shape)
    met = draft.rng.random(y.shape) < 0.7
    return np.where(met, y - by, case.t).astype(case.dtype)


def _layers(draft: Draft, widths: list[int]) -> list[Any]:
    names = [n for n in DYADIC_LAYERS if n in draft.claims.layers]
    layers: list[Any] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        if i and names:
            layers.append(_exact(draft, draft.among("layers", names)))
        layers.append(draft.layer("Linear", in_features=a, out_features=b))
    if not layers or (names and draft.chance(0.2)):
        layers.append(_exact(draft, draft.among("layers", names)))
    return layers


def _exact(draft: Draft, name: str) -> dict[str, Any]:
    """Return a layer whose slope is dyadic; Impossible if none is claimed."""
    if name != "LeakyReLU":
        return draft.layer(name)
    return {"type": name, "negative_slope": _dyadic(draft, "layers", name, "negative_slope")}


def _dyadic(draft: Draft, kind: str, name: str, option: str) -> float:
    claim = getattr(draft.claims, kind)[name].get(option, [])
    if claim == "any":
        return float(draft.pick(DYADIC[name]))
    values = draft.values(kind, name, option)
    return float(draft.pick([value for value in values if value in DYADIC[name]]))


def _sgd(draft: Draft) -> dict[str, Any] | None:
    """Return SGD with dyadic numbers, if it is claimed."""
    if "SGD" not in draft.claims.optimizers:
        return None
    spec: dict[str, Any] = {"type": "SGD", "lr": draft.pick((0.25, 0.5, 1.0))}
    for option, values in (
        ("momentum", (0.0, 0.5)),
        ("weight_decay", (0.0, 0.5)),
        ("maximize", (False, True)),
        ("nesterov", (False, True)),
    ):
        claim = draft.claims.optimizers["SGD"].get(option, [])
        value = draft.pick(values)
        if value and (claim == "any" or value in claim):
            spec[option] = value
    if spec.get("nesterov") and not spec.get("momentum"):
        del spec["nesterov"]
    return spec
