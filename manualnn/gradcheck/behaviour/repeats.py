"""Checks of calls after other calls: the same again, two graphs at once, one graph used twice."""

from collections.abc import Sequence

import numpy as np

from manualnn.gradcheck.behaviour.check import Check, Trial, check
from manualnn.gradcheck.data import Array, Finding, Point
from manualnn.gradcheck.functions.base import FunctionFailed

STATE = (
    "Keep what backward needs with the call (torch: on ctx), not in a class or a global variable"
)


@check("repeatable", "the same call gives the same gradient again, also after other calls")
def _repeatable(trial: Trial) -> Finding | None:
    trial.base  # noqa: B018, the first call
    again = trial.vjp(trial.point)
    found = trial.compare("a second call gives another gradient", again, trial.base)
    other = trial.other_point()
    if found or other is None:
        return found
    again = trial.vjp(trial.point)
    message = f"a call with other numbers changes the gradient of the next call. {STATE}"
    return trial.compare(message, again, trial.base)


@check("graphs", "two graphs that are alive at once do not change each other", needs="forward")
def _graphs(trial: Trial) -> Finding | None:
    """Make two forward passes, then both backward passes, in both orders."""
    other = trial.other_point()
    if other is None:
        return None
    points = {"first": trial.point, "second": other}
    expected = {name: trial.vjp(point) for name, point in points.items()}
    for order in (("first", "second"), ("second", "first")):
        graphs = {name: trial.function.forward(copied(p).arrays) for name, p in points.items()}
        for name in order:
            try:
                got = copies(graphs[name].backward(copied(points[name]).cotangents))
            except FunctionFailed as failed:
                return trial.failure("backward fails after another forward pass", failed)
            found = trial.compare(
                f"after two forward passes, backward of the {name} gives another gradient than "
                f"alone. {STATE}",
                got,
                expected[name],
                point=points[name],
            )
            if found:
                return found
    return None


@check("retained", "two backward passes of one graph give the same gradient", needs="forward")
def _retained(trial: Trial) -> Finding | None:
    point = copied(trial.point)
    graph = trial.function.forward(point.arrays)
    graph.backward(point.cotangents)
    try:
        again = copies(graph.backward(copied(trial.point).cotangents))
    except FunctionFailed as failed:
        return trial.failure("a second backward with retain_graph=True fails", failed)
    message = (
        "a second backward with retain_graph=True gives another gradient. "
        "Do not change saved arrays in backward"
    )
    return trial.compare(message, again, trial.base)


def copied(point: Point) -> Point:
    """Return a point whose arrays may be written to."""
    arrays, cotangents = (
        tuple(a.copy() for a in part) for part in (point.arrays, point.cotangents)
    )
    return Point(arrays, cotangents, point.style)


def copies(gradients: Sequence[Array | None]) -> list[Array | None]:
    """Return copies of gradients."""
    return [None if gradient is None else np.array(gradient) for gradient in gradients]


CHECKS: tuple[Check, ...] = (_repeatable, _graphs, _retained)
