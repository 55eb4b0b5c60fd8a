"""Reductions, indexing, rearrangement, and linear algebra of jax.numpy, jax.lax and jax.scipy.

Left out: functions whose value is not unique (eigenvectors, singular vectors, `schur`, `lu`);
those without a derivative (`argsort`, `argmax`, `bincount`, `histogram`, `matrix_rank`,
`searchsorted`, `unique`); complex ones (`roots`, `eig`, `fft`); constants (`arange`, `eye`, `tri`);
aliases (`amax`, `concat`, `row_stack`) and functions of several processes (`psum` …).
"""

from gradcheck.functions.expressions import functions

from manualnn.gradcheck import Array

X = Array((5, 7))
ROW = Array((7,))
SMALL = Array((5, 7), low=-30, high=30)
AWAY = Array((5, 7), low=0.125, high=64)
VECTOR = Array((4,))
TAME = Array((4, 4), low=-1, high=1)
SYMMETRIC = Array((4, 4), kind="symmetric")
SPD = Array((4, 4), kind="spd")
CUBE = Array((2, 3, 4))
SINGLE = Array((5, 7), dtype="float32")
ROWS_OF_X = Array((6,), kind="classes", high=5, dtype="int64")
REGULAR = "x + 6 * jnp.eye(4)"
"""With entries in [-1, 1]: diagonally dominant, so that it is never singular."""

REDUCTIONS = [
    ("jnp.average(x, axis=1, weights=y)", X, Array((7,), low=0.125, high=2)),
    ("jnp.corrcoef(x)", Array((3, 6), low=-8, high=8)),
    ("jnp.cov(x)", Array((3, 6))),
    ("jnp.cumprod(x, 1)", SMALL),
    ("jnp.cumsum(x, 0)", X),
    ("jnp.diff(x, n=2)", X),
    ("jnp.ediff1d(x)", X),
    ("jnp.gradient(x)", X),
    ("jnp.max(x)", X),
    ("jnp.max(x, 1, keepdims=True)", X),
    ("jnp.mean(x, 0)", X),
    ("jnp.median(x)", X),
    ("jnp.median(x, axis=0)", X),
    ("jnp.min(x, 0)", X),
    ("jnp.nanmax(x, 1)", X),
    ("jnp.nanmean(x)", X),
    ("jnp.nanprod(x, 0)", SMALL),
    ("jnp.nansum(x, 1)", X),
    ("jnp.nanvar(x, 1)", SMALL),
    ("jnp.percentile(x, 30)", X),
    ("jnp.prod(x)", SMALL),
    ("jnp.prod(x, 0)", SMALL),
    ("jnp.ptp(x, 1)", X),
    ("jnp.quantile(x, jnp.array([0.1, 0.5]), axis=1)", X),
    ("jnp.sort(x, axis=0)", X),
    ("jnp.std(x)", SMALL),
    ("jnp.sum(x, 1)", X),
    ("jnp.trapezoid(x, dx=0.5)", X),
    ("jnp.var(x, 1, ddof=1)", SMALL),
    ("S.logsumexp(x, axis=0, b=y)", SMALL, Array((5, 7), low=0.125, high=2)),
    ("lax.cumlogsumexp(x)", X),
    ("lax.cummax(x, axis=1)", X),
    ("lax.cummin(x)", X),
    ("lax.reduce_window(x, 0.0, lax.add, (2, 3), (1, 2), 'SAME')", X),
    ("lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (2, 2), 'VALID')", X),
    ("lax.top_k(x, 3)", X),
    ("nn.logsumexp(x, axis=1)", SINGLE),
    ("jnp.var(x, 1)", Array((5, 7), low=-30, high=30, dtype="float32")),
]

