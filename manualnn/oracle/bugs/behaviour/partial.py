"""Known bugs that an engine has only in some layers, for some batches or in some steps.

There is one entry for each of these bugs, with an engine for each condition. The diagnosis tries
the entry only if no bug without a condition explains an engine's numbers.
"""

from typing import Any

from manualnn.oracle.bugs.activations import any_activation
from manualnn.oracle.bugs.backward import forward, linear
from manualnn.oracle.bugs.bug import Bug, Method, Methods, Table, bug
from manualnn.oracle.bugs.edits import is_square
from manualnn.oracle.bugs.losses import any_loss, regression
from manualnn.oracle.bugs.optimizers import any_rule
from manualnn.oracle.protocol.features import LAYER_ROWS
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("backward")
Conditions = dict[str, Method]


def _place(layer: Any) -> tuple[int, ...]:
    """Return the place of a layer: (1, 0) for the first layer in a Residual at place 1."""
    return tuple(map(int, str(layer.i).split(".")))


def _linear_layers(e: Any, layers: Any = None) -> list[tuple[int, ...]]:
    """Return the places of all Linear layers, also of those in a Residual."""
    found = []
    for layer in e.layers if layers is None else layers:
        if layer.type == "Linear":
            found.append(_place(layer))
        found += _linear_layers(e, getattr(layer, "chain", ()))
    return found


def _last_linear(e: Any) -> tuple[int, ...]:
    return max(_linear_layers(e), default=())


def _first_now(e: Any) -> int:
    return 1 + int(e.case.state["step"] if e.case.state else 0)


ANYWHERE: Conditions = {
    "for a batch of one sample": lambda e, *given: len(e.x) == 1,
    "for a batch of several samples": lambda e, *given: len(e.x) > 1,
    "for an even number of samples": lambda e, *given: len(e.x) % 2 == 0,
    "for an odd number of samples": lambda e, *given: len(e.x) % 2 == 1,
    "in float32": lambda e, *given: e.case.dtype == "float32",
    "in float64": lambda e, *given: e.case.dtype == "float64",
    "in the first step of a call": lambda e, *given: e.now == _first_now(e),
    "after the first step of a call": lambda e, *given: e.now > _first_now(e),
}
OF_LINEAR: Conditions = {
    "in the first Linear layer": lambda e, o, *given: _place(o) == _linear_layers(e)[0],
    "after the first Linear layer": lambda e, o, *given: _place(o) > _linear_layers(e)[0],
    "in the last Linear layer": lambda e, o, *given: _place(o) == _linear_layers(e)[-1],
    "before the last Linear layer": lambda e, o, *given: _place(o) < _linear_layers(e)[-1],
    "in square layers": lambda e, o, *given: is_square(e.weight(o)),
    "in layers that are not square": lambda e, o, *given: not is_square(e.weight(o)),
    "where N is the output width": lambda e, o, *given: len(e.x) == o.out_features,
    "where N is the input width": lambda e, o, *given: len(e.x) == o.in_features,
    "in layers with one output": lambda e, o, *given: o.out_features == 1,
}
OF_ACTIVATION: Conditions = {
    "after the last Linear layer": lambda e, o, *given: _place(o) > _last_linear(e),
    "before the last Linear layer": lambda e, o, *given: _place(o) < _last_linear(e),
    "in the first layer": lambda e, o, *given: o.i == 0,
    "in the last layer": lambda e, o, *given: o.i == len(e.layers) - 1,
}
OF_LOSS: Conditions = {
    "for one output": lambda e, o, y, t: y.shape[1] == 1,
    "for several outputs": lambda e, o, y, t: y.shape[1] > 1,
    "where N is the number of outputs": lambda e, o, y, t: is_square(y),
}
OF_UPDATE: Conditions = {
    "of biases": lambda e, o, *given: any(a.ndim == 1 for a in _arrays(given)),
    "of weights": lambda e, o, *given: any(a.ndim == 2 for a in _arrays(given)),
    "after a given state": lambda e, *given: bool(e.case.state),
    "without a given state": lambda e, *given: not e.case.state,
}


def _arrays(given: tuple[Any, ...]) -> list[Any]:
    return [a for a in given if hasattr(a, "ndim")]


def _restricted(engine: type[Textbook], condition: Method) -> Methods:
    """Return the methods of a bug's engine, which are those of Textbook without the condition."""

    def choose(name: str) -> Method:
        wrong, right = getattr(engine, name), getattr(Textbook, name)
        return lambda e, *given: (wrong if condition(e, *given) else right)(e, *given)

    return {name: choose(name) for name in vars(engine) if callable(getattr(Textbook, name, None))}


def _restrict(known: Bug, conditions: Conditions) -> Bug:
    """Return a bug with one engine of a known bug for each condition."""
    engine = known.engines[0]
    choices = [_restricted(engine, condition) for condition in conditions.values()]
    attributes: Methods = {name: [choice[name] for choice in choices] for name in choices[0]}
    for name, value in vars(engine).items():
        if name not in attributes and name != "constants" and not name.startswith("_"):
            attributes[name] = value
    return bug(
        f"{known.title[:-1]}, in some cases.",
        lines=(known.wrong, known.right),
        kind=known.kind,
        killed_by=known.killed_by,
        rank=1,
        **{"only": list(conditions), **attributes},
    )


CHOSEN: tuple[tuple[Table, Conditions, tuple[str, ...]], ...] = (
    (
        linear.BUGS,
        OF_LINEAR,
        (
            "bias-mean-for-sum",
            "bias-gradient-zero",
            "bias-gradient-doubled",
            "bias-gradient-negated",
            "bias-ignored",
            "weight-gradient-mean",
            "weight-gradient-negated",
            "weight-gradient-doubled",
            "gradients-mean-again",
        ),
    ),
    (forward.BUGS, OF_LINEAR, ("weight-gradient-zero", "bias-twice", "rows-are-one-array")),
    (
        any_activation.BUGS,
        OF_ACTIVATION,
        tuple(
            f"{row.method}-{form}".replace("_", "-")
            for row in LAYER_ROWS.values()
            if row.name not in {"Linear", "Identity", "Dropout", "Flatten", "Residual"}
            for form in ("backward-missing", "missing")
        ),
    ),
    (any_loss.BUGS, OF_LOSS, ("gradient-negated", "slope-of-the-sum", "mean-taken-twice")),
    (regression.BUGS, OF_LOSS, ("mse-slope-without-2", "mse-halved")),
    (any_rule.BUGS, OF_UPDATE, ("update-uphill", "update-forgotten", "decay-ignored")),
)
NO_EFFECT = {"for a batch of one sample": "mean", "in layers with one output": "rows"}
"""Conditions under which bugs with a word in their ids have no effect."""
for _table, _conditions, _ids in CHOSEN:
    for _id in _ids:
        _all = {
            name: condition
            for name, condition in (_conditions | ANYWHERE).items()
            if NO_EFFECT.get(name, "-") not in _id.split("-")
        }
        BUGS[f"{_id}-in-part"] = _restrict(_table[_id], _all)
