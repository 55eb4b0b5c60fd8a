"""Checks of an update by itself: a learning rate of 0, and the engine's own gradient."""

from manualnn.oracle.checks.judgement import Judgement
from manualnn.oracle.checks.trial import Declined, Trial
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.truth.compare import find_differences
from manualnn.oracle.truth.step import update_truth


def _lr_zero(trial: Trial) -> Finding | None:
    if trial.case.optimizer is None:
        raise Declined("the case has no optimizer")
    case = trial.case.but(optimizer={**trial.case.optimizer, "lr": 0.0})
    got = trial.ask(case)
    entries = find_differences(got, {f"params.{key}": a for key, a in case.params.items()})
    message = "a learning rate of 0 changes parameters"
    return trial.finding(message, entries) if entries else None


def _own_gradient(trial: Trial) -> Finding | None:
    if trial.case.optimizer is None:
        raise Declined("the case has no optimizer")
    case = trial.case.but(steps=1)
    got = trial.ask(case)
    expected = trial.truth(case)
    grads = {key: expected.kind.returned(got[f"grads.{key}"]) for key in case.params}
    truths = update_truth(case, grads, expected.kind)
    entries, right = trial.compare(got, truths, expected.steps)
    if not entries:
        return None
    first = entries[0]
    message = (
        f"{first.quantity} is {first.got:.17g}; from the engine's own gradient it would have to be "
        f"{first.expected:.17g} to within {first.bound:.2g}"
    )
    return trial.finding(message, entries, right)


def _with_params(claims: Capabilities) -> bool:
    return "params" in claims.returns and bool(claims.optimizers)


CHECKS = (
    Judgement(
        "lr.zero", "a learning rate of 0 leaves every parameter as it is", _lr_zero, _with_params
    ),
    Judgement(
        "update.own_gradient",
        "parameters and state follow from the engine's own gradient",
        _own_gradient,
        lambda claims: _with_params(claims) and "grads" in claims.returns,
    ),
)
