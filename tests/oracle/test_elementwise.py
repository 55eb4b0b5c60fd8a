"""The bound of an elementwise function covers the formulas that programs use, and not much more."""

from itertools import product

import numpy as np
import pytest

from manualnn.oracle.protocol.features import LAYER_ROWS, LOSS_ROWS, fit, options_of
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.bounded import Bounded, Precision
from manualnn.oracle.truth.compare import refutes
from manualnn.oracle.truth.elementwise import Evaluation
from manualnn.oracle.truth.layers import layer_truth

DTYPES = ["float32", "float64"]
LAYERS = {name: row for name, row in LAYER_ROWS.items() if row.statement is not None}
LOSSES = {name: row for name, row in LOSS_ROWS.items() if row.statement and row.statement.bounds}
FORMS = [
    pytest.param(name, kind, form, id=f"{name}-{kind}-{form}")
    for name, row in (LAYERS | LOSSES).items()
    for kind, forms in (
        ("value", {"as stated": row.statement.formula, **row.statement.value_forms}),
        ("slope", {"as stated": None, **row.statement.slope_forms}),
    )
    for form in forms
]


def arguments(name, dtype):
    """Return z: numbers of every size, and next to kinks; of a loss y and t, so that z is y − t."""
    rng, info = np.random.default_rng(0), np.finfo(dtype)
    sizes = 10.0 ** rng.uniform(-40 if dtype == "float32" else -300, 4, 4000)
    kinks = np.array([0, 0.1, 0.3, 0.5, 1, 2, 2.5, 3, 5, 6, 20])
    near = kinks * (1 + info.eps * np.arange(-3, 4)[:, None])
    usual = rng.normal(scale=[[1], [4], [15]], size=(3, 3000))
    z = np.concatenate([sizes, near.ravel(), usual.ravel(), [info.tiny, info.max / 4]])
    z = np.concatenate([z, -z]).astype(dtype)
    if name in LAYERS:
        return [z]
    t = np.where(rng.random(z.size) < 0.5, 0, rng.normal(size=z.size)).astype(dtype)
    if LOSS_ROWS[name].targets == "signs":
        return [z, np.where(rng.random(z.size) < 0.5, -1, 1).astype(dtype)]
    return [z + t, t]


def every_choice_of_options(name):
    options = (LAYERS | LOSSES)[name].options
    for values in product(*(option.values for option in options.values())):
        yield options_of({"type": name, **dict(zip(options, values, strict=True))})


def numbers(dtype):
    """Return the arithmetic of NumPy's numbers of a dtype."""
    engine = Textbook()
    engine.kind = np.dtype(dtype)
    return engine.functions


def computed(name, kind, form, o, arrays, *, m):
    statement = (LAYERS | LOSSES)[name].statement
    if form == "as stated":
        return statement.derivatives(m, o, *arrays)[kind == "slope"]
    forms = statement.value_forms if kind == "value" else statement.slope_forms
    return forms[form](m, o.in_numbers(m.number), *arrays)


def bounded(name, kind, o, arrays, dtype):
    """Return the truth's number: f(z), or f′(z) times 1."""
    precision = Precision(dtype)
    z, *rest = map(precision.exact, arrays)
    if name in LOSSES:
        found = Evaluation(LOSSES[name].statement, o, z, *(near.v for near in rest))
        return found.value() if kind == "value" else found.slope()
    forward, backward = layer_truth(name)
    y = forward(o, {}, z)
    return y if kind == "value" else backward(o, {}, z, y, precision.exact(np.ones(z.v.shape)))[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "kind", "form"), FORMS)
def test_every_formula_in_use_stays_inside_the_bound(name, kind, form, dtype):
    arrays = arguments(name, dtype)
    with np.errstate(all="ignore"):
        for o in every_choice_of_options(name):
            near = bounded(name, kind, o, arrays, dtype)
            result = computed(name, kind, form, o, arrays, m=numbers(dtype))
            wrong = refutes(near, np.broadcast_to(result, near.v.shape))
            assert not wrong.any(), (o, [a[wrong][:3] for a in arrays])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "kind"), [p.values[:2] for p in FORMS if "as stated" in p.values])
def test_a_value_or_slope_that_is_a_little_too_large_is_refuted(name, kind, dtype):
    """By 100 u of it, somewhere between −8 and 8."""
    arrays = arguments(name, dtype)
    arrays = [a[np.abs(arrays[0]) < 8] for a in arrays]
    o = options_of(fit({"type": name}, 1) if name in LAYER_ROWS else {"type": name})
    with np.errstate(all="ignore"):
        near = bounded(name, kind, o, arrays, dtype)
    assert refutes(near, near.v * (1 + 100 * np.finfo(dtype).eps)).any()


@pytest.mark.parametrize("name", LAYERS | LOSSES)
def test_errors_of_the_argument_are_covered(name):
    """z is known up to ±e: what its true values give lies inside, next to kinks as well."""
    rng, precision = np.random.default_rng(1), Precision("float64")
    z, *rest = arguments(name, "float64")
    kept = np.abs(z) < 1e6
    z, *rest = (a[kept] for a in (z, *rest))
    e = np.abs(z) * 10.0 ** rng.uniform(-15, 1, z.size)
    moved = z + e * rng.choice([-1, -0.9, -0.5, 0.1, 0.7, 1], z.size)
    e = np.maximum(e, np.abs(moved - z))
    rest_v = [precision.exact(a).v for a in rest]
    with np.errstate(all="ignore"):
        for o in every_choice_of_options(name):
            near = Bounded(precision.wide.array(z), e, precision)
            if name in LOSSES:
                statement = LOSSES[name].statement
                evaluation = Evaluation(statement, o, near, *rest_v)
                found = evaluation.value(), evaluation.slope()
            else:
                forward, backward = layer_truth(name)
                y = forward(o, {}, near)
                found = y, backward(o, {}, near, y, precision.exact(np.ones(z.shape)))[0]
            statement = (LAYERS | LOSSES)[name].statement
            true = statement.derivatives(precision.wide, o, precision.wide.array(moved), *rest_v)
            for v, inside in zip(true, found, strict=True):
                wrong = refutes(inside, v)
                assert not wrong.any(), (o, z[wrong][:3], e[wrong][:3])
