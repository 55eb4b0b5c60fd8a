"""Broadcast inputs: judged only where a function's gradients have the shapes of its inputs."""

from functools import partial

import numpy as np
import pytest

from manualnn.gradcheck import Array, gradcheck
from manualnn.gradcheck.diagnosis import findings

pytestmark = pytest.mark.once


def product(x, y):
    return x * y


@pytest.fixture(autouse=True)
def without_explanation(monkeypatch):
    monkeypatch.setattr(findings, "explain", partial(findings.explain, brief=True))


def status(vjp):
    inputs = [Array((2,)), Array((2,))]
    report = gradcheck(product, inputs, vjp=vjp, only=["shapes"], second=False)
    return report.results[0].status


def test_a_function_of_equal_shapes_need_not_take_broadcast_inputs():
    def equal(a, dy):
        if a[0].shape != a[1].shape:
            message = "shapes differ"
            raise ValueError(message)
        return a[1] * dy, a[0] * dy

    assert status(equal) == "passed"


def test_a_function_that_averages_over_a_broadcast_axis_is_wrong():
    def averaged(a, dy):
        gradients = []
        for x, other in (a, a[::-1]):
            gradient = other * dy
            is_broadcast = x.shape < gradient.shape
            gradients.append(gradient.mean(keepdims=True) if is_broadcast else gradient)
        return tuple(np.asarray(gradient) for gradient in gradients)

    assert status(averaged) == "failed"
