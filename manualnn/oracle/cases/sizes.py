"""Recipes of sizes: numbers of samples, widths and depths at which programs go wrong.

square   shapes   long(place)   depth   empty       draft -> case
"""

from collections.abc import Callable

from manualnn.oracle.cases.choices import Impossible
from manualnn.oracle.cases.draft import Draft
from manualnn.oracle.protocol.case import Case

CRITICAL = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65)
"""Sizes at and beside those of blocks."""
DEEP = 11
"""Linear layers of which the last is at place 10 or beyond: as a string it comes before 2."""


def square(draft: Draft) -> Case:
    """Let N equal a width, or miss it by one."""
    widths = list(draft.widths())
    if draft.chance(0.3):
        widths = [draft.pick(widths)] * len(widths)
    n = int(draft.pick(widths)) + draft.pick((0, 0, 0, 1, -1))
    loss = draft.loss()
    if loss["type"] == "CrossEntropyLoss":
        widths[-1] = max(2, widths[-1])
    return draft.case(
        widths=widths, loss=loss, n=min(max(n, 1), draft.max_batch), optimizer=draft.optimizer()
    )


def shapes(draft: Draft) -> Case:
    """Make one size critical, and the others small."""
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


def long(place: str) -> Callable[[Draft], Case]:
    """Return what makes one size hundreds: "batch", "in_features", "hidden" or "out_features"."""

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


def depth(draft: Draft) -> Case:
    """Take no Linear layer, one, as many as are claimed, or so many that places have two digits."""
    claimed = draft.claims.max_depth
    most = 5 if claimed is None else min(5, claimed)
    depth = int(draft.rng.integers(0, (most if draft.max_depth else 0) + 1))
    loss = draft.loss()
    widths = draft.widths(depth, least_out=2 if loss["type"] == "CrossEntropyLoss" else 1)
    if draft.max_depth and (claimed is None or claimed >= DEEP) and draft.chance(0.2):
        widths = (min(draft.pick((2, 3)), draft.max_width),) * (DEEP + 1)
    return draft.case(widths=widths, loss=loss, optimizer=draft.optimizer())


def empty(draft: Draft) -> Case:
    """Take no samples, so that their sum is 0."""
    sums = [n for n in draft.claims.losses if "sum" in draft.values("losses", n, "reduction")]
    if not draft.claims.empty_batch:
        raise Impossible
    loss = draft.loss(draft.pick(sums), reduction="sum")
    return draft.case(loss=loss, n=0, optimizer=draft.optimizer())
