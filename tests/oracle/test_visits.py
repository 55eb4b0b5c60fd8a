"""Every run visits, for certain and in every dtype, what is listed here: it is not left to chance.

The lists follow from the claims of an engine, and from the formulas of the table of features. They
do not use the code that draws the corners.
"""

from dataclasses import replace

import numpy as np
import pytest
from rotation import turn

from manualnn.oracle.cases.catalogue import recipes_for
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.profiles import PROFILES
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.features import (
    ALWAYS,
    LAYER_ROWS,
    LOSS_ROWS,
    OPTIMIZER_ROWS,
    fit,
    options_of,
)
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.extended import FLOAT64

EVERYTHING = Capabilities.read(Textbook().capabilities())
SMALL = {
    "one loss": {"layers": ["Linear"], "losses": ["MSELoss"]},
    "classes": {
        "layers": {"Linear": {}, "LeakyReLU": {"negative_slope": "any"}},
        "losses": {"CrossEntropyLoss": {"ignore_index": "any", "reduction": ["mean", "sum"]}},
        "optimizers": {"Adam": {"amsgrad": "any", "betas": [[0.5, 0.7]]}},
        "dtypes": ["float32", "float64"],
        "max_steps": 3,
        "max_width": 5,
        "max_batch": 6,
    },
    "one rule": {
        "layers": ["Linear", "Softplus", "ReLU"],
        "losses": {"HuberLoss": {"delta": [0.5], "reduction": ["mean", "sum"]}},
        "optimizers": {"SGD": {"momentum": [0.9], "nesterov": [True], "weight_decay": "any"}},
        "dtypes": ["float32"],
        "accepts_state": True,
        "empty_batch": True,
    },
}


