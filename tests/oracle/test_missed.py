"""Bugs that show only at a corner: the certain cases of the named recipes find each of them.

A bug here shows for one option, one number or one order of calls. Random cases found it at some
seeds only, or never. A run takes a quarter of the bugs in turn; the profile nightly takes all.
"""
# ruff: noqa: ARG001, ARG002, ARG005, N802, PLR0917 - a line of an engine gets all that it may need

import dataclasses
from fnmatch import fnmatchcase

import numpy as np
import pytest
from rotation import share, turn

from manualnn.oracle.cases.catalogue import recipes_for
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.checks.table import JUDGEMENTS, rejudge
from manualnn.oracle.engines.client import connect
from manualnn.oracle.textbook.engine import Textbook

BUGS = {}


def bug(name, *recipes, base=Textbook, **methods):
    """Add a wrong engine: a subclass with other methods."""
    BUGS[name] = type(base.__name__, (base,), methods), recipes


class InPlace(Textbook):
    """Uses the case's own arrays, and writes its results over them where a bug says so."""

    overwrites = ()

    def load(self, case):
        super().load(case)
        if case.dtype == self.kind:
            self.x = case.x

    def forward(self, x):
        ys = [x]
        for layer in self.layers:
            y = self.equation(layer)(layer, ys[-1])
            if layer.type in self.overwrites:
                ys[-1][...] = y
                y = ys[-1]
            ys.append(y)
        return ys


for layer in ("ReLU", "LeakyReLU", "Dropout", "Tanh", "Softplus", "LogSoftmax"):
    bug(f"{layer} overwrites its input", "memory", base=InPlace, overwrites=(layer,))


class SharedResults(Textbook):
    """Returns an array of the case, or one array twice, where `share` says so."""

    def step(self, case):
        result = dict(super().step(case))
        return self.share(case, result) or result

    def share(self, case, result):
        raise NotImplementedError


def unchanged_params(e, case, result):
    if case.optimizer and case.optimizer["lr"] == 0:
        return {**result, "params": case.params}
    return None


def state_of_case(name):
    def share(e, case, result):
        state = result.get("state", {})
        if case.state and name in state and case.optimizer["lr"] == 0:
            group = {k: np.asarray(v) for k, v in case.state[name].items()}
            for key, array in group.items():
                array[...] = state[name][key]
            return {**result, "state": {**state, name: group}}
        return None

    return share


def first_gradient_as_state(name):
    def share(e, case, result):
        state = result.get("state", {})
        if name in state and not case.state and case.steps == 1:
            same = all(np.array_equal(state[name][k], result["grads"][k]) for k in result["grads"])
            return {**result, "state": {**state, name: result["grads"]}} if same else None
        return None

    return share


bug("returns the case's parameters at lr 0", "memory", base=SharedResults, share=unchanged_params)
bug(
    "the first momentum is the gradient's array",
    "memory",
    base=SharedResults,
    share=first_gradient_as_state("momentum_buffer"),
)
for array in ("momentum_buffer", "square_avg", "sum", "exp_avg"):
    bug(f"updates {array} in place", "memory", base=SharedResults, share=state_of_case(array))


# Labels, targets and options


def one_hot_of_classes(e, o, y, t):
    if o.ignore_index == -100:
        return np.eye(y.shape[1], dtype=y.dtype)[t]
    return Textbook.one_hot(e, o, y, t)


def one_hot_of_all(e, o, y, t):
    q = np.eye(y.shape[1], dtype=y.dtype)[t]
    q[~e.counts(o, t)] = 0
    return q


bug("fails at the label -100", "loss.CrossEntropyLoss.ignore_index", one_hot=one_hot_of_classes)
bug("fails at an ignored label", "loss.CrossEntropyLoss.ignore_index", one_hot=one_hot_of_all)
bug(
    "ignores no label of a class",
    "loss.CrossEntropyLoss.ignore_index",
    counts=lambda e, o, t: (t != o.ignore_index) | (t > 2),
)
bug(
    "a zero weight is none",
    "loss.CrossEntropyLoss.weight",
    class_weight=lambda e, o, y: np.where(
        (w := Textbook.class_weight(e, o, y)) == 0, w.dtype.type(1), w
    ),
)
bug(
    "smoothing ignores the weights of other classes than the target's if a label is ignored",
    "loss.CrossEntropyLoss.ignore_index",
    smoothed=lambda e, o, q: (
        q if not q.any(axis=1).all() and o.weight is not None else Textbook.smoothed(e, o, q)
    ),
)


