"""Recipes for what provokes errors, whatever the features: sizes, magnitudes, ties, histories.

Each draws its losses, layers and optimizers from all that is claimed. `relations` and its like are
tame cases for judgements that ask the engine more than once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from manualnn.oracle.case import Array, Case
from manualnn.oracle.draft import Draft, Impossible
from manualnn.oracle.lattice import lattice, on_kinks
from manualnn.oracle.recipes import DIFFERENTIAL, Recipe

SATURATED = (12.0, 20.0, 40.0, 88.7, 104.0, 710.0, 745.0)
"""|z| where a sigmoid's slope leaves float32's and float64's digits, and where exp overflows."""
CERTAIN = (30.0, 88.8, 104.0, 710.0, 745.0, 1e4)
CRITICAL = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65)
"""Sizes at and beside those of blocks."""
RATES = (0.0, 1e-30, 1e-9, 1 / 3, 0.1, 7.3, 1e3)


def _any(draft: Draft) -> Case:
    return draft.case(optimizer=draft.optimizer())


def _with(case: Case, **arrays: Array) -> Case:
    """Return the case with other arrays, named as `Case.arrays` does with . as __."""
    named = {name.replace("__", "."): array for name, array in arrays.items()}
    return case.map(lambda name, a: named[name].astype(a.dtype) if name in named else a)


def _scaled(case: Case, factors: dict[str, Any]) -> Case:
    def change(name: str, a: Array) -> Array:
        return (a * factors[name]).astype(a.dtype) if name in factors else a

    return case.map(change)


def _first(case: Case) -> str:
    """Return the key of the first weight; Impossible if there is none."""
    for key in case.params:
        if key.endswith("weight"):
            return key
    raise Impossible


def _last(case: Case) -> str:
    _first(case)
    return [key for key in case.params if key.endswith("weight")][-1]


def _square(draft: Draft) -> Case:
    """N equals a width, or misses it by one; or all widths are one."""
    widths = list(draft.widths())
    if draft.chance(0.3):
        widths = [draft.pick(widths)] * len(widths)
    n = int(draft.pick(widths)) + draft.pick((0, 0, 0, 1, -1))
    loss = draft.loss()
    if loss["type"] == "CrossEntropyLoss":
        widths[-1] = max(2, widths[-1])
    return draft.case(widths=widths, loss=loss, n=min(max(n, 1), draft.max_batch), optimizer=draft.optimizer())


def _shapes(draft: Draft) -> Case:
    """One size is critical, the others are small."""
    loss = draft.loss()
    widths = list(draft.widths(least_out=2 if loss["type"] == "CrossEntropyLoss" else 1))
    n = draft.samples(widths)
    place = int(draft.rng.integers(-1, len(widths)))
    limit = draft.claims.max_batch if place < 0 else draft.claims.max_width
    size = draft.pick([s for s in CRITICAL if s <= (limit or s)])
    if place < 0:
        n = size
    elif place < len(widths) - 1 or size > 1:
        widths[place] = size
    return draft.case(widths=widths, loss=loss, n=n, optimizer=draft.optimizer())


def _long(place: str) -> Callable[[Draft], Case]:
    def make(draft: Draft) -> Case:
        if draft.max_depth < (2 if place == "hidden" else 1):
            raise Impossible
        limit = draft.claims.max_batch if place == "batch" else draft.claims.max_width
        long = draft.pick([s for s in draft.size.long if s <= (limit or s)])
        widths, n = [draft.count(4) for _ in range(3)], draft.count(4)
        loss = draft.loss()
        widths[-1] = max(2, widths[-1])
        if place == "batch":
            n = long
        else:
            widths[("in_features", "hidden", "out_features").index(place)] = long
        if place != "hidden" and (draft.max_depth < 2 or draft.chance(0.5)):
            widths = [widths[0], widths[-1]]
        case = draft.case(widths=widths, loss=loss, n=n, optimizer=draft.optimizer())
        # Sums of like signs, whose errors show: each partial sum is as large as the total.
        alike = draft.chance(0.5)
        return case.map(lambda k, a: abs(a) if alike and k in ("x", "params.0.weight") else a)

    return make


