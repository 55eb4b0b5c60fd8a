"""The constants of known bugs are found in the numbers of an engine."""

import numpy as np
import pytest
from oracle.drawn import drawn_case
from rotation import turn

from manualnn.oracle.bugs import BUGS
from manualnn.oracle.bugs.bug import preferred
from manualnn.oracle.findings import Outcome
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.compare import true_values
from manualnn.oracle.truth.step import truth

PLANTED = [
    ("gradient-clipped", 0.037, {}),
    ("gradient-norm-clipped", 0.037, {}),
    ("parameters-clipped", 0.37, {}),
    ("loss-times-constant", 0.74, {"loss": "L1Loss"}),
    ("slope-times-constant", -3.7, {}),
    ("loss-plus-constant", 0.013, {}),
    ("huber-other-delta", 0.27, {"loss": "HuberLoss"}),
    ("cross-entropy-log-plus-eps", 3.7e-6, {"loss": "CrossEntropyLoss"}),
    ("bce-log-plus-eps", 3.7e-6, {"loss": "BCELoss"}),
    ("bias-gradient-times-constant", 1.7, {}),
    ("lr-times-constant", 0.74, {}),
    ("beta-2-fixed", 0.37, {"optimizer": "Adam"}),
    ("eps-fixed", 0.0037, {"optimizer": "Adagrad"}),
    ("printed-with-few-digits", ".5g", {}),
    ("printed-with-few-digits", ".3f", {}),
]
CASES = range(12)


def results(engine, case):
    """Return the numbers of a result by name, and the correct ones."""
    right = {name: true_values(near) for name, near in truth(case).quantities().items()}
    named = Outcome(result=engine.step(case.copy())).quantities()
    return {name: np.asarray(named[name]) for name in right}, right


@pytest.mark.parametrize(("name", "value", "parts"), PLANTED, ids=str)
def test_a_constant_that_no_list_has_is_found_in_one_result(name, value, parts):
    bug, found, shown = BUGS[name], 0, 0
    wrong = bug.make(value)()
    for seed in CASES:
        case = drawn_case(np.random.default_rng(seed), dtype="float64", **parts)
        got, right = results(wrong, case)
        if all(np.allclose(a, got[n], rtol=1e-6, atol=0, equal_nan=True) for n, a in right.items()):
            continue
        shown += 1
        fitted = bug.engines_for(case, got, right)[len(bug.engines) :]
        found += any(value == next(iter(e.constants.values())) for e in fitted)
    assert shown
    assert found >= shown / 2, (found, shown)


def test_a_correct_result_gives_no_constant():
    for seed in CASES:
        case = drawn_case(np.random.default_rng(seed))
        got, right = results(Textbook(), case)
        for bug in list(BUGS.values())[turn() % 8 :: 8]:
            assert bug.engines_for(case, got, right) == bug.engines, bug.id


def test_the_title_of_an_engine_has_its_constant():
    bug = BUGS["gradient-clipped"]
    one = bug.of(bug.make(2.5))
    assert one.title.endswith("(c = 2.5).")
    assert len(one.engines) == 1
    partial = BUGS["bias-mean-for-sum-in-part"]
    assert "(only in the first Linear layer)." in partial.of(partial.engines[0]).title


def test_a_bug_does_not_act_in_a_case_without_its_features():
    """A bug that is said not to act gives the numbers of the correct engine."""
    for seed in range(3):
        case = drawn_case(np.random.default_rng(turn() + seed))
        right, _ = results(Textbook(), case)
        for bug in BUGS.values():
            if not bug.acts_in(case):
                got, _ = results(bug.engines[0](), case)
                same = all(np.array_equal(a, got[n], equal_nan=True) for n, a in right.items())
                assert same, bug.id


def test_a_family_is_preferred_only_if_there_is_nothing_else():
    family, single = BUGS["gradients-times-constant"], BUGS["gradients-mean-again"]
    assert preferred([family, single]) == [single]
    assert preferred([family]) == [family]
    assert preferred([]) == []
