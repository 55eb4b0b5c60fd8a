"""Inputs that are more than numbers of an interval: distributions, matrices, classes, masks."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from manualnn.gradcheck.inputs.array import Array
from manualnn.gradcheck.inputs.numbers import digits, rounded
from manualnn.gradcheck.inputs.styles import STYLES, TIES, Numbers, placed

ONE_CLASS = {"all entries equal", "one large entry"}
NO_CLASS = {"ends of the domain", "one small entry"}


def reals(
    spec: Array, style: str, rng: np.random.Generator, palette: Numbers
) -> NDArray[np.generic]:
    """Draw numbers of the domain; those of the style "ties" come from the palette."""
    if spec.kind == "symmetric":
        free = replace(spec, derivative=True).free_size()
        return spec.embed(_entries(spec, style, rng, palette, free))
    array = _entries(spec, style, rng, palette, spec.size).reshape(spec.shape)
    return np.sort(array, axis=spec.axis) if spec.kind == "sorted" else array


def _entries(
    spec: Array, style: str, rng: np.random.Generator, palette: Numbers, count: int
) -> NDArray[np.generic]:
    if style == TIES:
        return rng.choice(placed(palette, spec, np.random.default_rng(0), style), count)
    return placed(STYLES[style](rng, count, spec), spec, rng, style)


def probabilities(spec: Array, style: str, rng: np.random.Generator) -> NDArray[np.generic]:
    """Draw distributions along the axis: also few-digit ones, with zeros, and nearly one-hot."""
    shape = np.moveaxis(np.empty(spec.shape), spec.axis, -1).shape
    size = shape[-1]
    if not spec.size:
        return np.zeros(spec.shape, rounded(0.0, spec.dtype).dtype)
    match style:
        case "all entries equal":
            weights = np.ones(shape)
        case "integers and halves" | "ties":
            weights = rng.integers(1, 4, shape).astype(float)
        case "zeros of both signs":
            weights = rng.integers(0, 3, shape).astype(float)
        case "ends of the domain" | "one large entry":
            weights = np.full(shape, 2.0**-12 if style == "one large entry" else 0.0)
            chosen = rng.integers(0, size, shape[:-1])
            np.put_along_axis(weights, chosen[..., None], 1.0, -1)
        case "normal" | "sweep of ±10":
            weights = np.exp(rng.standard_normal(shape))
        case _:
            weights = np.exp(3 * rng.standard_normal(shape))
    weights[..., 0] += weights.sum(-1) == 0
    if spec.open:
        weights = np.maximum(weights, 2.0 ** -(digits(spec.dtype) // 2))
    shares = weights / weights.sum(-1, keepdims=True)
    array = np.clip(rounded(shares, spec.dtype), *spec.bounds)
    return np.ascontiguousarray(np.moveaxis(array, -1, spec.axis))


def positive_definite(spec: Array, style: str, rng: np.random.Generator) -> NDArray[np.generic]:
    """Draw Q diag(λ) Qᵀ, where the style says how the eigenvalues λ spread, up to 1e6 apart."""
    size, batch = spec.shape[-1], spec.shape[:-2]
    if not spec.size:
        return np.zeros(spec.shape, rounded(0.0, spec.dtype).dtype)
    worst = min(20.0, digits(spec.dtype) / 2.7)
    spread, scale = {
        "normal": (2.0, 1.0),
        "all entries equal": (0.0, 1.5),
        "tiny": (1.0, 2.0**-10),
        "magnitudes 2^±40": (worst / 2, 2.0**6),
        "saturation": (2.0, 2.0**5),
    }.get(style, (worst / 2, 1.0))
    powers = rng.uniform(-spread, spread, (*batch, size))
    if style in {"magnitudes 2^±6", "one large entry", "one small entry"}:
        ends = {"one large entry": (-1, 1), "one small entry": (1, -1)}.get(style, (-0.5, 0.5))
        powers[:] = np.clip(powers, -1, 1)
        powers[..., 0] = ends[1] * min(worst / 2, 4.0)
        powers[..., -1] = ends[0] * min(worst / 2, 4.0)
        if style == "magnitudes 2^±6":
            powers *= worst / max(np.ptp(powers), 1)
    if style == TIES:
        powers[:] = np.round(powers[..., :1])
    basis, _ = np.linalg.qr(rng.standard_normal((*batch, size, size)))
    if style in {"zeros of both signs", "integers and halves", TIES}:
        basis = np.broadcast_to(np.eye(size), basis.shape)
    matrix = scale * (basis * 2.0 ** powers[..., None, :]) @ basis.swapaxes(-1, -2)
    if style == "integers and halves":
        whole = rng.integers(-2, 3, (*batch, size, size)).astype(float)
        matrix = (whole @ whole.swapaxes(-1, -2) + np.eye(size)) / 2
    return spec.embed(rounded(spec.parameters(matrix), spec.dtype))


def classes(spec: Array, style: str, rng: np.random.Generator) -> NDArray[np.generic]:
    """Draw integers: all in turn, one only, or a few that repeat."""
    low, high = (int(end) for end in spec.bounds)
    if style in ONE_CLASS | NO_CLASS:
        numbers = np.full(
            spec.size,
            {"ends of the domain": high, "one small entry": low}.get(
                style, rng.integers(low, high + 1)
            ),
        )
    elif style == TIES:
        numbers = rng.choice(rng.integers(low, high + 1, 2), spec.size)
    else:
        numbers = rng.permutation(low + np.arange(spec.size) % (high - low + 1))
    return numbers.reshape(spec.shape).astype(spec.dtype)


def booleans(spec: Array, style: str, rng: np.random.Generator) -> NDArray[np.generic]:
    """Draw booleans: mixed, all true, or all false."""
    mixed = rng.random(spec.shape) < 0.5
    numbers = mixed | (style in ONE_CLASS)
    return np.asarray(numbers & (style not in NO_CLASS)).astype(spec.dtype)
