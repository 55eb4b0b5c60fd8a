"""The bound of Muon's iteration: errors before it grow as stated, and its roundings are counted."""

import numpy as np
import pytest

from manualnn.oracle.protocol.features import options_of
from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.matrices import VALUES
from manualnn.oracle.truth.optimizers import BoundedRules

KIND = Precision("float32")
RULES = BoundedRules(KIND)
SHAPES = [(1, 1), (1, 4), (3, 3), (2, 5), (5, 2), (4, 3)]
U = KIND.u


def drawn(shape, rank, seed):
    """Return a matrix of that rank, of the norm 1, and an orthogonal basis of its rows."""
    rng, k = np.random.default_rng(seed), min(shape)
    left, right = (np.linalg.qr(rng.normal(size=(n, n)))[0] for n in shape)
    sizes = rng.uniform(0.3, 1, k) * (np.arange(k) < rank)
    x = (left[:, :k] * sizes) @ right[:, :k].T
    return x / np.linalg.norm(x), left[:, :k], right[:, :k]


def orthogonal(o, u):
    """Return X of U in plain numbers, whose errors are 2⁻²⁹ of float32's."""
    x = u / max(np.linalg.norm(u), o.eps)
    for _ in range(o.ns_steps):
        x = VALUES.muon_iterated(o, x)
    return x


@pytest.mark.parametrize("options", [{}, {"ns_coefficients": [1.5, -0.5, 0.0]}, {"ns_steps": 1}])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_full", [True, False])
def test_an_error_of_the_matrix_grows_as_the_bound_says(shape, options, is_full):
    """No error grows beyond the bound, and one of a singular value of 0 grows by half of it."""
    o = options_of({"type": "Muon", "lr": 1.0, **options})
    share = 0.0
    for seed in range(20):
        rank = min(shape) if is_full else max(1, min(shape) - 1)
        u, left, right = drawn(shape, rank, seed)
        rng = np.random.default_rng(seed)
        for away in (
            rng.normal(size=shape),
            np.outer(left[:, -1], right[:, -1]),
            np.outer(left[:, 0], right[:, 0]),
        ):
            error = 1e-4 * away / np.linalg.norm(away)
            e = np.abs(error)
            near = RULES.muon_orthogonal(o, Bounded(u, e, KIND))
            distance = np.linalg.norm(orthogonal(o, u + error) - near.v)
            assert distance <= near.e.max()
            share = max(share, distance / near.e.max())
    assert share > (0.02 if is_full else 0.5) or min(shape) == 1


def test_an_error_that_may_make_the_matrix_0_leaves_no_bound():
    o = options_of({"type": "Muon", "lr": 1.0})
    u, *_ = drawn((3, 2), 2, 0)
    assert np.isinf(RULES.muon_orthogonal(o, Bounded(u, np.ones((3, 2)), KIND)).e).all()


def up(values, roundings):
    """Return positive numbers that a program has rounded up so many times."""
    return values * (1 + U) ** roundings


@pytest.mark.parametrize("coefficients", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_program_that_rounds_everything_up_is_near_the_bound(shape, coefficients):
    """On positive matrices nothing cancels, so that a bound counts what each term rounds."""
    a, b, c = coefficients
    rng = np.random.default_rng(sum(shape))
    x = rng.uniform(0.1, 1, shape)
    bound = RULES.roundings([a, b, c], x, 0.0, 1.0)
    largest = 0.0
    for own in (x, x.T):
        rows, columns = own.shape
        gram = up(own @ own.T, columns)
        far = (
            up(a * own, 4) + up(b * gram @ own, rows + 4) + up(c * gram @ gram @ own, 2 * rows + 5)
        )
        exact = a * own + b * own @ own.T @ own + c * own @ own.T @ own @ own.T @ own
        largest = max(largest, np.linalg.norm(far - exact))
    assert 0.95 * bound < largest <= bound * (1 + 1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_roundings_of_each_iteration_are_added(shape):
    """With a = 1 and no other term, an iteration leaves X and its error, and rounds."""
    o = options_of({"type": "Muon", "lr": 1.0, "ns_coefficients": [1.0, 0.0, 0.0], "ns_steps": 3})
    u, *_ = drawn(shape, 1, 0)
    first = RULES.muon_normalised(o, KIND.exact(u)).e.max()
    last = RULES.muon_orthogonal(o, KIND.exact(u)).e.max()
    assert 12 * U < last - first < 12.01 * U


@pytest.mark.parametrize("shape", SHAPES)
def test_a_norm_that_is_rounded_down_is_near_the_bound(shape):
    o = options_of({"type": "Muon", "lr": 1.0})
    u = np.random.default_rng(0).uniform(0.5, 1, shape)
    near = RULES.muon_normalised(o, KIND.exact(u))
    norm = np.sqrt((u * u).sum() * (1 - U) ** u.size) * (1 - U)
    distance = np.linalg.norm(up(u / norm, 3) - near.v)
    assert near.e.max() / 3 < distance <= near.e.max()