def first_cases(claims, seed):
    """Return the cases of a quick run in which its recipes visit their corners, by recipe."""
    found = {}
    number = len(claims.dtypes)
    for recipe in recipes_for(claims):
        count = len(list(recipe.examples(claims, PROFILES["quick"].examples)))
        assert len(recipe.corners) * number <= count, f"{recipe.name} has too few cases"
        for i in range(len(recipe.corners) * number):
            one = replace(claims, dtypes=(claims.dtypes[i % number],))
            rng = np.random.default_rng([seed, *recipe.key(i)])
            case = recipe.draw(rng, one, Size(), "", i // number)
            if case is not None:
                found.setdefault(recipe.name, []).append(case)
    return found


def optioned(claim, row):
    """Return the claimed values of every option, as pairs; the recipe of rates has those of lr."""
    for option, known in row.options.items():
        if option in ALWAYS or known.share < 1:
            continue
        values = claim.get(option, [])
        yield from ((option, v) for v in (known.others if values == "any" else values))


def same(a, b):
    return np.shape(a) == np.shape(b) and bool(np.all(np.equal(a, b)))


def branches(row, spec, points, *rest):
    """Return the conditions of a formula at these points: one array for each `where`."""
    conditions = []

    def where(condition, a, b):
        conditions.append(np.atleast_1d(condition))
        return np.where(condition, a, b)

    numbers = replace(FLOAT64, where=where)
    row.statement.value(numbers, options_of(spec), *(np.asarray(p, float) for p in (points, *rest)))
    return conditions


def crosses(row, spec, *points):
    """Return True if every branch of the formula is taken at one of these points."""
    with np.errstate(all="ignore"):
        found = branches(row, spec, *points)
    return all(condition.any() and not condition.all() for condition in found)


def input_of(case, name):
    """Return the exact input of the layer if x is it; None if other layers change x before it."""
    types = [spec["type"] for spec in case.layers[:2]]
    return input_at(case, types.index(name)) if name in types else None


def input_at(case, i):
    """Return the exact input of layer i, or None, as `input_of` does."""
    if i == 0:
        return case.x
    if i == 1 and case.layers[0]["type"] == "Linear":
        weight, bias = case.params["0.weight"], case.params.get("0.bias", np.zeros(1))
        if same(weight, np.eye(case.widths[0])) and not bias.any():
            return case.x
    return None


def has(case, kind, name, **options):
    """Return True if a case has a feature with these options."""
    return any(
        k == kind
        and spec["type"] == name
        and all(same(getattr(options_of(spec), o), v) for o, v in options.items())
        for k, spec in case.parts()
    )


def given(case, kind, name, option, value):
    return any(
        k == kind
        and spec["type"] == name
        and same(getattr(options_of(spec), option), _fitting(case, i, spec, option, value))
        for i, (k, spec) in enumerate(case.parts())
    )


def _fitting(case, i, spec, option, value):
    """Return the value, or what stands for it if the option has to fit the layer's inputs."""
    if spec["type"] not in LAYER_ROWS:
        return value
    return fit({**spec, option: value}, case.widths[i])[option]


def of_layers(claims):
    """Yield the names and predicates of what is visited of the claimed layers."""
    for name, claim in claims.layers.items():
        row = LAYER_ROWS[name]
        for option, value in optioned(claim, row):
            yield (
                f"{name}.{option}={value}",
                lambda c, *a: given(c, "layers", *a),
                (
                    name,
                    option,
                    value,
                ),
            )
        if not row.is_elementwise:
            continue
        variants = [{}, *({o: v} for o, v in optioned(claim, row))]
        for options in variants:
            for place in (0, 1):
                yield (
                    f"{name} {options} at its branches, {place}",
                    at_branches,
                    (
                        name,
                        options,
                        place,
                    ),
                )


def at_branches(case, name, options, place):
    """Return True if a layer in that place meets both sides of its branches, and both zeros."""
    if len(case.layers) <= place or case.layers[place]["type"] != name:
        return False
    spec, z = case.layers[place], input_of(case, name)
    if z is None or not has(case, "layers", name, **options):
        return False
    zeros = z[z == 0]
    large = not LAYER_ROWS[name].saturates or abs(z).max() > 700 or z.size < 24
    both = np.signbit(zeros).any() and not np.signbit(zeros).all()
    return both and large and crosses(LAYER_ROWS[name], spec, z)


def of_losses(claims):
    """Yield the names and predicates of what is visited of the claimed losses."""
    for name, claim in claims.losses.items():
        row = LOSS_ROWS[name]
        stated = [v for o, v in optioned(claim, row) if o == "reduction"]
        for r in {"mean", *stated}:
            least = 2 if row.targets in {"classes", "labels"} else 1
            yield f"{name} {r} of one sample", sized_loss, (name, r, 1, None)
            yield f"{name} {r} of {least} columns", sized_loss, (name, r, None, least)
        for option, value in optioned(claim, row):
            yield (
                f"{name}.{option}={value}",
                lambda c, *a: given(c, "losses", *a),
                (
                    name,
                    option,
                    value,
                ),
            )
        if row.statement:
            for options in ({}, *({o: v} for o, v in optioned(claim, row))):
                if options and options == row.takes_probabilities_with:
                    continue  # The outputs of a Sigmoid stand nowhere exactly.
                yield f"{name} {options} at its branches", errors_at_branches, (name, options)
        elif row.targets == "probabilities":
            yield f"{name} of targets 0 and 1, certain and wrong", certain_targets, (name,)
        if claim.get("weight") == "any":
            yield f"{name} with a weight of 0", weightless, (name,)


def of_classes(claims):
    """Yield the names and predicates of what is visited of class indices."""
    for name in [name for name in claims.losses if LOSS_ROWS[name].has_mean_of_weights]:
        claim = claims.losses[name]
        yield f"{name} of the first and the last class", first_and_last, (name,)
        if claim.get("ignore_index") == "any":
            for value in (-100, -1, 0, 255):
                yield f"{name} ignoring {value}", ignores, (name, value)
            yield (
                f"{name} ignoring the last class",
                (lambda c, n: ignores(c, n, c.widths[-1] - 1)),
                (name,),
            )
            yield f"{name} of one class that counts", one_counts, (name,)
        if {"ignore_index", "label_smoothing", "weight"} <= claim.keys():
            yield (
                f"{name} ignored, smoothed and weighted",
                (lambda c, n: one_counts(c, n) and smoothed(c) and "weight" in c.loss),
                (name,),
            )


def sized_loss(case, name, reduction, n, width):
    return (
        has(case, "losses", name, reduction=reduction)
        and n in (None, case.n)
        and width in (None, case.widths[-1])
    )


def errors_at_branches(case, name, options):
    if not has(case, "losses", name, **options) or len(case.layers) != 1:
        return False
    y = input_at(case, len(case.layers))
    if y is None or not (y == case.t).any() or not (y > case.t).any() or not (y < case.t).any():
        return False
    if options_of(case.loss).type == "SmoothL1Loss" and not options_of(case.loss).beta:
        return True
    return crosses(LOSS_ROWS[name], case.loss, y.astype(float), case.t.astype(float))


def certain_targets(case, name):
    x, t = case.x, case.t
    if case.loss["type"] != name or x.shape != t.shape:
        return False
    sides = [(x > 700) & (t == 0), (x > 700) & (t == 1), (x < -700) & (t == 0)]
    sides += [(x < -700) & (t == 1), (x == 0) & (t == 0), (x == 0) & (t == 1), t == 0.5]
    return all(side.any() for side in sides)


def first_and_last(case, name):
    return (
        case.loss["type"] == name
        and case.t.ndim == 1
        and ({0, case.widths[-1] - 1} <= set(case.t.tolist()))
    )


def ignores(case, name, value):
    if not has(case, "losses", name, ignore_index=value) or case.t.ndim > 1:
        return False
    return (case.t == value).any() and (case.t != value).any()


def one_counts(case, name):
    if case.loss["type"] != name or case.t.ndim > 1 or case.n < 2:
        return False
    return np.count_nonzero(case.t != options_of(case.loss).ignore_index) == 1


def smoothed(case):
    return options_of(case.loss).label_smoothing > 0


def weightless(case, name):
    weight = case.loss.get("weight")
    return case.loss["type"] == name and weight is not None and 0 in weight and np.any(weight)


def of_rules(claims):
    """Yield the names and predicates of what is visited of the claimed optimizers."""
    for name, claim in claims.optimizers.items():
        row = OPTIMIZER_ROWS[name]
        steps = claims.max_steps > 1
        for start, predicate in {
            "first": lambda c: not c.state and c.steps == 1,
            **({"several": lambda c: not c.state and c.steps > 1} if steps else {}),
            **({"second": lambda c: step_of(c) == 1} if claims.accepts_state else {}),
            **({"late": lambda c: step_of(c) >= 1000} if claims.accepts_state else {}),
        }.items():
            yield (
                f"{name} at its {start} step",
                (lambda c, n, p=predicate: has(c, "optimizers", n) and p(c)),
                (name,),
            )
        yield (
            f"{name} with a gradient of 0",
            (lambda c, n: has(c, "optimizers", n) and not c.x[:, 0].any() and not c.state),
            (name,),
        )
        for option, value in optioned(claim, row):
            found = name, option, value
            yield f"{name}.{option}={value} at first", first_update, found
            if steps or claims.accepts_state:
                yield f"{name}.{option}={value} later", later_update, found
        if claims.accepts_state and "any" in (claim.get("amsgrad"), name == "Adamax" and "any"):
            yield f"{name} above and below its maximum", far_from_maximum, (name,)
        if {"nesterov", "momentum", "weight_decay"} <= claim.keys():
            yield (
                f"{name} with nesterov and weight_decay",
                (
                    lambda c, n: (
                        has(c, "optimizers", n, nesterov=True)
                        and not getattr(options_of(c.optimizer), "dampening", 0)
                        and options_of(c.optimizer).weight_decay
                        and options_of(c.optimizer).momentum
                    )
                ),
                (name,),
            )


def first_update(case, *found):
    return given(case, "optimizers", *found) and not case.state and case.steps == 1


def later_update(case, *found):
    return given(case, "optimizers", *found) and (step_of(case) > 0 or case.steps > 1)


def step_of(case):
    return (case.state or {}).get("step", 0)


def far_from_maximum(case, name):
    if not has(case, "optimizers", name) or not case.state:
        return False
    known = {"max_exp_avg_sq": "exp_avg_sq", "exp_inf": "exp_avg"}
    for maximum, other in known.items():
        for key, a in case.state.get(maximum, {}).items():
            b = case.state[other][key]
            if (a > 4 * abs(b)).any() and (a < abs(b) / 4).any() | (other == "exp_avg"):
                return True
    return False


def of_recipes(claims):
    """Yield the recipes, names and predicates of what stress recipes visit."""
    rules = claims.optimizers
    yield "shapes", "one sample, one column", lambda c: c.n == 1 == c.widths[0]
    yield "square", "as many samples as inputs", lambda c: c.n == c.widths[0]
    yield "square", "as many samples as outputs", lambda c: c.n == c.widths[-1]
    for name in ("x", "t", "weight", "bias"):
        yield (
            "zeros",
            f"a {name} of 0",
            lambda c, name=name: any(
                n.endswith(name) and not a.any() for n, a in c.arrays().items()
            ),
        )
    if rules:
        for rate in (0.0, 1e-30, 1e-9, 0.1, 7.3, 1e3):
            yield "rates", f"lr={rate}", lambda c, r=rate: c.optimizer["lr"] == r
    if rules and claims.accepts_state:
        for step in (0, 1, 10, 100, 1000, 1_000_000):
            yield "steps", f"step {step}", lambda c, s=step: step_of(c) == s
    for depth in (1,) if claims.max_depth == 1 else (1, 11):
        yield (
            "depth",
            f"{depth} Linear layers",
            lambda c, d=depth: d == sum(layer["type"] == "Linear" for layer in c.layers),
        )


def of_parts(claims):
    """Yield the recipes, names and predicates of what they visit of every layer and optimizer."""
    rules, layers = claims.optimizers, claims.layers
    for name in (n for n in layers if LAYER_ROWS[n].is_partner):
        yield "memory", f"{name} first", lambda c, n=name: c.layers[0]["type"] == n
        yield "history", f"{name} first", lambda c, n=name: c.layers[0]["type"] == n
        if claims.empty_batch:
            yield (
                "empty",
                f"{name} of no samples",
                lambda c, n=name: c.n == 0 and has(c, "layers", n),
            )
    for name in (n for n in rules if OPTIMIZER_ROWS[n].is_partner):
        yield "memory", f"{name} fresh", lambda c, n=name: has(c, "optimizers", n) and not c.state
        yield (
            "memory",
            f"{name} at lr 0",
            lambda c, n=name: (
                has(c, "optimizers", n, lr=0.0)
                and c.params
                and (c.state or not claims.accepts_state)
            ),
        )
    if {"MSELoss", "L1Loss"} & claims.losses.keys():
        yield (
            "lattice",
            "one number",
            lambda c: (
                c.n == 1 == c.widths[-1]
                and c.loss["type"]
                in (
                    "MSELoss",
                    "L1Loss",
                )
            ),
        )
    for name in ("ReLU", "LeakyReLU"):
        if name in layers and any(LOSS_ROWS[n].is_exact for n in claims.losses):
            yield (
                "kinks",
                f"{name} at 0 after a Linear layer",
                lambda c, n=name: (
                    len(c.layers) > 2
                    and c.layers[1]["type"] == n
                    and not c.params["0.weight"][0].any()
                    and not c.params["0.bias"][:1].any()
                ),
            )


def unvisited(claims, seed):
    """Return what some dtype of a run does not visit."""
    cases = first_cases(claims, seed)
    every = [case for found in cases.values() for case in found]
    listed = [
        (every, name, f, args)
        for of in (of_layers, of_losses, of_classes, of_rules)
        for name, f, args in of(claims)
    ]
    listed += [
        (cases.get(r, []), f"{r}: {name}", f, ())
        for of in (of_recipes, of_parts)
        for r, name, f in of(claims)
    ]
    assert len(listed) > 10
    with np.errstate(all="ignore"):
        return [
            (name, dtype)
            for among, name, holds, args in listed
            for dtype in claims.dtypes
            if not any(c.dtype == dtype and holds(c, *args) for c in among)
        ]


def test_a_run_visits_every_corner_of_all_features():
    assert not unvisited(EVERYTHING, turn() % 5)


@pytest.mark.parametrize("name", SMALL)
def test_a_run_visits_every_corner_that_a_small_engine_claims(name):
    claims = Capabilities.read(SMALL[name])
    for seed in {0, turn() % 5}:
        assert not unvisited(claims, seed)
