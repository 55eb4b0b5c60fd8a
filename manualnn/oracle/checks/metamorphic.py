"""Metamorphic checks: relations between the engine's results for two cases, without the truth.

Each check changes the case, such as the order of its samples or units. It calls the engine for both
cases and compares the results. Both results may be off by their own bounds, |a − b| ≤ eₐ + e_b, and
by their own errors if their numbers are wrong: see `roughness`. Where rounding cannot differ, they
have to be the same bit for bit.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from manualnn.oracle.checks.judgement import check
from manualnn.oracle.checks.roughness import unexplained
from manualnn.oracle.checks.trial import Declined, Trial, at_first_step, is_per_sample
from manualnn.oracle.findings import Finding
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Array, Case, place_of
from manualnn.oracle.protocol.features import (
    LAYER_ROWS,
    LOSS_ROWS,
    find_mixing,
    names_with,
    options_of,
)
from manualnn.oracle.truth.compare import find_differences


def _has_hidden_relu(claims: Capabilities) -> bool:
    has_depth = claims.max_depth is None or claims.max_depth > 1
    return {"Linear", "ReLU"} <= claims.layers.keys() and has_depth and "grads" in claims.returns


def _has_linear_without_bias(claims: Capabilities) -> bool:
    values = claims.layers.get("Linear", {}).get("bias", [])
    return (values == "any" or False in values) and "grads" in claims.returns


def _compare_cases(
    trial: Trial, base: Case, others: list[tuple[Case, Any]], back: Callable[[str, Array], Any]
) -> Finding | None:
    """Compare the result for `base` with Σ share · result over the other cases.

    `back(name, array)` changes an array of the other results into the terms of `base`. It returns
    None for an array that cannot be compared.
    """
    got, truths = trial.ask(base), trial.truth(base).quantities()
    used = [(base, got, 1)]
    sums: dict[str, Array] = {}
    bounds: dict[str, Array] = {name: truth.bounds for name, truth in truths.items()}
    for case, share in others:
        answer, expected = trial.ask(case), trial.truth(case)
        used.append((case, answer, share))
        for name, truth in expected.quantities().items():
            if name not in answer or (changed := back(name, answer[name])) is None:
                continue
            # This sum has a relative error of 2⁻⁶³, or of 2⁻⁵³ without extended precision.
            sums[name] = sums.get(name, 0) + np.asarray(changed, np.longdouble) * share
            bounds[name] = bounds[name] + back(name, truth.bounds) * abs(share)
    entries, right = unexplained(trial, got, sums, bounds, used)
    if not entries:
        return None
    first = entries[0]
    message = (
        f"{first.quantity} is {first.got:.17g}, but {first.expected:.17g} follows from the changed "
        f"case; rounding explains a difference of {first.bound:.2g}"
    )
    return trial.finding(message, entries, right)


def _loss_and_grads(name: str, array: Array) -> Array | None:
    return array if name == "loss" or name.startswith("grads.") else None


@check("batch.permutation", "samples in another order give the same loss, gradients and parameters")
def _batch_permutation(trial: Trial) -> Finding | None:
    def reverse(name: str, a: Array) -> Array:
        return a[::-1] if is_per_sample(name) or name in ("outputs", "input_grad") else a

    return _compare_cases(trial, trial.case, [(trial.case.map(reverse), 1)], reverse)


@check("units.permutation", "hidden units in another order give the same, in that order")
def _units_permutation(trial: Trial) -> Finding | None:
    linear = [i for i, layer in enumerate(trial.case.layers) if layer["type"] == "Linear"]
    if len(linear) < 2:
        raise Declined("the network has no hidden units")
    i, j = linear[0], linear[1]
    if not all(LAYER_ROWS[layer["type"]].keeps_order for layer in trial.case.layers[i + 1 : j]):
        raise Declined("a layer does not keep the order of its inputs")
    width = trial.case.widths[j]

    def reverse(name: str, a: Array) -> Array:
        layer, kind = place_of(name)
        if not i <= layer <= j:
            return a
        if layer == j:
            return a[:, ::-1] if kind == "weight" else a
        if name.startswith("noise."):
            return a[:, ::-1]
        return a[::-1] if a.shape[:1] == (width,) else a

    return _compare_cases(trial, trial.case, [(trial.case.map(reverse), 1)], reverse)


def _share(case: Case, part: Case) -> Any:
    """Return the part's share of the divisor of the loss. Raises Declined if the share is 0."""
    loss = options_of(case.loss)
    if loss.reduction == "sum":
        return 1
    is_weighted = LOSS_ROWS[loss.type].has_mean_of_weights and case.t.ndim == 1
    is_weighted = is_weighted and loss.reduction == "mean"

    def divisor(case: Case) -> Any:
        given = np.ones(case.n) if case.sample_weights is None else case.sample_weights
        weights = given.astype(np.longdouble)
        if not is_weighted:
            return np.sum(weights)
        counts = case.t != loss.ignore_index
        w = np.ones(case.widths[-1]) if loss.weight is None else np.asarray(loss.weight)
        return np.sum(w[case.t[counts]] * weights[counts])

    if not divisor(part):
        raise Declined("a part of the batch has no sample that counts")
    return divisor(part) / divisor(case)


