"""Functions in programs of any language: their values, gradients and failures."""

import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from manualnn.errors import GradcheckError
from manualnn.gradcheck import Array
from manualnn.gradcheck.functions import program
from manualnn.gradcheck.functions.base import FunctionFailed, Unsupported
from manualnn.gradcheck.functions.find import find_function

pytestmark = pytest.mark.once

PROGRAMS = Path(__file__).with_name("programs")
PYTHON = shlex.join([sys.executable, "-S", "-E", str(PROGRAMS / "product.py")])
X, W, DY = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0], [1e-300, 1 / 3, 7.0]])
INPUTS = [Array(3), Array(3)]


@pytest.mark.parametrize("language", ["python", "node"])
def test_a_program_computes_values_and_gradients(language):
    if not shutil.which(language) and language == "node":
        pytest.skip("node is not installed")
    command = PYTHON if language == "python" else f"node {PROGRAMS / 'product.mjs'}"
    function = find_function(command, INPUTS, options={"scale": 2})
    assert (function.name, function.framework) == ("product", "program")
    np.testing.assert_array_equal(function.value([X, W])[0], 2 * X * W)
    for got in (function.vjp([X, W], [DY]), function.forward([X, W]).backward([DY])):
        np.testing.assert_array_equal(got, [2 * DY * W, 2 * DY * X])
    assert function.jvp([X, W], [X, W]) is None
    with pytest.raises(Unsupported):
        function.value_in("complex128", [X, W])


FAULTS = {
    "raises": "error: no luck",
    "skips": "skipped the call: too long",
    "crashes": "crash: it exited with code 3",
    "hangs": r"hang: no reply within 0\.5 s",
    "prints": "garbage: .*loss is 3",
    "returns one gradient": "1 gradients for 2 inputs",
    "returns no list": "malformed: .*has to be a list",
    "returns words": r"malformed: gradients\[0\] is not an array",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_gradient_is_reported_and_the_next_call_runs(fault, monkeypatch):
    monkeypatch.setattr(program, "TIME_LIMIT", 0.5)
    function = find_function(PYTHON, INPUTS, options={"fault": fault})
    with pytest.raises(FunctionFailed, match=FAULTS[fault]) as caught:
        function.vjp([X, W], [DY])
    assert caught.value.where == "vjp"
    np.testing.assert_array_equal(function.value([X, W])[0], X * W)


def test_a_program_that_cannot_be_used_gets_a_clear_error():
    with pytest.raises(GradcheckError, match="gave no answer"):
        find_function("false", INPUTS)
    with pytest.raises(GradcheckError, match="options cannot be written as JSON"):
        find_function(PYTHON, INPUTS, options={"scale": {1}}).value([X, W])
