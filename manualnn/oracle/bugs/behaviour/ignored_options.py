"""Options that are not heeded where they should be: the default stands in their place.

For each option of the tables that a layer, loss or rule can ignore, one mistake, as far as no other
table has it: in the forward pass or the loss alone, in the backward pass alone, or in both.
"""

from collections.abc import Callable
from typing import Any

from manualnn.oracle.bugs.bug import Bug, but, plant
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import TABLES, Options, options_of, row_of
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}

WHERE: dict[str, dict[str, tuple[str, ...]]] = {
    "layers": {"forward": ("",), "backward": ("_slope",), "everywhere": ("", "_slope")},
    "losses": {"loss": ("value",), "slope": ("slope",), "everywhere": ("value", "slope")},
    "optimizers": {"everywhere": ("",)},
}
"""The methods that do not see the option; those of losses are common to all."""
KINDS = {"layers": "activations", "losses": "losses", "optimizers": "optimizers"}
CHECKS = {"layers": "layer", "losses": "loss", "optimizers": "optimizer"}
SAID = {
    "forward": "in the forward pass",
    "backward": "in the backward pass",
    "loss": "in the value of the loss",
    "slope": "in the gradient of the loss",
    "everywhere": "whatever is asked for",
}
IGNORED: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("layers", "LeakyReLU", "negative_slope", ("forward", "backward")),
    ("layers", "Softplus", "beta", ("forward",)),
    ("layers", "Softplus", "threshold", ("forward", "backward")),
    ("losses", "HuberLoss", "delta", ("loss", "slope")),
    ("losses", "BCELoss", "weight", ("loss",)),
    ("losses", "BCEWithLogitsLoss", "weight", ("loss",)),
    ("losses", "BCEWithLogitsLoss", "pos_weight", ("loss",)),
    ("losses", "CrossEntropyLoss", "weight", ("loss",)),
    ("losses", "CrossEntropyLoss", "label_smoothing", ("loss",)),
    ("losses", "CrossEntropyLoss", "ignore_index", ("loss", "slope")),
    ("optimizers", "RMSprop", "alpha", ("everywhere",)),
    ("optimizers", "Adagrad", "eps", ("everywhere",)),
    ("optimizers", "Adam", "betas", ("everywhere",)),
    ("optimizers", "AdamW", "betas", ("everywhere",)),
    ("optimizers", "AdamW", "weight_decay", ("everywhere",)),
)
"""Of which part, which option, and where: what other tables have is not among them."""


def _deaf(method: str, part: str, option: str, default: Any) -> Callable[..., Any]:
    """Return that method of Textbook, which for this part does not see that option."""
    right = getattr(Textbook, method)

    def line(e: Textbook, o: Options, *rest: Any) -> Any:
        return right(e, but(o, **{option: default}) if o.type == part else o, *rest)

    return line


def _plant_all() -> None:
    for kind, part, option, places in IGNORED:
        default = TABLES[kind][part][option]
        prefix = "" if kind == "losses" else row_of(part).method
        for place in places:
            names = [prefix + suffix for suffix in WHERE[kind][place]]
            shown = "no such thing" if default is None else default
            lines: dict[str, Any] = {name: _deaf(name, part, option, default) for name in names}
            plant(
                BUGS,
                KINDS[kind],
                f"{part}-{option}-default-{place}".lower().replace("_", "-"),
                f"{part} takes the default {option}, {shown}, {SAID[place]}.",
                wrong=f"{option} = {shown} {SAID[place]}",
                right=f"{option} as given",
                killed_by=f"{CHECKS[kind]}.{part}*:*",
                **lines,
            )


_plant_all()


def _load_without_zeros(e: Textbook, case: Case) -> None:
    Textbook.load(e, case)
    for o in (*e.layers, e.loss, *([e.rule] if e.rule else [])):
        defaults = vars(options_of({"type": o.type})) if o.type != "Linear" else {}
        for name, default in defaults.items():
            value = getattr(o, name)
            if isinstance(value, tuple) and isinstance(default, tuple):
                both = zip(value, default, strict=True)
                setattr(o, name, tuple(v or usual for v, usual in both))
            elif isinstance(value, float | int) and not isinstance(value, bool) and value == 0:
                setattr(o, name, default)


plant(
    BUGS,
    "optimizers",
    "zero-is-taken-for-absent",
    "An option of 0 is taken for one that is absent, as by JavaScript's ||.",
    wrong="option || default",
    right="option ?? default",
    killed_by="o*:*",
    load=_load_without_zeros,
)