INDEXING = [
    ("jnp.append(x, y, axis=0)", X, Array((2, 7))),
    ("jnp.block([[x, y]])", X, Array((5, 2))),
    ("jnp.broadcast_to(x, (3, 5, 7))", X),
    (
        "jnp.choose(z, (x, y), mode='clip')",
        X,
        X,
        Array((7,), kind="classes", high=2, dtype="int64"),
    ),
    ("jnp.column_stack((x, y))", X, Array((5,))),
    ("jnp.concatenate((x, y), 1)", X, Array((5, 2))),
    ("jnp.delete(x, 1, axis=0)", X),
    ("jnp.diag(x, 1)", VECTOR),
    ("jnp.diagonal(x)", X),
    ("jnp.flip(x, 1)", X),
    ("jnp.insert(x, 2, y, axis=0)", X, ROW),
    ("jnp.kron(x, y)", Array((2, 3)), Array((3, 2))),
    ("jnp.meshgrid(x, y)", Array((3,)), Array((2,))),
    ("jnp.moveaxis(x, 0, 2)", CUBE),
    ("jnp.pad(x, 2, mode='reflect')", X),
    ("jnp.pad(x, ((0, 1), (2, 0)), mode='wrap')", X),
    ("jnp.pad(x, 1, mode='linear_ramp', end_values=2)", X),
    ("jnp.repeat(x, 2, axis=0)", X),
    ("jnp.resize(x, (4, 5))", X),
    ("jnp.roll(x, 2, axis=1)", X),
    ("jnp.rot90(x)", X),
    ("jnp.split(x, (2, 5), axis=1)", X),
    ("jnp.squeeze(x, 1)", Array((5, 1, 7))),
    ("jnp.stack((x, y))", X, X),
    ("jnp.take(x, y, axis=0)", X, ROWS_OF_X),
    ("jnp.take_along_axis(x, y, 1)", X, Array((5, 4), kind="classes", high=7, dtype="int64")),
    ("jnp.tile(x, (2, 1))", X),
    ("jnp.tril(x, 1) - jnp.triu(x)", X),
    ("x.at[z].add(y)", X, Array((6, 7)), ROWS_OF_X),
    ("x.at[jnp.array([0, 2])].mul(y, unique_indices=True)", X, Array((2, 7))),
    ("x.at[z].max(y)", X, Array((6, 7)), ROWS_OF_X),
    ("x.at[1:3].set(y)", X, Array((2, 7))),
    ("lax.dynamic_slice(x, (1, 2), (3, 4))", X),
    ("lax.dynamic_update_slice(x, y, (1, 2))", X, Array((2, 3))),
    ("lax.scan(lambda h, a: (jnp.tanh(h + a), h * a), y, x)", X, ROW),
    ("lax.fori_loop(0, 3, lambda i, h: jnp.sin(h) + x, y)", X, X),
    ("lax.cond(x.sum() > 0, jnp.sin, jnp.tanh, x)", X),
    ("jax.ops.segment_sum(x, jnp.array([0, 2, 0, 1, 2]), 3)", X),
    ("jax.ops.segment_max(x, jnp.array([0, 2, 0, 1, 2]), 3)", X),
    ("jax.checkpoint(jnp.sin)(x) * x", SMALL),
    ("jax.vmap(jnp.outer)(x, y)", X, Array((5, 3))),
]

ALGEBRA = [
    ("jnp.convolve(x, y, mode='same')", ROW, VECTOR),
    ("jnp.correlate(x, y)", ROW, VECTOR),
    ("jnp.cross(x, y)", Array((4, 3)), Array((4, 3))),
    ("jnp.dot(x, y)", X, ROW),
    ("jnp.einsum('bij,bj->bi', x, y)", CUBE, Array((2, 4))),
    ("jnp.inner(x, y)", X, ROW),
    ("jnp.matmul(x, y)", CUBE, Array((4, 2))),
    ("jnp.outer(x, y)", ROW, VECTOR),
    ("jnp.tensordot(x, y, 2)", CUBE, Array((3, 4, 2))),
    ("jnp.trace(x)", TAME),
    ("jnp.vander(x, 4)", VECTOR),
    ("jnp.vdot(x, y)", X, X),
    ("jnp.vecdot(x, y)", X, ROW),
    ("jnp.matmul(x, y)", SINGLE, Array((7, 3), dtype="float32")),
    ("lax.conv_general_dilated(x, y, (2,), 'SAME')", Array((2, 3, 8)), Array((4, 3, 3))),
    ("lax.conv_transpose(x, y, (2,), 'SAME')", Array((2, 5, 3)), Array((3, 3, 4))),
    ("jax.scipy.signal.convolve(x, y)", Array((3, 4)), Array((2, 2))),
    ("L.cholesky(x)", SPD),
    ("L.cond(x)", SPD),
    ("L.det(x)", SPD),
    (f"L.det({REGULAR})", TAME),
    ("L.eigh(x)[0]", SPD),
    ("L.eigvalsh(x)", SYMMETRIC),
    (f"L.inv({REGULAR})", TAME),
    ("L.matrix_norm(x)", AWAY),
    ("L.matrix_norm(x, ord='nuc')", SPD),
    ("L.matrix_power(x, 3)", TAME),
    ("L.multi_dot((x, y, z))", X, Array((7, 3)), Array((3, 4))),
    ("L.norm(x, axis=1)", AWAY),
    ("L.norm(x, ord=1)", X),
    ("L.norm(x, ord=jnp.inf, axis=0)", X),
    (f"L.pinv({REGULAR})", TAME),
    (f"jnp.abs(L.qr({REGULAR})[1])", TAME),
    (f"L.slogdet({REGULAR})", TAME),
    (f"L.solve({REGULAR}, y)", TAME, Array((4, 2))),
    ("L.svdvals(x)", Array((3, 5))),
    (f"L.tensorinv(({REGULAR}).reshape(2, 2, 4), 2)", TAME),
    ("jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(x), y)", SPD, VECTOR),
    ("jax.scipy.linalg.expm(x)", TAME),
    (f"jax.scipy.linalg.solve_triangular({REGULAR}, y, lower=True)", TAME, VECTOR),
    ("jax.scipy.linalg.toeplitz(x)", VECTOR),
    ("jax.image.resize(x, (7, 5), 'linear')", X),
    ("jax.image.resize(x, (7, 5), 'cubic')", X),
    ("jax.numpy.fft.irfft(jnp.fft.rfft(x) * y, 7)", ROW, VECTOR),
]

FUNCTIONS = functions("jax", REDUCTIONS + INDEXING + ALGEBRA)
