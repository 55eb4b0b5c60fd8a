"""Checks of calls after other calls: the same again, two graphs at once, one graph used twice."""

from manualnn.gradcheck.behaviour.check import WITH_MEMORY, Check, Trial, check
from manualnn.gradcheck.data import Finding
from manualnn.gradcheck.functions.base import FunctionFailed

STATE = (
    "Keep what backward needs with the call (torch: on ctx), not in a class or a global variable"
)


@check("repeatable", "the same call gives the same gradient again, also after other calls")
def _repeatable(trial: Trial) -> Finding | None:
    trial.base  # noqa: B018, the first call
    again = trial.vjp(trial.point)
    found = trial.repeat("a second call gives another gradient", again, trial.base, trial.point)
    other = trial.other_point()
    if found or other is None:
        return found
    again = trial.vjp(trial.point)
    message = f"a call with other numbers changes the gradient of the next call. {STATE}"
    return trial.repeat(message, again, trial.base, trial.point)


@check(
    "graphs",
    "two graphs that are alive at once do not change each other",
    needs="forward",
    frameworks=WITH_MEMORY,
)
def _graphs(trial: Trial) -> Finding | None:
    """Make two forward passes, then both backward passes, in both orders."""
    other = trial.other_point()
    if other is None:
        return None
    points = {"first": trial.point, "second": other}
    alone = {name: trial.alone(point) for name, point in points.items()}
    for order in (("first", "second"), ("second", "first")):
        graphs = {name: trial.function.forward(p.copied().arrays) for name, p in points.items()}
        for name in order:
            try:
                got = trial.filled(graphs[name].backward(points[name].copied().cotangents))
            except FunctionFailed as failed:
                return trial.failure("backward fails after another forward pass", failed)
            found = trial.repeat(
                f"after two forward passes, backward of the {name} gives another gradient than "
                f"alone. {STATE}",
                got,
                alone[name],
                points[name],
            )
            if found:
                return found
    return None


@check(
    "retained",
    "two backward passes of one graph give the same gradient",
    needs="forward",
    frameworks=WITH_MEMORY,
)
def _retained(trial: Trial) -> Finding | None:
    point = trial.point.copied()
    graph = trial.function.forward(point.arrays)
    first = trial.filled(graph.backward(point.cotangents))
    try:
        again = trial.filled(graph.backward(trial.point.copied().cotangents))
    except FunctionFailed as failed:
        return trial.failure("a second backward with retain_graph=True fails", failed)
    message = (
        "a second backward with retain_graph=True gives another gradient. "
        "Do not change saved arrays in backward"
    )
    return trial.repeat(message, again, first, trial.point)


CHECKS: tuple[Check, ...] = (_repeatable, _graphs, _retained)
