"""The truth: its values are correct, its bounds hold for correct engines, and they are tight."""

import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle.drawn import drawn_case
from oracle.exactly import exactly, step

from manualnn.engine import Engine
from manualnn.oracle.cases.draft import with_rule
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import (
    LAYER_ROWS,
    LAYERS,
    LOSS_ROWS,
    LOSSES,
    OPTIMIZERS,
    fit,
    shapes_of,
)
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth import extended as wide
from manualnn.oracle.truth.bounded import SLACK, Bounded, Precision
from manualnn.oracle.truth.compare import refutes
from manualnn.oracle.truth.functions import sign
from manualnn.oracle.truth.step import truth, update_truth

SEEDS = st.integers(0, 2**32 - 1)
DTYPES = ["float32", "float64"]
KINDS = {
    "native": {},
    "longdouble of 53 bits": {"longdouble_bits": 53},
    "mpmath": {"numbers": "mpmath"},
}
SAYS = {"layers": ["Linear", "ReLU", "Sigmoid"], "losses": ["MSELoss"], "dtypes": DTYPES}


def linear(weight, x, t=None, **options):
    """One Linear layer without bias; its squared errors, added."""
    weight, x = np.array(weight, options.get("dtype", float)), np.atleast_2d(x)
    layer = {"type": "Linear", "in_features": x.shape[1], "out_features": len(weight)}
    t = np.zeros((len(x), len(weight)), weight.dtype) if t is None else np.array(t, weight.dtype)
    loss = {"type": "MSELoss", "reduction": "sum"}
    x = x.astype(weight.dtype)
    return Case(({**layer, "bias": False},), loss, {"0.weight": weight}, x, t, **options)


def plain_case(seed, dtype):
    """A case without provocation: a net of two layers, numbers about 1."""
    rng, width = np.random.default_rng(seed), 4
    shapes = {"0.weight": (width, 3), "0.bias": (width,), "2.weight": (2, width), "2.bias": (2,)}
    params = {k: (rng.normal(size=s) / s[-1] ** 0.5).astype(dtype) for k, s in shapes.items()}
    layers = (
        {"type": "Linear", "in_features": 3, "out_features": width},
        {"type": str(rng.choice(["Tanh", "Sigmoid", "ReLU", "Softplus"]))},
        {"type": "Linear", "in_features": width, "out_features": 2},
    )
    loss = {"type": str(rng.choice(["MSELoss", "HuberLoss", "BCEWithLogitsLoss"]))}
    x, t = rng.normal(size=(8, 3)).astype(dtype), rng.random((8, 2)).astype(dtype)
    optimizer = {"type": str(rng.choice(list(OPTIMIZERS))), "lr": 0.05}
    return with_rule(Case(layers, loss, params, x, t, dtype=dtype), optimizer)


def results(engine, case):
    """Return what an engine answers, under the names that the truth gives."""
    answer = engine.step(case)
    found = {name: answer[name] for name in ("outputs", "loss", "input_grad")}
    groups = {"grads": answer["grads"], "params": answer["params"]}
    groups |= {f"state.{k}": g for k, g in answer.get("state", {}).items() if k != "step"}
    return found | {
        f"{g}.{k}": array for g, arrays in groups.items() for k, array in arrays.items()
    }


def refuted(case, found, precision=None):
    expected = truth(case, precision).quantities()
    return {name: near for name, near in expected.items() if refutes(near, found[name]).any()}


# ---------------------------------------------------------------------- the values


def smooth(case, steps):
    """Return whether BCELoss is nowhere cut off: the slope that it has there is not the loss's."""
    y = truth(case.but(steps=steps)).outputs.v
    return np.all(y * (1 - y) > 1e-11)


