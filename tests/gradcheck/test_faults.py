"""The faults of releases are there, and the truth is what 50 digits say."""

import math
from math import log

import pytest
from gradcheck.faults import RELEASES, truth

pytestmark = pytest.mark.once


def by_torch(fault):
    torch = pytest.importorskip("torch")
    x = torch.tensor(fault.x, dtype=getattr(torch, fault.dtype), requires_grad=True)
    names = {"torch": torch, "F": torch.nn.functional, "S": torch.special, "log": log}
    y = eval(fault.function, names, {"x": x, "c": x.detach()})  # noqa: S307 - of our own table
    return float(torch.autograd.grad(y, x)[0])


def by_jax(fault):
    jax = pytest.importorskip("jax")
    with jax.enable_x64(fault.dtype == "float64"):
        c = jax.numpy.asarray(fault.x, fault.dtype)
        names = {"jax": jax, "jnp": jax.numpy, "S": jax.scipy.special, "c": c}
        return float(jax.grad(lambda x: eval(fault.function, names, {"x": x}))(c))  # noqa: S307


@pytest.mark.parametrize(
    "fault", RELEASES, ids=lambda f: f"{f.library}-{f.function[:24]}-{f.dtype}"
)
def test_a_release_gives_another_derivative_than_the_truth(fault):
    got = by_torch(fault) if fault.library == "torch" else by_jax(fault)
    right = truth(fault)
    assert not abs(got - right) <= abs(right) / 100
    assert math.isclose(got, fault.got, rel_tol=0.01) or (math.isnan(got) and math.isnan(fault.got))


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_torch_has_a_sixth_of_float32_in_hardsigmoid(torch):
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (dx,) = torch.autograd.grad(torch.nn.functional.hardsigmoid(x), x)
    assert 4e-9 < abs(float(dx) - 1 / 6) < 6e-9


def test_torch_has_no_second_derivative_of_pow_at_the_exponent_0(torch):
    x = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    y = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    (dx,) = torch.autograd.grad(x**y, x, create_graph=True)  # y x^(y − 1)
    assert float(torch.autograd.grad(dx, y)[0]) == 0  # at y = 0 it is 1/x


def test_torch_differentiates_another_backward_of_prelu_at_0(torch):
    x, a, dy = (
        torch.tensor([number], dtype=torch.float64, requires_grad=True) for number in (0, 0.25, 1)
    )
    (dx,) = torch.autograd.grad(torch.nn.functional.prelu(x, a), x, dy, create_graph=True)
    assert float(dx.detach()) == 0.25  # so it is a dy, with the derivative a by dy
    assert torch.autograd.grad(dx, dy)[0].tolist() == [1]


def test_torch_gives_each_tied_coordinate_the_whole_gradient_of_the_largest_distance(torch):
    x = torch.ones(1, 2, dtype=torch.float64, requires_grad=True)
    distance = torch.cdist(x, torch.zeros(1, 2, dtype=torch.float64), p=math.inf)
    assert torch.autograd.grad(distance.sum(), x)[0].tolist() == [[1, 1]]  # max(t, t) has slope 1


def test_torch_adds_to_the_probability_in_the_second_derivative_of_the_cross_entropy(torch):
    x = torch.tensor(1e-7, dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.binary_cross_entropy(x, torch.ones_like(x))  # −log x
    (dx,) = torch.autograd.grad(loss, x, create_graph=True)
    assert abs(float(torch.autograd.grad(dx, x)[0]) * 1e-14 - 1) > 1e-5  # 1/x² is 1e14


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_the_forward_mode_of_cholesky_inverse_is_not_its_derivative(torch):
    factor = torch.tensor([[1.0, 0], [1, 1]], dtype=torch.float64)
    change = torch.tensor([[0.0, 0], [1, 0]], dtype=torch.float64)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(factor, change)
        tangent = torch.autograd.forward_ad.unpack_dual(torch.cholesky_inverse(dual)).tangent
    # The inverse of L Lᵀ for L = [[1, 0], [t, 1]] is [[1 + t², −t], [−t, 1]].
    assert (tangent - torch.tensor([[2.0, -1], [-1, 0]], dtype=torch.float64)).abs().max() > 0.1


def test_the_backward_pass_of_conv_tbc_refuses_strided_cotangents(torch):
    x = torch.ones(5, 2, 3, requires_grad=True)
    y = torch.nn.functional.conv_tbc(x, torch.ones(3, 3, 4), torch.ones(4))
    with pytest.raises(RuntimeError, match="view size"):
        torch.autograd.grad(y, x, torch.ones(2, 3, 4).transpose(0, 1))
