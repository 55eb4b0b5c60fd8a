"""Recipes for what provokes errors, whatever the features: sizes, magnitudes, ties, histories.

Each draws its losses, layers and optimizers from all that is claimed. `relations` and its like are
tame cases for judgements that ask the engine more than once.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import PROBABILITIES, Impossible
from manualnn.oracle.cases.draft import Draft
from manualnn.oracle.cases.lattice import lattice, on_kinks
from manualnn.oracle.cases.recipe import DIFFERENTIAL, Recipe
from manualnn.oracle.cases.sizes import depth, empty, long, shapes, square
from manualnn.oracle.protocol.case import Array, Case

SATURATED = (12.0, 20.0, 40.0, 88.7, 104.0, 710.0, 745.0)
"""|z| where a sigmoid's slope leaves float32's and float64's digits, and where exp overflows."""
EXPONENTIAL = ("Sigmoid", "Tanh", "Softplus", "Softmax", "LogSoftmax")
NORMALIZING = ("Softmax", "LogSoftmax")
APART = 800.0
"""Between rows: e^−745 is the least number that float64 has."""
CERTAIN = (30.0, 88.8, 104.0, 710.0, 745.0, 1e4)
MIDDLING = 2000
"""Up to here every number of steps is drawn, small ones more often; beyond, some."""
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


def _layer_scaled(case: Case, key: str, factor: float) -> Case:
    """Return the case with the layer of that weight times a factor, its bias too."""
    return _scaled(case, {f"params.{key}": factor, f"params.{key[:-6]}bias": factor})


def _first(case: Case) -> str:
    """Return the key of the first weight; Impossible if there is none."""
    for key in case.params:
        if key.endswith("weight"):
            return key
    raise Impossible


def _last(case: Case) -> str:
    _first(case)
    return [key for key in case.params if key.endswith("weight")][-1]


def _saturation(draft: Draft) -> Case:
    """Reach |z| where functions leave their digits, or overflow."""
    curved = [name for name in EXPONENTIAL if name in draft.claims.layers]
    others = [name for name in draft.claims.layers if name != "Linear"]
    names = curved if curved and draft.chance(0.8) else others
    name = draft.among("layers", names)
    if name in NORMALIZING and draft.chance(0.4):
        return _apart(draft, _around(draft, name, last=True))
    case = _around(draft, name, last=draft.chance(0.5))
    if not case.params:
        return _scaled(case, {"x": draft.pick(SATURATED)})
    key = draft.pick([k for k in case.params if k.endswith("weight")])
    bias = key.replace("weight", "bias")
    size = draft.pick(SATURATED) * draft.rng.uniform(0.97, 1.03)
    if key == "0.weight":
        z = case.x @ case.params[key].T + case.params.get(bias, 0)
        largest = np.abs(z).max() or 1
    else:
        largest = 1.0
    return _scaled(case, {f"params.{key}": size / largest, f"params.{bias}": size / largest})


def _around(draft: Draft, name: str, *, last: bool) -> Case:
    """Put a layer after a Linear one, and before another unless it is to be the last."""
    loss = draft.loss()
    least = 2 if loss["type"] == "CrossEntropyLoss" else 1
    widths = draft.widths(min(1 if last else 2, draft.max_depth), least_out=least)
    layers: list[Any] = []
    for a, b in pairwise(widths):
        layers += [draft.layer("Linear", in_features=a, out_features=b), draft.layer(name)]
    if not last:
        layers = layers[:-1]
    layers = layers or [draft.layer(name)]
    if layers[-1]["type"] not in PROBABILITIES:
        layers += draft.closing(loss)
    return draft.case(layers=layers, loss=loss, widths=widths, optimizer=draft.optimizer())


def _off(draft: Draft) -> Case:
    """Put ReLU between two Linear layers."""
    if "ReLU" not in draft.claims.layers or draft.max_depth < 2:
        raise Impossible
    return _around(draft, "ReLU", last=False)