@check("batch.shards", "the gradient of a batch is the weighted sum of its parts'")
def _batch_shards(trial: Trial) -> Finding | None:
    base = at_first_step(trial.case)
    cut = base.n // 3 or 1
    if base.n < 2:
        raise Declined("the batch has one sample")
    if find_mixing(base.layers, is_training=base.noise is not None):
        raise Declined("a layer normalises the batch")

    def part(rows: slice) -> Case:
        return base.map(lambda name, a: a[rows] if is_per_sample(name) else a)

    parts = [part(slice(cut)), part(slice(cut, None))]
    return _compare_cases(trial, base, [(p, _share(base, p)) for p in parts], _loss_and_grads)


@check("batch.duplicated", "a batch twice over has the same mean gradient")
def _batch_duplicated(trial: Trial) -> Finding | None:
    base = at_first_step(trial.case)
    twice = base.map(lambda name, a: np.concatenate([a, a]) if is_per_sample(name) else a)
    share = 0.5 if base.loss.get("reduction") == "sum" else 1
    return _compare_cases(trial, base, [(twice, share)], _loss_and_grads)


@check(
    "bias.ones_column",
    "a bias has the gradient of a weight whose input is always 1",
    needs=_has_linear_without_bias,
)
def _ones_column(trial: Trial) -> Finding | None:
    base = at_first_step(trial.case)
    if "0.bias" not in base.params:
        raise Declined("the first layer has no bias")
    first = base.layers[0]
    wider = {**first, "in_features": first["in_features"] + 1, "bias": False}
    params = dict(base.params)
    params["0.weight"] = np.column_stack([params["0.weight"], params.pop("0.bias")])
    x = np.column_stack([base.x, np.ones_like(base.x[:, :1])])
    other = base.but(layers=(wider, *base.layers[1:]), params=params, x=x)
    got, answer = trial.ask(base), trial.ask(other)
    if "grads.0.weight" not in got:
        raise Declined("the engine returned no gradients")
    bias, weight = trial.truth(base).grads["0.bias"], trial.truth(other).grads["0.weight"]
    values = {"grads.0.bias": answer["grads.0.weight"][:, -1]}
    bounds = {"grads.0.bias": bias.bounds + weight.bounds[:, -1]}
    used = [(base, got, 1), (other, answer, 1)]
    entries, right = unexplained(trial, got, values, bounds, used)
    message = "the gradient of a bias is not that of a weight whose input is always 1"
    return trial.finding(message, entries, right) if entries else None


