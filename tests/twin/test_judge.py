"""Tests of the twin's judge: it finds errors above rounding, and rejects blunt comparisons."""

import numpy as np
import pytest
from oracle.test_compare import EDGES, answers, edges, one_weight
from twin.judge import BLUNT, Judge

from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.compare import refutes
from manualnn.oracle.truth.step import truth

FLOAT64 = Precision(np.dtype(np.float64))
A, B = np.array([[1.0, 2.0, 3.0]]), np.array([[0.1], [0.2], [0.3]])


def product() -> Bounded:
    return FLOAT64.exact(A) @ FLOAT64.exact(B)


def test_a_rounded_result_passes() -> None:
    Judge().agree("y", product(), numpy=A @ B)


@pytest.mark.parametrize("factor", [1 + 1e-14, -1, 2, np.nan, np.inf])
def test_a_result_that_is_off_does_not_pass(factor: float) -> None:
    with pytest.raises(AssertionError, match=r"y\[0, 0\]: numpy is wrong"):
        Judge().agree("y", product(), numpy=A @ B * factor)


def test_a_result_of_another_shape_does_not_pass() -> None:
    with pytest.raises(AssertionError, match="y: numpy"):
        Judge().agree("y", product(), numpy=(A @ B)[0])


def test_a_missing_result_does_not_pass() -> None:
    with pytest.raises(KeyError):
        Judge().agree_all({"0.weight": product()}, numpy={})


def test_no_comparison_is_worth_nothing() -> None:
    with pytest.raises(AssertionError):
        Judge().require_worth(BLUNT)


def test_a_wide_bound_is_worth_nothing() -> None:
    judge = Judge()
    judge.agree("y", product().plus_error(1e-6), numpy=A @ B)
    with pytest.raises(AssertionError, match="median sharpness float64"):
        judge.require_worth(BLUNT)


def test_no_bound_is_worth_nothing() -> None:
    judge = Judge()
    judge.agree("y", product().plus_error(np.inf), numpy=A @ B)
    with pytest.raises(AssertionError, match="median sharpness float64 inf"):
        judge.require_worth(BLUNT)


def test_what_is_exact_allows_nothing() -> None:
    exact = FLOAT64.exact(A)
    Judge().agree("x", exact, numpy=A)
    with pytest.raises(AssertionError):
        Judge().agree("x", exact, numpy=np.nextafter(A, 9))


def test_the_bound_of_a_sum_is_attained_to_a_tenth() -> None:
    """1 + n·(u − a little), added in order, loses every term: the error comes close to γₙ."""
    terms = np.full(10_000, 2.0**-53)
    terms[0] = 1
    bound = FLOAT64.exact(terms).sum()
    in_order = np.add.accumulate(terms)[-1]
    error = abs(in_order - bound.v)
    assert 0.1 * bound.e < error <= bound.e


@pytest.mark.parametrize(("dtype", "name"), EDGES)
def test_the_judge_and_the_oracle_agree_on_what_is_wrong(dtype: str, name: str) -> None:
    value = edges(dtype)[name][0]
    expected = truth(one_weight(dtype, value)).outputs
    for outputs in answers(dtype, value):
        if refutes(expected, outputs).any():
            with pytest.raises(AssertionError, match="numpy is wrong"):
                Judge().agree("outputs", expected, numpy=outputs)
        else:
            Judge().agree("outputs", expected, numpy=outputs)
