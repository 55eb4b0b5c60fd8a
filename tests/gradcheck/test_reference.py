"""Theorems about the reference: the derivative is where it says, up to the error that it says."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from manualnn.gradcheck.functions.base import Slot, Unsupported
from manualnn.gradcheck.inputs.array import Array
from manualnn.gradcheck.reference.jacobian import Reference
from manualnn.gradcheck.reference.noise import POINTS, measured_noise

mp = pytest.importorskip("mpmath").MPContext()
mp.dps = 60

pytestmark = pytest.mark.once

EVERY = ("mpmath", "longdouble", "complex128", "float64")


@dataclass
class Plain:
    """A function of NumPy arrays, offered in some kinds of numbers."""

    f: object
    kinds: tuple[str, ...] = ("float64",)
    dtype: str = "float64"
    count: int = 1

    @property
    def inputs(self):
        return tuple(Slot(f"x{k}", dtype=self.dtype) for k in range(self.count))

    def value(self, arrays):
        with np.errstate(all="ignore"):
            outputs = self.f(*arrays)
        return tuple(map(np.asanyarray, outputs if isinstance(outputs, tuple) else (outputs,)))

    def value_in(self, kind, arrays):
        try:
            return self.value([a if kind == "mpmath" else a.astype(kind) for a in arrays])
        except (TypeError, ValueError, AttributeError) as error:
            raise Unsupported(str(error)) from error


def jacobian(f, *arrays, kinds=("float64",), **domain):
    arrays = tuple(map(np.asarray, arrays))
    specs = [Array(a.shape, **domain) for a in arrays]
    found = Reference(Plain(f, kinds, count=len(arrays)), specs).jacobian(arrays)
    assert found is not None
    return found


def dense(found):
    """Return low, high and error as matrices; what is not listed is 0 ± 0."""
    matrices = np.zeros((3, *found.shape))
    for matrix, entries in zip(matrices, (found.low, found.high, found.error), strict=True):
        matrix[found.rows, found.cols] = entries
    return matrices


def gelu(x):
    if x.dtype != np.float64:
        raise TypeError
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


ROOT = mp.mpf(math.sqrt(2))
ZOO = {
    "exp": (np.exp, mp.exp, None),
    "overflowing exp": (lambda x: np.exp(690 + x), lambda x: mp.exp(690 + x), (-9, 9)),
    "log": (np.log, lambda x: 1 / x, (1e-12, 1e6)),
    "sqrt": (np.sqrt, lambda x: 1 / (2 * mp.sqrt(x)), (1e-12, 1e4)),
    "tan": (np.tan, lambda x: 1 / mp.cos(x) ** 2, None),
    "fast sine": (lambda x: np.sin(1e3 * x), lambda x: 1000 * mp.cos(1000 * x), (-20, 20)),
    "small sine": (lambda x: 1e-6 * np.sin(x), lambda x: mp.mpf(1e-6) * mp.cos(x), None),
    "tanh": (np.tanh, lambda x: mp.sech(x) ** 2, None),
    "x|x|": (lambda x: x * np.abs(x), lambda x: 2 * abs(x), None),
    "Huber": (
        lambda x: np.where(np.abs(x) < 1, x * x / 2, np.abs(x) - 0.5),
        lambda x: max(-1, min(1, x)),
        None,
    ),
    "softplus, threshold 20": (
        lambda x: np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 20)))),
        lambda x: mp.mpf(1) if x > 20 else 1 / (1 + mp.exp(-x)),
        None,
    ),
    "naive softplus": (lambda x: np.log(1 + np.exp(x)), lambda x: 1 / (1 + mp.exp(-x)), (-30, 30)),
    "GELU": (
        gelu,
        lambda x: (
            (1 + mp.erf(x / ROOT)) / 2 + x * mp.exp(-((x / ROOT) ** 2)) / (ROOT * mp.sqrt(mp.pi))
        ),
        (-9, 9),
    ),
    "large offset": (lambda x: (x + 1e8) - 1e8, lambda _: mp.mpf(1), (-50, 50)),
    "rounded sine": (lambda x: np.round(np.sin(x), 10), mp.cos, (-9, 9)),
    "float32 inside": (
        lambda x: x + np.sqrt(1 + (x.real**2).astype(np.float32)).astype(np.float64),
        lambda x: 1 + x / mp.sqrt(1 + x * x),
        (-9, 9),
    ),
}
SPECIAL = (0.5, -0.5, 1, -1, 2, 3, 20, 20 + 1e-4, 20 - 1e-9, -20, 12, -12, 40, -40, 7.77, -8.3)


def numbers(domain):
    rng = np.random.default_rng(5)
    x = rng.normal(size=60) * 2.0 ** rng.integers(-10, 7, 60)
    x = np.concatenate([x, SPECIAL])
    if domain:
        low, high = domain
        x = np.where((x < low) | (x > high), np.clip(np.abs(x) * low, low, high), x)
    return x


@pytest.mark.parametrize("kinds", [("float64",), EVERY], ids=["float64", "every kind"])
@pytest.mark.parametrize("name", ZOO)
def test_the_derivative_lies_within_the_error_of_the_estimate(name, kinds):
    f, derivative, domain = ZOO[name]
    x = numbers(domain)
    low, high, error = (np.diag(m) for m in dense(jacobian(f, x, kinds=kinds)))
    wrong, sharpness = [], []
    for k, number in enumerate(x):
        true = mp.mpf(derivative(mp.mpf(float(number))))
        slack = float(error[k]) + 2e-16 * abs(float(true))  # what is not listed is 0 ± u f
        if np.isfinite(error[k]):
            sharpness.append(error[k] / abs(float(true)) if true else 0)
            if not mp.mpf(low[k]) - slack <= true <= mp.mpf(high[k]) + slack:
                wrong.append((float(number), float(true), low[k], high[k], error[k]))
    assert len(sharpness) >= 0.9 * x.size
    assert len(wrong) <= (name == "float32 inside"), wrong
    assert np.median(sharpness) < SHARP.get(name, 1e-12)


SHARP = {
    "overflowing exp": 1e-10,
    "log": 1e-11,
    "fast sine": 1e-9,
    "large offset": 1e-6,
    "rounded sine": 1e-6,
    "float32 inside": 1e-3,
}


@pytest.mark.parametrize("kinds", [("float64",), EVERY], ids=["float64", "every kind"])
@pytest.mark.parametrize(
    ("f", "x", "slopes"),
    [
        (np.abs, 0.0, (-1, 1)),
        (lambda x: np.maximum(x, 0), -0.0, (0, 1)),
        (lambda x: np.maximum(x, 0), 1e-9, (1, 1)),
        (lambda x: np.clip(x, -1, 2.5), 2.5, (0, 1)),
        (lambda x: np.where(x > 0, x, 0.01 * x), 0.0, (0.01, 1)),
        (lambda x: np.hypot(x, 0.0 * x), 0.0, (-1, 1)),
        (lambda x: np.abs(x - 1 / 3), 1 / 3, (-1, 1)),
        (lambda x: np.abs(x) ** 1.5, 0.0, (0, 0)),
        (lambda x: x * x, 0.0, (0, 0)),
    ],
)
def test_a_kink_is_where_the_slopes_from_both_sides_differ(f, x, slopes, kinds):
    found = jacobian(f, np.array([x]), kinds=kinds)
    assert found.error[0] < 1e-6
    assert found.low[0] == pytest.approx(slopes[0], abs=1e-7)
    assert found.high[0] == pytest.approx(slopes[1], abs=1e-7)


@pytest.mark.parametrize("kinds", [("float64",), EVERY], ids=["float64", "every kind"])
@pytest.mark.parametrize(
    ("f", "x", "domain"),
    [
        (lambda x: 1.0 * (x > 0), 0.0, {}),
        (np.sqrt, 0.0, {"low": 0}),
        (lambda x: np.sqrt(np.abs(x)), 0.0, {}),
        (np.cbrt, 0.0, {}),
        (lambda x: x * np.log(x), 0.0, {"low": 0}),
        (np.sign, 0.0, {}),
        (np.floor, 3e9, {}),
        (lambda y: np.trunc(1 / y), 0.125, {"low": 0.125}),
    ],
)
def test_what_values_do_not_decide_has_an_infinite_error(f, x, domain, kinds):
    found = jacobian(f, np.array([x]), kinds=kinds, **domain)
    assert np.isinf(found.error).all()


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def convolve(x):
    return x[:-2] + 2 * x[1:-1] - 3 * x[2:]


DEPENDENCES = {
    "elementwise": (np.tanh, (3, 4), lambda o, p: o == p, 1),
    "row by row": (softmax, (3, 4), lambda o, p: o // 4 == p // 4, 4),
    "sum of columns": (lambda x: (x * x).sum(axis=0), (3, 4), lambda o, p: o == p % 4, 3),
    "convolution": (convolve, (64,), lambda o, p: 0 <= p - o <= 2, 3),
    "everything": (lambda x: (x * x).sum(), (7,), lambda o, p: o <= p, 7),
}


@pytest.mark.parametrize("name", DEPENDENCES)
def test_columns_are_perturbed_together_if_no_output_depends_on_two(name):
    f, shape, depends, count = DEPENDENCES[name]
    x = np.random.default_rng(3).normal(size=shape)
    reference = Reference(Plain(f), [Array(shape)])
    found = reference.jacobian((x,))
    (pattern,) = reference._patterns.values()  # noqa: SLF001 - the property under test
    expected = {(o, p) for o in range(f(x).size) for p in range(x.size) if depends(o, p)}
    assert set(zip(found.rows.tolist(), found.cols.tolist(), strict=True)) == expected
    assert pattern.count == count


def test_all_entries_of_two_inputs_agree_with_the_product_rule():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
    low, high, error = dense(jacobian(np.matmul, a, b))
    true = np.hstack([np.kron(np.eye(3), b.T), np.kron(a, np.eye(2))])
    assert (np.abs(low - true) <= error + 1e-15).all()
    assert (low == high).all()
    assert error.max() < 1e-12


def test_an_output_that_stays_0_along_every_axis_has_derivatives_of_0():
    def products(x):
        return np.stack([x[1] * x[2] * x[3], x[0] * x[2] * x[3]])

    _, _, error = dense(jacobian(products, np.array([0.9, 0.0, 0.0, -0.1])))
    assert np.isfinite(error).all()  # it moves only where both zeros do, which is no noise


def test_more_colors_than_the_budget_give_no_jacobian_but_directions():
    x = np.linspace(-1, 1, 40)
    reference = Reference(Plain(lambda x: (x**3).sum()), [Array((40,))], budget=20)
    assert reference.jacobian((x,)) is None
    along = reference.directional((x,), np.ones(40))
    assert abs(along.low[0] - 3 * (x**2).sum()) <= along.error[0] + 1e-14
    assert along.error[0] < 1e-11
    single = reference.along((x,), 7, np.array([2.0]))
    assert abs(single.low - 6 * x[7] ** 2) <= single.error + 1e-15


def test_a_dependence_that_was_missed_is_found_by_a_random_direction():
    x = np.random.default_rng(6).normal(size=(2, 5))
    reference = Reference(Plain(softmax), [Array((2, 5))])
    first = dense(reference.jacobian((x,)))
    ((key, pattern),) = reference._patterns.items()  # noqa: SLF001 - the mistake is planted here
    kept = pattern.cols != 3
    broken = type(pattern)(
        pattern.rows[kept], pattern.cols[kept], np.where(np.arange(10) == 3, 0, pattern.colors)
    )
    reference._patterns[key] = broken  # noqa: SLF001
    again = dense(reference.jacobian((x,)))
    assert (np.abs(again[0] - first[0]) <= again[2] + first[2]).all()
    assert (again[0][:5, 3] != 0).all()


def test_noise_is_that_of_the_rounding_and_smooth_values_have_none():
    x = np.linspace(-3, 3, 200)
    values = np.stack([np.sin(x + k * 2.0**-26 * (1 + x / 7)) for k in POINTS])
    assert (measured_noise(values) <= 16 * 2.0**-53).all()
    rounded = measured_noise(np.round(values, 10))
    assert np.median(rounded) == pytest.approx(4 * 1e-10 / np.sqrt(12), rel=0.5)


@pytest.mark.parametrize(
    ("f", "method"),
    [
        (softmax, "50 digits (mpmath)"),
        (lambda x: x * np.array([float(v.real) for v in x.flat]).reshape(x.shape), "longdouble"),
        (lambda x: np.abs(x) * x + 0 * x.astype(np.float64), "50 digits"),
    ],
)
def test_the_best_numbers_that_keep_the_step_are_chosen(f, method):
    assert method in jacobian(f, np.array([[0.3, -1.2, 2.0]]), kinds=EVERY).method


def test_a_complex_step_is_refused_where_the_function_is_not_analytic():
    x = np.array([0.3, -1.2, 2.0])
    assert jacobian(np.exp, x, kinds=("complex128", "float64")).method == "complex step"
    found = jacobian(lambda x: x * np.abs(x), x, kinds=("complex128", "float64"))
    assert found.method == "differences in float64"
    assert (np.abs(found.low - 2 * np.abs(x)) <= found.error).all()


def test_a_float32_function_is_held_against_itself_in_float64_or_else_in_float32():
    x = np.array([0.3, -1.2, 2.0], np.float32)
    spec = [Array((3,), dtype="float32")]
    found = Reference(Plain(np.tanh, dtype="float32"), spec).jacobian((x,))
    true = 1 / np.cosh(x.astype(float)) ** 2
    assert found.method == "differences in float64"
    assert (np.abs(found.low - true) <= found.error).all()
    assert found.error.max() < 1e-11
    own = Reference(Plain(np.tanh, kinds=(), dtype="float32"), spec).jacobian((x,))
    assert own.method == "differences in its own float32"
    assert (np.abs(own.low - true) <= own.error).all()
    assert own.error.max() < 1e-3


@pytest.mark.parametrize("is_mixed", [False, True])
def test_float32_inside_is_noise_also_on_a_wide_stair_where_none_can_be_measured(is_mixed):
    def f(x):  # sigmoid, or SiLU
        s = np.float64(np.float32(1 / (1 + np.exp(-x))))
        return s * x if is_mixed else s

    x = np.array([9.987, 10.5, -0.7, 1.3])
    s = 1 / (1 + np.exp(-x))
    true = s + x * s * (1 - s) if is_mixed else s * (1 - s)
    found = Reference(Plain(f), [Array((4,))]).jacobian((x,))
    assert (np.abs(found.low - true) <= found.error).all()
    assert found.error[2:].max() < 1e-3


def test_parameters_of_symmetric_matrices_are_the_lower_triangle():
    x = np.array([[2.0, 0.5], [0.5, 1.0]])
    low, _, error = dense(jacobian(np.linalg.det, x, kind="spd"))
    assert (np.abs(low - [[1.0, -1.0, 2.0]]) <= error + 1e-15).all()


def test_an_entry_that_was_flat_at_all_earlier_points_is_found_where_it_is_not():
    # relu′ = 1 for x > 0. Its pattern is looked for where the last entry is negative.
    specs = [Array((4,), low=-3, high=-1)]
    reference = Reference(Plain(lambda x: np.maximum(x, 0)), specs)
    for x in (-2.0, -2.5, -1.5, -1.25):
        assert reference.jacobian((np.full(4, x),)).rows.size == 0
    specs[0] = reference.specs[0] = Array((4,))
    found = reference.jacobian((np.array([-2.0, -2.0, -2.0, 2.0]),))
    low, high, error = dense(found)
    np.testing.assert_allclose(low, np.diag([0, 0, 0, 1.0]), atol=1e-9)
    np.testing.assert_array_equal(low, high)
    assert error.max() < 1e-9
