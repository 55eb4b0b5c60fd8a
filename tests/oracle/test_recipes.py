"""Recipes draw valid cases, within the claims, the same for the same seed, as they promise."""

import dataclasses
import time

import numpy as np
import pytest
from oracle.made_up import COPIES, made_up_features, with_known_features
from rotation import share

from manualnn.oracle.cases import lattice, magnitudes
from manualnn.oracle.cases.catalogue import recipes_for, unclaimed
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.cases.draft import STEPS
from manualnn.oracle.cases.partners import has_feature, newcomers
from manualnn.oracle.cases.resize import is_valid
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.features import ALWAYS, LAYERS, LOSSES, OPTIMIZERS, REDUCTIONS
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.step import truth

ALL = Capabilities.read(Textbook().capabilities())
FEW = Capabilities.read(
    {
        "layers": ["Linear", "Tanh"],
        "losses": {"MSELoss": {"reduction": ["sum"]}},
        "optimizers": {"SGD": {"momentum": [0.9]}},
        "dtypes": ["float32"],
        "max_width": 4,
        "max_batch": 3,
        "max_depth": 2,
        "max_steps": 3,
    }
)
TINY = Capabilities.read({"layers": ["Tanh"], "losses": ["L1Loss"]})
RECIPES = {recipe.name: recipe for recipe in recipes_for(ALL)}


def drawn(recipe, claims=ALL, size=None, number=40, newcomer=""):
    size = size or Size()
    generators = (np.random.default_rng([i, 7]) for i in range(number))
    cases = (recipe.draw(rng, claims, size, newcomer) for rng in generators)
    return [case for case in cases if case is not None]


@pytest.mark.parametrize("claims", [ALL, FEW, TINY], ids=["all", "few", "tiny"])
def test_whatever_is_drawn_is_valid_and_claimed(claims):
    for recipe in recipes_for(claims):
        for case in drawn(recipe, claims, number=12):
            assert claims.refuses(case) is None
            assert is_valid(case), (recipe.name, case.to_json())
            assert all(a.dtype == case.dtype for a in case.arrays().values() if a.dtype.kind == "f")


def without(kind, *names):
    """Return the claims of everything but some features, as in a run in which these failed."""
    kept = {n: claim for n, claim in getattr(ALL, kind).items() if n not in names}
    return dataclasses.replace(ALL, **{kind: kept})


@pytest.mark.parametrize(
    "claims",
    [
        ALL,
        FEW,
        TINY,
        without("layers", "Linear"),
        without("losses", "MSELoss"),
        without("optimizers", "SGD"),
    ],
    ids=["all", "few", "tiny", "no Linear", "no MSELoss", "no SGD"],
)
def test_a_corner_is_a_valid_case_or_leaves_its_turn(claims):
    rng = np.random.default_rng(3)
    for recipe in recipes_for(claims):
        for corner in range(len(recipe.corners)):
            case = recipe.draw(rng, claims, Size(), "", corner)
            if case is not None:
                assert is_valid(case), (recipe.name, corner, case.to_json())
                arrays = [a for a in case.arrays().values() if a.dtype.kind == "f"]
                assert all(a.dtype == case.dtype for a in arrays)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_draws_for_an_engine_that_claims_everything(name):
    assert len(drawn(RECIPES[name], number=10)) >= 3


def test_every_option_of_every_part_has_its_recipe():
    expected = {f"loss.{n}.{r}" for n in LOSSES for r in REDUCTIONS}
    expected |= {f"loss.{n}.{o}" for n, os in LOSSES.items() for o in os if o != "reduction"}
    for kind, table in (("layer", LAYERS), ("optimizer", OPTIMIZERS)):
        expected |= {f"{kind}.{n}" for n in table}
        expected |= {f"{kind}.{n}.{o}" for n, os in table.items() for o in os if o not in ALWAYS}
    assert expected <= RECIPES.keys()
    assert not unclaimed(ALL)


