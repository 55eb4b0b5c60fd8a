"""Blame: the features of a failing case that are at fault.

    blame = Blame(bench)
    blame.features_at_fault(finding)      ("Tanh",); empty if the calls do not tell

A failing case has a loss, several layers and often an optimizer, and most of them are right. Two
kinds of similar cases tell them apart. Without a feature at fault, the case passes. And a feature
at fault fails on its own, with the input that it has in the case. A feature is blamed if neither
kind of case clears it. Several features may be at fault at once: then every one fails on its own.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from manualnn.oracle.cases.resize import is_valid, keep_rows, remove_layers
from manualnn.oracle.checks.table import JUDGEMENTS
from manualnn.oracle.checks.trial import Declined, Faulty, Trial
from manualnn.oracle.diagnosis.budget import Budget
from manualnn.oracle.diagnosis.isolate import (
    behind_linear,
    between_linear,
    loss_like,
    part_of,
    with_bias,
)
from manualnn.oracle.diagnosis.names.known import UPDATES
from manualnn.oracle.diagnosis.places import features_of
from manualnn.oracle.diagnosis.updates import update_is_wrong
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import LOSS_ROWS
from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.compare import group_of
from manualnn.oracle.truth.step import gradients_below

PASSES = ("outputs", "loss", "grads", "input_grad")
"""Groups of quantities that the forward and the backward pass compute."""
GRADIENTS = {"grads", "input_grad"}
MATERIAL = 2**10
"""Equal samples are not summed with the roundings of one, so only a larger error counts."""
ROWS = 4
"""Number of samples that are tried for one that shows something."""
SECONDS = 20.0
"""Time of all similar cases of a run. After it, a feature that is known to fail is blamed."""

Fails = Callable[[Case], bool | None]
"""Returns True if the engine fails a case, and None if the case cannot be judged."""


class Blame:
    """Finds the features that are at fault in failing cases of one engine."""

    def __init__(self, bench: EngineClient, seconds: float = SECONDS) -> None:
        self.bench, self.seconds = bench, seconds
        self.known: Collection[str] = ()
        self.cleared: set[str] = set()
        """Layers of the last finding that are right, given the engine's own gradient after them."""

    def features_at_fault(self, finding: Finding, known: Collection[str] = ()) -> tuple[str, ...]:
        """Return the features at fault in the finding's case; empty if the calls do not tell.

        Features that are `known` to fail come first among those that may be at fault.
        """
        self.known, self.cleared = known, set()
        if self.seconds <= 0:
            return tuple(sorted(features_of(finding.case).intersection(known)))
        budget = Budget(self.seconds)
        blamed = self._blamed(finding)
        self.seconds -= budget.spent
        return blamed

    def _blamed(self, finding: Finding) -> tuple[str, ...]:
        case, group = finding.case, group_of(finding.entries[0].quantity) if finding.entries else ""
        rule = (case.optimizer["type"],) if case.optimizer else ()
        if finding.kind not in {"wrong", "error", "malformed"} or _is_about_calls(finding):
            return ()
        if rule and finding.kind == "wrong" and update_is_wrong(self.bench, finding):
            return rule
        if finding.kind == "wrong" and not _compares_with_truth(finding):
            fails = self._fails_check(finding.check)
            return self._at_fault(case, fails, "") if fails(case) else ()
        if group == "loss" and "outputs" in finding.right and case.steps == 1:
            return (case.loss["type"],)
        passes = [group, *PASSES] if group in PASSES else PASSES
        for kind in dict.fromkeys(passes if finding.kind == "wrong" else PASSES[:1]):
            fails = self._fails_passes(finding.kind, kind)
            for step in self._steps(case):
                if fails(step):
                    return self._at_fault(step, fails, kind, is_fault=finding.kind != "wrong")
        return rule if case.steps > 1 else ()

    def _steps(self, case: Case) -> Iterator[Case]:
        """Yield each step as a case of its own, from the parameters that the engine returned.

        A wrong update of an earlier step changes every quantity of a later one.
        """
        yield case.but(steps=1)
        for steps in range(1, case.steps):
            params = (self.bench.run(case.but(steps=steps)).result or {}).get("params")
            if params is not None and all(np.isfinite(array).all() for array in params.values()):
                yield case.but(params=params, steps=1)

    def _fails_check(self, check: str) -> Fails:
        judgement = JUDGEMENTS[check.rpartition(":")[2]]

        def fails(case: Case) -> bool | None:
            self.bench.fresh()
            try:
                return judgement.judge(Trial(self.bench, check, case)) is not None
            except (Declined, Faulty):
                return None

        return fails

    def _fails_passes(self, kind: str, group: str) -> Fails:
        """Return the predicate of wrong numbers of a group, or of the same kind of fault."""
        compared = GRADIENTS if group in GRADIENTS else {group}

        def fails(case: Case) -> bool | None:
            if self.bench.is_python:
                self.bench.fresh()
            trial = Trial(self.bench, "", case)
            try:
                entries, right = trial.compare_with_truth(case, trial.base)
            except Faulty as faulty:
                return True if faulty.outcome.fault == kind else None
            except Declined:
                return None
            if kind != "wrong":
                return False
            if any(group_of(entry.quantity) in compared for entry in entries):
                return True
            return False if any(group_of(name) in compared for name in right) else None

        return fails

    def _at_fault(
        self, case: Case, fails: Fails, group: str, *, is_fault: bool = False
    ) -> tuple[str, ...]:
        names = list(dict.fromkeys([case.loss["type"], *(layer["type"] for layer in case.layers)]))
        without = {name: self._verdict(self._without(case, name), fails) for name in names}
        alone = {name: self._verdict(self._alone(case, name, group), fails) for name in names}
        if group in GRADIENTS:
            beside = [other for other in self._alone(case, names[0], group) if other]
            if self._verdict([o for o in beside if o.layers], self._fails_given_slope):
                alone[names[0]] = None  # The Linear layer beside the loss is at fault itself.
            given_slope = self._asked(case, self._fails_given_slope)
            if given_slope is False:
                last = max(i for i, layer in enumerate(case.layers) if layer["type"] == "Linear")
                self.cleared = {layer["type"] for layer in case.layers[: last + 1]}
            if given_slope or without[names[0]] is None:
                without[names[0]] = given_slope
            elif given_slope is False:
                without[names[0]] = None  # Every loss may be at fault.
            if not self._other_losses(case) or given_slope is False:
                alone |= self._alone_given_slope(case, names, fails=alone[names[0]])
        if is_fault and False not in (*without.values(), *alone.values()):
            return ()  # An engine that raises an error in every case
        suspects = [name for name in names if without[name] is not True]
        known = [name for name in suspects if name in self.known and alone[name] is not False]
        if known:
            return tuple(known)
        guilty = [name for name in suspects if alone[name] is not False]
        guilty = guilty or [name for name in names if alone[name]]
        return tuple([name for name in guilty if alone[name]] or guilty or suspects)

    def _verdict(self, cases: Iterable[Case | None], fails: Fails) -> bool | None:
        """Return True if one of the cases fails, None if none of them can be judged."""
        verdicts = [self._asked(case, fails) for case in cases]
        return True if True in verdicts else False if False in verdicts else None

    def _fails_given_slope(self, case: Case) -> bool | None:
        """Return True if gradients do not follow from the bias gradient of the last Linear layer.

        With equal samples, every gradient of a parameter is a function of that one, so that the
        loss and the layers after it play no part. A sample whose gradients are 0 shows nothing.
        """
        last = max((i for i, o in enumerate(case.layers) if o["type"] == "Linear"), default=None)
        if last is None:
            return None
        rows = [keep_rows(case, [row] * case.n) for row in range(min(case.n, ROWS))]
        for equal in (*rows, *(row.but(x=np.ones_like(row.x)) for row in rows)):
            same = with_bias(equal, last)
            if self.bench.capabilities.refuses(same):
                continue
            if self.bench.is_python:
                self.bench.fresh()
            got = self.bench.run(same).quantities()
            slope = got.get(f"grads.{last}.bias")
            if slope is None or not np.isfinite(slope).all():
                return None
            kind = Precision.of(case.dtype, self.bench.capabilities)
            single = keep_rows(same, [0])
            expected, _ = gradients_below(single, last, slope[None], kind)
            if np.any(expected[f"{last}.weight"].v != 0):
                return any(
                    _differs(got[f"grads.{key}"], near, MATERIAL * case.n)
                    for key, near in expected.items()
                )
        return None

    def _asked(self, case: Case | None, fails: Fails) -> bool | None:
        return fails(case) if case is not None and self._admits(case) else None

    def _admits(self, case: Case | None) -> bool:
        """Return True if the engine claims a case, and the case has a truth."""
        return not (case is None or self.bench.capabilities.refuses(case) or not is_valid(case))

    def _other_losses(self, case: Case) -> list[str]:
        """Return the claimed losses that take the same targets as the loss of a case."""
        name = case.loss["type"]
        targets = LOSS_ROWS[name].targets
        others = [other for other in self.bench.capabilities.losses if other != name]
        return [other for other in others if LOSS_ROWS[other].targets == targets]

    def _without(self, case: Case, name: str) -> Iterator[Case | None]:
        """Yield cases like this one that do not have a feature."""
        if name == case.loss["type"]:
            for other in self._other_losses(case):
                yield case.but(loss=loss_like(other, case.loss))
            return
        smaller: Case | None = case
        for i in reversed([i for i, layer in enumerate(case.layers) if layer["type"] == name]):
            if smaller is not None and len(smaller.layers) > 1:
                smaller = remove_layers(smaller, i, i + 1)
            elif smaller is not None:
                smaller = part_of(smaller, 0, 0)
                if name != "Linear" and not self._admits(smaller):
                    smaller = smaller and behind_linear(smaller)
        yield smaller

    def _alone(self, case: Case, name: str, group: str) -> Iterator[Case | None]:
        """Yield cases in which a feature has no other features beside it than a loss.

        A gradient may be visible only at a Linear layer, so one with the identity is added to an
        activation and to a loss.
        """
        end = len(case.layers)
        spots = [i for i, layer in enumerate(case.layers) if layer["type"] == name]
        parts = [part_of(case, i, i + 1) for i in spots]
        if name == case.loss["type"]:
            parts = [part_of(case, end, end)]
        is_visible = group not in GRADIENTS or "input_grad" in self.bench.capabilities.returns
        for part in parts:
            is_shown = name == "Linear" or (is_visible and self._admits(part))
            yield part if is_shown or part is None else behind_linear(part)

    def _alone_given_slope(
        self, case: Case, names: Sequence[str], *, fails: bool | None
    ) -> dict[str, bool | None]:
        """Return verdicts on layers whose case alone has a loss that may fail.

        `fails`: whether the loss fails alone. A Linear layer whose gradients follow from its own
        bias gradient is right, whatever the loss. So is an activation between two such layers.
        """
        verdicts: dict[str, bool | None] = {}
        linear = self._verdict(self._alone(case, "Linear", "grads"), self._fails_given_slope)
        if linear is not None and "Linear" in names:
            verdicts["Linear"] = linear
        for name in set(names[1:]) - {"Linear"} if fails else ():
            parts = [between_linear(part) for part in self._alone(case, name, "")]
            verdicts[name] = None if linear else self._verdict(parts, self._fails_given_slope)
        return verdicts


def _differs(got: Any, near: Bounded, factor: float) -> bool:
    """Return True if an entry is farther from the truth than so many times the bound."""
    with np.errstate(all="ignore"):
        error = np.abs(got - np.asarray(near.v))
        return bool(np.any(~(error <= factor * near.bounds)))


def _is_about_calls(finding: Finding) -> bool:
    """Return True if the failure depends on earlier calls or on memory, not on a feature."""
    judgement = finding.check.rpartition(":")[2]
    return judgement.startswith("memory.") or judgement in {"repeat", "history", "interleaved"}


def _compares_with_truth(finding: Finding) -> bool:
    """Return True if the entries of a finding are comparisons with the truth."""
    judgement = finding.check.rpartition(":")[2]
    usual = {*PASSES, *UPDATES, "exact", "finite", "numerical", "paths", "trajectory"}
    return judgement in usual
