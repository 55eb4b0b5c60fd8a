"""Groups of parameters with options of their own, and what happens to a gradient before the rule.

    rule = SGD(lr=0.1, l2=1e-4, groups=[{"params": "*.bias", "lr": 0.2}], max_norm=1.0)

A rule with such options updates the parameters in parts. A part is a run of parameters with the
same options. Its vectors are views into the whole ones, and its rule is a plain one, so an update
of a part is planned like any other (`planned`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.optimizers.clipping import clip_norm, clip_values
from manualnn.optimizers.planned import State
from manualnn.parameters import Parameters
from manualnn.spec import closest
from manualnn.validation import shown

if TYPE_CHECKING:
    from manualnn.optimizers.base import Optimizer

WHOLE: dict[str, Any] = {"groups": (), "max_norm": None, "norm_type": 2.0, "clip_value": None}
"""Options of an update of all parameters together, as a plain rule has them."""
PENALTIES: dict[str, Any] = {"l1": 0.0, "l2": 0.0}


class Group(dict[str, Any]):
    """Options of the parameters with some names: {"params": pattern, option: value, …}.

    "type" among the options names another rule, which has its own defaults.
    """

    @classmethod
    def read(cls, group: Any) -> Any:
        """Return a mapping as a group; lists become tuples. Anything else stays as it is."""
        if not isinstance(group, Mapping):
            return group
        return cls({k: tuple(v) if isinstance(v, list) else v for k, v in group.items()})

    def __hash__(self) -> int:  # type: ignore[override]
        """Hash the items, because a rule is hashed by its options."""
        return hash(frozenset(self.items()))


class Share(NamedTuple):
    """The options of neighbouring parameters."""

    names: tuple[str, ...]
    rule: "Optimizer"
    """The rule without penalties, groups and clipping."""
    l1: float
    l2: float


def require_groups(rule: "Optimizer") -> None:
    """Raise SpecError if a group of a rule names no pattern, or an option that it cannot have."""
    if not rule.groups:
        return
    for i, group in enumerate(rule.groups):
        where = f"{type(rule).__name__}: groups[{i}]"
        if not isinstance(group.get("params"), str):
            message = (
                f'{where} must have "params", a pattern of names such as "*.bias", got '
                f"{shown(dict(group))}."
            )
            raise SpecError(message)
        try:
            kind = _kind_of(rule, group)
        except SpecError as error:
            message = f"{where}: {error}"
            raise SpecError(message) from error
        known = [f.name for f in fields(kind) if f.name not in WHOLE]
        for option in group.keys() - {"params", "type", *known}:
            meant = closest(option, known)
            hint = f" (did you mean {meant!r}?)" if meant else ""
            message = f"{where} has the option {option!r}{hint}; it may have {', '.join(known)}."
            raise SpecError(message)
        try:
            _plain_rule(rule, group)
        except SpecError as error:
            message = f"{where}: {error}"
            raise SpecError(message) from error


def plain_rules(rule: "Optimizer") -> list["Optimizer"]:
    """Return the rule without groups, and the rule of each group."""
    return [_plain_rule(rule, group) for group in ({}, *rule.groups)]


@lru_cache(maxsize=64)
def shares_of(rule: "Optimizer", names: tuple[str, ...]) -> tuple[Share, ...]:
    """Return the options of the parameters with these names, in their order.

    Raises SpecError if a group has none of them.
    """
    owners = [_owner(rule, name) for name in names]
    for i, group in enumerate(rule.groups):
        if not any(fnmatchcase(name, group["params"]) for name in names):
            message = (
                f"{type(rule).__name__}: groups[{i}] has no parameter, because "
                f"{group['params']!r} fits none of {', '.join(names) or 'no parameters'}."
            )
            raise SpecError(message)
    options = [
        (_plain_rule(rule, owner), *_penalties(rule, owner, name))
        for name, owner in zip(names, owners, strict=True)
    ]
    return tuple(
        Share(tuple(name for _, name in members), *own)
        for own, members in groupby(zip(options, names, strict=True), key=itemgetter(0))
    )


def penalty_of(rule: "Optimizer", params: Parameters) -> float:
    """Return λ₁ Σ|w| + λ₂ Σ w², summed over the parameters with their own λ₁ and λ₂."""
    total = 0.0
    for share in shares_of(rule, tuple(params)):
        for name in share.names if share.l1 or share.l2 else ():
            w = params[name].reshape(-1)
            total += share.l1 * float(np.add.reduce(np.abs(w))) if share.l1 else 0.0
            total += share.l2 * float(np.dot(w, w)) if share.l2 else 0.0
    return total


def add_penalties(rule: "Optimizer", params: Parameters, grads: Parameters) -> None:
    """Add the slopes of the penalties to the gradients, in place."""
    for share in () if rule.is_plain else shares_of(rule, tuple(params)):
        for name in share.names:
            theta = params[name]
            _add_penalty(share, theta, grads[name], np.empty_like(theta))


def rates_of(rule: "Optimizer") -> tuple[float, ...]:
    """Return the learning rates of the rule and of its groups, in this order."""
    return rule.lr, *(group.get("lr", rule.lr) for group in rule.groups)


def with_rates(rule: "Optimizer", lrs: Sequence[float]) -> "Optimizer":
    """Return a rule with the learning rates of itself and of its groups, in this order.

    A group without a rate of its own keeps the rule's, as long as both are equal.

    Raises SpecError for another number of rates.
    """
    if len(lrs) != 1 + len(rule.groups):
        message = f"lrs must have {1 + len(rule.groups)} rates, of {rule!r}, got {shown(lrs)}."
        raise SpecError(message)
    lr, *rates = lrs
    groups = tuple(
        group | {"lr": rate} if "lr" in group or rate != lr else group
        for group, rate in zip(rule.groups, rates, strict=True)
    )
    return replace(rule, lr=lr, groups=groups)


def _owner(rule: "Optimizer", name: str) -> Mapping[str, Any]:
    """Return the first group whose pattern fits a name, or no options."""
    return next((g for g in rule.groups if fnmatchcase(name, g["params"])), {})


def _plain_rule(rule: "Optimizer", group: Mapping[str, Any]) -> "Optimizer":
    own = {name: value for name, value in group.items() if name not in {"params", "type"}}
    if "type" in group:
        return _kind_of(rule, group)(**{"lr": rule.lr} | own | PENALTIES)
    return replace(replace(rule, **WHOLE, **PENALTIES), **own | PENALTIES)


def _kind_of(rule: "Optimizer", group: Mapping[str, Any]) -> "type[Optimizer]":
    """Return the class of a group's rule. Raises SpecError if its "type" is no update rule."""
    from manualnn.optimizers import MATRIX_RULES, OPTIMIZERS

    name, known = group.get("type"), OPTIMIZERS | MATRIX_RULES
    if "type" not in group:
        return type(rule)
    if not isinstance(name, str) or name not in known:
        meant = closest(name, known)
        hint = f" (did you mean {meant!r}?)" if meant else ""
        message = f"there is no update rule {name!r}{hint}. Known: {', '.join(known)}."
        raise SpecError(message)
    return known[name]


