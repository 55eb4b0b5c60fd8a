"""Mistakes in what an optimizer remembers: its state, and the count of updates."""

from functools import partial
from typing import Any

from manualnn.oracle.bugs.bug import Bug, plant
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook

BUGS: dict[str, Bug] = {}
bug = partial(plant, BUGS, "optimizers")

bug(
    "state-not-kept",
    "The optimizer's state is used and thrown away: the next update starts from zero.",
    wrong="m, v = 0 at every step",
    right="m, v as the last update left them",
    source="mlx",
    killed_by="optimizer.*:*",
    updated=lambda e, o, key, p, g, s: Textbook.updated(
        e, o, key, p, g, {name: e.first(o, a, name) for name, a in s.items()}
    ),
)
bug(
    "state-lost-on-reload",
    "The state that is handed in is ignored: the optimizer starts anew.",
    wrong="m, v = 0, t = 0",
    right="m, v, t as handed in",
    source="mlx",
    killed_by="optimizer.*:*",
    load=lambda e, case: Textbook.load(e, case.but(state=None)),
)


def _load_without_count(e: Textbook, case: Case) -> None:
    Textbook.load(e, case)
    e.now = 0


bug(
    "step-lost-on-reload",
    "The step count that is handed in with the state is ignored.",
    wrong="t = 1, 2, …",
    right="t = state's step + 1, …",
    source="mlx",
    killed_by="optimizer.*:*",
    load=_load_without_count,
)


class CountsSteps(Textbook):
    """Counts updates in its own way for Adam's bias corrections."""

    at = 0
    """Which of the parameters is updated."""

    def count(self, t: int) -> int:
        raise NotImplementedError

    def updated(self, o: Options, key: str, p: Array, g: Array, s: dict[str, Array]) -> Array:
        self.at = list(self.params).index(key)
        return super().updated(o, key, p, g, s)

    def adam_correction1(self, o: Options, t: int) -> Any:
        return self.array(super().adam_correction1(o, self.count(t)))

    def adam_correction2(self, o: Options, t: int) -> Any:
        return self.array(super().adam_correction2(o, self.count(t)))


bug(
    "step-stays-1",
    "The step count is not incremented: Adam's bias correction lacks the power t.",
    wrong="m̂ = m / (1 − β₁), v̂ = v / (1 − β₂)",
    right="m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)",
    source="ML-From-Scratch",
    killed_by="optimizer.Adam*:*",
    base=CountsSteps,
    count=lambda e, t: 1,
)
bug(
    "step-per-parameter",
    "The step count is incremented for every parameter in place of every update.",
    wrong="t ← t + 1 for every tensor",
    right="t ← t + 1 for every update",
    source="Torchy",
    killed_by="optimizer.Adam*:*",
    base=CountsSteps,
    count=lambda e, t: (t - 1) * len(e.params) + e.at + 1,
)
bug(
    "step-from-0",
    "Steps are counted from 0: the first bias correction divides by 0.",
    wrong="t = 0, 1, 2, …",
    right="t = 1, 2, 3, …",
    killed_by="optimizer.Adam*:*",
    base=CountsSteps,
    count=lambda e, t: t - 1,
)
bug(
    "step-from-2",
    "The step count is incremented twice before the first update.",
    wrong="t = 2, 3, 4, …",
    right="t = 1, 2, 3, …",
    killed_by="optimizer.Adam*:*",
    base=CountsSteps,
    count=lambda e, t: t + 1,
)
bug(
    "step-wraps",
    "The step count is kept in 8 or 16 bits and starts again.",
    wrong="t mod 128, or 256, or 32768",
    right="t",
    killed_by="optimizer.Adam*:*",
    base=CountsSteps,
    variants=[{"limit": limit} for limit in (128, 256, 32768, 65536)],
    count=lambda e, t: t % e.limit,
)
bug(
    "step-stops-counting",
    "The step count has an upper end.",
    wrong="t = min(t, 100), or 1000",
    right="t",
    killed_by="optimizer.Adam*:*",
    base=CountsSteps,
    variants=[{"limit": limit} for limit in (10, 100, 1000)],
    count=lambda e, t: min(t, e.limit),
)


class SharesState(Textbook):
    """Its state is kept by the part of a key after the dot, and by shape."""

    def update(self, rule: Options) -> None:
        owners: dict[Any, str] = {}
        for key, p in self.params.items():
            owner = owners.setdefault((key.partition(".")[2], p.shape), key)
            s = {name: group[owner] for name, group in self.state.items()}
            self.params[key] = self.updated(rule, key, p, self.grads[key], s)
            for name, a in s.items():
                self.state[name][owner] = a
        for key, p in self.params.items():
            owner = owners[key.partition(".")[2], p.shape]
            for group in self.state.values():
                group[key] = group[owner].copy()


bug(
    "state-shared-by-name",
    'The state is kept by short names: every "weight" of the same shape has the same.',
    wrong='state["weight"]',
    right='state["0.weight"], state["2.weight"]',
    source="numpy-ml #78",
    killed_by="steps:*",
    base=SharesState,
)


class SkipsDecay(Textbook):
    def load(self, case: Case) -> None:
        super().load(case)
        if self.rule is not None and not getattr(self.rule, "momentum", 1):
            self.rule.weight_decay = 0.0


bug(
    "decay-skipped-without-momentum",
    "Without momentum there is no weight decay, either.",
    wrong="g ← g where μ = 0",
    right="g ← g + λ p",
    source="mlx",
    killed_by="optimizer.*.weight_decay:*",
    base=SkipsDecay,
)
