"""Adequacy of a run: reasons why a run without failures proves little.

    problems(report, ledger, narrowed=False)      sentences; none if the run is adequate

`narrowed`: only some of the checks were requested, so the others need not have run.
"""

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
ENDED_EARLY = "the run ended early after repeated timeouts"
"""The reason of checks that did not run because the engine did not answer."""


def problems(report: Report, ledger: Ledger, *, narrowed: bool = False) -> list[str]:
    """Return the reasons why a run proves little."""
    found = _too_little(report, ledger, narrowed=narrowed)
    found += [] if narrowed else [*_missing_claims(report), *_wide_bounds(report, ledger)]
    return found


def _too_little(report: Report, ledger: Ledger, *, narrowed: bool) -> list[str]:
    judged = sum(result.cases for result in report.results)
    skipped = sum(result.skipped for result in report.results)
    found = []
    if not judged:
        found.append("no case was judged")
    elif not narrowed and ledger.calls < FEWEST:
        found.append(f"only {ledger.calls} cases ran, expected at least {FEWEST}")
    if skipped > judged:
        found.append(
            f"the engine skipped {skipped} of {skipped + judged} cases; "
            "narrow its capabilities() to what it supports"
        )
    if any(result.reason == ENDED_EARLY for result in report.results):
        found.append(ENDED_EARLY)
    return found


def _missing_claims(report: Report) -> list[str]:
    """Report capabilities that an adequate run needs, and claimed features without a case."""
    claims, found = report.capabilities, []
    if "grads" not in claims.returns:
        found.append('no gradient was judged; add "grads" to "returns" in capabilities()')
    if claims.layers.keys() <= set(names_with("layers", "is_linear")):
        found.append("no activation is claimed, so only linear networks were judged")
    recipes: dict[str, int] = {}
    for result in report.results:
        feature = result.id.rpartition(":")[0]
        if feature.startswith(("loss.", "layer.", "optimizer.")) and not result.id.endswith(":*"):
            recipes[feature] = recipes.get(feature, 0) + result.cases
    # No capability says whether targets may be probabilities.
    recipes.pop("loss.CrossEntropyLoss.probabilities", None)
    missed = [feature for feature, cases in recipes.items() if not cases]
    if missed:
        more = f" and {len(missed) - 5} more" if len(missed) > 5 else ""
        found.append(f"claimed, but no case was judged: {', '.join(missed[:5])}{more}")
    return found


def _wide_bounds(report: Report, ledger: Ledger) -> list[str]:
    claims, found = report.capabilities, []
    for dtype, sharpness in (*report.sharpness.items(), *report.sharpness_overall.items()):
        widened = dtype == "float64" and claims.accumulate_dtype == "float32"
        limit = SHARP["float32" if widened else dtype]
        if sharpness > limit:
            found.append(
                f"the error bounds for {dtype} are too wide: the median of bound/|value| is "
                f"{sharpness:.1g}, expected at most {limit:g}"
            )
    unbounded = ledger.unbounded / max(1, ledger.unbounded + ledger.entries)
    if unbounded > UNBOUNDED:
        found.append(
            f"{unbounded:.0%} of all numbers are without a bound, expected at most {UNBOUNDED:.0%}"
        )
    if report.undecided > UNDECIDED:
        found.append(
            f"rounding decides {report.undecided:.1%} of the slopes at kinks, expected at most "
            f"{UNDECIDED:.0%}"
        )
    return found
