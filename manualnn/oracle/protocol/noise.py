"""Random arrays of layers in training: their distribution, and the entries that they may have."""

from typing import Any

import numpy as np

from manualnn.oracle.protocol.rows import Array, Noise, Options


def kept_factor(p: float, dtype: Any) -> Any:
    """Return 1/(1 − p) in that dtype; 0 for p = 1, which keeps nothing."""
    return np.dtype(dtype).type(1 / (1 - p) if p < 1 else 0)


def _draw_mask(rng: Any, o: Options, shape: tuple[int, ...]) -> Array:
    return np.asarray((rng.random(shape) >= o.p) * kept_factor(o.p, float))


DROPOUT_MASK = Noise(
    name="mask",
    draw=_draw_mask,
    admitted=lambda o, array, dtype: np.where(array != 0, kept_factor(o.p, dtype), 0),
    sentence=lambda o, dtype: f"0 or 1/(1 − p) = {kept_factor(o.p, dtype):.17g}",
)
RANDOM_SLOPE = Noise(
    name="slope",
    draw=lambda rng, o, shape: np.asarray(rng.uniform(o.lower, o.upper, shape)),
    admitted=lambda o, array, dtype: np.clip(array, *np.array([o.lower, o.upper], dtype)),
    sentence=lambda o, _: f"from lower = {o.lower:g} to upper = {o.upper:g}",
)
ALPHA_MASK = Noise(
    name="mask",
    draw=lambda rng, o, shape: np.asarray((rng.random(shape) >= o.p) * 1.0),
    admitted=lambda o, array, _: np.where((array != 0) & (o.p < 1), 1.0, 0.0),
    sentence=lambda _, __: "0 or 1",
)
