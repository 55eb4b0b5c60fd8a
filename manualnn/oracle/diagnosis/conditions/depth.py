"""Conditions on the depth of a network, and on the position of a layer in it."""

from collections.abc import Iterator
from itertools import product

from manualnn.oracle.cases.neighbours import distinct_widths
from manualnn.oracle.diagnosis.conditions.outcome import Judge, NumbersJudge
from manualnn.oracle.diagnosis.conditions.rules import Outcomes, find_rule
from manualnn.oracle.diagnosis.conditions.setting import FRESH, SEEDS, Condition, Setting
from manualnn.oracle.diagnosis.location import ACTIVATIONS, sharp_entries
from manualnn.oracle.diagnosis.observation import Observation
from manualnn.oracle.protocol.case import Case, Spec
from manualnn.oracle.truth.compare import group_of


def depths(judge: Judge, base: Setting) -> Iterator[Condition]:
    """Yield conditions on the number of Linear layers; all other layers stay."""
    own = len(_linear(base.case))
    if base.sizes[1:] != (*distinct_widths(base.case),):
        return  # The failure depends on sizes, which another depth would change.
    cases = {own: [base.case]}
    for depth in range(max(own - 2, 1), own):
        cases[depth] = [*_shallower(base.case, own - depth)]
    for depth in (own + 1, own + 2) if own else ():
        cases[depth] = [_deeper(base.case, depth - own)]
    # Other widths show that the depth matters, and not a width that only a deep network has.
    settings = {
        depth: [s for case in some for s in (_setting(base, case), _setting(base, case, 9))]
        for depth, some in cases.items()
    }
    outcomes: Outcomes = {}
    for depth, some in settings.items():
        found = {setting.fails(judge, SEEDS[:2]) for setting in some}
        outcomes[depth] = found.pop() if len(found) == 1 else None
    rule = find_rule("the number of Linear layers", outcomes, {}, least_passing=1)
    if rule is not None and rule.ends:
        inside, outside = (
            tuple(s for d, some in settings.items() if outcomes[d] is failed for s in some)
            for failed in (True, False)
        )
        yield Condition(f"only when {rule.text}", inside, outside)


def position(judge: Judge, base: Setting) -> str:
    """Return the position of the layers whose quantities are wrong, in deeper networks."""
    if not isinstance(judge, NumbersJudge) or judge.group not in {"grads", "params", "state"}:
        return ""
    own, found = len(_linear(base.case)), set()
    for depth, seed in product((3, 4), FRESH):
        deep = _deeper(base.case, depth - own) if own and depth > own else base.case
        count = len(judge.observations)
        if not own or not judge(_setting(base, deep).draw(seed)):
            return ""
        found.add(_place(judge, judge.observations[count]))
    return found.pop() if len(found) == 1 else ""


def _place(judge: NumbersJudge, seen: Observation) -> str:
    """Return the position of the wrong layers of a case; empty if it is unclear."""
    layers = _linear(seen.case)
    suffix = "." + judge.first.rpartition(".")[2]
    names = [n for n in seen.got if group_of(n) == judge.group and n.endswith(suffix)]
    # A gradient of 0, as behind a ReLU of 0, would hide an error.
    if not all(seen.wrong[name].any() or sharp_entries(seen, name).any() for name in names):
        return ""
    wrong = [i for i in layers if any(seen.wrong[n].any() for n in names if f".{i}." in n)]
    # An error that is passed back is wrong in all earlier layers, wherever it comes from.
    is_passed = "input_grad" in seen.wrong_names or "input_grad" not in seen.got
    if not wrong or (judge.group == "grads" and wrong[0] == layers[0] and is_passed):
        return ""
    return _where(wrong, layers)


def _where(wrong: list[int], layers: list[int]) -> str:
    """Return the condition that these of the Linear layers are wrong; empty for no usual one."""
    places = {
        "only in the first Linear layer": layers[:1],
        "only in the last Linear layer": layers[-1:],
        "in every Linear layer except the first": layers[1:],
        "in every Linear layer except the last": layers[:-1],
        "only in Linear layers between the first and the last": layers[1:-1],
    }
    return next((text for text, some in places.items() if some == wrong), "")


def _linear(case: Case) -> list[int]:
    return [i for i, layer in enumerate(case.layers) if layer["type"] == "Linear"]


def _setting(base: Setting, case: Case, wider: int = 0) -> Setting:
    """Return the setting of another network with widths that all differ."""
    widths = (width + wider for width in distinct_widths(case))
    return base.but(case=case, sizes=(base.sizes[0], *widths))


def _deeper(case: Case, count: int) -> Case:
    """Return a case with Linear layers in front, each with an activation of the case, if any."""
    own = next(layer for layer in case.layers if layer["type"] == "Linear")
    activation = [layer for layer in case.layers if layer["type"] in ACTIVATIONS][:1]
    front: list[Spec] = [dict(own), *activation] * count
    return case.but(layers=(*front, *case.layers))


def _shallower(case: Case, count: int) -> Iterator[Case]:
    """Yield the case without its first or its last Linear layers; no other layer is removed."""
    linear = _linear(case)
    for removed in (linear[:count], linear[len(linear) - count :]):
        layers = tuple(layer for i, layer in enumerate(case.layers) if i not in removed)
        yield case.but(layers=layers)
