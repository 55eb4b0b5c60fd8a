"""Samples: one for each compared entry, with its features and whether it is wrong.

    samples = gather(views, names)
    samples.wrong                     True for each wrong entry
    samples.numbers["x"], …           numeric features, such as the entry, its index, max of its row
    samples.facts["…"]                features that hold or do not

Regions are made from them: a feature that separates the wrong entries from the right ones. Entries
belong together (in a *group*) if they move a common output: the entries of a row for softmax, each
entry alone for an elementwise function.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from manualnn.gradcheck.data import Array
from manualnn.gradcheck.diagnosis.observation import View

MOST = 400
"""Largest number of samples of one point."""
CLEAR = 1e9
"""An error of 1e-4 of the usual one is as clear as one of 1000 bounds."""
FAINT = 100
"""A wrong entry tells nothing if its error is fainter, because cancellation may cause it."""
TELLING = 0.1
"""A right entry counts if its bound is at most this share of the usual error of wrong ones."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Features of entries of one input, at several points."""

    wrong: Array
    excess: Array
    """How clear each error is, over 100: over its bound, and beside the usual error."""
    point: Array
    """Number of the view of each sample."""
    numbers: dict[str, Array]
    facts: dict[str, Array]
    is_elementwise: bool
    """True if each entry moves only outputs that no other entry of this input moves."""

    def is_separated(self, fact: Array) -> bool:
        """Return True if a fact holds for the wrong samples and for no others."""
        return bool((fact == self.wrong).all())


def gather(views: Sequence[View], typical: View | None = None) -> Samples:
    """Return the samples of all views of one input; entries that tell nothing are left out.

    The usual error is that of a `typical` view if there is one, otherwise that of all views. With
    a typical view, faint errors count as right ones.
    """
    usual = _usual_errors(views if typical is None else [typical])
    clear = [view.wrong & (_excess(view, usual[1]) >= FAINT) for view in views]
    picked = [
        (k, view, _telling(view, *usual, clear[k]) | (typical is not None) & view.wrong)
        for k, view in enumerate(views)
    ]
    groups = [_groups(view) for view in views]
    numbers: dict[str, list[Array]] = {}
    facts: dict[str, list[Array]] = {}
    for (_, view, at), group in zip(picked, groups, strict=True):
        for table, features in ((numbers, _numbers(view, group)), (facts, _facts(view, group))):
            for name, values in features.items():
                table.setdefault(name, []).append(np.broadcast_to(values, view.x.shape)[at])
    many = len(views)
    return Samples(
        np.concatenate([clear[k][at] for k, _, at in picked]),
        np.concatenate([_excess(view, usual[1])[at] for _, view, at in picked]),
        np.concatenate([np.full(int(at.sum()), k) for k, _, at in picked]),
        {n: np.concatenate(v).astype(float) for n, v in numbers.items() if len(v) == many},
        {n: np.concatenate(v).astype(bool) for n, v in facts.items() if len(v) == many},
        all(np.unique(g).size == g.size for g in groups),
    )


def _excess(view: View, usual: float) -> Array:
    with np.errstate(all="ignore"):
        error = np.abs(view.got - view.reference)
        excess = np.minimum(error / view.bound * FAINT, CLEAR * error / usual)
    return np.nan_to_num(excess, nan=np.inf, posinf=np.inf)


def _usual_errors(views: Sequence[View]) -> tuple[float, float]:
    """Return the median relative and absolute error of wrong entries; 1 if they are not finite."""
    errors = [np.abs(v.got - v.reference)[v.wrong] for v in views]
    sizes = [np.maximum(np.abs(v.reference), np.abs(v.got))[v.wrong] for v in views]
    error, size = (np.concatenate([np.zeros(0), *some]) for some in (errors, sizes))
    if not error.size:
        return 1.0, 1.0
    with np.errstate(all="ignore"):
        relative = np.nan_to_num(error / size, nan=1.0, posinf=1.0)
    return float(np.median(relative)), float(np.median(np.nan_to_num(error, nan=1.0, posinf=1.0)))


