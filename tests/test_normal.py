"""The engine's and the oracle's Φ and φ are those of mpmath; the table is as exact as it says."""

from decimal import Decimal, localcontext
from typing import Any

import mpmath
import numpy as np
import pytest

from manualnn import GELU
from manualnn.explain import normal as in_decimals
from manualnn.explain import numbers
from manualnn.normal import LONG, SHORT, normal_pdf, normal_tail
from manualnn.oracle.protocol import normal as of_the_oracle

FLOATS = [np.float32, np.float64, np.longdouble]
CONTEXT = mpmath.MPContext()
CONTEXT.dps = 80
X = np.concatenate([np.linspace(-12, 9, 143), [-36, -14, -13, 1e-30, 1e4, 1e30]])


def exactly(x: Any) -> Any:
    """Return a float of any type with all its digits."""
    high = float(x)
    return CONTEXT.mpf(high) + CONTEXT.mpf(float(x - type(x)(high)))


def truth(x: Any) -> tuple[Any, Any]:
    """Return Φ(x) and φ(x)."""
    return CONTEXT.ncdf(exactly(x)), CONTEXT.npdf(exactly(x))


@pytest.mark.parametrize("dtype", FLOATS)
def test_relative_error_is_within_the_bound(dtype: Any) -> None:
    x, info = X.astype(dtype), np.finfo(dtype)
    for v, *found in zip(-abs(x), normal_tail(abs(x)), normal_pdf(x), strict=True):
        for got, exact in zip(found, truth(v), strict=True):
            bound = (16 + exactly(v) ** 2) * exactly(info.eps) / 2 * exact + max(
                float(info.tiny), 1e-300
            )
            assert abs(exactly(got) - exact) <= bound, v


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize(("dtype", "far"), [(np.float32, 20), (np.float64, 60)])
def test_slope_of_gelu_falls_to_0_with_its_gate(dtype: Any, far: float, approximate: str) -> None:
    """Far below 0 it is within its roundings, of which those of an exponent E are at most 6 E u.

    A factor of |z| and one of the exponent's derivative enlarge what a smallest number loses.
    """
    z, info = np.linspace(-far, -far / 6, 300, dtype=dtype)[None], np.finfo(dtype)
    layer = GELU(approximate)
    slopes = layer.backward({}, z, layer.forward({}, z), np.ones_like(z))
    for v, got in zip(map(exactly, z[0]), slopes[0], strict=True):
        if approximate == "none":
            exponent, steepness = v**2 / 2, -v
            gate, density = CONTEXT.ncdf(v), CONTEXT.npdf(v)
        else:
            root, cubic = 2 * CONTEXT.sqrt(2 / CONTEXT.pi), CONTEXT.mpf("0.044715")
            exponent, steepness = -root * v * (1 + cubic * v**2), root * (1 + 3 * cubic * v**2)
            gate = 1 / (1 + CONTEXT.exp(exponent))
            density = gate * (1 - gate) * steepness
        rounding = (20 + 6 * exponent) * exactly(info.eps) / 2 * (gate - v * density)
        lost = 4 * exactly(info.smallest_subnormal) * (1 - v) * (1 + steepness)
        assert abs(exactly(got) - (gate + v * density)) <= rounding + lost, v


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slope_of_gelu_is_a_half_at_the_smallest_numbers(dtype: Any, approximate: str) -> None:
    """z Φ(z) has a few bits there; the slope ½ + O(z) has all, up to three roundings of a sum."""
    info = np.finfo(dtype)
    z = np.arange(-9, 10, dtype=dtype)[None] * info.smallest_subnormal
    layer = GELU(approximate)
    slopes = layer.backward({}, z, layer.forward({}, z), np.ones_like(z))
    assert (abs(slopes - dtype(0.5)) <= 3 * info.eps).all()


@pytest.mark.parametrize(("texts", "bits", "most"), [(SHORT, 27, 14.5), (LONG, 68, 152)])
def test_quotient_has_the_precision_that_it_states(texts: Any, bits: int, most: float) -> None:
    with mpmath.workdps(60):
        above, below = ([mpmath.mpf(c) for c in text.split()] for text in texts)
        assert min(above + below) > 0
        for y in np.linspace(0, 1, 100) ** 2 * most:
            y = mpmath.mpf(y)  # noqa: PLW2901
            exact = mpmath.erfc(y / mpmath.sqrt(2)) * mpmath.exp(y * y / 2) / 2
            quotient = mpmath.polyval(above[::-1], y) / mpmath.polyval(below[::-1], y)
            assert abs(quotient / exact - 1) < mpmath.mpf(2) ** -bits


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_oracles_series_is_accurate_to_units_of_1(dtype: Any) -> None:
    x = X.astype(dtype)
    with np.errstate(over="ignore", under="ignore"):
        found = of_the_oracle.normal_cdf(x), of_the_oracle.normal_pdf(x)
    for v, *both in zip(x, *found, strict=True):
        for got, exact in zip(both, truth(v), strict=True):
            assert abs(exactly(got) - exact) <= 16 * exactly(np.finfo(dtype).eps), v


@pytest.mark.parametrize("x", ["0", "-0.5", "2.999", "-2.999", "3", "-3.001", "-17", "12", "-1e5"])
def test_decimals_are_right_to_the_last_digit(x: str) -> None:
    with localcontext(numbers.CONTEXT):
        exact = CONTEXT.mpf(x)
        for got, wanted in (
            (in_decimals.normal_cdf(Decimal(x)), CONTEXT.ncdf(exact)),
            (in_decimals.normal_pdf(Decimal(x)), CONTEXT.npdf(exact)),
        ):
            assert abs(CONTEXT.mpf(str(got)) / wanted - 1) < CONTEXT.mpf(10) ** -49
