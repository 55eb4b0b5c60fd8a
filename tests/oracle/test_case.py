"""Cases: their JSON form, and the id that depends on the numbers alone."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from manualnn.oracle.protocol.case import Case, read_array, to_base64, to_lists

FLOATS = st.sampled_from([np.dtype(np.float32), np.dtype(np.float64)])
ANY = FLOATS.flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=0, min_side=0)))


def example(**changes):
    rng = np.random.default_rng(0)
    case = Case(
        layers=(
            {"type": "Linear", "in_features": 3, "out_features": 2},
            {"type": "Dropout", "p": 0.5},
        ),
        loss={"type": "CrossEntropyLoss"},
        optimizer={"type": "Adam", "betas": (0.5, 0.9)},
        params={"0.weight": rng.normal(size=(2, 3)), "0.bias": rng.normal(size=2)},
        x=rng.normal(size=(4, 3)),
        t=np.array([0, 1, 1, -100]),
        state={"step": 3, "exp_avg": {"0.weight": rng.normal(size=(2, 3))}},
        noise={"1.mask": 2.0 * rng.integers(0, 2, (4, 2))},
        note="an example",
    )
    return case.but(**changes)


@given(ANY, st.sampled_from([to_lists, to_base64]))
def test_an_array_survives_each_of_its_forms(array, write):
    again = read_array(json.loads(json.dumps(write(array))), array.dtype)
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    np.testing.assert_array_equal(again, array)
    assert np.array_equal(np.signbit(again), np.signbit(array)) or np.isnan(array).any()


def test_json_without_nan_may_write_null_or_a_string():
    array = read_array([[None, "Infinity"], ["-Infinity", "NaN"]], np.float64)
    np.testing.assert_array_equal(array, [[np.nan, np.inf], [-np.inf, np.nan]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_case_survives_json(dtype):
    case = example(dtype=dtype).map(lambda name, a: a if name == "t" else a.astype(dtype))
    again = Case.from_json(json.loads(json.dumps(case.to_json())))
    assert again.id == case.id
    assert again.layers == case.layers
    assert again.state["step"] == 3
    for (name, array), other in zip(case.arrays().items(), again.arrays().values(), strict=True):
        assert other.dtype == array.dtype, name
        np.testing.assert_array_equal(other, array, err_msg=name)


def test_an_id_is_the_same_for_the_same_numbers_and_no_others():
    case = example()
    assert case.id == example(note="another note", recipe="another").id
    moved = case.map(lambda name, a: np.nextafter(a, 9) if name == "params.0.bias" else a)
    assert len({case.id, moved.id, example(steps=2).id, example(state=None).id}) == 4


def test_targets_of_classes_are_integers_and_probabilities_are_not():
    assert Case.from_json(example().to_json()).t.dtype == np.int64
    soft = example(t=np.full((4, 2), 0.5))
    assert Case.from_json(soft.to_json()).t.dtype == np.float64


def test_widths_follow_the_layers():
    assert example().widths == (3, 2, 2)


def test_a_copy_shares_no_memory():
    case = example()
    for (name, array), other in zip(
        case.arrays().items(), case.copy().arrays().values(), strict=True
    ):
        assert not np.shares_memory(array, other), name


def test_another_protocol_is_refused():
    with pytest.raises(ValueError, match="protocol 1"):
        Case.from_json({**example().to_json(), "protocol": 2})
