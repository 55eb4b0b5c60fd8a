"""Checks of updates: a learning rate of 0, the engine's own gradient, and many steps in a row."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from manualnn.oracle.checks.judgement import check
from manualnn.oracle.checks.roughness import MARGIN, roughness, unexplained
from manualnn.oracle.checks.trial import Declined, Follows, Trial
from manualnn.oracle.findings import Entry, Finding
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import OPTIMIZER_ROWS, buffer_of, options_of
from manualnn.oracle.truth.bounded import Bounded
from manualnn.oracle.truth.compare import find_differences, group_of, truth_arrays
from manualnn.oracle.truth.step import Point, start, update

LENGTH = 30
"""Number of steps that are judged one by one."""
FEW_DIGITS = 0.05
"""Largest share of a gradient that missing digits are blamed for, and no wrong factor."""
END = 100
"""Number of steps of which only the final numbers are judged."""


def _returns_params(claims: Capabilities) -> bool:
    return "params" in claims.returns and bool(claims.optimizers)


@check(
    "trajectory",
    "every one of many steps is right, and so is where they end",
    needs=_returns_params,
)
def _trajectory(trial: Trial) -> Finding | None:
    case, claims = trial.case, trial.bench.capabilities
    if case.optimizer is None or not case.learned:
        raise Declined("the case has no optimizer or no parameters")
    takes_state = claims.accepts_state and {"params", "state"} <= set(claims.returns)
    return (_feed_back(trial) if takes_state else _follow(trial)) or _judge_end(trial)


def _feed_back(trial: Trial) -> Finding | None:
    """Give the engine its own parameters and state after each step. Judge each step separately."""
    case = trial.case.but(steps=1)
    for i in range(LENGTH):
        got = trial.ask(case)
        entries, right = trial.compare_with_truth(case, got)
        step = trial.truth(case).steps
        if entries:
            _require_update(entries, is_first=i == 0)
            message = f"step {step} is wrong, given the engine's own results of the step before"
            return trial.finding(message, entries, right)
        case = _next_case(case, got, step)
        if not all(np.all(np.isfinite(a)) for a in case.arrays().values()):
            return None
    return None


def _require_update(entries: tuple[Entry, ...], *, is_first: bool) -> None:
    """Raise Declined if a first step is wrong before its update, which other checks report."""
    if is_first and not entries[0].quantity.startswith(("state", "params")):
        raise Follows(
            f"{group_of(entries[0].quantity)} is wrong already, and every step follows from it"
        )


def _next_case(case: Case, got: dict[str, Any], steps: int) -> Case:
    """Return the case that continues from the engine's own parameters and state."""
    state: dict[str, Any] = {"step": steps}
    for name, array in got.items():
        group, _, rest = name.partition(".")
        if group == "state" and rest != "step":
            kind, _, key = rest.partition(".")
            state.setdefault(kind, {})[key] = array
    return case.but(params={key: got[f"params.{key}"] for key in case.params}, state=state)


def _follow(trial: Trial) -> Finding | None:
    """Call with one step more each time. Judge each gradient at the engine's parameters before it.

    The updates are computed again from the engine's own gradients.
    """
    if not {"params", "grads"} <= set(trial.bench.capabilities.returns):
        raise Declined("the engine returns neither its state nor its gradients")
    first = trial.case.but(state=None, steps=1)
    rule, kind = options_of(first.optimizer or {}), trial.truth(first).kind
    point, here = start(kind, first, rule), first
    for steps in range(1, min(LENGTH, trial.bench.capabilities.max_steps) + 1):
        got = trial.ask(first.but(steps=steps))
        expected = trial.truth(here.but(optimizer=None))
        with np.errstate(all="ignore"):
            grads = {key: kind.returned(got[f"grads.{key}"]) for key in first.learned}
            point = update(rule, point, grads)
        truths = {n: q for n, q in expected.quantities().items() if not n.startswith("params")}
        got.pop("state.step", None)
        entries, right = trial.compare(got, truths | _moved(point), steps)
        if entries:
            _require_update(entries, is_first=steps == 1)
            message = f"step {steps} is wrong, given the engine's own results of earlier steps"
            return trial.finding(message, entries, right)
        here = first.but(params={key: got[f"params.{key}"] for key in first.params})
    return None


