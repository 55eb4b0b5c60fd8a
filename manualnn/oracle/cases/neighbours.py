"""Cases like a given one, with other numbers, sizes and options: what a diagnosis asks for.

    generic(case, seed, n=…, widths=…)     the same network, loss and rule with ordinary numbers
    near(calls)                            other numbers and sizes, the parts as they are
    sequences(calls)                       the same for calls in a row
    stated(case, step)                     after so many updates
    far(case, claims)                      deeper, other options, more steps, hard numbers
    apart(case)                            sizes for it: 4, 6, 8 … and 3 for the last

`widths` has one entry for every segment (see `resize`). Everything follows from the arguments.
`admitted` leaves out what the engine does not claim and what has no truth.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from manualnn.oracle.cases.resize import segments, valid
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import TABLES, options_of, state_of


def admitted(rows: Iterable[tuple[Case, ...]], claims: Capabilities) -> Iterator[tuple[Case, ...]]:
    """Yield the calls of which the engine claims every case, and each has a truth."""
    for calls in rows:
        if all(claims.refuses(case) is None and valid(case) for case in calls):
            yield calls


def near(calls: Sequence[Case]) -> Iterator[tuple[Case, ...]]:
    """Yield calls of the same parts, with other numbers and sizes."""
    if len(calls) > 1:
        yield from sequences(calls)
    else:
        yield from ((case,) for case in _near(calls[0]))


def _near(case: Case) -> Iterator[Case]:
    """Yield cases of the same parts: generic sizes first, then the case's own, then equal ones."""
    wide, own = apart(case), [case.widths[run[0]] for run in segments(case)]
    yield generic(case, 1, n=5, widths=wide)
    yield generic(case, 2, n=7, widths=[*wide[-2::-1], 2])
    yield generic(case, 3, n=case.n, widths=own)
    yield generic(case, 4, n=1, widths=wide)
    yield generic(case, 5, n=3, widths=[3] * len(own))
    if case.optimizer is not None:
        yield _other_rate(generic(case, 6, n=6, widths=wide))


def far(case: Case, claims: Capabilities) -> Iterator[tuple[Case, ...]]:
    """Yield calls that share only what is at issue: they tell apart what `near` does not."""
    base = generic(case, 11, n=5, widths=apart(case))
    for other in _variants(base, claims):
        if other is not None:
            yield (other,)
    yield from sequences((base,))


def _other_layers(case: Case) -> Iterator[Case]:
    others = {"beta": 0.7, "negative_slope": 0.2, "p": 0.2}
    for i, layer in enumerate(case.layers):
        for option, value in others.items():
            if vars(options_of(layer)).get(option, value) != value:
                layers = list(case.layers)
                layers[i] = {**layer, option: value}
                yield generic(case.but(layers=tuple(layers)), 16, n=5, widths=apart(case))


def _variants(base: Case, claims: Capabilities) -> Iterator[Case | None]:
    yield from _other_layers(base)
    for scale in (6.0, 60.0, 600.0, 1e-4):
        yield base.map(lambda name, a, scale=scale: a * scale if name == "x" else a)
    yield base.map(lambda name, a: (a.T * 200.0 ** np.arange(-1, 4)).T if name == "x" else a)
    yield base.map(_on_the_lattice)
    yield _deeper(base, claims)
    yield from _other_losses(base)
    if base.optimizer is not None:
        yield from _other_rules(base)
        for rule in claims.optimizers:
            shared = {k: v for k, v in base.optimizer.items() if k in TABLES["optimizers"][rule]}
            other = base.but(optimizer={**shared, "type": rule, "lr": 0.01}, state=None)
            yield from (other, other.but(steps=3))
    yield generic(base, 12, n=70, widths=apart(base))
    yield generic(base, 13, n=4, widths=[300, *apart(base)[1:]])
    yield generic(base, 15, n=6, widths=[4] * len(segments(base)))


def apart(case: Case) -> list[int]:
    """Return a width for every segment, no two of them equal, and none of them 5 or 7."""
    count = len(segments(case))
    return [*[4, 6, *range(8, 8 + count)][: count - 1], 3]


