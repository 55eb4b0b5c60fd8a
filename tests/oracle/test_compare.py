"""The definition of "wrong" at the edges of the range, in both dtypes."""

import numpy as np
import pytest

from manualnn.oracle.checks.trial import Trial
from manualnn.oracle.diagnosis.observation import Observation
from manualnn.oracle.engines.client import connect
from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.bounded import Precision
from manualnn.oracle.truth.compare import (
    compare,
    find_differences,
    find_wrong,
    refutes,
    truth_arrays,
)
from manualnn.oracle.truth.step import truth, update_truth

DTYPES = ["float32", "float64"]
ODD = [np.nan, np.inf, -np.inf]


def edges(dtype):
    """Return numbers at the edges of a dtype, and whether a rounded one still has a bound."""
    info = np.finfo(dtype)
    largest, u = float(info.max), float(info.eps)
    return {
        "zero": (0.0, True),
        "smallest subnormal": (float(info.smallest_subnormal), True),
        "a subnormal": (float(info.tiny) / 8, True),
        "smallest normal": (float(info.tiny), True),
        "one": (1.0, True),
        "below max/256": (largest / 256 * (1 - u), True),
        "above max/256": (largest / 256 * (1 + u), True),
        "half of max": (largest / 2, True),
        "just below the edge": (largest * (1 - 2**-9), True),
        "just above the edge": (largest * (1 - 2**-11), False),
        "max": (largest, False),
    }


EDGES = [(dtype, name) for dtype in DTYPES for name in edges("float32")]


def rounded(dtype, value):
    """Return a number after one rounding, as a truth."""
    with np.errstate(over="ignore"):
        return Precision(dtype).exact(np.array([value], dtype)).rounded()


