"""Check of the initial values that an engine claims: they are samples of a distribution.

    judge_init(client, spec, seed)      the `CheckResult` of "init.xavier_uniform:distribution"

A correct engine fails one such check at most once in 10⁹ runs with random seeds. Every assertion
that can fail by chance has an exact bound for any number of samples:

    the distribution    sup |Fₙ − F| ≤ √(ln(2/α) / 2n)       Dvoretzky, Kiefer, Wolfowitz, Massart
    independence        |mean of n signs| ≤ √(2 ln(2/α) / n)    Hoeffding

α is 10⁻⁹ divided by the number of these assertions. A sign is that of the product of the distances
of two entries from the median, which belong to two seeds, or to neighbours in a row.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import CheckResult
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.initialization import Distribution, alternatives, entries_of

FALSE_ALARMS = 1e-9
SHAPES = ((60, 20), (20, 60))
"""Shapes (out, in) of the weights, with unequal fans."""
SEEDS = 16
ASSERTIONS = 8
"""At most so many assertions of one check can fail by chance."""
ALPHA = FALSE_ALARMS / ASSERTIONS
ROUNDING = 2**-20
"""Relative error of an entry that was computed in float32, in more operations than needed."""
FIXED = ("constant", "ones", "zeros", "eye")


def judge_init(client: EngineClient, spec: dict[str, Any], seed: int) -> CheckResult:
    """Return the result of the check of one claimed initialisation."""
    name = spec["type"]
    options = ", ".join(f"{key}={value}" for key, value in spec.items() if key != "type")
    result = CheckResult(
        f"init.{name}:distribution",
        f"weights of {name}({options}) have its distribution, in every shape and for every seed",
        "passed",
    )
    for shape in SHAPES:
        drawn = []
        for i in (*range(seed, seed + SEEDS), seed):
            outcome = client.init(spec, shape, i)
            if outcome.skipped is not None:
                result.status, result.reason = "skipped", outcome.skipped
                return result
            if outcome.result is None:
                result.status = "errored"
                result.reason = f"{outcome.fault} of init({spec}, {shape}, {i}): {outcome.message}"
                return result
            drawn.append(outcome.result["weight"])
        result.cases += len(drawn)
        reason = next(_slips(spec, np.stack(drawn[:-1]), drawn[-1]), "")
        if reason:
            result.status = "failed"
            result.reason = f"init({spec}, shape {shape}): {reason}"
            return result
    return result


def _slips(spec: dict[str, Any], w: Array, again: Array) -> Iterator[str]:
    """Yield what is wrong with the weights w (seeds, out, in); `again` has the first seed."""
    if not np.isfinite(w).all():
        yield f"{int(np.count_nonzero(~np.isfinite(w)))} of {w.size} entries are not finite"
        return
    if not np.array_equal(w[0], again):
        yield "the same seed gives other weights [init-ignores-seed: another source of numbers]"
    if spec["type"] in FIXED:
        yield from _not_fixed(w, spec)
        return
    yield from _repeated(w)
    if spec["type"] == "orthogonal":
        yield from _not_orthogonal(w, float(spec["gain"]))
        return
    fans = w.shape[2], w.shape[1]
    expected = entries_of(spec, *fans)
    assert expected is not None  # noqa: S101 - every other type has a distribution
    if spec["type"] == "sparse":
        yield from _not_sparse(w, spec)
        yield from _not_distributed(w[w != 0], expected, spec, fans)
    else:
        yield from _not_distributed(w, expected, spec, fans)
        yield from _dependent(w, expected)


def _not_fixed(w: Array, spec: dict[str, Any]) -> Iterator[str]:
    value = float(spec.get("val", {"ones": 1.0}.get(spec["type"], 0.0)))
    is_eye = spec["type"] == "eye"
    expected = np.eye(*w.shape[1:]) if is_eye else np.full(w.shape[1:], value)
    wrong = np.argwhere(np.abs(w - expected) > ROUNDING * max(1, abs(value)))
    if wrong.size:
        place = tuple(map(int, wrong[0]))
        yield f"entry {place[1:]} is {w[place]:g}, expected {expected[place[1:]]:g}"


def _repeated(w: Array) -> Iterator[str]:
    """Yield which weights are the same, which happens to random ones with probability 0."""
    if w[0].any() and any(np.array_equal(w[0], other) for other in w[1:]):
        yield "two seeds give the same weights [init-same-seed: the seed is ignored]"
    if (w[:, 0] == w[:, 1]).all() and w[:, 0].any():
        yield "all units have the same weights [init-equal-units: symmetry is not broken]"
    if (w[:, :, 0] == w[:, :, 1]).all() and w[:, :, 0].any():
        yield "all inputs have the same weights [init-equal-inputs: one number per unit]"


def _not_sparse(w: Array, spec: dict[str, Any]) -> Iterator[str]:
    zeros = math.ceil(spec["sparsity"] * w.shape[1])
    counts = (w == 0).sum(axis=1)
    if (counts != zeros).any():
        yield (
            f"a column has {counts[counts != zeros][0]} zeros, expected {zeros} "
            f"[init-sparse-rows: zeros in rows, or another number of them]"
        )


def _not_orthogonal(w: Array, gain: float) -> Iterator[str]:
    """W Wᵀ = gain² I, or Wᵀ W for a tall W, within the rounding of a decomposition in float32."""
    small = w @ w.swapaxes(1, 2) if w.shape[1] < w.shape[2] else w.swapaxes(1, 2) @ w
    n = small.shape[1]
    error = float(np.abs(small - gain**2 * np.eye(n)).max())
    bound = gain**2 * w.shape[1] * w.shape[2] * 2**-22
    if error > bound:
        is_unscaled = np.abs(small - np.eye(n)).max() <= bound / gain**2
        cause = " [init-without-gain: the gain is missing]" if is_unscaled else ""
        yield f"W Wᵀ differs from gain² I by {error:.3g}, bound {bound:.1g}{cause}"
    signs = np.sign(np.diagonal(w, axis1=1, axis2=2))
    limit = math.sqrt(2 * math.log(2 / ALPHA) / signs.size)
    if abs(signs.mean()) > limit:
        yield (
            f"the mean sign of the diagonal is {signs.mean():.2f}, bound {limit:.2f} "
            f"[init-preferred-directions: the signs of a decomposition are kept]"
        )


def distance(values: Array, expected: Distribution, step: int = 1) -> float:
    """Return sup |Fₙ − F| of a sample and a continuous distribution.

    With a step, only every so many entries are looked at, which gives at most the distance.
    """
    x = np.sort(values.ravel())
    ranks = np.arange(0, x.size, step)
    exact = np.array([expected.below(one) for one in x[ranks].tolist()])
    return float(max((exact - ranks / x.size).max(), ((ranks + 1) / x.size - exact).max()))


def fits(values: Array, expected: Distribution) -> bool:
    """Return True if values may be a sample of the distribution: in its range and as dense."""
    slack = ROUNDING * max(abs(expected.low), abs(expected.high))
    is_inside = not math.isfinite(slack) or (
        values.min() >= expected.low - slack and values.max() <= expected.high + slack
    )
    limit = math.sqrt(math.log(2 / ALPHA) / (2 * values.size)) + ROUNDING
    # Most wrong distributions are far away, which a few entries show.
    return is_inside and all(distance(values, expected, step) <= limit for step in (100, 1))


def _not_distributed(
    values: Array, expected: Distribution, spec: dict[str, Any], fans: tuple[int, int]
) -> Iterator[str]:
    if not values.size or fits(values, expected):
        return
    known = (title for title, other in alternatives(spec, *fans) if fits(values, other))
    cause = next(known, "")
    yield (
        f"mean {values.mean():.3g} and deviation {values.std():.3g} in "
        f"[{values.min():.3g}, {values.max():.3g}], expected a {expected.kind} distribution around "
        f"{expected.center:.3g} of deviation {expected.deviation:.3g} in "
        f"[{expected.low:.3g}, {expected.high:.3g}]; the distance of the distributions is "
        f"{distance(values, expected):.2f}{f' [{cause}]' if cause else ''}"
    )


def _dependent(w: Array, expected: Distribution) -> Iterator[str]:
    """Yield pairs whose signs around the median agree more or less often than every other time."""
    signs = np.where(w < expected.median(), -1.0, 1.0)
    pairs = {
        "two seeds": signs[0::2] * signs[1::2],
        "neighbours in a row": signs[:, :, 0::2] * signs[:, :, 1::2],
        "neighbours in a column": signs[:, 0::2] * signs[:, 1::2],
    }
    for name, products in pairs.items():
        limit = math.sqrt(2 * math.log(2 / ALPHA) / products.size)
        if abs(products.mean()) > limit:
            yield (
                f"entries of {name} depend on each other: the mean product of their signs is "
                f"{products.mean():.2f}, bound {limit:.2f} [init-dependent: numbers are repeated]"
            )
