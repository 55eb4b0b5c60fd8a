"""Made-up reports: results of every status, with findings of every kind."""

import math

import numpy as np

from manualnn.oracle.findings import Cause, CheckResult, Diagnosis, Entry, Finding
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.report.report import Report

CASE = Case(
    layers=({"type": "Linear", "in_features": 2, "out_features": 1}, {"type": "Tanh"}),
    loss={"type": "MSELoss"},
    params={"0.weight": np.array([[0.5, 0.1]]), "0.bias": np.array([0.25])},
    x=np.array([[1.0, 2.0], [3.0, 4.0], [-1.0, 0.0]]),
    t=np.array([[1.0], [0.0], [1.0]]),
    optimizer={"type": "SGD", "lr": 0.5, "momentum": 0.9, "nesterov": False},
)
CAUSE = Cause("n-minus-one", "divides by N − 1", "dW = dzᵀx / (N − 1)", "dW = dzᵀx / N")
KNOWN = Diagnosis("grads.0.weight", "every entry of grads.0.weight", "1.5 = N/(N−1)", "", (CAUSE,))
UNKNOWN = Diagnosis("loss", "only the loss", "", "only when N equals a width")
ENTRY = Entry("grads.0.weight", (0, 1), 0.45, 0.3, 3e-17, wrong=2, size=2)


def finding(check="loss.MSELoss.mean:grads", **changes):
    values = {
        "check": check,
        "case": CASE,
        "calls": (CASE,),
        "message": "the gradients are wrong",
        "entries": (ENTRY,),
        "right": ("outputs", "loss"),
        "minimal": True,
        "diagnosis": KNOWN,
    } | changes
    return Finding(**values)


def failing(check, status="failed", **changes):
    return CheckResult(check, "Every gradient is right.", status, 3, 0, [finding(check, **changes)])


def report(*results, problems=(), **changes):
    claims = Capabilities.read(
        {
            "name": "mytoy",
            "version": "0.2",
            "layers": ["Linear", "Tanh"],
            "losses": {"MSELoss": {"reduction": ["mean", "sum"]}},
            "accumulate_dtype": "float32",
        }
    )
    values = {
        "cases": 1234,
        "entries": 56789,
        "sharpness": {"float64": 3e-15, "float32": math.inf},
        "sharpness_overall": {"float64": 4e-14, "float32": math.inf},
        "seconds": 2.0,
    } | changes
    return Report(
        "mytoy:Engine",
        claims,
        "quick",
        7,
        "longdouble",
        list(results),
        problems=[*problems],
        **values,
    )


PASSED = CheckResult("layer.Tanh:outputs", "Outputs are right.", "passed", 25)
EVERY_STATUS = report(
    PASSED,
    failing("loss.MSELoss.mean:grads"),
    failing("loss.MSELoss.sum:loss", diagnosis=UNKNOWN),
    failing(
        "layer.Tanh:memory.inputs",
        "errored",
        kind="crash",
        message="exit \x00 code\x1b 139",
        diagnosis=None,
    ),
    CheckResult(
        "kinks:grads", "Kinks are.", "expected", 2, 0, [finding("kinks:grads")], "slope 1 at 0"
    ),
    CheckResult("lattice:exact", "Integers are exact.", "unexpected", 4, reason="line 3 names it"),
    CheckResult("depth:grads", "Any depth.", "not_judged", reason="MSELoss fails"),
    CheckResult("layer.ReLU:*", "", "not_claimed", reason="ReLU"),
    CheckResult("shapes:grads", "Any shape.", "skipped", 0, 5, reason="too large for me"),
    problems=["only 3 cases ran"],
)
