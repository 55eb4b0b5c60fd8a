"""Whether a run was enough to say anything: a green report of nothing is worth nothing.

    problems(report, ledger, narrowed=False)      sentences; none if the run is worth its name

`narrowed`: only some checks were asked for, so only these have to have run.
"""

from manualnn.oracle.checks.trial import Ledger
from manualnn.oracle.findings import Report
from manualnn.oracle.protocol.features import names_with

FEWEST = 200
"""Cases without which a run says little."""
SHARP = {"float64": 1e-10, "float32": 1e-3}
"""The median of bound / |value| has to be better."""
UNBOUNDED = 0.1
"""The share of numbers without a bound that is still tolerable …"""
UNDECIDED = 0.05
"""… and of slopes at kinks that rounding decides."""


def problems(report: Report, ledger: Ledger, *, narrowed: bool = False) -> list[str]:
    """Return why a run is worth little."""
    found = _too_little(report, ledger, narrowed=narrowed)
    found += [] if narrowed else [*_unclaimed(report), *_blunt(report, ledger)]
    return found


def _too_little(report: Report, ledger: Ledger, *, narrowed: bool) -> list[str]:
    judged = sum(result.cases for result in report.results)
    skipped = sum(result.skipped for result in report.results)
    found = []
    if not judged:
        found.append("no case was judged at all")
    elif not narrowed and ledger.calls < FEWEST:
        found.append(f"only {ledger.calls} cases ran; fewer than {FEWEST} say little")
    if skipped > judged:
        found.append(
            f"the engine skipped {skipped} cases and took {judged}: it should claim what it takes"
        )
    if any("calls without an answer" in result.reason for result in report.results):
        found.append("the run was ended early, for the engine did not answer")
    return found


def _unclaimed(report: Report) -> list[str]:
    """Return what an engine should claim to be judged, and what it claims and does not take."""
    claims, found = report.capabilities, []
    if "grads" not in claims.returns:
        found.append('no gradient was judged: "returns" has to hold "grads"')
    if claims.layers.keys() <= set(names_with("layers", "is_linear")):
        found.append("no activation is claimed: only linear networks were judged")
    recipes: dict[str, int] = {}
    for result in report.results:
        feature = result.id.rpartition(":")[0]
        if feature.startswith(("loss.", "layer.", "optimizer.")) and not result.id.endswith(":*"):
            recipes[feature] = recipes.get(feature, 0) + result.cases
    # That targets may be probabilities is nothing that can be claimed.
    recipes.pop("loss.CrossEntropyLoss.probabilities", None)
    missed = [feature for feature, cases in recipes.items() if not cases]
    if missed:
        more = f" and {len(missed) - 5} more" if len(missed) > 5 else ""
        found.append(f"claimed, but without a case: {', '.join(missed[:5])}{more}")
    return found


def _blunt(report: Report, ledger: Ledger) -> list[str]:
    claims, found = report.capabilities, []
    for dtype, sharpness in (*report.sharpness.items(), *report.sharpness_overall.items()):
        widened = dtype == "float64" and claims.accumulate_dtype == "float32"
        limit = SHARP["float32" if widened else dtype]
        if sharpness > limit:
            found.append(
                f"the bounds of {dtype} are too wide: their median is {sharpness:.1g} of a value, "
                f"and has to be below {limit:g}"
            )
    unbounded = ledger.unbounded / max(1, ledger.unbounded + ledger.entries)
    if unbounded > UNBOUNDED:
        found.append(f"too much without a bound: {unbounded:.0%} of all numbers")
    if report.undecided > UNDECIDED:
        found.append(f"rounding decides {report.undecided:.1%} of the slopes at kinks")
    return found
