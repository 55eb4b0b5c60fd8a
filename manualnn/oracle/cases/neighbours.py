"""Cases similar to a given one, with other numbers, sizes and options, for a diagnosis.

    ordinary_case(case, seed, n=…, widths=…)   the same network and loss with ordinary numbers
    similar_calls(calls, claims)               calls with other numbers and sizes
    contrasting_calls(case, claims)            deeper, other options, more steps, extreme numbers
    case_after_steps(case, step)               the case after `step` updates
    distinct_widths(case)                      widths for it: 4, 6, 8, … and 3 for the last

`widths` has one entry for every segment: see `resize`. The same arguments give the same cases. Both
kinds of calls leave out cases that the engine does not claim, and cases without a truth.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from manualnn.oracle.cases.choices import Size
from manualnn.oracle.cases.draft import Draft, gives_probabilities
from manualnn.oracle.cases.resize import is_valid, segments
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Array, Case, Spec
from manualnn.oracle.protocol.features import (
    ALWAYS,
    LAYER_ROWS,
    TABLES,
    as_noise,
    find_mixing,
    fit,
    row_of,
    takes_probabilities,
    width_of,
)

Calls = tuple[Case, ...]


def similar_calls(calls: Sequence[Case], claims: Capabilities) -> Iterator[Calls]:
    """Yield calls with the same layers, loss and optimizer, and other numbers and sizes."""
    if len(calls) > 1:
        return _admissible(_sequences(calls), claims)
    return _admissible(((case,) for case in _similar_cases(calls[0])), claims)


def contrasting_calls(case: Case, claims: Capabilities) -> Iterator[Calls]:
    """Yield calls that share little with the case, to separate bugs that similar calls do not."""
    base = ordinary_case(case, 11, n=5, widths=distinct_widths(case))
    yield from _admissible(((other,) for other in _contrasting_cases(base, claims)), claims)
    yield from _admissible(_sequences((base,)), claims)


def distinct_widths(case: Case) -> list[int]:
    """Return a width for every segment: no two are equal, and none is 5 or 7."""
    count = len(segments(case))
    return [*[4, 6, *range(8, 8 + count)][: count - 1], 3]


def ordinary_case(case: Case, seed: int, *, n: int, widths: Sequence[int]) -> Case:
    """Return a case of these sizes, with ordinary numbers and none that is special."""
    draft = _draft(case, seed)
    case = _with_probabilities(case)
    layers, every = _resized(case, widths)
    if find_mixing(layers, is_training=case.noise is not None):
        n = max(n, 2)  # A batch of one sample is undefined.
    loss = _loss_of_width(case, draft.rng, n, every[-1])
    varied = case.but(
        layers=layers,
        loss=loss,
        params=draft.params(layers, every),
        x=draft.normals((n, every[0])),
        t=draft.targets(loss, n, every[-1], probabilities=case.t.ndim == 2),
        noise=as_noise(
            layers,
            draft.noise(layers, every, n) if case.noise else {},
            is_training=case.noise is not None,
        ),
        sample_weights=None if case.sample_weights is None else draft.sample_weights(n),
    )
    step = int(case.state["step"]) if case.state else 0
    return _with_state(varied, draft, step)


def _resized(case: Case, widths: Sequence[int]) -> tuple[tuple[Spec, ...], list[int]]:
    """Return the layers with these widths of the segments, as far as they fit, and all widths."""
    multiples = [1]  # of each edge, from the last to the first
    for layer in reversed(case.layers):
        row = LAYER_ROWS[layer["type"]]
        multiples.append(1 if row.has_any_width else row.multiple * multiples[-1])
    given, wanted = iter(widths), iter(reversed(multiples))
    every = [-(-next(given) // (m := next(wanted))) * m]
    layers: list[Spec] = []
    for layer, multiple in zip(case.layers, wanted, strict=True):
        row = LAYER_ROWS[layer["type"]]
        width = every[-1] if row.keeps_width else next(given)
        out = {"out_features": -(-width // multiple) * multiple} if row.has_any_width else {}
        layers.append(fit({**layer, **out}, every[-1]))
        every.append(width_of(layers[-1], every[-1]))
    return tuple(layers), every


def case_after_steps(case: Case, step: int) -> Case:
    """Return the case after `step` updates, with an ordinary state."""
    return _with_state(case, _draft(case, step), step)


def _draft(case: Case, seed: int) -> Draft:
    claims = Capabilities(layers={}, losses={}, dtypes=(case.dtype,))
    draft = Draft(np.random.default_rng(seed), claims, Size())
    draft.special_share = 0.0
    return draft


def _with_state(case: Case, draft: Draft, step: int) -> Case:
    after = step and case.optimizer
    return case.but(state=draft.state(after, case.learned, step) if after else None)


def _admissible(every: Iterable[Calls], claims: Capabilities) -> Iterator[Calls]:
    """Yield the calls of which the engine claims every case, and every case has a truth."""
    for calls in every:
        if all(claims.refuses(case) is None and is_valid(case) for case in calls):
            yield calls


def _similar_cases(case: Case) -> Iterator[Case]:
    """Yield cases of generic sizes first, then of the case's own sizes, then of equal ones."""
    wide, own = distinct_widths(case), _own_widths(case)
    yield ordinary_case(case, 1, n=5, widths=wide)
    yield ordinary_case(case, 2, n=7, widths=[*wide[-2::-1], 2])
    yield ordinary_case(case, 3, n=case.n, widths=own)
    yield ordinary_case(case, 4, n=1, widths=wide)
    yield ordinary_case(case, 5, n=3, widths=[3] * len(own))
    if case.optimizer is not None:
        other = ordinary_case(case, 6, n=6, widths=wide)
        lr = 0.37 * float(case.optimizer.get("lr", 0.01))
        yield other.but(optimizer={**case.optimizer, "lr": lr})


