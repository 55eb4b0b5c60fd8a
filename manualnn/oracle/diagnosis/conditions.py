"""Conditions of a failure: when the engine fails, found by trying nearby cases.

    find_condition(case_fails, case, claims)     "only when N is not a multiple of 8", or ""
    find_earlier_call(calls_fail, case)          "only after a call with more samples", …

`case_fails(case)` returns True, False, or None if the outcome is unknown: the engine does not claim
the case, gives no result, or there is no time. One property is varied at a time, with ordinary
random numbers: the options, the data type, the number of steps, N and each width. `size_rules` then
states the rule that separates failing sizes from passing ones.

If ordinary numbers fail at generic sizes, N = 5 and widths that all differ, the search starts from
these sizes. If they fail only at the case's own sizes, it starts from those. If they pass at both,
the numbers of the case matter: x is scaled, and all numbers are moved a little off exact points.

A condition has to hold in every case tried, with cases on both sides. One draw of numbers may hide
the error, so more are drawn for the passing sizes closest to the start.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations

import numpy as np

from manualnn.oracle.cases.neighbours import case_after_steps, distinct_widths, ordinary_case
from manualnn.oracle.cases.resize import segments
from manualnn.oracle.diagnosis.location import ACTIVATIONS, input_of_layer
from manualnn.oracle.diagnosis.places import specs_of, with_spec
from manualnn.oracle.diagnosis.size_rules import find_rule, refine
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import row_of

CaseFails = Callable[[Case], bool | None]
SizesFail = Callable[[Sequence[int]], bool | None]

SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 128, 255, 256, 257, 300)
STEPS = (0, 1, 2, 3, 5, 10, 30, 100, 300, 1000, 3000, 10_000, 1_000_000)
SEEDS = (31, 32, 33)
"""Seeds of ordinary numbers. A size fails if it fails with any of them."""
MORE_SEEDS = tuple(range(34, 42))
"""Further seeds for the passing sizes closest to the base."""
CLOSEST = 4
"""Number of passing sizes that get MORE_SEEDS."""
MOST = 2
"""Largest number of conditions that are reported, the surest first."""

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


def find_condition(case_fails: CaseFails, case: Case, claims: Capabilities) -> str:
    """Return the condition of the failure; empty if the engine seems to fail always."""
    own = [case.n, *(case.widths[run[0]] for run in segments(case))]
    generic_sizes = [5, *distinct_widths(case)]
    fails_generic = _fails_at(case_fails, case, generic_sizes)
    if fails_generic is None:
        return ""
    if not fails_generic and _fails_at(case_fails, case, own) is False:
        values = _condition_on_values(case_fails, case)
        return "; ".join([*_condition_on_options(case_fails, case, own), values][:MOST])
    sizes = generic_sizes if fails_generic else own
    found = [
        *_condition_on_options(case_fails, case, sizes),
        *_condition_on_dtype(case_fails, case, claims, sizes),
        *_condition_on_steps(case_fails, case, claims, sizes),
        *_condition_on_sizes(case_fails, case, sizes),
    ]
    return "; ".join(found[:MOST])


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


def _fails_at(
    case_fails: CaseFails, case: Case, sizes: Sequence[int], seeds: Sequence[int] = SEEDS
) -> bool | None:
    """Return True if some ordinary numbers of these sizes, N first, fail."""
    failed = None
    for seed in seeds:
        failed = case_fails(ordinary_case(case, seed, n=sizes[0], widths=sizes[1:]))
        if failed is not False:
            break
    return failed


def _condition_on_options(case_fails: CaseFails, case: Case, sizes: Sequence[int]) -> list[str]:
    """Name the options whose defaults pass."""
    needed = []
    for place, spec in specs_of(case).items():
        defaults = row_of(spec["type"]).defaults
        for option, value in spec.items():
            required = option in {"type", "in_features", "out_features", "bias", "lr"}
            if required or value == defaults.get(option):
                continue
            plain = {k: v for k, v in spec.items() if k != option}
            if option == "momentum":
                plain.pop("nesterov", None)
            changed = with_spec(case, place, plain)
            if changed.state is not None:
                changed = case_after_steps(changed, int(changed.state["step"]))
            if _fails_at(case_fails, changed, sizes) is False:
                needed.append(option if np.ndim(value) else f"{option}={value}")
    return [f"only with {' and '.join(needed)}"] if needed else []


def _condition_on_dtype(
    case_fails: CaseFails, case: Case, claims: Capabilities, sizes: Sequence[int]
) -> list[str]:
    other = "float32" if case.dtype == "float64" else "float64"
    if other in claims.dtypes and _fails_at(case_fails, case.but(dtype=other), sizes) is False:
        return [f"only in {case.dtype}"]
    return []


def _condition_on_values(case_fails: CaseFails, case: Case) -> str:
    """Name the special numbers that the failure needs, if ordinary numbers pass."""
    reaches = f"x reaches {np.abs(case.x).max(initial=0):.3g} here"
    if case_fails(case.map(partial(_nudge, absolutely=False))):
        for power in (4, 10, 20, 60, 120):
            if case_fails(case.map(partial(_scale_x, 2.0**power))) is False:
                return f"only with small numbers: {reaches}, 2^{power} times larger passes"
    if case_fails(case.map(partial(_nudge, absolutely=True))) is False:
        return _exact_point(case)
    for divisor in (2, 4, 16, 64, 1024):
        if case_fails(case.map(partial(_scale_x, 1 / divisor))) is False:
            return f"only with large numbers: {reaches}, {divisor} times smaller passes"
    return "only with unusual numbers: ordinary ones of the same sizes pass"


def _scale_x(factor: float, name: str, array: Array) -> Array:
    return (array * factor).astype(array.dtype) if name == "x" else array


def _nudge(name: str, array: Array, *, absolutely: bool) -> Array:
    """Move every float by a share of itself, and if `absolutely`, by a small number too."""
    if array.dtype.kind != "f" or name == "t" or name.startswith("noise."):
        return array
    by = np.random.default_rng(0).uniform(1e-3, 2e-3, array.shape)
    return (array * (1 + by) + (by if absolutely else 0)).astype(array.dtype)


def _exact_point(case: Case) -> str:
    for i, layer in enumerate(case.layers):
        if layer["type"] in ACTIVATIONS and np.any(input_of_layer(case, i) == 0):
            return f"only where the input of {layer['type']} is exactly 0"
    outputs = input_of_layer(case, len(case.layers))
    if case.t.shape == outputs.shape and np.any(outputs == case.t):
        return "only where an output equals its target exactly"
    if np.any(case.x == 0):
        return "only at exact numbers, such as the zeros of x"
    return "only at exactly these numbers: close ones pass"


def _condition_on_steps(
    case_fails: CaseFails, case: Case, claims: Capabilities, sizes: Sequence[int]
) -> list[str]:
    if case.optimizer is None:
        return []
    if claims.accepts_state:
        single = case.but(steps=1)

        def fails_after(step: int) -> bool | None:
            return _fails_at(case_fails, case_after_steps(single, step), sizes, SEEDS[:1])

        outcomes = {step: fails_after(step) for step in STEPS}
        refine(outcomes, fails_after)
        found = find_rule("state['step']", outcomes, {}, least_passing=0)
        if found or case.steps == 1:
            return found
    counts = range(1, min(claims.max_steps, 12) + 1)
    outcomes = {s: _fails_at(case_fails, case.but(steps=s), sizes, SEEDS[:1]) for s in counts}
    return find_rule("the number of steps", outcomes, {}, least_passing=1)


def _condition_on_sizes(case_fails: CaseFails, case: Case, base: Sequence[int]) -> list[str]:
    """Vary N and every width one at a time."""
    names = ["N", *_width_names(case)]
    sizes_fail = partial(_fails_at, case_fails, case)
    equal = _condition_on_equal_sizes(sizes_fail, base, names)
    if equal:
        return [equal]
    found: list[str] = []
    for k, name in enumerate(names):

        def fails(size: int, seeds: Sequence[int] = SEEDS, k: int = k) -> bool | None:
            return sizes_fail([*base[:k], size, *base[k + 1 :]], seeds=seeds)

        others = {names[j]: base[j] for j in range(len(base)) if j != k}
        sizes = {*SIZES, base[k] - 1, base[k], base[k] + 1, *others.values()} - {0}
        outcomes = {size: fails(size) for size in sorted(sizes)}
        refine(outcomes, fails)
        passing = [size for size in sorted(outcomes) if outcomes[size] is False]
        closest = sorted(passing, key=lambda size: abs(size - base[k]))[:CLOSEST]
        if not any(fails(size, MORE_SEEDS) for size in closest):
            found += find_rule(name, outcomes, others)
    return found


def _condition_on_equal_sizes(
    sizes_fail: SizesFail, own: Sequence[int], names: Sequence[str]
) -> str:
    """Name two sizes that must be equal: the case fails if both change, and passes if one does."""
    for i, j in combinations(range(len(own)), 2):
        if own[i] != own[j]:
            continue
        both = [[*own] for _ in range(2)]
        for sizes, size in zip(both, (own[i] + 2, own[i] + 3), strict=True):
            sizes[i] = sizes[j] = size
        one = [[*own] for _ in range(2)]
        one[0][i] = one[1][j] = own[i] + 2
        if all(map(sizes_fail, both)) and all(sizes_fail(sizes) is False for sizes in one):
            if i and j == i + 1:
                return f"only where a weight is square ({names[i]} equals {names[j]})"
            return f"only when {names[i]} equals {names[j]}"
    return ""


def _width_names(case: Case) -> list[str]:
    count = len(segments(case))
    if count == 1:
        return ["the width"]
    hidden = [f"hidden width {i}" for i in range(1, count - 1)]
    if count == 3:
        hidden = ["the hidden width"]
    return ["the input width", *hidden, "the output width"]