def _penalties(rule: "Optimizer", group: Mapping[str, Any], name: str) -> tuple[float, ...]:
    """Return λ₁ and λ₂ of a parameter: its group's, otherwise the rule's if it is a weight."""
    is_weight = name.endswith("weight")
    return tuple(group.get(key, getattr(rule, key) * is_weight) for key in PENALTIES)


class Part(NamedTuple):
    """The arrays of neighbouring parameters: views into those of all parameters."""

    share: Share
    params: Parameters
    grads: Parameters
    state: State


def parts_of(
    rule: "Optimizer", params: Parameters, grads: Parameters, state: Mapping[str, Any]
) -> list[Part]:
    """Return the parts of parameters, gradients and state."""
    parts, start = [], 0
    for share in shares_of(rule, tuple(params)):
        shapes = {name: params.shapes[name] for name in share.names}
        stop = start + sum(params[name].size for name in share.names)
        theta, g = (Parameters(shapes, whole.vector[start:stop]) for whole in (params, grads))
        own = {name: state[name][start:stop] for name in share.rule.vectors()}
        parts.append(Part(share, theta, g, State({"step": state["step"]} | own)))
        start = stop
    return parts


class Parts:
    """The parts of an update of the same arrays in every step."""

    def __init__(
        self, rule: "Optimizer", params: Parameters, grads: Parameters, state: dict[str, Any]
    ) -> None:
        self._rule = rule
        self._arrays = {"θ": params.vector, "g": grads.vector, **_vectors(state)}
        self._parts = parts_of(rule, params, grads, state)
        longest = max((part.params.vector.size for part in self._parts), default=0)
        self._scratch = np.empty(longest, params.dtype)

    def fits(
        self, rule: "Optimizer", params: Parameters, grads: Parameters, state: dict[str, Any]
    ) -> bool:
        """Return True for the same arrays in the same parts; the options may differ."""
        arrays = {"θ": params.vector, "g": grads.vector, **_vectors(state)}
        if arrays.keys() != self._arrays.keys():
            return False
        if any(array is not self._arrays[name] for name, array in arrays.items()):
            return False
        if rule is not self._rule:
            shares = shares_of(rule, tuple(params))
            if [(s.names, s.rule.vectors()) for s in shares] != [
                (p.share.names, p.share.rule.vectors()) for p in self._parts
            ]:
                return False
            pairs = zip(shares, self._parts, strict=True)
            self._parts = [part._replace(share=share) for share, part in pairs]
            self._rule = rule
        return True

    def step(self, state: dict[str, Any], *, moves: bool) -> None:
        """Do one step, after which the gradients are others; see `step_in_parts`."""
        rule, g = self._rule, self._arrays["g"]
        for share, params, grads, _ in self._parts:
            scratch = self._scratch[: params.vector.size]
            _add_penalty(share, params.vector, grads.vector, scratch)
        if rule.clip_value is not None:
            clip_values(g, rule.clip_value)
        if rule.max_norm is not None:
            clip_norm(g, rule.max_norm, rule.norm_type)
        for share, params, grads, own in self._parts:
            own["step"] = state["step"]
            (share.rule.update if moves else share.rule.write_step)(params, grads, own)
        state["step"] += 1


