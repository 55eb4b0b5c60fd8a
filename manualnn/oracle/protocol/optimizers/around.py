"""Around a rule: penalties of the weights and clipping before it, and groups of parameters.

    g ← g + λ₁ sign(W) + 2 λ₂ W             of the loss L + λ₁ Σ|W| + λ₂ ΣW²; not for biases
    g ← min(max(g, −c), c)                  c is clip_value
    g ← g · min(1, m / (‖g‖ + 10⁻⁶))        m is max_norm; ‖g‖ of all parameters' gradients together

The loss and the gradients of a result are those of L, before all of this. The last line is
torch.nn.utils.clip_grad_norm_. A group, such as {"params": "*.bias", "lr": 0.05}, has other options
for the parameters whose names fit its pattern; the first group that fits a name holds. A subclass
adds the arithmetic: `sign_of`, `clamp`, `smaller` and `norm_of`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

from manualnn.oracle.protocol.optimizers.lines import Array, Arrays
from manualnn.oracle.protocol.rows import Optimizer, Option, Options

EPSILON = 1e-6
_NEW: dict[str, Any] = {"is_partner": False, "is_in_any": False}
AROUND = {
    "l1": Option(0.0, (0.01, 0.3), **_NEW),
    "l2": Option(0.0, (0.01, 0.3), **_NEW),
    "clip_value": Option(None, (0.1, 1.0, 0.01), **_NEW),
    "max_norm": Option(None, (1.0, 0.1, 10.0), **_NEW),
}
"""Options of every optimizer; engines claim each of them by its name."""
_RATES: tuple[Any, ...] = ([{"params": "0.*", "lr": 0.2}, {"params": "*.weight", "lr": 0.004}],)
_DECAYS: tuple[Any, ...] = (
    [{"params": "0.*", "weight_decay": 0.3}, {"params": "*.weight", "lr": 0.02}],
    [{"params": "*.bias", "lr": 0.05, "weight_decay": 0.0}],
)
NONE: Mapping[str, Any] = MappingProxyType({})
GROUPS = 1 / 2
"""The largest share of the cases of groups: no value of them is a corner of a formula."""
SAMPLE = 1 / 25
"""Share of the cases of an option around any further rule, because it is the same around each."""


def with_around(row: Optimizer, share: float) -> Optimizer:
    """Return the row of an optimizer with the options around its rule."""
    decays = _DECAYS if "weight_decay" in row.options else ()
    if not row.is_entrywise:
        decays = decays[:1]  # its cases have no biases
    groups = Option((), (*_RATES, *decays), **_NEW)
    options = {name: replace(option, share=share) for name, option in AROUND.items()}
    options["groups"] = replace(groups, share=min(share, GROUPS))
    return replace(row, options={**row.options, **options})


class Around:
    """Penalties and clipping, in the arithmetic of a subclass; arrays by the parameters' keys."""

    num: Callable[..., Any]
    """Return an option as a number of the arithmetic."""
    sign_of: Callable[..., Array]
    clamp: Callable[..., Array]
    """clamp(g, c): return the entries, moved into the range from −c to c."""
    smaller: Callable[..., Array]
    norm_of: Callable[..., Any]
    """norm_of(arrays): return the root of the sum of all squares."""

    def gradients_of_step(self, o: Options, params: Mapping[str, Array], grads: Arrays) -> Arrays:
        """Return the gradients that the rule takes."""
        if getattr(o, "l1", 0) or getattr(o, "l2", 0):
            grads = {key: self.penalized(o, key, params[key], g) for key, g in grads.items()}
        if getattr(o, "clip_value", None) is not None:
            grads = {key: self.clipped_value(o, g) for key, g in grads.items()}
        if getattr(o, "max_norm", None) is not None:
            grads = self.clipped_norm(o, grads)
        return grads

    def group_of(self, o: Options, key: str) -> Mapping[str, Any]:
        """Return the group of a parameter; {} if it is in none."""
        return next((g for g in getattr(o, "groups", ()) if fnmatchcase(key, g["params"])), NONE)

    def options_for(self, o: Options, key: str) -> Options:
        """Return the options that hold for a parameter."""
        own = {name: value for name, value in self.group_of(o, key).items() if name != "params"}
        return Options(**{**vars(o), **own}) if own else o

    def parts_of(self, o: Options, keys: Iterable[str]) -> list[tuple[Options, list[str]]]:
        """Return the options of every part of the parameters, and its keys."""
        parts: dict[int, tuple[Options, list[str]]] = {}
        for key in keys:
            place = id(self.group_of(o, key))
            parts.setdefault(place, (self.options_for(o, key), []))[1].append(key)
        return list(parts.values())

    def penalized(self, o: Options, key: str, p: Array, g: Array) -> Array:
        if self.is_penalized(key):
            g = g + self.l1_slope(o, p) if o.l1 else g
            g = g + self.l2_slope(o, p) if o.l2 else g
        return g

    def is_penalized(self, key: str) -> bool:
        return key.endswith("weight")

    def l1_slope(self, o: Options, p: Array) -> Array:
        return self.num(o.l1) * self.sign_of(p)

    def l2_slope(self, o: Options, p: Array) -> Array:
        return self.num(2 * o.l2) * p

    def clipped_value(self, o: Options, g: Array) -> Array:
        return self.clamp(g, self.num(o.clip_value))

    def clipped_norm(self, o: Options, grads: Arrays) -> Arrays:
        factor = self.clip_factor(o, self.norm_of(list(grads.values())))
        return {key: self.scaled(g, factor) for key, g in grads.items()}

    def clip_factor(self, o: Options, norm: Any) -> Any:
        return self.smaller(self.num(1), self.num(o.max_norm) / (norm + self.num(EPSILON)))

    def scaled(self, g: Array, factor: Any) -> Array:
        return g * factor