def _judge_end(trial: Trial) -> Finding | None:
    """Do all steps in one call, and judge the final numbers."""
    steps = min(END, trial.bench.capabilities.max_steps)
    case = trial.case.but(steps=steps)
    entries, right = trial.compare_with_truth(case, trial.ask(case))
    message = f"{steps} steps in one call end at wrong numbers"
    return trial.finding(message, entries, right) if entries else None


@check("lr.zero", "a learning rate of 0 leaves every parameter as it is", needs=_returns_params)
def _lr_zero(trial: Trial) -> Finding | None:
    if trial.case.optimizer is None:
        raise Declined("the case has no optimizer")
    if not OPTIMIZER_ROWS[trial.case.optimizer["type"]].scales_with_lr:
        raise Declined("the optimizer uses its learning rate for its first sizes alone")
    case = trial.case.but(optimizer={**trial.case.optimizer, "lr": 0.0})
    got = trial.ask(case)
    wanted = {f"params.{key}": a for key, a in case.learned.items()}
    got = {name: array for name, array in got.items() if buffer_of(name) is None}
    if not find_differences(got, wanted):
        return None
    exactly = {name: np.zeros(a.shape) for name, a in wanted.items()}
    entries, _ = unexplained(trial, got, wanted, exactly, [(case, got, 1)])
    message = "a learning rate of 0 changes parameters"
    return trial.finding(message, entries) if entries else None


def updates_by(
    trial: Trial, case: Case, answers: Sequence[Mapping[str, Any]], unknown: float = 0.0
) -> dict[str, Bounded]:
    """Return the truth of updates with the engine's gradients, which are off by `unknown`."""
    kind, rule = trial.truth(case).kind, options_of(case.optimizer or {})
    point = start(kind, case, rule)
    with np.errstate(all="ignore"):
        for got in answers:
            grads = {k: kind.returned(got[f"grads.{k}"]).plus_error(unknown) for k in case.learned}
            point = update(rule, point, grads)
    return _moved(point)


def _moved(point: Point) -> dict[str, Bounded]:
    """Return what an update changes: all except the buffers, which follow from the batch."""
    return {name: a for name, a in point.quantities().items() if buffer_of(name) is None}


@check(
    "update.own_gradient",
    "parameters and state follow from the engine's own gradient",
    needs=lambda claims: _returns_params(claims) and "grads" in claims.returns,
)
def _own_gradient(trial: Trial) -> Finding | None:
    if trial.case.optimizer is None:
        raise Declined("the case has no optimizer")
    return _judge_updates(trial, trial.case.but(steps=1), ("state", "params"))


def judge_own_updates(trial: Trial, *groups: str) -> Finding | None:
    """Judge the state or the parameters by the engine's own gradients, whatever those are."""
    if trial.case.optimizer is None or "grads" not in trial.bench.capabilities.returns:
        raise Follows(f"{groups[0]} follows from quantities that are wrong already")
    return _judge_updates(trial, trial.case, groups)


def _judge_updates(trial: Trial, case: Case, groups: Collection[str]) -> Finding | None:
    """Do the updates of a case again with the gradients that the engine returns for each step."""
    answers = [trial.ask(case.but(steps=steps)) for steps in range(1, case.steps + 1)]
    got, truths = answers[-1], updates_by(trial, case, answers)
    entries, right = trial.compare(got, truths, trial.truth(case).steps)
    if entries and all(entry.quantity != "state.step" for entry in entries):
        # A gradient that is returned in few digits is not the one that the update had.
        unknown = MARGIN * roughness(trial, case, got, even_if_right=True).get("grads", 0.0)
        largest = max(float(np.abs(got[f"grads.{k}"]).max(initial=0)) for k in case.learned)
        if unknown < FEW_DIGITS * largest:
            truths = updates_by(trial, case, answers, unknown)
        values, bounds = truth_arrays(truths, got)
        used = [(case, got, 1)]
        entries, right = unexplained(trial, got, values, bounds, used, even_if_right=True)
    if not entries:
        return None
    first = entries[0]
    if group_of(first.quantity) not in groups:
        raise Follows(f"{group_of(first.quantity)} is wrong already, and the rest follows from it")
    message = (
        f"{first.quantity} is {first.got:.17g}; from the engine's own gradient it has to be "
        f"{first.expected:.17g} to within {first.bound:.2g}"
    )
    return trial.finding(message, entries, right)


CHECKS = (_lr_zero, _own_gradient, _trajectory)
