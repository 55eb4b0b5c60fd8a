"""Corners of optimizers: every value of an option, the first and later updates, zero gradients.

rule_corners("Adam", "amsgrad")     makers of cases: fresh, with a given state, of several steps
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import Impossible
from manualnn.oracle.cases.corners.layers import Make, nth
from manualnn.oracle.cases.draft import Draft, with_rule
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import OPTIMIZER_ROWS, options_of, state_of

STARTS = ("fresh", "second", "late", "several", "zero", "zero, second")
"""No update before; one; a thousand; none, and three steps; the same with gradients of 0."""
FAR = 256.0
"""A maximum over all updates is that much above or below the newest number."""
COMPANIONS = {
    "nesterov": ("momentum", "weight_decay"),
    "dampening": ("momentum",),
    "centered": ("momentum",),
    "decoupled_weight_decay": ("weight_decay",),
    "groups": ("weight_decay",),
    "lr_decay": ("initial_accumulator_value",),
}
"""Options that come with another one in its corners, if they are claimed."""


def rule_corners(name: str, option: str | None = None) -> Iterator[Make]:
    """Yield makers of the corners of an optimizer, or of one of its options."""
    row = OPTIMIZER_ROWS[name]
    if option is None:
        yield from (partial(_rule, name, None, 0, start) for start in STARTS)
        return
    count = len(row.options[option].others)
    for start in ("second", "fresh"):
        yield from (partial(_rule, name, option, number, start) for number in range(count))
    for start in ("late", "several"):
        yield partial(_rule, name, option, 0, start)


def given_options(draft: Draft, name: str, option: str | None, number: int = 0) -> dict[str, Any]:
    """Return values of an option, by the number, and of its companions; none is the default."""
    if option is None:
        return {}

    def others(o: str) -> list[Any]:
        default = OPTIMIZER_ROWS[name].options[o].default
        return [v for v in draft.values(name, o) if not _is_equal(v, default)]

    given = {option: nth(others(option), number)}
    for companion in COMPANIONS.get(option, ()):
        if companion in draft.claim_of(name):
            with suppress(Impossible):
                given[companion] = nth(others(companion), 0)
    return given


def start_at(draft: Draft, case: Case, optimizer: dict[str, Any], start: str) -> Case:
    """Return a case with the optimizer at that start, or as near to it as the claims allow."""
    case = with_rule(case.but(state=None, steps=1), optimizer)
    if start == "fresh" or not case.learned:
        return case
    after = {"second": 1, "late": 1000}.get(start)
    if not after or not draft.claims.accepts_state:
        return case.but(steps=min(2 if start == "second" else 3, draft.max_steps))
    state = draft.state(optimizer, case.learned, after)
    for array in state_of(options_of(optimizer)):
        if array.is_maximum:
            state[array.name] = {k: _far_apart(a) for k, a in state[array.name].items()}
    return case.but(state=state)


def _rule(name: str, option: str | None, number: int, start: str, draft: Draft) -> Case:
    given = given_options(draft, name, option, number)
    optimizer = draft.optimizer(name, option, **given)
    widths = [max(2, min(w, 4)) for w in draft.widths(min(2, draft.max_depth))]
    case = draft.case(widths=widths)
    if not case.learned or not optimizer:
        raise Impossible
    if "zero" in start:
        x = case.x.copy()
        x[:, 0] = 0
        case, start = case.but(x=x), start.removeprefix("zero, ").replace("zero", "fresh")
    return start_at(draft, case, optimizer, start)


def _far_apart(a: Array) -> Array:
    """Return an array whose entries are in turn much larger and much smaller."""
    return (a * np.resize((FAR, 1 / FAR), a.size).reshape(a.shape)).astype(a.dtype)


def _is_equal(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and bool(np.all(np.equal(a, b)))