@pytest.mark.parametrize("how", KINDS)
@settings(max_examples=settings.default.max_examples // 2)  # differences take their time
@given(seed=SEEDS, dtype=st.sampled_from(DTYPES))
def test_the_truth_is_that_of_200_digits_and_differences_of_the_loss(how, seed, dtype):
    """To a thousandth of its own bound, whatever numbers it is kept in; x is clipped off kinks."""
    case = drawn_case(np.random.default_rng(seed), dtype=dtype, largest=3, weights=0.3, around=0.4)
    case = case.but(x=np.clip(case.x, -1.7, 1.7), steps=min(case.steps, 2))
    assume(case.loss["type"] != "BCELoss" or all(smooth(case, s) for s in {1, case.steps}))
    expected, exact = truth(case, Precision(dtype, **KINDS[how])), step(case)
    for name, near in expected.quantities().items():
        v = near.v if near.v.dtype == object else exactly(near.v)
        error, e = np.asarray(np.abs(v - exact[name])), np.asarray(near.e)
        where = near.bounded
        assert (error[where] <= e[where] * (SLACK - 1)).all(), name


BY_SIGN = {"Lion", "Rprop"}
"""Rules whose steps follow the signs of gradients."""


def has_signs(case):
    """Return whether rounding decides no sign of a gradient in any step."""
    steps = (truth(case.but(steps=s)).grads.values() for s in range(1, case.steps + 1))
    return all((sign(g).e == 0).all() for grads in steps for g in grads)


@pytest.mark.parametrize("loss", LOSSES)
@given(seed=SEEDS, optimizer=st.sampled_from(list(OPTIMIZERS)))
def test_narrower_machines_come_to_the_same_truth_and_bounds(loss, seed, optimizer):
    """To a thousandth of the bound; where rounding decides a branch, the bound has both."""
    case = drawn_case(np.random.default_rng(seed), loss=loss, optimizer=optimizer, dtype="float64")
    here, there = truth(case), truth(case, Precision("float64", longdouble_bits=53))
    is_open = here.undecided[0] or (optimizer in BY_SIGN and not has_signs(case))
    share = 1 if is_open else SLACK - 1
    for name, near in here.quantities().items():
        other = there.quantities()[name]
        both = near.bounded & other.bounded
        # BCE of a y that longdouble takes for 1 has a bound that reaches the logarithms' end.
        clear = both & (near.e < 1)
        apart = np.asarray(np.abs(exactly(near.v) - other.v)).astype(float)
        assert (apart <= near.e * share)[clear].all(), name


@pytest.mark.parametrize("e", [1.0, 2.0, np.inf, np.nan])
def test_a_sign_without_a_useful_bound_is_undecided(e):
    """Only e < |v| decides a sign; then a rule that follows it covers both branches."""
    kind = Precision("float64")
    assert sign(Bounded(np.array([-1.0, 0.0]), np.array([e, e]), kind)).e.tolist() == [2, 2]
    assert sign(Bounded(np.array([-1.0, 0.0]), np.array([0.9, 0.0]), kind)).e.tolist() == [0, 0]


def test_an_empty_batch_adds_nothing():
    case = linear(np.ones((2, 3)), np.zeros((0, 3)), optimizer={"type": "SGD", "lr": 0.1})
    expected = truth(case)
    assert expected.loss.v == expected.loss.e == 0
    np.testing.assert_array_equal(expected.grads["0.weight"].v, np.zeros((2, 3)))
    np.testing.assert_array_equal(expected.params["0.weight"].v, np.ones((2, 3)))
    assert not expected.grads["0.weight"].e.any()


def test_what_no_engine_rounds_has_no_room():
    expected = truth(linear([[0.0, 0.0]], [[3.0, 0.1]]))
    assert not expected.outputs.e.any()
    assert not expected.grads["0.weight"].e.any()


def test_a_product_too_small_for_float64_is_not_taken_for_an_exact_0():
    """1e-200 · 1e-200 is 0 to an engine, and so is 1e300 times it; the truth is 1e-100."""
    one = {"type": "Linear", "in_features": 1, "out_features": 1, "bias": False}
    params = {"0.weight": np.array([[1e-200]]), "1.weight": np.array([[1e300]])}
    x, t = np.array([[1e-200]]), np.array([[0.0]])
    case = Case((one, one), {"type": "MSELoss"}, params, x, t)
    near = truth(case).outputs
    assert near.v > 0
    assert not refutes(near, [[0.0]]).any()
    assert refutes(near, [[2e-22]]).any()


def test_where_something_overflows_there_is_no_bound():
    case = linear([[1e308, 1e308, -1e308]], [[1.0, 1.0, 1.0]])
    assert not truth(case).outputs.bounded.any()
    assert not refutes(truth(case).outputs, [[np.nan]]).any()


@pytest.mark.parametrize("layer", [name for name in LAYERS if name != "Linear"])
def test_an_overflow_reaches_whatever_is_computed_from_it(layer):
    """inf − inf is NaN, which no later function need bring back into its range."""
    outputs = 2 * LAYER_ROWS[layer].multiple
    weight = [[1e308, 1e308, -1e308], *[[1.0, 1.0, 1.0]] * (outputs - 1)]
    spec = fit({"type": layer}, outputs)
    own = {f"1.{name}": np.ones(shape) for name, shape in shapes_of(spec, outputs).items()}
    for loss in LOSSES:
        case = linear(weight, [[1.0, 1.0, 1.0]], [[0.5, 0.5]])
        layers = (*case.layers, spec)
        case = case.but(layers=layers, loss={"type": loss}, params=case.params | own)
        if LOSS_ROWS[loss].class_targets == ("indices",):
            case = case.but(t=np.zeros(case.n, int))
        if LOSS_ROWS[loss].targets == "labels":
            case = case.but(t=np.array([[0, -1]] * case.n))
        expected = truth(case).quantities()
        for name in ("loss", "input_grad"):
            assert not expected[name].bounded.any(), (loss, name)
        assert not expected["outputs"].bounded[0, 0], loss
        assert not expected["grads.0.weight"].bounded[0].any(), loss


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1 + 1e-14, -1, 0])
def test_a_wrong_number_is_refuted(number):
    assert refutes(truth(linear([[1.0]], [[1.0]])).outputs, [[number]]).all()


