"""Corners of the stress recipes: every size, rate, step, layer and optimizer for certain.

    sized(n=1, width=1), filled_with_zeros("x"), with_steps_before(1000), first_in_line(3), …

Each returns a maker of cases.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import Impossible
from manualnn.oracle.cases.corners.layers import Make
from manualnn.oracle.cases.corners.rules import given_options, start_at
from manualnn.oracle.cases.draft import Draft, least_outputs, with_rule
from manualnn.oracle.cases.lattice import draw_on_kinks, draw_on_lattice
from manualnn.oracle.cases.sizes import take_no_samples
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import LAYER_ROWS, LOSS_ROWS, OPTIMIZER_ROWS

KEPT_OPTIONS = ("momentum", "amsgrad", "centered")
"""Options by which an optimizer keeps all of its arrays."""


def sized(*, n: int | None = None, width: int | None = None, depth: int | None = None) -> Make:
    """Return a maker of cases with that many samples, columns or Linear layers."""

    def make(draft: Draft) -> Case:
        loss = draft.loss()
        if (depth and depth > (draft.claims.max_depth or depth)) or (depth and not draft.max_depth):
            raise Impossible
        widths = list(draft.widths(min(1, draft.max_depth) if depth is None else depth, loss))
        if width:
            widths = [width] * len(widths)
            widths[-1] = max(width, least_outputs(loss))
        return draft.training_case(widths=widths, loss=loss, n=n)

    return make


def as_many_samples_as(place: int) -> Make:
    """Return a maker of cases whose number of samples is a width; −1 is that of the outputs."""

    def make(draft: Draft) -> Case:
        loss = draft.loss()
        widths = draft.widths(loss=loss)
        if widths[place] > draft.max_batch:
            raise Impossible
        return draft.training_case(widths=widths, loss=loss, n=int(widths[place]))

    return make


def filled_with_zeros(name: str) -> Make:
    """Return a maker of cases in which the arrays of that name are all zeros."""

    def make(draft: Draft) -> Case:
        loss, linear = draft.loss(), {}
        if name == "bias":
            if not draft.max_depth:
                raise Impossible
            width = max(least_outputs(loss), draft.count(draft.max_width))
            linear = draft.layer("Linear", in_features=2, out_features=width, bias=True)
        layers = [linear, *draft.closing_layers(loss)] if linear else None
        case = draft.training_case(loss=loss, layers=layers)
        names = [n for n, a in case.arrays().items() if a.dtype.kind == "f" and n.endswith(name)]
        if not names:
            raise Impossible
        return case.map(lambda n, a: np.zeros_like(a) if n in names else a)

    return make


def at_rate(rate: float) -> Make:
    """Return a maker of cases with that learning rate."""

    def make(draft: Draft) -> Case:
        return draft.training_case(draft.optimizer(lr=rate)).but(steps=1)

    return make


def with_steps_before(steps: int) -> Make:
    """Return a maker of cases after that many updates; of one step if it is 0."""

    def make(draft: Draft) -> Case:
        optimizer = draft.optimizer()
        loss = draft.loss()
        case = draft.case(widths=draft.widths(min(2, draft.max_depth), loss), loss=loss)
        if not optimizer or not case.learned or (steps and not draft.claims.accepts_state):
            raise Impossible
        if not steps:
            return with_rule(case, optimizer)
        return draft.with_steps(case, optimizer, steps)

    return make


def first_in_line(number: int, start: str, *, lr: float | None = None) -> Make:
    """Return a maker of cases with the layer and the optimizer of that number, in turn.

    The layer comes first, so that its input is x itself. The optimizer keeps all of its arrays.
    """

    def make(draft: Draft) -> Case:
        new, layers = draft.newcomer, list(draft.claims.layers)
        rules = list(draft.claims.optimizers)
        if number >= max(len(layers), len(rules)):
            raise Impossible
        name = new if new in layers else layers[number % len(layers)]
        network = _before_linear(draft, name)
        loss = draft.loss()
        case = draft.case(layers=[*network, *draft.closing_layers(loss)], loss=loss)
        if not rules or not case.learned:
            return case
        rule = new if new in rules else rules[number % len(rules)]
        given: dict[str, Any] = {} if lr is None else {"lr": lr}
        for option in KEPT_OPTIONS:
            if option in draft.claim_of(rule):
                try:
                    given |= given_options(draft, rule, option)
                except Impossible:
                    continue
        return start_at(draft, case, draft.optimizer(rule, **given) or {}, start)

    return make


def alone(name: str) -> Make:
    """Return a maker of cases of one layer without parameters, which may return its input."""

    def make(draft: Draft) -> Case:
        if name not in draft.claims.layers:
            raise Impossible
        loss = draft.loss()
        layers = [draft.layer(name), *draft.closing_layers(loss)]
        return draft.case(layers=layers, loss=loss, widths=draft.widths(0, loss)).but(noise=None)

    return make


def empty(number: int) -> Make:
    """Return a maker of cases without samples, of the layer and the loss of that number."""

    def make(draft: Draft) -> Case:
        layers = list(draft.claims.layers)
        losses = [n for n in draft.claims.losses if "sum" in draft.values(n, "reduction")]
        if number >= max(len(layers), len(losses)) or not losses:
            raise Impossible
        loss = losses[number % len(losses)]
        network = _before_linear(draft, layers[number % len(layers)], least_outputs({"type": loss}))
        network += draft.closing_layers({"type": loss})
        return take_no_samples(draft, loss, layers=network)

    return make


def _before_linear(draft: Draft, name: str, least: int = 2) -> list[Any]:
    """Return a layer with a Linear one after it, if that is claimed."""
    width = max(least, draft.count(draft.max_width))
    out = max(least, draft.count(draft.max_width))
    if not draft.max_depth:
        return [draft.layer(name)]
    linear = draft.layer("Linear", in_features=width, out_features=out)
    return [linear] if name == "Linear" else [draft.layer(name), linear]


def every(corner: Callable[..., Make], *values: Any, **given: Any) -> tuple[Make, ...]:
    """Return the corners of several values."""
    return tuple(corner(value, **given) for value in values)


LATTICE = tuple(
    partial(draw_on_lattice, loss_name=name, size=size)
    for size in (1, 2)
    for name, row in LOSS_ROWS.items()
    if row.is_exact and row.is_partner
)
KINKS = tuple(
    partial(draw_on_kinks, hidden=name)
    for name, row in LAYER_ROWS.items()
    if row.has_kink and row.is_exact
)
LAYERS, RULES = (
    range(sum(row.is_partner for row in rows.values()))  # newcomers have cases of their own
    for rows in (LAYER_ROWS, OPTIMIZER_ROWS)
)
MEMORY = (
    *every(first_in_line, *LAYERS, start="second", lr=0.0),
    *every(first_in_line, *RULES, start="fresh"),
    *every(first_in_line, *RULES, start="second"),
    *every(alone, "Identity", "Dropout", "ReLU"),
)
HISTORY = every(first_in_line, *LAYERS, start="several")
EMPTY = every(empty, *LAYERS)
