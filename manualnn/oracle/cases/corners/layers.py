"""Corners of layers: defaults, every value of an option, kinks, switches, and saturation.

    layer_corners("Softplus", "beta")       makers of cases, one for each value and position

A layer comes first, so that x holds its inputs, or after a Linear layer whose weight is the
identity. The second position shows the slope to an engine that returns no gradient of x.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import Impossible
from manualnn.oracle.cases.draft import Draft, gives_probabilities, least_outputs
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import LAYER_ROWS, REQUIRED, fit, options_of, width_of

Make = Callable[[Draft], Case]

SHARES = (0.5, 0.9, 1.1, 2.0)
"""Shares of a switch: both sides of it, near and far."""
SATURATING_SIZES = (12.0, 20.0, 40.0, 88.7, 104.0, 710.0, 745.0)
"""|z| at which a sigmoid's slope vanishes in float32 or float64, or at which exp overflows."""
ROW_DISTANCE = 800.0
"""Distance between rows: e^−745 is the smallest positive float64 number."""


def layer_corners(name: str, option: str | None = None) -> Iterator[Make]:
    """Yield makers of the corners of a layer, or of one of its options."""
    if name == "Linear":
        yield from (partial(_linear, option, *sizes) for sizes in ((1, 1, 1), (1, 3, 2), (3, 1, 2)))
        return
    count = len(LAYER_ROWS[name].options[option].others) if option else 1
    for number in range(count):
        yield partial(_layer, name, option, number, is_first=True)
        yield partial(_layer, name, option, number, is_first=False)


def nth(values: list[Any], number: int) -> Any:
    """Return a value by its number; raises Impossible if there is none."""
    if number >= len(values):
        raise Impossible
    return values[number]


def nth_option(draft: Draft, name: str, option: str, number: int) -> Any:
    """Return a claimed value of an option that is not its default, by its number."""
    default = LAYER_ROWS[name].options[option].default if name in LAYER_ROWS else None
    return nth([v for v in draft.values(name, option) if v != default], number)


def filled(draft: Draft, points: tuple[float, ...], least: int = 1) -> Array:
    """Return a matrix of the claimed sizes that holds these points, the first of them first."""
    width = max(least, min(4, draft.max_width))
    n = min(draft.max_batch, -(-len(points) // width) + 1)
    array = draft.normals((n, width))
    array.flat[: len(points)] = points[: array.size]
    return array


def points_of(spec: dict[str, Any]) -> tuple[float, ...]:
    """Return inputs of an elementwise layer: 0, its switches, and large numbers."""
    row = LAYER_ROWS[spec["type"]]
    switches = row.switches(options_of(spec))
    shares = SHARES if row.is_partner else (*SHARES, 1.0)  # partners keep their cases
    near = [switch * share for switch in switches for share in shares]
    far = [sign * size for size in SATURATING_SIZES for sign in (1, -1)] if row.saturates else []
    return (0.0, -0.0, *near, 1.0, -1.0, *far)


def identity_params(case: Case) -> dict[str, Array]:
    """Return parameters by which the first Linear layer repeats its input exactly."""
    params = dict(case.params)
    params["0.weight"] = np.eye(case.widths[0], dtype=case.dtype)
    if "0.bias" in params:
        params["0.bias"] = np.zeros_like(params["0.bias"])
    return params


def _linear(option: str | None, n: int, inputs: int, outputs: int, draft: Draft) -> Case:
    """Return a case of a Linear layer of these sizes."""
    if option and len(draft.values("Linear", option)) < 2:
        raise Impossible
    loss = draft.loss()
    outputs = max(outputs, least_outputs(loss))
    given: dict[str, Any] = {"bias": option is None}
    layer = draft.layer("Linear", in_features=inputs, out_features=outputs, **given)
    return draft.case(layers=[layer, *draft.closing_layers(loss)], loss=loss, n=n)


def _layer(name: str, option: str | None, number: int, draft: Draft, *, is_first: bool) -> Case:
    defaults = LAYER_ROWS[name].defaults.items()
    given = {option: value for option, value in defaults if value is not REQUIRED}
    if option:
        given = {option: nth_option(draft, name, option, number)}
        # The second position has no option at its default, because options may multiply.
        others = [o for o in draft.claim_of(name) if o not in given and not is_first]
        for other in others:
            with suppress(Impossible):
                given[other] = nth_option(draft, name, other, number)
    spec = draft.layer(name, **given)
    loss = draft.loss()
    row = LAYER_ROWS[name]
    least = max(2 if row.mixes_features else row.multiple, least_outputs(loss))
    x = filled(draft, points_of(spec) if row.is_elementwise or row.has_kink else (), least)
    if row.mixes_features:
        x = _rows_apart(draft, x.shape[1])
    if row.mixes_samples:
        x = _constant_column(draft, x.shape[1])
    width = x.shape[1]
    if width % row.multiple:
        raise Impossible
    spec = fit(spec, width)
    layers = [spec]
    depth = draft.max_depth - (not is_first)
    if depth < 0:
        raise Impossible
    if not is_first:
        layers = [draft.layer("Linear", in_features=width, out_features=width), spec]
    if depth:
        outputs = draft.count(draft.max_width, least_outputs(loss))
        inputs = width_of(spec, width)
        layers.append(draft.layer("Linear", in_features=inputs, out_features=outputs))
    if not gives_probabilities(layers[-1]):
        layers += draft.closing_layers(loss)
    case = draft.case(layers=layers, loss=loss, widths=(width,), n=len(x))
    return case.but(x=x, params=case.params if is_first else identity_params(case))


def _constant_column(draft: Draft, width: int) -> Array:
    """Return rows whose first entries are equal, if they are not the only ones."""
    x = draft.normals((min(draft.max_batch, 4), width))
    if width > 1:
        x[:, 0] = x[0, 0]
    return x


def _rows_apart(draft: Draft, width: int) -> Array:
    """Return rows that are equal entries, one large entry, or farther apart than exp reaches."""
    x = draft.normals((min(draft.max_batch, 6), width))
    x[:1] = 0
    x[1:2, 0] = ROW_DISTANCE
    x[2:3, -1] = -ROW_DISTANCE
    return (x + ROW_DISTANCE * np.maximum(np.arange(len(x)) - 2, 0)[:, None]).astype(draft.dtype)
