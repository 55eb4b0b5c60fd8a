"""Inputs given as examples or strategies: what is known of their domains, and their first point."""

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from manualnn.errors import GradcheckError
from manualnn.gradcheck.inputs.array import Array
from manualnn.gradcheck.inputs.domains import widen
from manualnn.gradcheck.inputs.draws import draw_points
from manualnn.gradcheck.inputs.read import read_inputs, read_parameters
from manualnn.gradcheck.inputs.shapes import broadcast_shapes, vary_shapes


def drawn(inputs, count=16, seed=0):
    return draw_points(read_inputs(inputs), np.random.default_rng(seed), count)


@pytest.mark.parametrize(
    ("numbers", "low", "high", "is_open"),
    [
        ([0.2, 0.7], 0, 1, True),
        ([0.0, 0.7], 0, 1, False),
        ([-0.2, 0.7], -1, 1, True),
        ([0.2, 7], 0, None, True),
        ([1, 7.0], 1, None, False),
        ([-0.2, 7], -1, None, True),
        ([-2, 7.0], None, None, True),
        ([-2, -7.0], None, -1, True),
        ([1.0, 1], 0, None, True),
        ([-1.0, -1], None, 0, True),
        ([0.0, 0], None, None, True),
    ],
)
def test_the_domain_is_the_smallest_interval_with_ends_0_and_1_and_infinity(
    numbers, low, high, is_open
):
    (spec,) = read_inputs([np.array(numbers)])
    assert (spec.low, spec.high) == (low, high)
    assert spec.open == is_open


def test_the_first_point_is_the_example_and_the_others_keep_its_signs():
    example = np.array([0.3, 2.5, 0.7])
    points = drawn([example])
    np.testing.assert_array_equal(points[0].arrays[0], example)
    assert points[0].style == "your example"
    for point in points[1:]:
        assert (point.arrays[0] > 0).all()
        assert not np.array_equal(point.arrays[0], example)


@pytest.mark.parametrize("fixed", [np.array([0, 3, 1]), np.array([True, False]), 3, True])
def test_integers_and_booleans_stay_as_they_are(fixed):
    for point in drawn([fixed, np.ones(3)]):
        np.testing.assert_array_equal(point.arrays[0], fixed)
        assert point.arrays[0].dtype == np.asarray(fixed).dtype


def test_a_mask_with_infinities_stays_and_nan_is_refused():
    mask = np.array([0, -np.inf])
    for point in drawn([mask, np.ones(2)]):
        np.testing.assert_array_equal(point.arrays[0], mask)
    with pytest.raises(GradcheckError, match="an example has NaN"):
        read_inputs([np.array([0, np.nan])])


@pytest.mark.parametrize(
    ("example", "kind"),
    [
        (np.array([[0.25, 0.75], [0.5, 0.5]]), "probabilities"),
        (np.array([0.1, 0.2, 0.4, 0.5, 0.9]), "sorted"),
        (np.array([[2, 1.0], [1, 3]]), "spd"),
        (np.array([[0, 1.0], [1, 0]]), "symmetric"),
        (np.ones((3, 3)), "real"),
        (np.eye(3), "real"),
        (np.array([0.1, 0.2, 0.3]), "real"),
        (np.arange(4.0).reshape(2, 2), "real"),
        (np.array([1.0, 0.0]), "real"),
    ],
)
def test_a_structure_is_kept_unless_it_may_be_chance(example, kind):
    assert read_inputs([example])[0].kind == kind
    for point in drawn([example]):
        (x,) = point.arrays
        match kind:
            case "probabilities":
                np.testing.assert_allclose(x.sum(-1), 1, rtol=4e-16)
            case "sorted":
                assert (np.diff(x) >= 0).all()
            case "symmetric" | "spd":
                assert (x == x.T).all()


@pytest.mark.parametrize(
    ("f", "narrow", "low", "high"),
    [
        (np.tanh, [0.2, 0.7], 0, None),
        (np.tanh, [-0.2, 0.7], None, None),
        (np.tanh, [1.2, 1.7], 0, None),
        (np.tanh, [-1.2, -1.7], None, 0),
        (np.log1p, [-0.2, 0.7], -1, None),
        (lambda x: np.log(1 - x), [-0.2, 0.7], None, 1),
        (np.arcsin, [-0.2, 0.7], -1, 1),
        (np.arccosh, [1.2, 1.7], 1, None),
        (lambda x: [x][int(np.abs(x).max() > 1)], [0.2, 0.7], 0, 1),
    ],
)
def test_a_domain_is_widened_where_the_function_has_values(f, narrow, low, high):
    example = np.array(narrow)
    with np.errstate(all="ignore"):
        (spec,) = widen(read_inputs([example]), lambda arrays: [f(arrays[0])])
    assert (spec.low, spec.high) == (low, high)
    first = draw_points([spec], np.random.default_rng(0), 1)[0]
    np.testing.assert_array_equal(first.arrays[0], example)


