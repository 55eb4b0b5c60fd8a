"""Corners of losses: sizes of 1, every value of an option, switches, certain and ignored targets.

    loss_corners("HuberLoss", "delta")      makers of cases, one for each value

The outputs are x itself, by a Linear layer whose weight is the identity, and by a layer of
probabilities after it if the loss needs one.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import Impossible
from manualnn.oracle.cases.corners.layers import SHARES, Make, filled, identity_params, nth
from manualnn.oracle.cases.draft import Draft, least_outputs
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import LOSS_ROWS, REDUCTIONS, options_of

LOGITS = (0.0, 30.0, -30.0, 104.0, -104.0, 745.0, -745.0)
"""Logits from undecided to certain, beyond where exp overflows."""
CERTAIN = 1e4
WEIGHTS = (3.0, 0.0, 1.0, 0.25)
"""Weights of the first columns: one counts more, one not at all."""
POSITIVE_WEIGHTS = (4.0, 1.0, 0.25)
SMOOTHED = ("weight", "label_smoothing")
OTHER_LABEL = 255
"""A label that is no class, and is ignored."""
IGNORED = ("some", "all but one", "all but one, smoothed and weighted", "all")


def loss_corners(name: str, option: str | None = None) -> Iterator[Make]:
    """Yield makers of the corners of a loss with a reduction, or with one of its options."""
    row = LOSS_ROWS[name]
    if option in REDUCTIONS:
        given = {"reduction": option}
        yield partial(_loss, name, given)
        yield from (partial(_loss, name, given, shape=shape) for shape in ((1, 1), (1, 3), (3, 1)))
    elif option == "probabilities":
        yield partial(_loss, name, {}, probabilities=True)
        yield partial(_loss, name, {}, options=SMOOTHED, probabilities=True)
    elif option == "ignore_index":
        yield from (partial(_ignored, name, 0, how) for how in IGNORED)
        yield from (partial(_ignored, name, number, IGNORED[1]) for number in range(1, 6))
    elif option in ("weight", "pos_weight"):
        yield from (partial(_loss, name, {"reduction": r}, options=(option,)) for r in REDUCTIONS)
        if "label_smoothing" in row.options:
            yield partial(_loss, name, {}, options=SMOOTHED)
    elif option:
        for number in range(len(row.options[option].others)):
            yield partial(_loss, name, {}, options=(option,), number=number)


def option_value(draft: Draft, name: str, option: str, number: int, width: int) -> Any:
    """Return a claimed value of an option that is not its default, by its number."""
    claim = draft.claim_of(name).get(option, [])
    if option in ("weight", "pos_weight") and claim == "any":
        weights = WEIGHTS if option == "weight" else POSITIVE_WEIGHTS
        return [float(v) for v in np.resize(weights, width)]
    default = LOSS_ROWS[name].options[option].default
    values = claim if option.endswith("weight") else draft.values(name, option)
    fitting = [v for v in values if np.any(v != default) and np.size(v) in (1, width)]
    return nth(fitting, number)


def _loss(
    name: str,
    given: dict[str, Any],
    draft: Draft,
    *,
    options: tuple[str, ...] = (),
    number: int = 0,
    shape: tuple[int, int] | None = None,
    probabilities: bool = False,
) -> Case:
    """Return a case whose targets meet the corners of a loss."""
    least = least_outputs({"type": name})
    loss, x = draft.loss(name, **given), _outputs(draft, name, least)
    if shape:
        if shape[0] > draft.max_batch or max(shape[1], least) > draft.max_width:
            raise Impossible
        x = x.ravel()[: shape[0] * max(shape[1], least)].reshape(shape[0], -1)
    for option in options:
        loss[option] = option_value(draft, name, option, number, x.shape[1])
    return _with_outputs(draft, loss, x, _targets(draft, loss, x, probabilities=probabilities))


def _with_outputs(draft: Draft, loss: dict[str, Any], x: Array, t: Array) -> Case:
    if not draft.max_depth:
        raise Impossible
    n, width = x.shape
    linear = draft.layer("Linear", in_features=width, out_features=width)
    layers = [linear, *draft.closing_layers(loss)]
    case = draft.case(layers=layers, loss=loss, n=n)
    return case.but(x=x, params=identity_params(case), t=t)


def _outputs(draft: Draft, name: str, least: int) -> Array:
    if LOSS_ROWS[name].targets == "probabilities":
        return filled(draft, tuple(y for y in LOGITS for _ in range(2)) + LOGITS, least)
    row = LOSS_ROWS[name]
    has_points = row.targets in {"labels", "signs"} or "margin" in row.options
    x = filled(draft, (0.0,) * (30 if has_points else 12), least)
    return x if row.targets in {"classes", "labels"} else draft.normals(x.shape)


def _targets(draft: Draft, loss: dict[str, Any], x: Array, *, probabilities: bool) -> Array:
    """Return targets at the switches, of exactly 0 and 1, or of the first and the last class.

    Where targets are signs or classes, outputs stand at the switches, each with both signs.
    """
    row, t = LOSS_ROWS[loss["type"]], np.zeros(x.shape)
    switches = row.switches(options_of(loss))
    near = [s * share for s in switches for share in SHARES]
    if row.targets == "numbers":
        errors = [0.0, *near, *(-e for e in near), 1.0, -1.0, 3.0]
        t.flat[:] = x.ravel() - np.resize(errors, x.size)
    elif row.targets == "signs":
        points = np.repeat((0.0, 1.0, -1.0, *switches, *near, *LOGITS), 2)
        x.flat[: len(points)] = points[: x.size]
        t.flat[:] = np.resize((1.0, -1.0), x.size)
    elif row.targets == "probabilities":
        t.flat[:] = np.resize((0.0, 1.0), x.size)
        t.flat[2 * len(LOGITS) :] = 0.5
    elif probabilities:
        t[np.arange(len(t)), np.resize((0, x.shape[1] - 1), len(t))] = 1
        t[2::3] = 1 / x.shape[1]
    else:
        x[1:2, 0] = x[2:3, 0] = x[3:4, -1] = CERTAIN
        classes = np.resize((0, x.shape[1] - 1), len(t))
        for n, point in zip(range(4, len(t)), (*switches, *near), strict=False):
            x[n, classes[n]] = point
        return _lists_of(classes, x.shape[1]) if row.targets == "labels" else classes
    return t.astype(draft.dtype)


def _lists_of(classes: Array, count: int) -> Array:
    """Return lists of one of these classes each; the first four of none, all, two and two."""
    t = np.full((len(classes), count), -1)
    t[:, 0] = classes
    t[:1] = -1
    t[1:2] = np.arange(count)
    t[2:4, : min(count, 2)] = (count - 1, 0)[: min(count, 2)]
    t[3:4, 3:4] = 1
    return t


def _ignored(name: str, number: int, how: str, draft: Draft) -> Case:
    """Return a case whose targets hold ignored labels, for the given value of `ignore_index`."""
    claim, default = draft.claim_of(name), LOSS_ROWS[name].options["ignore_index"].default
    x = _outputs(draft, name, 2)
    last = x.shape[1] - 1
    values = [default, *(v for v in draft.values(name, "ignore_index") if v != default)]
    if claim.get("ignore_index") == "any":
        values += [last, OTHER_LABEL]
    reductions = draft.values(name, "reduction")
    reduction = "sum" if how == "all" else reductions[number % len(reductions)]
    loss = draft.loss(name, ignore_index=nth(values, number), reduction=reduction)
    if "smoothed" in how:
        for option in SMOOTHED:
            if option in claim:
                loss[option] = option_value(draft, name, option, 0, x.shape[1])
    classes = [k for k in (0, last) if k != loss["ignore_index"]]
    t = np.resize(classes, len(x))
    t[{"some": slice(1, None, 2), "all": slice(None)}.get(how, slice(1, None))] = loss[
        "ignore_index"
    ]
    return _with_outputs(draft, loss, x, t)