def _telling(view: View, relative: float, absolute: float, clear: Array) -> Array:
    """Return the entries of a view that show whether it is wrong there."""
    size = np.maximum(np.abs(view.low), np.abs(view.high))
    visible = np.maximum(relative * size, np.where(size == 0, absolute, 0))
    moved = np.bincount(view.cols, view.seen.w[view.rows] != 0, view.x.size).reshape(size.shape)
    listed = np.bincount(view.cols, minlength=view.x.size).reshape(size.shape)
    used = (moved > 0) | (listed == 0) & (view.seen.w != 0).all()
    right = (
        ~view.wrong
        & view.decided
        & (view.low == view.high)
        & (view.bound <= TELLING * visible)
        & used
    )
    mask = clear | right
    if mask.sum() > MOST:
        order = np.random.default_rng(0).permutation(mask.size)
        chosen = [order[view.wrong.ravel()[order]], order[(mask & ~view.wrong).ravel()[order]]]
        mask = np.zeros(mask.size, bool)
        for some in chosen:
            mask[some[: MOST // 2]] = True
        mask = mask.reshape(view.x.shape)
    return mask


def _groups(view: View) -> Array:
    """Return a number for each entry, the same for entries that move a common output."""
    group = np.arange(view.x.size)
    order = np.argsort(view.rows, kind="stable")
    rows, cols = view.rows[order], view.cols[order]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    for _ in range(64):
        if not rows.size:
            break
        least = np.minimum.reduceat(group[cols], starts)
        new = group.copy()
        np.minimum.at(new, cols, np.repeat(least, np.diff([*starts, rows.size])))
        if (new == group).all():
            break
        group = new
    return group.reshape(view.x.shape)


def _numbers(view: View, group: Array) -> dict[str, Array]:
    """Return the numeric features of all entries; of a group if entries have partners."""
    x, name = view.x, view.name
    found = {name: x}
    for other in view.seen.names:
        partner = view.seen.view(other) if other != name else None
        if partner is not None and (values := _aligned(partner.x, x)) is not None:
            found[other] = values
    row = view.alone
    if row.size and (row >= 0).all():
        found["the cotangent"] = view.seen.w[row]
    if np.unique(group).size < group.size:
        g = group.ravel()
        for word, reduce, start in (("max", np.maximum, -np.inf), ("min", np.minimum, np.inf)):
            extreme = np.full(g.size, start)
            reduce.at(extreme, g, x.ravel())
            found[f"{word} {name}"] = extreme[group]
        found[f"max {name} − min {name}"] = found[f"max {name}"] - found[f"min {name}"]
        found[f"max |{name}|"] = np.maximum(found[f"max {name}"], -found[f"min {name}"])
    return found


def _facts(view: View, group: Array) -> dict[str, Array]:
    """Return the features that hold or do not, the first preferred."""
    x, name, shape = view.x, view.name, view.x.shape
    facts: dict[str, Array] = {}
    for other in view.seen.names:
        partner = view.seen.view(other) if other != name else None
        if partner is not None and (values := _aligned(partner.x, x)) is not None:
            facts[f"where {name} = {other}"] = x == values
            facts[f"where {name} > {other}"] = x > values
            facts[f"where {name} < {other}"] = x < values
    facts[f"where {name} is −0"] = (x == 0) & np.signbit(x)
    facts |= _index_facts(shape)
    used = np.bincount(view.cols, minlength=x.size).reshape(shape)
    facts["where several outputs use an entry"] = used > 1
    facts["where one output uses an entry"] = used == 1
    g, flat = group.ravel(), x.ravel()
    if np.unique(g).size < g.size:
        same = np.zeros(g.size, bool)
        order = np.lexsort((flat, g))
        twin = (np.diff(g[order]) == 0) & (np.diff(flat[order]) == 0)
        same[order[1:]] |= twin
        same[order[:-1]] |= twin
        facts["where two entries tie"] = _any(same, g)[group]
        facts["where an entry is tied with another"] = same.reshape(shape)
        facts["where an entry is 0"] = _any(flat == 0, g)[group]
        facts["where an entry is negative"] = _any(flat < 0, g)[group]
        top = np.full(g.size, -np.inf)
        np.maximum.at(top, g, flat)
        facts["at the largest entry"] = x == top[group]
        low = np.full(g.size, np.inf)
        np.minimum.at(low, g, flat)
        facts["at the smallest entry"] = x == low[group]
        facts["where all entries are equal"] = (top == low)[group]
    return facts | {text: np.full(shape, value) for text, value in _point_facts(view).items()}


def _index_facts(shape: tuple[int, ...]) -> dict[str, Array]:
    """Return facts about where an entry stands."""
    facts: dict[str, Array] = {}
    if int(np.prod(shape)) < 2:
        return {}
    for axis, (index, n) in enumerate(zip(np.indices(shape), shape, strict=True)):
        if n < 2:
            continue
        which = "" if len(shape) == 1 else f" along axis {axis}"
        facts[f"the last entry{which}"] = index == n - 1
        facts[f"the first entry{which}"] = index == 0
        facts[f"all except the first entry{which}"] = index > 0
        facts[f"all except the last entry{which}"] = index < n - 1
        if n > 3:
            facts[f"odd indices{which}"] = index % 2 == 1
            facts[f"even indices{which}"] = index % 2 == 0
        for at in range(1, min(n - 1, 32)):
            facts[f"index {at}{which}"] = index == at
        for at in range(2, min(n - 1, 130)):
            facts[f"indices from {at} on{which}"] = index >= at
        for at in range(2, min(n - 1, 130)):
            facts[f"indices below {at}{which}"] = index < at
    if len(shape) >= 2:
        *_, i, j = np.indices(shape)
        facts |= {"on the diagonal": i == j, "off the diagonal": i != j}
        facts |= {"below the diagonal": i > j, "above the diagonal": i < j}
    return facts


def _point_facts(view: View) -> dict[str, bool]:
    """Return facts about a whole point: its shape, its cotangents, its memory."""
    shape, point = view.x.shape, view.seen.point
    w = view.seen.w
    outputs = [c.shape for c in point.cotangents]
    facts: dict[str, bool] = {}
    for axis, n in ((-1, "last"), (0, "first")):
        if shape:
            size = shape[axis]
            facts[f"where the {n} axis has length 1"] = size == 1
            facts[f"where the {n} axis is longer than 1"] = size > 1
            facts[f"where the {n} axis has an odd length"] = size % 2 == 1
            facts[f"where the {n} axis has an even length"] = size % 2 == 0
            for k in (4, 8, 16, 32):
                facts[f"where the length of the {n} axis is no multiple of {k}"] = size % k != 0
    if len(shape) >= 2:
        facts["where the last two axes have the same length"] = shape[-1] == shape[-2]
        facts["where the last two axes have different lengths"] = shape[-1] != shape[-2]
    facts[f"where {view.name} is broadcast"] = all(s != shape for s in outputs) and 1 in shape
    facts["where the cotangent is not all ones"] = bool((w != 1).any())
    facts["where the cotangent has different entries"] = bool(w.size and np.ptp(w) > 0)
    facts["where the cotangent is all ones"] = bool((w == 1).all())
    facts["where the cotangent has a 0"] = bool((w == 0).any())
    facts["where the cotangent is negative somewhere"] = bool((w < 0).any())
    whole = [a for a in point.arrays if a.dtype.kind in "iu" and a.size > 1]
    facts["where indices repeat"] = any(np.unique(a).size < a.size for a in whole)
    contiguous = all(a.flags.c_contiguous for a in point.arrays)
    facts["where an input is not contiguous"] = not contiguous
    return facts


def _any(flags: Array, group: Array) -> Array:
    """Return, at each group's number, whether a flag of the group is set."""
    found = np.zeros(group.size, bool)
    np.logical_or.at(found, group, flags)
    return found


def _aligned(other: Array, x: Array) -> Array | None:
    """Return another input as one number for each entry of this one; None if it has not one."""
    try:
        return np.broadcast_to(other, x.shape)
    except ValueError:
        return None
