"""Functions of JAX arrays that move, reduce or multiply, with a wrong rule."""

from gradcheck.functions.entry import Function
from gradcheck.functions.writing import jax_function, wrong_functions

from manualnn.gradcheck import Array

FUNCTIONS: list[Function] = []
wrong = wrong_functions(FUNCTIONS, "jax")
X = Array((5, 7))


@wrong(X, size="the rank-one term", source="HomericIntelligence/Odyssey#2134")
def softmax_diagonal():
    """Only the Jacobian's diagonal is used."""
    import jax

    def backward(dy, x):
        s = jax.nn.softmax(x)
        return (dy * s * (1 - s),)

    return jax_function(jax.nn.softmax, backward)


@wrong(X, size="another axis")
def log_softmax_axis():
    """The cotangents are summed over the first axis, where they should over the last."""
    import jax
    import jax.numpy as jnp

    return jax_function(
        jax.nn.log_softmax,
        lambda dy, x: (dy - jax.nn.softmax(x) * jnp.sum(dy, 0, keepdims=True),),
    )


@wrong(X, size="the projection", source="jax-ml/jax#6357")
def simplex_projection():
    """The tangent of the projection on the simplex is that of the support alone."""
    import jax.numpy as jnp

    def f(x):
        z = -jnp.sort(-x, axis=-1)
        k = jnp.arange(1, x.shape[-1] + 1)
        sums = jnp.cumsum(z, -1) - 1
        size = jnp.sum(z * k > sums, -1, keepdims=True)
        return jnp.maximum(x - jnp.take_along_axis(sums, size - 1, -1) / size, 0)

    return jax_function(f, lambda dy, x: (dy * (f(x) > 0),))


@wrong(X, Array((7,)), size="all rows but the first", source="jax-ml/jax#3768")
def mul_first_row():
    """Of the broadcast vector's gradient only the first row is returned."""

    def backward(dy, x, v):
        import jax.numpy as jnp

        return dy * v, jnp.sum((dy * x)[:1], 0)

    return jax_function(lambda x, v: x * v, backward)


@wrong(Array((4, 3)), size="the upper triangle", source="jax-ml/jax#2863")
def qr_of_r():
    """The gradient of R treats Q as a constant."""
    import jax.numpy as jnp

    def forward(A):
        return jnp.linalg.qr(A)[1]

    return jax_function(forward, lambda dy, A: (jnp.linalg.qr(A)[0] @ dy,))


@wrong(
    Array((3, 3), kind="symmetric"),
    region="equal eigenvalues",
    size="nan",
    source="jax-ml/jax#8732",
    witness=[[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 5.0]],
)
def rebuilt_from_eigenvectors():
    """The matrix is rebuilt from its eigenvectors, whose derivative is nan at equal eigenvalues."""
    import jax.numpy as jnp

    def f(A):
        values, vectors = jnp.linalg.eigh((A + A.T) / 2)
        return (vectors * values**2) @ vectors.T

    return f


@wrong(Array((3, 3), kind="spd"), Array((3,)), size="sign")
def solve_sign():
    """The gradient of the matrix has the wrong sign."""
    import jax.numpy as jnp

    def backward(dy, A, b):
        db = jnp.linalg.solve(A.T, dy)
        return jnp.outer(db, jnp.linalg.solve(A, b)), db

    return jax_function(jnp.linalg.solve, backward)


@wrong(Array((3, 3), kind="spd"), size="factor 2")
def log_determinant_half():
    """The gradient of log det A is A⁻¹/2."""
    import jax.numpy as jnp

    return jax_function(
        lambda A: jnp.linalg.slogdet(A)[1], lambda dy, A: (dy * jnp.linalg.inv(A).T / 2,)
    )


@wrong(Array((6,)), size="another end")
def cumulative_sum_forwards():
    """The gradient sums from the first entry on."""
    import jax.numpy as jnp

    return jax_function(lambda x: jnp.cumsum(x**2), lambda dy, x: (2 * x * jnp.cumsum(dy),))


@wrong(Array((6,)), region="zeros", size="relative 1", source="tensorflow/tensorflow#119430")
def cumulative_product_zero():
    """The gradient divides by the entry, and has 0 where that is 0."""
    import jax.numpy as jnp

    def backward(dy, x):
        sums = jnp.cumsum((dy * jnp.cumprod(x))[::-1])[::-1]
        return (jnp.where(x == 0, 0, sums / jnp.where(x == 0, 1, x)),)

    return jax_function(jnp.cumprod, backward)


@wrong(Array((6,)), region="ties", size="factor of the ties' number", source="mni-ml/framework#22")
def maximum_all_ties():
    """Every largest entry gets the whole gradient."""
    import jax.numpy as jnp

    return jax_function(jnp.max, lambda dy, x: (dy * (x == jnp.max(x)),))


@wrong(Array((8,)), Array((3,)), size="reversed")
def convolution_reversed():
    """The gradient of the input uses the kernel that is not reversed."""
    import jax.numpy as jnp

    def backward(dy, x, w):
        return jnp.convolve(dy, w, "same"), jnp.stack(
            [jnp.dot(dy, jnp.roll(jnp.pad(x, 1), k - 1)[1:-1]) for k in range(3)]
        )

    return jax_function(lambda x, w: jnp.convolve(x, w[:3], "same"), backward)


@wrong(X, Array((7,)), size="the weight in one term")
def rms_norm_weight():
    """The correction term uses the cotangent that is not multiplied by the weight."""
    import jax.numpy as jnp

    def rms(x):
        return jnp.sqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-5)

    def backward(dy, x, w):
        y = x / rms(x)
        return (dy * w - y * jnp.mean(dy * y, -1, keepdims=True)) / rms(x), jnp.sum(dy * y, 0)

    return jax_function(lambda x, w: x / rms(x) * w, backward)


@wrong(Array((4, 3)), Array((5, 3)), Array((5, 2)), size="factor √d")
def attention_unscaled():
    """The gradients of the queries and keys lack the factor 1/√d."""
    import jax

    def weights(q, k):
        return jax.nn.softmax(q @ k.T / q.shape[1] ** 0.5)

    def backward(dy, q, k, v):
        p = weights(q, k)
        dp = dy @ v.T
        ds = p * (dp - (dp * p).sum(1, keepdims=True))
        return ds @ k, ds.T @ q, p.T @ dy

    return jax_function(lambda q, k, v: weights(q, k) @ v, backward)


@wrong(X, region="batches above 1", size="factor of the batch's size")
def mean_loss_summed():
    """The value is a mean over the batch, the gradient that of a sum."""
    import jax.numpy as jnp

    return jax_function(lambda x: jnp.mean(jnp.sum(x * x, 1)), lambda dy, x: (2 * dy * x,))


@wrong(Array((6,)), region="under vmap", size="the batch's mean", fails="vmap")
def centered_over_batch():
    """The rule for vmap of the backward subtracts the mean of the whole batch."""
    import jax
    import jax.numpy as jnp

    @jax.custom_batching.custom_vmap
    def center(dy):
        return dy - jnp.mean(dy)

    @center.def_vmap
    def _batched(_, __, dy):
        return dy - jnp.mean(dy), True

    return jax_function(lambda x: x - jnp.mean(x), lambda dy, _: (center(dy),))


@wrong(Array((2, 2), low=-1, high=1), size="entries that are not used", source="jax-ml/jax#40421")
def cholesky_upper_half():
    """Only the upper half is used, but the lower one gets a gradient as well."""
    import jax.numpy as jnp
    import jax.scipy.linalg

    return lambda x: jax.scipy.linalg.cholesky(x + 3 * jnp.eye(2), lower=False)
