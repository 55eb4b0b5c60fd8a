"""Every wrong function of the benchmark is wrong, by extrapolated differences of its values.

Nothing of manualnn.gradcheck takes part. A difference quotient is extrapolated from each side, so
that at a kink a gradient between the two slopes counts as right.
"""

from itertools import islice, pairwise

import numpy as np
import pytest
from gradcheck.calls import calls
from gradcheck.functions.catalogue import functions
from gradcheck.functions.entry import Wrong
from gradcheck.functions.writing import torch_function
from rotation import share

from manualnn.gradcheck import Array

ROWS = [row for row in functions().values() if isinstance(row, Wrong)]
STEPS = 2.0 ** -np.arange(5, 14)


def draw(spec, rng, style):
    """Return numbers of the input's kind; styles: ordinary, zeros and ties, large, at the end."""
    if spec.kind in ("classes", "integers"):
        return rng.integers(0, int(spec.high), spec.shape)
    low = -np.inf if spec.low is None else spec.low
    high = np.inf if spec.high is None else spec.high
    x = rng.normal(size=spec.shape)
    if style == 1:
        x = np.where(rng.random(spec.shape) < 0.3, 0.0, np.round(2 * x) / 2)
    elif style == 2:
        x = x * 8
    elif style == 3:
        x = np.where(rng.random(spec.shape) < 0.2, low if np.isfinite(low) else 0, x)
    return shaped(spec, np.clip(x, low, high)).astype(spec.dtype)


def shaped(spec, x):
    if spec.kind == "probabilities":
        return np.exp(x) / np.exp(x).sum(spec.axis, keepdims=True)
    if spec.kind == "sorted":
        return np.sort(x, spec.axis)
    if spec.kind in ("symmetric", "spd"):
        return x + x.T + 12 * np.eye(len(x)) * (spec.kind == "spd")
    return np.abs(x) + 0.1 if spec.kind == "positive" else x


def points(row):
    rng = np.random.default_rng(1)
    if row.witness is not None:
        several = len(row.inputs) > 1
        arrays = [np.asarray(a) for a in (row.witness if several else [row.witness])]
        pairs = zip(arrays, row.inputs, strict=True)
        yield [a if s.kind in ("classes", "boolean") else a.astype(float) for a, s in pairs]
        return
    for style in (0, 1, 2, 3) * 3:
        yield [draw(spec, rng, style) for spec in row.inputs]


def floating(arrays):
    return [a for a in arrays if a.dtype.kind == "f"]


def moved(arrays, direction, step):
    direction = iter(direction)
    return [a + step * next(direction) if a.dtype.kind == "f" else a for a in arrays]