def _depth(draft: Draft) -> Case:
    """No Linear layer, one, or as many as are claimed."""
    most = 5 if draft.claims.max_depth is None else min(5, draft.claims.max_depth)
    depth = int(draft.rng.integers(0, (most if draft.max_depth else 0) + 1))
    loss = draft.loss()
    widths = draft.widths(depth, least_out=2 if loss["type"] == "CrossEntropyLoss" else 1)
    return draft.case(widths=widths, loss=loss, optimizer=draft.optimizer())


def _saturation(draft: Draft) -> Case:
    """Some |z| is exactly as large as where functions leave their digits, or overflow."""
    case = draft.case(optimizer=draft.optimizer())
    if not case.params:
        return _scaled(case, {"x": draft.pick(SATURATED)})
    key = draft.pick([k for k in case.params if k.endswith("weight")])
    bias = key.replace("weight", "bias")
    _first(case)
    size = draft.pick(SATURATED) * draft.rng.uniform(0.97, 1.03)
    if key == "0.weight":
        z = case.x @ case.params[key].T + case.params.get(bias, 0)
        largest = np.abs(z).max() or 1
    else:
        largest = 1.0
    return _scaled(case, {f"params.{key}": size / largest, f"params.{bias}": size / largest})


def _certain(draft: Draft) -> Case:
    """The outputs before a loss of probabilities are huge, and wrong as often as right."""
    names = [n for n in draft.claims.losses if n not in ("MSELoss", "L1Loss", "HuberLoss")]
    case = draft.case(loss=draft.loss(draft.among("losses", names)), optimizer=draft.optimizer())
    size = draft.pick(CERTAIN)
    if not case.params:
        return _scaled(case, {"x": size})
    key = _last(case)
    return _scaled(case, {f"params.{key}": size})


def _cancellation(draft: Draft) -> Case:
    """Columns of x far from 0 against weights that sum to nearly 0; or outputs next to targets."""
    case = draft.case(optimizer=draft.optimizer())
    if draft.chance(0.5) and not case.loss["type"].startswith(("BCE", "Cross")):
        from manualnn.oracle.truth import truth

        y = truth(case.but(optimizer=None, steps=1, state=None)).outputs.v
        near = y * (1 + 1e-4 * draft.rng.standard_normal(y.shape))
        return case.but(t=near.astype(case.dtype))
    key = _first(case)
    weight = case.params[key]
    balanced = weight - weight.mean(axis=1, keepdims=True)
    offset = 2.0 ** int(draft.rng.integers(4, 14))
    return _with(case, x=case.x + offset, **{f"params.{key}".replace(".", "__"): balanced})


def _ladder(draft: Draft) -> Case:
    """Everything in powers of two beyond the usual: inputs and targets, or weights against them."""
    case = draft.case(optimizer=draft.optimizer())
    most = 30 if case.dtype == "float32" else 200
    up = 2.0 ** int(draft.rng.integers(-most, most + 1))
    key = _first(case)
    tame = case.loss["type"] in ("MSELoss", "L1Loss", "HuberLoss")
    if draft.chance(0.5):
        return _scaled(case, {"x": up, f"params.{key}": 1 / up})
    return _scaled(case, {"x": up, **({"t": up} if tame else {})})


def _columns(draft: Draft) -> Case:
    """Columns of very different size, and weights that make up for it, or not."""
    case = draft.case(optimizer=draft.optimizer())
    key = _first(case)
    most = 12 if case.dtype == "float32" else 60
    factors = 2.0 ** draft.rng.integers(-most, most + 1, case.x.shape[1])
    if "Linear" != case.layers[0]["type"] or draft.chance(0.3):
        return _scaled(case, {"x": factors})
    return _scaled(case, {"x": factors, f"params.{key}": 1 / factors})


