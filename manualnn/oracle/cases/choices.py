"""Choices among what an engine claims: names, options and sizes, each a draw of a generator.

    choices.pick(values), chance(share), count(most)      a value, a yes, a size
    choices.layer("Tanh"), loss(…), optimizer(…)          descriptions within the claims

`Impossible` is raised where the claims leave nothing of the kind that was asked for. `Draft` draws
arrays and cases besides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from manualnn.errors import OracleError
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.features import ALWAYS, REDUCTIONS, TABLES

PROBABILITIES = ("Sigmoid", "Softmax")
"""Layers whose outputs BCELoss takes."""

PALETTE: dict[str, tuple[Any, ...]] = {
    "Linear.bias": (True, False),
    "LeakyReLU.negative_slope": (0.01, 0.3, 0.0, 1.0, 2.5),
    "Softplus.beta": (1.0, 0.3, 3.0, 20.0),
    "Softplus.threshold": (20.0, 1.0, 5.0),
    "Softmax.dim": (-1, 1),
    "LogSoftmax.dim": (-1, 1),
    "Dropout.p": (0.5, 0.1, 0.25, 0.9),
    "HuberLoss.delta": (1.0, 0.1, 0.5, 3.0),
    "CrossEntropyLoss.ignore_index": (-100, -1, 0, 1),
    "CrossEntropyLoss.label_smoothing": (0.0, 0.1, 0.5, 1.0),
    "reduction": REDUCTIONS,
    "momentum": (0.0, 0.9, 0.5, 0.999),
    "dampening": (0.0, 0.3, 0.9),
    "weight_decay": (0.0, 0.1, 0.01, 1.0),
    "nesterov": (False, True),
    "maximize": (False, True),
    "amsgrad": (False, True),
    "centered": (False, True),
    "alpha": (0.99, 0.5, 0.9),
    "lr_decay": (0.0, 0.1, 3.0),
    "initial_accumulator_value": (0.0, 0.1, 2.0),
    "eps": (1e-8, 1e-2, 1e-5, 1.0),
    "Adagrad.eps": (1e-10, 1e-2, 1e-5, 1.0),
    "betas": ([0.9, 0.999], [0.5, 0.7], [0.0, 0.9], [0.9, 0.0], [0.8, 0.99], [0.99, 0.9]),
    "lr": (0.1, 0.02, 1 / 3, 0.7, 0.003),
}
"""Values of options; the default among them stands first."""


@dataclass(frozen=True)
class Size:
    """How large cases may be, and what they do without."""

    max_width: int = 8
    max_batch: int = 9
    max_depth: int = 3
    """The most Linear layers."""
    max_steps: int = 7
    long: tuple[int, ...] = (257, 300, 1025)
    """Sizes beyond those of blocks and of short sums, one of them at a time."""
    avoid: frozenset[str] = frozenset()
    """Features, such as "loss.MSELoss.mean", that are drawn only if the claims leave no other."""


class Impossible(OracleError):  # noqa: N818 - no error: the claims leave nothing of the kind
    """The claims leave nothing of the kind that was to be drawn."""


@dataclass
class Choices:
    """Draws descriptions: see the module."""

    rng: np.random.Generator
    claims: Capabilities
    size: Size
    dtype: str = field(init=False)

    def __post_init__(self) -> None:
        self.dtype = self.pick(self.claims.dtypes)
        self.max_width = min(self.size.max_width, self.claims.max_width or self.size.max_width)
        self.max_batch = min(self.size.max_batch, self.claims.max_batch or self.size.max_batch)
        most = self.size.max_depth if self.claims.max_depth is None else self.claims.max_depth
        linear = "Linear" in self.claims.layers
        self.max_depth = min(self.size.max_depth, most) if linear else 0
        self.max_steps = min(self.size.max_steps, self.claims.max_steps)

    def pick(self, values: Sequence[Any]) -> Any:
        """Return one of the values; Impossible if there is none."""
        if not values:
            raise Impossible
        return values[int(self.rng.integers(len(values)))]

    def chance(self, share: float) -> bool:
        """Return True in that share of all draws."""
        return bool(self.rng.random() < share)

    def count(self, most: int, least: int = 1) -> int:
        """Return a size, small ones more often than large ones; Impossible if there is none."""
        if most < least:
            raise Impossible
        return min(most, int(np.exp(self.rng.uniform(np.log(least), np.log(most + 1)))))

    def among(self, kind: str, names: Sequence[str]) -> str:
        """Return one of the names of parts; one to be avoided only if there is no other."""
        singular = kind.removesuffix("s").replace("losse", "loss")
        kept_names = [n for n in names if f"{singular}.{n}" not in self.size.avoid]
        return str(self.pick(kept_names or names))

    def values(self, kind: str, name: str, option: str) -> list[Any]:
        """Return the values of an option that the claims allow, the default first."""
        default = TABLES[kind][name][option]
        claim = getattr(self.claims, kind)[name].get(option, [])
        if claim == "any":
            claim = PALETTE.get(f"{name}.{option}", PALETTE.get(option, ()))
        return [default, *(value for value in claim if value != default)]

    def layer(self, name: str, option: str | None = None, **given: Any) -> dict[str, Any]:
        """Return a layer, its options drawn; `option` not at its default."""
        spec = {"type": name, **given}
        for other in TABLES["layers"][name]:
            if other in given or other in ALWAYS:
                continue
            values = self.values("layers", name, other)
            if other == option:
                spec[other] = self.pick(values[1:])
            elif other != "bias" and option is None and self.chance(0.5):
                continue
            elif other != "bias" or self.chance(0.15):
                spec[other] = self.pick(values)
        return spec

    def options(self, kind: str, name: str) -> list[str]:
        """Return the claimed options of a part, but for those that are to be avoided."""
        claimed = getattr(self.claims, kind)[name]
        singular = kind.removesuffix("s").replace("losse", "loss")
        shunned = (
            "reduction",
            *(o for o in claimed if f"{singular}.{name}.{o}" in self.size.avoid),
        )
        return [o for o in claimed if o not in shunned]

    def activations(self) -> list[str]:
        """Return the names of the claimed layers that stand between Linear ones."""
        return [n for n in self.claims.layers if n not in ("Linear", "Softmax", "LogSoftmax")]

    def loss(self, name: str | None = None, **given: Any) -> dict[str, Any]:
        """Return a loss with its reduction; the options that need widths come with `weigh`."""
        if name is None:
            closed = any(n in self.claims.layers for n in PROBABILITIES)
            names = [n for n in self.claims.losses if closed or n != "BCELoss"]
            options = [(n, r) for n in names for r in self.values("losses", n, "reduction")]
            good = [(n, r) for n, r in options if f"loss.{n}.{r}" not in self.size.avoid]
            name, given["reduction"] = self.pick(good or options)
        elif "reduction" not in given and self.chance(0.5):
            values = self.values("losses", name, "reduction")
            good = [r for r in values if f"loss.{name}.{r}" not in self.size.avoid]
            given["reduction"] = self.pick(good or values)
        return {"type": name, **given}

    def loss_option(self, name: str, option: str, width: int) -> Any:
        """Return a value, not the default, of a loss's option, for that many outputs."""
        if option in ("weight", "pos_weight"):
            claim = self.claims.losses[name].get(option, [])
            if claim == "any":
                drawn = self.rng.uniform(0.2, 3, width)
                return [float(np.float32(w)) for w in drawn]
            return self.pick([w for w in claim if w is not None and np.size(w) in (1, width)])
        values = self.values("losses", name, option)[1:]
        if option == "ignore_index":
            values = [value for value in values if value < width]
        return self.pick(values)

    def optimizer(
        self, name: str | None = None, option: str | None = None, **given: Any
    ) -> dict[str, Any] | None:
        """Return an optimizer; `option` not at its default, the others at it or not.

        Without a name it is any that is claimed; None if none is.
        """
        if name is None:
            if not self.claims.optimizers:
                return None
            name = self.among("optimizers", list(self.claims.optimizers))
        spec: dict[str, Any] = {"type": name, "lr": self.pick(PALETTE["lr"]), **given}
        others = option is not None and self.chance(0.5)
        for other in TABLES["optimizers"][name]:
            if other in spec or other in ALWAYS:
                continue
            values = self.values("optimizers", name, other)
            if other == option:
                spec[other] = self.pick(values[1:])
            elif others and other in self.options("optimizers", name):
                spec[other] = self.pick(values)
        return self._sensible(name, spec, option)

    def _sensible(self, name: str, spec: dict[str, Any], option: str | None) -> dict[str, Any]:
        """Return it with momentum where Nesterov's and dampening need it, and not both of them."""
        if name == "SGD":
            if option in ("nesterov", "dampening") and not spec.get("momentum"):
                spec["momentum"] = self.pick(self.values("optimizers", name, "momentum")[1:])
            if option == "dampening":
                spec.pop("nesterov", None)
            if spec.get("nesterov"):
                spec.pop("dampening", None)
                spec["nesterov"] = bool(spec.get("momentum"))
        return spec
