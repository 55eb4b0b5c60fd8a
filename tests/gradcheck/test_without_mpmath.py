"""NumPy alone is enough: without mpmath, the reference comes from the next best numbers."""

import sys

import numpy as np
import pytest

from manualnn.gradcheck import Array, gradcheck
from manualnn.gradcheck.reference.wide import wide_numbers


@pytest.fixture
def without_mpmath(monkeypatch):
    wide_numbers.cache_clear()
    monkeypatch.setitem(sys.modules, "mpmath", None)


@pytest.mark.usefixtures("without_mpmath")
@pytest.mark.parametrize(("factor", "is_right"), [(1.0, True), (1.0005, False)])
def test_a_pair_is_judged_without_mpmath(factor, is_right):
    def vjp(arrays, dy):
        return (factor * np.cos(arrays[0]) * dy,)

    report = gradcheck(np.sin, [Array((3,))], vjp=vjp, only=["values"], examples=2)
    assert report.ok == is_right
    assert not any("mpmath" in method for method in report.methods)


def test_inputs_without_entries_are_said_to_be_so():
    def vjp(arrays, dy):
        return (np.cos(arrays[0]) * dy,)

    report = gradcheck(np.sin, [Array((0, 3))], vjp=vjp, only=["values"])
    assert report.exit_code == 3
    (problem,) = report.problems
    assert "inputs with entries" in problem
