"""The optimizers' twins: one line each, and their state as flat vectors."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, optim

from reference.tables import twin_of

State = Mapping[str, Any]


class Lion(optim.Optimizer):
    """Lion (Chen et al. 2023), which torch does not have, as its authors' program has it."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        maximize: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update every parameter."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                state, g = self.state[p], -p.grad if group["maximize"] else p.grad
                m = state.setdefault("exp_avg", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(torch.sign(beta1 * m + (1 - beta1) * g), alpha=group["lr"])
                state["exp_avg"] = beta2 * m + (1 - beta2) * g


class Muon(optim.Muon):
    """torch's Muon, whose iteration computes in the parameters' dtype in place of bfloat16."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter."""
        with mock.patch.object(Tensor, "bfloat16", Tensor.clone):
            super().step(closure)  # type: ignore[no-untyped-call]


class Together:
    """Several optimizers as one: those of groups with rules of their own."""

    def __init__(self, parts: Sequence[optim.Optimizer]) -> None:
        self.parts = parts

    @property
    def state(self) -> dict[Tensor, dict[str, Any]]:
        """What each remembers of its parameters."""
        return {p: own for part in self.parts for p, own in part.state.items()}

    def step(self) -> None:
        """Update every parameter."""
        for part in self.parts:
            part.step()


OPTIMIZERS: dict[str, type[optim.Optimizer]] = {
    "SGD": optim.SGD,
    "RMSprop": optim.RMSprop,
    "Adagrad": optim.Adagrad,
    "Adam": optim.Adam,
    "AdamW": optim.AdamW,
    "Adamax": optim.Adamax,
    "Adadelta": optim.Adadelta,
    "NAdam": optim.NAdam,
    "RAdam": optim.RAdam,
    "Rprop": optim.Rprop,
    "ASGD": optim.ASGD,
    "Lion": Lion,
}
MATRIX_RULES: dict[str, type[optim.Optimizer]] = {"Muon": Muon}


def _momentum_product(o: Mapping[str, Any], steps: int) -> float:
    return prod(
        o["betas"][0] * (1 - 0.5 * 0.96 ** (t * o["momentum_decay"])) for t in range(1, steps + 1)
    )


NUMBERS: dict[str, dict[str, Callable[[Mapping[str, Any], int], float]]] = {
    "NAdam": {"mu_product": _momentum_product},
    "ASGD": {
        "eta": lambda o, steps: o["lr"] / (1 + o["lambd"] * o["lr"] * steps) ** o["alpha"],
        "mu": lambda o, steps: 1 / max(1, steps - o["t0"]),
    },
}
"""The numbers that torch keeps for each parameter, from the options and the number of steps."""


def build(spec: Mapping[str, Any], params: Sequence[Any]) -> optim.Optimizer | Together:
    """Return the optimizer of those parameters, or groups, that its JSON form describes.

    A group with a "type" has an optimizer of its own, with its own defaults.
    """
    options = {name: value for name, value in spec.items() if name != "type"}
    table = OPTIMIZERS | MATRIX_RULES
    others = [p for p in params if isinstance(p, dict) and "type" in p]
    if not others:
        return twin_of(spec, table, "optimizers")(params, **options)
    parts = [build({"lr": spec["lr"], "type": p["type"]}, [_without_type(p)]) for p in others]
    if own := [p for p in params if "type" not in p]:
        parts.append(build(spec, own))
    return Together(parts)  # type: ignore[arg-type]


def _without_type(group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "type"}


def _parts(optimizer: optim.Optimizer | Together) -> Sequence[optim.Optimizer]:
    return optimizer.parts if isinstance(optimizer, Together) else [optimizer]


def state_vectors(
    optimizer: optim.Optimizer | Together, params: Sequence[Tensor]
) -> dict[str, NDArray[Any]]:
    """Return what the optimizer remembers: {name: vector in the order of the parameters}.

    The names are torch's, without its counters of steps, and without numbers that follow from them.
    Empty where torch has not stepped yet.
    """
    states = [optimizer.state[p] for p in params]
    kinds = {type(part).__name__ for part in _parts(optimizer)}
    numbers = {"step", *(name for kind in kinds for name in NUMBERS.get(kind, ()))}
    names = dict.fromkeys(
        name for s in states for name, v in s.items() if name not in numbers and v is not None
    )
    return {
        name: np.concatenate(
            [_entry(s, name, p).ravel() for s, p in zip(states, params, strict=True)]
        )
        for name in names
    }


def _entry(state: State, name: str, p: Tensor) -> NDArray[Any]:
    """Return an array of the state of a parameter; zeros where its group has no such array."""
    value = state.get(name)
    return np.zeros(p.shape, p.detach().numpy().dtype) if value is None else np.asarray(value)


def load_state(
    optimizer: optim.Optimizer | Together, params: Sequence[Tensor], state: State
) -> None:
    """Make the optimizer remember {"step": steps done, name: vector, …}."""
    steps = int(state["step"])
    vectors = {name: torch.tensor(v) for name, v in state.items() if name != "step"}
    owners = {
        p: (part, group)
        for part in _parts(optimizer)
        for group in part.param_groups
        for p in group["params"]
    }
    start = 0
    for p in params:
        stop = start + prod(p.shape)
        own = {name: v[start:stop].reshape(p.shape) for name, v in vectors.items()}
        part, group = owners[p]
        numbers = NUMBERS.get(type(part).__name__, {})
        beside = {name: torch.tensor(number(group, steps)) for name, number in numbers.items()}
        part.state[p] = {"step": torch.tensor(float(steps)), **beside, **own}
        start = stop
