"""Rules about one number: which values fail and which pass, stated as the simplest rule.

    refine(outcomes, fails)             find the exact size at which passing turns into failing
    find_rule(name, outcomes, others)   Rule("N is a multiple of 8", …); None without a rule
    find_range(name, outcomes, fails)   the same for real numbers: "lr is greater than 0.5"

`outcomes` has for each value True (it fails), False (it passes) or None (unknown). A rule with an
end is stated only if the values on both sides of the end are known.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

Holds = Callable[[Any], bool]
Outcomes = dict[int, bool | None]
Reals = dict[float, bool | None]

MULTIPLES = (2, 4, 8, 16, 32, 64)
FRESH_SIZES = (*range(2, 41), 51, 70, 71, 96, 129, 130)
"""Sizes for the test of a rule."""
SMALL = 0.01
"""An interval around 0 that is at most so wide is the end 0."""
NARROW = 0.02
"""Relative width of the interval in which the end of a range of real numbers is known."""


@dataclass(frozen=True)
class Rule:
    """A rule about a value."""

    text: str
    holds: Holds
    ends: tuple[int, ...] = ()
    """Passing values next to the ends of the rule."""

    def examples(self, *, failing: bool, known: Outcomes) -> list[int]:
        """Return sizes on one side: those at its ends, the smallest, a middle one, the largest."""
        sizes = [s for s in FRESH_SIZES if self.holds(s) == failing and s <= 2 * max(known)]
        chosen = [*(s for s in known if known[s] is failing and self._is_border(s)), *sizes[:1]]
        chosen += [*sizes[1:2], *sizes[len(sizes) // 2 :][:1], *sizes[-1:]]
        return [*dict.fromkeys(chosen)][:5]

    def _is_border(self, size: int) -> bool:
        return self.holds(size - 1) != self.holds(size) or self.holds(size + 1) != self.holds(size)


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
) -> Rule | None:
    """Return the simplest rule that holds for all failing sizes and for no passing size.

    `others` are further sizes that the rule may compare with. A rule needs a passing size of at
    least `least_passing`: most formulas agree for one sample or one column, which proves nothing.
    """
    failing = {size for size, failed in outcomes.items() if failed}
    passing = {size for size, failed in outcomes.items() if failed is False}
    if not failing or max(passing, default=-1) < least_passing:
        return None
    for rule in _rules(name, failing, others):
        separates = all(map(rule.holds, failing)) and not any(map(rule.holds, passing))
        if separates and passing.issuperset(rule.ends):
            return rule
    return None


def _rules(name: str, failing: set[int], others: Mapping[str, int]) -> Iterator[Rule]:
    """Yield rules, the simplest first."""
    low, high = min(failing), max(failing)
    if len(failing) == 1:
        if low == 1:  # first, because all sizes of a small case may be 1
            yield Rule(f"{name} is 1", low.__eq__, (2,))
        for other, size in others.items():
            yield Rule(f"{name} equals {other}", size.__eq__, (low - 1, low + 1)[low == 1 :])
        yield Rule(f"{name} is {low}", low.__eq__, (low - 1, low + 1)[low <= 1 :])
    yield Rule(f"{name} is greater than {low - 1}", low.__le__, (low - 1,))
    yield Rule(f"{name} is less than {high + 1}", high.__ge__, (high + 1,))
    if len(failing) > 1:
        for m in MULTIPLES:
            yield Rule(f"{name} is a multiple of {m}", partial(_is_multiple, m))
            yield Rule(f"{name} is not a multiple of {m}", partial(_is_no_multiple, 0, m))
            text = f"{name} is greater than {m} and not a multiple of it"
            yield Rule(text, partial(_is_no_multiple, m, m))
        for m in MULTIPLES:
            text = f"{name} is at least {low} and not a multiple of {m}"
            yield Rule(text, partial(_is_no_multiple, low - 1, m))
    for other, size in others.items():
        yield Rule(f"{name} is greater than {other}", size.__lt__, (size,))
        yield Rule(f"{name} is less than {other}", size.__gt__, (size,))
    inside = range(low, high + 1)
    yield Rule(f"{name} is from {low} to {high}", inside.__contains__, (low - 1, high + 1))
    # An error can shrink below its bound, so that only the lower end is known.
    text = f"{name} is greater than {low - 1}; the error fades for larger values"
    yield Rule(text, inside.__contains__, (low - 1,))


def _is_multiple(m: int, size: float) -> bool:
    return size % m == 0


def _is_no_multiple(above: int, m: int, size: float) -> bool:
    return size > above and size % m != 0


def find_range(name: str, outcomes: Reals, fails: Callable[[float], bool | None]) -> Rule | None:
    """Return the range of real numbers that fails, with ends as round as the outcomes allow."""
    known = _without_faded(outcomes, fails)
    failing = [value for value in known if outcomes[value]]
    turns = [(a, b) for a, b in pairwise(known) if outcomes[a] != outcomes[b]]
    if not failing or not turns or len(turns) > 2:
        return None
    if failing == [0.0]:
        return Rule(f"{name} is 0", (0.0).__eq__)
    ends = [_end(outcomes, fails, a, b) for a, b in turns]
    first, last = ends[0], ends[-1]
    if first is None or last is None:
        return None
    mirrored = abs(first + last) <= NARROW * abs(last)
    if len(ends) == 1 and outcomes[known[-1]]:
        text, holds = _above(first), partial(_is_between, first, known[-1])
    elif len(ends) == 1:
        text, holds = _below(first), partial(_is_between, known[0], first)
    elif outcomes[known[0]]:
        text = _above(last) if mirrored else f"{_below(first)} or {_above(last)}"
        holds = partial(_is_outside, first, last)
    else:
        text = _below(last) if mirrored else f"between {first:g} and {last:g}"
        holds = partial(_is_between, first, last)
    shown = f"|{name}|" if mirrored and len(ends) > 1 else name
    return Rule(f"{shown} is {text}", holds)


def _without_faded(outcomes: Reals, fails: Callable[[float], bool | None]) -> list[float]:
    """Return the values with a known outcome, without large ones at which the error has faded.

    There it has no end, because it becomes smaller than its bound little by little.
    """
    known = sorted(value for value, failed in outcomes.items() if failed is not None)
    for step in (-1, 1):
        ordered = known[::step]
        turn = next((k for k in range(1, len(ordered)) if outcomes[ordered[k]]), 0)
        if not turn or outcomes[ordered[0]]:
            continue
        outer, inner = ordered[turn - 1], ordered[turn]
        if outer * inner > 0 and _end({**outcomes}, fails, *sorted((outer, inner))) is None:
            known = [value for value in known if step * (value - outer) > 0]
    return known


def _is_outside(first: float, last: float, value: float) -> bool:
    return value < first or value > last


def _is_between(first: float, last: float, value: float) -> bool:
    return first <= value <= last


def _above(end: float) -> str:
    return f"greater than {end:g}" if end else "positive"


def _below(end: float) -> str:
    return f"less than {end:g}" if end else "negative"


def _end(
    outcomes: Reals, fails: Callable[[float], bool | None], a: float, b: float
) -> float | None:
    """Return the roundest number where passing turns into failing; None if it stays unknown."""
    if a < 0 < b and b - a <= SMALL:
        return 0.0
    if a <= 0 <= b and (outcomes.get(0.0) is not None or a * b == 0):
        # 0 itself is one of both sides, and numbers close to it are the other.
        other = b if a == 0 else a
        tiny = 1e-3 * other
        if other != 0 and a * b == 0 and fails(tiny) is outcomes[other]:
            return 0.0
    for _ in range(30):
        if b - a <= NARROW * max(abs(a), abs(b)):
            return roundest(a, b)
        middle = (a + b) / 2
        failed = fails(middle)
        if failed is None:
            return None
        outcomes[middle] = failed
        a, b = (middle, b) if failed == outcomes[a] else (a, middle)
    return None


def roundest(a: float, b: float) -> float:
    """Return the number of the fewest digits from a to b."""
    for digits in range(1, 17):
        for value in (float(f"{(a + b) / 2:.{digits}g}"), float(f"{b:.{digits}g}")):
            if a <= value <= b:
                return value
    return (a + b) / 2
