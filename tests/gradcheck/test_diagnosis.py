"""Explanations of wrong gradients: region, cause, smallest point, report and replay.

Each function is wrong in a way that is known, so the sentences are stated here and not taken from
the code.
"""

import itertools

import mpmath
import numpy as np
import pytest
from gradcheck.diagnoses import FUNCTIONS, explained
from rotation import share
from schemas import validate

from manualnn.errors import GradcheckError
from manualnn.gradcheck.data import CheckResult, Entry, Finding, Point
from manualnn.gradcheck.diagnosis.intervals import Line, describe, simplest
from manualnn.gradcheck.diagnosis.variants import VARIANTS
from manualnn.gradcheck.report.replay import load
from manualnn.gradcheck.report.report import Report

pytestmark = pytest.mark.once


@pytest.mark.parametrize("name", share(FUNCTIONS, 6))
def test_a_wrong_gradient_is_explained(name):
    case = FUNCTIONS[name]
    finding = explained(case)
    assert finding.region.partition(";")[0] == case.region
    assert any(case.cause in text for text in finding.likely) or not case.cause
    assert sum(a.size for a in finding.point.arrays) <= case.size
    assert case.is_wrong_at(finding.point)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_slope_of_a_variant_is_its_derivative(name):
    value, slope = VARIANTS[name]
    for x in (-2.3, -0.41, 0.37, 0.83, 1.9, 4.2):
        with np.errstate(all="ignore"):
            at, other = float(slope(np.array(x))), float(value(np.array(x)))
        if np.isfinite(other):
            # Central differences of values with 16 digits: the error is below h² + 1e-16/h.
            h = 2.0**-17
            with np.errstate(all="ignore"):
                there = [float(value(np.array(x + s * h))) for s in (1, -1)]
            assert at == pytest.approx((there[0] - there[1]) / (2 * h), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize(
    ("name", "f"),
    {
        "exact GELU": lambda x: x * mpmath.ncdf(x),
        "the tanh approximation of GELU": lambda x: (
            x / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + 0.044715 * x**3)))
        ),
        "mish": lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))),
        "SiLU": lambda x: x / (1 + mpmath.exp(-x)),
        "softsign": lambda x: x / (1 + abs(x)),
        "erf": mpmath.erf,
        "log10": mpmath.log10,
        "sinc": mpmath.sincpi,
        "asinh": mpmath.asinh,
    }.items(),
)
def test_the_value_of_a_variant_is_that_function(name, f):
    for x in (0.25, 1.5):
        value, slope = VARIANTS[name]
        assert float(value(np.array(x))) == pytest.approx(float(f(mpmath.mpf(x))), rel=1e-13)
        right = float(mpmath.diff(f, mpmath.mpf(x)))
        assert float(slope(np.array(x))) == pytest.approx(right, rel=1e-12)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(3.9991, 4.0002, "4"), (-3.02, -2.99, "−3"), (7.59, 7.61, "7.6"), (-0.1, 0.2, "0")],
)
def test_a_threshold_has_the_fewest_digits(low, high, text):
    assert simplest(low, high) == text


LINE = np.array([-9.0, -5.0, -4.99, -1.0, 0.0, 1.0, 4.99, 5.0, 9.0])


@pytest.mark.parametrize(
    ("wrong", "excess", "text"),
    [
        (LINE >= 5, 1e11, "for x > 5"),
        (LINE <= -5, 1e11, "for x < −5"),
        (np.abs(LINE) >= 5, 1e11, "for |x| > 5"),
        (np.abs(LINE) < 5, 1e11, "for |x| < 5"),
        (LINE == 0, 1e11, "only at x = 0"),
        (LINE == -9, 1e11, "for x < −7"),
        (np.abs(LINE) < 5, 10, "everywhere"),
        ((LINE >= -1) & (LINE < 5), [1e11] * 6 + [10] * 3, "for x > −3"),
    ],
)
def test_intervals_in_words(wrong, excess, text):
    line = Line.of(LINE, wrong, np.broadcast_to(np.asarray(excess, float), LINE.shape))
    assert describe(line, "x") == text


def test_a_number_at_the_end_of_the_domain():
    values = np.array([0.0, 1e-13, 0.5, 2.0])
    line = Line.of(values, values == 0, np.full(4, 1e11))
    assert describe(line, "x") == "only at x = 0"


def report(finding):
    result = CheckResult("values", "the gradient is right", "failed", 2, 70, [finding])
    other = CheckResult("jvp", "the jvp fits", "not_claimed", reason="there is no jvp")
    return Report("f", "numpy", inputs=("x",), results=[result, other], points=2, entries=70)


def finding(**changes):
    x = np.array([[4.5, np.inf]])
    point = Point((x, np.zeros((0, 3), np.float32), np.array([True])), (np.ones((1, 2)),), "ties")
    entries = (Entry("x", (0, 0), 1.0, 0.5, 0.5, 1e-16), Entry("x", (0, 1), np.nan, 0, 1, 1e-16))
    return Finding("values", "it is wrong", point, entries, 2, 2, "complex step", **changes)


def test_a_report_says_what_is_wrong_and_where():
    found = report(finding(region="for x > 4", likely=("the gradient is 0",)))
    text = str(found)
    for words in (
        "FAIL  values  f (float64, float32)",
        "[[4.5, inf]]",
        "dx[0,0]  got 1  reference 0.5  |err| 0.5  bound 1e-16  ratio 2",
        "0 to 1 (a kink)",
        "for x > 4",
        "the gradient is 0",
        "not claimed jvp: there is no jvp",
        "f is wrong: 1 of 1 check failed.",
    ):
        assert words in text
    assert "replay" not in text
    assert (found.ok, found.exit_code) == (False, 1)
    validate("gradient_report", found.to_json())


def test_exit_codes():
    right = Report("f", "numpy", results=[CheckResult("values", "…")])
    assert (right.ok, right.exit_code) == (True, 0)
    unclear = Report("f", "numpy", problems=["nothing could be decided"])
    assert (unclear.ok, unclear.exit_code) == (False, 3)


def test_a_saved_point_is_read_exactly(tmp_path):
    saved = report(finding())
    (path,) = saved.save(tmp_path)
    validate("gradient_failure", path.read_text())
    for name in (path, path.stem):
        failure = load(str(name), tmp_path)
        assert (failure.checks, failure.target) == (("values",), "f")
        before, after = finding().point, failure.point
        pairs = itertools.chain(
            zip(before.arrays, after.arrays, strict=True),
            zip(before.cotangents, after.cotangents, strict=True),
        )
        for a, b in pairs:
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


@pytest.mark.parametrize("content", ["{}", "[]", "no JSON", '{"checks": ["values"], "point": 1}'])
def test_a_file_that_is_no_point_is_refused(tmp_path, content):
    path = tmp_path / "G-00000000.json"
    path.write_text(content)
    with pytest.raises(GradcheckError, match="is not a point saved by `manualnn gradcheck`"):
        load(str(path))
    with pytest.raises(GradcheckError, match=r"Saved in .*: G-00000000"):
        load("G-11111111", tmp_path)