def directions(row, arrays, rng):
    """Return all ones, signs, and single entries; symmetric for symmetric inputs."""
    specs = [s for s, a in zip(row.inputs, arrays, strict=False) if a.dtype.kind == "f"]
    shapes = [a.shape for a in floating(arrays)]
    found = [[np.ones(s) for s in shapes], [rng.choice([-1.0, 0.75], s) for s in shapes]]
    total = sum(int(np.prod(s)) for s in shapes)
    for k in range(0, total, max(1, total // 24)):
        flat = np.split((np.arange(total) == k) * 1.0, np.cumsum([int(np.prod(s)) for s in shapes]))
        found.append([part.reshape(s) for part, s in zip(flat, shapes, strict=False)])
    symmetric = [s.kind in ("symmetric", "spd") for s in specs]
    symmetric += [False] * (len(shapes) - len(specs))
    return [[v + v.T if yes else v for v, yes in zip(vs, symmetric, strict=True)] for vs in found]


def slope(f, side):
    """Return the slope of f at f(0) = 0 from one side, and its error, by Neville's rule."""
    row = [f(side * h) / (side * h) for h in STEPS]
    best, error = row[-1], np.inf
    for k in range(1, len(STEPS)):
        row = [b + (b - a) / (2.0**k - 1) for a, b in pairwise(row)]
        if len(row) > 1 and abs(row[-1] - row[-2]) < error:
            best, error = row[-1], abs(row[-1] - row[-2])
    return best, error


def outside(products, f):
    """Return whether a derivative is not between the slopes of f from the two sides.

    `products` are its terms. f returns terms as well; rounding of each may change a quotient by
    its size times ε/h, which the extrapolation enlarges by less than 16.
    """
    got, rounding = products.sum(), 64 * np.finfo(products.dtype).eps * abs(products).sum()
    at = f(0.0)
    floor = 16 * np.finfo(at.dtype).eps / STEPS[-1] * abs(at).sum()
    sides = [slope(lambda t: f(t).sum() - at.sum(), side) for side in (1, -1)]
    decided = [error + floor < 1e-3 * (1 + abs(end)) for end, error in sides]
    if not np.isfinite(got):
        return any(decided)
    if not all(decided):
        return False
    allowed = rounding + floor + 100 * sum(error for _, error in sides)
    low, high = sorted(end for end, _ in sides)
    return bool(got < low - allowed or got > high + allowed)


def flat(factors, arrays):
    pairs = zip(factors, arrays, strict=True)
    return np.concatenate([np.ravel(u * a) for u, a in pairs])


def widest(row, call, arrays):
    """Return the arrays in the widest numbers that the function keeps."""
    kind = np.longdouble if row.framework == "numpy" else np.float64
    wide = [a.astype(kind) if a.dtype.kind == "f" else a for a in arrays]
    try:
        kinds = {y.dtype for y in call.value(wide)}
    except (TypeError, ValueError):
        return arrays
    return wide if kinds == {np.dtype(kind)} else arrays


def wrong_gradient(row, call, arrays, rng):
    w = [1.5 * rng.normal(size=y.shape).astype(y.dtype) for y in call.value(arrays)]
    gradients, numbers = call.vjp(arrays, w), widest(row, call, arrays)
    for v in directions(row, arrays, rng):

        def f(t, v=v):
            return flat(w, call.value(moved(numbers, v, t)))

        if outside(flat(v, gradients).astype(gradients[0].dtype), f):
            return True
    return False


def wrong_second(row, call, arrays, rng):
    """Return whether the gradients' derivatives are wrong, by the arrays or by the cotangents."""
    w = [rng.normal(size=y.shape) for y in call.value(arrays)]
    s = [rng.normal(size=a.shape) for a in arrays]
    gradients = call.double_vjp(arrays, w, s)
    still = [np.zeros_like(u) for u in w]
    ways = [[*v, *still] for v in directions(row, arrays, rng)]
    for v in [[0 * a for a in arrays] + w, *ways]:

        def f(t, v=v):
            now = moved([*arrays, *w], v, t)
            return flat(s, call.vjp(now[: len(arrays)], now[len(arrays) :]))

        if outside(flat(v, gradients), f):
            return True
    return False


def wrong_jvp(row, call, arrays, rng):
    for v in directions(row, arrays, rng):
        for k, got in enumerate(call.jvp(arrays, v)):
            w = rng.normal(size=np.shape(got))

            def f(t, v=v, k=k, w=w):
                return np.ravel(w * call.value(moved(arrays, v, t))[k])

            if outside(np.ravel(w * got), f):
                return True
    return False


def wrong_shape(_, call, arrays, rng):
    gradients = call.vjp(arrays, [rng.normal(size=y.shape) for y in call.value(arrays)])
    wanted = [(a.shape, a.dtype) for a in floating(arrays)]
    return [(g.shape, g.dtype) for g in gradients] != wanted


def wrong_memory(row, call, arrays, rng):
    w = [rng.normal(size=y.shape) for y in call.value(arrays)]
    if row.framework == "numpy":
        given = [*arrays, *w]
        kept = [a.copy() for a in given]
        gradients = call.vjp(arrays, w)
        before = [g.copy() for g in gradients]
        call.vjp([k + 0.5 for k in kept[: len(arrays)]], kept[len(arrays) :])
        pairs = zip((*kept, *before), (*given, *gradients), strict=True)
        return any((a != b).any() for a, b in pairs)
    tensors = call.tensors(arrays)
    kept = [t.detach().clone() for t in tensors]
    import torch

    dy = [torch.from_numpy(u.copy()) for u in w]
    call.gradients(call.graph(tensors), tensors, dy)
    changed = [(t != k).any() for t, k in zip(tensors, kept, strict=True)]
    return any(changed) or any((d.numpy() != u).any() for d, u in zip(dy, w, strict=True))


def wrong_again(row, call, arrays, rng):
    """Return whether a second call, or a call before the backward, changes the gradients."""
    w = [rng.normal(size=y.shape) for y in call.value(arrays)]
    first = calls(row).vjp(arrays, w)
    other = [a + 0.5 if a.dtype.kind == "f" else a for a in arrays]
    call.vjp(other, w)
    second = call.vjp(arrays, w)
    if row.framework == "torch":
        tensors = call.tensors(arrays)
        outputs = call.graph(tensors)
        call.graph(call.tensors(other))
        second = [g.detach().numpy() for g in call.gradients(outputs, tensors, w)]
    return any((a != b).any() for a, b in zip(first, second, strict=True))


def wrong_layout(row, call, arrays, rng):
    w = [rng.normal(size=y.shape) for y in call.value(arrays)]
    if row.framework == "numpy":
        fortran = [np.asfortranarray(a) for a in arrays], [np.asfortranarray(u) for u in w]
        strided = call.vjp(*fortran)
    else:
        tensors = [t.detach() for t in call.tensors(arrays)]
        tensors = [t.mT.contiguous().mT.requires_grad_() if t.ndim > 1 else t for t in tensors]
        dy = [np.asfortranarray(u) for u in w]
        strided = [g.numpy() for g in call.gradients(call.graph(tensors), tensors, dy)]
    plain = call.vjp(arrays, w)
    return any(not np.allclose(a, b) for a, b in zip(plain, strided, strict=True))


def wrong_pattern(_, call, arrays, rng):
    w = [rng.normal(size=y.shape) for y in call.value(arrays)]
    plain = call.vjp(arrays, w)
    for i in range(len(plain)):
        tensors = call.tensors(arrays, [k == i for k in range(len(plain))])
        (got,) = call.gradients(call.graph(tensors), tensors, w)
        if not np.allclose(got.numpy(), plain[i]):
            return True
    return False


def wrong_vmap(_, call, arrays, rng):
    batch = [np.stack([a, 2 * a + 1]) for a in arrays]
    w = [rng.normal(size=(2, *y.shape)) for y in call.value(arrays)]
    together = call.batched_vjp(batch, w)
    alone = [call.vjp([a[i] for a in batch], [u[i] for u in w]) for i in range(2)]
    return any(
        not np.allclose(got[i], one)
        for i in range(2)
        for got, one in zip(together, alone[i], strict=True)
    )


def is_wrong(row, most=12):
    check = globals()[f"wrong_{row.fails}"]
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        for arrays in islice(points(row), most):
            call = calls(row)
            if check(row, call, [*arrays, *call.parameters], rng):
                return True
    return False


@pytest.mark.once
@pytest.mark.parametrize("row", share(ROWS, 3), ids=lambda row: row.name)
@pytest.mark.filterwarnings("ignore")
def test_wrong_functions_are_wrong(row):
    if row.framework != "numpy":
        pytest.importorskip(row.framework)
    assert row.mistake.endswith(".")
    assert row.size
    assert is_wrong(row)


def sine_pair():
    return (
        lambda x: np.maximum(np.sin(x), 0),
        lambda a, dy: dy * np.cos(a[0]) * (np.sin(a[0]) > 0),
        lambda a, v: v[0] * np.cos(a[0]) * (np.sin(a[0]) > 0),
    )


def first_maximum():
    return lambda x: x.max(), lambda a, dy: dy * (np.arange(a[0].size) == a[0].argmax())


def sine_of_tensors():
    return torch_function(
        lambda x, y: x.sin() * y, lambda dy, x, y: (dy * x.cos() * y, dy * x.sin())
    )


NUMPY_KINDS = ["gradient", "jvp", "memory", "again", "layout", "shape"]
TORCH_KINDS = ["gradient", "second", "memory", "again", "layout", "pattern", "shape"]
RIGHT = [Wrong("sine", "numpy", sine_pair, [Array((2, 3))], fails=kind) for kind in NUMPY_KINDS]
RIGHT += [Wrong("maximum", "numpy", first_maximum, [Array((4,))])]
RIGHT += [
    Wrong("sine", "torch", sine_of_tensors, [Array((2, 2)), Array((2, 2))], fails=kind)
    for kind in TORCH_KINDS
]


@pytest.mark.once
@pytest.mark.parametrize("row", RIGHT, ids=lambda row: f"{row.framework}-{row.name}-{row.fails}")
def test_right_functions_are_not_wrong(row):
    if row.framework != "numpy":
        pytest.importorskip(row.framework)
    assert not is_wrong(row, most=12 if row.framework == "numpy" else 2)
