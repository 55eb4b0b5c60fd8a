"""Judgements of engines that are asked more than once: what they may not remember, and must.

`repeat`, `history` and `interleaved` demand the same bits from an engine that has been asked other
things as from a fresh one. An engine that varies even when it is fresh (it sums in the order of
a set, or of its threads) is held to the bounds instead. `trajectory` follows many steps, each of
them judged by itself.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import Impossible, Size
from manualnn.oracle.cases.draft import Draft
from manualnn.oracle.checks.trial import Declined, Trial, unlike
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import options_of
from manualnn.oracle.truth.step import start, update

LENGTH = 30
"""Steps of a trajectory, each of them judged …"""
END = 100
"""… and all of them, judged by where they end."""
ROWS = (7, 3, 7, 5)
"""Samples of batches in a row: a smaller one after a larger one."""


def _repeat(trial: Trial) -> Finding | None:
    trial.fresh()
    first = trial.ask(trial.case)
    for _ in range(2):
        got = trial.ask(trial.case)
        entries = unlike(got, first)
        if entries and not _unsteady(trial, trial.case, got, first):
            return trial.finding("the same case, asked again, gives other numbers", entries)
    return None


def _history(trial: Trial) -> Finding | None:
    """Ask about a net with several batches, other parameters, and another net in between."""
    asked = _sequence(trial.case, trial.bench.capabilities)
    alone = []
    for case in asked:
        trial.fresh()
        alone.append(trial.ask(case))
    trial.fresh()
    for i, case in enumerate(asked):
        got = trial.ask(case)
        if not unlike(got, alone[i]) or _unsteady(trial, case, got, alone[i]):
            continue
        return _shortest(trial, asked[: i + 1], alone[i]) or trial.finding(
            f"call {i + 1} of a fresh engine gives other numbers than the same as its first",
            unlike(got, alone[i]),
        )
    return None


def _shortest(trial: Trial, calls: list[Case], alone: dict[str, Any]) -> Finding | None:
    """Return the finding of the last call after only one of the others, if that is enough."""
    for before in reversed(calls[:-1]):
        trial.fresh()
        trial.ask(before)
        entries = unlike(trial.ask(calls[-1]), alone)
        if entries:
            what = f"a batch of {calls[-1].n} after one of {before.n}"
            return trial.finding(f"{what} gives other numbers than on a fresh engine", entries)
    return None


def _unsteady(trial: Trial, case: Case, got: Mapping[str, Any], alone: Mapping[str, Any]) -> bool:
    """Return whether a fresh engine varies by itself, and by no more than rounding explains."""
    if not trial.varies(case, alone):
        return False
    trial.bench.fresh()
    for call in trial.calls:  # back to where it was
        trial.bench.run(call)
    expected = trial.truth(case)
    return not trial.compare(got, expected.quantities(), expected)[0]


def _sequence(case: Case, claims: Capabilities) -> list[Case]:
    batches = [_resized(case, n) for n in ROWS if n <= (claims.max_batch or n)]
    other = case.map(
        lambda name, a: (a[::-1] if name.startswith("params") else a) * a.dtype.type(1)
    )
    turned = case.map(lambda name, a: a[::-1] if name == "t" else a)  # the same shapes, and inputs
    cases = [*batches, case, other, turned, case]
    stranger = _stranger(case, claims)
    return [*cases, stranger, case] if stranger else cases


def _resized(case: Case, n: int) -> Case:
    """Return the case with n samples, from the first on and round again."""
    rows = np.resize(np.arange(case.n), n)
    taken = ("x", "t", "noise")
    return case.map(lambda name, a: a[rows] if name.partition(".")[0] in taken else a)


def _stranger(case: Case, claims: Capabilities) -> Case | None:
    """Return a case of another net, always the same for the same case."""
    rng = np.random.default_rng(int(f"0x{case.id[2:]}", 0))
    try:
        draft = Draft(rng, claims, Size())
        drawn = draft.case(optimizer=draft.optimizer())
    except Impossible:
        return None
    return None if claims.refuses(drawn) else drawn


def _interleaved(trial: Trial) -> Finding | None:
    """Two engines, asked in turns, are the same as each by itself."""
    case, other = trial.case, _resized(trial.case, trial.case.n)
    other = other.but(x=other.x[::-1].copy(), t=other.t[::-1].copy())
    trial.fresh()
    alone = trial.ask(case)
    trial.fresh()
    with trial.bench.another() as second:
        for _ in range(2):
            got = trial.ask(case)
            entries = unlike(got, alone)
            if entries and not _unsteady(trial, case, got, alone):
                return trial.finding("another engine beside it changes its numbers", entries)
            second.run(other)
    return None


def _trajectory(trial: Trial) -> Finding | None:
    case, claims = trial.case, trial.bench.capabilities
    if case.optimizer is None or not case.params:
        raise Declined("no optimizer")
    feeds = claims.accepts_state and {"params", "state"} <= set(claims.returns)
    return (_fed(trial) if feeds else _followed(trial)) or _end(trial)


def _fed(trial: Trial) -> Finding | None:
    """Feed the engine its own parameters and state: each step is judged by itself."""
    case = trial.case.but(steps=1)
    for _ in range(LENGTH):
        got, expected = trial.ask(case), trial.truth(case)
        entries, right = trial.compare(got, expected.quantities(), expected)
        if entries:
            step = expected.steps
            return trial.finding(
                f"step {step} is wrong, from the step before it on", entries, right
            )
        case = _after(case, got, expected.steps)
        if not all(np.all(np.isfinite(a)) for a in case.arrays().values()):
            return None
    return None


def _after(case: Case, got: dict[str, Any], steps: int) -> Case:
    """Return the case that goes on from an engine's own parameters and state."""
    state: dict[str, Any] = {"step": steps}
    for name, array in got.items():
        group, _, rest = name.partition(".")
        if group == "state" and rest != "step":
            kind, _, key = rest.partition(".")
            state.setdefault(kind, {})[key] = array
    return case.but(params={key: got[f"params.{key}"] for key in case.params}, state=state)


