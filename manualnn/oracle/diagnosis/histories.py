"""After which calls an engine fails a case that it passes by itself.

    after_what(asks, case)      "only after a call with more samples", or whatever can be said

`asks(calls)` says whether the last of some calls in a row fails on a fresh engine, None where it
cannot be said. Pairs of calls are tried that have the same numbers, the same shapes, more samples
or fewer, or other widths.
"""

from collections.abc import Callable, Sequence

from manualnn.oracle.cases.neighbours import apart, generic
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
"""What the call before has to be like: the narrowest words that cover all that fail."""


def after_what(asks: Callable[[Sequence[Case]], bool | None], case: Case) -> str:
    """Return after which calls the engine fails a case that it passes by itself."""
    widths = apart(case)
    few, many = (generic(case, seed, n=n, widths=widths) for seed, n in ((4, 3), (1, 6)))
    other = generic(case, 2, n=6, widths=widths)
    wider = generic(case, 3, n=6, widths=[w + 2 for w in widths])
    calls = {
        "the same": [many, many],
        "same shapes": [other, many],
        "more samples": [many, few],
        "fewer samples": [few, many],
        "other widths": [wider, many],
    }
    told = {name: asks(pair) for name, pair in calls.items()}
    failing = {name for name, failed in told.items() if failed}
    if failing and not any(failed is False for failed in told.values()):
        return "only when the engine has been called before"
    for names, words in AFTER.items():
        if failing and failing <= set(names):
            return f"only after a call with {words}"
    return "only after other calls of the same engine"