# ---------------------------------------------------------------------- right engines


@pytest.mark.parametrize("engine", [Textbook, Engine])
@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=SEEDS)
def test_a_right_engine_is_never_refuted(engine, dtype, seed):
    for i in range(8):
        case = drawn_case(np.random.default_rng([seed, i]), dtype=dtype, weights=0.3, around=0.4)
        if (case.t == case.loss.get("ignore_index")).all():  # which the package refuses
            continue
        if case.loss["type"].startswith("BCE"):  # the package has weights for columns alone
            case = case.but(loss={**case.loss, "weight": None})
            if "pos_weight" in case.loss:
                case = case.but(loss={**case.loss, "pos_weight": [3.0] * case.widths[-1]})
        assert not refuted(case, results(engine(), case)), case.to_json()


TINY = {"float32": [1e-38, 1e-23, 1e-19, 1e-8], "float64": [1e-308, 1e-170, 1e-154, 1e-8]}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("eps", [1e-8, 1e-30])
def test_a_root_near_0_has_a_bound_that_right_engines_keep(name, dtype, eps):
    """g² underflows, or comes close to it, and m / (√v + ε) is as steep as 1/ε."""
    options = {"eps": eps} if "eps" in OPTIMIZERS[name] else {}
    for size in TINY[dtype]:
        case = linear(
            [[1.0, 2.0]],
            [[size, -3 * size]],
            [[1.0]],
            dtype=dtype,
            optimizer={"type": name, "lr": 0.1, **options},
        )
        assert not refuted(case, results(Textbook(), case))


