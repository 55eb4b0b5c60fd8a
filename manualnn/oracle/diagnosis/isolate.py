"""Cases in which one feature of another case stands alone.

part_of(case, i, j)       the layers i … j − 1, with the input that they have in the case
behind_linear(case)       the case with a Linear layer of the identity before the first layer
between_linear(case)      the same with another one after the last layer
with_bias(case, i)        the case in which the Linear layer i has a bias
loss_like(name, loss)     another loss with the reduction of a loss
"""

from typing import Any

import numpy as np

from manualnn.oracle.cases.resize import relabelled
from manualnn.oracle.diagnosis.location import input_of_layer
from manualnn.oracle.protocol.case import Case, Spec
from manualnn.oracle.protocol.features import LOSS_ROWS, as_noise, options_of, takes_indices


def with_bias(case: Case, i: int) -> Case:
    """Return the case in which the Linear layer i has a bias, of 0 if it had none."""
    layer = {name: value for name, value in case.layers[i].items() if name != "bias"}
    bias = {f"{i}.bias": np.zeros(layer["out_features"], case.dtype)}
    layers = (*case.layers[:i], layer, *case.layers[i + 1 :])
    return case.but(layers=layers, params=bias | dict(case.params), state=None)


def part_of(case: Case, i: int, j: int) -> Case | None:
    """Return the case of the layers i … j − 1 alone, with the input that they have in the case."""
    with np.errstate(over="ignore"):
        x = input_of_layer(case, i).astype(case.dtype) if i else case.x
    if not np.isfinite(x).all():
        return None

    def own(arrays: Any) -> dict[str, Any]:
        numbered = ((key.partition("."), array) for key, array in (arrays or {}).items())
        return {f"{int(k) - i}.{n}": a for (k, _, n), a in numbered if i <= int(k) < j}

    loss, t = case.loss, case.t
    if case.widths[j] != case.widths[-1]:
        loss, t = loss_like(case.loss["type"], case.loss), _targets(case, case.widths[j])
    return case.but(
        layers=case.layers[i:j],
        params=own(case.params),
        noise=as_noise(case.layers[i:j], own(case.noise), is_training=case.noise is not None),
        x=x,
        t=t,
        loss=loss,
        state=None,
        steps=1,
    )


def behind_linear(part: Case) -> Case:
    """Return a case with a Linear layer of the identity before the first layer."""
    layer, params = _identity(part, part.widths[0])
    moved = {f"{int(k) + 1}.{n}": a for (k, _, n), a in _numbered(part.params)}
    noise = {f"{int(k) + 1}.{n}": a for (k, _, n), a in _numbered(part.noise or {})}
    first = {f"0.{name}": array for name, array in params.items()}
    drawn = as_noise(part.layers, noise, is_training=part.noise is not None)
    return part.but(layers=(layer, *part.layers), params=first | moved, noise=drawn)


def between_linear(part: Case | None) -> Case | None:
    """Return a case with Linear layers of the identity before the first and after the last."""
    if part is None:
        return None
    case = behind_linear(part)
    layer, params = _identity(part, part.widths[-1])
    last = {f"{len(case.layers)}.{name}": array for name, array in params.items()}
    return case.but(layers=(*case.layers, layer), params={**case.params, **last})


def _identity(case: Case, width: int) -> tuple[Spec, dict[str, Any]]:
    layer = {"type": "Linear", "in_features": width, "out_features": width}
    return layer, {"weight": np.eye(width, dtype=case.dtype), "bias": np.zeros(width, case.dtype)}


def _numbered(arrays: Any) -> list[Any]:
    return [(key.partition("."), array) for key, array in arrays.items()]


def loss_like(name: str, like: Spec) -> Spec:
    """Return a loss without options, with the reduction of another one.

    A loss of the same name keeps its factor, because an engine may have no other.
    """
    kept = ("factor",) if like["type"] == name else ()
    given = {option: like[option] for option in kept if option in like}
    return {"type": name, "reduction": options_of(like).reduction, **given}


def _targets(case: Case, width: int) -> Any:
    """Return targets for another number of outputs."""
    if LOSS_ROWS[case.loss["type"]].targets == "labels":
        return relabelled(case.t, range(width))
    if takes_indices(case.loss, case.t):
        return case.t % max(1, width)
    return np.resize(case.t, (case.n, width)).astype(case.dtype)