def default_for_zero(option, default):
    """Return a method that takes a default in place of 0, as `x or default` does."""

    def load(e, case):
        Textbook.load(e, case)
        for spec in (*e.layers, e.loss, *([e.rule] if e.rule else [])):
            if not getattr(spec, option, True):
                setattr(spec, option, default)

    return load


bug("lr 0 is the default", "rates", load=default_for_zero("lr", 0.01))
bug(
    "no negative_slope is the default",
    "layer.LeakyReLU*",
    load=default_for_zero("negative_slope", 0.01),
)
bug(
    "no weight_decay is AdamW's default",
    "optimizer.AdamW*",
    load=default_for_zero("weight_decay", 0.01),
)
bug("no beta is the default", "loss.SmoothL1Loss*", load=default_for_zero("beta", 1.0))


# Kinks, switches and ends of the formulas


bug(
    "the slope follows from the output's sign",
    "layer.LeakyReLU.negative_slope",
    leaky_relu_slope=lambda e, o, z, a: np.where(a > 0, 1, o.negative_slope).astype(z.dtype),
)
bug(
    "the largest of z and its share",
    "layer.LeakyReLU.negative_slope",
    leaky_relu=lambda e, o, z: np.where(o.negative_slope < 0, abs(z), Textbook.leaky_relu(e, o, z)),
)
for zero in (0.0, -0.0):
    for name, method in (("ReLU", "relu_slope"), ("LeakyReLU", "leaky_relu_slope")):

        def slope(e, o, z, a, zero=zero, method=method):
            at = (z == 0) & (np.signbit(z) == np.signbit(zero))
            return np.where(at, z.dtype.type(1), getattr(Textbook, method)(e, o, z, a))

        bug(f"{name} has slope 1 at {zero}", f"layer.{name}*", **{method: slope})


def switched(factor):
    def slope(e, o, z, a):
        s = Textbook.softplus_slope(e, o, z, a)
        return np.where(factor(o) * z > o.threshold, z.dtype.type(1.001), s)

    return slope


bug("wrong beyond the threshold", "layer.Softplus", softplus_slope=switched(lambda o: o.beta))
bug(
    "the threshold lacks beta",
    "layer.Softplus.threshold",
    softplus=lambda e, o, z: np.where(z > o.threshold, z, Textbook.softplus(e, o, z)),
)
bug(
    "wrong beyond delta on the negative side",
    "loss.HuberLoss.*",
    huber_slopes=lambda e, o, y, t: np.maximum(Textbook.huber_slopes(e, o, y, t), y - t),
)
bug(
    "one unit in the last place",
    "lattice",
    slope=lambda e, o, y, t: np.nextafter(s := Textbook.slope(e, o, y, t), 2 * s),
)
for name, clean in {
    "infinity is a large number": np.nan_to_num,
    "NaN and infinity are 0": lambda a: np.nan_to_num(a, nan=0, posinf=0, neginf=0),
    "numbers are clipped at the largest": lambda a: np.clip(
        a, -np.finfo(a.dtype).max, np.finfo(a.dtype).max
    ),
}.items():
    bug(
        f"{name}, in the loss",
        "overflow",
        value=lambda e, o, y, t, clean=clean: clean(np.asarray(Textbook.value(e, o, y, t))),
    )
    bug(
        f"{name}, in gradients",
        "overflow",
        linear_dW=lambda e, o, x, dz, clean=clean: clean(Textbook.linear_dW(e, o, x, dz)),
    )
    bug(
        f"{name}, in outputs",
        "overflow",
        linear=lambda e, o, x, clean=clean: clean(Textbook.linear(e, o, x)),
    )


for name, line in {
    "clipped at 30": {"sigma": lambda e, v: 1 / (1 + np.exp(-np.clip(v, -30, 30)))},
    "NaN as 0": {"sigma": lambda e, v: np.nan_to_num((q := np.exp(v)) / (1 + q))},
}.items():
    bug(f"a sigmoid of numbers {name}", "layer.Sigmoid", **line)
