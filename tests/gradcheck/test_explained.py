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
