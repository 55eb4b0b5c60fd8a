"""The smallest case that still fails: the fewest layers, samples and columns, the simplest numbers.

    shrink(case, fails, seconds=2.0)      fails(case) says whether a smaller case still shows it
    same_failure(found, finding)          whether two findings are of one failure, for `fails`

Greedy delta debugging (Zeller & Hildebrandt 2002) on the case itself. A move is a generator: it
proposes smaller cases one after another, is told of each whether it still fails, and goes on from
there. Moves that save most come first, and all are repeated until none succeeds: no single one of
them makes what is returned any smaller, unless time ran out. Only valid cases are asked about, and
none twice.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

from manualnn.oracle.cases.resize import columns, rows, segments, valid, without
from manualnn.oracle.cases.simplify import simplified, simplified_whole
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import TABLES

MATERIAL = 2**10
"""In units of eps: what has accumulated in ordinary small cases is below."""

Move = Generator[Case | None, bool, None]


def shrink(case: Case, fails: Callable[[Case], bool], *, seconds: float = 2.0) -> Case:
    """Return the smallest case found that fails, and is valid; `case` itself if there is none."""
    budget = Budget(seconds)
    asked = {_key(case)}
    best = case

    def judged(candidate: Case | None) -> bool:
        if candidate is None or (key := _key(candidate)) in asked:
            return False
        asked.add(key)
        return valid(candidate) and fails(candidate)

    moved = True
    while moved:
        moved = False
        for move in MOVES:
            proposals, still = move(best), None
            while not budget.over:
                try:
                    candidate = next(proposals) if still is None else proposals.send(still)
                except StopIteration:
                    break
                still = judged(candidate)
                if still and candidate is not None:
                    best, moved = candidate, True
    return best


def same_failure(found: Finding | None, finding: Finding) -> bool:
    """Return whether what is found in a smaller case is the failure that was looked for.

    It is of the same kind; and an error that rounding cannot explain has not become one that it
    can, as where everything cancels and 10⁻¹⁶ stands in place of an exact 0.
    """
    if found is None or found.kind != finding.kind:
        return False
    return _is_material(found) or not _is_material(finding)


def _is_material(finding: Finding) -> bool:
    """Whether there is an error far larger than the rounding of numbers around 1."""
    least = MATERIAL * float(np.finfo(finding.case.dtype).eps)
    return any(not abs(entry.got - entry.expected) <= least for entry in finding.entries)


def _steps(case: Case) -> Move:
    for steps in (1, 2, case.steps // 2, case.steps - 1):
        if 0 < steps < case.steps:
            smaller = case.but(steps=steps)
            if (yield smaller):
                case = smaller


def _samples(case: Case) -> Move:
    for keep in _fewer(case.n):
        if keep[-1] < case.n and len(keep) < case.n:
            smaller = rows(case, keep)
            if (yield smaller):
                case = smaller


def _layers(case: Case) -> Move:
    """Remove half of the layers, a quarter …, one; a Linear's neighbours are made to fit."""
    length = len(case.layers)
    while length := length // 2:
        i = 0
        while i + length <= len(case.layers):
            smaller = without(case, i, i + length)
            if _is_network(smaller, case) and (yield smaller) and smaller is not None:
                case = smaller
            else:
                i += 1


def _is_network(smaller: Case | None, case: Case) -> bool:
    """Whether there are parameters left, where there were any."""
    return smaller is not None and (bool(smaller.params) or not case.params)


def _everything_equal(case: Case) -> Move:
    """Cut the samples and all segments of one width together: a mistake may need them equal."""
    for size in sorted({case.n, *case.widths}):
        for smaller_size in _sizes_below(size):
            smaller: Case | None = case
            if case.n == size:
                smaller = rows(case, range(smaller_size))
            for segment in segments(case):
                if case.widths[segment[0]] == size and smaller is not None:
                    smaller = columns(smaller, segment, range(smaller_size))
            if (yield smaller) and smaller is not None:
                case = smaller
                break


def _columns(case: Case) -> Move:
    for number in range(len(segments(case))):
        segment = segments(case)[number]
        for keep in _fewer(case.widths[segment[0]]):
            width = case.widths[segment[0]]
            if keep[-1] < width and len(keep) < width:
                smaller = columns(case, segment, keep)
                if (yield smaller) and smaller is not None:
                    case = smaller


def _parts(case: Case) -> Move:
    """No optimizer or the plainest, no state, no dropout."""
    plain = {"type": "SGD", "lr": 1.0}
    if case.optimizer:
        bare = case.but(optimizer=None, state=None, steps=1)
        if (yield bare):
            case = bare
    if case.optimizer not in (None, plain):
        plainer = case.but(optimizer=plain, state=None, steps=1)
        if (yield plainer):
            case = plainer
    for part in ("state", "noise"):
        if getattr(case, part):
            smaller = case.but(**{part: None})
            if (yield smaller):
                case = smaller


