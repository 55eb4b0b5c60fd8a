"""Under which condition an engine fails: nearby cases are tried, and what tells them apart.

    condition(asks, case, claims)     "only when N is not a multiple of 8", or ""

`asks(case)` says whether a case fails, None where it cannot be said (not claimed, no answer, no
time). One thing at a time is varied: sizes, steps, options, the dtype, the magnitude of the numbers
and whether they hit exact points. A condition is stated only if it holds in every case tried, with
cases on both sides, and the nearest ones among them.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from manualnn.oracle.cases.neighbours import apart, generic, stated
from manualnn.oracle.cases.resize import segments
from manualnn.oracle.diagnosis.location import before
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import TABLES

Asks = Callable[[Case], bool | None]

SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 128, 255, 256, 257, 300)
STEPS = (0, 1, 2, 3, 5, 10, 30, 100, 300, 1000, 3000, 10_000, 1_000_000)
FADES = 2000
"""What ends at larger sizes has not ended, but become smaller than its bound."""
MULTIPLES = (2, 4, 8, 16, 32, 64)
SEEDS = (31, 32, 33)
MORE_SEEDS = tuple(range(34, 42))
"""Of ordinary numbers: it fails at a size if it does so with any of them."""
CLOSE = 4
"""At so many sizes more numbers are tried."""
MOST = 2
"""So many conditions are named, the surest first."""


def condition(asks: Asks, case: Case, claims: Capabilities) -> str:
    """Return in words when the engine fails; empty where it seems to do so always."""
    own = [case.n, *(case.widths[run[0]] for run in segments(case))]
    usual = _ever(asks, case, [5, *apart(case)])
    if usual is None:
        return ""
    if not usual and _ever(asks, case, own) is False:
        return "; ".join([*_of_options(asks, case, own), _of_values(asks, case)][:MOST])
    sizes = [5, *apart(case)] if usual else own
    found = [
        *_of_options(asks, case, sizes),
        *_of_dtype(asks, case, claims, sizes),
        *_of_steps(asks, case, claims, sizes),
        *_of_sizes(asks, case, claims, sizes),
    ]
    return "; ".join(found[:MOST])


def _ever(
    asks: Asks, case: Case, sizes: Sequence[int], seeds: Sequence[int] = SEEDS
) -> bool | None:
    """Return whether it fails with some ordinary numbers of these sizes, N first."""
    answers = []
    for seed in seeds:
        answers.append(asks(generic(case, seed, n=sizes[0], widths=sizes[1:])))
        if answers[-1] is not False:
            break
    return answers[-1]


def _of_options(asks: Asks, case: Case, sizes: Sequence[int]) -> list[str]:
    """Name the options without which it passes."""
    needed = []
    for place, spec in _specs(case):
        table = next(table for table in TABLES.values() if spec["type"] in table)
        for option, value in spec.items():
            default = table[spec["type"]].get(option)
            if option in {"type", "in_features", "out_features", "bias", "lr"} or value == default:
                continue
            plain = {k: v for k, v in spec.items() if k != option}
            if option == "momentum":
                plain.pop("nesterov", None)
            changed = _with(case, place, plain)
            if changed.state is not None:
                changed = stated(changed, int(changed.state["step"]))
            if _ever(asks, changed, sizes) is False:
                needed.append(option if np.ndim(value) else f"{option}={value}")
    return [f"only with {' and '.join(needed)}"] if needed else []


def _of_dtype(asks: Asks, case: Case, claims: Capabilities, sizes: Sequence[int]) -> list[str]:
    other = "float32" if case.dtype == "float64" else "float64"
    if other not in claims.dtypes or _ever(asks, case.but(dtype=other), sizes) is not False:
        return []
    return [f"only in {case.dtype}"]


def _of_values(asks: Asks, case: Case) -> str:
    """Say which numbers it takes, where ordinary ones pass."""
    reaches = f"x reaches {np.abs(case.x).max(initial=0):.3g} here"
    if asks(case.map(partial(_nudged, absolutely=False))):
        for power in (4, 10, 20, 60, 120):
            if asks(case.map(partial(_x_times, 2.0**power))) is False:
                return f"only with small numbers: {reaches}, 2^{power} times more passes"
    if asks(case.map(partial(_nudged, absolutely=True))) is False:
        return _exact_point(case)
    for divisor in (2, 4, 16, 64, 1024):
        if asks(case.map(partial(_x_times, 1 / divisor))) is False:
            return f"only with large numbers: {reaches}, {divisor} times less passes"
    return "only with unusual numbers: ordinary ones of the same sizes pass"


def _x_times(factor: float, name: str, array: Array) -> Array:
    return (array * factor).astype(array.dtype) if name == "x" else array


def _nudged(name: str, array: Array, *, absolutely: bool) -> Array:
    """Return floats a little off, each by another amount, or by another share of its own."""
    if array.dtype.kind != "f" or name == "t":
        return array
    by = np.random.default_rng(0).uniform(1e-3, 2e-3, array.shape)
    return (array * (1 + by) + (by if absolutely else 0)).astype(array.dtype)


def _exact_point(case: Case) -> str:
    kinked = {"ReLU", "LeakyReLU", "Softplus"}
    for i, layer in enumerate(case.layers):
        if layer["type"] in kinked and np.any(before(case, i) == 0):
            return f"only where what goes into {layer['type']} is exactly 0"
    outputs = before(case, len(case.layers))
    if case.t.shape == outputs.shape and np.any(outputs == case.t):
        return "only where an output is exactly its target"
    if np.any(case.x == 0):
        return "only at exact numbers, such as the zeros of x"
    return "only at these exact numbers: not a little beside them"


def _of_steps(asks: Asks, case: Case, claims: Capabilities, sizes: Sequence[int]) -> list[str]:
    if case.optimizer is None:
        return []
    if claims.accepts_state:
        single = case.but(steps=1)
        after = {s: stated(single, s) for s in STEPS}
        told = {s: _ever(asks, changed, sizes, SEEDS[:1]) for s, changed in after.items()}
        _refine(told, lambda s: _ever(asks, stated(single, s), sizes, SEEDS[:1]))
        found = _in_words("state['step']", told, {}, telling=0)
        if found or case.steps == 1:
            return found
    counts = range(1, min(claims.max_steps, 12) + 1)
    told = {s: _ever(asks, case.but(steps=s), sizes, SEEDS[:1]) for s in counts}
    return _in_words("the number of steps", told, {}, telling=1)


def _of_sizes(asks: Asks, case: Case, claims: Capabilities, base: Sequence[int]) -> list[str]:
    """Vary N and every width by itself, the others as they are."""
    names = ["N", *_names(case)]

    def told(sizes: Sequence[int], seeds: Sequence[int] = SEEDS) -> bool | None:
        return None if _beyond(sizes, claims) else _ever(asks, case, sizes, seeds)

    equal = _only_equal(told, base, names)
    if equal:
        return [equal]
    sentences: list[str] = []
    for k, name in enumerate(names):

        def at(size: int, seeds: Sequence[int] = SEEDS, k: int = k) -> bool | None:
            return told([*base[:k], size, *base[k + 1 :]], seeds)

        others = {names[j]: base[j] for j in range(len(base)) if j != k}
        sizes = sorted({*SIZES, base[k] - 1, base[k], base[k] + 1, *others.values()} - {0})
        answers = {size: at(size) for size in sizes}
        _refine(answers, at)
        passing = [size for size in sorted(answers) if answers[size] is False]
        # That it passes has to be sure where it is said: there, more numbers are tried.
        nearest = sorted(passing, key=lambda size: abs(size - base[k]))[:CLOSE]
        if not any(at(size, MORE_SEEDS) for size in nearest):
            sentences += _in_words(name, answers, others)
    return sentences


def _only_equal(
    told: Callable[[Sequence[int]], bool | None], own: Sequence[int], names: Sequence[str]
) -> str:
    """Name two sizes that have to be equal: both moved it fails, one alone moved it passes."""
    for i in range(len(own)):
        for j in range(i + 1, len(own)):
            if own[i] != own[j]:
                continue
            both = [[*own] for _ in range(2)]
            for sizes, size in zip(both, (own[i] + 2, own[i] + 3), strict=True):
                sizes[i] = sizes[j] = size
            one = [[*own] for _ in range(2)]
            one[0][i] = one[1][j] = own[i] + 2
            if all(told(sizes) for sizes in both) and all(told(sizes) is False for sizes in one):
                if i and j == i + 1:
                    return f"only where a weight is square ({names[i]} equals {names[j]})"
                return f"only when {names[i]} equals {names[j]}"
    return ""


def _in_words(
    name: str, told: dict[int, bool | None], others: dict[str, int], *, telling: int = 2
) -> list[str]:
    """Return the simplest rule that tells all failing sizes from all passing ones, if any does.

    That one sample or one column passes is no condition: most formulas coincide there. `telling`
    is the least size of which it is one.
    """
    fails = {size for size, failed in told.items() if failed}
    passes = {size for size, failed in told.items() if failed is False}
    if not fails or max(passes, default=-1) < telling:
        return []
    for words, rule in _rules(name, fails, passes, others):
        if all(rule(size) for size in fails) and not any(rule(size) for size in passes):
            return [f"only when {words}"]
    return []


def _rules(
    name: str, fails: set[int], passes: set[int], others: dict[str, int]
) -> Iterator[tuple[str, Callable[[int], bool]]]:
    low, high = min(fails), max(fails)
    if len(fails) == 1:
        if low == 1:  # as all sizes of a small case may be
            yield f"{name} is 1", low.__eq__
        for other, size in others.items():
            yield f"{name} equals {other}", size.__eq__
        yield f"{name} is {low}", low.__eq__
    yield f"{name} is greater than {low - 1}", low.__le__
    if high < FADES:
        yield f"{name} is less than {high + 1}", high.__ge__
    for m in MULTIPLES:
        yield f"{name} is a multiple of {m}", partial(_divisible, m)
        yield f"{name} is not a multiple of {m}", partial(_indivisible, 0, m)
        yield f"{name} is greater than {m} and not a multiple of it", partial(_indivisible, m, m)
    for m in MULTIPLES:
        words = f"{name} is at least {low} and not a multiple of {m}"
        yield words, partial(_indivisible, low - 1, m)
    if len(passes) == 1:
        yield f"{name} is not {min(passes)}", min(passes).__ne__
    for other, size in others.items():
        yield f"{name} is greater than {other}", size.__lt__
        yield f"{name} is less than {other}", size.__gt__
    if high < FADES:
        yield f"{name} is from {low} to {high}", range(low, high + 1).__contains__
    words = f"{name} is greater than {low - 1}, less and less so the larger it is"
    yield words, range(low, high + 1).__contains__


def _divisible(m: int, size: int) -> bool:
    return size % m == 0


def _indivisible(least: int, m: int, size: int) -> bool:
    return size > least and size % m != 0


def _refine(told: dict[int, bool | None], ask: Callable[[int], bool | None]) -> None:
    """Close in on where passing turns into failing, or back, if it does so once: the very size."""
    known = sorted(size for size, failed in told.items() if failed is not None)
    turns = [(a, b) for a, b in pairwise(known) if told[a] != told[b]]
    for a, b in turns if len(turns) < 3 else ():
        low, high = a, b
        while high - low > 1:
            middle = (low + high) // 2
            failed = ask(middle)
            if failed is None:
                return
            told[middle] = failed
            low, high = (middle, high) if failed == told[a] else (low, middle)


def _beyond(sizes: Sequence[int], claims: Capabilities) -> bool:
    wide = claims.max_width is not None and max(sizes[1:]) > claims.max_width
    return wide or (claims.max_batch is not None and sizes[0] > claims.max_batch)


def _names(case: Case) -> list[str]:
    count = len(segments(case))
    if count == 1:
        return ["the width"]
    hidden = (
        ["the hidden width"] if count == 3 else [f"hidden width {i}" for i in range(1, count - 1)]
    )
    return ["the input width", *hidden, "the output width"]


def _specs(case: Case) -> Iterator[tuple[int | str, dict[str, Any]]]:
    yield from ((i, dict(layer)) for i, layer in enumerate(case.layers))
    yield "loss", dict(case.loss)
    if case.optimizer is not None:
        yield "optimizer", dict(case.optimizer)


def _with(case: Case, place: int | str, spec: dict[str, Any]) -> Case:
    if isinstance(place, str):
        return case.but(**{place: spec})
    layers = list(case.layers)
    layers[place] = spec
    return case.but(layers=tuple(layers))
