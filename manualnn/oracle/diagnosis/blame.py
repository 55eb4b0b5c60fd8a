"""Blame: the features of a failing case that are at fault.

    blame = Blame(bench)
    blame.features_at_fault(finding)      ("Tanh",); empty if the calls do not tell

A failing case has a loss, several layers and often an optimizer, and most of them are right. Two
kinds of similar cases tell them apart. Without a feature at fault, the case passes. And a feature
at fault fails on its own, with the input that it has in the case. A feature is blamed if neither
kind of case clears it. Several features may be at fault at once: then every one fails on its own.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from manualnn.oracle.cases.resize import is_valid, keep_rows, remove_layers
from manualnn.oracle.checks.table import JUDGEMENTS
from manualnn.oracle.checks.trial import Declined, Faulty, Trial
from manualnn.oracle.diagnosis.location import input_of_layer
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.case import Case, Spec
from manualnn.oracle.protocol.features import LOSS_ROWS, options_of
from manualnn.oracle.truth.bounded import Precision
from manualnn.oracle.truth.compare import group_of
from manualnn.oracle.truth.step import gradients_below

PASSES = ("outputs", "loss", "grads", "input_grad")
"""Groups of quantities that the forward and the backward pass compute."""
GRADIENTS = {"grads", "input_grad"}
UPDATES = ("state", "params")
MATERIAL = 2**10
"""Equal samples are not summed with the roundings of one, so only a larger error counts."""

Fails = Callable[[Case], bool | None]
"""Returns True if the engine fails a case, and None if the case cannot be judged."""


class Blame:
    """Finds the features that are at fault in failing cases of one engine."""

    def __init__(self, bench: EngineClient) -> None:
        self.bench = bench

    def features_at_fault(self, finding: Finding) -> tuple[str, ...]:
        """Return the features at fault in the finding's case; empty if the calls do not tell."""
        case, group = finding.case, group_of(finding.entries[0].quantity) if finding.entries else ""
        rule = (case.optimizer["type"],) if case.optimizer else ()
        if finding.kind not in {"wrong", "error", "malformed"} or len(finding.calls) > 1:
            return ()
        if finding.kind == "wrong" and not _compares_with_truth(finding):
            fails = self._fails_check(finding.check)
            return self._at_fault(case, fails, "") if fails(case) else ()
        if group in UPDATES and finding.kind == "wrong" and case.steps == 1:
            return rule
        if group == "loss" and "outputs" in finding.right and case.steps == 1:
            return (case.loss["type"],)
        for kind in dict.fromkeys((group, *PASSES) if finding.kind == "wrong" else PASSES[:1]):
            fails = self._fails_passes(finding.kind, kind)
            for step in self._steps(case):
                if fails(step):
                    return self._at_fault(step, fails, kind)
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

    def _at_fault(self, case: Case, fails: Fails, group: str) -> tuple[str, ...]:
        names = list(dict.fromkeys([case.loss["type"], *(layer["type"] for layer in case.layers)]))
        without = {name: self._verdict(self._without(case, name), fails) for name in names}
        alone = {name: self._verdict(self._alone(case, name, group), fails) for name in names}
        if group in GRADIENTS and not self._other_losses(case):
            without[names[0]] = self._asked(case, self._fails_given_slope)
            alone |= self._alone_given_slope(case, names, fails=alone[names[0]])
        suspects = [name for name in names if without[name] is not True]
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
        loss and the layers after it play no part.
        """
        linear = [i for i, layer in enumerate(case.layers) if layer["type"] == "Linear"]
        if not linear or not case.n:
            return None
        same = keep_rows(case, [0] * case.n)
        if self.bench.is_python:
            self.bench.fresh()
        got = self.bench.run(same).quantities()
        slope = got.get(f"grads.{linear[-1]}.bias")
        if slope is None or not np.isfinite(slope).all():
            return None
        kind = Precision.of(case.dtype, self.bench.capabilities)
        expected, _ = gradients_below(keep_rows(case, [0]), linear[-1], slope[None], kind)
        for key, near in expected.items():
            with np.errstate(all="ignore"):
                error = np.abs(got[f"grads.{key}"] - np.asarray(near.v))
                if np.any(~(error <= MATERIAL * case.n * near.bounds)):
                    return True
        return False

    def _asked(self, case: Case | None, fails: Fails) -> bool | None:
        if case is None or self.bench.capabilities.refuses(case) or not is_valid(case):
            return None
        return fails(case)

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
                yield case.but(loss=_loss(other, case.loss))
            return
        smaller: Case | None = case
        for i in reversed([i for i, layer in enumerate(case.layers) if layer["type"] == name]):
            if smaller is not None:
                whole = len(smaller.layers) == 1
                smaller = _part(smaller, 0, 0) if whole else remove_layers(smaller, i, i + 1)
        yield smaller

    def _alone(self, case: Case, name: str, group: str) -> Iterator[Case | None]:
        """Yield cases in which a feature has no other features beside it than a loss.

        A gradient may be visible only at a Linear layer, so one with the identity is added to an
        activation and to a loss.
        """
        end = len(case.layers)
        spots = [i for i, layer in enumerate(case.layers) if layer["type"] == name]
        parts = [_part(case, i, i + 1) for i in spots]
        if name == case.loss["type"]:
            parts = [_part(case, end, end)]
        is_visible = group not in GRADIENTS or "input_grad" in self.bench.capabilities.returns
        for part in parts:
            yield part if is_visible or name == "Linear" or part is None else _behind_linear(part)

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
            parts = [_before_linear(part) for part in self._alone(case, name, "")]
            verdicts[name] = None if linear else self._verdict(parts, self._fails_given_slope)
        return verdicts


def _compares_with_truth(finding: Finding) -> bool:
    """Return True if the entries of a finding are comparisons with the truth."""
    judgement = finding.check.rpartition(":")[2]
    usual = {*PASSES, *UPDATES, "exact", "finite", "numerical", "paths", "trajectory"}
    return judgement in usual


def _part(case: Case, i: int, j: int) -> Case | None:
    """Return the case of the layers i … j − 1 alone, with the input that they have in the case."""
    x = input_of_layer(case, i).astype(case.dtype) if i else case.x
    if not np.isfinite(x).all():
        return None

    def own(arrays: Any) -> dict[str, Any]:
        numbered = ((key.partition("."), array) for key, array in (arrays or {}).items())
        return {f"{int(k) - i}.{n}": a for (k, _, n), a in numbered if i <= int(k) < j}

    loss, t = case.loss, case.t
    if case.widths[j] != case.widths[-1]:
        loss, t = _loss(case.loss["type"], case.loss), _targets(case, case.widths[j])
    return case.but(
        layers=case.layers[i:j],
        params=own(case.params),
        noise=own(case.noise) or None,
        x=x,
        t=t,
        loss=loss,
        state=None,
        steps=1,
    )


def _behind_linear(part: Case) -> Case:
    """Return a case with a Linear layer of the identity before the first layer."""
    layer, params = _identity(part, part.widths[0])
    moved = {f"{int(k) + 1}.{n}": a for (k, _, n), a in _numbered(part.params)}
    noise = {f"{int(k) + 1}.{n}": a for (k, _, n), a in _numbered(part.noise or {})}
    first = {f"0.{name}": array for name, array in params.items()}
    return part.but(layers=(layer, *part.layers), params=first | moved, noise=noise or None)


def _before_linear(part: Case | None) -> Case | None:
    """Return a case with Linear layers of the identity before the first and after the last."""
    if part is None:
        return None
    case = _behind_linear(part)
    layer, params = _identity(part, part.widths[-1])
    last = {f"{len(case.layers)}.{name}": array for name, array in params.items()}
    return case.but(layers=(*case.layers, layer), params={**case.params, **last})


def _identity(case: Case, width: int) -> tuple[Spec, dict[str, Any]]:
    layer = {"type": "Linear", "in_features": width, "out_features": width}
    return layer, {"weight": np.eye(width, dtype=case.dtype), "bias": np.zeros(width, case.dtype)}


def _numbered(arrays: Any) -> list[Any]:
    return [(key.partition("."), array) for key, array in arrays.items()]


def _loss(name: str, like: Spec) -> Spec:
    """Return a loss without options, with the reduction of another one."""
    reduction = options_of(like).reduction
    return {"type": name, "reduction": reduction}


def _targets(case: Case, width: int) -> Any:
    """Return targets for another number of outputs."""
    if LOSS_ROWS[case.loss["type"]].targets == "classes" and case.t.ndim == 1:
        return case.t % max(1, width)
    return np.resize(case.t, (case.n, width)).astype(case.dtype)
