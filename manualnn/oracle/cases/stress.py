"""Stress recipes: sizes, magnitudes, ties and histories at which programs fail.

Each draws its losses, layers and optimizers from all partners that are claimed, and further cases
for every newcomer: see `partners`. Some draw ordinary cases, for judgements that ask the engine
more than once. `STRESS` lists the recipes in the order of a run.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from manualnn.oracle.cases import magnitudes, sizes
from manualnn.oracle.cases.choices import Impossible
from manualnn.oracle.cases.corners import stress as corners
from manualnn.oracle.cases.draft import STEPS, Draft
from manualnn.oracle.cases.lattice import draw_on_kinks, draw_on_lattice
from manualnn.oracle.cases.recipe import DIFFERENTIAL, Recipe
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import LAYER_ROWS

STEPS_IN_DETAIL = 2000
"""Up to this step any number of earlier updates is drawn; beyond it, only some."""
EXTREME_RATES = (0.0, 1e-30, 1e-9, 1 / 3, 0.1, 7.3, 1e3)


def _dead_units(draft: Draft) -> Case:
    """Put ReLU between two Linear layers."""
    if "ReLU" not in draft.claims.layers or draft.max_depth < 2:
        raise Impossible
    return magnitudes.case_around(draft, "ReLU", last=False)


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


_ANY = Draft.training_case
_FINITE = (*DIFFERENTIAL, "finite")
_EXACT = ("exact",)
_METAMORPHIC = (
    *("batch.permutation", "units.permutation", "batch.shards", "batch.duplicated"),
    "bias.ones_column",
)
_MEMORY = ("memory.inputs", "memory.aliasing", "memory.dtypes", "memory.layouts")
_HISTORY = ("repeat", "history", "interleaved")
_UPDATES = ("update.own_gradient", "lr.zero")
_BEYOND = ("overflow",)
_LOGITS = _small("CrossEntropyLoss")
_SQUARE = corners.every(corners.as_many_samples_as, 0, -1)
_SHAPES = (corners.sized(n=1, width=1), corners.sized(n=1), corners.sized(width=1))
_DEPTHS = (
    *(corners.sized(depth=depth) for depth in (0, 1)),
    corners.sized(width=2, depth=sizes.DEEP),
)
_ZEROS = corners.every(corners.filled_with_zeros, "x", "t", "weight", "bias")
_RATES = corners.every(corners.at_rate, *EXTREME_RATES)
_STEPS = corners.every(corners.with_steps_before, 0, *STEPS)

STRESS = (
    Recipe("plain", "ordinary cases of all claimed features", _ANY),
    Recipe("options", "several options at once", _many_options, 2),
    Recipe(
        "square",
        "as many samples as a width, or one more or less",
        sizes.match_sizes,
        2,
        corners=_SQUARE,
    ),
    Recipe(
        "lattice",
        "small integers and powers of two",
        draw_on_lattice,
        2,
        _EXACT,
        corners=corners.LATTICE,
    ),
    Recipe(
        "kinks",
        "zeros, ties and exact targets, on the lattice",
        draw_on_kinks,
        2,
        _EXACT,
        corners=corners.KINKS,
    ),
    Recipe("relations", "ordinary cases, compared with equivalent ones", _ANY, 1, _METAMORPHIC),
    Recipe("scale", "networks that scale with x", _homogeneous, 1, ("scale.power_of_two",)),
    Recipe("dead", "a hidden unit that is 0 for every sample", _dead_units, 0.5, ("units.dead",)),
    Recipe("logits", "logits and their classes", _LOGITS, 1, ("logits.sum_zero",)),
    Recipe("updates", "updates by the engine's own gradient", _ANY, 1, _UPDATES),
    Recipe("steps", "an optimizer early, late and in between", _late_steps, 3, corners=_STEPS),
    Recipe("trajectory", "many steps, one after another", _late_steps, 0.4, ("trajectory",)),
    Recipe(
        "memory",
        "arrays that share memory or have any strides",
        _sharing_memory,
        2,
        _MEMORY,
        corners=corners.MEMORY,
    ),
    Recipe("history", "batches after other batches", _ANY, 1, _HISTORY, corners=corners.HISTORY),
    Recipe(
        "shapes",
        "one size at or beside a power of two",
        sizes.set_critical_size,
        2,
        corners=_SHAPES,
    ),
    Recipe("depth", "no Linear layer, one, or many", sizes.vary_depth, corners=_DEPTHS),
    Recipe("rows", "repeated samples, equal targets, missing classes", magnitudes.repeat_rows),
    Recipe("zeros", "an array that is all zeros", magnitudes.make_zero, 1, _FINITE, corners=_ZEROS),
    Recipe("rates", "learning rates of 0, tiny, huge and not dyadic", _rates, corners=_RATES),
    Recipe("nearly", "pre-activations close to 0", magnitudes.reach_kinks, 2),
    Recipe("saturation", "|z| from 12 to 745", magnitudes.saturate, 4, _FINITE),
    Recipe("certain", "logits up to 10,000", magnitudes.make_certain, 2, _FINITE),
    Recipe("cancellation", "large numbers with small differences", magnitudes.cancel),
    Recipe("ladder", "arrays scaled by a power of two", magnitudes.scale_by_powers, 2),
    Recipe("columns", "columns of very different sizes", magnitudes.scale_columns),
    Recipe("subnormals", "numbers close to the smallest", magnitudes.make_subnormal, 1, _FINITE),
    Recipe("overflow", "numbers beyond the dtype's range", magnitudes.overflow, 0.5, _BEYOND),
    Recipe("empty", "a batch of no samples", sizes.take_no_samples, 0.8, corners=corners.EMPTY),
    Recipe("long.batch", "hundreds of samples", sizes.set_long_size("batch"), 0.25),
    Recipe("long.in_features", "hundreds of inputs", sizes.set_long_size("in_features"), 0.25),
    Recipe("long.hidden", "hundreds of hidden units", sizes.set_long_size("hidden"), 0.25),
    Recipe("long.out_features", "hundreds of outputs", sizes.set_long_size("out_features"), 0.25),
    Recipe("numerical", "small networks, every entry of a gradient", _small(), 0.3, ("numerical",)),
    Recipe("paths", "small networks, every path through them", _small("MSELoss"), 1, ("paths",)),
)
