"""Entries of the catalogue of known bugs.

    BUGS = Table("losses")
    BUGS["mse-slope-without-2"] = bug(
        "The gradient of the squared error lacks the factor 2.",
        lines=("∂L/∂y = (y − t) / D", "∂L/∂y = 2 (y − t) / D"),
        mse_slopes=lambda e, o, y, t: y - t,         overrides this method of `Textbook`
    )

Each bug is a subclass of `Textbook` with some attributes replaced; e is the engine itself. An
attribute with a list, such as eps=[1e-8, 1e-7], makes one engine for each value; several lists go
together. A family of bugs has an attribute with a `Constant`: some values, and a function that
finds the value of an engine in its numbers (see `fits`). With where=f, the methods differ from the
right ones only where f(e, o, …) holds. `lines` are the wrong and the right line of mathematics. The
checks of the layer, loss or optimizer whose methods are replaced find the bug; `killed_by` names
other checks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from manualnn.errors import OracleError
from manualnn.oracle.bugs.calls import called_methods, replaced_methods
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import ROWS, row_of
from manualnn.oracle.textbook.engine import Textbook

Method = Callable[..., Any]
"""A method of Textbook: the engine e, then the arguments."""
Methods = dict[str, Any]
"""Methods and other attributes by name; keyword arguments of `bug`."""
Numbers = Mapping[str, Array]
"""The arrays of a result by their names: loss, outputs, grads.0.weight, …"""
Make = Callable[[Any], type[Textbook]]
"""Returns the engine of a family for a value of its constant."""
SHOWN = (int, float, str)
"""Types of the constants that a title shows."""
SYMBOLS = {"eps": "ε", "least": "ε", "beta": "β", "share": "factor"}
"""The names of constants in a title, where the attribute has another name."""

CHECKS = {
    row.method: f"{group}.{row.name}*:*"
    for group, rows in zip(("layer", "loss", "optimizer"), ROWS.values(), strict=True)
    for row in rows.values()
}
"""The checks of every layer, loss and optimizer, by the first part of the names of its methods."""
for _method in ("smoothed", "shares", "one_hot", "counts"):
    CHECKS[_method] = CHECKS["cross_entropy"]
CHECKS["norm"] = "layer.*Norm*:*"
CHECKS["excess"] = CHECKS["multi_margin"]
for _method in ("label_pairs", "labels_listed", "classes_of"):
    CHECKS[_method] = CHECKS["multi_label_margin"]
CHECKS["outputs_of"] = CHECKS["multi_label_soft_margin"]
CHECKS |= {"pos_weight": CHECKS["logits"], "mask": CHECKS["dropout"]}
CHECKS["softplus_of"] = ""  # BCEWithLogitsLoss uses it as well
CHECKS["l1_slope"] = ""  # of the penalty of every rule, not of L1Loss
CHECKS_OF_KIND = {
    "losses": "loss.*:*",
    "activations": "layer.*:*",
    "backward": "*:grads",
    "optimizers": "optimizer.*:*",
    "memory": "*:memory.*",
    "precision": "loss.*:*",
}


@dataclass(frozen=True, eq=False)
class Answer:
    """The numbers of an engine for a case, and the correct ones by the same names."""

    case: Case
    got: Numbers
    truth: Numbers
    wrong: Numbers
    """Masks of the entries of `got` that are farther from the truth than their bound."""

    @property
    def wrong_names(self) -> list[str]:
        """The quantities that have wrong entries, in the order of a step."""
        return [name for name in self.truth if name in self.wrong and self.wrong[name].any()]


Fit = Callable[[Make, Answer], Iterable[Any]]
"""Returns the values of a constant that may give the numbers of a wrong answer."""


@dataclass(frozen=True)
class Constant:
    """A constant of a family of bugs."""

    usual: list[Any]
    """Values that real engines have. The catalogue has an engine for each of them."""
    fit: Fit


@dataclass(frozen=True)
class Bug:
    """A known bug, and the engines that have it."""

    title: str
    wrong: str
    """The wrong line of mathematics."""
    right: str
    """The right line of mathematics."""
    kind: str
    """A key of CHECKS_OF_KIND; that of the table if it is empty."""
    killed_by: str
    """A pattern of check ids; the checks that match it find the bug."""
    engines: tuple[type[Textbook], ...]
    """Engines with an optional dtype."""
    source: str = ""
    """A project in which the bug was found."""
    exact: bool = True
    """True if the mathematics is wrong, so that the bug shows in extended precision as well. False
    for bugs of rounding or overflow."""
    id: str = ""
    fit: Fit | None = None
    make: Make | None = None
    rank: int = 0
    """0 for one bug, 1 for a family whose engines resemble many bugs. See `preferred`."""

    def acts_in(self, case: Case) -> bool:
        """Return False if no layer, loss or optimizer of a case calls a method of the bug."""
        patterns = find_features(self.engines)
        groups = {"layers": "layer", "losses": "loss", "optimizers": "optimizer"}
        parts = [(f"{groups[kind]}.{part['type']}.:", part["type"]) for kind, part in case.parts()]
        return "" in patterns or any(
            self.acts_on(name) or any(fnmatchcase(check, pattern) for pattern in patterns)
            for check, name in parts
        )

    def acts_on(self, feature: str) -> bool:
        """Return True if a layer, loss or optimizer calls a method of the bug.

        A bug of all losses acts on every loss, and one of all rules on every optimizer.
        """
        if "" in find_features(self.engines) and feature in ROWS.get(self.kind, ()):
            return True
        called = called_methods(row_of(feature).method)
        return not called.isdisjoint(replaced_methods(self.engines))

    def engines_for(self, answer: Answer) -> tuple[type[Textbook], ...]:
        """Return `engines`, and those whose constant is fitted to a wrong answer of an engine."""
        if self.fit is None or self.make is None or not answer.wrong_names:
            return self.engines
        with np.errstate(all="ignore"):
            values = self.fit(self.make, answer)
            fitted = [self.make(value) for value in values]
        known = [engine.constants for engine in self.engines]
        for engine in fitted:
            engine.__name__ = self.engines[0].__name__
        return (*self.engines, *(e for e in fitted if e.constants not in known))

    def of(self, engine: type[Textbook]) -> "Bug":
        """Return the bug of one engine, with the engine's constants in the title."""
        shown = ", ".join(map(_shown, engine.constants, engine.constants.values()))
        title = f"{self.title[:-1]} ({shown})." if shown else self.title
        return replace(self, title=title, engines=(engine,))


