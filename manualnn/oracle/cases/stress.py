"""Stress recipes: sizes, magnitudes, ties and histories at which programs fail.

Each draws its losses, layers and optimizers from all partners that are claimed, and further cases
for every newcomer: see `partners`. Some draw ordinary cases, for judgements that ask the engine
more than once. `STRESS` lists the recipes in the order of a run.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from manualnn.oracle.cases.choices import Impossible
from manualnn.oracle.cases.draft import Draft
from manualnn.oracle.cases.lattice import draw_on_kinks, draw_on_lattice
from manualnn.oracle.cases.magnitudes import (
    cancel,
    case_around,
    make_certain,
    make_subnormal,
    make_zero,
    reach_kinks,
    repeat_rows,
    saturate,
    scale_by_powers,
    scale_columns,
)
from manualnn.oracle.cases.recipe import DIFFERENTIAL, Recipe
from manualnn.oracle.cases.sizes import (
    match_sizes,
    set_critical_size,
    set_long_size,
    take_no_samples,
    vary_depth,
)
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import LAYER_ROWS

STEPS_IN_DETAIL = 2000
"""Up to this step any number of earlier updates is drawn; beyond it, only some."""
EXTREME_RATES = (0.0, 1e-30, 1e-9, 1 / 3, 0.1, 7.3, 1e3)
METAMORPHIC = (
    "batch.permutation",
    "units.permutation",
    "batch.shards",
    "batch.duplicated",
    "bias.ones_column",
)
MEMORY = ("memory.inputs", "memory.aliasing", "memory.layouts")


def _dead_units(draft: Draft) -> Case:
    """Put ReLU between two Linear layers."""
    if "ReLU" not in draft.claims.layers or draft.max_depth < 2:
        raise Impossible
    return case_around(draft, "ReLU", last=False)


def _rates(draft: Draft) -> Case:
    """Draw a learning rate of 0, tiny, huge, or not dyadic."""
    return draft.training_case(draft.optimizer(lr=draft.pick(EXTREME_RATES))).but(steps=1)


def _many_options(draft: Draft) -> Case:
    """Give both the loss and the optimizer several options."""
    loss = draft.loss()
    extra = draft.options(loss["type"])
    return draft.training_case(
        _optimizer_with_option(draft, 1.0) if draft.claims.optimizers else None,
        loss=loss,
        loss_option=draft.pick(extra) if extra else None,
    )


def _late_steps(draft: Draft) -> Case:
    """Start an optimizer early, late and in between."""
    optimizer = _optimizer_with_option(draft, 0.7)
    case = draft.training_case(optimizer, widths=draft.widths(min(2, draft.max_depth)))
    if optimizer and case.state and draft.chance(0.5):
        return draft.with_steps(case, optimizer, draft.count(STEPS_IN_DETAIL))
    return case


def _optimizer_with_option(draft: Draft, share: float) -> dict[str, Any] | None:
    name = draft.pick_name(list(draft.claims.optimizers))
    options = draft.options(name)
    return draft.optimizer(name, draft.pick(options) if options and draft.chance(share) else None)


def _small(loss_name: str | None = None) -> Callable[[Draft], Case]:
    def make(draft: Draft) -> Case:
        if loss_name not in (None, *draft.claims.losses):
            raise Impossible
        loss = draft.loss(loss_name)
        widths = [min(w, 3) for w in draft.widths(min(2, draft.max_depth), loss)]
        return draft.case(widths=widths, loss=loss, n=min(draft.samples(widths), 4))

    return make


def _homogeneous(draft: Draft) -> Case:
    """Build a network whose outputs scale with its inputs."""
    names = [n for n in draft.activations() if LAYER_ROWS[n].is_homogeneous]
    if not draft.max_depth or "MSELoss" not in draft.claims.losses:
        raise Impossible
    widths = draft.widths()
    layers: list[Any] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        if i and names:
            layers.append(draft.layer(draft.pick_name(names)))
        layers.append(draft.layer("Linear", in_features=a, out_features=b))
    return draft.case(layers=layers, loss=draft.loss("MSELoss"))


def _sharing_memory(draft: Draft) -> Case:
    """Start without a state or without parameters, because engines may share empty arrays."""
    if draft.chance(0.3):
        first = ["Identity"] if "Identity" in draft.claims.layers else draft.activations()
        return draft.case(layers=[draft.layer(draft.pick_name(first))], widths=draft.widths(0))
    case = _many_options(draft)
    return case.but(state=None, steps=1) if draft.chance(0.5) else case


def _recipe(
    name: str,
    sentence: str,
    make: Callable[[Draft], Case],
    share: float = 1,
    judgements: Sequence[str] = DIFFERENTIAL,
) -> Recipe:
    return Recipe(name, sentence, make, tuple(judgements), share)


_FINITE = (*DIFFERENTIAL, "finite")
_ANY = Draft.training_case

STRESS = (
    _recipe("plain", "ordinary cases of all claimed features", _ANY),
    _recipe("options", "several options at once", _many_options, 2),
    _recipe("square", "as many samples as a width, or one more or less", match_sizes, 2),
    _recipe("lattice", "small integers and powers of two", draw_on_lattice, 2, ["exact"]),
    _recipe(
        "kinks",
        "zeros, ties and exact targets, on the lattice",
        draw_on_kinks,
        2,
        ["exact"],
    ),
    _recipe(
        "relations", "ordinary cases, each compared with an equivalent one", _ANY, 1, METAMORPHIC
    ),
    _recipe(
        "scale", "networks that scale with their inputs", _homogeneous, 1, ["scale.power_of_two"]
    ),
    _recipe("dead", "a hidden unit that is 0 for every sample", _dead_units, 0.5, ["units.dead"]),
    _recipe(
        "logits", "logits and their classes", _small("CrossEntropyLoss"), 1, ["logits.sum_zero"]
    ),
    _recipe(
        "updates",
        "updates by the engine's own gradient",
        _ANY,
        1,
        ["update.own_gradient", "lr.zero"],
    ),
    _recipe("steps", "an optimizer early, late and in between", _late_steps, 3),
    _recipe("trajectory", "many steps, one after another", _late_steps, 0.4, ["trajectory"]),
    _recipe(
        "memory", "arrays that share memory or have unusual strides", _sharing_memory, 1, MEMORY
    ),
    _recipe(
        "history", "batches after other batches", _ANY, 1, ["repeat", "history", "interleaved"]
    ),
    _recipe("shapes", "one size at or beside a power of two", set_critical_size, 2),
    _recipe("depth", "no Linear layer, one, or many", vary_depth),
    _recipe("rows", "repeated samples, equal targets, missing classes", repeat_rows),
    _recipe("zeros", "an array that is all zeros", make_zero, 1, _FINITE),
    _recipe("rates", "learning rates of 0, tiny, huge and not dyadic", _rates),
    _recipe("nearly", "pre-activations close to 0", reach_kinks, 2),
    _recipe("saturation", "|z| from 12 to 745", saturate, 4, _FINITE),
    _recipe("certain", "logits up to 10,000, wrong as often as right", make_certain, 2, _FINITE),
    _recipe("cancellation", "large numbers with small differences", cancel),
    _recipe("ladder", "inputs, targets or weights scaled by a power of two", scale_by_powers, 2),
    _recipe("columns", "columns of very different sizes", scale_columns),
    _recipe("subnormals", "numbers close to the smallest positive one", make_subnormal, 1, _FINITE),
    _recipe("empty", "a batch of no samples", take_no_samples, 0.4),
    _recipe("long.batch", "hundreds of samples", set_long_size("batch"), 0.25),
    _recipe("long.in_features", "hundreds of inputs", set_long_size("in_features"), 0.25),
    _recipe("long.hidden", "hundreds of hidden units", set_long_size("hidden"), 0.25),
    _recipe("long.out_features", "hundreds of outputs", set_long_size("out_features"), 0.25),
    _recipe("numerical", "small networks, every entry of a gradient", _small(), 0.3, ["numerical"]),
    _recipe("paths", "small networks, every path through them", _small("MSELoss"), 1, ["paths"]),
)
