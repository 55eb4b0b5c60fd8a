"""A verdict does not depend on its explanation."""

import numpy as np
import pytest

from manualnn.gradcheck import Array, gradcheck
from manualnn.gradcheck.diagnosis import findings

pytestmark = pytest.mark.once


def doubled(arrays, dy):
    return (2 * np.cos(arrays[0]) * dy,)


@pytest.mark.parametrize("silent", [True, False])
def test_a_failed_explanation_loses_no_verdict(monkeypatch, silent):
    def explain(*_, **__):
        if silent:
            return []
        raise IndexError("no such place")

    monkeypatch.setattr(findings, "explain", explain)
    report = gradcheck(np.sin, [Array((3,))], vjp=doubled, only=["values"], examples=2)
    (result,) = report.results
    assert result.status == "failed"
    assert "wrong in 3 of 3 numbers" in result.findings[0].message


def test_inputs_without_parameters_are_no_obstacle():
    fixed = np.array([1, 2, 3])
    report = gradcheck(
        lambda x, k: np.sin(x) * k,
        [Array((3,)), fixed],
        vjp=lambda arrays, dy: (2 * np.cos(arrays[0]) * arrays[1] * dy,),
        only=["values"],
        examples=3,
    )
    (result,) = report.results
    assert result.status == "failed"
    assert "explanation" not in result.findings[0].details


@pytest.mark.parametrize(
    ("shape", "axis", "verdict"),
    [((3, 4), 0, "errored"), ((4, 3), 1, "passed"), ((3, 3), 1, "not_claimed")],
)
def test_a_gradient_that_fails_at_other_sizes_is_wrong_or_remarked(shape, axis, verdict):
    """Other numbers of samples must be possible; a function may be meant for one width alone."""

    def picky(arrays, dy):
        if arrays[0].shape[axis] != 3:
            raise ValueError("the size must be 3")
        return (np.cos(arrays[0]) * dy,)

    report = gradcheck(np.sin, [Array(shape)], vjp=picky, only=["shapes"])
    (result,) = report.results
    assert result.status == verdict
    assert "the size must be 3" in " ".join(str(report).split())  # lines are wrapped
