"""Rules about sizes: which sizes fail and which pass, stated as the simplest rule.

    refine(outcomes, fails)             find the exact size at which passing turns into failing
    find_rule(name, outcomes, others)   ["only when N is a multiple of 8"], or [] without a rule

`outcomes` has for each size True (it fails), False (it passes) or None (unknown).
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise

Outcomes = dict[int, bool | None]

LONGEST = 2000
"""Above this size an error may only look gone: it can shrink below its bound."""
MULTIPLES = (2, 4, 8, 16, 32, 64)


def refine(outcomes: Outcomes, fails: Callable[[int], bool | None]) -> None:
    """Add the sizes of a binary search, if the outcome changes only once or twice."""
    known = sorted(size for size, failed in outcomes.items() if failed is not None)
    turns = [(a, b) for a, b in pairwise(known) if outcomes[a] != outcomes[b]]
    for a, b in turns if len(turns) < 3 else ():
        low, high = a, b
        while high - low > 1:
            middle = (low + high) // 2
            failed = fails(middle)
            if failed is None:
                return
            outcomes[middle] = failed
            low, high = (middle, high) if failed == outcomes[a] else (low, middle)


def find_rule(
    name: str, outcomes: Outcomes, others: Mapping[str, int], *, least_passing: int = 2
) -> list[str]:
    """Return the simplest rule that holds for all failing sizes and for no passing size.

    `others` are further sizes that the rule may compare with. A rule needs a passing size of at
    least `least_passing`: most formulas agree for one sample or one column, which proves nothing.
    """
    failing = {size for size, failed in outcomes.items() if failed}
    passing = {size for size, failed in outcomes.items() if failed is False}
    if not failing or max(passing, default=-1) < least_passing:
        return []
    for text, holds in _rules(name, failing, passing, others):
        if all(holds(size) for size in failing) and not any(holds(size) for size in passing):
            return [f"only when {text}"]
    return []


def _rules(
    name: str, failing: set[int], passing: set[int], others: Mapping[str, int]
) -> Iterator[tuple[str, Callable[[int], bool]]]:
    """Yield rules and their texts, the simplest first."""
    low, high = min(failing), max(failing)
    if len(failing) == 1:
        if low == 1:  # first, because all sizes of a small case may be 1
            yield f"{name} is 1", low.__eq__
        for other, size in others.items():
            yield f"{name} equals {other}", size.__eq__
        yield f"{name} is {low}", low.__eq__
    yield f"{name} is greater than {low - 1}", low.__le__
    if high < LONGEST:
        yield f"{name} is less than {high + 1}", high.__ge__
    for m in MULTIPLES:
        yield f"{name} is a multiple of {m}", partial(_is_multiple, m)
        yield f"{name} is not a multiple of {m}", partial(_is_no_multiple, 0, m)
        yield f"{name} is greater than {m} and not a multiple of it", partial(_is_no_multiple, m, m)
    for m in MULTIPLES:
        text = f"{name} is at least {low} and not a multiple of {m}"
        yield text, partial(_is_no_multiple, low - 1, m)
    if len(passing) == 1:
        yield f"{name} is not {min(passing)}", min(passing).__ne__
    for other, size in others.items():
        yield f"{name} is greater than {other}", size.__lt__
        yield f"{name} is less than {other}", size.__gt__
    if high < LONGEST:
        yield f"{name} is from {low} to {high}", range(low, high + 1).__contains__
    text = f"{name} is greater than {low - 1}; the error is smaller for larger values"
    yield text, range(low, high + 1).__contains__


def _is_multiple(m: int, size: int) -> bool:
    return size % m == 0


def _is_no_multiple(above: int, m: int, size: int) -> bool:
    return size > above and size % m != 0