def _followed(trial: Trial) -> Finding | None:
    """Ask for 1, 2, 3 … steps: each gradient is that of the parameters before it.

    What the updates come to is recomputed from the engine's own gradients.
    """
    if not {"params", "grads"} <= set(trial.bench.capabilities.returns):
        raise Declined("neither state nor gradients to follow")
    first = trial.case.but(state=None, steps=1)
    rule, kind = options_of(first.optimizer or {}), trial.truth(first).kind
    point, here = start(kind, first, rule), first
    for steps in range(1, min(LENGTH, trial.bench.capabilities.max_steps) + 1):
        got = trial.ask(first.but(steps=steps))
        expected = trial.truth(here.but(optimizer=None))
        with np.errstate(all="ignore"):
            grads = {key: kind.returned(got[f"grads.{key}"]) for key in first.params}
            point = update(rule, point, grads)
        near = {n: q for n, q in expected.quantities().items() if not n.startswith("params")}
        alone = {name: array for name, array in got.items() if name != "state.step"}
        entries, right = trial.compare(alone, near | point.quantities(), expected)
        if entries:
            return trial.finding(f"step {steps} is wrong, by the engine's own ones", entries, right)
        here = first.but(params={key: got[f"params.{key}"] for key in first.params})
    return None


def _end(trial: Trial) -> Finding | None:
    """Ask for all steps at once, from the beginning to the end."""
    steps = min(END, trial.bench.capabilities.max_steps)
    case = trial.case.but(steps=steps)
    got, expected = trial.ask(case), trial.truth(case)
    entries, right = trial.compare(got, expected.quantities(), expected)
    if not entries:
        return None
    return trial.finding(f"{steps} steps at once end elsewhere", entries, right)


RESTARTING = (
    ("repeat", "the same case, asked again, gives the same bits", _repeat),
    ("history", "what was asked before changes no bit of an answer", _history),
    (
        "interleaved",
        "a second engine, asked in turns, changes no bit of an answer",
        _interleaved,
    ),
)
TABLE = (
    (
        "trajectory",
        "every one of many steps is right, and so is where they end",
        _trajectory,
        lambda claims: bool(claims.optimizers) and "params" in claims.returns,
    ),
)
