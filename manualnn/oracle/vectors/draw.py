"""Cases of the conformance vectors: a few of every recipe, identical on every machine.

    vector_cases(seed=0)         the cases, whose numbers are float64 values that fit float32
    of_dtype(case, "float32")    the same case in another dtype

The cases are drawn with portable random numbers and rounded to float32. Rounding removes the last
bits, in which mathematical libraries differ. One case then serves both dtypes. The cases with
newcomers come last. A new row in the table of features adds cases and changes no other.
"""

from collections.abc import Iterator
from typing import cast

import numpy as np

from manualnn.oracle.cases.catalogue import recipes_for
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.cases.partners import newcomers
from manualnn.oracle.cases.recipe import DIFFERENTIAL, Recipe
from manualnn.oracle.protocol.capabilities import DTYPES, Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import TABLES, options_of
from manualnn.oracle.vectors.portable_random import PortableRandom

EACH = 3
"""Number of cases of every recipe."""


def vector_cases(seed: int = 0) -> list[Case]:
    """Return the cases in the order of their recipes, each of float64 numbers that fit float32."""
    claims = _claims_of_everything(accepts_state=True)
    new = newcomers(claims)
    recipes = recipes_for(claims)
    recipes.sort(key=lambda r: r.feature in new or r.feature.partition(".")[0] in new)
    cases: dict[str, Case] = {}
    for recipe in recipes:
        for case in _cases(recipe, seed):
            cases.setdefault(case.id, case)
    for recipe in recipes:
        if not recipe.feature and recipe.judgements[: len(DIFFERENTIAL)] == DIFFERENTIAL:
            for newcomer in new:
                for case in _cases(recipe, seed, newcomer, 1):
                    cases.setdefault(case.id, case)
    return list(cases.values())


def of_dtype(case: Case, dtype: str) -> Case:
    """Return a case in another dtype; classes stay integers."""
    return case.map(lambda _, a: a if a.dtype.kind == "i" else a.astype(dtype)).but(dtype=dtype)


def _claims_of_everything(*, accepts_state: bool) -> Capabilities:
    """Return the claims of an engine that supports every feature."""
    return Capabilities.read(
        {
            **{kind: dict.fromkeys(table, "any") for kind, table in TABLES.items()},
            "dtypes": DTYPES,
            "accepts_state": accepts_state,
            "max_steps": 10,
            "empty_batch": True,
        }
    )


def _cases(recipe: Recipe, seed: int, newcomer: str = "", count: int = EACH) -> Iterator[Case]:
    """Yield a recipe's cases: half of them with a state, the others with several steps."""
    for i in range(count):
        rng = PortableRandom(seed, *recipe.key(i, newcomer))
        claims = _claims_of_everything(accepts_state=i % 2 == 0)
        case = recipe.draw(cast("np.random.Generator", rng), claims, Size(), newcomer)
        if case is not None:
            with np.errstate(over="ignore"):
                case = of_dtype(of_dtype(_complete(case), "float32"), "float64")
            if all(np.isfinite(array).all() for array in case.arrays().values()):
                yield case


def _complete(case: Case) -> Case:
    """Return a case with every option, as engines receive it, so that its id is the same."""
    return case.but(
        layers=tuple(vars(options_of(spec)) for spec in case.layers),
        loss=vars(options_of(case.loss)),
        optimizer=case.optimizer and vars(options_of(case.optimizer)),
    )
