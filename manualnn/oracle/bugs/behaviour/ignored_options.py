"""Bugs of ignored options: the default is used instead of the given value.

There is one bug for each option, unless another table has it: the option is ignored only in the
forward pass or the value of the loss, only in the backward pass, or everywhere.
"""

from typing import Any

from manualnn.oracle.bugs.bug import CHECKS, Table, bug
from manualnn.oracle.bugs.edits import after_load, is_of, with_options
from manualnn.oracle.protocol.features import TABLES, row_of

BUGS = Table("optimizers")

PLACES = {
    "forward": ("", "in the forward pass"),
    "backward": ("_slope", "in the backward pass"),
    "loss": ("value", "in the value of the loss"),
    "slope": ("slope", "in the gradient of the loss"),
    "everywhere": ("", "everywhere"),
}
"""The method that ignores the option (its suffix, or a method of all losses), and the words."""
IGNORED = (
    ("LeakyReLU", "negative_slope", "forward", "backward"),
    ("Softplus", "beta", "forward"),
    ("Softplus", "threshold", "forward", "backward"),
    ("ELU", "alpha", "forward", "backward"),
    ("CELU", "alpha", "forward", "backward"),
    ("Hardtanh", "min_val", "forward", "backward"),
    ("Hardtanh", "max_val", "forward", "backward"),
    ("Softshrink", "lambd", "forward", "backward"),
    ("Hardshrink", "lambd", "forward", "backward"),
    ("HuberLoss", "delta", "loss", "slope"),
    ("BCELoss", "weight", "loss"),
    ("BCEWithLogitsLoss", "weight", "loss"),
    ("BCEWithLogitsLoss", "pos_weight", "loss"),
    ("CrossEntropyLoss", "weight", "loss"),
    ("CrossEntropyLoss", "label_smoothing", "loss"),
    ("CrossEntropyLoss", "ignore_index", "loss", "slope"),
    ("KLDivLoss", "log_target", "loss", "slope"),
    ("PoissonNLLLoss", "log_input", "loss", "slope"),
    ("PoissonNLLLoss", "full", "loss"),
    ("NLLLoss", "weight", "loss", "slope"),
    ("NLLLoss", "ignore_index", "loss", "slope"),
    ("MultiLabelSoftMarginLoss", "weight", "loss", "slope"),
    ("MultiMarginLoss", "margin", "loss", "slope"),
    ("MultiMarginLoss", "p", "loss", "slope"),
    ("MultiMarginLoss", "weight", "loss", "slope"),
    ("HingeEmbeddingLoss", "margin", "loss", "slope"),
    ("RMSprop", "alpha", "everywhere"),
    ("Adam", "betas", "everywhere"),
    ("AdamW", "betas", "everywhere"),
    ("AdamW", "weight_decay", "everywhere"),
    ("Adamax", "betas", "everywhere"),
    ("Adadelta", "rho", "everywhere"),
    ("NAdam", "betas", "everywhere"),
    ("NAdam", "momentum_decay", "everywhere"),
    ("NAdam", "decoupled_weight_decay", "everywhere"),
    ("RAdam", "betas", "everywhere"),
    ("ASGD", "lambd", "everywhere"),
    ("ASGD", "alpha", "everywhere"),
    ("ASGD", "t0", "everywhere"),
    ("Rprop", "etas", "everywhere"),
    ("Rprop", "step_sizes", "everywhere"),
    ("Lion", "betas", "everywhere"),
    ("RAdam", "decoupled_weight_decay", "everywhere"),
)
"""Layer, loss or optimizer, its option, and the places where the option is ignored."""

ZEROS = ["betas", "weight_decay", "negative_slope"]
"""Options whose default is not 0 and that may be 0; the learning rate has its own bug."""

for part, option, *places in IGNORED:
    kind = next(kind for kind, table in TABLES.items() if part in table)
    default, method = TABLES[kind][part][option], row_of(part).method
    for place in places:
        suffix, words = PLACES[place]
        BUGS[f"{part}-{option}-default-{place}".lower().replace("_", "-")] = bug(
            f"{part} uses the default {option}, {default}, {words}.",
            lines=(f"{option} = {default} {words}", f"{option} as given"),
            kind="activations" if kind == "layers" else kind,
            killed_by=CHECKS[method],
            where=is_of(part),
            **with_options(suffix if kind == "losses" else method + suffix, **{option: default}),
        )


def _replace_zeros(e: Any) -> None:
    """Give options of 0 their defaults; with `e.option`, only the options of that name."""
    for o in (*e.layers, e.loss, *([e.rule] if e.rule else [])):
        for name, default in row_of(o.type).defaults.items():
            value = getattr(o, name)
            if e.option not in {"any", name}:
                continue
            if isinstance(value, tuple) and isinstance(default, tuple):
                both = zip(value, default, strict=True)
                setattr(o, name, tuple(v or usual for v, usual in both))
            elif isinstance(value, float | int) and not isinstance(value, bool) and value == 0:
                setattr(o, name, default)


BUGS["zero-is-taken-for-absent"] = bug(
    "An option of 0 counts as missing, as with `value or default`.",
    lines=("option || default, or option or default", "default only if the option is missing"),
    killed_by="*o*:*",
    option=["any", *ZEROS],
    load=after_load(_replace_zeros),
)
BUGS["zero-lr-is-taken-for-absent"] = bug(
    "A learning rate of 0 counts as missing, as with `value or default`.",
    lines=("lr or default", "default only if lr is missing"),
    killed_by="updates:*",
    option="lr",
    load=after_load(_replace_zeros),
)
