"""The checks of a gradient as tests of a pytest suite."""

import numpy as np
import pytest

from manualnn.errors import GradcheckError
from manualnn.gradcheck import Array, parametrize_with_gradchecks
from manualnn.oracle.pytest_checks import CheckFailedError

INPUTS = [Array((3,))]


def doubled(arrays, dy):
    return [2 * dy * np.cos(arrays[0])]


def checks(vjp, **options):
    mark = parametrize_with_gradchecks(np.sin, INPUTS, vjp=vjp, **options).mark
    return {check.id: check for check in mark.args[1]}


@parametrize_with_gradchecks(np.sin, INPUTS, vjp=lambda a, dy: [dy * np.cos(a[0])])
def test_a_right_gradient_passes_every_check_that_applies(check):
    check()


def test_a_check_that_does_not_apply_is_skipped():
    with pytest.raises(pytest.skip.Exception):
        checks(doubled, only=["second:values"])["second:values"]()


@pytest.mark.once
def test_the_message_of_a_failure_starts_with_one_line_and_is_the_report():
    with pytest.raises(CheckFailedError) as caught:
        checks(doubled, only=["values"], examples=1)["values"]()
    first, empty, *rest = str(caught.value).splitlines()
    assert first
    assert not empty
    assert rest[0].startswith("FAIL  values")


def test_collecting_calls_no_function():
    def refuse(*_):
        pytest.fail("the function was called")

    assert len(parametrize_with_gradchecks(refuse, INPUTS, vjp=refuse).mark.args[1]) > 5


def test_a_pattern_that_matches_no_check_is_an_error():
    with pytest.raises(GradcheckError, match="no check matches"):
        checks(doubled, only=["nonesuch"])
