"""The constants of known bugs are found in the numbers of an engine."""

import numpy as np
import pytest
from oracle.drawn import drawn_case
from rotation import turn

from manualnn.oracle.bugs import BUGS
from manualnn.oracle.bugs.bug import Answer, preferred
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.compare import refutes, true_values
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


def answer_of(engine, case):
    """Return the numbers of an engine beside the correct ones."""
    expected = truth(case).quantities()
    named = Outcome(result=engine.step(case.copy())).quantities()
    got = {name: np.asarray(named[name]) for name in expected}
    right = {name: true_values(near) for name, near in expected.items()}
    wrong = {name: refutes(near, got[name]) for name, near in expected.items()}
    return Answer(case, got, right, wrong)


@pytest.mark.parametrize(("name", "value", "parts"), PLANTED, ids=str)
def test_a_constant_that_no_list_has_is_found_in_one_result(name, value, parts):
    bug, found, shown = BUGS[name], 0, 0
    wrong = bug.make(value)()
    for seed in CASES:
        case = drawn_case(np.random.default_rng(seed), dtype="float64", **parts)
        answer = answer_of(wrong, case)
        if not answer.wrong_names:
            continue
        shown += 1
        fitted = bug.engines_for(answer)[len(bug.engines) :]
        found += any(value == next(iter(e.constants.values())) for e in fitted)
    assert shown
    assert found >= shown / 2, (found, shown)


def test_a_correct_result_gives_no_constant():
    for seed in CASES:
        answer = answer_of(Textbook(), drawn_case(np.random.default_rng(seed)))
        for bug in BUGS.values():
            assert bug.engines_for(answer) == bug.engines, bug.id


@pytest.mark.parametrize(
    ("name", "quantity"),
    [
        ("error-times-constant", "input_grad"),
        ("gradient-clipped", "grads.0.weight"),
        ("gradient-norm-clipped", "grads.0.weight"),
    ],
)
def test_a_quantity_within_its_bound_gives_no_constant(name, quantity):
    """However far it is from the truth; another quantity, the loss, is wrong."""
    linear = {"type": "Linear", "in_features": 2, "out_features": 1, "bias": False}
    weight = {"0.weight": np.array([[0.3, -0.7]])}
    case = Case((linear,), {"type": "MSELoss"}, weight, np.ones((1, 2)), np.zeros((1, 1)))
    answer, bug = answer_of(Textbook(), case), BUGS[name]
    answer.got[quantity] = 0.9 * answer.got[quantity]
    answer.wrong["loss"] = np.ones((), bool)
    assert bug.engines_for(answer) == bug.engines
    answer.wrong[quantity] = np.ones(answer.got[quantity].shape, bool)
    assert bug.engines_for(answer) != bug.engines


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
        right = answer_of(Textbook(), case).got
        for bug in BUGS.values():
            if not bug.acts_in(case):
                got = answer_of(bug.engines[0](), case).got
                same = all(np.array_equal(a, got[n], equal_nan=True) for n, a in right.items())
                assert same, bug.id


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("squares-not-squared", {"optimizer": "RAdam"}),
        ("adamw-decay-without-lr", {"optimizer": "Lion"}),
        ("labels-from-1", {"loss": "NLLLoss"}),
    ],
)
def test_a_bug_acts_where_another_feature_calls_its_methods(name, parts):
    others = {"loss": "MSELoss", "optimizer": "SGD"}
    assert BUGS[name].acts_in(drawn_case(np.random.default_rng(0), **{**others, **parts}))
    assert not BUGS[name].acts_in(drawn_case(np.random.default_rng(0), **others))


def test_a_family_is_preferred_only_if_there_is_nothing_else():
    family, single = BUGS["gradients-times-constant"], BUGS["gradients-mean-again"]
    assert preferred([family, single]) == [single]
    assert preferred([family]) == [family]
    assert preferred([]) == []