@pytest.mark.parametrize("steps", [1, 30, 1000, 10**6])
@pytest.mark.parametrize(
    "options", [{}, {"amsgrad": True}, {"maximize": True}, {"betas": (0, 0.9)}]
)
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_late_steps_of_adam(name, options, steps):
    state = {key: {"0.weight": np.array([[0.3, 0.02]])} for key in ("exp_avg", "exp_avg_sq")}
    if "amsgrad" in options:
        state["max_exp_avg_sq"] = {"0.weight": np.array([[0.2, 0.2]])}
    case = linear(
        [[1.0, 2.0]],
        [[0.1, -3.0]],
        [[1.0]],
        optimizer={"type": name, "lr": 0.1, "weight_decay": 0.1, **options},
        state={"step": steps, **state},
    )
    assert truth(case).steps == steps + 1
    assert not refuted(case, results(Textbook(), case))
    skewed = results(Textbook(), case.but(state={"step": steps + 1, **state}))
    if steps < 1000 and options != {"betas": (0, 0.9)}:
        assert refuted(case, skewed)


# ---------------------------------------------------------------------- tightness


BLUNT = {"float32": 1e-5, "float64": 1e-12}


def sharpness(dtype, widened=1.0):
    """Return the median of e / |v| in plain cases."""
    ratios = []
    for seed in range(60):
        for near in truth(plain_case(seed, dtype)).quantities().values():
            telling = near.bounded & (near.v != 0)
            ratios.append(widened * near.e[telling] / np.abs(near.v[telling]))
    return float(np.median(np.concatenate(ratios)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_plain_cases_are_judged_sharply(dtype):
    median = sharpness(dtype)
    print(f"median sharpness, {dtype}: {median:.1e}")  # noqa: T201 - pytest -rP shows it
    assert median < BLUNT[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_bound_a_million_times_too_wide_would_be_noticed(dtype):
    assert sharpness(dtype, 1e6) > BLUNT[dtype]


def test_the_bound_of_a_product_is_attained_to_a_tenth():
    """1 + n·(u − a little), added in order, loses every term: the error comes close to γₙ."""
    terms = np.full(4000, 2.0**-53)
    terms[0] = 1
    near = truth(linear(np.ones((1, 4000)), terms)).outputs
    error = np.abs(np.add.accumulate(terms)[-1:] - near.v)
    assert (0.1 * near.e < error).all()
    assert not refutes(near, [[np.add.accumulate(terms)[-1]]]).any()


# ---------------------------------------------------------------------- claims


def claims(**said):
    return Capabilities.read({**SAYS, **said})


def test_claims_of_nothing_change_nothing():
    case = plain_case(3, "float64")
    for a, b in zip(
        truth(case).quantities().values(),
        truth(case, Precision.of("float64", claims())).quantities().values(),
        strict=True,
    ):
        np.testing.assert_array_equal(a.e, b.e)


def test_sums_in_float32_are_right_where_that_is_claimed_and_only_there():
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(2, 500)), rng.normal(size=(3, 500))
    case = linear(weight, x)
    y = (x.astype(np.float32) @ weight.T.astype(np.float32)).astype(float)
    assert refutes(truth(case).outputs, y).any()
    narrow = Precision.of("float64", claims(accumulate_dtype="float32"))
    assert not refutes(truth(case, narrow).outputs, y).any()
    lost = np.full(4000, 2.0**-24)
    lost[0] = 1  # added in order to which, in float32, every other is lost
    near = truth(linear(np.ones((1, 4000)), lost), narrow).outputs
    assert not refutes(near, [[1.0]]).any()
    assert refutes(near, [[0.9]]).all()


def test_sums_in_float64_hold_a_float32_engine_to_them():
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(2, 500)), rng.normal(size=(3, 500))
    case = linear(weight, x, dtype="float32")
    w, x = case.params["0.weight"], case.x
    good, plain = x.astype(float) @ w.T.astype(float), np.add.accumulate(x[:, None] * w, 2)[..., -1]
    claimed = truth(case, Precision.of("float32", claims(accumulate_dtype="float64"))).outputs
    assert not refutes(claimed, good.astype(np.float32)).any()
    assert refutes(claimed, plain).any()
    assert not refutes(truth(case).outputs, plain).any()


def test_a_sum_of_one_term_is_rounded_to_the_accumulator_too():
    case = Case((), {"type": "MSELoss"}, {}, np.array([[1 / 3]]), np.zeros((1, 1)))
    stored = np.float32(1 / 9)
    assert refutes(truth(case).loss, stored)
    narrow = Precision.of("float64", claims(accumulate_dtype="float32"))
    assert not refutes(truth(case, narrow).loss, stored)


@pytest.mark.parametrize("dtype", DTYPES)
def test_decay_as_textbooks_have_it_is_right(dtype):
    """(1 − lr λ) p − lr g, every option and operation rounded to the dtype."""
    rng, kind = np.random.default_rng(0), np.dtype(dtype).type
    p, g = rng.normal(size=(2, 1, 4000)).astype(dtype)
    rule = {"type": "SGD", "lr": 0.02, "weight_decay": 0.1}
    case = linear(p, np.zeros((1, 4000)), optimizer=rule, dtype=dtype)
    near = update_truth(case, {"0.weight": g})["params.0.weight"]
    lr, decay = kind(0.02), kind(0.1)
    assert not refutes(near, p * (1 - lr * decay) - lr * g).any()
    assert refutes(near, p * (1 - lr * decay) - lr * g * kind(1 + 1e-4)).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_hubers_slope_differentiated_by_parts_is_right(dtype):
    """½q² + δ(|e| − q), q = min(|e|, δ), has the slope δ + (q − δ), however small e may be."""
    y = np.random.default_rng(0).uniform(1e-6, 2, (50, 40)).astype(dtype)
    loss = {"type": "HuberLoss", "delta": 2.5, "reduction": "sum"}
    near = truth(Case((), loss, {}, y, np.zeros_like(y), dtype=dtype)).input_grad
    delta = np.dtype(dtype).type(2.5)
    assert not refutes(near, delta + (y - delta)).any()
    assert refutes(near, y * delta.dtype.type(1 + 1e-4)).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_subnormal_number_may_be_0_where_that_is_claimed(dtype):
    tiny = float(np.finfo(dtype).tiny)
    case = linear([[0.5, 1.0]], [[tiny, tiny / 4]], dtype=dtype)
    zero = np.zeros((1, 1))
    assert refutes(truth(case).outputs, zero).all()
    flushed = truth(case, Precision.of(dtype, claims(subnormals="flushed"))).outputs
    assert not refutes(flushed, zero).any()
    assert refutes(flushed, zero + 64 * tiny).all()


def test_worse_functions_are_right_where_that_is_claimed():
    case = linear([[1.0]], [[0.7]], [[0.0]])
    case = case.but(layers=(*case.layers, {"type": "Tanh"}))
    y = np.tanh([[0.7]]) * (1 + 40 * 2.0**-52)
    assert refutes(truth(case).outputs, y).all()
    claimed = Precision.of("float64", claims(elementary_ulps=64))
    assert not refutes(truth(case, claimed).outputs, y).any()


@pytest.mark.parametrize(("name", "usual"), [("ReLU", 0), ("LeakyReLU", 0.01), ("L1Loss", 0)])
@pytest.mark.parametrize("claimed", [None, 0.5, 1.0])
def test_the_derivative_at_a_kink_is_torchs_or_the_one_claimed(name, usual, claimed):
    layers, x = (({"type": name},), np.zeros((1, 1))) if name != "L1Loss" else ((), np.ones((1, 1)))
    case = Case(layers, {"type": "L1Loss", "reduction": "sum"}, {}, x, np.ones((1, 1)))
    kink = {} if claimed is None else {name: claimed}
    expected = truth(case, Precision.of("float64", claims(kink=kink)))
    value = usual if claimed is None else claimed
    assert not refutes(expected.input_grad, [[value if name == "L1Loss" else -value]]).any()
    assert refutes(expected.input_grad, [[0.7]]).all()
    assert expected.undecided[0] == 0


def test_a_slope_that_rounding_decides_is_counted_and_left_open():
    """3 · 0.1 − 0.3 is 5.6e-17 in exact arithmetic, and 0 or so in float64."""
    case = linear([[3.0, -1.0], [1.0, 1.0]], [[0.1, 0.3]], [[5.0, 5.0]])
    expected = truth(case.but(layers=(*case.layers, {"type": "ReLU"})))
    assert expected.undecided == (1, 2)
    assert not refutes(expected.grads["0.weight"], [[0, 0], [-0.92, -2.76]]).any()
    assert not truth(case).undecided[1]


# ---------------------------------------------------------------------- one update


@given(seed=SEEDS)
def test_an_update_from_given_gradients_is_the_rule_in_fractions(seed):
    rng = np.random.default_rng(seed)
    p, g, b = (rng.normal(size=(2, 3)) for _ in range(3))
    optimizer = {"type": "SGD", "lr": 0.3, "momentum": 0.9, "weight_decay": 0.1}
    state = {"step": 4, "momentum_buffer": {"0.weight": b}}
    case = linear(p, np.ones((1, 3)), optimizer=optimizer, state=state)
    after = update_truth(case, {"0.weight": g})
    for at in np.ndindex(2, 3):
        p_, g_, b_ = (Fraction(float(a[at])) for a in (p, g, b))
        b_ = Fraction(0.9) * b_ + g_ + Fraction(0.1) * p_
        for name, exact in (("state.momentum_buffer", b_), ("params", p_ - Fraction(0.3) * b_)):
            near = after[f"{name}.0.weight"]
            assert np.abs(np.full((2, 3), float(exact)) - near.v)[at] <= near.allowed[at]
            assert near.e[at] < 1e-14


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_from_exact_gradients_lies_within_that_of_the_whole_step(name):
    case = with_rule(plain_case(1, "float64"), {"type": name, "lr": 0.05})
    expected = truth(case)
    alone = update_truth(case, {key: near.v.astype(float) for key, near in expected.grads.items()})
    whole = {k: n for k, n in expected.quantities().items() if k in alone}
    assert whole.keys() == alone.keys()
    for key, near in whole.items():
        assert not refutes(near, alone[key].v).any()
        assert (alone[key].e <= near.e).all()


def test_a_case_without_an_optimizer_has_no_update():
    with pytest.raises(ValueError, match="has no optimizer"):
        update_truth(linear([[1.0]], [[1.0]]), {"0.weight": np.ones((1, 1))})


# ---------------------------------------------------------------------- the numbers


def test_the_statement_names_the_numbers_in_use():
    assert "longdouble (64-bit mantissa)" in wide.truth_statement(64)
    assert "longdouble has only 53" in wide.truth_statement(53)


@pytest.mark.parametrize(
    ("dtype", "bits", "name"),
    [
        ("float32", 53, "float64"),
        ("float32", 64, "float64"),
        ("float64", 64, "longdouble"),
        ("float64", 113, "longdouble"),
        ("float64", 53, "mpmath"),
    ],
)
def test_truth_is_kept_in_numbers_that_are_wider(dtype, bits, name):
    kind = wide.width(dtype, bits)
    assert kind.name == name
    assert name == "longdouble" or kind.bits > np.finfo(dtype).nmant + 1


def test_a_machine_without_wide_numbers_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpmath", None)
    wide.mpmath_width.cache_clear()
    with pytest.raises(wide.MissingMpmathError, match="pip install mpmath"):
        Precision("float64", longdouble_bits=53)
    assert Precision("float32", longdouble_bits=53).wide is wide.FLOAT64
    wide.mpmath_width.cache_clear()
