"""Random cases of everything that the oracle judges, drawn from a seed alone."""

import numpy as np

from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import (
    LAYERS,
    LOSS_ROWS,
    LOSSES,
    OPTIMIZERS,
    options_of,
    state_of,
)

SCALES = [1.0, 1.0, 1.0, 0.01, 10.0, 100.0]


def drawn_case(rng, *, loss=None, optimizer=None, dtype=None, largest=6):
    """Return a case; with that loss or optimizer, if one is named."""
    dtype = dtype or str(rng.choice(["float32", "float64"]))
    loss = drawn_loss(rng, loss or str(rng.choice(list(LOSSES))))
    n, width = int(rng.integers(1, largest + 1)), int(rng.integers(1, largest + 1))
    layers, params, noise = drawn_layers(rng, n, width, largest, loss["type"] == "BCELoss")
    outputs = [s["out_features"] for s in layers if s["type"] == "Linear"]
    columns = outputs[-1] if outputs else width
    if columns == 1 and loss.get("ignore_index") == 0:
        loss["ignore_index"] = -100  # else no target is left
    case = Case(
        layers=layers,
        loss=loss,
        params=params,
        x=rng.normal(size=(n, width)) * rng.choice(SCALES),
        t=drawn_targets(rng, loss, n, columns),
        optimizer=drawn_optimizer(rng, optimizer or str(rng.choice(list(OPTIMIZERS)))),
        dtype=dtype,
        noise=noise,
        steps=int(rng.choice([1, 1, 1, 2, 3])),
    )
    if "weight" in loss:
        size = columns if loss["type"] == "CrossEntropyLoss" else (n, 1)
        weight = rng.uniform(0.2, 3, size).astype(dtype).tolist()
        case = case.but(loss={**loss, "weight": weight})
    if rng.random() < 0.5:
        case = case.but(state=drawn_state(rng, case))
    return case.map(lambda _, a: a if a.dtype.kind == "i" else a.astype(dtype))


def drawn_loss(rng, name):
    loss = {"type": name, "reduction": str(rng.choice(["mean", "sum", "batchmean"]))}
    for option, known in LOSS_ROWS[name].options.items():
        if LOSS_ROWS[name].statement is not None and isinstance(known.default, float):
            loss[option] = float(rng.choice(known.values))
    if "weight" in LOSSES[name] and rng.random() < 0.4:
        loss["weight"] = None
    if name == "BCEWithLogitsLoss" and rng.random() < 0.5:
        loss["pos_weight"] = float(rng.choice([0.25, 3.0]))
    if name == "CrossEntropyLoss":
        loss["label_smoothing"] = float(rng.choice([0.0, 0.1]))
        loss["ignore_index"] = int(rng.choice([-100, 0]))
    return loss


def drawn_layers(rng, n, width, largest, ends_in_probabilities):
    layers, params, noise = [], {}, {}
    plain = [name for name in LAYERS if name != "Linear"]
    for i in range(int(rng.integers(0, 5))):
        if rng.random() < 0.5:
            out = int(rng.integers(1, largest + 1))
            layers.append({"type": "Linear", "in_features": width, "out_features": out})
            params[f"{i}.weight"] = rng.normal(size=(out, width)) / width**0.5
            if rng.random() < 0.2:
                layers[-1]["bias"] = False
            else:
                params[f"{i}.bias"] = rng.normal(size=out)
            width = out
            continue
        name = str(rng.choice(plain))
        layers.append({"type": name})
        if name == "Softplus":
            layers[-1] |= {"beta": float(rng.choice([0.5, 1.0, 3.0])), "threshold": 2.0}
        if name == "LeakyReLU":
            layers[-1]["negative_slope"] = float(rng.choice([0.01, 0.3]))
        if name == "Dropout" and rng.random() < 0.8:
            noise[f"{i}.mask"] = 2.0 * rng.integers(0, 2, (n, width))
    if ends_in_probabilities:
        layers.append({"type": str(rng.choice(["Sigmoid", "Softmax"]))})
    dropouts = sum(layer["type"] == "Dropout" for layer in layers)
    return tuple(layers), params, noise if noise and len(noise) == dropouts else None


def drawn_targets(rng, loss, n, columns):
    if loss["type"] == "CrossEntropyLoss":
        if rng.random() < 0.7:
            t = rng.integers(0, columns, n)
            t[: int(rng.integers(0, n))] = loss["ignore_index"]
            t[-1] = columns - 1
            return t
        return rng.dirichlet(np.ones(columns), n)
    if loss["type"].startswith("BCE"):
        return rng.choice([0.0, 1.0, 0.3], (n, columns))
    return rng.normal(size=(n, columns))


def drawn_optimizer(rng, name):
    known = OPTIMIZERS[name]
    values = {"lr": [0.01, 0.3], "weight_decay": [0.0, 0.1], "maximize": [False, False, True]}
    values |= {"momentum": [0.0, 0.9, 0.5], "alpha": [0.9, 0.5], "centered": [False, True]}
    values |= {"eps": [1e-8, 0.1], "amsgrad": [False, True], "lr_decay": [0.0, 0.1]}
    values |= {"initial_accumulator_value": [0.0, 0.5]}
    spec = {"type": name} | {k: rng.choice(v).item() for k, v in values.items() if k in known}
    if "betas" in known:
        spec["betas"] = (float(rng.choice([0.9, 0.5])), float(rng.choice([0.999, 0.9])))
    if name == "SGD":
        spec["nesterov"] = bool(spec["momentum"] and rng.random() < 0.5)
        spec["dampening"] = 0.0 if spec["nesterov"] else float(rng.choice([0.0, 0.25]))
    return spec


def drawn_state(rng, case):
    """Return what an optimizer may hold after some updates: squares above the means' squares."""
    state = {"step": int(rng.choice([1, 2, 5, 30, 300, 3000]))}
    for array in state_of(options_of(case.optimizer)):
        squares = array.is_nonnegative
        state[array.name] = {
            key: rng.uniform(1, 2, a.shape) if squares else rng.normal(size=a.shape) / 4
            for key, a in case.params.items()
        }
    return state