def _add_penalty(share: Share, theta: Array, g: Array, scratch: Array) -> None:
    """Let g ← g + λ₁ sign(θ) + 2 λ₂ θ; the slope of |θ| at 0 is 0."""
    number = theta.dtype.type
    if share.l1:
        np.multiply(np.sign(theta, scratch), number(share.l1), scratch)
        np.add(g, scratch, g)
    if share.l2:
        np.add(g, np.multiply(theta, number(2 * share.l2), scratch), g)


def step_in_parts(
    rule: "Optimizer", params: Parameters, grads: Parameters, state: dict[str, Any], *, moves: bool
) -> None:
    """Do one step of a rule with groups, penalties or clipping.

    If `moves`, the step is subtracted from θ, and the gradients stay as they are. Otherwise it is
    written into the gradients.
    """
    known: dict[bool, Any] = state.parts if type(state) is State else {}
    own, parts = known.get(moves, (grads, None))
    if parts is None or not parts.fits(rule, params, own if moves else grads, state):
        own = grads.copy() if moves else grads
        parts = Parts(rule, params, own, state)
        known[moves] = own, parts
    elif moves:
        np.copyto(own.vector, grads.vector)
    parts.step(state, moves=moves)


def _vectors(state: Mapping[str, Any]) -> dict[str, Array]:
    return {name: value for name, value in state.items() if name != "step"}
