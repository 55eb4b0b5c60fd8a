"""The plain engine is right: within the truth's bounds, in each dtype and in extended precision."""

import numpy as np
import pytest
from hypothesis import settings
from oracle.drawn import drawn_case
from oracle.exactly import exactly

from manualnn.oracle.findings import Outcome
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import LOSSES, OPTIMIZERS, TABLES, row_of
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.bounded import Precision
from manualnn.oracle.truth.step import truth

SEEDS = range(settings().max_examples)


def quantities(engine, case):
    return Outcome(result=engine.step(case)).quantities()


def errors(engine, case, numbers="native"):
    """Yield |computed − truth| and its bound for each quantity, where there is a finite bound."""
    got = quantities(engine, case)
    expected = truth(case, Precision(case.dtype, numbers=numbers)).quantities()
    assert got.keys() == expected.keys()
    for name, near in expected.items():
        array = np.asarray(got[name])
        assert array.shape == np.shape(near.v), name
        bound = np.asarray(near.allowed).astype(float)
        size = np.abs(np.asarray(near.v).astype(float))
        judged = np.isfinite(bound) & np.isfinite(size)
        if numbers == "mpmath":
            judged &= bound <= 2**-20 * size
        with np.errstate(all="ignore"):
            wide = exactly(array) if numbers == "mpmath" else array.astype(np.longdouble)
            error = np.asarray(np.abs(wide - near.v)).astype(float)
        yield name, error[judged], bound[judged]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_within_the_bounds(loss, dtype):
    for seed in SEEDS:
        case = drawn_case(np.random.default_rng(seed), loss=loss, dtype=dtype)
        for name, error, bound in errors(Textbook(), case):
            assert (error <= bound).all(), (seed, name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_is_within_the_bounds(optimizer, dtype):
    for seed in SEEDS:
        case = drawn_case(np.random.default_rng(seed), optimizer=optimizer, dtype=dtype)
        for name, error, bound in errors(Textbook(), case):
            assert (error <= bound).all(), (seed, name)


@pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="longdouble is no wider than float64 here"
)
@pytest.mark.parametrize("loss", LOSSES)
def test_extended_precision_is_500_times_nearer(loss):
    """Its unit roundoff is 2⁻¹¹ of float64's, and so are its errors.

    The truth is kept in mpmath's numbers, because in longdouble it has errors of that size itself.
    Entries of large bounds are left out, because errors grow with the unit roundoff only if they
    are small.
    """
    for seed in SEEDS:
        case = drawn_case(np.random.default_rng(seed), loss=loss, dtype="float64")
        for name, error, bound in errors(Textbook(np.longdouble), case, "mpmath"):
            assert (error <= bound / 500).all(), (seed, name)


def test_results_have_the_dtype_of_the_case_or_the_one_asked_for():
    case = drawn_case(np.random.default_rng(0), dtype="float32")
    for engine, dtype in ((Textbook(), np.float32), (Textbook(np.longdouble), np.longdouble)):
        for name, array in quantities(engine, case).items():
            assert np.asarray(array).dtype == dtype, name


def test_nothing_is_remembered():
    rng = np.random.default_rng(0)
    one, other = drawn_case(rng, loss="MSELoss"), drawn_case(rng, loss="MSELoss")
    engine = Textbook()
    before = quantities(engine, one)
    engine.step(other)
    for name, array in quantities(engine, one).items():
        np.testing.assert_array_equal(array, before[name], err_msg=name, strict=True)


def test_inputs_are_not_written_to_and_not_handed_out():
    for seed in range(20):
        case = drawn_case(np.random.default_rng(seed))
        kept = case.copy()
        results = quantities(Textbook(), case).values()
        for (name, array), old in zip(case.arrays().items(), kept.arrays().values(), strict=True):
            np.testing.assert_array_equal(array, old, err_msg=name, strict=True)
            assert not any(np.shares_memory(array, r) for r in results), name


def test_a_step_by_hand():
    """z = 3·2 + 1 = 7, L = (7 − 5)² = 4, dz = 4, dW = 12, db = 4, dx = 8; lr ¼."""
    case = Case(
        layers=({"type": "Linear", "in_features": 1, "out_features": 1},),
        loss={"type": "MSELoss"},
        params={"0.weight": np.array([[2.0]]), "0.bias": np.array([1.0])},
        x=np.array([[3.0]]),
        t=np.array([[5.0]]),
        optimizer={"type": "SGD", "lr": 0.25},
    )
    assert {k: np.asarray(v).item() for k, v in quantities(Textbook(), case).items()} == {
        "outputs": 7.0,
        "loss": 4.0,
        "grads.0.weight": 12.0,
        "grads.0.bias": 4.0,
        "input_grad": 8.0,
        "params.0.weight": -1.0,
        "params.0.bias": 0.0,
    }


def test_it_claims_everything_and_has_a_method_for_it():
    claims = Capabilities.read(Textbook().capabilities())
    suffixes = {"layers": ("", "_backward"), "losses": ("_terms", "_slopes"), "optimizers": ("",)}
    for kind, table in TABLES.items():
        assert getattr(claims, kind).keys() == table.keys()
        for name in table:
            for suffix in suffixes[kind]:
                assert hasattr(Textbook, row_of(name).method + suffix), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("kind", "name", "place"),
    [
        ("layer", "ReLU", (0, 0.5)),
        ("layer", "LeakyReLU", (0, 0.5)),
        ("loss", "L1Loss", (0, 0)),
        ("loss", "HingeEmbeddingLoss", (1, -1)),
    ],
)
def test_a_slope_at_a_kink_is_the_claimed_one(kind, name, place, dtype):
    """Σ ∂L/∂y at y = t, or ∂L/∂x of a ReLU at x = 0, is that number times the gradient after it."""
    layers = ({"type": name},) if kind == "layer" else ()
    loss = {"type": name if kind == "loss" else "MSELoss", "reduction": "sum"}
    x, t = (np.full((2, 1), number, dtype) for number in place)
    case = Case(layers, loss, {}, x, t, dtype=dtype)
    engine = Textbook()
    engine.kink = {name: 0.25}
    after = -1.0 if layers else 1.0
    assert np.array_equal(quantities(engine, case)["input_grad"], np.full((2, 1), 0.25 * after))
    kind_of_truth = Precision(dtype, kink=engine.kink)
    near = truth(case, kind_of_truth).quantities()["input_grad"]
    assert np.array_equal(np.asarray(near.v, float), np.full((2, 1), 0.25 * after))
