"""Experiments: cases far from a failing one, on which a known bug must show or be refuted.

    experiments(calls, claims)      calls that share little with the call of a failure

The calls have other sizes, numbers and options, more layers and steps, and they have other layers,
losses and update rules in place of the case's own.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from manualnn.oracle.cases.neighbours import (
    contrasting_calls,
    distinct_widths,
    ordinary_case,
)
from manualnn.oracle.cases.resize import is_valid
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import LAYER_ROWS, LOSS_ROWS

Calls = tuple[Case, ...]
MOST_PARTNERS = 3
"""Largest number of other layers that take the place of one layer."""


def experiments(calls: Sequence[Case], claims: Capabilities) -> Iterator[Calls]:
    """Yield calls that are claimed and have a truth, as different as possible from a single call.

    A failure that needs several calls depends on their sizes, so there are none for it.
    """
    if len(calls) > 1:
        return
    case, seen = calls[0], {calls[0].id}
    for far in (*contrasting_calls(case, claims), *((c,) for c in _exchanged(case, claims))):
        if far[-1].id not in seen:
            seen.add(far[-1].id)
            yield far


def _exchanged(case: Case, claims: Capabilities) -> Iterator[Case]:
    """Yield cases with numbers of other sizes and signs, and with other parts."""
    widths = distinct_widths(case)
    base = ordinary_case(case, 21, n=6, widths=widths)
    every = [
        *_of_other_numbers(base),
        *_with_other_layers(base, claims),
        *_with_other_losses(base, claims),
        *_with_updates(base),
    ]
    for other in every:
        if claims.refuses(other) is None and is_valid(other):
            yield other


def _of_other_numbers(base: Case) -> Iterator[Case]:
    """Yield cases with inputs that are all positive, all negative, or close to 0."""
    yield base.map(lambda name, a: np.abs(a) if name == "x" else a)
    yield base.map(lambda name, a: -np.abs(a) if name == "x" else a)
    yield base.map(lambda name, a: a * 0.01 if name in {"x", "t"} and a.dtype.kind == "f" else a)
    yield base.map(lambda name, a: a * 30 if name.startswith("params") else a)
    if base.t.dtype.kind == "f" and base.t.size and not 0 <= base.t.min() <= base.t.max() <= 1:
        yield base.but(t=base.t * 50)


def _with_other_layers(base: Case, claims: Capabilities) -> Iterator[Case]:
    """Yield the case without each layer that has no parameters, and with others in its place."""
    widths = distinct_widths(base)
    others = [name for name in claims.layers if LAYER_ROWS[name].is_elementwise]
    for i, layer in enumerate(base.layers):
        if layer["type"] == "Linear":
            continue
        for name in [n for n in others if n != layer["type"]][:MOST_PARTNERS]:
            layers = (*base.layers[:i], {"type": name}, *base.layers[i + 1 :])
            yield ordinary_case(base.but(layers=layers, noise=None), 22, n=5, widths=widths)


def _with_other_losses(base: Case, claims: Capabilities) -> Iterator[Case]:
    """Yield the case with other losses of the same kind of targets."""
    own = LOSS_ROWS[base.loss["type"]]
    for name in claims.losses:
        row = LOSS_ROWS[name]
        if name != own.name and row.targets == own.targets:
            yield ordinary_case(
                base.but(loss={"type": name}), 23, n=5, widths=distinct_widths(base)
            )


def _with_updates(base: Case) -> Iterator[Case]:
    """Yield the case after two and four updates, with a larger rate and with many samples."""
    if base.optimizer is not None:
        for steps in (2, 4):
            yield base.but(steps=steps, state=None)
        yield ordinary_case(base, 24, n=17, widths=distinct_widths(base)).but(steps=2, state=None)
