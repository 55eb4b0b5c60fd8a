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
