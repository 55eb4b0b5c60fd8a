"""Cases in which no operation rounds: small integers, with powers of two as divisors and factors.

    draw_on_lattice(draft)    a case with integers throughout
    draw_on_kinks(draft)      the same with pre-activations of exactly 0, and exact targets
    is_exact(case, "loss")    True if every correct program computes the quantity without rounding

Every sum and product in such a case is a multiple of one power of two and less than 2²⁴ of it.
It is therefore exact in float32, in every order. Weights and biases are up to 1, inputs and targets
up to 2, layers up to 4 wide, so that outputs are at most 4 (4 · 2 + 1) + 1 = 37 and errors at most
39. Two slopes of ¼ leave multiples of 2⁻⁴, whose squares sum to less than 2²⁴ · 2⁻⁸ over 32
outputs. Gradients are multiples of 2⁻¹² up to 156, updates by lr ≥ ¼ of 2⁻¹⁴ up to 256.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import Impossible
from manualnn.oracle.cases.draft import Draft
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import LAYER_ROWS, LOSS_ROWS, options_of, row_of
from manualnn.oracle.truth.step import truth

SIZES = (1, 2, 4)
GRAIN = 32.0
"""Arrays of the lattice hold multiples of 1 / GRAIN."""
LARGEST = 64.0
"""A bound on the numbers in arrays of the lattice."""


def is_exact(case: Case, quantity: str) -> bool:
    """Return True if every correct program computes a quantity of a case without rounding.

    Outputs are sums of products. Other quantities are exact if one path leads from each number to
    the loss: one sample, and one unit in every layer after the input. There are no means of parts,
    no running means and no norms, which round. If every number is a power of two, a complex step
    rounds nothing either. A program may compute Huber's slope by a quotient, as it may clip a norm.
    """
    if quantity == "outputs":
        return True
    return (
        case.loss["type"] in ("MSELoss", "L1Loss")
        and {case.n, *case.widths[1:]} == {1}
        and _is_on_lattice(case)
    )


def _is_on_lattice(case: Case) -> bool:
    """Return True if sizes, numbers and options are those of the lattice."""
    numbers: list[Any] = []
    for _, spec in case.parts():
        numbers += [v for v in vars(options_of(spec)).values() if isinstance(v, float)]
    is_sgd = case.optimizer is None or case.optimizer["type"] == "SGD"
    arrays = [*case.arrays().values(), np.array(numbers)]
    return (
        is_sgd
        and case.steps == 1
        and all(LAYER_ROWS[layer["type"]].is_exact for layer in case.layers)
        and sum(layer["type"] == "Linear" for layer in case.layers) <= 2
        and set(case.widths) <= set(SIZES)
        and all(np.all((a * GRAIN % 1 == 0) & (abs(a) <= LARGEST)) for a in arrays)
    )


def draw_on_lattice(
    draft: Draft, *, loss_name: str = "", hidden: str = "", size: int | None = None
) -> Case:
    """Return a case of at most two Linear layers in which nothing rounds.

    `hidden` is the layer between two Linear layers. `size` is the number of samples and of units of
    every layer. What is not given is drawn.
    """
    losses = [name for name in draft.claims.losses if LOSS_ROWS[name].is_exact]
    if loss_name:
        losses = [name for name in losses if name == loss_name]
    name = draft.pick_name(losses)
    loss = draft.loss(name) | _exact_options(draft, name)
    deep = bool(hidden) or (size != 1 and draft.chance(0.6))
    depth = min(1 + deep, draft.max_depth)
    if hidden and depth < 2:
        raise Impossible
    sizes = [s for s in SIZES if s <= min(draft.max_width, draft.max_batch)]
    widths = [draft.pick(sizes) for _ in range(depth + 1)]
    widths[1:] = [size or width for width in widths[1:]]
    layers = _layers(draft, widths, hidden)
    n = size or draft.pick([s for s in (1, 2, 4, 8) if s <= draft.max_batch])
    case = draft.case(widths=widths, layers=layers, loss=loss, n=n)
    sgd = _sgd(draft, has_momentum=size == 1)
    if sgd and case.params:
        case = draft.with_steps(case, sgd).but(steps=1)

    def integers(name: str, a: Array) -> Array:
        if name.startswith("noise"):
            return a
        most = 2 if name in ("x", "t") else 1
        return draft.rng.integers(-most, most + 1, a.shape).astype(a.dtype)

    case = case.map(integers)
    if size == 1:  # Powers of two, the error included: see `is_exact`.
        case = case.map(
            lambda name, a: a if name[0] in "tn" else np.where(a == 0, a.dtype.type(1), a)
        )
        t = _outputs(case) - draft.pick((1.0, -1.0, 2.0, -2.0))
        return case.but(t=t.astype(case.dtype))
    return case


def draw_on_kinks(draft: Draft, *, hidden: str = "") -> Case:
    """Return a lattice case whose errors and pre-activations are often exactly 0, or tie.

    If a hidden layer is given, its first input is exactly 0 for every sample.
    """
    case = draw_on_lattice(draft, hidden=hidden)
    for key, array in case.params.items():
        if hidden and key.startswith("0."):
            array[0] = 0
        elif draft.chance(0.4):  # A row of zeros makes z = 0 for every sample.
            array[int(draft.rng.integers(len(array)))] = draft.pick((0.0, -0.0))
        elif draft.chance(0.3) and key.endswith("weight"):
            array[:] = array[:1]  # Equal rows make ties.
    y = _outputs(case)
    corner = next((v for o, v in case.loss.items() if _exact_values(case.loss["type"], o)), 1.0)
    offset = corner * draft.rng.integers(-1, 2, y.shape)
    met = draft.rng.random(y.shape) < 0.7
    return case.but(t=np.where(met, y - offset, case.t).astype(case.dtype))


def _outputs(case: Case) -> Array:
    return truth(case.but(optimizer=None, state=None)).outputs.v


def _layers(draft: Draft, widths: list[int], hidden: str = "") -> list[Any]:
    names = [name for name in draft.activations() if LAYER_ROWS[name].is_exact]
    if hidden:
        names = [name for name in names if name == hidden]
        if not names:
            raise Impossible
    layers: list[Any] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        if i and names:
            layers.append(_exact_layer(draft, names))
        layers.append(draft.layer("Linear", in_features=a, out_features=b))
    if not layers or (names and draft.chance(0.2)):
        layers.append(_exact_layer(draft, names))
    return layers


def _exact_layer(draft: Draft, names: list[str]) -> dict[str, Any]:
    name = draft.pick_name(names)
    return draft.layer(name, **_exact_options(draft, name))


def _exact_options(draft: Draft, name: str) -> dict[str, Any]:
    """Return exact values of the options that need one; raises Impossible if none is claimed."""
    chosen = {}
    for option, known in row_of(name).options.items():
        if exact := _exact_values(name, option):
            claimed = draft.claim_of(name).get(option, [])
            allowed = exact if claimed == "any" else [known.default, *claimed]
            chosen[option] = draft.pick([value for value in allowed if value in exact])
    return chosen


def _exact_values(name: str, option: str) -> tuple[Any, ...]:
    known = row_of(name).options.get(option)
    return known.exact if known else ()


def _sgd(draft: Draft, *, has_momentum: bool = False) -> dict[str, Any] | None:
    """Return SGD with dyadic numbers; None if it is not claimed."""
    claim = draft.claims.optimizers.get("SGD")
    if claim is None:
        return None
    spec: dict[str, Any] = {"type": "SGD", "lr": draft.pick((0.25, 0.5, 1.0))}
    for option, values in (
        ("momentum", (0.0, 0.5)),
        ("weight_decay", (0.0, 0.5)),
        ("maximize", (False, True)),
        ("nesterov", (False, True)),
    ):
        allowed = claim.get(option, [])
        value = values[1] if option == "momentum" and has_momentum else draft.pick(values)
        if value and (allowed == "any" or value in allowed):
            spec[option] = value
    if spec.get("nesterov") and not spec.get("momentum"):
        del spec["nesterov"]
    return spec
