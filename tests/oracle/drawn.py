"""Random cases of every feature that the oracle judges, determined by a seed."""

from fnmatch import fnmatchcase
from functools import cache

import numpy as np

from manualnn.oracle.cases.catalogue import recipes_for
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.cases.draft import with_rule
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import (
    LAYER_ROWS,
    LOSS_ROWS,
    LOSSES,
    OPTIMIZER_ROWS,
    buffer_of,
    find_mixing,
    fit,
    options_of,
    row_of,
    shapes_of,
    state_of,
    takes_probabilities,
    width_of,
)
from manualnn.oracle.protocol.masks import with_masks
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.vectors.draw import vector_cases

vectors_of_everything = cache(vector_cases)
"""Return the conformance vectors, which are the same in every run; to draw them takes seconds."""
SCALES = [1.0, 1.0, 1.0, 0.01, 10.0, 100.0]


def drawn_case(rng, *, loss=None, optimizer=None, dtype=None, largest=6, weights=0.0, around=0.0):
    """Return a case; with that loss or optimizer, if one is named.

    A share of the cases, `weights`, has weights of the samples. Another one, `around`, has
    penalties, clipping or groups.
    """
    dtype = dtype or str(rng.choice(["float32", "float64"]))
    loss = drawn_loss(rng, loss or drawn_name(rng, LOSS_ROWS))
    n, width = int(rng.integers(1, largest + 1)), int(rng.integers(1, largest + 1))
    layers, params, noise = drawn_layers(rng, n, width, largest, loss)
    columns = width
    for spec in layers:
        columns = width_of(spec, columns)
    if columns == 1 and loss.get("ignore_index") == 0:
        loss["ignore_index"] = -100  # A target that is not ignored has to be left.
    case = Case(
        layers=layers,
        loss=loss,
        params=params,
        x=rng.normal(size=(n, width)) * rng.choice(SCALES),
        t=drawn_targets(rng, loss, n, columns),
        dtype=dtype,
        noise=noise,
    )
    rule = drawn_optimizer(rng, optimizer or drawn_name(rng, OPTIMIZER_ROWS))
    case = only_matrices(with_rule(case, rule)).but(steps=int(rng.choice([1, 1, 1, 2, 3])))
    if "weight" in loss:
        size = (n, 1) if loss["type"] in {"BCELoss", "BCEWithLogitsLoss"} else columns
        weight = rng.uniform(0.2, 3, size).astype(dtype).tolist()
        case = case.but(loss={**loss, "weight": weight})
    if rng.random() < 0.5:
        case = case.but(state=drawn_state(rng, case))
    if around and rng.random() < around:
        case = case.but(optimizer={**case.optimizer, **drawn_around(rng, case)})
    if weights and rng.random() < weights:
        case = case.but(sample_weights=rng.uniform(0.2, 4, n))
    return with_masks(case.map(lambda _, a: a if a.dtype.kind == "i" else a.astype(dtype)))


def only_matrices(case):
    """Return the case, without layers of vectors if its rule updates matrices alone."""
    if OPTIMIZER_ROWS[case.optimizer["type"]].is_entrywise:
        return case
    odd = {int(key.split(".")[0]) for key, a in case.learned.items() if a.ndim != 2}
    layers = tuple({"type": "Identity"} if i in odd else s for i, s in enumerate(case.layers))
    params = {k: a for k, a in case.params.items() if int(k.split(".")[0]) not in odd}
    noise = case.noise and {k: a for k, a in case.noise.items() if int(k.split(".")[0]) not in odd}
    if not noise and not find_mixing(layers, is_training=True):
        noise = None
    return case.but(layers=layers, params=params, noise=noise)


def corners_of_layers(**claimed):
    """Yield the corners of each layer, in which every branch of its formula is met."""
    claims = Capabilities.read({**Textbook().capabilities(), **claimed})
    for recipe in recipes_for(claims):
        if recipe.name in {f"layer.{name}" for name in LAYER_ROWS}:
            for corner in range(len(recipe.corners)):
                rng = np.random.default_rng(recipe.key(corner))
                case = recipe.draw(rng, claims, Size(), corner=corner)
                if case is not None:
                    yield case


def drawn_name(rng, rows):
    """Return the name of a partner; in a fifth of all draws of a new feature, if there is one.

    The stream of random numbers is the same with and without new features.
    """
    partners = [name for name, row in rows.items() if row.is_partner]
    others = [name for name in rows if name not in partners]
    name, is_new, place = str(rng.choice(partners)), rng.random() < 0.2, rng.random()
    return others[int(place * len(others))] if is_new and others else name


