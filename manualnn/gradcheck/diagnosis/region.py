"""The region of a mistake: a short description that separates wrong entries from right ones.

    find_region(bench, views, everywhere)      "for x > 4", "only the last entry along axis 1", …

A description is stated only if it holds for every wrong sample and for no right one. New points are
judged first, so that it does not hold by chance: the entries of a wrong point in other places, and,
between right and wrong numbers, more numbers (see `intervals`).
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from manualnn.gradcheck.data import Array, Point
from manualnn.gradcheck.diagnosis.intervals import EVERYWHERE, Line, describe, refine, simplest
from manualnn.gradcheck.diagnosis.observation import Bench, Limit, Observation, View
from manualnn.gradcheck.diagnosis.samples import Samples, gather

ENTRY = re.compile(r"index (\d+) along axis 0 and index (\d+) along axis 1")


def find_region(
    bench: Bench,
    seen: Sequence[Observation],
    name: str,
    budget: Limit,
    *,
    everywhere: bool = False,
) -> str:
    """Return where the gradient of an input is wrong; empty if no description separates it."""
    views = _views(seen, name)
    others = _right_inputs(seen, name)
    if not any(view.wrong.any() for view in views):
        return ""
    seen = [*seen, *_rolled(bench, seen, name, budget)]
    samples = gather(_views(seen, name))
    found = EVERYWHERE if samples.wrong.all() else ""
    found = found or _by_number(bench, seen, name, samples, budget, sharply=everywhere)
    if not found and everywhere:
        found = EVERYWHERE
    found = found or _by_fact(samples) or _by_group(bench, seen, name, samples, budget)
    return f"{found}{others}" if found else others.removeprefix("; ")


def _views(seen: Sequence[Observation], name: str) -> list[View]:
    return [v for o in seen if (v := o.view(name)) is not None and v.decided.any()]


def _right_inputs(seen: Sequence[Observation], name: str) -> str:
    """Return a sentence on the other inputs, if their gradients are right."""
    others = [other for other in seen[0].names if other != name]
    right = [o for o in others if not any(view.wrong.any() for view in _views(seen, o))]
    if not right:
        return ""
    verb = "is" if len(right) == 1 else "are"
    return f"; only input {name}: the gradient of {' and '.join(right)} {verb} right"


def _rolled(
    bench: Bench, seen: Sequence[Observation], name: str, budget: Limit
) -> Iterator[Observation]:
    """Yield a wrong point with its numbers in other places, which tells numbers from indices."""
    wrong = [o for o in seen if (v := o.view(name)) is not None and v.wrong.any()]
    sizes = {id(o): sum(a.size for a in o.point.arrays) for o in wrong}
    for start in sorted(wrong, key=lambda o: -sizes[id(o)])[:2]:
        for by in (1, 3):
            arrays = tuple(
                np.roll(a.reshape(-1), by).reshape(a.shape) if _is_free(spec) else a
                for a, spec in zip(start.point.arrays, bench.specs, strict=True)
            )
            if not budget.over and (new := bench.observe(Point(arrays, start.point.cotangents))):
                yield new


def _is_free(spec: object) -> bool:
    """Return True if the entries of an input may be in any order."""
    return getattr(spec, "kind", "real") in {"real", "positive", "classes", "integers", "boolean"}


def _by_number(
    bench: Bench,
    seen: Sequence[Observation],
    name: str,
    samples: Samples,
    budget: Limit,
    *,
    sharply: bool,
) -> str:
    """Return the intervals of an entry's number in which it is wrong."""
    start = max(_views(seen, name), key=lambda v: int(v.wrong.sum()))
    for of in _elementwise_numbers(samples, name):
        line = Line.of(samples.numbers[of], samples.wrong, samples.excess)
        known = refine(bench, start, of, line, budget)
        if known is not None and (text := describe(known, of, sharply=sharply)):
            return text
    return ""


def _elementwise_numbers(samples: Samples, name: str) -> list[str]:
    names = [n for n in samples.numbers if n.isidentifier() or n == name or "." in n]
    return sorted(names, key=lambda n: n != name)


def _by_fact(samples: Samples) -> str:
    """Return the first fact that separates the samples, then the first pair of facts."""
    for text, fact in samples.facts.items():
        if samples.is_separated(fact):
            return text if text.startswith("where") else f"only {text}"
    covering = {t: f for t, f in samples.facts.items() if f[samples.wrong].all() and not f.all()}
    texts = list(covering)
    for k, a in enumerate(texts):
        for b in texts[k + 1 :]:
            if samples.is_separated(covering[a] & covering[b]):
                entry = ENTRY.fullmatch(f"{a} and {b}")
                text = f"entry [{entry[1]}, {entry[2]}]" if entry else f"{a} and {b}"
                return f"only {text}".replace("only where", "where")
    return ""


def _by_group(
    bench: Bench, seen: Sequence[Observation], name: str, samples: Samples, budget: Limit
) -> str:
    """Return a threshold of a number of the whole group, such as its largest entry."""
    for of, values in samples.numbers.items():
        if of.isidentifier():
            continue
        for sign, word in ((1, ">"), (-1, "<")):
            v = sign * values
            wrong, right = v[samples.wrong], v[~samples.wrong]
            if wrong.size < 3 or not wrong.min() > right.max():
                continue
            bracket = float(right.max()), float(wrong.min())
            low, high = _bisect(bench, _pair(seen, name), name, (of, sign), bracket, budget)
            return f"where {of} {word} {simplest(*sorted((sign * low, sign * high)))}"
    return ""


def _bisect(  # noqa: PLR0917 - a search has a place, a name and an end
    bench: Bench,
    pair: tuple[Observation, Observation] | None,
    name: str,
    feature: tuple[str, int],
    bracket: tuple[float, float],
    budget: Limit,
) -> tuple[float, float]:
    """Narrow the bracket of a threshold, on the way from a wrong point to a right one."""
    low, high = bracket
    if pair is None:
        return bracket
    (wrong, right), (of, sign) = pair, feature
    ends: list[tuple[Array, ...]] = [right.point.arrays, wrong.point.arrays]
    for _ in range(12):
        if budget.over or high - low <= 1e-3 * max(abs(low), abs(high)):
            break
        middle = tuple(
            ((a.astype(float) + b) / 2).astype(b.dtype) if b.dtype.kind == "f" else b
            for a, b in zip(*ends, strict=True)
        )
        new = bench.observe(Point(middle, wrong.point.cotangents))
        views = _views([new], name) if new is not None else []
        if not views:
            break
        samples = gather(views)
        ends[1 if samples.wrong.any() else 0] = middle
        v = sign * samples.numbers.get(of, np.zeros(0))
        if v.size != samples.wrong.size:
            break
        low = max([low, *v[~samples.wrong & (v < high)]])
        high = min([high, *v[samples.wrong & (v > low)]])
    return low, high


def _pair(seen: Sequence[Observation], name: str) -> tuple[Observation, Observation] | None:
    """Return a wrong and a right point of the same shapes."""
    wrong = [o for o in seen if (v := o.view(name)) is not None and v.wrong.any()]
    right = [o for o in seen if (v := o.view(name)) is not None and not v.wrong.any()]
    for a in wrong:
        for b in right:
            if [x.shape for x in a.point.arrays] == [x.shape for x in b.point.arrays]:
                return a, b
    return None
