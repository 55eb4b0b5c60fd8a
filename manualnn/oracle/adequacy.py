"""Adequacy of a run: reasons why a run without failures proves little.

    problems(report, ledger, narrowed=False)      sentences; none if the run is adequate

`narrowed`: only some of the checks were requested, so the others need not have run.
"""

from collections import Counter
from collections.abc import Iterator

from manualnn.oracle.checks.ledger import Ledger
from manualnn.oracle.protocol.features import names_with
from manualnn.oracle.report.report import Report

FEWEST = 200
"""Smallest number of cases of an adequate run."""
SHARP = {"float64": 1e-10, "float32": 1e-3}
"""Largest acceptable median of bound / |value|."""
UNBOUNDED = 0.1
"""Largest acceptable share of numbers without an error bound."""
UNDECIDED = 0.05
"""Largest acceptable share of slopes at kinks that rounding decides."""
UPDATES = {"state", "params"}
"""Checks of a rule's own numbers."""
ENDED_EARLY = "the run ended early after repeated timeouts"
"""The reason of checks that did not run because the engine did not answer."""


def problems(report: Report, ledger: Ledger, *, narrowed: bool = False) -> list[str]:
    """Return the reasons why a run proves little."""
    found = [*_too_little(report, ledger, narrowed=narrowed)]
    return found if narrowed else [*found, *_missing_claims(report), *_wide_bounds(report, ledger)]


def _too_little(report: Report, ledger: Ledger, *, narrowed: bool) -> Iterator[str]:
    judged = sum(result.cases for result in report.results)
    skipped = sum(result.skipped for result in report.results)
    if not judged:
        yield "no case was judged"
    elif not narrowed and ledger.calls < FEWEST:
        yield f"only {ledger.calls} cases ran, expected at least {FEWEST}"
    if skipped > judged:
        yield (
            f"the engine skipped {skipped} of {skipped + judged} cases; "
            "narrow its capabilities() to what it supports, with lists of options, class_targets "
            "or networks"
        )
    if any(result.reason == ENDED_EARLY for result in report.results):
        yield ENDED_EARLY


def _missing_claims(report: Report) -> Iterator[str]:
    """Report capabilities that an adequate run needs, and claimed features without a case."""
    claims = report.capabilities
    if "grads" not in claims.returns:
        yield 'no gradient was judged; add "grads" to "returns" in capabilities()'
    if claims.layers.keys() <= set(names_with("layers", "is_linear")):
        yield "no activation is claimed, so only linear networks were judged"
    recipes: Counter[str] = Counter()
    for result in report.results:
        recipe, _, judgement = result.id.rpartition(":")
        # The gradients of a case with an optimizer do not prove the update.
        updates = UPDATES.intersection(claims.returns) or {judgement}
        is_own = not recipe.startswith("optimizer.") or judgement in updates
        if recipe.startswith(("loss.", "layer.", "optimizer.")) and judgement != "*" and is_own:
            recipes[recipe] += result.cases
    # No capability says whether targets may be probabilities.
    del recipes["loss.CrossEntropyLoss.probabilities"]
    missed = [recipe for recipe, cases in recipes.items() if not cases]
    if missed:
        more = f" and {len(missed) - 5} more" if len(missed) > 5 else ""
        yield f"claimed, but not judged: {', '.join(missed[:5])}{more}"


def _wide_bounds(report: Report, ledger: Ledger) -> Iterator[str]:
    claims = report.capabilities
    for dtype, sharpness in (*report.sharpness.items(), *report.sharpness_overall.items()):
        widened = dtype == "float64" and claims.accumulate_dtype == "float32"
        limit = SHARP["float32" if widened else dtype]
        if sharpness > limit:
            yield (
                f"the error bounds for {dtype} are too wide: the median of bound/|value| is "
                f"{sharpness:.1g}, expected at most {limit:g}"
            )
    unbounded = ledger.unbounded / max(1, ledger.unbounded + ledger.entries)
    if unbounded > UNBOUNDED:
        yield (
            f"{unbounded:.0%} of all numbers are without a bound, expected at most {UNBOUNDED:.0%}"
        )
    if report.undecided > UNDECIDED:
        yield (
            f"rounding decides {report.undecided:.1%} of the slopes at kinks, expected at most "
            f"{UNDECIDED:.0%}"
        )
