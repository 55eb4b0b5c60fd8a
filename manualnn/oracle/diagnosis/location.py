"""Location of an error: the first wrong quantity, its wrong entries, and what is right.

    first, scope = locate(observation)    "grads.0.weight", "only the last row of grads.0.weight; …"

Quantities follow the order of a step: outputs, loss, gradients from the last layer to the first,
the input gradient, state, parameters. A quantity after a wrong one may be wrong only because of
that one, so only the first wrong quantity is described closely.
"""

import numpy as np

from manualnn.oracle.diagnosis.observation import Observation
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import as_noise, buffer_of, names_with, options_of
from manualnn.oracle.truth.compare import group_of, true_values
from manualnn.oracle.truth.step import truth

SHARP = 2**-7
"""Largest relative error bound of an entry that shows that its array is right."""
SLIGHT = 10
"""Largest ratio of an error and its bound for which the cause may lie within other bounds."""
ACTIVATIONS = set(names_with("layers", "is_elementwise")) - set(names_with("layers", "is_linear"))


def locate(observation: Observation) -> tuple[str, str]:
    """Return the first wrong quantity, and a description of where the error is."""
    bad = observation.wrong_names
    if not bad:
        return "", "the numbers of a single call are right"
    first = bad[0]
    is_finite = np.isfinite(observation.got[first][observation.wrong[first]]).any()
    if first == "loss":
        whole = f"the returned loss is {'wrong' if is_finite else 'not finite'}"
    else:
        whole = f"{_wrong_entries(observation, first)} of {first}"
        whole += "" if is_finite else " is not finite"
    others = [name for name in bad[1:] if not _follows(name, first)]
    if others:
        whole += f", and {_listed(others)}"
    return first, f"{whole}; {_where(observation, first, bad)}"


def _wrong_entries(observation: Observation, name: str) -> str:
    """Return a phrase for the wrong entries of a quantity, such as "only the last row"."""
    mask, near = observation.wrong[name], observation.expected[name]
    compared = np.asarray(near.bounded)
    if mask.size == 1:
        return "the one entry"
    if np.array_equal(mask, compared):
        return "every entry"
    if np.array_equal(mask, compared & (true_values(near) != 0)):
        return "every entry that is not 0"
    if mask.sum() == 1:
        return _position(mask)
    return (
        _by_input(observation, name, mask, compared)
        or _by_line(mask, compared, ("sample" if name in {"outputs", "input_grad"} else "row"))
        or f"{int(mask.sum())} of {mask.size} entries"
    )


def _by_line(mask: Array, compared: Array, row: str) -> str:
    """Return a phrase for rows or columns that are wrong as a whole; empty if there are none."""
    for axis, what in enumerate((row, "column")[: mask.ndim]):
        others = tuple(k for k in range(mask.ndim) if k != axis)
        lines = np.asarray(mask.any(axis=others))
        whole = np.moveaxis(compared, axis, 0)[lines].sum()
        if mask.sum() == whole and not lines.all():
            return _describe_lines(lines, "entry" if mask.ndim == 1 else what)
    return ""


def _position(mask: Array) -> str:
    index = tuple(int(k) for k in np.argwhere(mask)[0])
    if all(k == n - 1 for k, n in zip(index, mask.shape, strict=True)):
        return f"only the last entry, {list(index)},"
    if not any(index):
        return f"only the first entry, {list(index)},"
    return f"only the entry {list(index)}"


def _describe_lines(lines: Array, what: str) -> str:
    """Return a phrase for the rows, columns or samples of a mask."""
    plural = {"entry": "entries"}.get(what, what + "s")
    chosen = [int(i) for i in np.flatnonzero(lines)]
    right = [int(i) for i in np.flatnonzero(~lines)]
    last = len(lines) - 1
    ends = {0: "first", last: "last"}
    if len(chosen) == 1:
        end = ends.get(chosen[0])
        return f"only the {end} {what}" if end else f"only {what} {chosen[0]}"
    if len(right) == 1:
        end = ends.get(right[0])
        return f"all {plural} except the {end}" if end else f"all {plural} except {right[0]}"
    if chosen == list(range(chosen[0], last + 1)):
        return f"all {plural} from {chosen[0]} on"
    if chosen == list(range(chosen[-1] + 1)):
        return f"all {plural} up to {chosen[-1]}"
    return f"{plural} {', '.join(map(str, chosen))}"


