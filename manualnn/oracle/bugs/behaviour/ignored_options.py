"""Bugs of ignored options: the default is used instead of the given value.

There is one bug for each option, unless another table has it: the option is ignored only in the
forward pass or the value of the loss, only in the backward pass, or everywhere.
"""

from typing import Any

from manualnn.oracle.bugs.bug import Bug, add_bug, after_load, with_options
from manualnn.oracle.protocol.features import TABLES, options_of, row_of

BUGS: dict[str, Bug] = {}

WHERE: dict[str, dict[str, tuple[str, ...]]] = {
    "layers": {"forward": ("",), "backward": ("_slope",), "everywhere": ("", "_slope")},
    "losses": {"loss": ("value",), "slope": ("slope",), "everywhere": ("value", "slope")},
    "optimizers": {"everywhere": ("",)},
}
"""Suffixes of the methods that ignore the option; all losses share two methods."""
KINDS = {"layers": "activations", "losses": "losses", "optimizers": "optimizers"}
CHECKS = {"layers": "layer", "losses": "loss", "optimizers": "optimizer"}
PLACES = {
    "forward": "in the forward pass",
    "backward": "in the backward pass",
    "loss": "in the value of the loss",
    "slope": "in the gradient of the loss",
    "everywhere": "everywhere",
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
    ("optimizers", "Adamax", "betas", ("everywhere",)),
)
"""Kind, type and option, and the places where the option is ignored."""


def _add_all() -> None:
    for kind, part, option, places in IGNORED:
        default = TABLES[kind][part][option]
        prefix = "" if kind == "losses" else row_of(part).method
        for place in places:
            names = [prefix + suffix for suffix in WHERE[kind][place]]
            add_bug(
                BUGS,
                KINDS[kind],
                f"{part}-{option}-default-{place}".lower().replace("_", "-"),
                f"{part} uses the default {option}, {default}, {PLACES[place]}.",
                lines=(f"{option} = {default} {PLACES[place]}", f"{option} as given"),
                killed_by=f"{CHECKS[kind]}.{part}*:*",
                **with_options(*names, only=part, **{option: default}),
            )


_add_all()


def _replace_zeros(e: Any) -> None:
    for o in (*e.layers, e.loss, *([e.rule] if e.rule else [])):
        defaults = vars(options_of({"type": o.type})) if o.type != "Linear" else {}
        for name, default in defaults.items():
            value = getattr(o, name)
            if isinstance(value, tuple) and isinstance(default, tuple):
                both = zip(value, default, strict=True)
                setattr(o, name, tuple(v or usual for v, usual in both))
            elif isinstance(value, float | int) and not isinstance(value, bool) and value == 0:
                setattr(o, name, default)


add_bug(
    BUGS,
    "optimizers",
    "zero-is-taken-for-absent",
    "An option of 0 counts as missing, as with JavaScript's operator ||.",
    lines=("option || default", "option ?? default"),
    killed_by="o*:*",
    load=after_load(_replace_zeros),
)
