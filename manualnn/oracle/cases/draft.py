"""What recipes draw cases from: a generator, an engine's claims, and sizes.

    draft = Draft(rng, claims, size)
    draft.case()                          anything that the claims allow, its numbers tame
    draft.case(n=3, widths=(2, 5, 1))     the same with some of it given
    draft.layer("Tanh"), draft.loss(…), draft.optimizer(…)      descriptions within the claims

Tame numbers: normal ones, weights divided by the root of the inputs, so that signals neither vanish
nor grow from layer to layer. A few are 0, ±1, ½ or 2. `Impossible` is raised where the claims leave
nothing of the kind that was asked for.

The same generator, claims and size give the same case.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import PROBABILITIES, Choices, Impossible
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import TABLES, options_of, state_of

STEPS = (1, 2, 3, 5, 10, 17, 30, 100, 316, 1000, 3163, 10_000, 1_000_000)
"""After how many updates a case may start: early, late, and middling on purpose."""
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0)


class Draft(Choices):
    """Draws arrays and cases: see the module."""

    def normals(self, shape: Any, scale: Any = 1.0) -> Array:
        """Return normal numbers, now and then with up to three special ones among them."""
        array = (self.rng.standard_normal(shape) * scale).astype(self.dtype)
        if self.chance(0.2) and array.size:
            for _ in range(int(self.rng.integers(1, 4))):
                array.flat[int(self.rng.integers(array.size))] = self.pick(SPECIAL)
        return array

    def params(self, layers: Sequence[Any]) -> dict[str, Array]:
        """Return parameters that keep signals at their size."""
        params = {}
        for i, layer in enumerate(layers):
            if layer["type"] == "Linear":
                k = layer["in_features"]
                params[f"{i}.weight"] = self.normals((layer["out_features"], k), 1.4 / k**0.5)
                if layer.get("bias", True):
                    params[f"{i}.bias"] = self.normals(layer["out_features"], 0.5)
        return params

    def targets(self, loss: Any, n: int, width: int, *, soft: bool = False) -> Array:
        """Return targets of the loss's kind; `soft`: probabilities of classes, not classes."""
        if loss["type"] == "CrossEntropyLoss":
            if soft:
                weights = self.rng.uniform(0.05, 1, (n, width))
                return (weights / weights.sum(axis=1, keepdims=True)).astype(self.dtype)
            t = self.rng.integers(0, width, n)
            ignored = loss.get("ignore_index", -100)
            if "ignore_index" in loss:
                t[self.rng.random(n) < 0.3] = ignored
            if n and np.all(t == ignored):
                t[0] = 1 if ignored == 0 else 0
            return t
        if loss["type"].startswith("BCE"):
            shares = self.rng.random((n, width))
            return (shares if self.chance(0.5) else shares.round()).astype(self.dtype)
        return self.normals((n, width))

    def noise(self, layers: Sequence[Any], widths: Sequence[int], n: int) -> dict[str, Array]:
        """Return dropout's masks."""
        masks = {}
        for i, layer in enumerate(layers):
            if layer["type"] == "Dropout":
                p = options_of(layer).p
                stays = self.rng.random((n, widths[i])) >= p
                masks[f"{i}.mask"] = (stays / (1 - p)).astype(self.dtype)
        return masks

    def state(self, optimizer: Any, params: dict[str, Array], steps: int) -> dict[str, Any]:
        """Return what the optimizer may keep after so many steps with gradients of about ¼."""
        o = options_of(optimizer)
        named: dict[str, Any] = {"step": steps, **{state.name: {} for state in state_of(o)}}
        for key, p in params.items():
            g = self.rng.standard_normal(p.shape) / 4
            g[self.rng.random(p.shape) < 0.05] = 0
            square = g * g + (self.rng.standard_normal(p.shape) / 8) ** 2 * (g != 0)
            for state in state_of(o):
                array = state.typical(o, g, square, steps)
                if state.is_maximum:
                    array = array * self.rng.choice([0.5, 4.0], array.shape)
                named[state.name][key] = array.astype(self.dtype)
        return named

    def widths(self, depth: int | None = None, *, least_out: int = 1) -> tuple[int, ...]:
        """Return the widths of the input and of every Linear layer, often but not always unlike."""
        if depth is None:
            depth = self.count(self.max_depth) if self.max_depth else 0
        if self.chance(0.1):
            return (self.count(self.max_width, least_out),) * (depth + 1)
        widths = [self.count(self.max_width) for _ in range(depth + 1)]
        widths[-1] = self.count(self.max_width, least_out)
        return tuple(widths)

    def net(
        self, widths: Sequence[int], last: Sequence[Any] = (), ending: float = 0.15
    ) -> tuple[Any, ...]:
        """Return Linear layers of these widths with something between them, and then `last`.

        In a share `ending` of all draws without a `last`, something else than Linear ends it.
        """
        layers: list[Any] = []
        names = self.activations()
        same = self.among("layers", names) if names and self.chance(0.5) else None
        for i, (a, b) in enumerate(pairwise(widths)):
            if i and names and (same or self.chance(0.9)):
                layers.append(self.layer(same or self.among("layers", names)))
            layers.append(self.layer("Linear", in_features=a, out_features=b))
        layers += last
        ends = [name for name in self.claims.layers if name != "Linear"]
        if not layers or (ends and not last and self.chance(ending)):
            layers.append(self.layer(self.among("layers", ends)))
        return tuple(layers)

    def samples(self, widths: Sequence[int]) -> int:
        """Return a number of samples, which is often one of the widths, or next to one."""
        n = self.count(self.max_batch)
        if self.chance(0.25):
            n = int(self.pick(widths)) + self.pick((-1, 0, 0, 1))
        return min(max(n, 1), self.max_batch)

    def case(
        self,
        *,
        widths: Sequence[int] | None = None,
        layers: Sequence[Any] | None = None,
        loss: dict[str, Any] | None = None,
        loss_option: str | None = None,
        optimizer: dict[str, Any] | None = None,
        n: int | None = None,
        soft: bool = False,
        ending: float = 0.15,
    ) -> Case:
        """Return a case at its first step, or at a later one where the optimizer's state tells."""
        loss = dict(loss) if loss else self.loss()
        least = 2 if loss["type"] == "CrossEntropyLoss" else 1
        if layers is None:
            widths = widths or self.widths(least_out=least)
            layers = self.net(widths, self.closing(loss), ending)
        elif widths is None:
            widths = [layer["in_features"] for layer in layers if layer["type"] == "Linear"][:1]
            widths = widths or [self.count(self.max_width, least)]
        every = [widths[0]]
        for layer in layers:
            every.append(layer.get("out_features", every[-1]))
        if every[-1] < least:
            raise Impossible
        self.weigh(loss, loss_option, every[-1], soft=soft)
        n = self.samples(every) if n is None else n
        params = self.params(layers)
        x = self.normals((n, every[0]))
        if loss["type"] == "BCELoss" and layers[-1]["type"] not in PROBABILITIES:
            raise Impossible
        t = self.targets(loss, n, every[-1], soft=soft)
        noise = self.noise(layers, every, n) if self.chance(0.9) else {}
        case = Case(tuple(layers), loss, params, x, t, dtype=self.dtype, noise=noise or None)
        if optimizer and params:
            return self.stepping(case, optimizer)
        return case.but(optimizer=self.optimizer())  # whoever claims one is always given one

    def closing(self, loss: Any) -> list[Any]:
        """Return the layers that a loss needs after the last Linear one."""
        if loss["type"] != "BCELoss":
            return []
        return [self.layer(self.pick([n for n in PROBABILITIES if n in self.claims.layers]))]

    def weigh(self, loss: dict[str, Any], option: str | None, width: int, *, soft: bool) -> None:
        """Give a loss the option, not at its default, and now and then others beside it.

        Targets that are probabilities (`soft`) know no class to ignore.
        """
        others = option is not None and self.chance(0.5)
        name = loss["type"]
        for other in TABLES["losses"][name]:
            claimed = other in self.options("losses", name)
            claimed = claimed and not (soft and other == "ignore_index")
            if other == option:
                loss[other] = self.loss_option(name, other, width)
            elif other not in loss and others and claimed and self.chance(0.5):
                try:
                    loss[other] = self.loss_option(name, other, width)
                except Impossible:
                    continue

    def stepping(self, case: Case, optimizer: dict[str, Any], after: int | None = None) -> Case:
        """Return a case with an optimizer, after some steps where the engine accepts its state."""
        case = case.but(optimizer=optimizer)
        if self.claims.accepts_state and (after or self.chance(0.7)):
            after = after or self.pick(STEPS)
            return case.but(state=self.state(optimizer, case.params, after))
        return case.but(steps=self.count(self.max_steps))
