"""Capabilities: what an engine claims, and the effect of a claim on the error bounds.

The `capabilities()` of an engine returns a mapping. Only "layers" and "losses" are required:

    {"name": "mytoy", "version": "0.2",
     "layers": ["Linear", "Sigmoid"],                   torch's names, with default options
     "losses": {"MSELoss": {"reduction": ["mean", "sum"]}},
     "optimizers": {"SGD": {"momentum": "any"}}}        "any" value of an option; "any" for all

Features that are not claimed are not tested, and are reported as not claimed. There is no tolerance
to set. An engine of unusual build claims how it differs, and the bounds follow by a published
formula (`RELAXATIONS`), which the report prints.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from manualnn.oracle.protocol.case import PROTOCOL, Case
from manualnn.oracle.protocol.claims import (
    Claim,
    ClaimError,
    is_equal,
    read_claims,
    require_known,
    require_networks,
    require_positive,
    require_size,
)
from manualnn.oracle.protocol.features import (
    ALWAYS,
    LOSS_ROWS,
    OPTIMIZER_ROWS,
    TABLES,
    find_mixing,
    listed_labels,
    names_with,
    names_with_conventions,
    row_of,
)
from manualnn.oracle.protocol.initialization import read_spec

LAYOUTS = ("out,in", "in,out")
RETURNS = ("loss", "grads", "params", "outputs", "input_grad", "state")
DTYPES = ("float32", "float64")
CLASS_TARGETS = ("indices", "probabilities")

RELAXATIONS = {
    "accumulate_dtype": "sums of n terms have the bound γₙ of that dtype's unit roundoff",
    "elementary_ulps": (
        "exp, log, log1p and tanh may be wrong by that many units in the last place (usually 4)"
    ),
    "subnormals": (
        "flushed: numbers below dtype's smallest normal number may be 0, so in the bounds that "
        "number replaces the smallest subnormal number η"
    ),
    "kink": "the derivative of that layer or loss at its kink is that number in place of torch's",
}


@dataclass(frozen=True)
class Capabilities:
    """The claims of an engine, validated: see the module."""

    layers: dict[str, Claim]
    losses: dict[str, Claim]
    optimizers: dict[str, Claim] = field(default_factory=dict)
    name: str = "engine"
    version: str = ""
    protocol: int = PROTOCOL
    dtypes: tuple[str, ...] = ("float64",)
    returns: tuple[str, ...] = ()
    """The content of every result; default: "loss", "grads", and "params" with an optimizer."""
    accepts_state: bool = False
    """True if a case may start after some updates, with the optimizer's state as an input."""
    max_steps: int = 1
    """The largest number of updates of a case."""
    weight_layout: str = "out,in"
    """Layout of weights and their gradients: torch's (out, in), or (in, out)."""
    max_width: int | None = None
    max_batch: int | None = None
    max_depth: int | None = None
    """The largest number of Linear layers."""
    empty_batch: bool = False
    arrays: str = "list"
    """The form in which a process reads arrays: "list", "base64" or "safetensors"."""
    accumulate_dtype: str | None = None
    elementary_ulps: float = 4
    subnormals: str = "kept"
    kink: dict[str, float] = field(default_factory=dict)
    conventions: dict[str, str] = field(default_factory=dict)
    """The convention of a feature, such as {"BCELoss": "calculus"}. See `Feature.conventions`."""
    class_targets: tuple[str, ...] = CLASS_TARGETS
    """The forms of the targets of a loss of classes."""
    sample_weights: bool = False
    """True if a case may have weights of its samples."""
    init: tuple[dict[str, Any], ...] = ()
    """The initialisations of a weight that `init` draws: see `protocol.initialization`."""
    networks: str = "[LA]+"
    """A regular expression of the layers in order: L is Linear, A is any other layer."""

    @classmethod
    def read(cls, content: Any) -> "Capabilities":
        """Return the capabilities in a mapping; raises ClaimError if it is invalid."""
        if isinstance(content, Capabilities):
            return content
        if not isinstance(content, Mapping):
            raise ClaimError(f"capabilities() returned {content!r}; it has to be a mapping.")
        values = dict(content)
        factors = values.pop("loss_factor", {})  # the older form of the option "factor"
        known = [entry.name for entry in fields(cls)]
        for name in values:
            if name not in known:
                raise ClaimError(f"capabilities() has {name!r}; known are {', '.join(known)}.")
        for kind, table in TABLES.items():
            values[kind] = read_claims(kind, values.get(kind, {}), table)
        for kind in ("layers", "losses"):
            if not values[kind]:
                raise ClaimError(
                    f"capabilities() claims no {kind}: nothing could be judged; add, for example, "
                    '{"layers": ["Linear"], "losses": ["MSELoss"], "optimizers": ["SGD"]}.'
                )
        require_known("loss_factor", factors, tuple(values["losses"]))
        for name, factor in factors.items():
            values["losses"][name]["factor"] = [factor]
        usual = ("loss", "grads", "params") if values["optimizers"] else ("loss", "grads")
        values["returns"] = tuple(values.get("returns") or usual)
        values["dtypes"] = tuple(values.get("dtypes", ("float64",)))
        values["class_targets"] = tuple(values.get("class_targets", CLASS_TARGETS))
        values["init"] = tuple(map(read_spec, values.get("init", ())))
        claims = cls(**values)
        claims.validate()
        return claims

    def validate(self) -> None:
        """Raise ClaimError for the first claim that no case can meet."""
        require_known("protocol", [self.protocol], (PROTOCOL,))
        require_known("dtypes", self.dtypes, DTYPES)
        require_known("returns", self.returns, RETURNS)
        require_known("weight_layout", [self.weight_layout], LAYOUTS)
        require_known("arrays", [self.arrays], ("list", "base64", "safetensors"))
        require_known("subnormals", [self.subnormals], ("kept", "flushed"))
        require_known("accumulate_dtype", [self.accumulate_dtype], (None, *DTYPES))
        kinks = (*names_with("layers", "has_kink"), *names_with("losses", "has_kink"))
        require_known("kink", self.kink, kinks)
        for name, claim in self.losses.items():
            if claim.get("factor", "any") != "any":
                for factor in claim["factor"]:
                    require_positive(f"{name}'s factor", factor)
        require_known("class_targets", self.class_targets, CLASS_TARGETS)
        require_networks(self.networks)
        for name in self.conventions:
            self._require_convention(name)
        require_size("max_steps", self.max_steps)
        for name in ("max_width", "max_batch", "max_depth"):
            if getattr(self, name) is not None:
                require_size(name, getattr(self, name))

    def _require_convention(self, name: str) -> None:
        """Raise ClaimError if the claimed convention of a feature is unknown or impossible."""
        require_known("conventions", [name], names_with_conventions())
        known, claimed = row_of(name).conventions, self.conventions[name]
        require_known(f"conventions of {name}", [claimed], tuple(known))
        option = known[claimed].excludes
        if option in self.claim_of(name):
            raise ClaimError(
                f"capabilities() has conventions {name!r}: {claimed!r} and claims {name}'s "
                f"{option}; an engine of that convention has no {option}."
            )

    def claim_of(self, name: str) -> Claim:
        """Return what is claimed of a feature: the allowed values of its options."""
        return self.layers.get(name) or self.losses.get(name) or self.optimizers.get(name) or {}

    def values(self, name: str, option: str) -> Any:
        """Return the values of an option that the engine supports, the default first, or "any"."""
        known, claim = row_of(name).options[option], self.claim_of(name)
        claimed = "any" if option in ALWAYS else claim.get(option, [])
        if claimed == "any" or known.is_chosen or (known.is_listed and option in claim):
            return claimed
        return [known.default, *(v for v in claimed if not is_equal(v, known.default))]

    def admits_network(self, names: Iterable[str]) -> bool:
        """Return True if a network may have these layers in this order."""
        letters = "".join("L" if name == "Linear" else "A" for name in names)
        return re.fullmatch(self.networks, letters) is not None

    def has(self, name: str) -> bool:
        """Return True if a layer, loss or optimizer is claimed."""
        return any(name in getattr(self, kind) for kind in TABLES)

    def described_conventions(self) -> list[str]:
        """Return a sentence for every convention that was claimed or found."""
        return [
            f"{name}: {row_of(name).conventions[convention].sentence}"
            for name, convention in self.conventions.items()
        ]

    def refuses(self, case: Case) -> str | None:
        """Return the first part of a case that the engine does not claim, or None."""
        if case.dtype not in self.dtypes:
            return case.dtype
        reasons = (self._refuses_parts, self._refuses_structure, self._refuses_sizes)
        return next((why for reason in reasons if (why := reason(case))), find_undefined(case))

    def _refuses_parts(self, case: Case) -> str | None:
        for kind, spec in case.parts():
            claim = getattr(self, kind).get(spec["type"])
            if claim is None:
                return str(spec["type"])
            for option, known in row_of(spec["type"]).options.items():
                if option not in spec and not known.is_listed:
                    continue  # every engine takes the default
                values = self.values(spec["type"], option)
                value = spec.get(option, TABLES[kind][spec["type"]][option])
                if values != "any" and not any(is_equal(value, v) for v in values):
                    return f"{spec['type']}({option}={value!r})"
        return None

    def _refuses_structure(self, case: Case) -> str | None:
        if self.optimizers and case.optimizer is None:
            return "a case without an optimizer"
        if LOSS_ROWS[case.loss["type"]].targets == "classes":
            form = "indices" if case.t.ndim == 1 else "probabilities"
            if form not in self.class_targets:
                return f"targets that are {form} of classes"
        if case.sample_weights is not None and not self.sample_weights:
            return "weights of samples"
        if not self.admits_network(layer["type"] for layer in case.layers):
            return "a network of layers in that order"
        return None

    def _refuses_sizes(self, case: Case) -> str | None:
        depth = sum(layer["type"] == "Linear" for layer in case.layers)
        for what, size, most in (
            ("updates", case.steps, self.max_steps),
            ("samples", case.n, self.max_batch),
            ("columns", max(case.widths), self.max_width),
            ("Linear layers", depth, self.max_depth),
        ):
            if most is not None and size > most:
                return f"{size} {what}"
        if case.n == 0 and not self.empty_batch:
            return "an empty batch"
        if case.state is not None and not self.accepts_state:
            return "optimizer state as an input"
        return None

    def relaxations(self) -> list[str]:
        """Return a sentence for every bound that a claim widens."""
        usual = Capabilities({}, {})
        return [
            f"bounds follow {name}={getattr(self, name)!r}: {formula}"
            for name, formula in RELAXATIONS.items()
            if getattr(self, name) != getattr(usual, name)
        ]