def _by_input(observation: Observation, name: str, mask: Array, compared: Array) -> str:
    """Return a phrase for the sign of z at the wrong entries; empty if right ones have it too."""
    layers = observation.case.layers
    if name == "input_grad" and layers and layers[0]["type"] in ACTIVATIONS:
        z, what = np.asarray(observation.case.x), "the input"
    elif name == "outputs" and layers and layers[-1]["type"] in ACTIVATIONS:
        z, what = input_of_layer(observation.case, len(layers) - 1), "the last layer's input"
    else:
        return ""
    signs = {"0": z == 0, "negative": z < 0, "0 or negative": z <= 0}
    signs |= {"positive": z > 0, "0 or positive": z >= 0}
    for sign, where in signs.items():
        if where.any() and np.array_equal(mask, where & compared):
            return f"every entry for which {what} is {sign}, and no other,"
    return ""


def input_of_layer(case: Case, i: int) -> Array:
    """Return the input of layer i at the case's own parameters."""
    width = case.widths[i]
    params = {key: a for key, a in case.params.items() if int(key.partition(".")[0]) < i}
    noise = {k: a for k, a in (case.noise or {}).items() if int(k.partition(".")[0]) < i}
    loss, t = {"type": "MSELoss", "reduction": "sum"}, np.zeros((case.n, width), case.dtype)
    drawn = as_noise(case.layers[:i], noise, is_training=case.noise is not None)
    part = case.but(layers=case.layers[:i], params=params, noise=drawn, loss=loss, t=t)
    return true_values(truth(part.but(optimizer=None, state=None, steps=1)).outputs)


def _follows(name: str, first: str) -> bool:
    """Return True if a quantity is computed from the first wrong one, or with it."""
    stage = ("outputs", "loss", "grads", "input_grad", "state", "params")
    at, of = stage.index(group_of(name)), stage.index(group_of(first))
    return at > of and first != "loss"


def _where(observation: Observation, first: str, bad: list[str]) -> str:
    """Return the place of the error, as far as the quantities that are right imply it."""
    kind = group_of(first)
    shown = _shown_right(observation)
    steps = observation.case.steps
    if steps > 1 and kind in {"outputs", "loss", "grads"} and not shown & {"outputs", "loss"}:
        return f"in the last of {steps} steps: an update before it may be wrong"
    if kind == "outputs":
        return _forward(observation, bad, shown)
    forward = ""
    if "outputs" in shown:
        both = "outputs and the loss are" if "loss" in shown else "outputs are"
        forward = f"the {both} right, so the forward pass is; "
    elif "loss" in shown:
        forward = "the loss is right; "
    if kind == "loss":
        return forward + _loss(observation, bad, shown)
    if kind in {"grads", "input_grad"}:
        return forward + _backward(observation, first, bad, shown)
    return forward + _update(observation, kind, shown)


def _shown_right(observation: Observation) -> set[str]:
    """Return the quantities that are right, and not only because they are 0 or have wide bounds."""
    return {
        name
        for name in observation.got
        if not observation.wrong[name].any() and sharp_entries(observation, name).any()
    }


def sharp_entries(observation: Observation, name: str) -> Array:
    """Return the mask of the entries that are not 0 and have a narrow bound."""
    near = observation.expected[name]
    size = np.abs(true_values(near))
    return np.asarray((near.bounds <= SHARP * size) & (size > 0))


def _gradients_right(observation: Observation, bad: list[str], shown: set[str]) -> bool:
    """Return True if every gradient was returned and is right."""
    names = {f"grads.{key}" for key in observation.case.learned} or {"input_grad"}
    return names <= observation.got.keys() and not names & set(bad) and bool(names & shown)


def _forward(observation: Observation, bad: list[str], shown: set[str]) -> str:
    """Return the place of an error that the outputs show."""
    later = {"loss", "input_grad", *(f"grads.{key}" for key in observation.case.learned)}
    if later & set(bad) and not later & shown:
        return "the forward pass is wrong already"
    # Beyond a margin, a loss is right whatever the outputs are. Then the gradients tell.
    if "loss" in shown and _gradients_right(observation, bad, shown):
        return "the loss is right, so the outputs are wrong only as they are returned"
    return "the error is in the forward pass or in the outputs as they are returned"


def _loss(observation: Observation, bad: list[str], shown: set[str]) -> str:
    """Return the place of an error that the loss shows first."""
    if "outputs" not in shown:
        if _gradients_right(observation, bad, shown):
            return "every gradient is right, so the error is probably in the value of the loss"
        return f"the error is in the forward pass or in the loss{_advice(observation)}"
    if not _gradients_right(observation, bad, shown):
        wrong = any(group_of(name) in {"grads", "input_grad"} for name in bad)
        return "the value of the loss is wrong" + (", and gradients are" if wrong else "")
    return (
        f"every gradient is right: {'' if len(bad) > 1 else 'only '}the value of the loss is wrong"
    )


def _advice(observation: Observation) -> str:
    """Return what to do about an error that may be in the forward pass.

    Right outputs that are 0, or have wide bounds, do not tell.
    """
    return "" if "outputs" in observation.got else ": return outputs to tell which"