bug(
    "a softmax that overflows, with NaN as 0",
    "layer.Softmax",
    softmax=lambda e, o, z: np.nan_to_num((q := np.exp(z)) / q.sum(axis=1, keepdims=True)),
)
bug(
    "probabilities clipped at 1e-7",
    "loss.BCELoss.*",
    bce_terms=lambda e, o, y, t: Textbook.bce_terms(e, o, np.clip(y, 1e-7, 1 - 1e-7), t),
)


# Sizes and updates


bug(
    "a batch of one is no batch",
    "loss.MSELoss.*",
    linear_db=lambda e, o, dz: np.zeros_like(dz[0]) if len(dz) == 1 else dz.sum(axis=0),
)
bug(
    "one maximum of the whole batch",
    "empty",
    softmax=lambda e, o, z: (q := np.exp(z - z.max())) / q.sum(axis=1, keepdims=True),
)
bug(
    "the sum starts at 0.1 or nothing",
    "optimizer.Adagrad.initial_accumulator_value",
    first=lambda e, o, p, name: np.minimum(Textbook.first(e, o, p, name), p.dtype.type(0.1)),
)
bug(
    "the maximum is not kept",
    "optimizer.Adam.amsgrad",
    adam_maximum=lambda e, o, old, v, t: v,
)
bug(
    "the rate decays one step early",
    "optimizer.Adagrad.lr_decay",
    adagrad_rate=lambda e, o, t: o.lr / (1 + t * o.lr_decay) if t > 1 else o.lr,
)
bug(
    "a late step is the hundredth",
    "optimizer.Adam",
    adam_correction2=lambda e, o, t: 1 - o.betas[1] ** min(t, 100),
)
bug(
    "Nesterov's gradient lacks the decay",
    "optimizer.SGD.nesterov",
    sgd_direction=lambda e, o, g, b: (
        b if o.nesterov and o.weight_decay else Textbook.sgd_direction(e, o, g, b)
    ),
)


# State beyond the instance


class ByShape(Textbook):
    """Keeps the gradients of every shape in a dictionary of the class."""

    known: dict = {}  # noqa: RUF012 - that is the bug

    def linear_dW(self, o, x, dz):
        return self.known.setdefault((o.i, x.shape, dz.shape), super().linear_dW(o, x, dz)).copy()


class OneCounter(Textbook):
    """Counts the updates of all calls, in the class."""

    count = [0]  # noqa: RUF012 - that is the bug

    def updated(self, o, key, p, g, s):
        self.count[0] += 1
        return np.asarray(self.apply_rule(o, p, g, s, self.count[0]))


class OneBuffer(Textbook):
    """Starts the arrays of an optimizer where the last call with that shape has left them."""

    kept: dict = {}  # noqa: RUF012 - that is the bug

    def first(self, o, p, name):
        return self.kept.get((name, p.shape), super().first(o, p, name)).copy()

    def update(self, rule):
        super().update(rule)
        for name, group in self.state.items():
            self.kept |= {(name, a.shape): a.copy() for a in group.values()}


for kept in (ByShape, OneCounter, OneBuffer):
    # A fresh instance shares the class's memory. Then only the numbers show it.
    bug(kept.__doc__, "history", "plain", "options", "square", base=kept)


def found(engine, patterns, seed):
    """Return the first finding at a corner of these recipes."""
    with connect(engine) as bench:
        claims = bench.capabilities
        number = len(claims.dtypes)
        recipes = [r for r in recipes_for(claims) if any(fnmatchcase(r.name, p) for p in patterns)]
        assert recipes
        for recipe in recipes:
            for i in range(number * len(recipe.corners) or 10):
                one = dataclasses.replace(claims, dtypes=(claims.dtypes[i % number],))
                rng = np.random.default_rng([seed, *recipe.key(i)])
                case = recipe.draw(rng, one, Size(), "", i // number)
                for judgement in recipe.judgements if case else ():
                    if JUDGEMENTS[judgement].needs(claims):
                        finding = rejudge(bench, f"{recipe.name}:{judgement}", case)
                        if finding:
                            return finding
    return None


@pytest.mark.parametrize("name", share(BUGS, 4))
def test_a_bug_is_found_at_a_corner(name):
    engine, recipes = BUGS[name]
    assert found(engine, recipes, turn() % 10), "the recipe does not visit its corner"
