"""Bugs of an optimizer's state and its count of updates."""

from typing import Any

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.bugs.edits import KnowsKey, after_load, with_options
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("optimizers")

BUGS["state-not-kept"] = bug(
    "The optimizer's state is not stored: each update starts from zero.",
    lines=("m, v = 0 at every step", "m, v of the last update"),
    source="mlx",
    updated=lambda e, o, key, p, g, s: Textbook.updated(
        e, o, key, p, g, {name: e.first(o, a, name) for name, a in s.items()}
    ),
)
BUGS["state-lost-on-reload"] = bug(
    "The given state is ignored: the optimizer starts from zero.",
    lines=("m, v = 0, t = 0", "m, v, t as given"),
    source="mlx",
    load=lambda e, case: Textbook.load(e, case.but(state=None)),
)
BUGS["step-lost-on-reload"] = bug(
    "The step count of the given state is ignored.",
    lines=("t = 1, 2, …", "t = state's step + 1, …"),
    source="mlx",
    load=after_load(lambda e: setattr(e, "now", 0)),
)


class CountsSteps(KnowsKey):
    """Counts updates in its own way for Adam's bias corrections."""

    def count(self, t: int) -> int:
        raise NotImplementedError

    def adam_correction1(self, o: Options, t: int) -> Any:
        return self.array(super().adam_correction1(o, self.count(t)))

    def adam_correction2(self, o: Options, t: int) -> Any:
        return self.array(super().adam_correction2(o, self.count(t)))


BUGS["step-stays-1"] = bug(
    "The step count is not incremented, so that Adam's bias correction lacks the power t.",
    lines=("m̂ = m / (1 − β₁), v̂ = v / (1 − β₂)", "m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)"),
    source="ML-From-Scratch",
    base=CountsSteps,
    count=lambda e, t: 1,
)
BUGS["step-per-parameter"] = bug(
    "The step count is incremented for every parameter instead of every update.",
    lines=("t ← t + 1, or βᵗ ← β βᵗ, for every tensor", "t ← t + 1 for every update"),
    source="Torchy",
    base=CountsSteps,
    given=[lambda e: 0, lambda e: int(e.case.state["step"]) if e.case.state else 0],
    count=lambda e, t: (
        (g := e.given()) + (t - g - 1) * len(e.params) + list(e.params).index(e.key) + 1
    ),
)
BUGS["step-from-0"] = bug(
    "Steps are counted from 0, so that the first bias correction divides by 0.",
    lines=("t = 0, 1, 2, …", "t = 1, 2, 3, …"),
    base=CountsSteps,
    count=lambda e, t: t - 1,
)
BUGS["step-from-2"] = bug(
    "The step count is incremented twice before the first update.",
    lines=("t = 2, 3, 4, …", "t = 1, 2, 3, …"),
    base=CountsSteps,
    count=lambda e, t: t + 1,
)
BUGS["step-wraps"] = bug(
    "The step count has 8 or 16 bits and overflows to 0.",
    lines=("t mod 128, or 256, or 32768", "t"),
    base=CountsSteps,
    limit=[128, 256, 32768, 65536],
    count=lambda e, t: t % e.limit,
)
BUGS["step-stops-counting"] = bug(
    "The step count has an upper limit.",
    lines=("t = min(t, 100), or 1000", "t"),
    base=CountsSteps,
    limit=[10, 100, 1000],
    count=lambda e, t: min(t, e.limit),
)


class SharesState(Textbook):
    """Stores the state by shape, and perhaps by the part of a key after the dot."""

    by_name: bool

    def owner_of(self, key: str) -> Any:
        """Return the label under which the state of a parameter is stored."""
        return (key.partition(".")[2] if self.by_name else "", self.params[key].shape)

    def update(self, rule: Options) -> None:
        owners: dict[Any, str] = {}
        learned = self.learned()
        grads = self.gradients_of_step(rule, learned, self.grads)
        for key, p in learned.items():
            owner = owners.setdefault(self.owner_of(key), key)
            s = {name: group[owner] for name, group in self.state.items()}
            self.params[key] = self.updated(rule, key, p, grads[key], s)
            for name, a in s.items():
                self.state[name][owner] = a
        for key in learned:
            owner = owners[self.owner_of(key)]
            for group in self.state.values():
                group[key] = group[owner].copy()


BUGS["state-shared-by-name"] = bug(
    'The state is stored by short names or by shapes: "weight" arrays of the same shape share it.',
    lines=('state["weight"], or state[shape]', 'state["0.weight"], state["2.weight"]'),
    killed_by="steps:*",
    source="numpy-ml #78",
    base=SharesState,
    by_name=[True, False],
)
BUGS["decay-skipped-without-momentum"] = bug(
    "The weight decay is not applied if the momentum is 0.",
    lines=("g ← g where μ = 0", "g ← g + λ p"),
    killed_by="optimizer.*.weight_decay:*",
    source="mlx",
    **with_options(
        "gradient", weight_decay=lambda e, o: o.weight_decay if getattr(o, "momentum", 1) else 0.0
    ),
)
