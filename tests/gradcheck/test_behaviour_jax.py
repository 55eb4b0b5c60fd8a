"""Every check of behaviour finds its planted fault in a function of JAX, and no right one."""

import numpy as np
import pytest
from gradcheck.test_behaviour import X, ids_of_findings

from manualnn.gradcheck.functions.find import find_function

jax = pytest.importorskip("jax")
pytestmark = pytest.mark.once

jnp = jax.numpy


def _with_vjp(backward):
    """Return x² with a backward pass."""
    f = jax.custom_vjp(lambda x: x * x)
    f.defvjp(lambda x: (x * x, x), backward)
    return f


@jax.custom_jvp
def with_jvp(x):
    """Return x², with a rule for its tangent."""
    return x * x


with_jvp.defjvp(lambda inputs, tangents: (inputs[0] ** 2, 2 * inputs[0] * tangents[0]))


def ids(f, x=X):
    """Return the ids of all checks that accuse a function of JAX."""
    return set(ids_of_findings(find_function(f, [x], framework="jax"), [x]))


def test_right_function_has_no_finding():
    right = _with_vjp(lambda x, dy: (2 * x * dy,))
    assert ids(right) == set()
    assert ids(with_jvp, X.astype(np.float32)) == set()
    assert ids(lambda x: (x.max(0), jax.nn.softmax(x))) == set()


def test_fault_is_found():
    assert ids(_with_vjp(lambda x, dy: (2 * x * jnp.clip(dy, -1, 1),))) == {"linear"}
    assert ids(_with_vjp(lambda x, dy: (2 * x * dy + 1e-6,))) >= {"zero", "linear"}


def test_gradient_that_depends_on_jit_is_found():
    def backward(x, dy):
        is_traced = isinstance(dy, jax.core.Tracer)
        return (2 * x * dy * (1 if is_traced else 2),)

    assert "jit" in ids(_with_vjp(backward))