def _update(observation: Observation, kind: str, shown: set[str]) -> str:
    """Return the place of an error that the state or the parameters show first."""
    rule = (observation.case.optimizer or {}).get("type", "the rule")
    first = next((name for name, mask in observation.wrong.items() if mask.any()), "")
    if buffer_of(first):
        return f"the error is in the update of {first.rpartition('.')[2]} by the layer"
    if not any(name.startswith("grads.") for name in observation.got):
        return f"the error is in a gradient or in the update of {rule}: return grads to tell which"
    right = "every gradient is right: "
    if kind == "params" and any(name.startswith("state.") for name in shown):
        right += "the state is right: "
    return f"{right}the error is in the update of {rule}"


def _backward(observation: Observation, first: str, bad: list[str], shown: set[str]) -> str:
    """Return the layers between which the backward pass becomes wrong."""
    # A right loss proves no right outputs: it may be constant there, as beyond a margin.
    certain = "outputs" in shown
    earlier_parts = "" if certain else "in the forward pass, "
    advice = "" if certain else _advice(observation)
    if first == "input_grad":
        if any(name.startswith("grads.") for name in shown):
            return "every gradient of a parameter is right: only the input gradient is wrong"
        kinds = _kinds(observation.case, 0, None)
        after = f" of {kinds}, or of the loss" if kinds else " of the loss"
        return f"the error is {earlier_parts}in the backward pass{after}{advice}"
    _, layer, param = first.split(".", 2)
    here = [n for n in observation.got if n.startswith(f"grads.{layer}.")]
    later = [n for n in shown if n.startswith("grads.") and int(n.split(".")[1]) > int(layer)]
    upstream = [n for n in observation.got if n == "input_grad" or _layer_of(n) < int(layer)]
    passes_right = not set(upstream) & set(bad)
    right = next((n for n in here if n in shown), None)
    if right and passes_right and _proves_slope(observation, first, right):
        certain = certain and not _is_slight(observation, first)
        or_input = "" if certain or param == "bias" else ", or in the input of the layer"
        return (
            f"{right} is right, so ∂L/∂z of layer {layer} is: the error is in the {param} "
            f"alone{or_input}"
        )
    # An error that a sample cannot pass back, as behind a ReLU of 0, would not show upstream.
    # The numbers of known bugs, which may stand in for the truth, hold only what was returned.
    passable = "input_grad" in observation.expected and (
        sharp_entries(observation, "input_grad").any(axis=1).all()
    )
    if set(upstream) & shown and passes_right and passable:
        return f"layer {layer} passes back the right gradient: its own gradients are wrong"
    if not later:
        after = _kinds(observation.case, int(layer) + 1, None)
        parts = f"in the gradient of the loss{after and f' or of {after}'}, or here"
        return f"the error is {earlier_parts}{parts}{advice}"
    nearest = min(_layer_of(n) for n in later)
    between = _kinds(observation.case, int(layer) + 1, nearest)
    return (
        f"the gradients of layer {nearest} are right, those of layer {layer} are not: the error "
        f"is between, in what layer {nearest} passes back{between and f' or in {between}'}, or here"
    )


def _is_slight(observation: Observation, name: str) -> bool:
    """Return True if an error is so small that right outputs may hide its cause in their bounds."""
    near = observation.expected[name]
    error = np.abs(observation.got[name] - true_values(near))
    return bool((error <= SLIGHT * near.bounds).all())


def _proves_slope(observation: Observation, first: str, right: str) -> bool:
    """Return True if an error of ∂L/∂z that explains `first` would show in `right` as well.

    Row k of weight and bias are Σₙ ∂L/∂z[n, k] x[n] and Σₙ ∂L/∂z[n, k]. An error of the bias comes
    from a sample with at least 1/N of it, and x[n] has to carry it into the weight.
    """
    case, near = observation.case, observation.expected
    x = np.abs(input_of_layer(case, int(first.split(".")[1])))
    if case.steps > 1 or not x.size:
        return False
    error = np.abs(observation.got[first] - true_values(near[first])) / case.n
    error = np.where(observation.wrong[first], error, 0)
    bounds = near[right].bounds
    for k in np.flatnonzero(error.reshape(len(error), -1).max(axis=1)):
        shown = error[k] * x > bounds[k] if right.endswith("weight") else error[k] > bounds[k] * x
        if not shown.any(axis=1).all():
            return False
    return True


def _layer_of(name: str) -> int:
    return int(name.split(".")[1]) if name.startswith("grads.") else 10**6


def _kinds(case: Case, start: int, stop: int | None) -> str:
    return ", ".join(options_of(layer).type for layer in case.layers[start:stop])


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