def preferred(bugs: Iterable[Bug]) -> list[Bug]:
    """Return the bugs of the lowest rank: a family is a cause only if no single bug is."""
    found = list(bugs)
    least = min((bug.rank for bug in found), default=0)
    return [bug for bug in found if bug.rank == least]


def _shown(name: str, value: Any) -> str:
    if name == "only":
        return f"only {value}"
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return f"{SYMBOLS.get(name, name)} = {text}"


class Table(dict[str, Bug]):
    """Bugs of one kind by their id, which the names of their engines follow."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def __setitem__(self, name: str, bug: Bug) -> None:
        if name in self:
            raise OracleError(f"two bugs have the name {name!r}; rename one.")
        for engine in bug.engines:
            engine.__name__ = "".join(word.capitalize() for word in name.split("-"))
        kind = bug.kind or self.kind
        killed_by = bug.killed_by or find_checks(kind, bug.engines)
        super().__setitem__(name, replace(bug, id=name, kind=kind, killed_by=killed_by))


def bug(
    title: str,
    *,
    lines: tuple[str, str],
    kind: str = "",
    killed_by: str = "",
    source: str = "",
    exact: bool = True,
    base: type[Textbook] = Textbook,
    where: Method | None = None,
    rank: int = 0,
    **attributes: Any,
) -> Bug:
    """Return a bug: subclasses of `base` with these attributes, one for each value of a list."""
    constant = next((n for n, a in attributes.items() if isinstance(a, Constant)), "")
    fit = attributes[constant].fit if constant else None
    lists = {name: a for name, a in attributes.items() if isinstance(a, list)}
    if constant:
        lists[constant] = attributes[constant].usual
    if where is not None:
        attributes |= _only_where(where, attributes)

    def make(*values: Any) -> type[Textbook]:
        own = dict(zip(lists, values, strict=True))
        shown = {name: value for name, value in own.items() if isinstance(value, SHOWN)}
        return type("Bug", (base,), {**attributes, **own, "constants": shown})

    variants = zip(*lists.values(), strict=True) if lists else [()]
    engines = tuple(make(*values) for values in variants)
    return Bug(
        title, *lines, kind, killed_by, engines, source, exact, fit=fit, make=make, rank=rank
    )


def _only_where(applies: Method, methods: Methods) -> Methods:
    """Return methods that are those of Textbook unless applies(e, o, …)."""

    def method(wrong: Method, right: Method) -> Method:
        return lambda e, *given: (wrong if applies(e, *given) else right)(e, *given)

    return {
        name: method(wrong, getattr(Textbook, name))
        for name, wrong in methods.items()
        if callable(wrong)
    }


def find_checks(kind: str, engines: Sequence[type[Textbook]]) -> str:
    """Return a pattern of the checks of the feature whose methods these engines replace.

    For several features of one group, it is the pattern of the group; otherwise that of the kind.
    """
    found = find_features(engines) - {""}
    if len(found) == 1:
        return found.pop()
    groups = {pattern.partition(".")[0] for pattern in found}
    return f"{groups.pop()}.*:*" if len(groups) == 1 else CHECKS_OF_KIND[kind]


def find_features(engines: Sequence[type[Textbook]]) -> set[str]:
    """Return a pattern of checks for each replaced method; "" for a method of no feature."""
    longest_first = sorted(CHECKS, key=len, reverse=True)
    prefixes = {
        next((p for p in longest_first if f"{name}_".startswith(f"{p}_")), "")
        for name in replaced_methods(engines)
    }
    return {CHECKS.get(prefix, "") for prefix in prefixes}
