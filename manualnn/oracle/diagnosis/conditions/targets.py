"""Conditions on the targets: their sign, 0 and 1, the class, the distance from the outputs."""

from collections.abc import Callable, Iterator

import numpy as np

from manualnn.oracle.diagnosis.conditions.outcome import Judge
from manualnn.oracle.diagnosis.conditions.rules import Reals, find_range
from manualnn.oracle.diagnosis.conditions.setting import SEEDS, Condition, Setting
from manualnn.oracle.diagnosis.location import input_of_layer
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import LOSS_ROWS

NUMBERS: dict[str, Callable[[Array], Array]] = {
    "negative": lambda t: -np.abs(t),
    "positive": np.abs,
    "exactly 0": np.zeros_like,
}
SIGNS: dict[str, Callable[[Array], Array]] = {
    "1": np.ones_like,
    "−1": lambda t: -np.ones_like(t),
}
PROBABILITIES: dict[str, Callable[[Array], Array]] = {
    "exactly 0": np.zeros_like,
    "exactly 1": np.ones_like,
    "between 0 and 1": lambda t: 0.1 + 0.8 * t,
}
DISTANCES = (1e-3, 0.03, 0.3, 0.7, 1.5, 4.0, 30.0)


def targets(judge: Judge, base: Setting) -> Iterator[Condition]:
    """Yield conditions on the targets. The base may pass."""
    if judge.first.startswith(("outputs", "state", "params")):
        return
    kind = LOSS_ROWS[base.case.loss["type"]].targets
    if kind in {"classes", "labels"}:
        if base.case.t.ndim == 1:
            yield from _classes(judge, base)
        return
    changes = {"numbers": NUMBERS, "signs": SIGNS}.get(kind, PROBABILITIES)
    settings = {name: base.but(change=_changed(change)) for name, change in changes.items()}
    yield from _only(judge, settings, "a target is")
    if kind == "numbers":
        signs = {"greater": 1.0, "less": -1.0}
        settings = {name: base.but(change=_away(sign)) for name, sign in signs.items()}
        yield from _only(judge, settings, "an output is", " than its target")
        yield from _distances(judge, base)


def _only(
    judge: Judge, settings: dict[str, Setting], text: str, ending: str = ""
) -> Iterator[Condition]:
    """Yield the condition that exactly one of some settings fails, or that all but one do."""
    outcomes = {name: setting.fails(judge, SEEDS[:2]) for name, setting in settings.items()}
    failing = [name for name, failed in outcomes.items() if failed]
    passing = [name for name, failed in outcomes.items() if failed is False]
    if failing and passing and len(failing) < 3:
        names = " or ".join(failing)
        inside, outside = (tuple(settings[n] for n in side) for side in (failing, passing))
        yield Condition(f"only where {text} {names}{ending}", inside, outside)


def _classes(judge: Judge, base: Setting) -> Iterator[Condition]:
    """Yield the condition that the class is the first or the last one, of 4 and of 5 classes."""

    def of_class(count: int, k: int) -> Setting:
        sizes = (*base.sizes[:-1], count)
        return base.but(sizes=sizes, change=lambda case: case.but(t=np.full_like(case.t, k)))

    outcomes = [of_class(4, k).fails(judge, SEEDS[:1]) for k in range(4)]
    for name, k in (("first", 0), ("last", -1)):
        others = [1, 2, 3] if k == 0 else [0, 1, 2]
        if outcomes[k] and all(outcomes[i] is False for i in others):
            inside = (of_class(4, k % 4), of_class(5, k % 5))
            outside = (*(of_class(4, i) for i in others), of_class(5, 2), of_class(5, 3 + k // 2))
            yield Condition(f"only for targets of the {name} class", inside, outside)


def _distances(judge: Judge, base: Setting) -> Iterator[Condition]:
    """Yield the condition on the distance of the outputs from the targets."""

    def at(distance: float) -> Setting:
        return base.but(change=_away(None, distance))

    def fails(distance: float) -> bool | None:
        return at(distance).fails(judge, SEEDS[:1])

    outcomes: Reals = {distance: fails(distance) for distance in DISTANCES}
    rule = find_range("|output − target|", outcomes, fails)
    if rule is not None:
        sides = ([d for d in outcomes if outcomes[d] is failed] for failed in (True, False))
        inside, outside = (tuple(map(at, side[:4])) for side in sides)
        yield Condition(f"only where {rule.text}", inside, outside)


def _changed(change: Callable[[Array], Array]) -> Callable[[Case], Case]:
    return lambda case: case.but(t=change(case.t).astype(case.t.dtype) + 0.0)


def _away(sign: float | None, distance: float | None = None) -> Callable[[Case], Case]:
    """Return a change that puts targets on one side of the outputs, or at one distance."""

    def change(case: Case) -> Case:
        y = input_of_layer(case, len(case.layers)).astype(float)
        away = y - case.t if distance is None else np.sign(y - case.t) * distance
        t = y - (away if sign is None else sign * np.abs(away))
        return case.but(t=t.astype(case.t.dtype))

    return change