def test_what_is_not_claimed_is_listed_and_has_no_recipe():
    names = {recipe.name for recipe in unclaimed(FEW)}
    assert {"loss.MSELoss.batchmean", "layer.ReLU", "optimizer.SGD.nesterov"} <= names
    assert not names & {recipe.name for recipe in recipes_for(FEW)}
    assert "optimizer.SGD.momentum" in {recipe.name for recipe in recipes_for(FEW)}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_of_a_feature_uses_it(name):
    kind, *rest = name.split(".")
    if kind not in ("loss", "layer", "optimizer"):
        return
    for case in drawn(RECIPES[name], number=8):
        parts = [spec for _, spec in case.parts() if spec["type"] == rest[0]]
        assert parts
        if len(rest) > 1 and rest[1] in REDUCTIONS:
            assert parts[0]["reduction"] == rest[1]
        elif "sample_weights" in rest:
            assert case.sample_weights is not None
        elif len(rest) > 1 and rest[1] != "probabilities":
            assert any(rest[1] in part for part in parts), parts


def test_the_same_seed_gives_the_same_case_and_another_seed_another():
    for recipe in RECIPES.values():
        first, again = drawn(recipe, number=3), drawn(recipe, number=3)
        assert [case.id for case in first] == [case.id for case in again]
    assert len({case.id for case in drawn(RECIPES["plain"])}) == 40


def test_what_is_to_be_avoided_is_avoided_while_there_is_another():
    avoid = frozenset({"loss.MSELoss.mean", "layer.Tanh", "optimizer.SGD"})
    for case in drawn(RECIPES["plain"], size=Size(avoid=avoid), number=60):
        assert (case.loss["type"], case.loss.get("reduction", "mean")) != ("MSELoss", "mean")
        assert "Tanh" not in [layer["type"] for layer in case.layers]
        assert case.optimizer is None or case.optimizer["type"] != "SGD"
    only = drawn({r.name: r for r in recipes_for(FEW)}["plain"], FEW, Size(avoid=avoid))
    assert only, "what the claims leave no other for is drawn all the same"


def test_sizes_meet_their_traps():
    square = drawn(RECIPES["square"], number=60)
    for place in (0, -1):
        assert any(case.n == case.widths[place] for case in square)
    assert any(abs(case.n - case.widths[0]) == 1 for case in square)
    assert any(len(set(case.widths)) == 1 and len(case.widths) > 3 for case in square)
    shapes = drawn(RECIPES["shapes"], number=150)
    assert {1, 8, 63, 64, 65} <= {case.n for case in shapes} | {w for c in shapes for w in c.widths}
    assert any(case.n > 256 for case in drawn(RECIPES["long.batch"]))
    for place, index in (("in_features", 0), ("out_features", -1)):
        assert all(case.widths[index] > 256 for case in drawn(RECIPES[f"long.{place}"], number=9))
    assert all(max(case.widths[1:-1]) > 256 for case in drawn(RECIPES["long.hidden"], number=9))
    assert {0, 1, 5} <= {
        sum(layer["type"] == "Linear" for layer in case.layers)
        for case in drawn(RECIPES["depth"], number=60)
    }
    assert all(case.n == 0 for case in drawn(RECIPES["empty"], number=5))


def test_optimizers_are_asked_early_late_and_in_between():
    steps = {(case.state or {}).get("step", 0) for case in drawn(RECIPES["steps"], number=200)}
    assert {0, 1, 30, 100, 316, 1000, 1_000_000} <= steps


def test_no_stretch_of_middling_steps_is_left_out():
    steps = {(c.state or {}).get("step", 0) for c in drawn(RECIPES["steps"], number=600)}
    for low in (4, 11, 31, 101, 317, 1001):
        assert any(low <= step < 2 * low for step in steps - set(STEPS))


@pytest.fixture
def truth_of_originals(monkeypatch):
    """The truth of made-up features is that of the features that they are copies of."""
    for module in (magnitudes, lattice):
        monkeypatch.setattr(module, "truth", lambda case: truth(with_known_features(case)))


def contents(recipe, claims):
    return [case and case.to_json() for case in drawn(recipe, claims, number=8)]


@pytest.mark.parametrize("first", share([True, False], 2))
@pytest.mark.usefixtures("truth_of_originals")
def test_a_new_feature_changes_no_case_of_another_feature(first):
    before = {name: contents(recipe, ALL) for name, recipe in RECIPES.items()}
    with made_up_features(first=first):
        everything = Capabilities.read(Textbook().capabilities())
        new = {recipe.name: recipe for recipe in recipes_for(everything)}
        after = {name: contents(recipe, everything) for name, recipe in new.items()}
        few = {recipe.name: recipe for recipe in recipes_for(FEW)}
        assert few.keys() == {recipe.name for recipe in recipes_for(FEW)} & RECIPES.keys()
    assert {name: after[name] for name in before} == before
    added = after.keys() - before.keys()
    assert {name.split(".")[1] for name in added} >= {*COPIES, "LeakyReLU", "HuberLoss", "SGD"}
    assert all(after[name] for name in added)


