"""Advice on a finding: the claim that an engine makes if it does not support such a case.

    advise(finding)      sentences; empty if no claim would exclude the case

A case that an engine cannot take is no bug if the engine claims less. The claims are those of
PROTOCOL.md.
"""

import json
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from manualnn.oracle.findings import Entry, Finding
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import LOSS_ROWS

SAME = {"float32": 1e-4, "float64": 1e-9}
"""Largest relative difference of two ratios that are the same, by dtype."""
SIMPLE = 1e-6
"""Largest relative difference between a ratio and the simple fraction that it stands for."""
FUSED = {
    "(LA)*L": "each activation stands between two Linear layers",
    "(LA)+": "each Linear layer has an activation",
}
"""Usual networks of engines whose Linear layers are fused with their activations."""
OF_ARRAYS = re.compile(
    r"broadcast|read-only|not aligned|matmul|reshape|array element|out of bounds"
)
"""Words of NumPy's errors about arrays: a bug in a formula, and no feature that is missing."""


def advise(finding: Finding) -> str:
    """Return sentences on the claims that would exclude the case; empty if there are none."""
    case = finding.case
    loss = case.loss["type"]
    if LOSS_ROWS[loss].targets == "classes" and case.t.ndim == 2:
        return _conditional("it takes indices of classes alone", class_targets=["indices"])
    if finding.kind == "wrong" and _divides_by_zero(finding):
        reason = f"NaN and infinity are meant where {loss} has an output of 0 or 1"
        return _conditional(reason, conventions={loss: "calculus"})
    if finding.kind == "wrong":
        ratio = _ratio_of_loss(finding)
        return "" if ratio is None else _about_ratio(loss, ratio)
    if finding.kind != "error" or OF_ARRAYS.search(finding.message):
        return ""
    return "; ".join(_about_error(finding))


def _about_error(finding: Finding) -> Iterator[str]:
    """Yield what may be the reason why an engine cannot take a case."""
    case, loss = finding.case, finding.case.loss["type"]
    letters = "".join("L" if layer["type"] == "Linear" else "A" for layer in case.layers)
    if not case.params:
        yield _conditional("it needs a layer with parameters", networks="[LA]*L[LA]*")
    fused = ((n, reason) for n, reason in FUSED.items() if not re.fullmatch(n, letters))
    for networks, reason in list(fused)[:1]:
        yield _conditional(reason, networks=networks)
    if LOSS_ROWS[loss].targets == "classes":
        yield _conditional(
            "it takes probabilities of classes alone", class_targets=["probabilities"]
        )
    yield _about_reduction(loss, case)


def _conditional(reason: str, **claim: Any) -> str:
    return f"if {reason}, claim {json.dumps(claim)[1:-1]}"


def _about_reduction(loss: str, case: Case) -> str:
    reduction = case.loss.get("reduction", "mean")
    example = {"losses": {loss: {"reduction": ["mean" if reduction == "sum" else "sum"]}}}
    return _conditional(f"it has no reduction {reduction!r}, but others", **example)


def _about_ratio(loss: str, ratio: float) -> str:
    # A measured ratio has rounding errors, and a claim has none.
    simple = float(Fraction(ratio).limit_denominator(1000))
    exact = simple if abs(simple - ratio) <= SIMPLE * ratio else ratio
    factor = _conditional(
        f"its {loss} is always {ratio:.6g} times torch's", losses={loss: {"factor": [exact]}}
    )
    other = _conditional("it has one other reduction", losses={loss: {"reduction": ["sum"]}})
    return f"{factor}; {other}"


def _divides_by_zero(finding: Finding) -> bool:
    likely = finding.diagnosis.likely if finding.diagnosis else ()
    return any(cause.bug == "bce-slope-not-bounded" for cause in likely)


def _ratio_of_loss(finding: Finding) -> float | None:
    """Return the common ratio of the loss and all wrong gradients to the truth, if it is one."""
    derived = ("loss", "grads.", "input_grad")
    entries = [entry for entry in finding.entries if entry.quantity.startswith(derived)]
    names = [entry.quantity for entry in finding.entries]
    if "loss" not in names or "outputs" in names or len(entries) < 2:
        return None
    diagnosis = finding.diagnosis
    if diagnosis and (diagnosis.when or diagnosis.ratio.startswith("where")):
        return None  # A factor that is not always there is a bug.
    ratios = [_ratio(entry) for entry in entries]
    low, high = min(ratios), max(ratios)
    if abs(low - 1) <= SIMPLE or low <= 0:
        return None
    return ratios[0] if high - low <= SAME[finding.case.dtype] * low else None


def _ratio(entry: Entry) -> float:
    return entry.got / entry.expected if entry.expected else 0.0