@check(
    "logits.sum_zero",
    "the gradients of a sample's logits sum to 0",
    needs=lambda claims: "CrossEntropyLoss" in claims.losses and "grads" in claims.returns,
)
def _sum_zero(trial: Trial) -> Finding | None:
    """Check Σₖ ∂L/∂yₖ = 0 by the last bias: a constant added to all logits changes nothing."""
    base = at_first_step(trial.case)
    name = f"grads.{len(base.layers) - 1}.bias"
    if base.loss["type"] != "CrossEntropyLoss" or name[6:] not in base.params:
        raise Declined("the outputs are not logits of classes from a bias")
    got = trial.ask(base)
    total = np.asarray(np.sum(got[name].astype(np.longdouble)))
    bound = np.asarray(np.sum(trial.truth(base).grads[name[6:]].bounds))
    used = [(base, got, got[name].size)]
    entries, _ = unexplained(trial, {name: total}, {name: np.zeros(())}, {name: bound}, used)
    message = "the gradients of a sample's logits do not sum to 0"
    return trial.finding(message, entries) if entries else None


@check(
    "scale.power_of_two",
    "inputs and targets 8 times as large give the same digits",
    needs=lambda claims: "MSELoss" in claims.losses and "Linear" in claims.layers,
)
def _power_of_two(trial: Trial) -> Finding | None:
    """Multiply x, t and every bias by 8: a network of homogeneous layers has outputs 8 times."""
    base, homogeneous = at_first_step(trial.case), names_with("layers", "is_homogeneous")
    if any(layer["type"] not in homogeneous for layer in base.layers) or (
        base.loss["type"] != "MSELoss"
    ):
        raise Declined("the network or the loss is not homogeneous")

    def up(name: str, a: Array) -> Array:
        return a * a.dtype.type(8) if name in ("x", "t") or name.endswith("bias") else a

    got = {name: a for name, a in trial.ask(base).items() if _is_homogeneous(name)}
    larger = base.map(up)
    answer = trial.ask(larger)
    powers = {name: 8 if _is_linear(name) else 64 for name in got}
    wanted = {name: array * array.dtype.type(powers[name]) for name, array in got.items()}
    least = np.finfo(base.dtype).tiny * 2**10
    if any(np.any((abs(a) < least) & (a != 0)) for a in got.values()):
        raise Declined("a result is close to the subnormal numbers")
    entries = find_differences(answer, wanted)
    if not entries or trial.varies(base, got):
        return None
    # The relation is exact, but not for digits that are wrong anyway.
    exactly = {name: np.zeros(array.shape) for name, array in wanted.items()}
    used = [(base, got, max(powers.values())), (larger, answer, 1)]
    entries, _ = unexplained(trial, answer, wanted, exactly, used)
    return trial.finding("numbers 8 times as large give other digits", entries)


def _is_homogeneous(name: str) -> bool:
    return name.partition(".")[0] in ("outputs", "loss", "grads", "input_grad")


def _is_linear(name: str) -> bool:
    """Return True if a quantity is proportional to the inputs, and not to their square."""
    return name in ("outputs", "input_grad") or name.endswith("bias")


@check(
    "units.dead",
    "a ReLU that is off for every sample has a gradient of exactly 0",
    needs=_has_hidden_relu,
)
def _dead(trial: Trial) -> Finding | None:
    """Make the inputs of a ReLU unit negative for every sample: its gradients have to be 0."""
    base = at_first_step(trial.case)
    linear = [i for i, layer in enumerate(base.layers) if layer["type"] == "Linear"]
    i = next((i for i in linear[:-1] if base.layers[i + 1]["type"] == "ReLU"), None)
    if i != 0 or "0.bias" not in base.params:
        raise Declined("the first hidden layer is not a ReLU after a bias")
    bias = base.params["0.bias"].copy()
    bias[-1] = -2 * (1 + np.abs(base.x) @ np.abs(base.params["0.weight"][-1])).max(initial=0)
    got = trial.ask(base.but(params={**base.params, "0.bias": bias}))
    after = f"grads.{linear[1]}.weight"
    silent = {
        "grads.0.weight": got["grads.0.weight"][-1:],
        "grads.0.bias": got["grads.0.bias"][-1:],
        after: got[after][:, -1],
    }
    entries = find_differences(silent, {name: np.zeros_like(a) for name, a in silent.items()})
    message = "a ReLU that is off for every sample has a gradient"
    return trial.finding(message, entries) if entries else None


CHECKS = (
    _batch_permutation,
    _units_permutation,
    _batch_shards,
    _batch_duplicated,
    _ones_column,
    _sum_zero,
    _power_of_two,
    _dead,
)