@pytest.mark.usefixtures("truth_of_originals")
def test_stress_recipes_have_further_cases_of_every_new_feature():
    with made_up_features(first=False):
        everything = Capabilities.read(Textbook().capabilities())
        assert sorted(newcomers(everything)) == sorted([*newcomers(ALL), *COPIES])
        for newcomer in COPIES:
            for name in ("plain", "shapes", "zeros", "memory", "history"):
                cases = drawn(RECIPES[name], everything, number=8, newcomer=newcomer)
                assert len(cases) >= 4
                for case in cases:
                    others = [other for other in COPIES if other != newcomer]
                    assert has_feature(case, newcomer)
                    assert not any(has_feature(case, other) for other in others)


def test_cases_without_a_newcomer_come_first_and_their_number_stays():
    before = [pair for pair in RECIPES["saturation"].examples(ALL, 25) if not pair[0]]
    with made_up_features(first=True):
        everything = Capabilities.read(Textbook().capabilities())
        after = list(RECIPES["saturation"].examples(everything, 25))
        names = newcomers(everything)
        assert list(RECIPES["layer.Tanh"].examples(everything, 25)) == [("", i) for i in range(25)]
    assert after[: len(before)] == before == [("", i) for i in range(100)]
    assert {newcomer for newcomer, _ in after[len(before) :]} == {*names} >= COPIES.keys()


class OneMaximum(Textbook):
    """Subtracts the maximum of the whole batch, so that a row far below it underflows."""

    def softmax(self, _, z):
        e = self.exp(z - z.max())
        return e / self.total(e, axis=1, keepdims=True)

    def log_shares(self, v):
        shifted = v - v.max()
        return shifted - self.log(self.total(self.exp(shifted), axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("recipe", "part"),
    [("saturation", "Softmax"), ("saturation", "LogSoftmax"), ("certain", "CrossEntropyLoss")],
)
def test_rows_of_a_softmax_are_farther_apart_than_exp_reaches(recipe, part):
    caught = set()
    for case in drawn(RECIPES[recipe], number=80):
        if part in [spec["type"] for _, spec in case.parts()]:
            with np.errstate(all="ignore"):
                right, wrong = Textbook().step(case), OneMaximum().step(case)
            if np.isfinite(right["loss"]) and not np.isfinite(wrong["loss"]):
                caught.add(case.dtype)
    assert caught == {"float32", "float64"}


def test_states_are_plausible():
    for case in drawn(RECIPES["optimizer.Adam"], number=60):
        if case.state:
            beta1, beta2 = case.optimizer.get("betas", (0.9, 0.999))
            t = case.state["step"]
            for key, m in case.state["exp_avg"].items():
                v = case.state["exp_avg_sq"][key] / (1 - beta2**t) if beta2 else 1
                mean = m.astype(float) / (1 - beta1**t)
                assert np.all(v >= mean**2 * (1 - 1e-5)), "a mean of squares is no less"


def test_every_size_of_a_lattice_case_is_a_small_integer_or_a_power_of_two():
    for name in ("lattice", "kinks"):
        for case in drawn(RECIPES[name], number=30):
            assert case.n & (case.n - 1) == 0
            assert all(w & (w - 1) == 0 for w in case.widths)
            for array in (*case.params.values(), case.x):
                assert np.array_equal(array, array.round())


def test_places_have_two_digits_where_so_many_layers_are_claimed():
    """Sorted as strings, "10.weight" stands before "2.weight", of the same shape here."""

    def longest(claims):
        return max(len(case.layers) for case in drawn(RECIPES["depth"], claims))

    assert longest(ALL) > 10
    shallow = dataclasses.replace(ALL, max_depth=10)
    assert longest(shallow) <= 10


def test_drawing_takes_less_than_a_millisecond():
    cases, began = 0, time.process_time()
    for recipe in RECIPES.values():
        if not recipe.name.startswith(("long", "cancellation")):
            cases += len(drawn(recipe, number=10))
    assert (time.process_time() - began) / cases < 1e-3