def _contrasting_cases(base: Case, claims: Capabilities) -> Iterator[Case]:
    widths = distinct_widths(base)
    for i, layer in enumerate(base.layers):
        for spec in _with_other_option(layer, 1):
            layers = (*base.layers[:i], spec, *base.layers[i + 1 :])
            yield ordinary_case(base.but(layers=layers), 16, n=5, widths=widths)
    for scale in (6.0, 60.0, 600.0, 1e-4):
        yield base.map(lambda name, a, scale=scale: a * scale if name == "x" else a)
    yield base.map(lambda name, a: (a.T * 200.0 ** np.arange(-1, 4)).T if name == "x" else a)
    yield base.map(_on_the_lattice)
    yield from _deeper(base, claims)
    for spec in _with_other_option(base.loss, 3):
        yield base.but(loss=spec)
    if base.optimizer is not None:
        yield from _other_updates(base, claims)
    yield ordinary_case(base, 12, n=70, widths=widths)
    yield ordinary_case(base, 13, n=4, widths=[300, *widths[1:]])
    yield ordinary_case(base, 15, n=6, widths=[4] * len(widths))


def _sequences(calls: Sequence[Case]) -> Iterator[Calls]:
    """Yield the calls in a row with ordinary numbers, then pairs that differ in numbers or sizes.

    A memory of other shapes has different effects in different engines. Only a single call is
    combined with other shapes, to separate bugs that look alike otherwise.
    """
    numbers = {case.id: i for i, case in enumerate(calls)}
    yield tuple(
        ordinary_case(case, 50 + numbers[case.id], n=case.n, widths=_own_widths(case))
        for case in calls
    )
    last = calls[-1]
    widths = distinct_widths(last)
    few, many = (ordinary_case(last, 57 + n, n=n, widths=widths) for n in (3, 5))
    other = ordinary_case(last, 61, n=5, widths=widths)
    wider = ordinary_case(last, 62, n=5, widths=[w + 2 for w in widths])
    yield from ((many, many), (many, other), (many, few), (few, many))
    if len(calls) == 1:
        yield (many, wider, few)


def _own_widths(case: Case) -> list[int]:
    return [case.widths[run[0]] for run in segments(case)]


def _with_probabilities(case: Case) -> Case:
    """Return the case with outputs that its loss can take: a Sigmoid follows if necessary."""
    inner = [layer for layer in case.layers if layer["type"] != "Identity"]
    if not takes_probabilities(case.loss) or (inner and gives_probabilities(inner[-1])):
        return case
    return case.but(layers=(*case.layers, {"type": "Sigmoid"}))


def _loss_of_width(case: Case, rng: np.random.Generator, n: int, outputs: int) -> dict[str, Any]:
    """Return the loss with weights of the new sizes, along the axes that they had."""
    loss = dict(case.loss)
    for name in ("weight", "pos_weight"):
        if loss.get(name) is not None and np.ndim(loss[name]):
            *rows, columns = np.shape(loss[name])
            new = [n if size == case.n and size != 1 else size for size in rows]
            new.append(outputs if columns != 1 or not rows else 1)
            loss[name] = np.float32(rng.uniform(0.3, 2.5, new)).tolist()
    return loss


def _on_the_lattice(name: str, array: Array) -> Array:
    """Return small integers, which give exact sums, ties and zeros."""
    if name.startswith(("state.", "noise.")) or array.dtype.kind in "iu":
        return array
    if name == "t" and array.min() >= 0 and array.max() <= 1:
        return array
    return np.clip(np.rint(array * 1.3), -2, 2) + 0.0


def _deeper(case: Case, claims: Capabilities) -> Iterator[Case]:
    """Yield the case with a Linear and a smooth layer in front, if both are claimed."""
    rows = ((name, LAYER_ROWS[name]) for name in claims.layers)
    smooth = [n for n, r in rows if r.is_elementwise and not (r.has_kink or r.is_linear)]
    if not smooth or "Linear" not in claims.layers:
        return
    width = case.widths[0]
    front = {"type": "Linear", "in_features": width, "out_features": width}
    deeper = case.but(layers=(front, {"type": smooth[0]}, *case.layers))
    yield ordinary_case(deeper, 14, n=5, widths=[13, *_own_widths(case)])


def _other_updates(case: Case, claims: Capabilities) -> Iterator[Case]:
    """Yield the case with more steps, a state, another option, and another optimizer."""
    yield case.but(steps=3)
    yield from (case_after_steps(case, step) for step in (1, 12, 300))
    own = dict(case.optimizer or {})
    others = list(_with_other_option(own, 1))
    for name in claims.optimizers:
        shared = {k: v for k, v in own.items() if k in TABLES["optimizers"][name]}
        others.append({**shared, "type": name, "lr": 0.01})
    for spec in others:
        for steps in (3, 1):
            yield case.but(optimizer=spec, state=None, steps=steps)


def _with_other_option(spec: Any, most: int) -> Iterator[dict[str, Any]]:
    """Yield the description with another value of one option, at most `most` values each."""
    for option, known in row_of(spec["type"]).options.items():
        if option in ALWAYS or option == "bias":
            continue
        values = (2.5,) if option == "pos_weight" else known.values
        current = spec.get(option, known.default)
        for value in [v for v in values if v != current][:most]:
            changed = {**spec, option: value}
            # Nesterov's momentum needs momentum, and excludes dampening.
            if option == "nesterov" and "dampening" in row_of(spec["type"]).options:
                changed |= {"momentum": 0.6, "dampening": 0.0}
            elif option == "dampening":
                changed |= {"momentum": 0.6, "nesterov": False}
            yield changed
