"""A broken checker is noticed: each change of the reference or of the draws changes a verdict."""

from dataclasses import replace

import numpy as np
import pytest

from manualnn.gradcheck import Array, gradcheck, run
from manualnn.gradcheck.data import Finding
from manualnn.gradcheck.diagnosis import findings
from manualnn.gradcheck.judge import compare, confirm
from manualnn.gradcheck.reference.jacobian import Reference

pytestmark = pytest.mark.once
SHAPE = 2, 3
EXAMPLES = 6


@pytest.fixture(autouse=True)
def without_explanation(monkeypatch):
    """Leave out most cotangents, and the search for the region and the cause: they take long."""

    def found(check, _, judged, *__, **___):
        point, entries = next((point, j.entries) for point, j in judged if j.entries)
        return [Finding(check, "wrong", point, entries)]

    monkeypatch.setattr(findings, "explain", found)
    monkeypatch.setattr(run, "ALL_COTANGENTS", ("normal",))


def sigmoid(x):
    """Return the sigmoid; by way of plain float64, so that only differences can be used."""
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def sloped(slope):
    """Return the vjp of an elementwise function with this slope."""
    return lambda arrays, dy: [dy * slope(arrays[0])]


def smooth(x):
    return sigmoid(x) * (1 - sigmoid(x))


def last_entry(x):
    slope = smooth(x)
    slope[-1, -1:] *= 1.001
    return slope


def every_maximum(x):
    return x == x.max()


RIGHT = {
    "sigmoid": (sigmoid, sloped(smooth)),
    "kink": (np.abs, sloped(np.sign)),
}
WRONG = {
    "factor": (sigmoid, sloped(lambda x: 1.0005 * smooth(x))),
    "last entry": (sigmoid, sloped(last_entry)),
    "large": (np.abs, sloped(lambda x: np.where(x > 4, 2, np.sign(x)))),
    "kink": (np.abs, sloped(lambda x: np.where(x == 0, 3, np.sign(x)))),
    "ties": (np.max, sloped(every_maximum)),
}


def is_right(f, vjp):
    report = gradcheck(f, [Array(SHAPE)], vjp=vjp, only=["values"], examples=EXAMPLES)
    return report.exit_code == 0


def break_reference(monkeypatch, **change):
    """Change fields of what every reference says; each function of `change` gets the reference."""
    for name in ("jacobian", "along"):
        original = getattr(Reference, name)

        def changed(*arguments, original=original, **options):
            found = original(*arguments, **options)
            return replace(found, **{field: of(found) for field, of in change.items()})

        monkeypatch.setattr(Reference, name, changed)


@pytest.fixture
def without_ties(monkeypatch):
    """Leave out the sums of the gradients of equal numbers, a second look at the same entries."""
    monkeypatch.setattr(compare, "find_groups", lambda *_: [])


@pytest.mark.parametrize("name", RIGHT)
def test_right_functions_are_right(name):
    assert is_right(*RIGHT[name])


@pytest.mark.parametrize("name", WRONG)
def test_wrong_functions_are_wrong(name):
    assert not is_right(*WRONG[name])


def test_an_error_estimate_of_zero_gives_a_false_alarm(monkeypatch):
    monkeypatch.setattr(confirm, "IMPRECISE", 0.0)  # nothing below 2^-30 is a failure otherwise
    monkeypatch.setattr(confirm, "FACTOR", 0)  # without the bounds of condition and cancellation
    break_reference(monkeypatch, error=lambda found: np.zeros_like(found.error))
    assert not is_right(*RIGHT["sigmoid"])


@pytest.mark.usefixtures("without_ties")
def test_a_large_error_estimate_misses_a_wrong_function(monkeypatch):
    break_reference(monkeypatch, error=lambda found: found.error + 1)
    assert is_right(*WRONG["factor"])


@pytest.mark.usefixtures("without_ties")
def test_an_entry_that_is_left_out_is_missed(monkeypatch):
    jacobian = Reference.jacobian

    def without_last(*arguments):
        found = jacobian(*arguments)
        is_last = found.cols == found.shape[1] - 1
        return replace(found, error=np.where(is_last, np.inf, found.error))

    monkeypatch.setattr(Reference, "jacobian", without_last)
    assert is_right(*WRONG["last entry"])


@pytest.mark.usefixtures("without_ties")
def test_without_sums_over_ties_a_gradient_for_each_maximum_is_missed():
    assert is_right(*WRONG["ties"])


def test_one_draw_misses_a_region(monkeypatch):
    draw = run.draw_points
    monkeypatch.setattr(run, "draw_points", lambda specs, rng, _: list(draw(specs, rng, 1)))
    assert is_right(*WRONG["large"])


def test_without_kinks_another_slope_than_the_reference_is_a_false_alarm(monkeypatch):
    break_reference(monkeypatch, low=lambda found: found.high)
    monkeypatch.setattr(confirm.Suspicion, "_with_ties", lambda _, __, low, high: (low, high))
    assert not is_right(*RIGHT["kink"])
