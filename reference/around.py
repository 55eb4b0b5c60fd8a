"""What stands around an update in PyTorch: parameter groups, penalties and clipping.

options, rest = split(spec)           the options that every optimizer of manualnn has, and others
groups(options, params)               torch's param_groups
change_gradients(options, params)     add the penalties' gradients, then clip
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

OPTIONS = {
    "l1": 0.0,
    "l2": 0.0,
    "clip_value": None,
    "max_norm": None,
    "norm_type": 2.0,
    "groups": (),
}


def split(spec: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of OPTIONS, and all others without the type."""
    own = {name: spec.get(name, default) for name, default in OPTIONS.items()}
    rest = {name: value for name, value in spec.items() if name not in {"type", *OPTIONS}}
    return own, rest


def groups(options: Mapping[str, Any], params: Mapping[str, Tensor]) -> list[Any]:
    """Return the parameters, or one of torch's param_groups for each if there are groups."""
    if not options["groups"]:
        return list(params.values())
    return [{"params": [p], **_group_of(options, name)} for name, p in params.items()]


def change_gradients(options: Mapping[str, Any], params: Mapping[str, Tensor]) -> None:
    """Add the gradients of the penalties to those of the parameters, and clip the sums."""
    total = penalty(options, params)
    if total.requires_grad:
        slopes = torch.autograd.grad(total, list(params.values()), allow_unused=True)
        for p, slope in zip(params.values(), slopes, strict=True):
            if p.grad is not None and slope is not None:
                p.grad += slope
    if options["clip_value"] is not None:
        nn.utils.clip_grad_value_(params.values(), options["clip_value"])
    if options["max_norm"] is not None:
        nn.utils.clip_grad_norm_(params.values(), options["max_norm"], options["norm_type"])


def penalty(options: Mapping[str, Any], params: Mapping[str, Tensor]) -> Tensor:
    """Return Σ l1 |θ| + l2 θ² over all parameters, each with the l1 and l2 that it has."""
    total = torch.zeros(())
    for name, p in params.items():
        own = {"l1": 0.0, "l2": 0.0}
        if name.endswith("weight"):
            own = {"l1": options["l1"], "l2": options["l2"]}
        own |= _group_of(options, name, penalties=True)
        if own["l1"]:
            total = total + own["l1"] * p.abs().sum()
        if own["l2"]:
            total = total + own["l2"] * (p * p).sum()
    return total


def _group_of(options: Mapping[str, Any], name: str, *, penalties: bool = False) -> dict[str, Any]:
    """Return the options of the first group that fits a name: the penalties, or the others."""
    fitting = (g for g in options["groups"] if fnmatchcase(name, g["params"]))
    own: Mapping[str, Any] = next(fitting, {})
    return {k: v for k, v in own.items() if k != "params" and (k in {"l1", "l2"}) == penalties}
