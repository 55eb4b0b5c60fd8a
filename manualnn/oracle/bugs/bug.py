"""What an entry of the catalogue is, and how it is written.

    bug = partial(plant, BUGS := {}, "losses")
    bug(
        "mse-slope-without-2",
        "The gradient of the squared error lacks the 2.",
        wrong="∂L/∂y = (y − t) / D",
        right="∂L/∂y = 2 (y − t) / D",
        killed_by="loss.MSELoss*:*",
        mse_slopes=lambda e, o, y, t: y - t,                the lines of `plain` that it replaces
    )

The engine is `Textbook` with these lines; e is the engine itself. `variants` are attributes, such
as the numbers that different authors choose, each of which makes an engine of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.errors import OracleError
from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Textbook


@dataclass(frozen=True)
class Bug:
    """A mistake that engines make, and engines that make it."""

    id: str
    title: str
    wrong: str
    """The line of mathematics as it is made …"""
    right: str
    """… and as it has to be."""
    kind: str
    """"losses", "activations", "backward", "optimizers", "memory" or "precision"."""
    killed_by: str
    """A pattern of the ids of checks that notice it, each on its own."""
    engines: tuple[Callable[..., Textbook], ...]
    """Classes, or anything that makes an engine of an optional dtype."""
    source: str = ""
    """Where it was seen."""
    exact: bool = True
    """Whether it is a mistake of mathematics, which shows in extended precision as well; a mistake
    of rounding or of overflow does not."""


def plant(
    table: dict[str, Bug],
    kind: str,
    name: str,
    title: str,
    *,
    wrong: str,
    right: str,
    killed_by: str,
    source: str = "",
    exact: bool = True,
    base: type[Textbook] = Textbook,
    variants: Sequence[Mapping[str, Any]] = ({},),
    **lines: Any,
) -> None:
    """Enter a bug into a table; see the module."""
    if name in table:
        raise OracleError(f"two bugs are called {name!r}; rename one.")
    title_case = "".join(word.capitalize() for word in name.split("-"))
    engines = tuple(type(title_case, (base,), {**lines, **variant}) for variant in variants)
    table[name] = Bug(name, title, wrong, right, kind, killed_by, engines, source, exact)


def but(o: Options, **changes: Any) -> Options:
    """Return other options."""
    return Options(**{**vars(o), **changes})


def clipped(e: Textbook, p: Array, eps: float | None) -> Array:
    """Return probabilities at least ε away from 0 and 1; None: the case's dtype's own ε."""
    eps = float(np.finfo(e.case.dtype).eps) if eps is None else eps
    return np.clip(p, e.array(eps), e.array(1 - eps))