def _subnormals(draft: Draft) -> Case:
    """Numbers that are subnormal, or become so in a product."""
    case = draft.case(optimizer=draft.optimizer())
    low = -126 if case.dtype == "float32" else -1022
    exponent = low // draft.pick((1, 2)) + int(draft.rng.integers(-12, 4))
    key = _first(case)
    name = draft.pick(("x", f"params.{key}"))
    return _scaled(case, {name: np.ldexp(1.0, exponent)})


def _rows(draft: Draft) -> Case:
    """Samples that repeat, targets that are all alike, classes of which some are missing."""
    case = draft.case(optimizer=draft.optimizer(), n=draft.count(draft.max_batch))
    index = draft.rng.integers(0, max(1, case.n // 2), case.n)
    same = np.zeros(case.n, int)
    x = case.x[index] if draft.chance(0.6) else case.x
    return case.but(x=x, t=case.t[same if draft.chance(0.6) else index])


def _zeros(draft: Draft) -> Case:
    """An array of a case is nothing but zeros."""
    case = draft.case(optimizer=draft.optimizer())
    arrays = [n for n, a in case.arrays().items() if a.dtype.kind == "f" and n[0] in "xtp"]
    name = draft.pick(arrays)
    return case.map(lambda n, a: np.zeros_like(a) if n == name else a)


def _empty(draft: Draft) -> Case:
    """A batch of no samples, whose sum is 0."""
    sums = [n for n in draft.claims.losses if "sum" in draft.values("losses", n, "reduction")]
    if not draft.claims.empty_batch:
        raise Impossible
    loss = draft.loss(draft.pick(sums), reduction="sum")
    return draft.case(loss=loss, n=0, optimizer=draft.optimizer())


def _rates(draft: Draft) -> Case:
    """Learning rates of 0, tiny, huge, and not dyadic."""
    optimizer = draft.optimizer(lr=draft.pick(RATES))
    case = draft.case(optimizer=optimizer)
    return case.but(steps=1)


def _mixed(draft: Draft) -> Case:
    """Options of the optimizer and of the loss, all at once."""
    loss = draft.loss()
    extra = draft.options("losses", loss["type"])
    names = list(draft.claims.optimizers)
    optimizer = None
    if names:
        name = draft.among("optimizers", names)
        options = draft.options("optimizers", name)
        optimizer = draft.optimizer(name, draft.pick(options) if options else None)
    return draft.case(loss=loss, loss_option=draft.pick(extra) if extra else None, optimizer=optimizer)


def _steps(draft: Draft) -> Case:
    """An optimizer early, late and in between."""
    names = list(draft.claims.optimizers)
    name = draft.among("optimizers", names)
    options = draft.options("optimizers", name)
    option = draft.pick(options) if options and draft.chance(0.7) else None
    return draft.case(
        widths=draft.widths(min(2, draft.max_depth)), optimizer=draft.optimizer(name, option)
    )


def _small(loss_name: str | None = None) -> Callable[[Draft], Case]:
    def make(draft: Draft) -> Case:
        if loss_name not in (None, *draft.claims.losses):
            raise Impossible
        loss = draft.loss(loss_name)
        least = 2 if loss["type"] == "CrossEntropyLoss" else 1
        depth = min(2, draft.max_depth)
        widths = [min(w, 3) for w in draft.widths(depth, least_out=least)]
        return draft.case(widths=widths, loss=loss, n=min(draft.samples(widths), 4))

    return make


def _relu(draft: Draft) -> Case:
    """A net of Linear, Identity, ReLU and LeakyReLU, which scales as its inputs do."""
    names = [n for n in ("ReLU", "LeakyReLU", "Identity") if n in draft.claims.layers]
    if not draft.max_depth or "MSELoss" not in draft.claims.losses:
        raise Impossible
    widths = draft.widths()
    layers: list[Any] = []
    for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
        if i and names:
            layers.append(draft.layer(draft.pick(names)))
        layers.append(draft.layer("Linear", in_features=a, out_features=b))
    return draft.case(layers=layers, loss=draft.loss("MSELoss"))


ONCE = ("batch.permutation", "units.permutation", "batch.shards", "batch.duplicated")
MEMORY = ("memory.inputs", "memory.aliasing", "memory.layouts")


def _all(
    *rows: tuple[str, str, Callable[[Draft], Case], Sequence[str], float],
) -> tuple[Recipe, ...]:
    return tuple(Recipe(n, s, make, tuple(j), share) for n, s, make, j, share in rows)


PROVOCATIONS = _all(
    ("plain", "tame cases of everything that is claimed", _any, DIFFERENTIAL, 1),
    ("options", "several options at once", _mixed, DIFFERENTIAL, 2),
    ("square", "as many samples as a width, or one more or less", _square, DIFFERENTIAL, 2),
    ("lattice", "small integers and powers of two, where nothing rounds", lattice, ("exact",), 2),
    ("kinks", "zeros, ties and targets that are met, on the lattice", on_kinks, ("exact",), 2),
    ("relations", "tame cases, asked in other words", _any, (*ONCE, "bias.ones_column"), 1),
    ("scale", "nets that scale with their inputs", _relu, ("scale.power_of_two", "units.dead"), 1),
    ("logits", "logits and their classes", _small("CrossEntropyLoss"), ("logits.sum_zero",), 1),
    ("updates", "updates by the engine's own gradient", _any, ("update.own_gradient", "lr.zero"), 1),
    ("steps", "an optimizer early, late and in between", _steps, DIFFERENTIAL, 3),
    ("trajectory", "many steps, one after another", _steps, ("trajectory",), 0.4),
    ("memory", "arrays that are shared and laid out in every way", _any, MEMORY, 1),
    ("history", "batches after other batches", _any, ("repeat", "history", "interleaved"), 1),
    ("shapes", "one size at or beside a power of two", _shapes, DIFFERENTIAL, 2),
    ("depth", "no Linear layer, one, or many", _depth, DIFFERENTIAL, 1),
    ("rows", "repeated samples, equal targets, missing classes", _rows, DIFFERENTIAL, 1),
    ("zeros", "an array of nothing but zeros", _zeros, (*DIFFERENTIAL, "finite"), 1),
    ("rates", "learning rates of 0, tiny, huge and not dyadic", _rates, DIFFERENTIAL, 1),
    ("saturation", "|z| from 12 to 745", _saturation, (*DIFFERENTIAL, "finite"), 2),
    ("certain", "logits up to 10,000, wrong as often as right", _certain, (*DIFFERENTIAL, "finite"), 2),
    ("cancellation", "large numbers whose differences count", _cancellation, DIFFERENTIAL, 1),
    ("ladder", "powers of two, up and down", _ladder, DIFFERENTIAL, 1),
    ("columns", "columns of very different size", _columns, DIFFERENTIAL, 1),
    ("subnormals", "numbers next to the smallest ones", _subnormals, (*DIFFERENTIAL, "finite"), 1),
    ("empty", "a batch of no samples", _empty, DIFFERENTIAL, 0.4),
    ("long.batch", "hundreds of samples", _long("batch"), DIFFERENTIAL, 0.25),
    ("long.in_features", "hundreds of inputs", _long("in_features"), DIFFERENTIAL, 0.25),
    ("long.hidden", "hundreds of hidden units", _long("hidden"), DIFFERENTIAL, 0.25),
    ("long.out_features", "hundreds of outputs", _long("out_features"), DIFFERENTIAL, 0.25),
    ("numerical", "small nets, every entry of a gradient", _small(), ("numerical",), 0.3),
    ("paths", "small nets, every path through them", _small("MSELoss"), ("paths",), 1),
)
