"""Inputs of a gradcheck: every point is in its domain, and the first points reach every style."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manualnn.errors import GradcheckError
from manualnn.gradcheck.inputs.array import Array
from manualnn.gradcheck.inputs.draws import draw_cotangents, draw_points
from manualnn.gradcheck.inputs.numbers import neighbour, rounded
from manualnn.gradcheck.inputs.shapes import broadcast_shapes, vary_shapes
from manualnn.gradcheck.inputs.styles import STYLES

FLOATS = ["float64", "float32", "float16", "bfloat16"]
BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
CARRIERS = {"float64": "f8", "float32": "f4", "float16": "f2", "bfloat16": "f4"}

sizes = st.integers(0, 6)
shapes = st.lists(sizes, max_size=3).map(tuple)
dtypes = st.sampled_from(FLOATS)


@st.composite
def intervals(draw):
    low, high = sorted(draw(st.tuples(*[st.sampled_from([-300, -1, -0.1, 0, 0.3, 1, 2, 90])] * 2)))
    low, high = draw(st.sampled_from([(low, None), (None, high), (low, high + 1)]))
    kind = draw(st.sampled_from(["real", "sorted"]))
    shape = draw(shapes if kind == "real" else shapes.filter(len))
    return Array(shape, low=low, high=high, kind=kind, open=draw(st.booleans()), dtype=draw(dtypes))


@st.composite
def structures(draw):
    kind = draw(st.sampled_from(["positive", "probabilities", "sorted", "symmetric", "spd"]))
    shape = draw(shapes)
    if kind in {"symmetric", "spd"}:
        shape += (draw(sizes),) * 2
    if kind in {"probabilities", "sorted"}:
        shape += (draw(sizes),)
    axis = draw(st.integers(-len(shape), len(shape) - 1)) if shape else -1
    return Array(shape, kind=kind, axis=axis, dtype=draw(dtypes))


@st.composite
def wholes(draw):
    shape = draw(shapes)
    return draw(
        st.sampled_from(
            [
                Array(shape, kind="classes", high=4),
                Array(shape, kind="integers", low=-3, high=2, dtype="int8"),
                Array(shape, kind="integers"),
                Array(shape, kind="boolean"),
                Array(shape, dtype="uint8"),
            ]
        )
    )


reals = st.builds(Array, shapes, dtype=dtypes)
specs = st.one_of(reals, intervals(), structures(), wholes())
seeds = st.integers(0, 2**32)


def has_its_domain(spec, array):
    """Return whether the numbers are what the words of Array say, without asking the Array."""
    x = array.astype(np.float64)
    ends = [(spec.low, np.greater), (spec.high, np.less)]
    match spec.kind:
        case "classes" | "integers" | "boolean":
            low = spec.low or (0 if spec.kind == "classes" or spec.dtype == "uint8" else -8)
            low, high = (0, 1) if spec.kind == "boolean" else (low, spec.high or 16)
            high -= spec.kind == "classes"
            return array.dtype.name == spec.dtype and ((x >= low) & (x <= high)).all()
        case "positive":
            return (x > 0).all()
        case "probabilities":
            unit = 2.0 ** -BITS[spec.dtype]
            off = np.abs(x.sum(spec.axis) - 1) <= 2 * unit * array.shape[spec.axis]
            return (x >= 0).all() and (off.all() or not x.size)
        case "symmetric":
            return (x == x.swapaxes(-1, -2)).all()
        case "spd":
            roots = np.linalg.eigvalsh(x)
            return (x == x.swapaxes(-1, -2)).all() and (roots > 0).all()
        case "sorted":
            assert (np.diff(x, axis=spec.axis) >= 0).all()
    inside = [
        end is None or (strict(x, end) | ((x == end) & (not spec.open))).all()
        for end, strict in ends
    ]
    return all(inside) and np.isfinite(x).all()


@given(st.lists(specs, min_size=1, max_size=3), seeds)
def test_every_point_has_the_shape_the_dtype_and_the_domain_of_each_input(inputs, seed):
    for point in draw_points(inputs, np.random.default_rng(seed), 20):
        for spec, array in zip(inputs, point.arrays, strict=True):
            assert array.shape == spec.shape
            assert has_its_domain(spec, array), point.style
            assert spec.contains(array), point.style
            if spec.dtype in FLOATS:
                assert array.dtype == CARRIERS[spec.dtype]
                mantissas = np.frexp(array.astype(np.float64))[0] * 2.0 ** BITS[spec.dtype]
                assert (mantissas % 1 == 0).all()


def test_ends_of_a_domain_are_numbers_of_the_dtype_in_the_domain():
    above, below = float(np.float32(0.1)), float(np.float32(0.3)) - 2**-25  # 0.3f is above 0.3
    assert Array(low=0.1, high=0.3, dtype="float32").bounds == (above, below)
    assert Array(low=0.5, high=2, dtype="bfloat16", open=True).bounds == (0.5 + 2**-8, 2 - 2**-7)
    assert Array(low=0.5, high=2).bounds == (0.5, 2)
    assert Array(kind="positive").bounds == (2.0**-1022, math.inf)
    assert Array(kind="positive", low=1).bounds == (1, math.inf)


def test_zero_has_no_sign_at_the_end_of_a_domain():
    for point in draw_points([Array((50,), low=0)], np.random.default_rng(0), 14):
        assert not np.signbit(point.arrays[0]).any(), point.style


@pytest.mark.parametrize("ends", [{"low": -1}, {"high": 1}, {"low": -1, "high": 1}])
def test_numbers_beyond_an_end_are_spread_over_the_domain(ends):
    styles = ["normal", "magnitudes 2^±6"]
    for point in draw_points([Array((200,), **ends)], np.random.default_rng(0), 2, styles):
        assert len(np.unique(point.arrays[0])) == 200


def test_a_distribution_without_weights_is_drawn_as_one_class():
    many = Array((200, 2), kind="probabilities")
    for point in draw_points([many], np.random.default_rng(0), 14):
        assert has_its_domain(many, point.arrays[0])


@given(st.lists(specs, min_size=1, max_size=2), seeds)
def test_equal_generators_draw_equal_points(inputs, seed):
    first, second = (draw_points(inputs, np.random.default_rng(seed), 5) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert a.style == b.style
        for x, y in zip(a.arrays, b.arrays, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("inputs", "missing"),
    [
        ([Array((3,))], {"ends of the domain"}),
        ([Array((3,), low=0)], set()),
        ([Array((3,)), Array((3,), kind="classes", high=3)], set()),
        ([Array((3,), low=1, high=2)], {"zeros of both signs", "all zeros"}),
    ],
)
def test_the_first_points_have_each_style_that_applies_once(inputs, missing):
    points = draw_points(inputs, np.random.default_rng(0), len(STYLES))
    styles = [point.style for point in points[: len(STYLES) - len(missing)]]
    assert len(set(styles)) == len(styles)
    assert set(styles) == set(STYLES) - missing


@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_zeros_are_two_of_three_entries_or_more_and_never_all(size, seed):
    name = "zeros of both signs"
    (point,) = draw_points([Array((size,))], np.random.default_rng(seed), 1, [name])
    assert min(2, size - 1) <= (point.arrays[0] == 0).sum() < size


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_styles_reach_what_their_names_say(dtype):
    inputs = [Array((40,), dtype=dtype, low=low) for low in (None, -1, None)]
    points = draw_points(inputs, np.random.default_rng(0), len(STYLES))
    drawn = {point.style: [a.astype(np.float64) for a in point.arrays] for point in points}
    x = {style: arrays[0] for style, arrays in drawn.items()}
    exponent = {"float64": 1024, "float16": 16}.get(dtype, 128) * math.log(2)
    assert x["saturation"].max() > exponent  # exp overflows …
    assert x["saturation"].min() < -exponent  # … and vanishes
    zeros = x["zeros of both signs"]
    assert np.signbit(zeros[zeros == 0]).any()
    assert not np.signbit(zeros[zeros == 0]).all()
    assert (zeros != 0).any()
    assert (drawn["ties"][0] == drawn["ties"][2]).any()
    assert len(np.unique(x["ties"])) <= 3
    sizes_ = np.abs(x["magnitudes 2^±6"])
    assert sizes_.min() < 2**-4
    assert sizes_.max() > 2**4
    assert {-1, -1 + 2.0 ** -BITS[dtype]} <= set(drawn["ends of the domain"][1])
    assert (np.abs(np.diff(np.sort(x["sweep of ±10"]))) < 1.1).all()
    assert np.ptp(x["sweep of ±10"]) > 18
    assert ((2 * x["integers and halves"]) % 1 == 0).all()
    assert len(np.unique(x["all entries equal"])) == 1
    by_size = {style: np.sort(np.abs(numbers)) for style, numbers in x.items()}
    assert by_size["one large entry"][-1] > 4 * by_size["one large entry"][-2]
    assert 4 * by_size["one small entry"][0] < by_size["one small entry"][1]
    assert 0 < np.abs(x["tiny"]).max() <= 2.0 ** (-4 if dtype == "float16" else -19)
    assert (x["tiny"] != 0).all()


@given(structures(), st.data())
def test_embed_and_pull_are_adjoint_and_parameters_come_back(spec, data):
    numbers = st.integers(-99, 99)
    free = spec.free_size()
    p = np.array(data.draw(st.lists(numbers, min_size=free, max_size=free)), dtype=float)
    g = np.array(data.draw(st.lists(numbers, min_size=spec.size, max_size=spec.size)), dtype=float)
    x = spec.embed(p)
    assert x.shape == spec.shape
    np.testing.assert_array_equal(spec.parameters(x), p)
    assert (x.ravel() @ g) == (p @ spec.pull(g.reshape(spec.shape)))  # exact: integers
    for number in range(free):
        unit = spec.embed(np.eye(free)[number])
        assert unit[spec.index(number)] == 1


@pytest.mark.parametrize(
    "spec",
    [
        Array((2, 3, 3), kind="spd"),
        Array((4, 4), kind="symmetric", dtype="float32"),
        Array((3, 5), kind="probabilities", axis=0),
        Array((3, 5), kind="sorted", low=-2, high=2),
        Array((9,), low=1, open=True),
        Array((9,), kind="positive", dtype="bfloat16"),
        Array((9,), kind="integers"),
    ],
    ids=lambda spec: spec.kind,
)
def test_moved_and_shrunk_inputs_stay_in_the_domain(spec):
    rng = np.random.default_rng(0)
    for point in draw_points([spec], rng, 14):
        (array,) = point.arrays
        nearest = spec.shrink(array, 0)
        shrunk = [spec.shrink(array, fraction) for fraction in (1, 0.5, 2**-10)]
        moved = [spec.move(array, s * rng.normal(size=spec.free_size())) for s in (0.5, 2**-20)]
        for result in [nearest, *shrunk, *moved]:
            assert result.shape == array.shape
            assert result.dtype == array.dtype
        kept = [nearest, *shrunk] if spec.kind == "probabilities" else [nearest, *shrunk, *moved]
        for result in kept:
            assert has_its_domain(spec, result), point.style
        if spec.kind in {"symmetric", "sorted"}:
            assert not nearest.any()
        elif spec.kind == "probabilities":
            np.testing.assert_allclose(nearest, 1 / 3, rtol=1e-15)


@given(st.lists(st.one_of(reals, wholes()), min_size=1, max_size=3))
def test_equal_sizes_stay_equal_and_each_size_becomes_1_and_that_of_samples_0(inputs):
    variations = vary_shapes(inputs)
    names = {size for spec in inputs for size in spec.shape}
    reached = {size: {size} for size in names}
    for specs_ in variations:
        new = {}
        for spec, other in zip(inputs, specs_, strict=True):
            assert len(other.shape) == len(spec.shape)
            assert other.kind == spec.kind
            for size, renamed in zip(spec.shape, other.shape, strict=True):
                assert new.setdefault(size, renamed) == renamed
        assert any(size != renamed for size, renamed in new.items())
        for size, renamed in new.items():
            reached[size].add(renamed)
    counts = {spec.high for spec in inputs if spec.kind == "classes"}
    assert reached.get(1, {1}) == {1}
    for size in names - counts - {1}:
        assert 1 in reached[size]
        if all({size, 0}.isdisjoint(spec.shape[1:]) for spec in inputs):
            assert 0 in reached[size]
        assert max(reached[size]) > size


def test_one_variation_has_square_inputs():
    variations = vary_shapes([Array((5, 7)), Array((7,))])
    assert [(3, 3), (3,)] in [[spec.shape for spec in specs_] for specs_ in variations]


def test_a_number_of_classes_and_a_largest_index_follow_their_size():
    classes = Array((5,), kind="classes", high=7)
    index = Array((5,), kind="integers", low=0, high=6)
    for scores, labels, places in vary_shapes([Array((5, 7)), classes, index]):
        assert labels.shape == places.shape == scores.shape[:1]
        if labels.size:
            assert labels.high == scores.shape[1]
            assert places.high == scores.shape[1] - 1


@given(st.lists(reals, min_size=2, max_size=3))
def test_a_broadcast_variation_has_one_axis_of_size_1_in_one_input(inputs):
    for specs_ in broadcast_shapes(inputs):
        changed = [
            (spec.shape, other.shape)
            for spec, other in zip(inputs, specs_, strict=True)
            if spec.shape != other.shape
        ]
        ((before, after),) = changed
        assert [b for a, b in zip(before, after, strict=True) if a != b] == [1]


def test_inputs_of_equal_shapes_broadcast_each_axis_of_each():
    a, b = Array((5, 7)), Array((5, 7))
    found = [(x.shape, y.shape) for x, y in broadcast_shapes([a, b])]
    assert found == [((1, 7), (5, 7)), ((5, 1), (5, 7)), ((5, 7), (1, 7)), ((5, 7), (5, 1))]
    assert broadcast_shapes([Array((5, 7))]) == []
    assert broadcast_shapes([Array((5, 7)), Array((3, 4))]) == []
    assert broadcast_shapes([Array((1,)), Array((1,))]) == []


@given(st.lists(shapes, min_size=1, max_size=3), seeds)
def test_cotangents_have_the_outputs_shapes_and_each_name_its_numbers(outputs, seed):
    names = [FLOATS[number % 4] for number in range(len(outputs))]
    drawn = dict(draw_cotangents(outputs, np.random.default_rng(seed), names))
    for arrays in drawn.values():
        assert [array.shape for array in arrays] == outputs
        assert [array.dtype for array in arrays] == [CARRIERS[name] for name in names]
    flat = {name: np.concatenate([a.ravel() for a in arrays]) for name, arrays in drawn.items()}
    assert (flat["ones"] == 1).all()
    assert (np.abs(flat["signs"]) == 1).all()
    assert np.count_nonzero(flat["one entry"]) == min(1, flat["one entry"].size)


@given(dtypes, st.floats(-(2**15), 2**15))
def test_rounded_takes_the_nearest_number_and_neighbours_have_none_between(dtype, number):
    near = float(rounded(number, dtype))
    above, below = (neighbour(near, dtype, up=up) for up in (True, False))
    assert below < near < above
    assert abs(number - near) <= min(above - near, near - below) or number == near
    for end in (above, below):
        assert neighbour(end, dtype, up=end < near) == near
        middle = (near + end) / 2
        assert float(rounded(middle, dtype)) in {near, end}


def test_rounding_to_bfloat16_takes_the_even_one_of_two_nearest():
    halfway = [1 + 2**-8, 1 + 3 * 2**-8, -(1 + 2**-8), 3.0]
    assert rounded(halfway, "bfloat16").tolist() == [1, 1 + 2**-6, -1, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (-1,)}, r"shape must be a tuple of sizes such as \(5, 7\), got \(-1,\)"),
        ({"shape": "57"}, "shape must be a tuple of sizes"),
        ({"shape": (2.0,)}, "shape must be a tuple of sizes"),
        ({"kind": "normal"}, "kind must be one of real, positive.*got 'normal'"),
        ({"dtype": "complex64"}, "real and the imaginary part as two inputs"),
        ({"dtype": "float8"}, "expected a dtype among float64"),
        ({"low": 1, "high": 0}, "no float64 number: low=1.0, high=0.0"),
        ({"low": 1, "high": 1, "open": True}, "no float64 number"),
        ({"low": "0"}, None),
        ({"low": "zero"}, "low must be a number, got 'zero'"),
        ({"high": math.nan}, "high must be a number, got nan"),
        ({"kind": "positive", "low": -1}, "numbers > 0; got low=-1"),
        ({"kind": "probabilities"}, r"needs an axis of shape \(\); got axis=-1"),
        ({"kind": "probabilities", "shape": (3,), "low": 0}, "a domain of its own"),
        ({"kind": "spd", "shape": (2, 3)}, r"square matrix.*got shape \(2, 3\)"),
        ({"kind": "symmetric"}, "square matrix"),
        ({"kind": "classes"}, "needs the number of classes, such as high=10; got high=None"),
        ({"kind": "classes", "high": 2.5}, "number of classes"),
        ({"kind": "sorted", "shape": (3,), "dtype": "int64"}, "needs a floating dtype, got int64"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(arguments, message):
    if message is None:
        assert Array(**arguments).low == 0
        return
    with pytest.raises(GradcheckError, match=message):
        Array(**arguments)
