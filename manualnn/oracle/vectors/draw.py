"""Cases of the conformance vectors: a few of every recipe, identical on every machine.

    vector_cases(seed=0)         the cases, whose numbers are float64 values that fit float32
    vector_cases(0, claims)      about as many cases for an engine with these claims
    of_dtype(case, "float32")    the same case in another dtype

The cases are drawn with portable random numbers and rounded to float32. Rounding removes the last
bits, in which mathematical libraries differ. One case then serves both dtypes. The cases with
newcomers come last. A new row in the table of features adds cases and changes no other.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np

from manualnn.oracle.cases.catalogue import recipes_for
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.cases.partners import newcomers
from manualnn.oracle.cases.recipe import DIFFERENTIAL, Recipe
from manualnn.oracle.protocol.capabilities import DTYPES, Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import TABLES, with_all_options
from manualnn.oracle.protocol.masks import with_masks
from manualnn.oracle.vectors.portable_random import PortableRandom

EACH = 3
"""Number of cases of every recipe, if an engine claims everything."""
MAX_STEPS = 10


def vector_cases(seed: int = 0, claims: Capabilities | None = None) -> list[Case]:
    """Return the cases in the order of their recipes, each of float64 numbers that fit float32.

    Without claims, the cases are for an engine that claims everything. An engine that claims less
    has fewer recipes, and more cases of each.
    """
    everything = _claims_of_everything()
    claims = everything if claims is None else _for_vectors(claims)
    new = newcomers(claims)
    recipes = recipes_for(claims)
    each = round(EACH * _full_recipes(recipes_for(everything)) / _full_recipes(recipes))
    recipes.sort(
        key=lambda r: r.is_sampled or r.feature in new or r.feature.partition(".")[0] in new
    )
    cases: dict[str, Case] = {}
    for recipe in recipes:
        for case in _cases(recipe, claims, seed, 1 if recipe.is_sampled else each):
            cases.setdefault(case.id, case)
    for recipe in recipes:
        if not recipe.feature and recipe.judgements[: len(DIFFERENTIAL)] == DIFFERENTIAL:
            for newcomer in new:
                for case in _cases(recipe, claims, seed, 1, newcomer):
                    cases.setdefault(case.id, case)
    return list(cases.values())


def _full_recipes(recipes: list[Recipe]) -> int:
    return sum(not recipe.is_sampled for recipe in recipes)


def of_dtype(case: Case, dtype: str) -> Case:
    """Return a case in another dtype; classes stay integers."""
    cast = case.map(lambda _, a: a if a.dtype.kind == "i" else a.astype(dtype))
    return with_masks(cast.but(dtype=dtype))


def _claims_of_everything() -> Capabilities:
    """Return the claims of an engine that supports every feature."""
    return _for_vectors(
        Capabilities.read(
            {
                **{
                    kind: {name: dict.fromkeys(options, "any") for name, options in table.items()}
                    for kind, table in TABLES.items()
                },
                "accepts_state": True,
                "max_steps": MAX_STEPS,
                "empty_batch": True,
                "sample_weights": True,
            }
        )
    )


def _for_vectors(claims: Capabilities) -> Capabilities:
    """Return the claims with both dtypes, because each case serves both, and few steps."""
    return replace(claims, dtypes=DTYPES, max_steps=min(claims.max_steps, MAX_STEPS))


def _cases(
    recipe: Recipe, claims: Capabilities, seed: int, count: int, newcomer: str = ""
) -> Iterator[Case]:
    """Yield a recipe's cases: half of them with a state, the others with several steps."""
    for i in range(count):
        rng = PortableRandom(seed, *recipe.key(i, newcomer))
        allowed = replace(claims, accepts_state=claims.accepts_state and i % 2 == 0)
        case = recipe.draw(cast("np.random.Generator", rng), allowed, Size(), newcomer)
        if case is not None:
            with np.errstate(over="ignore"):
                case = of_dtype(of_dtype(_complete(case), "float32"), "float64")
            if all(np.isfinite(array).all() for array in case.arrays().values()):
                yield case


def _complete(case: Case) -> Case:
    """Return a case with every option, as engines receive it, so that its id is the same."""
    return case.but(
        layers=tuple(map(with_all_options, case.layers)),
        loss=with_all_options(case.loss),
        optimizer=case.optimizer and with_all_options(case.optimizer),
    )
