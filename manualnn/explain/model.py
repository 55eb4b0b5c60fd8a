"""The data of an explanation. Every number is a float; a `Formula` shows how it was computed.

Lists of derivatives, gradients and paths can be long, so they hold only some of them. The field
`…_left_out` after such a list is the number of the others.
"""

from dataclasses import dataclass
from typing import Any

from manualnn.explain.formula import Formula, Symbol


@dataclass(frozen=True)
class Quantity:
    """A number with its name."""

    symbol: Symbol
    value: float
    deviation: float | None = None
    """With decimals: the value minus its value in full precision."""
    formula: Formula | None = None
    rounded: bool = True
    """False if `decimals` does not apply, as to the state of some rules."""


@dataclass(frozen=True)
class LayerStep:
    """The outputs of one layer, and its local derivatives."""

    index: int
    layer: str
    forward: list[str]
    """The equations of its docstring."""
    backward: list[str]
    outputs: list[Quantity]
    derivatives: list[Quantity]
    """∂(output)/∂(input or parameter), as far as the chain rule needs them."""
    derivatives_left_out: int
    carried: list[Quantity]
    """∂L/∂(its inputs), computed by backward from ∂L/∂(its outputs)."""


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
    """D, the divisor of the sum of all terms, without the constant factor."""
    factor: float
    """The constant factor of the loss, which every term has."""
    terms: list[Quantity]
    """The term of each output, before the division by D."""
    total: Quantity
    slopes: list[Quantity]


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
    """∂L/∂w of one parameter w: its paths, their sum, the result of backward, and the update."""

    parameter: Quantity
    place: str
    """The units that the parameter connects."""
    path_count: int
    paths: list[PathStep]
    paths_left_out: int
    share: float
    """Σ |product| of the paths shown, divided by Σ |product| of all paths."""
    path_sum: Quantity
    backward: Quantity
    """With decimals: computed by the same kernels, with every operation rounded."""
    difference: float
    """The result of backward in float64, minus the path sum in full precision."""
    bound: float
    """Bound of the rounding error of backward in float64, to first order."""
    agrees: bool
    """True if the difference is within the bound."""
    state: list[Quantity]
    """The rule's state of the parameter after the update, by the names of its vectors."""
    updated: Quantity


@dataclass(frozen=True)
class ExplanationData:
    """All numbers of an explanation; `Explanation` adds the output formats."""

    spec: dict[str, Any]
    decimals: int | None
    notes: list[str]
    inputs: list[Quantity]
    targets: list[Quantity]
    layers: list[LayerStep]
    loss: LossStep
    gradients: list[Gradient]
    gradients_left_out: int
    backward: dict[str, Any]
    """∂L/∂(every parameter) by backward, in nested lists of the parameter's shape."""
    rule: str
    rule_rounded: bool
    """True if every operation of the rule is rounded, False if only the new parameter is."""
    rule_equations: list[str]
    errors: list[Quantity]
    """The error before the first update, and after each update."""
    stopped: str
    """Reason why the iterations ended: "epochs", "target_loss" or "diverged"."""
    stopped_unrounded: str
    """The same reason in full precision."""
