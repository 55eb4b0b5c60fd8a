"""Dropout masks: whatever case an engine is sent, every entry is 0 or 1/(1 − p) of its dtype."""

import json
from fractions import Fraction

import numpy as np
import pytest

from manualnn.oracle.cases.catalogue import recipes_for
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.cases.neighbours import contrasting_calls, similar_calls
from manualnn.oracle.diagnosis.conditions.search import find_condition
from manualnn.oracle.diagnosis.shrink import MOVES
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import options_of
from manualnn.oracle.protocol.masks import find_wrong_mask, with_masks
from manualnn.oracle.protocol.noise import kept_factor
from manualnn.oracle.replay import ReplayError, load
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.bounded import Precision
from manualnn.oracle.truth.compare import refutes
from manualnn.oracle.truth.layers import mask_truth
from manualnn.oracle.truth.step import truth
from manualnn.oracle.vectors.draw import of_dtype

RATES = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]
ONLY_DROPOUT = {"Linear": "any", "Dropout": {"p": RATES}, "LeakyReLU": "any"}
CLAIMS = Capabilities.read({**Textbook().capabilities(), "layers": ONLY_DROPOUT})
RECIPES = recipes_for(CLAIMS)


def drawn(recipe, number=8):
    """Return cases of a recipe that contain masks."""
    generators = (np.random.default_rng([i, 3]) for i in range(number))
    cases = (recipe.draw(rng, CLAIMS, Size(), "") for rng in generators)
    return [case for case in cases if case is not None and case.noise]


def allowed(case, key):
    """Return the two entries that a mask may have, by exact division."""
    p = Fraction(options_of(case.layers[int(key.split(".")[0])]).p)
    kept = float(1 / (1 - p)) if p < 1 else 0.0
    return {0.0, float(np.dtype(case.dtype).type(kept))}


def check_masks(case):
    for key, mask in (case.noise or {}).items():
        assert mask.dtype == case.dtype
        near = sorted(allowed(case, key))
        # The float64 quotient 1 / (1 − p) rounds 1 − p first: two units at most.
        ulp = 2 * np.finfo(np.float64).eps if case.dtype == "float64" else 0
        distance = np.abs(mask[..., None] - np.array(near))
        assert np.all(distance.min(axis=-1) <= ulp * near[-1]), (case.recipe, key, mask, near)
        assert len(np.unique(mask[mask != 0])) <= 1
    assert find_wrong_mask(case) == ""


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_recipe_draws_masks_that_p_makes(recipe):
    for case in drawn(recipe):
        check_masks(case)


def test_lattice_cases_have_masks_of_a_power_of_two():
    cases = [case for r in RECIPES if r.name in ("lattice", "kinks") for case in drawn(r, 60)]
    entries = {float(v) for case in cases for mask in case.noise.values() for v in mask.flat}
    assert entries == {0.0, 2.0}


def some_cases():
    names = ("layer.Dropout", "layer.Dropout.p", "options", "steps")
    return [case for r in RECIPES if r.name in names for case in drawn(r)][:16]


def test_similar_and_contrasting_cases_have_masks_that_p_makes():
    for case in some_cases():
        for make in (lambda c: similar_calls((c,), CLAIMS), lambda c: contrasting_calls(c, CLAIMS)):
            for calls in make(case):
                for other in calls:
                    check_masks(other)
        check_masks(of_dtype(case, "float32"))
        check_masks(of_dtype(of_dtype(case, "float32"), "float64"))


@pytest.mark.parametrize("answers", ["yes", "no", "in turn"])
def test_every_move_of_shrinking_keeps_masks_that_p_makes(answers):
    for case in some_cases():
        for move in MOVES:
            proposals, failed, count = move(case), None, 0
            while count < 60:
                try:
                    smaller = next(proposals) if failed is None else proposals.send(failed)
                except StopIteration:
                    break
                count += 1
                if smaller is not None:
                    check_masks(smaller)
                failed = {"yes": True, "no": False, "in turn": count % 2 == 0}[answers]


def test_the_search_for_a_condition_sends_masks_that_p_makes():
    for case in some_cases()[:4]:
        sent = []

        def fails(other, sent=sent):
            sent.append(other)
            return len(sent) > 6  # Ordinary numbers pass, so the numbers of the case matter.

        fails.first = ""
        find_condition(fails, case, CLAIMS)
        assert len(sent) > 6
        for other in sent:
            check_masks(other)


def test_new_masks_keep_what_the_old_ones_kept():
    for case in some_cases():
        changed = tuple(
            {**spec, "p": 0.75} if spec["type"] == "Dropout" else spec for spec in case.layers
        )
        other = with_masks(case.but(layers=changed))
        for key, mask in case.noise.items():
            assert np.array_equal(other.noise[key], 4.0 * (mask != 0))


def test_a_hand_edited_mask_is_refused(tmp_path):
    case = some_cases()[0]
    key = next(iter(case.noise))
    wrong = case.but(noise={k: a + (k == key) * 0.25 for k, a in case.noise.items()})
    content = {"checks": ["plain:loss"], "target": "toy:Engine", "before": []}
    for name, what in (("right", case), ("wrong", wrong)):
        (tmp_path / f"{name}.json").write_text(json.dumps({**content, "case": what.to_json()}))
    assert load(str(tmp_path / "right.json")).case.id == case.id
    with pytest.raises(ReplayError, match=rf"the mask {key} contains .*; every entry has to be 0"):
        load(str(tmp_path / "wrong.json"))


class ScalesItself(Textbook):
    """Reads from a mask only which numbers are kept, and divides by 1 − p in its own dtype."""

    def mask(self, o):
        mask = super().mask(o)
        if mask is None or o.p == 1:
            return mask
        return (mask != 0) / (self.kind.type(1) - self.kind.type(o.p))


class ScalesByP(ScalesItself):
    def mask(self, o):
        mask = super().mask(o)
        return mask if mask is None or o.p in (0, 1) else (mask != 0) / self.kind.type(o.p)


def refuted(engine, p, dtype):
    """Return True if the truth refutes the output of one Dropout layer for many inputs."""
    rng = np.random.default_rng(1)
    case = Case(
        ({"type": "Dropout", "p": p},),
        {"type": "MSELoss"},
        {},
        x=rng.normal(size=(40, 50)).astype(dtype),
        t=np.zeros((40, 50), dtype),
        dtype=dtype,
        noise={"0.mask": (rng.random((40, 50)) > 0.5).astype(dtype)},
    )
    case = with_masks(case)
    return bool(refutes(truth(case).outputs, engine.step(case)["outputs"]).any())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", RATES)
def test_an_engine_may_scale_what_the_mask_keeps(p, dtype):
    assert not refuted(ScalesItself(), p, dtype)
    assert refuted(ScalesByP(), p, dtype) == (p not in (0, 0.5, 1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_mask_of_powers_of_two_is_exact(dtype):
    kind = Precision(dtype)
    for p in (0.5, 0.75, 0.0, 1.0):
        assert mask_truth(kind, p, kept_factor(p, dtype) * np.ones(2)).e.max() == 0
    assert mask_truth(kind, 0.9, np.array([0.0, 10.0])).e.tolist()[0] == 0
