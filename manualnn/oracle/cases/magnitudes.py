"""Makers of cases with extreme numbers: saturated, tiny, huge, subnormal, cancelling, zero.

    saturate, reach_kinks, make_certain, cancel, scale_by_powers, scale_columns,
    make_subnormal, repeat_rows, make_zero, overflow                             draft -> case

Each draws an ordinary case first and then changes some of its arrays.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import Impossible
from manualnn.oracle.cases.corners.layers import ROW_DISTANCE, SATURATING_SIZES
from manualnn.oracle.cases.draft import Draft, gives_probabilities
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import LAYER_ROWS, LOSS_ROWS
from manualnn.oracle.truth.step import truth

CERTAIN_SIZES = (30.0, 88.8, 104.0, 710.0, 745.0, 1e4)
"""Sizes of logits that make a class certain."""


def saturate(draft: Draft) -> Case:
    """Reach |z| at which functions lose their digits, or overflow."""
    layers = [name for name in draft.claims.layers if name != "Linear"]
    saturating = [name for name in layers if LAYER_ROWS[name].saturates]
    name = draft.pick_name(saturating if saturating and draft.chance(0.8) else layers)
    if LAYER_ROWS[name].mixes_features and draft.chance(0.6):
        return _move_rows_apart(draft, case_around(draft, name, last=True))
    case = case_around(draft, name, last=draft.chance(0.5))
    if not case.params:
        return _scale(case, {"x": draft.pick(SATURATING_SIZES)})
    key = draft.pick(_weights(case))
    largest = 1.0
    size = draft.pick(SATURATING_SIZES) * draft.rng.uniform(0.97, 1.03)
    if key == "0.weight":
        z = case.x @ case.params[key].T + case.params.get("0.bias", 0)
        largest = np.abs(z).max() or 1
    return _scale_layer(case, key, size / largest)


def reach_kinks(draft: Draft) -> Case:
    """Bring pre-activations close to 0, on both sides."""
    names = draft.activations()
    kinked = [name for name in names if LAYER_ROWS[name].has_kink]
    if kinked and draft.chance(0.6):
        names = kinked
    case = case_around(draft, draft.pick_name(names), last=False)
    return _scale_layer(case, _weights(case)[0], 2.0 ** -int(draft.rng.integers(4, 40)))


def make_certain(draft: Draft) -> Case:
    """Make the outputs before a loss of probabilities huge, and wrong as often as correct."""
    losses = [n for n in draft.claims.losses if LOSS_ROWS[n].targets != "numbers"]
    loss = draft.loss(draft.pick_name(losses))
    if LOSS_ROWS[loss["type"]].targets == "classes" and draft.chance(0.4):
        widths = draft.widths(min(1, draft.max_depth), loss)
        layers = draft.network(widths, ending=0.0) if len(widths) > 1 else None
        return _move_rows_apart(draft, draft.training_case(layers=layers, widths=widths, loss=loss))
    case = draft.training_case(loss=loss)
    name = f"params.{_weights(case)[-1]}" if case.params else "x"
    return _scale(case, {name: draft.pick(CERTAIN_SIZES)})


def cancel(draft: Draft) -> Case:
    """Put x far from 0 against weights that sum to nearly 0, or targets close to outputs."""
    case = draft.training_case()
    if draft.chance(0.5) and _has_free_targets(case):
        y = truth(case.but(optimizer=None, steps=1, state=None)).outputs.v
        t = y * (1 + 1e-4 * draft.rng.standard_normal(y.shape))
        return case.but(t=t.astype(case.dtype))
    key = _weights(case)[0]
    weight = case.params[key]
    balanced = weight - weight.mean(axis=1, keepdims=True)
    x = case.x + 2.0 ** int(draft.rng.integers(4, 14))
    return case.but(
        x=x.astype(case.dtype), params={**case.params, key: balanced.astype(case.dtype)}
    )


def scale_by_powers(draft: Draft) -> Case:
    """Scale inputs and targets, or weights against inputs, by a power of two."""
    case = draft.training_case()
    most = 30 if case.dtype == "float32" else 200
    up = 2.0 ** int(draft.rng.integers(-most, most + 1))
    key = _weights(case)[0]
    if draft.chance(0.3):
        return _scale(case, {"x": up, f"params.{key}": 1 / up})
    if draft.chance(0.5):  # The bias too, so that the signals after the layer have that size.
        return _scale_layer(case, key, min(up, 1 / up))
    return _scale(case, {"x": up, **({"t": up} if _has_free_targets(case) else {})})


def scale_columns(draft: Draft) -> Case:
    """Scale every column of x differently, usually with weights that undo it."""
    case = draft.training_case()
    key = _weights(case)[0]
    most = 12 if case.dtype == "float32" else 60
    factors = 2.0 ** draft.rng.integers(-most, most + 1, case.x.shape[1])
    if case.layers[0]["type"] != "Linear" or draft.chance(0.3):
        return _scale(case, {"x": factors})
    return _scale(case, {"x": factors, f"params.{key}": 1 / factors})


def make_subnormal(draft: Draft) -> Case:
    """Make numbers subnormal, or so small that a product is."""
    case = draft.training_case()
    low = -126 if case.dtype == "float32" else -1022
    exponent = low // draft.pick((1, 2)) + int(draft.rng.integers(-12, 4))
    return _scale(case, {draft.pick(("x", f"params.{_weights(case)[0]}")): np.ldexp(1.0, exponent)})


def repeat_rows(draft: Draft) -> Case:
    """Repeat samples, or give all samples one target, so that classes are missing."""
    case = draft.training_case(n=draft.count(draft.max_batch))
    index = draft.rng.integers(0, max(1, case.n // 2), case.n)
    same = np.zeros(case.n, int)
    x = case.x[index] if draft.chance(0.6) else case.x
    return case.but(x=x, t=case.t[same if draft.chance(0.6) else index])


def make_zero(draft: Draft) -> Case:
    """Fill one array of a case with zeros."""
    case = draft.training_case()
    if case.params and draft.chance(0.3):  # The outputs are 0 if Linear is the last layer.
        return _scale_layer(case, _weights(case)[-1], 0.0)
    arrays = [n for n, a in case.arrays().items() if a.dtype.kind == "f" and n[0] in "xtp"]
    name = draft.pick(arrays)
    return case.map(lambda n, a: np.zeros_like(a) if n == name else a)


def overflow(draft: Draft) -> Case:
    """Make one sample so large that the loss, or already the outputs leave the dtype's range.

    All numbers are positive and every layer is homogeneous. So no difference of two infinities
    occurs, which some correct programs turn into 0 and others into NaN.
    """
    names = [name for name in draft.activations() if LAYER_ROWS[name].is_homogeneous]
    rows = [LOSS_ROWS[name] for name in draft.claims.losses]
    losses = [row.name for row in rows if row.statement and row.statement.bounds]
    if not draft.max_depth:
        raise Impossible
    widths = draft.widths(min(2, draft.max_depth))
    layers: list[Any] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        if i and names:
            layers.append(draft.layer(draft.pick_name(names)))
        layers.append(draft.layer("Linear", in_features=a, out_features=b))
    case = draft.case(layers=layers, loss=draft.loss(draft.pick_name(losses)))
    if case.optimizer and "SGD" in draft.claims.optimizers:
        case = case.but(optimizer=draft.optimizer("SGD"))
    large = 2.0 ** (70 if case.dtype == "float32" else 520)  # The square is beyond the range.
    outputs_too = draft.chance(0.5)

    def change(name: str, a: Array) -> Array:
        if name == "t" or name.startswith("noise"):
            return a
        a = np.abs(a) + a.dtype.type(2**-4)
        if name == "x":
            a[0] *= large
        return a * a.dtype.type(large) if outputs_too and name == "params.0.weight" else a

    return case.map(change)


def case_around(draft: Draft, name: str, *, last: bool) -> Case:
    """Return a case with a layer after a Linear one, and before another unless it is the last."""
    loss = draft.loss()
    widths = draft.widths(min(1 if last else 2, draft.max_depth), loss)
    layers: list[Any] = []
    for a, b in pairwise(widths):
        layers += [draft.layer("Linear", in_features=a, out_features=b), draft.layer(name)]
    if not last:
        layers = layers[:-1]
    layers = layers or [draft.layer(name)]
    if not gives_probabilities(layers[-1]):
        layers += draft.closing_layers(loss)
    return draft.training_case(layers=layers, loss=loss, widths=widths)


def _move_rows_apart(draft: Draft, case: Case) -> Case:
    """Shift every row of the first layer's output as a whole, by more than exp can span."""
    far = (ROW_DISTANCE * draft.rng.permutation(case.n)).astype(case.dtype)
    x = case.x.copy()
    if case.layers[0]["type"] != "Linear":
        return case.but(x=x + far[:, None])
    key = _weights(case)[0]
    weight = case.params[key].copy()
    x[:, 0], weight[:, 0] = far, 1
    return case.but(x=x, params={**case.params, key: weight})


def _has_free_targets(case: Case) -> bool:
    return LOSS_ROWS[case.loss["type"]].targets == "numbers"


def _weights(case: Case) -> list[str]:
    """Return the keys of the weights; raises Impossible if there is none."""
    keys = [key for key in case.params if key.endswith("weight")]
    if not keys:
        raise Impossible
    return keys


def _scale(case: Case, factors: dict[str, Any]) -> Case:
    def change(name: str, a: Array) -> Array:
        return (a * factors[name]).astype(a.dtype) if name in factors else a

    return case.map(change)


def _scale_layer(case: Case, key: str, factor: Any) -> Case:
    """Return the case with the weight of that key and the bias beside it times a factor."""
    return _scale(case, {f"params.{key}": factor, f"params.{key[:-6]}bias": factor})
