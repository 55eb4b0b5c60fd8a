"""What an explanation consists of. Every number here is a float; how it came about is a Formula."""

import json
import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from manualnn.explain.formula import Formula, Symbol, to_text

SCHEMA = "manualnn.explain/1"


@dataclass(frozen=True)
class Quantity:
    """A number with its name."""

    symbol: Symbol
    value: float
    deviation: float | None = None
    """With decimals: value less what it is in full precision."""
    formula: Formula | None = None
    """Where its numbers were put in."""
    rounded: bool = True
    """Whether it is rounded where the rest is; a rule's state may not be."""


@dataclass(frozen=True)
class PlacedParameter:
    """A parameter, and between which units it sits."""

    quantity: Quantity
    place: str


@dataclass(frozen=True)
class LayerStep:
    """What one layer does, and its local derivatives."""

    index: int
    layer: str
    forward: list[str]
    """The equations of its docstring."""
    backward: list[str]
    outputs: list[Quantity]
    outputs_left_out: int
    derivatives: list[Quantity]
    """∂(output)/∂(input or parameter), those that the chain rule needs."""
    derivatives_left_out: int
    carried: list[Quantity]
    """∂L/∂(its inputs), as backward computes it from ∂L/∂(its outputs)."""
    carried_left_out: int


@dataclass(frozen=True)
class LossStep:
    """The error, and its derivative with respect to the outputs."""

    loss: str
    forward: list[str]
    backward: list[str]
    reduction: str
    samples: int
    width: int
    divisor: float
    """D, by which the sum of all terms is divided."""
    terms: list[Quantity]
    """What each output adds, before the reduction."""
    terms_left_out: int
    total: Quantity
    slopes: list[Quantity]
    slopes_left_out: int


@dataclass(frozen=True)
class PathStep:
    """One path from a parameter to the loss."""

    units: list[Symbol]
    """The parameter, the units it passes through, L."""
    factors: list[Quantity]
    """From the loss back to the parameter."""
    product: Quantity


@dataclass(frozen=True)
class Gradient:
    """∂L/∂w of one parameter w: its paths, their sum, what backward computed, the update."""

    parameter: Quantity
    path_count: int
    paths: list[PathStep]
    paths_left_out: int
    share: float
    """Σ |product| of the paths shown over Σ |product| of all; 1 where nothing is left out."""
    path_sum: Quantity
    backward: Quantity
    """With decimals: by the same kernels, with every operation rounded."""
    difference: float
    """What backward computed in float64 less the path sum in full precision."""
    ulps: float
    """The difference in units in the last place of the gradient."""
    bound: float
    """A bound of what rounding may do to backward in float64, to first order."""
    agrees: bool
    """Whether the difference is within the bound."""
    state: list[Quantity]
    """What the rule remembers of the parameter after the update, by the names of its vectors."""
    updated: Quantity


@dataclass(frozen=True)
class Explanation:
    """The whole story: see `manualnn.explain.explain`."""

    spec: dict[str, Any]
    decimals: int | None
    notes: list[str]
    inputs: list[Quantity]
    inputs_left_out: int
    targets: list[Quantity]
    targets_left_out: int
    parameters: list[PlacedParameter]
    parameters_left_out: int
    layers: list[LayerStep]
    loss: LossStep
    gradients: list[Gradient]
    gradients_left_out: int
    backward: dict[str, Any]
    """∂L/∂(every parameter), as backward computed it, in nested lists of the parameter's shape."""
    rule: str
    rule_rounded: bool
    """Whether every operation of the rule is rounded; else only the new parameter is."""
    rule_equations: list[str]
    errors: list[Quantity]
    """The error before the first update, and after each update."""
    stopped: str
    """Why the iterations ended: "epochs", "target_loss" or "diverged"."""
    stopped_unrounded: str
    """Why they end in full precision."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: numbers unrounded, names and formulas as plain text.

        What JSON has no number for stands as a string: "Infinity", "-Infinity" or "NaN".
        """
        return {"schema": SCHEMA, **_jsonable(self)}

    def to_json(self) -> str:
        """Return the explanation as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"

    def to_text(self) -> str:
        """Return the explanation in plain text."""
        from manualnn.explain.render.text import render

        return render(self)

    def to_markdown(self) -> str:
        """Return the explanation in Markdown with LaTeX formulas, as GitHub renders it."""
        from manualnn.explain.render.markdown import render

        return render(self)


def _jsonable(value: Any) -> Any:  # noqa: PLR0911
    if isinstance(value, Formula):
        return {"names": to_text(value, names=True), "numbers": to_text(value)}
    if isinstance(value, Symbol):
        return value.text
    if is_dataclass(value):
        return {field.name: _jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
