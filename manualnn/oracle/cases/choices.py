"""Random choices among the features that an engine claims: names, options and sizes.

    choices.pick(values), chance(share), count(most)      a value, a yes, a size
    choices.layer("Tanh"), loss(…), optimizer(…)          descriptions within the claims

`Impossible` is raised if the claims admit no such choice. `Draft` also draws arrays and cases.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from manualnn.errors import OracleError
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.claims import Claim
from manualnn.oracle.protocol.features import ALWAYS, LAYER_ROWS, LOSS_ROWS, TABLES, row_of

RATES = (0.1, 0.02, 1 / 3, 0.7, 0.003)
"""Learning rates."""
NEWCOMER_CHANCE = 0.7
"""Share of choices that fall on the newcomer of a draft."""


@dataclass(frozen=True)
class Size:
    """Limits of the sizes of cases, and features to avoid."""

    max_width: int = 8
    max_batch: int = 9
    max_depth: int = 3
    """Largest number of Linear layers."""
    max_steps: int = 7
    long: tuple[int, ...] = (257, 300, 1025)
    """Sizes above those of blocks and of short sums. A case has at most one of them."""
    avoid: frozenset[str] = frozenset()
    """Features, such as "loss.MSELoss.mean", that are drawn only if the claims admit no other."""


class Impossible(OracleError):  # noqa: N818 - control flow within the draws, not an error
    """The claims admit no such choice."""


@dataclass
class Choices:
    """Random choices within the claims of an engine: see the module."""

    rng: np.random.Generator
    claims: Capabilities
    size: Size
    newcomer: str = ""
    """A feature that most choices fall on: see `partners`."""
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
        """Return a random value; raises Impossible if there is none."""
        if not values:
            raise Impossible
        return values[int(self.rng.integers(len(values)))]

    def chance(self, share: float) -> bool:
        """Return True with the probability `share`."""
        return bool(self.rng.random() < share)

    def count(self, most: int, least: int = 1) -> int:
        """Return a random size, more often a small one; raises Impossible if there is none."""
        if most < least:
            raise Impossible
        return min(most, int(np.exp(self.rng.uniform(np.log(least), np.log(most + 1)))))

    def pick_name(self, names: Sequence[str]) -> str:
        """Return the name of a feature; one to avoid only if there is no other."""
        if self.newcomer in names and self.chance(NEWCOMER_CHANCE):
            return self.newcomer
        return str(self.pick([n for n in names if not self.is_avoided(n)] or names))

    def is_avoided(self, name: str, option: str = "") -> bool:
        """Return True if the cases are to avoid a feature, or one of its options or reductions."""
        if not self.size.avoid:
            return False
        feature = f"{type(row_of(name)).__name__.lower()}.{name}"
        return (f"{feature}.{option}" if option else feature) in self.size.avoid

    def values(self, name: str, option: str) -> list[Any]:
        """Return the values of an option that the claims allow, the default first."""
        values = self.claims.values(name, option)
        return list(row_of(name).options[option].values if values == "any" else values)

    def options(self, name: str) -> list[str]:
        """Return the claimed options of a feature, except its reduction and those to avoid."""
        return [
            option
            for option in self.claim_of(name)
            if option != "reduction" and not self.is_avoided(name, option)
        ]

    def activations(self) -> list[str]:
        """Return the claimed layers that usually stand between Linear layers."""
        rows = LAYER_ROWS
        return [
            name
            for name in self.claims.layers
            if not (rows[name].has_parameters or rows[name].mixes_features)
        ]

    def layers_of_probabilities(self) -> list[str]:
        """Return the claimed layers whose outputs lie between 0 and 1."""
        return [name for name in self.claims.layers if LAYER_ROWS[name].gives_probabilities]

    def layer(self, name: str, option: str | None = None, **given: Any) -> dict[str, Any]:
        """Return a layer with random options; `option` does not have its default."""
        spec = {"type": name, **given}
        for other in self._drawn_options(name, spec):
            values = self.values(name, other)
            if row_of(name).options[other].is_chosen:
                spec[other] = self.pick(values)
            elif other == option:
                spec[other] = self.pick(values[1:])
            elif other == "bias":
                if self.chance(0.15):
                    spec[other] = self.pick(values)
            elif option is not None or self.chance(0.5):
                spec[other] = self.pick(values)
        return spec

    def loss(self, name: str | None = None, **given: Any) -> dict[str, Any]:
        """Return a loss with a random reduction, and with a factor only if 1 is not claimed.

        `Draft.case` adds the options that need a width.

        Without a name it is any claimed loss that has a suitable last layer.
        """
        drawn = name is None
        if name is None:
            names = list(self.claims.losses)
            if not self.layers_of_probabilities():
                names = [n for n in names if not LOSS_ROWS[n].takes_probabilities]
            name = self.pick_name([n for n in names if self._good_reductions(n)] or names)
        reductions = self.values(name, "reduction")
        is_needed = drawn or "mean" not in reductions
        if "reduction" not in given and (is_needed or self.chance(0.5)):
            reductions = self._good_reductions(name) or reductions
            given["reduction"] = self.pick(reductions)
        factors = self.values(name, "factor")
        if "factor" not in given and LOSS_ROWS[name].options["factor"].is_needed(factors):
            given["factor"] = self.pick(factors)
        return {"type": name, **given}

    def loss_option(self, name: str, option: str, width: int) -> Any:
        """Return a value of a loss's option for `width` outputs; never the default."""
        if option in ("weight", "pos_weight"):
            claim = self.claims.losses[name].get(option, [])
            if claim == "any":
                drawn = self.rng.uniform(0.2, 3, width)
                return [float(np.float32(w)) for w in drawn]
            return self.pick([w for w in claim if w is not None and np.size(w) in (1, width)])
        values = self.values(name, option)[1:]
        if option == "ignore_index":
            values = [value for value in values if value < width]
        return self.pick(values)

    def optimizer(
        self, name: str | None = None, option: str | None = None, **given: Any
    ) -> dict[str, Any] | None:
        """Return an optimizer; `option` does not have its default, others may have theirs.

        Without a name it is any claimed optimizer; None if no optimizer is claimed.
        """
        if name is None:
            if not self.claims.optimizers:
                return None
            name = self.pick_name(list(self.claims.optimizers))
        spec: dict[str, Any] = {"type": name, "lr": self.pick(RATES), **given}
        self.add_options(spec, option, lambda other: self.pick(self.values(name, other)[1:]))
        # Nesterov's momentum needs momentum, and excludes dampening.
        if option in ("nesterov", "dampening") and not spec.get("momentum"):
            spec["momentum"] = self.pick([v for v in self.values(name, "momentum") if v])
        if option == "dampening" or not spec.get("momentum"):
            spec.pop("nesterov", None)
        if spec.get("nesterov"):
            spec.pop("dampening", None)
        return spec

    def add_options(
        self, spec: dict[str, Any], option: str | None, draw_value: Callable[[str], Any]
    ) -> None:
        """Add `option` to a description, and sometimes others beside it.

        `draw_value(option)` returns a value that is not the default, or raises Impossible.
        """
        others = self.options(spec["type"]) if option is not None and self.chance(0.5) else []
        for other in self._drawn_options(spec["type"], spec):
            if other == option:
                spec[other] = draw_value(other)
            elif other in others and self.chance(0.5):
                with suppress(Impossible):
                    spec[other] = draw_value(other)

    def claim_of(self, name: str) -> Claim:
        """Return what is claimed of a feature; raises Impossible if it is not claimed."""
        for kind in TABLES:
            claims: dict[str, Claim] = getattr(self.claims, kind)
            if name in claims:
                return claims[name]
        raise Impossible

    def _good_reductions(self, name: str) -> list[Any]:
        return [r for r in self.values(name, "reduction") if not self.is_avoided(name, r)]

    def _drawn_options(self, name: str, spec: dict[str, Any]) -> list[str]:
        """Return the claimed options that are still to be drawn, in the order of the row.

        A draw depends on their number. Only claimed ones count, because `partners` removes others.
        """
        claim = self.claim_of(name)
        return [o for o in row_of(name).options if o in claim and o not in spec and o not in ALWAYS]
