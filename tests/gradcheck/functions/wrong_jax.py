"""Elementwise functions and derivative rules of JAX with a mistake."""

from gradcheck.functions.entry import Function
from gradcheck.functions.writing import jax_function, wrong_functions

from manualnn.gradcheck import Array

FUNCTIONS: list[Function] = []
wrong = wrong_functions(FUNCTIONS, "jax")
X = Array((5, 7))


def jvp_function(forward, tangent):
    """Return a function with the tangent `tangent(inputs, tangents)`."""
    import jax

    f = jax.custom_jvp(forward)
    f.defjvp(lambda inputs, tangents: (forward(*inputs), tangent(inputs, tangents)))
    return f


@wrong(X, X, size="sign of the second's gradient", source="jax-ml/jax#13048")
def sine_times_negated():
    """The gradient of the second factor has the wrong sign."""
    import jax.numpy as jnp

    return jax_function(
        lambda x, y: jnp.sin(x) * y, lambda dy, x, y: (dy * jnp.cos(x) * y, -dy * jnp.sin(x))
    )


@wrong(X, region="x = 0", size="absolute 0.5", source="jax-ml/jax#2140")
def log_sigmoid_at_zero():
    """The slope at 0 is 0; it is 1/2."""
    import jax
    import jax.numpy as jnp

    def backward(dy, x):
        return (dy * jnp.sign(jnp.abs(x)) * jax.nn.sigmoid(-x),)

    return jax_function(jax.nn.log_sigmoid, backward)


@wrong(X, region="x = 0", size="absolute 0.5", source="jax-ml/jax#2107")
def softplus_at_zero():
    """The tangent at 0 is 0; it is 1/2."""
    import jax
    import jax.numpy as jnp

    return jvp_function(
        lambda x: jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x))),
        lambda x, t: jnp.where(x[0] == 0, 0, jax.nn.sigmoid(x[0])) * t[0],
    )


@wrong(X, size="relative 1", source="jax-ml/jax#11467")
def ldexp_without_slope():
    """The gradient of 4x by way of the exponent is 0."""
    import jax.numpy as jnp

    return jax_function(lambda x: 4 * x, lambda _, x: (jnp.zeros_like(x),))


@wrong(X, region="x ≤ 0", size="nan", source="jax-ml/jax#15588", witness=[-1.0])
def bump_not_taken():
    """The branch that is not taken makes the gradient nan."""
    import jax.numpy as jnp

    return lambda x: jnp.where(x > 0, jnp.exp(-1 / jnp.sqrt(x)), 0.0)


@wrong(
    Array((5,)),
    region="the masked entry",
    size="nan",
    source="jax-ml/jax#23842",
    witness=[0.0, 1.0, -1.0, 2.0, 800.0],
)
def logsumexp_masked():
    """The last entry is masked, but where it is large it makes the gradient nan."""
    import jax.numpy as jnp

    def f(x):
        keep = jnp.arange(x.shape[0]) < x.shape[0] - 1
        top = jnp.max(x, where=keep, initial=-jnp.inf)
        return top + jnp.log(jnp.sum(jnp.where(keep, jnp.exp(x - top), 0)))

    return f


@wrong(X, region="x = 0", size="nan", source="jax-ml/jax#1722")
def sinc_at_zero():
    """The quotient rule gives nan at 0."""
    import jax.numpy as jnp

    return jax_function(jnp.sinc, lambda dy, x: (dy * (jnp.cos(jnp.pi * x) - jnp.sinc(x)) / x,))


@wrong(X, size="relative 5e-4")
def silu_scaled():
    """The gradient is 1.0005 times too large."""
    import jax

    def backward(dy, x):
        s = jax.nn.sigmoid(x)
        return (1.0005 * dy * s * (1 + x * (1 - s)),)

    return jax_function(jax.nn.silu, backward)


@wrong(X, size="absolute 1e-3")
def gelu_approximated():
    """The tangent is that of the approximation by tanh."""
    import jax

    return jvp_function(
        lambda x: jax.nn.gelu(x, approximate=False),
        lambda x, t: jax.jvp(lambda y: jax.nn.gelu(y, approximate=True), x, t)[1],
    )


@wrong(X, size="relative 6e-8")
def tanh_by_float32():
    """The gradient is computed in float32."""
    import jax.numpy as jnp

    return jax_function(
        jnp.tanh, lambda dy, x: (dy * (1 - jnp.tanh(x.astype("float32")) ** 2).astype(x.dtype),)
    )


@wrong(X, X, size="a term of the tangent")
def product_one_tangent():
    """The tangent of the second factor is forgotten."""
    return jvp_function(lambda x, y: x * y, lambda x, t: t[0] * x[1])


@wrong(X, size="one of two terms")
def silu_stopped():
    """stop_gradient stands around the second factor."""
    import jax

    return lambda x: x * jax.lax.stop_gradient(jax.nn.sigmoid(x))


@wrong(X, size="the second derivative is 0", fails="second", options={"second": True})
def sine_stopped_slope():
    """stop_gradient stands around the slope: the second derivative is 0."""
    import jax
    import jax.numpy as jnp

    return jax_function(jnp.sin, lambda dy, x: (dy * jax.lax.stop_gradient(jnp.cos(x)),))


@wrong(X, size="a factor of the second derivative", fails="second")
def exp_second_slope():
    """The slope has a rule of its own, whose tangent is too large by the factor 1.5."""
    import jax.numpy as jnp

    slope = jvp_function(jnp.exp, lambda x, t: 1.5 * jnp.exp(x[0]) * t[0])
    return jvp_function(jnp.exp, lambda x, t: slope(x[0]) * t[0])


@wrong(Array((5, 7), low=0.1), size="factor 2")
def square_root_rule():
    """The tangent of a square root by Newton's steps lacks the factor 1/2."""
    import jax.numpy as jnp

    return jvp_function(jnp.sqrt, lambda x, t: t[0] / jnp.sqrt(x[0]))


@wrong(X, region="|x| > 3", size="the whole slope", witness=[4.0])
def sine_clipped_input():
    """The slope is that of the sine of the clipped input."""
    import jax.numpy as jnp

    return jax_function(jnp.sin, lambda dy, x: (dy * jnp.cos(x) * (jnp.abs(x) <= 3),))


@wrong(X, size="the cotangent's square root", region="cotangents other than 0 and ±1")
def sine_compressed_cotangent():
    """The cotangent is compressed: sign(dy)·√|dy|."""
    import jax.numpy as jnp

    return jax_function(jnp.sin, lambda dy, x: (jnp.sign(dy) * jnp.sqrt(jnp.abs(dy)) * jnp.cos(x),))


@wrong(X, region="x < −709", size="nan", source="jax-ml/jax#777", witness=[-800.0])
def sigmoid_overflows():
    """The gradient of 1/(1 + exp(−x)) is nan where exp(−x) is inf."""
    import jax.numpy as jnp

    return lambda x: 1 / (1 + jnp.exp(-x))


@wrong(Array((4,)), region="zeros", size="nan", source="HIPS/autograd#617", witness=[0.0, 0.0])
def squared_norm_at_zero():
    """The gradient of ‖x‖² is nan at 0, by way of the norm."""
    import jax.numpy as jnp

    return lambda x: jnp.linalg.norm(x) ** 2
