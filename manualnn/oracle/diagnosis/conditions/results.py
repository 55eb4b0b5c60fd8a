"""Conditions on the true numbers: results that are clipped, or wrong only above or below a limit.

    range_of_results(judge, setting)     "only above 100: the results are clipped there", or ""

The entries of many results, at many magnitudes, are pooled. A limit separates wrong entries from
right ones. It has to be narrow, because an error that grows with the number leaves a wide range
between "surely right" and "surely wrong". Entries of fresh cases then have to agree with it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise

import numpy as np

from manualnn.oracle.diagnosis.conditions.outcome import VISIBLE, NumbersJudge
from manualnn.oracle.diagnosis.conditions.rules import roundest
from manualnn.oracle.diagnosis.conditions.setting import Setting
from manualnn.oracle.diagnosis.observation import Observation
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.truth.compare import group_of, true_values

POWERS = (-100, -60, -30, -20, -14, -10, -7, -4, -2, 0, 2, 4, 7, 10, 14, 20, 40)
"""Powers of 2 by which x and the targets are scaled."""
LEAST = 3
"""Smallest number of entries on each side of a limit."""
NARROW = 1.5
"""Largest ratio of the smallest wrong number to the largest right one."""
SHARP = 2.0**-10
"""Largest relative bound of an entry that is surely right."""

Variable = Callable[[Array], Array]
VARIABLES: dict[str, Variable] = {
    "above": np.abs,
    "below": lambda v: -np.abs(v),
    "signed above": lambda v: v,
    "signed below": lambda v: -v,
}


@dataclass(frozen=True)
class Pool:
    """Entries of results that are surely wrong or surely right."""

    got: Array
    v: Array
    wrong: Array

    @property
    def is_enough(self) -> bool:
        """Return True if there are some entries of both kinds."""
        return LEAST <= int(self.wrong.sum()) <= len(self.wrong) - LEAST


def range_of_results(judge: NumbersJudge, setting: Setting) -> str:
    """Return the condition that the true number is above or below a limit; empty without one."""
    seen = {power: _observed(judge, setting, (power,), (51,)) for power in POWERS}
    powers = _turning(judge, setting, seen)
    if not powers:
        return ""
    known = [judge.own, *chain(*seen.values())]
    known += _observed(judge, setting, powers, range(52, 55))
    fresh = _observed(judge, setting, (*powers, -7, 0, 7), (57, 58))
    suffix = "." + judge.first.rpartition(".")[2]
    for part in dict.fromkeys(("", suffix if "." in judge.first else "")):
        belongs = partial(_belongs, judge, part)
        pool, test = _pool(known, belongs), _pool(fresh, belongs)
        if not pool.is_enough:
            continue
        for kind, variable in VARIABLES.items():
            text = _limit(pool, test, kind, variable)
            if text:
                return text
    return ""


def _limit(pool: Pool, test: Pool, kind: str, variable: Variable) -> str:
    """Return the condition if a limit of a variable separates all wrong entries from right ones."""
    value = variable(pool.v)
    right, wrong = value[~pool.wrong].max(), value[pool.wrong].min()
    above = kind.endswith("above")
    constant = _constant(np.abs(pool.got[pool.wrong]))
    if constant and above:
        signs = np.sign(pool.got[pool.wrong]) == np.sign(pool.v[pool.wrong])
        limit = constant
        is_clipped = bool(signs.all()) and right <= limit * (1 + 1e-5) and wrong >= limit
    else:
        is_clipped, limit = False, roundest(float(right), float(wrong))
    ratio = wrong / right if above else right / wrong
    if not is_clipped and not (right < wrong and right * wrong > 0 and 1 <= ratio <= NARROW):
        return ""
    fresh = variable(test.v)
    gap = np.abs(fresh - limit) <= max(1e-3 * abs(limit), 0 if is_clipped else wrong - right)
    if not test.is_enough or np.any((fresh > limit)[~gap] != test.wrong[~gap]):
        return ""
    number, what = f"{abs(limit):.3g}", "|truth|" if not kind.startswith("signed") else "the truth"
    if is_clipped:
        is_signed = what == "|truth|" and bool((pool.got[pool.wrong] < 0).any())
        got = f"±{number}" if is_signed else f"{limit:.3g}"
        return f"only where {what} is greater than {number}: got is {got} there"
    ending = ": got is 0 there" if not pool.got[pool.wrong].any() else ""
    sign = "−" if (limit < 0) == above else ""
    side = "greater" if above else "less"
    return f"only where {what} is {side} than about {sign}{abs(limit):.2g}{ending}"


def _constant(numbers: Array) -> float:
    """Return the number that all numbers are; 0 if they differ."""
    low, high = float(numbers.min()), float(numbers.max())
    return (low + high) / 2 if np.isfinite(high) and high - low <= 1e-5 * high else 0.0


def _turning(
    judge: NumbersJudge, setting: Setting, seen: dict[int, list[Observation]]
) -> list[int]:
    """Return the powers between which the share of wrong entries changes most; empty if none."""
    shares = {power: _wrong_share(judge, some[0]) for power, some in seen.items() if some}
    pairs = [(p, q) for p, q in pairwise(shares) if shares[p] != shares[q]]
    if not pairs:
        return []
    p, q = max(pairs, key=lambda pair: abs(shares[pair[0]] - shares[pair[1]]))
    while q - p > 1:
        middle = (p + q) // 2
        seen[middle] = _observed(judge, setting, (middle,), (51,))
        share = _wrong_share(judge, seen[middle][0]) if seen[middle] else shares[q]
        if share not in {shares[p], shares[q]}:
            return [p, middle, q]
        shares[middle] = share
        p, q = (middle, q) if share == shares[p] else (p, middle)
    return [p, q]


def _wrong_share(judge: NumbersJudge, seen: Observation) -> float:
    """Return the share of wrong entries of the group."""
    masks = [mask.ravel() for name, mask in seen.wrong.items() if group_of(name) == judge.group]
    return float(np.concatenate(masks).mean()) if masks else 0.0


def _belongs(judge: NumbersJudge, suffix: str, name: str) -> bool:
    return group_of(name) == judge.group and name.endswith(suffix)


def _observed(
    judge: NumbersJudge, setting: Setting, powers: Iterable[int], seeds: Sequence[int]
) -> list[Observation]:
    """Return observations of the setting at some scales, without those of another failure."""
    count = len(judge.observations)
    for power in powers:
        for seed in seeds:
            judge(setting.but(scale=2.0**power).draw(seed))
    return [
        seen
        for seen in judge.observations[count:]
        if not seen.is_wrong or group_of(seen.wrong_names[0]) == judge.group
    ]


def _pool(observations: Iterable[Observation], belongs: Callable[[str], bool]) -> Pool:
    """Return the entries that are surely wrong or surely right."""
    kept: list[tuple[Array, Array, Array]] = []
    for seen in observations:
        for name in filter(belongs, seen.got):
            near = seen.expected[name]
            got, v = seen.got[name].astype(np.longdouble).ravel(), true_values(near).ravel()
            bounds, wrong = np.asarray(near.bounds).ravel(), seen.wrong[name].ravel()
            visible = wrong & (np.abs(got - v) > VISIBLE * bounds)
            sure = visible | (~wrong & (bounds <= SHARP * np.abs(v)) & (v != 0))
            sure &= np.isfinite(got)
            kept.append((got[sure], v[sure], wrong[sure]))
    if not kept:
        return Pool(np.zeros(0), np.zeros(0), np.zeros(0, bool))
    return Pool(*(np.concatenate(arrays) for arrays in zip(*kept, strict=True)))