def generic(case: Case, seed: int, *, n: int, widths: Sequence[int]) -> Case:
    """Return a case of these sizes, of ordinary numbers that are all different."""
    rng = np.random.default_rng(seed)
    case = _between_0_and_1(case)
    runs = segments(case)
    width = {edge: w for run, w in zip(runs, widths, strict=True) for edge in run}
    layers, params, noise = [], {}, {}
    for i, layer in enumerate(case.layers):
        spec = dict(layer)
        if spec["type"] == "Linear":
            spec |= {"in_features": width[i], "out_features": width[i + 1]}
            shape = (width[i + 1], width[i])
            params[f"{i}.weight"] = rng.normal(size=shape) / width[i] ** 0.5
            if spec.get("bias", True):
                params[f"{i}.bias"] = rng.normal(size=width[i + 1]) / 2
        if f"{i}.mask" in (case.noise or {}):
            p = options_of(layer).p
            noise[f"{i}.mask"] = (rng.random((n, width[i])) >= p) / (1 - p if p < 1 else 1)
        layers.append(spec)
    outputs = width[len(case.layers)]
    varied = case.but(
        layers=tuple(layers),
        params=params,
        x=rng.normal(size=(n, width[0])),
        noise=noise or None,
        loss=_loss_of_width(case, rng, n, outputs),
    )
    varied = varied.but(t=_targets(varied, rng, outputs))
    if case.state is not None:
        varied = varied.but(state=_state(varied, rng, int(case.state["step"])))
    return _typed(varied)


def stated(case: Case, step: int) -> Case:
    """Return the case after so many updates, with an ordinary state."""
    if step == 0:
        return case.but(state=None)
    return _typed(case.but(state=_state(case, np.random.default_rng(step), step)))


def sequences(calls: Sequence[Case]) -> Iterator[tuple[Case, ...]]:
    """Yield calls in a row: those given with ordinary numbers, then pairs of all kinds.

    What becomes of a memory when other shapes come in between differs from engine to engine: it is
    asked only of a single call's network, to tell apart what else is alike.
    """
    numbers = {case.id: i for i, case in enumerate(calls)}

    def ordinary(case: Case) -> Case:
        own = [case.widths[run[0]] for run in segments(case)]
        return generic(case, 50 + numbers[case.id], n=case.n, widths=own)

    yield tuple(ordinary(case) for case in calls)
    last = calls[-1]
    widths = apart(last)
    few, many = (generic(last, 57 + n, n=n, widths=widths) for n in (3, 5))
    other = generic(last, 61, n=5, widths=widths)
    wider = generic(last, 62, n=5, widths=[w + 2 for w in widths])
    yield from ((many, many), (many, other), (many, few), (few, many))
    if len(calls) == 1:
        yield (many, wider, few)


def _typed(case: Case) -> Case:
    return case.map(lambda _, a: a if a.dtype.kind in "iu" else a.astype(case.dtype))


def _between_0_and_1(case: Case) -> Case:
    """Return the case with outputs that its loss can take: those of a Sigmoid, if need be."""
    inner = [layer["type"] for layer in case.layers if layer["type"] != "Identity"]
    if case.loss["type"] != "BCELoss" or (inner and inner[-1] in {"Sigmoid", "Softmax"}):
        return case
    return case.but(layers=(*case.layers, {"type": "Sigmoid"}))


def _targets(case: Case, rng: np.random.Generator, outputs: int) -> Array:
    n, loss = len(case.x), options_of(case.loss)
    if loss.type == "CrossEntropyLoss" and case.t.ndim == 2:
        t = rng.random((n, outputs)) + 0.1
        return np.asarray(t / t.sum(axis=1, keepdims=True))
    if loss.type == "CrossEntropyLoss":
        classes: Array = rng.integers(0, outputs, n)
        counted = [k for k in range(outputs) if k != loss.ignore_index]
        if counted:
            classes[0] = counted[0]
        if "ignore_index" in case.loss and n > 2:
            classes[1] = loss.ignore_index
        return classes
    if loss.type in {"BCELoss", "BCEWithLogitsLoss"}:
        t = rng.random((n, outputs))
        return np.where(t < 0.3, 0.0, np.where(t > 0.7, 1.0, t))
    return rng.normal(size=(n, outputs)) * 1.5


