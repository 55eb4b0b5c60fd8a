"""Shrinking: the smallest case that still fails, with few layers and samples and simple numbers.

    shrink(case, fails, seconds=2.0)      the smallest case found; fails(case) is the predicate
    minimise(start, moves, fails, …)      the same for anything that has moves

Shrinking is greedy delta debugging (Zeller & Hildebrandt 2002) on the case itself. A move is a
generator. It yields a smaller case, receives True if that case still fails, and continues from the
smaller case if so and from the old one if not. Moves that save most come first, and all moves are
repeated until none succeeds, unless time runs out.

The predicate is the costly part, because it calls the engine. So it is called only for valid cases,
which a correct engine can answer, and for none of them twice.
"""

from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np

from manualnn.oracle.cases.resize import is_valid, keep_columns, keep_rows, remove_layers, segments
from manualnn.oracle.cases.simplify import simpler_arrays, simpler_values
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.places import specs_of, with_spec
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import ALWAYS, REQUIRED, row_of
from manualnn.oracle.protocol.masks import with_masks

Move = Generator[Case | None, bool, None]
T = TypeVar("T")


def shrink(case: Case, fails: Callable[[Case], bool], *, seconds: float = 2.0) -> Case:
    """Return the smallest valid case found that fails; `case` itself if there is none."""
    return minimise(case, MOVES, lambda c: is_valid(c) and fails(c), _key, Budget(seconds))


def minimise(
    start: T,
    moves: Iterable[Callable[[T], Generator[T | None, bool, None]]],
    fails: Callable[[T], bool],
    key: Callable[[T], Hashable],
    budget: Any,
) -> T:
    """Return the smallest thing that the moves reach and that fails; `start` if there is none.

    Things with equal keys are tried once. `budget.over` ends the search.
    """
    tried = {key(start)}
    best = start

    def still_fails(candidate: T | None) -> bool:
        if candidate is None or (name := key(candidate)) in tried:
            return False
        tried.add(name)
        return fails(candidate)

    moved = True
    while moved:
        moved = False
        for move in moves:
            proposals, failed = move(best), None
            while not budget.over:
                try:
                    candidate = next(proposals) if failed is None else proposals.send(failed)
                except StopIteration:
                    break
                failed = still_fails(candidate)
                if failed and candidate is not None:
                    best, moved = candidate, True
    return best


def _steps(case: Case) -> Move:
    for steps in (1, 2, case.steps // 2, case.steps - 1):
        if 0 < steps < case.steps:
            smaller = case.but(steps=steps)
            if (yield smaller):
                case = smaller


def _samples(case: Case) -> Move:
    for keep in fewer(case.n):
        if keep[-1] < case.n and len(keep) < case.n:
            smaller = keep_rows(case, keep)
            if (yield smaller):
                case = smaller


def _layers(case: Case) -> Move:
    """Remove half of the layers, then fewer, then one. Neighbours of a Linear are cut to fit."""
    length = len(case.layers)
    while length := length // 2:
        i = 0
        while i + length <= len(case.layers):
            smaller = remove_layers(case, i, i + length)
            if smaller and (smaller.params or not case.params) and (yield smaller):
                case = smaller
            else:
                i += 1


def _equal_sizes(case: Case) -> Move:
    """Cut samples and segments of the same size together, because a bug may need them equal."""
    for size in sorted({case.n, *case.widths}):
        for smaller_size in _sizes_below(size):
            smaller: Case | None = case
            if case.n == size:
                smaller = keep_rows(case, range(smaller_size))
            for segment in segments(case):
                if case.widths[segment[0]] == size and smaller is not None:
                    smaller = keep_columns(smaller, segment, range(smaller_size))
            if (yield smaller) and smaller is not None:
                case = smaller
                break


def _columns(case: Case) -> Move:
    for number in range(len(segments(case))):
        segment = segments(case)[number]
        for keep in fewer(case.widths[segment[0]]):
            width = case.widths[segment[0]]
            if keep[-1] < width and len(keep) < width:
                smaller = keep_columns(case, segment, keep)
                if (yield smaller) and smaller is not None:
                    case = smaller


def _parts(case: Case) -> Move:
    """Remove the optimizer or replace it by plain SGD. Remove state, dropout masks and weights."""
    if case.optimizer:
        for optimizer in (None, {"type": "SGD", "lr": 1.0}):
            smaller = case.but(optimizer=optimizer, state=None, steps=1)
            if (yield smaller):
                case = smaller
                break
    for part in ("state", "noise", "sample_weights"):
        smaller = case.but(**{part: None})
        if (yield smaller):
            case = smaller


def _updates(case: Case) -> Move:
    if case.state:
        for step in (1, 2, 10, case.state["step"] // 2, case.state["step"] - 1):
            smaller = case.but(state={**case.state, "step": step})
            if 0 < step < case.state["step"] and (yield smaller):
                case = smaller


def _options(case: Case) -> Move:
    """Replace options by their defaults or by simple numbers."""
    for place, original in specs_of(case).items():
        for option in original:
            spec = specs_of(case)[place]
            for value in _simpler_values(spec, option):
                changed = {k: v for k, v in spec.items() if k != option}
                if value is not None:
                    changed[option] = value
                smaller = with_spec(case, place, changed)
                if (yield smaller):
                    case = smaller
                    break


def _dtype(case: Case) -> Move:
    if case.dtype == "float32":
        wide = case.map(lambda _, a: a.astype(np.float64) if a.dtype.kind == "f" else a)
        yield with_masks(wide.but(dtype="float64"))


def _numbers(case: Case) -> Move:
    """Round all arrays, then one array after another, then each entry, small arrays first."""
    names = sorted(case.arrays(), key=lambda name: case.arrays()[name].size)
    for some in (names, *([name] for name in names)):
        for how in simpler_arrays(case, {name: case.arrays()[name] for name in some}):
            smaller = case.map(how.get)
            if (yield smaller):
                case = smaller
                break
    for name in names:
        for index in np.ndindex(case.arrays()[name].shape):
            for value in simpler_values(case, name, case.arrays()[name][index]):
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
    _equal_sizes,
    _columns,
    _parts,
    _updates,
    _options,
    _dtype,
    _numbers,
)


def fewer(size: int) -> Iterator[list[int]]:
    """Yield lists of the indices to keep of `size`: one index first, then all except a part.

    Of more than 16, parts are removed only at the ends. After a success, the indices refer to the
    smaller case; the caller skips lists with indices that no longer exist.
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


def _simpler_values(spec: dict[str, Any], option: str) -> list[Any]:
    """Return simpler values of an option; None stands for its default."""
    value = spec[option]
    if option == "lr":
        return [simple for simple in (1.0, 0.5, 0.1) if simple != value][: _simplicity(value)]
    if option in {"type", "bias"} | ALWAYS:
        return []
    default = row_of(spec["type"]).defaults.get(option)
    values: list[Any] = [] if default is REQUIRED or value == default else [None]
    if isinstance(value, float):
        values += [0.5, 0.1][: _simplicity(value)]
    return values


def _simplicity(value: Any) -> int:
    """Return the number of simple values that are simpler than this one."""
    simple = [1.0, 0.5, 0.1]
    return simple.index(value) if value in simple else len(simple)


def _key(case: Case) -> int:
    arrays = tuple((name, a.shape, a.tobytes()) for name, a in case.arrays().items())
    specs = tuple(repr((kind, sorted(spec.items()))) for kind, spec in case.parts())
    step = case.state and case.state["step"]
    return hash((specs, case.dtype, case.steps, step, case.noise is None, arrays))