def _nearly(draft: Draft) -> Case:
    """Bring pre-activations next to 0, on both sides."""
    kinked = [n for n in ("ReLU", "LeakyReLU") if n in draft.claims.layers]
    names = kinked if kinked and draft.chance(0.6) else draft.activations()
    case = _around(draft, draft.among("layers", names), last=False)
    key = _first(case)
    down = 2.0 ** -int(draft.rng.integers(4, 40))
    return _layer_scaled(case, key, down)


def _certain(draft: Draft) -> Case:
    """Make the outputs before a loss of probabilities huge, and wrong as often as right."""
    names = [n for n in draft.claims.losses if n not in ("MSELoss", "L1Loss", "HuberLoss")]
    loss = draft.loss(draft.among("losses", names))
    if loss["type"] == "CrossEntropyLoss" and draft.chance(0.4):
        widths = draft.widths(min(1, draft.max_depth), least_out=2)
        layers = draft.net(widths, ending=0.0) if len(widths) > 1 else None
        case = draft.case(layers=layers, widths=widths, loss=loss, optimizer=draft.optimizer())
        return _apart(draft, case)
    case = draft.case(loss=loss, optimizer=draft.optimizer())
    size = draft.pick(CERTAIN)
    if not case.params:
        return _scaled(case, {"x": size})
    key = _last(case)
    return _scaled(case, {f"params.{key}": size})


def _apart(draft: Draft, case: Case) -> Case:
    """Move every row of what the first layer gives as a whole, farther than exp can reach."""
    far = (APART * draft.rng.permutation(case.n)).astype(case.dtype)
    x = case.x.copy()
    if case.layers[0]["type"] != "Linear":
        return case.but(x=x + far[:, None])
    key = _first(case)
    weight = case.params[key].copy()
    x[:, 0], weight[:, 0] = far, 1
    return case.but(x=x, params={**case.params, key: weight})


def _cancellation(draft: Draft) -> Case:
    """Put x far from 0 against weights that sum to nearly 0; or outputs next to targets."""
    case = draft.case(optimizer=draft.optimizer())
    if draft.chance(0.5) and not case.loss["type"].startswith(("BCE", "Cross")):
        from manualnn.oracle.truth.step import truth

        y = truth(case.but(optimizer=None, steps=1, state=None)).outputs.v
        near = y * (1 + 1e-4 * draft.rng.standard_normal(y.shape))
        return case.but(t=near.astype(case.dtype))
    key = _first(case)
    weight = case.params[key]
    balanced = weight - weight.mean(axis=1, keepdims=True)
    offset = 2.0 ** int(draft.rng.integers(4, 14))
    return _with(case, x=case.x + offset, **{f"params.{key}".replace(".", "__"): balanced})


def _ladder(draft: Draft) -> Case:
    """Scale inputs and targets, or weights against inputs, by powers of two."""
    case = draft.case(optimizer=draft.optimizer())
    most = 30 if case.dtype == "float32" else 200
    up = 2.0 ** int(draft.rng.integers(-most, most + 1))
    key = _first(case)
    tame = case.loss["type"] in ("MSELoss", "L1Loss", "HuberLoss")
    if draft.chance(0.3):
        return _scaled(case, {"x": up, f"params.{key}": 1 / up})
    if draft.chance(0.5):  # signals of that size in what follows: the bias too
        return _layer_scaled(case, key, min(up, 1 / up))
    return _scaled(case, {"x": up, **({"t": up} if tame else {})})


def _columns(draft: Draft) -> Case:
    """Scale columns differently, with weights that make up for it, or not."""
    case = draft.case(optimizer=draft.optimizer())
    key = _first(case)
    most = 12 if case.dtype == "float32" else 60
    factors = 2.0 ** draft.rng.integers(-most, most + 1, case.x.shape[1])
    if case.layers[0]["type"] != "Linear" or draft.chance(0.3):
        return _scaled(case, {"x": factors})
    return _scaled(case, {"x": factors, f"params.{key}": 1 / factors})