def _loss_of_width(case: Case, rng: np.random.Generator, n: int, outputs: int) -> dict[str, Any]:
    loss = dict(case.loss)
    for name in ("weight", "pos_weight"):
        if loss.get(name) is not None and np.ndim(loss[name]):
            shape = np.shape(loss[name])
            sizes = {case.n: n} | ({case.widths[-1]: outputs} if len(shape) == 1 else {})
            new = (
                [outputs] if len(shape) == 1 else [1 if s == 1 else sizes.get(s, s) for s in shape]
            )
            if len(shape) == 2 and shape[1] != 1:
                new[1] = outputs
            loss[name] = np.float32(rng.uniform(0.3, 2.5, new)).tolist()
    return loss


def _state(case: Case, rng: np.random.Generator, step: int) -> dict[str, Any]:
    """Return a state such as there may be after so many steps."""
    o = options_of(case.optimizer) if case.optimizer else None
    groups: dict[str, Any] = {state.name: {} for state in state_of(o)}
    for key, p in case.params.items():
        mean = rng.normal(size=p.shape) / 10
        square = np.square(mean) * rng.uniform(1.1, 3, p.shape)
        for state in state_of(o):
            array = state.typical(o, mean, square, step)
            scale = rng.uniform(0.7, 1.5, p.shape) if state.is_maximum else 1
            groups[state.name][key] = array * scale
    return {"step": step, **groups}


def _on_the_lattice(name: str, array: Array) -> Array:
    """Return small integers: exact sums, ties and zeros."""
    if name.startswith(("state.", "noise.")) or array.dtype.kind in "iu":
        return array
    if name == "t" and array.min() >= 0 and array.max() <= 1:
        return array
    return np.clip(np.rint(array * 1.3), -2, 2) + 0.0


def _other_rate(case: Case) -> Case:
    lr = 0.37 * float((case.optimizer or {}).get("lr", 0.01))
    return case.but(optimizer={**(case.optimizer or {}), "lr": lr})


def _deeper(case: Case, claims: Capabilities) -> Case | None:
    """Return the case with a Linear and a smooth layer in front."""
    smooth = [name for name in ("Sigmoid", "Tanh", "Softplus") if name in claims.layers]
    if not smooth or "Linear" not in claims.layers:
        return None
    width = case.widths[0]
    front = {"type": "Linear", "in_features": width, "out_features": width}

    def shifted(arrays: dict[str, Array]) -> dict[str, Array]:
        return {
            f"{int(key.partition('.')[0]) + 2}.{key.partition('.')[2]}": array
            for key, array in arrays.items()
        }

    blank = {"0.weight": np.zeros((width, width)), "0.bias": np.zeros(width)}
    deeper = case.but(
        layers=(front, {"type": smooth[0]}, *case.layers),
        params={**blank, **shifted(case.params)},
        noise=case.noise and shifted(case.noise),
    )
    widths = [13, *(case.widths[s[0]] for s in segments(case))]
    return generic(deeper, 14, n=5, widths=widths)


def _other_losses(case: Case) -> Iterator[Case]:
    """Yield the case with one option of its loss changed."""
    options = TABLES["losses"][case.loss["type"]]
    others: dict[str, list[Any]] = {
        "reduction": ["mean", "sum", "batchmean"],
        "delta": [0.4],
        "label_smoothing": [0.2],
        "ignore_index": [1],
        "pos_weight": [2.5],
    }
    for option in options:
        for value in others.get(option, []):
            if case.loss.get(option) != value:
                yield case.but(loss={**case.loss, option: value})


def _other_rules(case: Case) -> Iterator[Case]:
    """Yield the case with more steps, a state, and one option of its rule changed."""
    rule = dict(case.optimizer or {})
    yield case.but(steps=3)
    yield from (stated(case, step) for step in (1, 12, 300))
    others: dict[str, list[Any]] = {
        "momentum": [0.6],
        "dampening": [0.3],
        "weight_decay": [0.2],
        "nesterov": [True],
        "maximize": [True],
        "eps": [0.05],
        "betas": [(0.6, 0.8)],
        "amsgrad": [True],
        "centered": [True],
        "alpha": [0.7],
        "lr_decay": [0.3],
        "initial_accumulator_value": [0.2],
    }
    for option in TABLES["optimizers"][rule["type"]]:
        for value in others.get(option, []):
            changed = {**rule, option: value}
            if option == "nesterov":
                changed |= {"momentum": 0.6, "dampening": 0.0}
            if option == "dampening":
                changed["momentum"] = 0.6
            if rule.get("nesterov") and option == "dampening":
                continue
            yield case.but(optimizer=changed, state=None, steps=3)
            yield case.but(optimizer=changed, state=None, steps=1)
