"""Makers of cases of critical sizes: numbers of samples, widths and depths at which programs fail.

match_sizes, set_critical_size, set_long_size(place), vary_depth, take_no_samples: draft -> case
"""

from collections.abc import Callable
from typing import Any

from manualnn.oracle.cases.choices import Impossible
from manualnn.oracle.cases.draft import Draft, least_outputs
from manualnn.oracle.protocol.case import Case

CRITICAL = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65)
"""Powers of two, which are usual sizes of blocks, and the sizes beside them."""
DEEP = 11
"""Number of Linear layers whose indices have two digits: as a string, "10" sorts before "2"."""


def match_sizes(draft: Draft) -> Case:
    """Let N equal a width, or differ from it by one."""
    loss = draft.loss()
    widths = list(draft.widths(loss=loss))
    if draft.chance(0.3):
        widths = [draft.pick(widths)] * len(widths)
    n = int(draft.pick(widths)) + draft.pick((0, 0, 0, 1, -1))
    widths[-1] = max(least_outputs(loss), widths[-1])
    return draft.training_case(widths=widths, loss=loss, n=min(max(n, 1), draft.max_batch))


def set_critical_size(draft: Draft) -> Case:
    """Make one size critical, and the others small."""
    loss = draft.loss()
    widths = list(draft.widths(loss=loss))
    n = draft.samples(widths)
    place = int(draft.rng.integers(-1, len(widths)))
    limit = draft.claims.max_batch if place < 0 else draft.claims.max_width
    size = draft.pick([s for s in CRITICAL if s <= (limit or s)])
    if place < 0:
        n = size
    elif place < len(widths) - 1 or size > 1:
        widths[place] = size
    return draft.training_case(widths=widths, loss=loss, n=n)


def set_long_size(place: str) -> Callable[[Draft], Case]:
    """Return a maker that sets one size to hundreds.

    The place is "batch", "in_features", "hidden" or "out_features".
    """

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
        case = draft.training_case(widths=widths, loss=loss, n=n)
        # The rounding errors of a sum show best if all terms have the same sign.
        same_sign = draft.chance(0.5)
        return case.map(lambda k, a: abs(a) if same_sign and k in ("x", "params.0.weight") else a)

    return make


def vary_depth(draft: Draft) -> Case:
    """Draw no Linear layer, one, several, or DEEP of them."""
    claimed = draft.claims.max_depth
    most = 5 if claimed is None else min(5, claimed)
    loss = draft.loss()
    depth = int(draft.rng.integers(0, (most if draft.max_depth else 0) + 1))
    widths = draft.widths(depth, loss)
    if draft.max_depth and (claimed is None or claimed >= DEEP) and draft.chance(0.2):
        widths = (min(draft.pick((2, 3)), draft.max_width),) * (DEEP + 1)
    return draft.training_case(widths=widths, loss=loss)


def take_no_samples(draft: Draft, loss_name: str = "", **given: Any) -> Case:
    """Draw no samples, so that the sum over them is 0."""
    if not draft.claims.empty_batch:
        raise Impossible
    sums = [name for name in draft.claims.losses if "sum" in draft.values(name, "reduction")]
    loss = draft.loss(loss_name or draft.pick_name(sums), reduction="sum")
    return draft.training_case(loss=loss, n=0, **given)
