"""Right functions of JAX with derivatives of their own, as people write them. Imports JAX."""

from functools import partial

import jax
from jax import custom_jvp, custom_vjp, lax
from jax import numpy as jnp


@custom_vjp
def gelu(x):
    return x * jax.scipy.special.erfc(-x / jnp.sqrt(2.0)) / 2


def _gelu_backward(x, dy):
    density = jnp.exp(-x * x / 2) / jnp.sqrt(2 * jnp.pi)
    return (dy * (jax.scipy.special.erfc(-x / jnp.sqrt(2.0)) / 2 + x * density),)


gelu.defvjp(lambda x: (gelu(x), x), _gelu_backward)


@custom_jvp
def log1pexp(x):
    return jnp.logaddexp(x, 0)


log1pexp.defjvps(lambda v, _, x: v * jax.nn.sigmoid(x))


@custom_jvp
def relu(x):
    return jnp.maximum(x, 0)


@relu.defjvp
def _relu_jvp(primals, tangents):
    return relu(primals[0]), jnp.where(primals[0] > 0, tangents[0], 0)


@custom_jvp
def row_norm(x):
    return jnp.sqrt((x * x).sum(-1))


@row_norm.defjvp
def _row_norm_jvp(primals, tangents):
    (x,), (v,) = primals, tangents
    y = row_norm(x)
    safe = jnp.where(y == 0, 1, y)
    return y, jnp.where(y == 0, 0, (x * v).sum(-1) / safe)


@custom_vjp
def logsumexp(x):
    top = x.max(-1, keepdims=True)
    return (top + jnp.log(jnp.exp(x - top).sum(-1, keepdims=True)))[..., 0]


def _logsumexp_forward(x):
    y = logsumexp(x)
    return y, (x, y)


logsumexp.defvjp(
    _logsumexp_forward, lambda kept, dy: (dy[..., None] * jnp.exp(kept[0] - kept[1][..., None]),)
)


@partial(custom_vjp, nondiff_argnums=(1,))
def power(x, n):
    return x**n


power.defvjp(lambda x, n: (x**n, x), lambda n, x, dy: (dy * n * x ** (n - 1),))


@custom_vjp
def look_up(table, rows):
    return table[rows]


look_up.defvjp(
    lambda table, rows: (table[rows], (table.shape, rows)),
    lambda kept, dy: (jnp.zeros(kept[0], dy.dtype).at[kept[1]].add(dy), None),
)


@custom_vjp
def layer_norm(x, g, b):
    return _layer_norm_forward(x, g, b)[0]


def _layer_norm_forward(x, g, b):
    centred = x - x.mean(-1, keepdims=True)
    scale = lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    n = centred * scale
    return n * g + b, (n, scale, g)


def _layer_norm_backward(kept, dy):
    n, scale, g = kept
    h = dy * g
    dx = scale * (h - h.mean(-1, keepdims=True) - n * (h * n).mean(-1, keepdims=True))
    return dx, (dy * n).sum(0), dy.sum(0)


layer_norm.defvjp(_layer_norm_forward, _layer_norm_backward)


@custom_vjp
def attention(q, k, v):
    return jax.nn.softmax(q @ k.T / q.shape[-1] ** 0.5) @ v


def _attention_backward(kept, dy):
    q, k, v = kept
    p = jax.nn.softmax(q @ k.T / q.shape[-1] ** 0.5)
    dp = dy @ v.T
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) / q.shape[-1] ** 0.5
    return ds @ k, ds.T @ q, p.T @ dy


attention.defvjp(lambda q, k, v: (attention(q, k, v), (q, k, v)), _attention_backward)


@custom_vjp
def fixed_point(x):
    """Return the y with y = cos(x + y/2), whose slope is −s/(1 + s/2), s = sin(x + y/2)."""
    return lax.fori_loop(0, 80, lambda _, y: jnp.cos(x + y / 2), jnp.zeros_like(x))


def _fixed_point_backward(kept, dy):
    x, y = kept
    s = jnp.sin(x + y / 2)
    return (-dy * s / (1 + s / 2),)


def _fixed_point_forward(x):
    y = fixed_point(x)
    return y, (x, y)


fixed_point.defvjp(_fixed_point_forward, _fixed_point_backward)


@jax.jit
def tree(x, y):
    """Return a dictionary of outputs."""
    return {"sum": x + y, "parts": (jnp.sin(x), [x * y])}


def rnn(x, W, h):
    """Return all states of a recurrent network, h = tanh(x + h W)."""

    def step(h, x):
        h = jnp.tanh(x + h @ W)
        return h, h

    return lax.scan(step, h, x)


def safe_log(x):
    inside = jnp.where(x > 0, x, 1)
    return jnp.where(x > 0, jnp.log(inside), 0)


@custom_jvp
def sorted_rows(x):
    return jnp.sort(x, -1)


@sorted_rows.defjvp
def _sorted_rows_jvp(primals, tangents):
    order = jnp.argsort(primals[0], -1)
    return tuple(jnp.take_along_axis(a, order, -1) for a in (primals[0], tangents[0]))
