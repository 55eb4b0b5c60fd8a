"""Conditions on options: of a layer, the loss or the optimizer; bias, data type, learning rate."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from manualnn.oracle.cases.neighbours import case_after_steps
from manualnn.oracle.diagnosis.conditions.outcome import Judge
from manualnn.oracle.diagnosis.conditions.rules import Reals, find_range
from manualnn.oracle.diagnosis.conditions.setting import SEEDS, Condition, Setting
from manualnn.oracle.diagnosis.places import Place, specs_of, with_spec
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import ALWAYS, options_of, row_of

RATES = (1e-4, 0.01, 0.1, 0.3, 0.7, 1.0, 3.0, 20.0)


def options(judge: Judge, base: Setting) -> Iterator[Condition]:
    """Yield conditions on one option: all of its other values pass, or its default passes."""
    for place, spec in specs_of(base.case).items():
        row = row_of(spec["type"])
        for option, known in row.options.items():
            if option in ALWAYS or option == "bias":
                continue
            own = spec.get(option, known.default)
            values = (known.default,) if np.ndim(own) else known.values
            others = [v for v in values if v is not own and not _same(v, own)]
            settings = {
                i: base.but(case=changed)
                for i, value in enumerate(others)
                if (changed := _with_option(base.case, place, spec, option, value)) is not None
            }
            outcomes = {i: s.fails(judge, SEEDS[:2]) for i, s in settings.items()}
            passing = [i for i, failed in outcomes.items() if failed is False]
            failing = [i for i, failed in outcomes.items() if failed]
            if not passing:
                continue
            outside = tuple(settings[i] for i in passing)
            if not failing:
                name = option if np.ndim(own) else f"{option}={own}"
            elif _is_number(known.default) and [others[i] for i in passing] == [known.default]:
                name = f"{option} other than {known.default:g}"
            else:
                continue
            inside = (base, *(settings[i] for i in failing))
            yield Condition(f"only with {name}", inside, outside)


def _same(a: Any, b: Any) -> bool:
    return not np.ndim(a) and not np.ndim(b) and bool(a == b)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _with_option(
    case: Case, place: Place, spec: dict[str, Any], option: str, value: Any
) -> Case | None:
    """Return the case with another value of an option, and with a state that fits."""
    changed = {**spec, option: value}
    if value is None:
        del changed[option]
    if option == "momentum" and not value:
        changed.pop("nesterov", None)
    needs_momentum = changed.get("nesterov") and option in {"nesterov", "dampening"}
    if needs_momentum and (not changed.get("momentum") or changed.get("dampening")):
        return None
    case = with_spec(case, place, changed)
    return case_after_steps(case, int(case.state["step"])) if case.state is not None else case


def biases(judge: Judge, base: Setting) -> Iterator[Condition]:
    """Yield the condition that layers have a bias, or have none."""
    linear = [i for i, layer in enumerate(base.case.layers) if layer["type"] == "Linear"]
    own = {bool(base.case.layers[i].get("bias", True)) for i in linear}
    if len(own) != 1 or judge.first.endswith(".bias"):
        return
    (has_bias,) = own
    layers = tuple(
        {**layer, "bias": not has_bias} if layer["type"] == "Linear" else layer
        for layer in base.case.layers
    )
    other = base.but(case=base.case.but(layers=layers))
    if other.fails(judge) is False:
        yield Condition(f"only {'with' if has_bias else 'without'} a bias", (base,), (other,))


def dtype(judge: Judge, base: Setting, claims: Capabilities) -> Iterator[Condition]:
    """Yield the condition that the case has its data type."""
    name = "float32" if base.case.dtype == "float64" else "float64"
    if name in claims.dtypes:
        other = base.but(case=base.case.but(dtype=name))
        if other.fails(judge) is False:
            yield Condition(f"only in {base.case.dtype}", (base,), (other,))


def learning_rate(judge: Judge, base: Setting) -> Iterator[Condition]:
    """Yield the condition that the learning rate is in some range, or is 0."""
    optimizer = base.case.optimizer
    is_judged = not judge.first or judge.first.startswith(("params", "state"))
    if optimizer is None or not (is_judged or base.case.steps > 1):
        return

    def at(lr: float) -> Setting:
        return base.but(case=base.case.but(optimizer={**optimizer, "lr": lr}))

    def fails(lr: float) -> bool | None:
        return at(lr).fails(judge, SEEDS[:1])

    own = float(options_of(optimizer).lr)
    outcomes: Reals = {lr: fails(lr) for lr in sorted({*RATES, own})}
    rule = find_range("lr", outcomes, fails)
    if rule is not None:
        sides = ([lr for lr in outcomes if outcomes[lr] is failed] for failed in (True, False))
        inside, outside = (tuple(map(at, side)) for side in sides)
        yield Condition(f"only when {rule.text}", inside, outside)