def drawn_options(rng, name):
    """Return values of the options that are drawn by their row, each with a chance of a half."""
    options = {}
    for option, known in row_of(name).options.items():
        is_drawn = known.others and known.is_in_any  # the others are compared with torch's
        if is_drawn and option not in ("bias", "ignore_index", "dim"):
            value = known.values[int(rng.integers(len(known.values)))]
            if rng.random() < 0.5:
                options[option] = value
    return options


def drawn_loss(rng, name):
    loss = {"type": name, **drawn_options(rng, name)}
    options = LOSSES[name]
    if "weight" in options and rng.random() < 0.4:
        loss["weight"] = None
    if "pos_weight" in options and rng.random() < 0.5:
        loss["pos_weight"] = float(rng.choice([0.25, 3.0]))
    if "ignore_index" in options:
        loss["ignore_index"] = int(rng.choice([-100, 0]))
    return loss


def drawn_layers(rng, n, width, largest, loss):
    layers, params, noise = [], {}, {}
    plain = {name: row for name, row in LAYER_ROWS.items() if name != "Linear"}
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
        name = drawn_name(rng, plain)
        spec = fit({"type": name, **drawn_options(rng, name)}, width)
        row = LAYER_ROWS[name]
        if width % row.multiple or (row.mixes_samples and n == 1):
            spec, row = {"type": "Identity"}, LAYER_ROWS["Identity"]
        layers.append(spec)
        for key, shape in shapes_of(spec, width).items():
            buffer = buffer_of(key)
            params[f"{i}.{key}"] = buffer.draw(rng, shape) if buffer else rng.normal(size=shape)
        if row.noise and rng.random() < 0.8:
            noise[f"{i}.{row.noise.name}"] = row.noise.draw(rng, options_of(spec), (n, width))
        width = width_of(spec, width)
    if takes_probabilities(loss):
        layers.append({"type": str(rng.choice(["Sigmoid", "Softmax"]))})
    number = sum(LAYER_ROWS[layer["type"]].noise is not None for layer in layers)
    if not number and find_mixing(layers, is_training=True) and rng.random() < 0.7:
        return tuple(layers), params, {}
    return tuple(layers), params, noise if noise and len(noise) == number else None


def drawn_targets(rng, loss, n, columns):
    kind = LOSS_ROWS[loss["type"]].targets
    if kind == "classes":
        has_both = "probabilities" in LOSS_ROWS[loss["type"]].class_targets
        # A class can be ignored only where the targets are indices.
        if rng.random() < 0.7 or not has_both or loss.get("ignore_index", -100) >= 0:
            t = rng.integers(0, columns, n)
            t[: int(rng.integers(0, n))] = loss.get("ignore_index", 0)
            t[-1] = columns - 1
            return t
        return rng.dirichlet(np.ones(columns), n)
    if kind == "labels":
        t = rng.permuted(np.tile(np.arange(columns), (n, 1)), axis=1)
        t[rng.random(t.shape) < 0.4] = -1
        return t
    if kind == "probabilities":
        return rng.choice([0.0, 1.0, 0.3], (n, columns))
    if kind == "signs":
        return rng.choice([1.0, -1.0], (n, columns))
    return rng.normal(size=(n, columns))


def drawn_optimizer(rng, name):
    spec = {"type": name, "lr": float(rng.choice([0.01, 0.3])), **drawn_options(rng, name)}
    if spec.get("nesterov") and "dampening" in OPTIMIZER_ROWS[name].options:
        spec |= {"momentum": spec.get("momentum") or 0.9, "dampening": 0.0}
    return spec


def drawn_around(rng, case):
    """Return values of one option or of several that are around a rule."""
    options = OPTIMIZER_ROWS[case.optimizer["type"]].options
    found = {}
    for name, option in options.items():
        if not option.is_in_any and rng.random() < 0.5:
            found[name] = option.others[int(rng.integers(len(option.others)))]
    patterns = [group["params"] for group in found.get("groups", ())]
    if not all(any(fnmatchcase(key, p) for key in case.learned) for p in patterns):
        del found["groups"]
    return found


def drawn_state(rng, case):
    """Return a possible optimizer state after some updates."""
    state = {"step": int(rng.choice([1, 2, 5, 30, 300, 3000]))}
    for array in state_of(options_of(case.optimizer)):
        squares = array.is_nonnegative
        state[array.name] = {
            key: rng.uniform(1, 2, a.shape) if squares else rng.normal(size=a.shape) / 4
            for key, a in case.learned.items()
        }
    return state
