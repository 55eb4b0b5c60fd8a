"""Conditions on the input of an activation: "only where the input of Tanh is greater than 4"."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from manualnn.oracle.diagnosis.conditions.outcome import Judge
from manualnn.oracle.diagnosis.conditions.rules import Reals, find_range
from manualnn.oracle.diagnosis.location import ACTIVATIONS, input_of_layer
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case, Spec
from manualnn.oracle.protocol.features import LOSS_ROWS

INPUTS = (0.001, 0.3, 0.7, 1.5, 2.5, 3.5, 5.0, 8.0, 12.0, 25.0, 50.0, 100.0, 800.0)
"""Inputs of both signs; 0 as well."""


def ranges(judge: Judge, case: Case, claims: Capabilities) -> Iterator[str]:
    """Yield the range of inputs at which an activation of the case is wrong, in width 1."""
    if judge.first.startswith(("state", "params")):
        return
    for i, layer in enumerate(case.layers):
        if layer["type"] not in ACTIVATIONS or layer in case.layers[:i]:
            continue

        def fails(z: float, layer: Spec = layer) -> bool | None:
            single = _single(case, layer, claims, z)
            return None if single is None else judge(single)

        inputs = sorted({0.0, *INPUTS, *(-z for z in INPUTS)})
        outcomes: Reals = {z: fails(z) for z in inputs[::2]}
        if not {True, False} <= set(outcomes.values()):
            continue
        outcomes = {z: outcomes[z] if z in outcomes else fails(z) for z in inputs}
        rule = find_range(f"the input of {layer['type']}", outcomes, fails)
        passing = [z for z, failed in outcomes.items() if z and failed is False]
        if rule is None or len(passing) < 2:
            continue
        rng = np.random.default_rng(1)
        # Closer to 0, because an error may fade beyond the largest number that fails.
        fresh = [z * rng.uniform(0.9, 1) for z in outcomes if z and outcomes[z] is not None]
        agree = [failed is None or failed == rule.holds(z) for z in fresh for failed in (fails(z),)]
        failing = [z for z, failed in outcomes.items() if failed]
        own = np.clip(input_of_layer(case, i).astype(float).ravel(), min(failing), max(failing))
        if all(agree) and any(map(rule.holds, own)):
            yield f"only where {rule.text.replace('is 0', 'is exactly 0')}"


def _single(case: Case, layer: Spec, claims: Capabilities, z: float) -> Case | None:
    """Return the case of one sample in which the activation gets the input z; None without one."""
    loss = _loss(case, claims)
    if loss is None:
        return None
    dtype = np.dtype(case.dtype)
    linear: dict[str, Any] = {"type": "Linear", "in_features": 1, "out_features": 1}
    params = {"0.weight": np.ones((1, 1), dtype), "0.bias": np.zeros(1, dtype)}
    if not next((k.get("bias", True) for k in case.layers if k["type"] == "Linear"), True):
        linear["bias"] = False
        del params["0.bias"]
    return Case(
        (linear, layer),
        loss,
        params,
        np.full((1, 1), z, dtype),
        np.full((1, 1), 0.375, dtype),
        optimizer=case.optimizer,
        dtype=case.dtype,
    )


def _loss(case: Case, claims: Capabilities) -> Spec | None:
    """Return a loss of one output with ordinary targets, if possible that of the case."""
    names = [case.loss["type"], *claims.losses]
    usual = [n for n in names if LOSS_ROWS[n].targets == "numbers"]
    if not usual:
        return None
    return case.loss if usual[0] == case.loss["type"] else {"type": usual[0]}
