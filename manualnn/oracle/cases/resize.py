"""Smaller cases: samples, columns or layers of a case removed, and all arrays cut to fit.

    segments(case)                       runs of layers' edges that share their width
    keep_rows(case, keep)                only these samples
    keep_columns(case, segment, keep)    only these columns of a segment, in every layer of it
    remove_layers(case, i, j)            without the layers i … j − 1
    is_valid(case)                       True if a correct engine must be able to answer the case

Edge i is the input of layer i, and edge len(layers) is the output. A layer that has other widths
ends a segment and begins another; it is Linear, or no column next to it is removed. A function
returns None if there is no valid case of this kind.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from manualnn.oracle.cases.draft import gives_probabilities
from manualnn.oracle.protocol.capabilities import find_undefined
from manualnn.oracle.protocol.case import Array, Case, Spec, place_of
from manualnn.oracle.protocol.features import (
    LAYER_ROWS,
    LOSS_ROWS,
    as_noise,
    buffer_of,
    find_mixing,
    fitted,
    listed_labels,
    options_of,
    shapes_of,
    state_of,
    takes_probabilities,
)
from manualnn.oracle.truth.step import truth

Keep = Sequence[int]


def segments(case: Case) -> list[range]:
    """Return the edges of every segment, from the input to the output."""
    between = [i for i, layer in enumerate(case.layers) if not _keeps_width(layer)]
    starts = [0, *(i + 1 for i in between)]
    ends = [*(i + 1 for i in between), len(case.layers) + 1]
    return [range(start, end) for start, end in zip(starts, ends, strict=True)]


def keep_rows(case: Case, keep: Keep) -> Case:
    """Return the case with these samples only."""
    chosen = list(keep)

    def change(name: str, array: Array) -> Array:
        is_per_sample = name in {"x", "t", "sample_weights"} or name.startswith("noise.")
        return array[chosen] if is_per_sample else array

    return case.map(change).but(loss=_cut_options(case, 0, case.n, chosen))


def keep_columns(case: Case, segment: range, keep: Keep) -> Case | None:
    """Return the case in which the segment has these columns only."""
    chosen = list(keep)
    into, out = segment[0] - 1, segment[-1]  # The Linear layers before and after it.
    layers = list(case.layers)
    beside = (*layers[into : into + 1], *layers[out:][:1])
    is_nested = any("layers" in layer for layer in layers[into + 1 : out])
    if is_nested or any(layer["type"] != "Linear" for layer in beside):
        return None
    cut = case.map(partial(_cut_columns, case, segment, chosen))
    if into >= 0:
        layers[into] = {**layers[into], "out_features": len(chosen)}
    if out < len(layers):
        layers[out] = {**layers[out], "in_features": len(chosen)}
    layers[into + 1 : out] = fitted(layers[into + 1 : out], len(chosen))
    if out < len(layers):
        return cut.but(layers=tuple(layers))
    loss = _cut_options(case, -1, case.widths[-1], chosen)
    ignored = loss.get("ignore_index", -100)
    if _has_classes(case) and 0 <= ignored < case.widths[-1]:
        if ignored not in chosen:
            return None
        loss = {**loss, "ignore_index": chosen.index(ignored)}
    return cut.but(layers=tuple(layers), loss=loss)


def _cut_columns(case: Case, segment: range, chosen: list[int], name: str, array: Array) -> Array:
    """Return an array of the case with these columns of the segment only."""
    into, out = segment[0] - 1, segment[-1]
    if name == "x":
        return array[:, chosen] if into < 0 else array
    if name == "sample_weights":
        return array
    if name == "t":
        return _cut_targets(case, array, chosen) if out == len(case.layers) else array
    layer, kind = place_of(name)
    if name.startswith("noise."):
        return array[:, chosen] if layer in segment else array
    if layer == out:
        return array[:, chosen] if kind == "weight" else array
    is_wide = array.shape == (case.widths[segment[0]],)
    return array[chosen] if layer == into or (layer in segment and is_wide) else array


def remove_layers(case: Case, i: int, j: int) -> Case | None:
    """Return the case without the layers i … j − 1, with widths narrowed so that the rest fits."""
    before, after = case.widths[i], case.widths[j]
    narrow: Case | None = case
    if not all(map(_keeps_width, case.layers[i:j])):
        # Narrowing the later segment first keeps the numbers of the earlier edges.
        for edge, width in ((j, after), (i, before)):
            if narrow is not None and width > min(before, after):
                segment = next(s for s in segments(narrow) if edge in s)
                narrow = keep_columns(narrow, segment, range(min(before, after)))
    if narrow is None or len(case.layers) == j - i:
        return None

    def renumbered(arrays: dict[str, Any]) -> dict[str, Any]:
        kept = {}
        for key, array in arrays.items():
            layer, _, name = key.partition(".")
            if not i <= int(layer) < j:
                kept[f"{int(layer) - (j - i) * (int(layer) >= j)}.{name}"] = array
        return kept

    state = narrow.state and {
        name: group if name == "step" else renumbered(group) for name, group in narrow.state.items()
    }
    layers = (*narrow.layers[:i], *narrow.layers[j:])
    noise = renumbered(narrow.noise or {})
    return narrow.but(
        layers=layers,
        params=renumbered(narrow.params),
        noise=as_noise(layers, noise, is_training=narrow.noise is not None),
        state=state,
    )


def is_valid(case: Case) -> bool:
    """Return True if the loss, the targets and the state fit, so that the case has a truth."""
    has_groups = case.optimizer is not None and bool(case.optimizer.get("groups"))
    if (has_groups or case.sample_weights is not None) and find_undefined(case) is not None:
        return False
    return _params_fit(case) and _buffers_fit(case) and _targets_fit(case) and _state_fits(case)


def _buffers_fit(case: Case) -> bool:
    """Return True if no variance is negative, and the batch may be normalised."""
    for key, array in case.params.items():
        buffer = buffer_of(key)
        if buffer and buffer.is_nonnegative and np.any(array < 0):
            return False
        if buffer and buffer.is_count and np.any(array != np.rint(array)):
            return False
    return case.n != 1 or not find_mixing(case.layers, is_training=case.noise is not None)


def _params_fit(case: Case) -> bool:
    """Return True if the options give parameters of these shapes: one may have no weight."""
    wanted = {
        f"{i}.{name}": shape
        for i, layer in enumerate(case.layers)
        for name, shape in shapes_of(layer, case.widths[i]).items()
    }
    return wanted == {key: array.shape for key, array in case.params.items()}


def _targets_fit(case: Case) -> bool:
    row = LOSS_ROWS[case.loss["type"]]
    if takes_probabilities(case.loss):
        inner = [layer for layer in case.layers if layer["type"] != "Identity"]
        if not inner or not gives_probabilities(inner[-1]):
            y = truth(case.but(optimizer=None, state=None, steps=1)).outputs.v
            return bool(np.all((y >= 0) & (y <= 1)))
    if row.targets in {"signs", "labels"}:
        return find_undefined(case) is None
    if row.targets != "classes" or case.n == 0:
        return True
    if case.t.ndim == 2:
        return bool(np.all(case.t >= 0) and np.all(np.abs(case.t.sum(axis=1) - 1) < 1e-3))
    counted = case.t[case.t != case.loss.get("ignore_index", -100)]
    if np.any((counted < 0) | (counted >= case.widths[-1])):
        return False
    return find_undefined(case) is None


def _state_fits(case: Case) -> bool:
    if not case.state or not case.optimizer:
        return True
    for state in state_of(options_of(case.optimizer)):
        if state.name not in case.state:
            return False
        means = case.state.get(state.mean or "", {})
        for key, array in case.state[state.name].items():
            if state.is_nonnegative and np.any(array < 0):
                return False
            if key in means and not np.all(array >= np.square(means[key])):
                return False
    return True


def _cut_options(case: Case, axis: int, size: int, keep: list[int]) -> Spec:
    """Return the loss with its weights cut along the axis of samples (0) or of columns (−1)."""
    loss = dict(case.loss)
    for name in ("weight", "pos_weight"):
        array = np.asarray(loss[name]) if loss.get(name) is not None else np.zeros(())
        if array.ndim > (1 if axis == 0 else 0) and array.shape[axis] == size:
            loss[name] = np.take(array, keep, axis).tolist()
    return loss


def _cut_targets(case: Case, t: Array, keep: list[int]) -> Array:
    """Return targets of fewer columns; the first class takes the share of removed classes."""
    if LOSS_ROWS[case.loss["type"]].targets == "labels":
        return relabelled(t, keep)
    if not _has_classes(case):
        return t[:, keep]
    if t.ndim == 2:
        cut = t[:, keep]
        cut[:, 0] += t.sum(axis=1) - cut.sum(axis=1)
        return cut
    number = dict.fromkeys(range(case.widths[-1]), 0) | {k: i for i, k in enumerate(keep)}
    return np.array([number.get(int(k), int(k)) for k in t], t.dtype)


def relabelled(t: Array, keep: Sequence[int]) -> Array:
    """Return lists of the classes that remain, numbered by their place among these."""
    new = np.full((len(t), len(keep)), -1, t.dtype)
    for row, labels, counts in zip(new, t, listed_labels(t), strict=True):
        left = [list(keep).index(k) for k in labels[counts] if k in keep]
        row[: len(left)] = left
    return new


def _keeps_width(layer: Spec) -> bool:
    return LAYER_ROWS[layer["type"]].keeps_width


def _has_classes(case: Case) -> bool:
    return LOSS_ROWS[case.loss["type"]].targets == "classes"
