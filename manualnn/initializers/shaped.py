"""Initial values of another form: constants, orthogonal, sparse and truncated ones."""

import math

import numpy as np

from manualnn.elementary import Array
from manualnn.errors import SpecError
from manualnn.initializers.scaled import Shape, finite_number, normal, require_matrix, uniform
from manualnn.validation import shown

__all__ = ["constant", "eye", "ones", "orthogonal", "sparse", "trunc_normal"]


def constant(rng: "np.random.Generator", shape: Shape, val: float = 0.0) -> Array:  # noqa: ARG001
    """Return copies of one number. Source: torch.nn.init.constant_, where val has no default."""
    return np.full(shape, finite_number("val", val))


def ones(rng: "np.random.Generator", shape: Shape) -> Array:  # noqa: ARG001
    """Return ones. Source: torch.nn.init.ones_."""
    return np.ones(shape)


def eye(rng: "np.random.Generator", shape: Shape) -> Array:  # noqa: ARG001
    """Return the matrix of shape (out, in) with ones on its diagonal, zeros elsewhere.

    Source: torch.nn.init.eye_.
    """
    return np.eye(*require_matrix(shape))


def orthogonal(rng: "np.random.Generator", shape: Shape, gain: float = 1.0) -> Array:
    """Draw a matrix W of shape (out, in) with Wᵀ W = gain² I, or W Wᵀ = gain² I if it is wide.

    W is gain times the Q of a QR decomposition of normals. The signs of R's diagonal make its
    distribution uniform over all such matrices.

    Source: Saxe et al. 2014; Mezzadri 2007, section 5; torch.nn.init.orthogonal_.
    """
    rows, columns = require_matrix(shape)
    drawn = normal(rng, (max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q = q * (np.sign(np.diagonal(r)) * finite_number("gain", gain))
    return q.T if rows < columns else q


def sparse(
    rng: "np.random.Generator", shape: Shape, sparsity: float = 0.9, std: float = 0.01
) -> Array:
    """Draw normals with deviation std, and set ⌈sparsity × out⌉ of each column to 0.

    A column of a weight of shape (out, in) holds what one input gives to all units.

    Source: Martens 2010; torch.nn.init.sparse_, where sparsity has no default.
    """
    rows, columns = require_matrix(shape)
    share = finite_number("sparsity", sparsity)
    if not 0 <= share <= 1:
        message = f"sparsity must be from 0 to 1, got {shown(sparsity)}."
        raise SpecError(message)
    drawn = normal(rng, (rows, columns), std=std)
    order = rng.permuted(np.tile(np.arange(rows), (columns, 1)), axis=1).T
    drawn[order < math.ceil(share * rows)] = 0
    return drawn


def trunc_normal(  # noqa: PLR0917 - torch's arguments
    rng: "np.random.Generator",
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
) -> Array:
    """Draw normals with this mean and standard deviation from those between a and b.

    a and b are bounds of the values, not of their distance from the mean in deviations. So the
    defaults cut nothing off for a small std, as in torch. Keras cuts at two deviations.

    Far from the mean, candidates are exponential: Robert 1995, section 2.2.

    Source: torch.nn.init.trunc_normal_.
    """
    names = {"mean": mean, "std": std}
    mean, std = (finite_number(name, value) for name, value in names.items())
    low, high = ((bound - mean) / std if std > 0 else math.nan for bound in (a, b))
    if not low < high:
        message = (
            f"trunc_normal needs std above 0 and a below b, got std={std:g}, a={shown(a)} and "
            f"b={shown(b)}."
        )
        raise SpecError(message)
    if high < 0:
        drawn = -_beyond(rng, shape, -high, -low)
    elif low > 0:
        drawn = _beyond(rng, shape, low, high)
    else:
        drawn = _around(rng, shape, low, high)
    # The bounds hold after the rounding of the last operation, too.
    values: Array = np.clip(mean + std * drawn, a, b)
    return values


def _around(rng: "np.random.Generator", shape: Shape, low: float, high: float) -> Array:
    """Draw standard normals in a range that holds 0: at least two candidates in five are used."""
    is_narrow = high - low < math.sqrt(2 * math.pi)
    drawn = np.full(shape, np.nan)
    while (open_ := np.isnan(drawn)).any():
        size = (int(open_.sum()),)
        found = uniform(rng, size, low, high) if is_narrow else normal(rng, size)
        kept = (found >= low) & (found <= high)
        if is_narrow:
            kept &= rng.random(size) < np.exp(-(found**2) / 2)
        drawn[open_] = np.where(kept, found, np.nan)
    return drawn


def _beyond(rng: "np.random.Generator", shape: Shape, low: float, high: float) -> Array:
    """Draw standard normals in a range above 0, from exponential candidates with the best rate."""
    rate = (low + math.sqrt(low * low + 4)) / 2
    most = max(rate - high, 0.0)  # distance of the range from the peak of the acceptance
    drawn = np.full(shape, np.nan)
    while (open_ := np.isnan(drawn)).any():
        size = (int(open_.sum()),)
        share = -math.expm1(-rate * (high - low))
        found = low - np.log1p(-rng.random(size) * share) / rate
        kept = rng.random(size) < np.exp((most**2 - (found - rate) ** 2) / 2)
        drawn[open_] = np.where(kept, found, np.nan)
    return drawn