def _subnormals(draft: Draft) -> Case:
    """Make numbers subnormal, or so small that a product is."""
    case = draft.case(optimizer=draft.optimizer())
    low = -126 if case.dtype == "float32" else -1022
    exponent = low // draft.pick((1, 2)) + int(draft.rng.integers(-12, 4))
    key = _first(case)
    name = draft.pick(("x", f"params.{key}"))
    return _scaled(case, {name: np.ldexp(1.0, exponent)})


def _rows(draft: Draft) -> Case:
    """Repeat samples, make targets alike, leave out classes."""
    case = draft.case(optimizer=draft.optimizer(), n=draft.count(draft.max_batch))
    index = draft.rng.integers(0, max(1, case.n // 2), case.n)
    same = np.zeros(case.n, int)
    x = case.x[index] if draft.chance(0.6) else case.x
    return case.but(x=x, t=case.t[same if draft.chance(0.6) else index])


def _zeros(draft: Draft) -> Case:
    """Make an array of a case nothing but zeros."""
    case = draft.case(optimizer=draft.optimizer())
    if case.params and draft.chance(0.3):  # outputs of 0, where Linear is last
        return _layer_scaled(case, _last(case), 0.0)
    arrays = [n for n, a in case.arrays().items() if a.dtype.kind == "f" and n[0] in "xtp"]
    name = draft.pick(arrays)
    return case.map(lambda n, a: np.zeros_like(a) if n == name else a)


def _rates(draft: Draft) -> Case:
    """Take learning rates of 0, tiny, huge, and not dyadic."""
    optimizer = draft.optimizer(lr=draft.pick(RATES))
    case = draft.case(optimizer=optimizer)
    return case.but(steps=1)


def _mixed(draft: Draft) -> Case:
    """Give the optimizer and the loss options, all at once."""
    loss = draft.loss()
    extra = draft.options("losses", loss["type"])
    names = list(draft.claims.optimizers)
    optimizer = None
    if names:
        name = draft.among("optimizers", names)
        options = draft.options("optimizers", name)
        optimizer = draft.optimizer(name, draft.pick(options) if options else None)
    return draft.case(
        loss=loss, loss_option=draft.pick(extra) if extra else None, optimizer=optimizer
    )


def _steps(draft: Draft) -> Case:
    """Ask an optimizer early, late and in between."""
    names = list(draft.claims.optimizers)
    name = draft.among("optimizers", names)
    options = draft.options("optimizers", name)
    option = draft.pick(options) if options and draft.chance(0.7) else None
    optimizer = draft.optimizer(name, option)
    case = draft.case(widths=draft.widths(min(2, draft.max_depth)), optimizer=optimizer)
    if optimizer and case.state and draft.chance(0.5):
        return draft.stepping(case, optimizer, draft.count(MIDDLING))
    return case


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
    """Build a net that scales as its inputs do."""
    names = [n for n in ("ReLU", "LeakyReLU", "Identity") if n in draft.claims.layers]
    if not draft.max_depth or "MSELoss" not in draft.claims.losses:
        raise Impossible
    widths = draft.widths()
    layers: list[Any] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        if i and names:
            layers.append(draft.layer(draft.pick(names)))
        layers.append(draft.layer("Linear", in_features=a, out_features=b))
    return draft.case(layers=layers, loss=draft.loss("MSELoss"))


def _shared(draft: Draft) -> Case:
    """Start from nothing, or from no parameters: what is empty at first may be shared."""
    if draft.chance(0.3):
        first = ["Identity"] if "Identity" in draft.claims.layers else draft.activations()
        return draft.case(layers=[draft.layer(draft.pick(first))], widths=draft.widths(0))
    case = _mixed(draft)
    return case.but(state=None, steps=1) if draft.chance(0.5) else case


ONCE = ("batch.permutation", "units.permutation", "batch.shards", "batch.duplicated")
MEMORY = ("memory.inputs", "memory.aliasing", "memory.layouts")


def _all(
    *rows: tuple[str, str, Callable[[Draft], Case], Sequence[str], float],
) -> tuple[Recipe, ...]:
    return tuple(Recipe(n, s, make, tuple(j), share) for n, s, make, j, share in rows)


STRESS = _all(
    ("plain", "tame cases of everything that is claimed", _any, DIFFERENTIAL, 1),
    ("options", "several options at once", _mixed, DIFFERENTIAL, 2),
    ("square", "as many samples as a width, or one more or less", square, DIFFERENTIAL, 2),
    ("lattice", "small integers and powers of two", lattice, ("exact",), 2),
    ("kinks", "zeros, ties and targets that are met, on the lattice", on_kinks, ("exact",), 2),
    ("relations", "tame cases, asked in other words", _any, (*ONCE, "bias.ones_column"), 1),
    ("scale", "nets that scale with their inputs", _relu, ("scale.power_of_two",), 1),
    ("dead", "a hidden unit that is off", _off, ("units.dead",), 0.5),
    ("logits", "logits and their classes", _small("CrossEntropyLoss"), ("logits.sum_zero",), 1),
    (
        "updates",
        "updates by the engine's own gradient",
        _any,
        ("update.own_gradient", "lr.zero"),
        1,
    ),
    ("steps", "an optimizer early, late and in between", _steps, DIFFERENTIAL, 3),
    ("trajectory", "many steps, one after another", _steps, ("trajectory",), 0.4),
    ("memory", "arrays that are shared and laid out in every way", _shared, MEMORY, 1),
    ("history", "batches after other batches", _any, ("repeat", "history", "interleaved"), 1),
    ("shapes", "one size at or beside a power of two", shapes, DIFFERENTIAL, 2),
    ("depth", "no Linear layer, one, or many", depth, DIFFERENTIAL, 1),
    ("rows", "repeated samples, equal targets, missing classes", _rows, DIFFERENTIAL, 1),
    ("zeros", "an array of nothing but zeros", _zeros, (*DIFFERENTIAL, "finite"), 1),
    ("rates", "learning rates of 0, tiny, huge and not dyadic", _rates, DIFFERENTIAL, 1),
    ("nearly", "pre-activations next to 0", _nearly, DIFFERENTIAL, 2),
    ("saturation", "|z| from 12 to 745", _saturation, (*DIFFERENTIAL, "finite"), 4),
    (
        "certain",
        "logits up to 10,000, wrong as often as right",
        _certain,
        (*DIFFERENTIAL, "finite"),
        2,
    ),
    ("cancellation", "large numbers whose differences count", _cancellation, DIFFERENTIAL, 1),
    ("ladder", "powers of two, up and down", _ladder, DIFFERENTIAL, 2),
    ("columns", "columns of very different size", _columns, DIFFERENTIAL, 1),
    ("subnormals", "numbers next to the smallest ones", _subnormals, (*DIFFERENTIAL, "finite"), 1),
    ("empty", "a batch of no samples", empty, DIFFERENTIAL, 0.4),
    ("long.batch", "hundreds of samples", long("batch"), DIFFERENTIAL, 0.25),
    ("long.in_features", "hundreds of inputs", long("in_features"), DIFFERENTIAL, 0.25),
    ("long.hidden", "hundreds of hidden units", long("hidden"), DIFFERENTIAL, 0.25),
    ("long.out_features", "hundreds of outputs", long("out_features"), DIFFERENTIAL, 0.25),
    ("numerical", "small nets, every entry of a gradient", _small(), ("numerical",), 0.3),
    ("paths", "small nets, every path through them", _small("MSELoss"), ("paths",), 1),
)
