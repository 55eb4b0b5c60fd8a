"""Right functions of JAX with custom_vjp, custom_jvp, jit, loops and trees of outputs."""

from gradcheck.functions.expressions import functions, objects

from manualnn.gradcheck import Array

X = Array((5, 7))
ROW = Array((7,))
SMALL = Array((5, 7), low=-30, high=30)

WRITTEN = [
    ("attention", Array((3, 4)), Array((5, 4)), Array((5, 2))),
    ("fixed_point", Array((5, 7), low=-4, high=4)),
    ("gelu", X),
    ("jax.jit(gelu)", X),
    ("jax.checkpoint(gelu)", X),
    ("layer_norm", X, ROW, ROW),
    ("log1pexp", X),
    ("logsumexp", X),
    ("look_up", X, Array((6,), kind="classes", high=5, dtype="int64")),
    ("relu", X),
    ("rnn", Array((3, 4), low=-4, high=4), Array((4, 4), low=-1, high=1), Array((4,))),
    ("row_norm", X),
    ("safe_log", Array((5, 7), low=0)),
    ("sorted_rows", X),
    ("tree", X, X),
    ("gelu", Array((5, 7), dtype="float32")),
    ("logsumexp", Array((5, 7), dtype="float32")),
]

CALLED = [
    ("power(x, 3)", X),
    ("jax.vmap(log1pexp)(x)", X),
    ("jax.grad(lambda a: log1pexp(a).sum())(x)", X),
    ("jax.random.normal(jax.random.key(0), x.shape) * x", X),
    ("lax.map(gelu, x)", X),
]

FUNCTIONS = [*objects("jax", WRITTEN), *functions("jax", CALLED)]