def find_undefined(case: Case) -> str | None:
    """Return what leaves a case undefined, such as 0/0 or a target outside its domain, or None."""
    loss, reduction = case.loss, case.loss.get("reduction", "mean")
    if LOSS_ROWS[loss["type"]].targets == "signs" and np.any(np.abs(case.t) != 1):
        return "targets other than 1 and −1"
    if case.optimizer and (reason := _find_misfit(case, case.optimizer)):
        return reason
    if LOSS_ROWS[loss["type"]].targets == "labels" and not _are_lists(case.t, case.widths[-1]):
        return "targets other than lists of different classes, filled up with −1"
    mixing = find_mixing(case.layers, is_training=case.noise is not None)
    if mixing and case.n == 1:
        return f"one sample, which {mixing} cannot normalise"
    given = np.ones(case.n) if case.sample_weights is None else case.sample_weights
    if not np.all((given >= 0) & (given < np.inf)):
        return "a weight of a sample that is not from 0 on"
    counted: Any = given.any()
    if reduction == "mean" and LOSS_ROWS[loss["type"]].has_mean_of_weights and case.t.ndim == 1:
        weight = loss.get("weight")
        weights = np.ones(case.widths[-1]) if weight is None else np.asarray(weight)
        labels = case.t[(case.t != loss.get("ignore_index", -100)) & (given > 0)]
        # A label beyond the classes makes a case invalid, which is not the question here.
        counted = weights[labels[(labels >= 0) & (labels < len(weights))]].any()
    return None if counted or reduction == "sum" else "a mean over nothing"


def _find_misfit(case: Case, optimizer: Mapping[str, Any]) -> str | None:
    """Return the parameters that the update rule does not fit, or None."""
    is_entrywise = OPTIMIZER_ROWS[optimizer["type"]].is_entrywise
    if not is_entrywise and any(a.ndim != 2 for a in case.learned.values()):
        return f"a parameter that is no matrix, with {optimizer['type']}"
    for group in optimizer.get("groups", ()):
        if not any(fnmatchcase(key, group["params"]) for key in case.learned):
            return f"a group without parameters, {group['params']!r}"
    return None


def _are_lists(t: Any, count: int) -> bool:
    """Return True if rows list indices below the count, none twice before the first −1."""
    labels = (row[counts] for row, counts in zip(t, listed_labels(t), strict=True))
    is_known = bool(np.all((t >= -1) & (t < count)))
    return is_known and all(len({*row.tolist()}) == len(row) for row in labels)
