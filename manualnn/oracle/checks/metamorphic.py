"""Metamorphic judgements: two questions whose answers depend on each other, whatever they are.

Each asks the engine about the case in other words (samples in another order, units in another
order, the batch in two parts …) and compares the answers. Both may be off by their own bounds,
|a − b| ≤ eₐ + e_b; where rounding cannot differ, they have to be the same bit for bit.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from manualnn.oracle.checks.trial import Declined, Trial, differing, unlike
from manualnn.oracle.findings import Entry, Finding
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import names_with, options_of
from manualnn.oracle.truth.step import update_truth


def bare(case: Case) -> Case:
    """Return the case at its first step."""
    return case.but(state=None, steps=1)


def related(
    trial: Trial, base: Case, others: list[tuple[Case, Any]], back: Callable[[str, Array], Any]
) -> Finding | None:
    """Compare the base's answer with Σ share · answer of others, in terms of the base.

    back(name, array) puts an array of the others' into the base's terms; None: not comparable.
    """
    got, near = trial.ask(base), trial.truth(base).quantities()
    summed: dict[str, Array] = {}
    bounds: dict[str, Array] = {}
    for case, share in others:
        answer, expected = trial.ask(case), trial.truth(case)
        for name, other in expected.quantities().items():
            if name not in answer or (moved := back(name, answer[name])) is None:
                continue
            e = back(name, np.asarray(other.e, np.longdouble)) * abs(share) * expected.kind.slack
            summed[name] = summed.get(name, 0) + np.asarray(moved, np.longdouble) * share
            bounds[name] = bounds.get(name, 0) + e
    # Their sum is itself good to 2⁻⁶³ or, without extended numbers, to 2⁻⁵³ of its terms.
    slack = trial.truth(base).kind.slack
    bounds = {n: np.asarray(near[n].e, np.longdouble) * slack + e for n, e in bounds.items()}
    entries, right = differing(got, summed, bounds)
    if not entries:
        return None
    first = entries[0]
    message = (
        f"{first.quantity} is {first.got:.17g}, and {first.expected:.17g} of the same case in "
        f"other words; rounding explains {first.bound:.2g}"
    )
    return trial.finding(message, entries, right)


def _keep(name: str, array: Array) -> Array | None:
    return array if name == "loss" or name.startswith("grads.") else None


def _batch_permutation(trial: Trial) -> Finding | None:
    def reverse(name: str, a: Array) -> Array:
        return a[::-1] if name in ("x", "t", "outputs", "input_grad") or name[:5] == "noise" else a

    return related(trial, trial.case, [(trial.case.map(reverse), 1)], reverse)


def _units_permutation(trial: Trial) -> Finding | None:
    linear = [i for i, layer in enumerate(trial.case.layers) if layer["type"] == "Linear"]
    if len(linear) < 2:
        raise Declined("no hidden units")
    i, j = linear[0], linear[1]

    def reverse(name: str, a: Array) -> Array:
        layer, kind = ("", *name.split("."))[-2:]
        if kind == "mask":
            return a[:, ::-1] if i < int(layer) < j else a
        if layer == str(i):
            return a[::-1]
        return a[:, ::-1] if layer == str(j) and kind == "weight" else a

    return related(trial, trial.case, [(trial.case.map(reverse), 1)], reverse)


def _share(case: Case, part: Case) -> Any:
    """Return the part's share of the case's divisor; Declined where it has none."""
    loss = options_of(case.loss)
    if loss.reduction == "sum":
        return 1
    if loss.type != "CrossEntropyLoss" or loss.reduction != "mean" or case.t.ndim == 2:
        return np.longdouble(part.n) / case.n

    def divisor(t: Array) -> Any:
        counted = t[t != loss.ignore_index]
        w = np.ones(case.widths[-1]) if loss.weight is None else np.asarray(loss.weight)
        return np.sum(w[counted].astype(np.longdouble))

    if not divisor(part.t):
        raise Declined("a part without a class that counts")
    return divisor(part.t) / divisor(case.t)


def _batch_shards(trial: Trial) -> Finding | None:
    base = bare(trial.case)
    cut = base.n // 3 or 1
    if base.n < 2:
        raise Declined("one sample")

    def part(rows: slice) -> Case:
        taken = ("x", "t", "noise")
        return base.map(lambda name, a: a[rows] if name.partition(".")[0] in taken else a)

    parts = [part(slice(cut)), part(slice(cut, None))]
    return related(trial, base, [(p, _share(base, p)) for p in parts], _keep)


def _batch_duplicated(trial: Trial) -> Finding | None:
    base = bare(trial.case)
    taken = ("x", "t", "noise")
    twice = base.map(
        lambda name, a: np.concatenate([a, a]) if name.partition(".")[0] in taken else a
    )
    share = 0.5 if base.loss.get("reduction") == "sum" else 1
    return related(trial, base, [(twice, share)], _keep)


def _ones_column(trial: Trial) -> Finding | None:
    base = bare(trial.case)
    if "0.bias" not in base.params:
        raise Declined("no bias in the first layer")
    first = base.layers[0]
    wider = {**first, "in_features": first["in_features"] + 1, "bias": False}
    params = dict(base.params)
    params["0.weight"] = np.column_stack([params["0.weight"], params.pop("0.bias")])
    x = np.column_stack([base.x, np.ones_like(base.x[:, :1])])
    other = base.but(layers=(wider, *base.layers[1:]), params=params, x=x)
    got, answer = trial.ask(base), trial.ask(other)
    if "grads.0.weight" not in got:
        raise Declined("no gradients")
    e, e_other = trial.truth(base).grads, trial.truth(other).grads
    slack = trial.truth(base).kind.slack
    values = {"grads.0.bias": np.asarray(answer["grads.0.weight"][:, -1], np.longdouble)}
    bounds = {"grads.0.bias": slack * (e["0.bias"].e + e_other["0.weight"].e[:, -1])}
    entries, right = differing(got, values, bounds)
    if not entries:
        return None
    message = "the gradient of a bias is not that of a weight whose input is always 1"
    return trial.finding(message, entries, right)


def _lr_zero(trial: Trial) -> Finding | None:
    if trial.case.optimizer is None:
        raise Declined("no optimizer")
    case = trial.case.but(optimizer={**trial.case.optimizer, "lr": 0.0})
    got = trial.ask(case)
    kept = {f"params.{key}": array for key, array in case.params.items()}
    entries = unlike(got, kept)
    message = "a learning rate of 0 changes parameters"
    return trial.finding(message, entries) if entries else None


def _own_gradient(trial: Trial) -> Finding | None:
    if trial.case.optimizer is None:
        raise Declined("no optimizer")
    case = trial.case.but(steps=1)
    got = trial.ask(case)
    kind = trial.truth(case).kind
    grads = {key: kind.returned(got[f"grads.{key}"]) for key in case.params}
    entries, right = trial.compare(got, update_truth(case, grads, kind), trial.truth(case))
    if not entries:
        return None
    first = entries[0]
    message = (
        f"{first.quantity} is {first.got:.17g}; from the engine's own gradient it would have to be "
        f"{first.expected:.17g} to within {first.bound:.2g}"
    )
    return trial.finding(message, entries, right)


def _sum_zero(trial: Trial) -> Finding | None:
    """Σₖ ∂L/∂yₖ = 0, for adding a constant to all logits changes nothing: seen in the last bias."""
    base = bare(trial.case)
    name = f"grads.{len(base.layers) - 1}.bias"
    if base.loss["type"] != "CrossEntropyLoss" or name[6:] not in base.params:
        raise Declined("no logits of classes")
    got, near = trial.ask(base), trial.truth(base)
    total = np.sum(got[name].astype(np.longdouble))
    bound = float(np.sum(near.grads[name[6:]].e) * near.kind.slack)
    if abs(total) <= bound or not np.isfinite(bound):
        return None
    entry = Entry(name, (), float(total), 0.0, bound)
    return trial.finding("the gradients of a sample's logits do not sum to 0", [entry])


def _power_of_two(trial: Trial) -> Finding | None:
    """In a net of Linear and ReLU, x, t and every bias times 8 is every output times 8."""
    base, homogeneous = bare(trial.case), names_with("layers", "is_homogeneous")
    if any(layer["type"] not in homogeneous for layer in base.layers) or (
        base.loss["type"] != "MSELoss"
    ):
        raise Declined("a net that does not scale")

    def up(name: str, a: Array) -> Array:
        return a * a.dtype.type(8) if name in ("x", "t") or name.endswith("bias") else a

    got = {name: a for name, a in trial.ask(base).items() if _scales(name)}
    answer = trial.ask(base.map(up))
    powers = {name: 8 if _is_once(name) else 64 for name in got}
    wanted = {name: array * array.dtype.type(powers[name]) for name, array in got.items()}
    least = np.finfo(base.dtype).tiny * 2**10
    if any(np.any((abs(a) < least) & (a != 0)) for a in got.values()):
        raise Declined("a result next to the subnormal numbers")
    entries = unlike(answer, wanted)
    if not entries or trial.varies(base, got):
        return None
    return trial.finding("numbers 8 times as large give other digits", entries)


def _scales(name: str) -> bool:
    return name.partition(".")[0] in ("outputs", "loss", "grads", "input_grad")


def _is_once(name: str) -> bool:
    """Whether a quantity is proportional to the inputs, and not to their square."""
    return name in ("outputs", "input_grad") or name.endswith("bias")


def _dead(trial: Trial) -> Finding | None:
    """Switch a ReLU off for every sample: it passes nothing back, and nothing on."""
    base = bare(trial.case)
    linear = [i for i, layer in enumerate(base.layers) if layer["type"] == "Linear"]
    i = next((i for i in linear[:-1] if base.layers[i + 1]["type"] == "ReLU"), None)
    if i != 0 or "0.bias" not in base.params:
        raise Declined("no first hidden layer of ReLU")
    bias = base.params["0.bias"].copy()
    bias[-1] = -2 * (1 + np.abs(base.x) @ np.abs(base.params["0.weight"][-1])).max(initial=0)
    got = trial.ask(base.but(params={**base.params, "0.bias": bias}))
    after = f"grads.{linear[1]}.weight"
    silent = {
        "grads.0.weight": got["grads.0.weight"][-1:],
        "grads.0.bias": got["grads.0.bias"][-1:],
        after: got[after][:, -1],
    }
    entries = unlike(silent, {name: np.zeros_like(a) for name, a in silent.items()})
    message = "a unit that is off for every sample has a gradient"
    return trial.finding(message, entries) if entries else None


def _with_grads(claims: Capabilities) -> bool:
    return "grads" in claims.returns


def _with_params(claims: Capabilities) -> bool:
    return "params" in claims.returns and bool(claims.optimizers)


def _with_hidden_relu(claims: Capabilities) -> bool:
    deep = claims.max_depth is None or claims.max_depth > 1
    return {"Linear", "ReLU"} <= claims.layers.keys() and deep and _with_grads(claims)


def _with_biasless(claims: Capabilities) -> bool:
    values = claims.layers.get("Linear", {}).get("bias", [])
    return (values == "any" or False in values) and _with_grads(claims)


TABLE = (
    (
        "batch.permutation",
        "samples in another order give the same loss, gradients and parameters",
        _batch_permutation,
    ),
    (
        "units.permutation",
        "hidden units in another order give the same, in that order",
        _units_permutation,
    ),
    ("batch.shards", "the gradient of a batch is the weighted sum of its parts'", _batch_shards),
    ("batch.duplicated", "a batch twice over has the same mean gradient", _batch_duplicated),
    (
        "bias.ones_column",
        "a bias has the gradient of a weight whose input is always 1",
        _ones_column,
        _with_biasless,
    ),
    ("lr.zero", "a learning rate of 0 leaves every parameter as it is", _lr_zero, _with_params),
    (
        "update.own_gradient",
        "parameters and state follow from the engine's own gradient",
        _own_gradient,
        lambda claims: _with_params(claims) and _with_grads(claims),
    ),
    (
        "logits.sum_zero",
        "the gradients of a sample's logits sum to 0",
        _sum_zero,
        lambda claims: "CrossEntropyLoss" in claims.losses and _with_grads(claims),
    ),
    (
        "scale.power_of_two",
        "inputs and targets 8 times as large give the same digits",
        _power_of_two,
        lambda claims: "MSELoss" in claims.losses and "Linear" in claims.layers,
    ),
    (
        "units.dead",
        "a ReLU that is off for every sample has a gradient of exactly 0",
        _dead,
        _with_hidden_relu,
    ),
)