@pytest.mark.parametrize(("dtype", "name"), EDGES)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_is_wrong_exactly_where_it_is_beyond_a_bound(dtype, name, sign):
    value, bounded = edges(dtype)[name]
    near = rounded(dtype, sign * value)
    bound = near.bounds[0]
    assert np.isfinite(bound) == bounded
    assert not refutes(near, near.v).any()
    assert refutes(near, ODD).tolist() == [bounded] * 3
    if bounded:
        v = np.longdouble(near.v[0])
        assert not refutes(near, [v + bound * 0.99, v - bound * 0.99]).any()
        assert bound == 0 or refutes(near, [v + bound * 1.01, v - bound * 1.01]).all()
        off = max(value / 2, float(np.finfo(dtype).tiny))
        assert refutes(near, [v + off, v - off]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_truth_beyond_the_range_has_no_bound(dtype, value):
    near = Precision(dtype).exact(np.array([1.0])).plus_error(0.0)
    near.v = np.array([value], near.v.dtype)
    with np.errstate(all="ignore"):
        near = near.rounded()
    assert np.isposinf(near.bounds).all()
    assert not refutes(near, [0.0]).any()
    assert not refutes(near, ODD).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sum_that_overflows_on_its_way_has_no_bound(dtype):
    largest = float(np.finfo(dtype).max)
    with np.errstate(over="ignore"):
        near = Precision(dtype).exact(np.array([largest, largest, -largest], dtype)).sum()
    assert not refutes(near, np.inf)
    assert not refutes(near, np.nan)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_exact_number_allows_no_other(dtype):
    near = Precision(dtype).exact(np.array([0.0, 1.0], dtype))
    assert not refutes(near, [-0.0, 1.0]).any()
    least = np.finfo(dtype).smallest_subnormal
    assert refutes(near, [least, np.nextafter(np.ones(1, dtype)[0], 2)]).all()


@pytest.mark.parametrize("bound", [np.nan, np.inf])
def test_without_a_finite_bound_nothing_is_wrong(bound):
    assert not find_wrong([0.0, *ODD], 1.0, bound).any()


@pytest.mark.parametrize("value", ODD)
def test_with_a_finite_bound_two_results_that_are_no_numbers_do_not_agree(value):
    entries, right = compare(
        {"loss": np.float64(value)}, {"loss": np.array(value)}, {"loss": np.array(1.0)}
    )
    assert [entry.quantity for entry in entries] == ["loss"]
    assert right == ()


def test_entries_name_the_first_of_each_quantity_and_how_many():
    kind = Precision("float64")
    truths = {"a": kind.exact(np.zeros((2, 3))), "b": kind.exact(np.zeros(2))}
    got = {"b": np.zeros(2), "a": np.array([[0, 0, 1.5], [0, np.nan, 0]]), "c": np.ones(1)}
    (entry,), right = compare(got, *truth_arrays(truths, got))
    assert (entry.quantity, entry.index, entry.got, entry.expected) == ("a", (0, 2), 1.5, 0.0)
    assert (entry.wrong, entry.size, right) == (2, 6, ("b",))


def test_differences_are_of_bits_but_for_zeros_and_nan():
    a = {"x": np.array([0.0, np.nan, 1.0]), "y": np.zeros(1)}
    assert find_differences(a, {"x": np.array([-0.0, np.nan, 1.0]), "z": np.ones(1)}) == ()
    (entry,) = find_differences(a, {"x": np.array([0.0, np.nan, 1 + 2**-52])})
    assert (entry.index, entry.bound, entry.wrong, entry.size) == ((2,), 0, 1, 3)


def one_weight(dtype, value):
    """Return a case whose output is value · 0.75, after one rounding."""
    return Case(
        layers=({"type": "Linear", "in_features": 1, "out_features": 1, "bias": False},),
        loss={"type": "L1Loss", "reduction": "sum"},
        params={"0.weight": np.array([[0.75]], dtype)},
        x=np.array([[value]], dtype),
        t=np.array([[0.0]], dtype),
        dtype=dtype,
    )


def answers(dtype, value):
    """Yield results for the output: right, 50 % too large, infinite, NaN."""
    with np.errstate(over="ignore"):
        yield from (np.array([[f * np.dtype(dtype).type(value)]]) for f in (0.75, 1.125))
        yield from (np.array([[f]], dtype) for f in (np.inf, np.nan))


@pytest.mark.parametrize(("dtype", "name"), EDGES)
def test_the_check_and_the_diagnosis_agree_on_what_is_wrong(dtype, name):
    case = one_weight(dtype, edges(dtype)[name][0])
    expected = truth(case)
    for outputs in answers(dtype, edges(dtype)[name][0]):
        outcome = Outcome(result={"outputs": outputs})
        with connect(Textbook) as bench:
            trial = Trial(bench, "plain:outputs", case)
        trial.base = outcome.quantities()
        checked = bool(trial.verdict[0])
        assert checked == Observation((case,), (outcome,), (expected,)).is_wrong
        assert checked == refutes(expected.outputs, outputs).any()


@pytest.mark.parametrize("name", ["RMSprop", "Adagrad", "Adam", "AdamW"])
def test_an_update_has_no_bound_where_the_rate_times_the_gradient_may_overflow(name):
    """A correct engine, as torch, may form lr · g before it divides by the root of its square."""
    rate = float(np.finfo("float32").max) / 32
    case = one_weight("float32", 1.0).but(loss={"type": "L1Loss", "reduction": "sum"})
    gradients = {key: truth(case.but(x=case.x * s)).grads for key, s in (("few", 1), ("many", 64))}
    optimizer = {"type": name, "lr": rate}
    bounds = {
        key: update_truth(case.but(optimizer=optimizer), g)["params.0.weight"].bounds
        for key, g in gradients.items()
    }
    assert np.isfinite(bounds["few"]).all()
    assert np.isinf(bounds["many"]).all()


def test_an_overflow_times_0_in_a_product_has_no_bound():
    """inf · 0 is NaN to an engine, and BLAS may skip the product where the bound is computed."""
    one = {"type": "Linear", "in_features": 1, "out_features": 1, "bias": False}
    weights = {"0.weight": np.array([[1e200]]), "1.weight": np.array([[0.0]])}
    x = np.array([[1.0], [1.0], [1.0], [1e200]])
    case = one_weight("float64", 1.0).but(layers=(one, one), params=weights, x=x, t=0 * x)
    assert truth(case).outputs.bounded.ravel().tolist() == [True, True, True, False]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_slope_of_softplus_has_no_bound_where_torchs_formula_overflows(dtype):
    """A correct engine, as torch, may form da · exp(βz) before it divides by exp(βz) + 1."""
    case = one_weight(dtype, 16.0).but(layers=({"type": "Softplus"},), params={})
    largest = float(np.finfo(dtype).max)
    for t, has_bound in ((largest / 1e7, False), (largest / 1e8, True)):
        case = case.but(loss={"type": "MSELoss", "reduction": "sum"}, t=np.array([[t]], dtype))
        near = truth(case).input_grad
        assert near.bounded.all() == has_bound
        dy = 2 * (truth(case).outputs.v - t)
        with np.errstate(over="ignore", invalid="ignore"):
            e = np.exp(np.array(16.0, dtype))
            assert np.isfinite(dy.astype(dtype) * e / (e + 1)).all() == has_bound
