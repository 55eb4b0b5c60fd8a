"""Cases of the conformance vectors: a few of every recipe, identical on every machine.

    vector_cases(seed=0)         the cases, whose numbers are float64 values that fit float32
    of_dtype(case, "float32")    the same case in another dtype

The cases are drawn with portable random numbers and rounded to float32. Rounding removes the last
bits, in which mathematical libraries differ. One case then serves both dtypes.
"""

import zlib
from collections.abc import Iterator
from typing import cast

import numpy as np

from manualnn.oracle.cases.catalogue import recipes_for
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.cases.recipe import Recipe
from manualnn.oracle.protocol.capabilities import DTYPES, Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import TABLES, options_of
from manualnn.oracle.vectors.portable_random import PortableRandom

EACH = 3
"""Number of cases of every recipe."""


def vector_cases(seed: int = 0) -> list[Case]:
    """Return the cases in the order of their recipes, each of float64 numbers that fit float32."""
    cases: dict[str, Case] = {}
    for recipe in recipes_for(_everything(accepts_state=True)):
        for case in _drawn(recipe, seed):
            cases.setdefault(case.id, case)
    return list(cases.values())


def of_dtype(case: Case, dtype: str) -> Case:
    """Return a case in another dtype; classes stay integers."""
    return case.map(lambda _, a: a if a.dtype.kind == "i" else a.astype(dtype)).but(dtype=dtype)


def _everything(*, accepts_state: bool) -> Capabilities:
    """Return the claims of an engine that can do all that there is."""
    return Capabilities.read(
        {
            **{kind: dict.fromkeys(table, "any") for kind, table in TABLES.items()},
            "dtypes": DTYPES,
            "accepts_state": accepts_state,
            "max_steps": 10,
            "empty_batch": True,
        }
    )


def _drawn(recipe: Recipe, seed: int) -> Iterator[Case]:
    """Yield a recipe's cases: some after many updates, some with several."""
    for i in range(EACH):
        rng = PortableRandom(seed, zlib.crc32(recipe.name.encode()), i)
        claims = _everything(accepts_state=i % 2 == 0)
        case = recipe.draw(cast("np.random.Generator", rng), claims, Size())
        if case is not None:
            with np.errstate(over="ignore"):
                case = of_dtype(of_dtype(_complete(case), "float32"), "float64")
            if all(np.isfinite(array).all() for array in case.arrays().values()):
                yield case


def _complete(case: Case) -> Case:
    """Return a case with every option, as engines are sent it: its id then is the same."""
    return case.but(
        layers=tuple(vars(options_of(spec)) for spec in case.layers),
        loss=vars(options_of(case.loss)),
        optimizer=case.optimizer and vars(options_of(case.optimizer)),
    )
