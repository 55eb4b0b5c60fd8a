"""Conventions of an engine: found by its answers where it claims none.

    settle(client)      set client.capabilities.conventions for every claimed feature that has some

At an extreme, torch's formula may differ from the mathematics, and right engines follow either. The
engine is asked a few small cases in which the truths by two conventions differ. The convention by
which most quantities are right is the engine's, torch's if no other has more of them. All further
cases are judged by it, so that an engine has to keep to it.

By calculus, some results have no bound, such as a gradient with a denominator of 0. Right engines
limit the denominator in some way. An engine whose answers there are not finite has torch's
convention, unless it claims another.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from manualnn.oracle.cases.extremes import extreme_cases, saturated_cases
from manualnn.oracle.cases.partners import has_feature
from manualnn.oracle.engines.client import EngineClient
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import names_with_conventions, row_of
from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.compare import find_wrong, group_of, refutes, true_values
from manualnn.oracle.truth.step import truth

Truths = dict[str, dict[str, Bounded]]
"""The true quantities by each convention."""
QUESTIONS = 3
"""Number of cases for each feature."""


def settle(client: EngineClient, cases: Sequence[Case] | None = None) -> None:
    """Complete the conventions of the client's capabilities.

    `cases` are all cases that the engine answers, if it cannot be asked others.
    """
    claims = client.capabilities
    for name in names_with_conventions():
        if name not in claims.conventions and claims.has(name):
            found = _find_convention(client, name, cases)
            claims = replace(claims, conventions={**claims.conventions, name: found})
    if claims is not client.capabilities:
        client.capabilities = claims
        client.restart()  # so that no finding depends on these calls


def _find_convention(client: EngineClient, name: str, cases: Sequence[Case] | None) -> str:
    claims, known = client.capabilities, row_of(name).conventions
    claimed = claims.claim_of(name)
    possible = [c for c, convention in known.items() if convention.excludes not in claimed]
    torch = possible[0]
    if len(possible) == 1:
        return torch
    asked: Iterable[tuple[Case, Truths]]
    if cases is None:
        asked = _choose_cases(claims, name, possible)
        saturated = saturated_cases(claims, name)
    else:
        own = [case for case in cases if has_feature(case, name) and not claims.refuses(case)]
        asked = ((case, _truths(claims, name, possible, case)) for case in own)
        saturated = iter(own)
    scores = dict.fromkeys(possible, 0)
    for case, truths in asked:
        outcome = client.run(case)
        if outcome.fault:
            break
        for convention in possible:
            near = truths[convention]
            scores[convention] += sum(
                not refutes(near[quantity], array).any()
                for quantity, array in outcome.quantities().items()
                if quantity in near
            )
    best = max(possible, key=lambda convention: scores[convention])  # the first of several
    return best if best == torch or _is_finite(client, name, torch, saturated) else torch


def _truths(claims: Capabilities, name: str, possible: list[str], case: Case) -> Truths:
    """Return the truth of a case by each convention."""
    truths = {}
    for convention in possible:
        own = replace(claims, conventions={**claims.conventions, name: convention})
        truths[convention] = truth(case, Precision.of(case.dtype, own)).quantities()
    return truths


def _choose_cases(
    claims: Capabilities, name: str, possible: list[str]
) -> Iterable[tuple[Case, Truths]]:
    """Return a few cases whose truths differ, with the truths by each convention.

    Without such a case, return all: in float32, the truth by calculus may have no bound.
    """
    every, telling = [], []
    for case in extreme_cases(claims, name):
        pair = case, _truths(claims, name, possible, case)
        every.append(pair)
        if _differ(pair[1], claims):
            telling.append(pair)
        if len(telling) == QUESTIONS:
            break
    return telling or every


def _differ(truths: Truths, claims: Capabilities) -> bool:
    """Return True if torch's truth differs from every other one in what the engine returns."""
    first, *others = truths.values()
    names = [name for name in first if group_of(name) in claims.returns]
    return all(any(_is_apart(first[n], other[n]) for n in names) for other in others)


def _is_apart(near: Bounded, other: Bounded) -> bool:
    bound = near.bounds + other.bounds
    return bool(find_wrong(true_values(near), true_values(other), bound).any())


def _is_finite(client: EngineClient, name: str, torch: str, cases: Iterable[Case]) -> bool:
    """Return True if the answers are finite where torch's truth has a bound."""
    for case in cases:
        near = _truths(client.capabilities, name, [torch], case)[torch]
        for quantity, array in client.run(case).quantities().items():
            # A state may hold the square of a large number, which overflows.
            if group_of(quantity) not in ("loss", "grads", "input_grad"):
                continue
            if np.any(~np.isfinite(array) & np.isfinite(near[quantity].bounds)):
                return False
    return True