def _updates(case: Case) -> Move:
    """Yield states of fewer steps."""
    if case.state:
        for step in (1, 2, 10, case.state["step"] // 2, case.state["step"] - 1):
            smaller = case.but(state={**case.state, "step": step})
            if 0 < step < case.state["step"] and (yield smaller):
                case = smaller


def _options(case: Case) -> Move:
    """Options as they are by default, or simple numbers."""
    for place in [*range(len(case.layers)), "loss", "optimizer"]:
        for option in list(_spec(case, place)):
            for value in _simpler_options(_spec(case, place), option):
                simple = {k: v for k, v in _spec(case, place).items() if k != option}
                if value is not None:
                    simple[option] = value
                smaller = _with(case, place, simple)
                if smaller is not None and (yield smaller):
                    case = smaller
                    break


def _dtype(case: Case) -> Move:
    if case.dtype == "float32":
        wide = case.map(lambda _, a: a.astype(np.float64) if a.dtype.kind == "f" else a)
        yield wide.but(dtype="float64")


def _numbers(case: Case) -> Move:
    """Round everything, then whole arrays, then entry by entry from the smallest array on."""
    names = sorted(case.arrays(), key=lambda name: case.arrays()[name].size)
    for some in (names, *([name] for name in names)):
        for how in simplified_whole(case, {name: case.arrays()[name] for name in some}):
            smaller = case.map(how.get)
            if (yield smaller):
                case = smaller
                break
    for name in names:
        for index in np.ndindex(case.arrays()[name].shape):
            for value in simplified(case, name, case.arrays()[name][index]):
                array = case.arrays()[name].copy()
                array[index] = value
                smaller = case.map({name: array}.get)
                if (yield smaller):
                    case = smaller
                    break


MOVES = (
    _steps,
    _samples,
    _layers,
    _everything_equal,
    _columns,
    _parts,
    _updates,
    _options,
    _dtype,
    _numbers,
)


def _fewer(size: int) -> Iterator[list[int]]:
    """Yield what may be kept of so many: the fewest first, then all without a part.

    Of many, parts are taken off at the ends alone. After a success what is meant are the indices of
    what is left; the caller passes over those that are no longer there.
    """
    yield from ([i] for i in dict.fromkeys((0, size - 1)) if size > 1)
    part = size // 2
    while part:
        starts = range(0, size, part) if size <= 16 else (0, size - part)
        for start in reversed(starts):
            keep = [i for i in range(size) if not start <= i < start + part]
            if keep:
                yield keep
        part //= 2


def _sizes_below(size: int) -> list[int]:
    halves = [size - (size >> k) for k in range(1, size.bit_length())]
    return sorted({k for k in (1, 2, 3, *halves, size - 1) if 0 < k < size})


def _spec(case: Case, place: int | str) -> dict[str, Any]:
    spec = case.layers[place] if isinstance(place, int) else getattr(case, place)
    return dict(spec or {})


def _with(case: Case, place: int | str, spec: dict[str, Any]) -> Case | None:
    if isinstance(place, str):
        return case.but(**{place: spec})
    layers = list(case.layers)
    if spec.get("bias", True) != layers[place].get("bias", True):
        return None  # parameters come and go with it
    layers[place] = spec
    return case.but(layers=tuple(layers))


def _simpler_options(spec: dict[str, Any], option: str) -> list[Any]:
    """Return simpler values of an option, None for its default."""
    value = spec[option]
    if option in {"type", "in_features", "out_features"}:
        return []
    if option == "lr":
        return [simple for simple in (1.0, 0.5, 0.1) if simple != value][: _simplicity(value)]
    default = next(t[spec["type"]] for t in TABLES.values() if spec["type"] in t).get(option)
    values: list[Any] = [] if value == default else [None]
    if isinstance(value, float):
        values += [0.5, 0.1][: _simplicity(value)]
    return values


def _simplicity(value: Any) -> int:
    """Return how many of the simple values are simpler than this one."""
    simple = [1.0, 0.5, 0.1]
    return simple.index(value) if value in simple else len(simple)


def _key(case: Case) -> int:
    arrays = tuple((name, a.shape, a.tobytes()) for name, a in case.arrays().items())
    specs = tuple(repr((kind, sorted(spec.items()))) for kind, spec in case.parts())
    step = case.state and case.state["step"]
    return hash((specs, case.dtype, case.steps, step, case.noise is None, arrays))
