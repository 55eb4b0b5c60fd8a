"""Conditions on earlier calls: after which call an engine fails that would pass alone.

find_earlier_call(calls_fail, case)     "only after a call with more samples", …
"""

from collections.abc import Callable, Sequence

from manualnn.oracle.cases.neighbours import distinct_widths, ordinary_case
from manualnn.oracle.protocol.case import Case

AFTER = {
    ("more samples",): "more samples",
    ("fewer samples",): "fewer samples",
    ("more samples", "fewer samples"): "another number of samples",
    ("the same",): "the same numbers",
    ("the same", "same shapes"): "the same shapes",
    ("the same", "same shapes", "more samples", "fewer samples"): "the same widths",
    ("other widths",): "other widths",
    ("more samples", "fewer samples", "other widths"): "other shapes",
}
"""Descriptions of the earlier call, the narrowest first, by the pairs of calls that may fail."""


def find_earlier_call(calls_fail: Callable[[Sequence[Case]], bool | None], case: Case) -> str:
    """Return the earlier call after which the engine fails a case that it passes alone.

    `calls_fail(calls)` returns True if the last of some calls fails on a fresh engine.
    """
    widths = distinct_widths(case)
    few, many = (ordinary_case(case, seed, n=n, widths=widths) for seed, n in ((4, 3), (1, 6)))
    other = ordinary_case(case, 2, n=6, widths=widths)
    wider = ordinary_case(case, 3, n=6, widths=[w + 2 for w in widths])
    pairs = {
        "the same": [many, many],
        "same shapes": [other, many],
        "more samples": [many, few],
        "fewer samples": [few, many],
        "other widths": [wider, many],
    }
    outcomes = {name: calls_fail(pair) for name, pair in pairs.items()}
    failing = {name for name, failed in outcomes.items() if failed}
    if failing and not any(failed is False for failed in outcomes.values()):
        return "only when the engine has been called before"
    for names, text in AFTER.items():
        if failing and failing <= set(names):
            return f"only after a call with {text}"
    return "only after other calls of the same engine"
