"""Relations: an engine that is wrong in its numbers only breaks no relation between its answers."""

import numpy as np
import pytest
from oracle.imprecise import IMPRECISE
from rotation import turn

from manualnn.oracle.cases.catalogue import recipes_for
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.checks.roughness import roughness
from manualnn.oracle.checks.table import rejudge
from manualnn.oracle.checks.trial import Trial
from manualnn.oracle.engines.client import connect
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.compare import refutes
from manualnn.oracle.truth.step import truth

CLAIMS = Capabilities.read(Textbook().capabilities())
RECIPES = {recipe.name: recipe for recipe in recipes_for(CLAIMS)}
RELATIONS = {
    "relations": (
        *("batch.permutation", "units.permutation", "batch.shards", "batch.duplicated"),
        "bias.ones_column",
    ),
    "scale": ("scale.power_of_two",),
    "dead": ("units.dead",),
    "logits": ("logits.sum_zero",),
    "updates": ("update.own_gradient", "lr.zero"),
}


def cases(recipe, number, first=0):
    generators = (np.random.default_rng([i, 5]) for i in range(first, first + number))
    drawn = (RECIPES[recipe].draw(rng, CLAIMS, Size()) for rng in generators)
    return [case for case in drawn if case is not None]


def broken(engine, number, first=0):
    """Return the relations that an engine breaks in some cases."""
    found = []
    with connect(engine) as bench:
        for recipe, judgements in RELATIONS.items():
            for case in cases(recipe, number, first):
                checks = [f"{recipe}:{judgement}" for judgement in judgements]
                found += [check for check in checks if rejudge(bench, check, case)]
    return found


@pytest.mark.parametrize("name", IMPRECISE)
def test_wrong_numbers_break_no_relation(name):
    found = set(broken(IMPRECISE[name], 4, first=turn() % 3 * 4))
    # Parameters that are returned in few digits change at a learning rate of 0.
    assert found <= ({"updates:lr.zero"} if name in {"six digits", "four decimals"} else set())


@pytest.mark.parametrize("name", IMPRECISE)
def test_an_imprecise_engine_is_wrong_in_its_numbers(name):
    wrong = 0
    for case in cases("relations", 40):
        with np.errstate(all="ignore"):
            result = IMPRECISE[name]().step(case)
        near = truth(case)
        wrong += bool(refutes(near.outputs, result["outputs"]).any())
        wrong += any(refutes(q, result["grads"][key]).any() for key, q in near.grads.items())
    assert wrong


def without_last_sample(base):
    """Return the engine without the gradient of its last sample, which breaks relations."""
    return type("Wrong", (base,), {"linear_dW": lambda _, _o, x, dz: dz[:-1].T @ x[:-1]})


@pytest.mark.parametrize("name", [None, "six digits", "gradient a thousandfold"])
def test_a_broken_relation_is_found_whatever_the_numbers(name):
    engine = without_last_sample(IMPRECISE[name] if name else Textbook)
    assert {"relations:batch.permutation", "relations:batch.shards"} <= set(broken(engine, 9))


def test_errors_that_are_infinite_nearby_as_well_have_no_roughness_and_no_warning():
    class Infinite(Textbook):
        def linear_db(self, o, dz):
            return np.full_like(super().linear_db(o, dz), np.inf)

    case = next(c for c in cases("relations", 9) if any(".bias" in key for key in c.params))
    with connect(Infinite) as bench:
        trial = Trial(bench, "relations:batch.permutation", case)
        rough = roughness(trial, case, trial.base)
    assert max(rough.values()) < 1e-3