def test_what_the_user_gave_as_a_domain_is_never_widened():
    specs = [Array((3,), low=-1, high=1)]
    assert widen(specs, list) == specs


def test_a_strategy_draws_its_own_numbers_and_equal_seeds_draw_equal_ones():
    lengths = st.shared(st.integers(1, 4), key="n")
    vector = lengths.flatmap(lambda n: arrays.arrays("f8", n, elements=st.floats(2, 3)))
    points = drawn([vector, vector, Array((2,))])
    assert len(points) == 16
    for point in points:
        x, y, z = point.arrays
        assert x.shape == y.shape
        assert ((x >= 2) & (x <= 3)).all()
        assert z.shape == (2,)
    again = drawn([vector, vector, Array((2,))])
    for one, other in zip(points, again, strict=True):
        np.testing.assert_array_equal(one.arrays[0], other.arrays[0])
    others = drawn([vector, vector, Array((2,))], seed=1)
    assert any(
        not np.array_equal(a.arrays[0], b.arrays[0]) for a, b in zip(points, others, strict=True)
    )
    assert vary_shapes(read_inputs([vector])) == []
    assert broadcast_shapes(read_inputs([vector, np.ones(3)])) == []


def test_a_strategy_without_finite_numbers_or_that_fails_is_refused():
    with pytest.raises(GradcheckError, match="no example of finite numbers"):
        read_inputs([st.just(np.array([np.inf]))])
    with pytest.raises(GradcheckError, match="Hypothesis cannot draw"):
        read_inputs([st.nothing()])
    with pytest.raises(GradcheckError, match=r"an example of the strategy must be .*got str"):
        read_inputs([st.just("text")])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "at least one input, got none"),
        ([Array], r"is the class Array; give an instance, such as Array\(\(5, 7\)\)"),
        (["text"], "input 0 must be an Array, a NumPy array.*got str"),
        ([np.ones(2), None], "input 1 must be .*got NoneType"),
        ([np.ones(2, complex)], "real and the imaginary part"),
    ],
)
def test_other_inputs_are_refused(inputs, message):
    with pytest.raises(GradcheckError, match=message):
        read_inputs(inputs)


def test_a_single_input_needs_no_list():
    assert read_inputs(Array((3,))) == [Array((3,))]
    assert read_inputs(np.ones(3))[0].shape == (3,)


def test_other_shapes_of_an_example_keep_its_domain_and_indices_stay_in_reach():
    scores, labels = read_inputs([np.array([[0.5, 2.5, 3.5]] * 2), np.array([0, 2])])
    for x, t in vary_shapes([scores, labels]):
        assert (x.low, x.high) == (0, None)
        assert t is labels
        assert x.shape[0] == 2
        assert x.shape[1] > 3
    ((wide,),) = [shapes for shapes in vary_shapes([scores]) if shapes[0].shape == (1, 3)]
    assert type(wide) is Array


@pytest.mark.once
def test_parameters_of_a_module_are_any_numbers_in_their_own_shape():
    weight, bias = read_parameters(
        [np.ones((7, 4), "float32"), np.zeros(7)], ["bfloat16", "float64"]
    )
    x = Array((5, 4))
    points = draw_points([x, weight, bias], np.random.default_rng(0), 16)
    assert (points[0].arrays[1] == 1).all()
    assert min(point.arrays[1].min() for point in points) < -10
    for first, second, third in vary_shapes([x, weight, bias]):
        assert first.shape[1] == 4
        assert second is weight
        assert third is bias
    assert all(w is weight for _, w, _ in broadcast_shapes([x, weight, bias]))


def test_torch_tensors_keep_their_dtypes_and_only_those_with_a_gradient_have_a_derivative():
    torch = pytest.importorskip("torch")
    weight = torch.tensor([1.5, -2.25], dtype=torch.bfloat16, requires_grad=True)
    target = torch.tensor([0.5, 2.0], dtype=torch.float64)
    w, t = read_inputs([weight, target])
    assert (w.dtype, t.dtype) == ("bfloat16", "float64")
    assert w.is_differentiable
    assert not t.is_differentiable
    np.testing.assert_array_equal(w.values, np.array([1.5, -2.25], np.float32))
    assert read_inputs([target])[0].is_differentiable
