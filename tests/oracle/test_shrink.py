"""Shrinking ends at a valid case that fails, and that no single cut makes smaller."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle.drawn import drawn_case

from manualnn.oracle.cases.resize import is_valid, keep_columns, keep_rows, remove_layers, segments
from manualnn.oracle.diagnosis.likeness import same_failure
from manualnn.oracle.diagnosis.shrink import shrink
from manualnn.oracle.findings import Entry, Finding
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import LOSS_ROWS
from manualnn.oracle.truth.step import truth

SEEDS = st.integers(0, 2**32 - 1)


def deep(n=6, widths=(5, 4, 7, 3), dtype="float64", **changes):
    rng = np.random.default_rng(1)
    layers, params = [], {}
    for i, (a, b) in enumerate(pairwise(widths)):
        layers += [{"type": "Linear", "in_features": a, "out_features": b}, {"type": "Tanh"}]
        params[f"{2 * i}.weight"] = rng.normal(size=(b, a))
        params[f"{2 * i}.bias"] = rng.normal(size=b)
    x, t = rng.normal(size=(n, widths[0])), rng.normal(size=(n, widths[-1]))
    optimizer = {"type": "Adam", "lr": 0.013, "betas": (0.8, 0.99), "weight_decay": 0.2}
    case = Case(tuple(layers), {"type": "MSELoss"}, params, x, t, optimizer, steps=5)
    return case.map(lambda _, a: a.astype(dtype)).but(dtype=dtype, **changes)


def shapes_fit(case):
    """Return whether the shapes fit, so that the case has a truth."""
    expected = truth(case).quantities()
    return all(expected[f"grads.{key}"].v.shape == a.shape for key, a in case.params.items())


def test_what_always_fails_ends_as_one_layer_of_one_column_and_one_sample():
    small = shrink(deep(), lambda _: True)
    assert [layer["type"] for layer in small.layers] == ["Linear"]
    assert (small.n, small.widths, small.steps, small.optimizer) == (1, (1, 1), 1, None)
    assert (small.x, small.params["0.weight"]) == ([[1]], [[1]])
    assert (small.t, small.params["0.bias"]) == ([[0]], [0])


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_it_keeps_as_many_samples_and_columns_as_it_needs(n, width):
    small = shrink(deep(), lambda case: case.n >= n and case.widths[-1] >= width)
    assert small.n == n
    assert small.widths == (1, width)


def test_sizes_that_have_to_be_equal_shrink_together():
    case = deep(n=7, widths=(5, 7, 7, 3))
    small = shrink(case, lambda c: c.n >= 2 and c.widths.count(c.n) >= 2)
    assert small.n == 2
    assert set(small.widths) <= {1, 2}


def test_a_batch_that_has_to_be_long_is_cut_to_the_very_length():
    small = shrink(deep(n=300, widths=(3, 2)), lambda case: case.n > 256)
    assert (small.n, small.widths) == (257, (1, 1))


def test_options_stay_where_they_are_needed_and_go_where_not():
    def fails(case):
        return bool(case.optimizer) and case.optimizer.get("weight_decay", 0) > 0

    assert shrink(deep(), fails).optimizer == {"type": "Adam", "lr": 1.0, "weight_decay": 0.5}
    assert shrink(deep(), lambda case: case.optimizer is not None).optimizer["lr"] == 1


def test_what_is_gone_does_not_come_back_with_a_later_cut():
    """Each cut starts from the case that earlier cuts left."""
    dropped = deep(noise={"1.mask": np.full((6, 4), 2.0)})
    dropped = dropped.but(layers=(dropped.layers[0], {"type": "Dropout"}, *dropped.layers[2:]))
    named = lambda case: any(layer["type"] == "Dropout" for layer in case.layers)  # noqa: E731
    small = shrink(dropped, named)
    assert (small.optimizer, small.state, small.noise) == (None, None, None)


def test_steps_shrink_to_the_fewest_that_fail():
    assert shrink(deep(), lambda case: case.steps >= 3).steps == 3


def test_numbers_keep_no_more_digits_than_needed():
    small = shrink(deep(), lambda case: np.abs(case.x).max() > 1.02)
    assert np.abs(small.x).max() == 2
    uneven = shrink(deep(), lambda case: np.any(case.x != np.rint(case.x)))
    assert sorted({*np.abs(uneven.x).ravel()} - {1, 0}) == [0.5]


def test_only_where_it_still_fails_float64_takes_the_place_of_float32():
    assert shrink(deep(dtype="float32"), lambda _: True).dtype == "float64"
    stays = shrink(deep(dtype="float32"), lambda case: case.dtype == "float32")
    assert stays.dtype == "float32"
    assert stays.x.dtype == np.float32


def test_without_time_or_success_the_case_is_returned_as_it_is():
    case = deep()
    assert shrink(case, lambda _: True, seconds=0) is case
    assert shrink(case, lambda _: False) is case


@given(SEEDS, st.integers(1, 4), st.integers(0, 9))
def test_only_valid_cases_that_fit_are_asked_about_and_none_twice(seed, n, salt):
    """The predicate is arbitrary: a hash of the case, and a smallest number of samples."""
    asked = []

    def fails(case):
        asked.append(case.id)
        assert is_valid(case)
        assert shapes_fit(case)
        has_classes = LOSS_ROWS[case.loss["type"]].targets == "classes"
        assert (case.t.dtype.kind == "i") == (has_classes and case.t.ndim == 1)
        return case.n >= n and sum(case.id.encode()) % 10 >= salt

    case = drawn_case(np.random.default_rng(seed))
    small = shrink(case, fails, seconds=0.3)
    assert len(asked) == len(set(asked))
    assert small is case or (is_valid(small) and small.n >= n)


@given(SEEDS)
def test_no_single_cut_of_a_shrunk_case_fails_any_more(seed):
    def fails(case):
        return case.n * case.x.shape[1] >= 3 or len(case.layers) >= 3

    case = drawn_case(np.random.default_rng(seed))
    if not fails(case):
        return
    small = shrink(case, fails, seconds=20)
    cuts = [keep_rows(small, [j for j in range(small.n) if j != i]) for i in range(small.n)]
    cuts += [remove_layers(small, i, i + 1) for i in range(len(small.layers))]
    for run in segments(small):
        width = small.widths[run[0]]
        cuts += [
            keep_columns(small, run, [j for j in range(width) if j != i])
            for i in range(width)
            if width > 1
        ]
    for cut in cuts:
        if cut is None or min(cut.x.shape) == 0 or min(cut.widths) == 0 or not is_valid(cut):
            continue
        assert not fails(cut) or (small.params and not cut.params)


def test_targets_that_are_probabilities_stay_so():
    """For other targets, correct engines differ: p − t is the slope only if t sums to 1."""
    t = np.random.default_rng(0).dirichlet(np.ones(3), 6)
    case = deep(loss={"type": "CrossEntropyLoss"}, t=t)
    assert not is_valid(case.but(t=np.zeros_like(t)))
    small = shrink(case, lambda c: c.widths[-1] > 1)
    np.testing.assert_allclose(small.t.sum(axis=1), 1)


def test_classes_follow_the_columns_that_are_left():
    loss = {"type": "CrossEntropyLoss", "weight": [1.0, 2.0, 3.0], "ignore_index": 2}
    case = deep(n=4, loss=loss, t=np.array([0, 1, 2, 1]))
    cut = keep_columns(case, segments(case)[-1], [1, 2])
    assert cut.t.tolist() == [0, 0, 1, 0]
    assert cut.loss == {"type": "CrossEntropyLoss", "weight": [2.0, 3.0], "ignore_index": 1}
    assert keep_columns(case, segments(case)[-1], [0, 1]) is None


def test_a_layer_goes_with_its_arrays_and_those_after_it_are_counted_anew():
    case = deep()
    cut = remove_layers(case, 2, 3)
    assert cut.widths == (5, 4, 4, 4, 3, 3)
    np.testing.assert_array_equal(cut.params["3.weight"], case.params["4.weight"][:, :4])
    assert shapes_fit(cut)


def found(got, kind="wrong", quantity="loss", expected=0.0, blamed=(), **changes):
    case = deep(**changes)
    entries = (Entry(quantity, (), got, expected, 0.0),)
    return Finding("a:loss", case, (case,), kind=kind, entries=entries, blamed=blamed)


def test_a_failure_stays_of_its_kind_and_material():
    assert same_failure(found(0.5), found(2.0))
    assert not same_failure(found(1e-16), found(2.0))
    assert same_failure(found(1e-16), found(3e-16))
    assert not same_failure(found(2.0, "crash"), found(2.0))
    assert not same_failure(None, found(2.0))


def test_a_failure_stays_finite_or_not():
    assert not same_failure(found(np.nan), found(2.0))
    assert not same_failure(found(2.0), found(np.nan))
    assert same_failure(found(np.inf), found(np.nan))


def test_a_failure_stays_in_its_quantity_and_kind_of_parameter():
    weight, bias = found(2.0, quantity="grads.4.weight"), found(2.0, quantity="grads.0.bias")
    assert same_failure(found(3.0, quantity="grads.0.weight"), weight)
    assert not same_failure(bias, weight)
    assert not same_failure(found(2.0, quantity="params.0.bias"), bias)


def test_a_failure_keeps_the_features_that_are_blamed():
    curved = found(2.0, blamed=("Tanh",))
    assert same_failure(found(2.0), curved)
    assert not same_failure(found(2.0, layers=()), curved)
    assert not same_failure(found(2.0), found(2.0, blamed=("ReLU",)))


@pytest.mark.parametrize("factor", [-1.0, 2.0, 0.0, 0.5])
def test_a_failure_keeps_a_factor_that_is_a_constant(factor):
    def scaled(factor, expected, n=6):
        return found(factor * expected, expected=expected, n=n)

    assert same_failure(scaled(factor, 3.0), scaled(factor, 0.7))
    assert not same_failure(scaled(0.3, 3.0), scaled(factor, 0.7))
    assert same_failure(scaled(1 / 2, 3.0, n=2), scaled(1 / 6, 0.7)), "1/N"
    assert same_failure(scaled(1 / 5, 3.0, n=5), scaled(1 / 2, 0.7, n=2)), "1/N"


def test_an_error_stays_of_its_type():
    def raised(message):
        return replace(found(2.0, "error"), message=message)

    first = raised("Traceback …\nValueError: shapes (5,) and (6,)")
    assert same_failure(raised("ValueError: shapes (1,) and (2,)"), first)
    assert not same_failure(raised("KeyError: 'Tanh'"), first)
