"""The formula of every layer, loss and update rule, as SymPy's expressions.

The formulas of elementwise layers, of losses that are sums of terms, and of update rules are those
of the oracle's table of features. The others are written here. Nothing calls the engine. A layer,
loss or rule of the engine that has no formula makes the suite fail.

A statement holds for all real numbers. Where a formula has branches, the proof goes case by case:
`values` names one point of each branch, the conditions are decided at that point, and what is left
is proved for every point that lies on the same sides of them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from functools import partial
from itertools import combinations, product, takewhile
from math import sqrt
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray
from sympy.core.relational import Relational
from toys import own_fields

from manualnn import (
    GLU,
    LAYERS,
    LOSSES,
    OPTIMIZERS,
    SGD,
    AlphaDropout,
    BatchNorm1d,
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Dropout,
    GroupNorm,
    LayerNorm,
    Linear,
    LogSoftmax,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    NLLLoss,
    PReLU,
    Residual,
    RMSNorm,
    RReLU,
    Softmax,
    Softmin,
    SpecError,
)
from manualnn.oracle.protocol.features import LAYER_ROWS, LOSS_ROWS, Options
from manualnn.oracle.protocol.optimizers import UpdateRules
from manualnn.oracle.protocol.rows import Feature

Array = NDArray[Any]
R = sp.Rational
IGNORED = -7

lr, momentum, dampening, decay, eps = sp.symbols("α μ d λ ε", positive=True)
margin = sp.Symbol("Δ", positive=True)
MARGIN_VALUES = tuple((y, 0) for y in (R(1, 16), R(9), R(-9), R(1, 2), R(-1, 16)))
weights = sp.symbols("w:3", positive=True)
pos_weights = sp.symbols("p:3", positive=True)

WITNESS: dict[sp.Symbol, sp.Rational] = {
    lr: R(1, 16),
    momentum: R(3, 4),
    dampening: R(1, 4),
    decay: R(1, 8),
    eps: R(1, 64),
    margin: R(3, 4),
    **dict(zip(weights, (R(1, 2), R(3), R(5, 4)), strict=True)),
    **dict(zip(pos_weights, (R(2), R(1, 4), R(7, 2)), strict=True)),
}
"""One number for each option; dyadic, so that every float type holds it exactly."""


def option_symbol(row: Feature, name: str) -> Any:
    """Return a symbol for an option of a layer or loss, and give it a witness: a dyadic number.

    The symbol is positive, but negative where the default is: −1 < 1 is then known of bounds.
    """
    default, other = row.options[name].values[:2]
    symbol = sp.Symbol(f"{row.name}_{name}", negative=default < 0, positive=default >= 0)
    WITNESS[symbol] = R(default) if default < 0 else max(R(round(8 * other), 8), R(1, 8))
    return symbol


def symbolic_options(row: Feature) -> dict[str, Any]:
    """Return a symbol for every option of a layer or loss that is a float."""
    return {
        name: option_symbol(row, name)
        for name, option in row.options.items()
        if isinstance(option.default, float) or option.is_chosen
    }


class Symbols:
    """The arithmetic of the table of features, on SymPy's expressions."""

    exp, log, sqrt, tanh = map(staticmethod, (sp.exp, sp.log, sp.sqrt, sp.tanh))
    number = staticmethod(lambda v: sp.Rational(v) if isinstance(v, float) else sp.sympify(v))
    expm1 = staticmethod(lambda z: sp.exp(z) - 1)
    log1p = staticmethod(lambda z: sp.log(1 + z))
    sigmoid = staticmethod(lambda z: 1 / (1 + sp.exp(-z)))
    softplus = staticmethod(lambda z: sp.log(1 + sp.exp(z)))
    normal_cdf = staticmethod(lambda z: sp.erfc(-z / sp.sqrt(2)) / 2)
    normal_pdf = staticmethod(lambda z: sp.exp(-z * z / 2) / sp.sqrt(2 * sp.pi))
    where = staticmethod(lambda condition, yes, no: sp.Piecewise((yes, condition), (no, True)))


def names(prefix: str, *shape: int, **assumptions: bool) -> Array:
    """Return an array of symbols such as x_0_1; real unless something else is assumed."""
    array = np.empty(shape, object)
    for index in np.ndindex(*shape):
        name = "_".join([prefix, *map(str, index)])
        array[index] = sp.Symbol(name, **({"real": True} | assumptions))
    return array


def of_rows(function: Callable[[Any, list[Any]], Any]) -> Callable[..., Array]:
    """State a layer by its entry in a row, given the row."""
    return lambda _, z: np.array([[function(e, list(row)) for e in row] for row in z], object)


@dataclass(frozen=True)
class LayerStatement:
    layer: Any
    formula: Callable[..., Array]
    """From the layer's arrays and its input z to its output."""
    values: tuple[Any, ...] = (R(3, 2), R(-1, 4), R(-2))
    """One point of each branch."""
    kinks: dict[Any, Any] = field(default_factory=dict)
    """Where it has no derivative: the slope that torch uses there."""


def affine(arrays: dict[str, Array], x: Array) -> Array:
    W, b = arrays["weight"], arrays.get("bias")
    return np.array(
        [
            [
                sum(x[n, i] * W[j, i] for i in range(W.shape[1])) + (0 if b is None else b[j])
                for j in range(W.shape[0])
            ]
            for n in range(len(x))
        ],
        object,
    )


def masked(arrays: dict[str, Array], z: Array) -> Array:
    return np.array(
        [
            [m * e for m, e in zip(*rows, strict=True)]
            for rows in zip(arrays["mask"], z, strict=True)
        ],
        object,
    )


def added(arrays: dict[str, Array], z: Array) -> Array:
    """State a Residual of two Linear layers."""
    layers = [{k[2:]: a for k, a in arrays.items() if k.startswith(f"{i}.")} for i in (0, 1)]
    return z + affine(layers[1], affine(layers[0], z))


def gated(_: dict[str, Array], z: Array) -> Array:
    u, v = np.split(z, 2, axis=1)
    return np.asarray(np.frompyfunc(lambda a, b: a / (1 + sp.exp(-b)), 2, 1)(u, v))


def alpha_masked(arrays: dict[str, Array], z: Array) -> Array:
    """State AlphaDropout(0.25) with its constants as floats, rounded in the order of torch."""
    alpha = 1.7580993408473766
    c = 1 / sqrt((alpha * alpha * 0.25 + 1) * 0.75)
    shift = (arrays["mask"] - 1) * (alpha * c) + alpha * c * 0.25
    return np.asarray(arrays["mask"] * z * c + shift)


def rectified(name: str) -> Callable[..., Array]:
    """State a rectifier whose slope below 0 is the array of that name."""

    def formula(arrays: dict[str, Array], z: Array) -> Array:
        def entry(e: Any, s: Any) -> Any:
            return sp.Piecewise((e, e > 0), (s * e, True))

        return np.asarray(np.frompyfunc(entry, 2, 1)(z, arrays[name]))

    return formula


def with_texts(row: Feature) -> Iterator[dict[str, Any]]:
    """Yield a symbol for every option that is a float, with every choice of the others' texts."""
    texts = {n: o.values for n, o in row.options.items() if isinstance(o.default, str)}
    for chosen in product(*texts.values()):
        yield {**symbolic_options(row), **dict(zip(texts, chosen, strict=True))}


def elementwise_statements() -> Iterator[LayerStatement]:
    """State every layer whose row has a formula, with a symbol for each option."""
    for name, row in LAYER_ROWS.items():
        for options in with_texts(row) if row.statement is not None else ():
            entry = partial(row.statement.value, Symbols, Options(type=name, **options))
            kinks = kinks_of(entry)
            beside = [R(k.subs(WITNESS)) + d for k in kinks if k != 0 for d in (R(-1, 2), R(1, 2))]
            yield LayerStatement(
                LAYERS[name](**options),
                lambda _, z, entry=entry: np.frompyfunc(entry, 1, 1)(z),
                values=(R(3, 2), R(-1, 4), R(-2), *beside),
                kinks=kinks,
            )


def kinks_of(entry: Callable[[Any], Any]) -> dict[Any, Any]:
    """Return where a formula changes from one branch to another, and its slope there.

    The slope is that of the branch that holds at the point itself.
    """
    z = sp.Symbol("z", real=True)
    formula = sp.sympify(entry(z))
    borders = [c.lhs - c.rhs for c in formula.atoms(Relational)]
    borders += [a.args[0] for a in formula.atoms(sp.Abs)]
    points = {point for border in borders for point in sp.solve(border, z)}
    return {point: sp.diff(formula, z).subs(z, point) for point in points}


def normalized(layer: Any, arrays: dict[str, Array], x: Array) -> Array:
    """State x̂ W + b, where x̂ are the entries over the root of the mean square of each group."""
    k = x.shape[1] // getattr(layer, "num_groups", 1)
    y = np.empty(x.shape, object)
    for n, i in np.ndindex(*x.shape):
        group = list(x[n, i // k * k :][:k])
        mean = 0 if isinstance(layer, RMSNorm) else sum(group) / sp.Integer(k)
        square = sum((other - mean) ** 2 for other in group) / sp.Integer(k)
        factor = arrays["weight"][i] if "weight" in arrays else 1
        summand = arrays["bias"][i] if "bias" in arrays else 0
        y[n, i] = factor * (x[n, i] - mean) / sp.sqrt(square + layer.eps) + summand
    return y


def normalizations() -> Iterator[LayerStatement]:
    """State the layers that normalise, with parameters and without, and with a symbol for ε."""
    small = option_symbol(LAYER_ROWS["LayerNorm"], "eps")
    for layer in (
        LayerNorm(3, small),
        LayerNorm(2, small, bias=False),
        LayerNorm(2, small, elementwise_affine=False),
        RMSNorm(3, small),
        RMSNorm(2, small, elementwise_affine=False),
        GroupNorm(2, 4, small),
        GroupNorm(1, 2, small, affine=False),
    ):
        yield LayerStatement(layer, partial(normalized, layer))


def batch_normalized(layer: Any, arrays: dict[str, Array], x: Array) -> Array:
    """State x̂ W + b of columns, by running averages or by the mean square of each column."""
    y = np.empty(x.shape, object)
    for n, i in np.ndindex(*x.shape):
        column = list(x[:, i])
        mean = sum(column) / sp.Integer(len(column))
        square = sum((other - mean) ** 2 for other in column) / sp.Integer(len(column))
        if "running_mean" in arrays:
            mean, square = arrays["running_mean"][i], arrays["running_var"][i]
        factor = arrays["weight"][i] if "weight" in arrays else 1
        summand = arrays["bias"][i] if "bias" in arrays else 0
        y[n, i] = factor * (x[n, i] - mean) / sp.sqrt(square + layer.eps) + summand
    return y


def batch_normalizations() -> Iterator[LayerStatement]:
    """State BatchNorm1d in prediction, and without running averages, which is as in training."""
    small = option_symbol(LAYER_ROWS["BatchNorm1d"], "eps")
    for layer in (
        BatchNorm1d(2, small),
        BatchNorm1d(2, small, track_running_stats=False),
        BatchNorm1d(2, small, affine=False, track_running_stats=False),
    ):
        yield LayerStatement(layer, partial(batch_normalized, layer))


LAYER_STATEMENTS = (
    LayerStatement(Linear(3, 2), affine),
    LayerStatement(Linear(2, 3, bias=False), affine),
    LayerStatement(Linear(2, 2), affine),
    *elementwise_statements(),
    LayerStatement(Softmax(), of_rows(lambda z, row: 1 / sum(sp.exp(other - z) for other in row))),
    LayerStatement(Softmin(), of_rows(lambda z, row: 1 / sum(sp.exp(z - other) for other in row))),
    LayerStatement(
        LogSoftmax(), of_rows(lambda z, row: -sp.log(sum(sp.exp(other - z) for other in row)))
    ),
    LayerStatement(Dropout(0.5), masked),
    LayerStatement(Residual((Linear(3, 2), Linear(2, 3, bias=False))), added),
    LayerStatement(GLU(), gated),
    LayerStatement(AlphaDropout(0.25), alpha_masked),
    LayerStatement(PReLU(), rectified("weight"), kinks={R(0): names("weight", 1)[0]}),
    LayerStatement(PReLU(3), rectified("weight"), kinks={R(0): names("weight", 3)[0]}),
    LayerStatement(RReLU(), rectified("slope"), kinks={R(0): names("slope", 1, 1)[0, 0]}),
    *normalizations(),
    *batch_normalizations(),
)


@dataclass(frozen=True)
class LossStatement:
    loss: Any
    terms: Callable[[Array, Array], list[Any]]
    """From outputs y and targets t to what is added up, before the reduction."""
    divisor: Callable[[Array, Array], Any] = lambda y, _: y.size
    """The divisor of reduction="mean"."""
    values: tuple[tuple[Any, Any], ...] = ((R(1, 3), R(3, 4)), (R(7, 8), R(1, 4)))
    """(y, t): one point of each branch."""
    target: str = "values"
    """"values": t is like y; "indices": an index for each sample; "classes": one is ignored;
    "labels": a list of indices for each sample."""

    def formula(self, y: Array, t: Array) -> Any:
        """Return L."""
        by = {"mean": self.divisor(y, t), "batchmean": len(y), "sum": 1}[self.loss.reduction]
        factor = self.loss.factor
        return sum(self.terms(y, t)) / by * (R(factor) if isinstance(factor, float) else factor)


def of_pairs(function: Callable[[Any, Any], Any]) -> Callable[[Array, Array], list[Any]]:
    """State a loss by its term for one output and its target."""
    return lambda y, t: [function(*pair) for pair in zip(y.flat, t.flat, strict=True)]


def of_columns(function: Callable[[Any, Any, int], Any]) -> Callable[[Array, Array], list[Any]]:
    """State a loss by its term for one output, its target and its column."""
    return lambda y, t: [function(y[i], t[i], i[1]) for i in np.ndindex(*y.shape)]


def bounded_log(p: Any) -> Any:
    return sp.Piecewise((sp.log(p), sp.log(p) > -100), (-100, True))


def cross_entropy_of_logit(y: Any, t: Any, pos_weight: Any = 1) -> Any:
    return -pos_weight * t * sp.log(1 / (1 + sp.exp(-y))) - (1 - t) * sp.log(1 / (1 + sp.exp(y)))


def cross_entropy(w: Any, smoothing: Any) -> Callable[[Array, Array], list[Any]]:
    """State −Σₖ w[k] q[k] log softmax(y)[k] of every sample that counts."""

    def terms(y: Array, t: Array) -> list[Any]:
        classes = y.shape[1]
        found = []
        for row, wanted in zip(y, t, strict=True):
            if t.ndim == 1 and wanted == IGNORED:
                continue
            for k in range(classes):
                q = int(wanted == k) if t.ndim == 1 else wanted[k]
                q = (1 - smoothing) * q + smoothing / classes
                log_p = row[k] - sp.log(sum(sp.exp(other) for other in row))
                found.append(-w[k] * q * log_p)
        return found

    return terms


def counted_weight(w: Any) -> Callable[[Array, Array], Any]:
    """State the mean's divisor: the weights of the classes that were asked for."""
    return lambda y, t: sum(w[k] for k in t if k != IGNORED) if t.ndim == 1 else len(y)


def _cross_entropies() -> list[LossStatement]:
    found = []
    for reduction in ("mean", "sum", "batchmean"):
        for w in (None, weights):
            for smoothing in (0, R(1, 4)):
                for target in ("classes", "values"):
                    loss = CrossEntropyLoss(reduction, w, IGNORED, smoothing)
                    terms = cross_entropy(w or (1, 1, 1), smoothing)
                    divisor = counted_weight(w or (1, 1, 1))
                    found.append(LossStatement(loss, terms, divisor, target=target))
    return found


def _likelihoods() -> list[LossStatement]:
    found = []
    for w in (None, weights):
        each = w or (1, 1, 1)

        def terms(y: Array, t: Array, each: Any = each) -> list[Any]:
            return [-each[k] * row[k] for row, k in zip(y, t, strict=True) if k != IGNORED]

        loss = NLLLoss(weight=w, ignore_index=IGNORED)
        found += _each_reduction(loss, terms, divisor=counted_weight(each), target="classes")
    return found


def _multi_margins() -> list[LossStatement]:
    found = []
    for w, power in product((None, weights), (1, 2)):
        each = w or (1, 1, 1)

        def terms(y: Array, t: Array, each: Any = each, power: int = power) -> list[Any]:
            gaps = [
                (margin - row[own] + row[k], each[own])
                for row, own in zip(y, t, strict=True)
                for k in range(len(row))
                if k != own
            ]
            size = y.shape[1]
            return [w * sp.Piecewise((gap, gap > 0), (0, True)) ** power / size for gap, w in gaps]

        loss = MultiMarginLoss(weight=w, p=power, margin=margin)
        more = {"divisor": lambda y, _: len(y), "target": "indices", "values": MARGIN_VALUES}
        found += _each_reduction(loss, terms, **more)
    return found


def _multi_label_margins() -> list[LossStatement]:
    def terms(y: Array, t: Array) -> list[Any]:
        found = []
        for row, listed in zip(y, t, strict=True):
            labels = list(takewhile(lambda k: k >= 0, listed))
            gaps = [1 - row[j] + row[k] for j in labels for k in range(len(row)) if k not in labels]
            found += [sp.Piecewise((gap, gap > 0), (0, True)) / len(row) for gap in gaps]
        return found

    more = {"divisor": lambda y, _: len(y), "target": "labels", "values": MARGIN_VALUES}
    return _each_reduction(MultiLabelMarginLoss(), terms, **more)


def _each_reduction(loss: Any, terms: Any, **more: Any) -> list[LossStatement]:
    return [
        LossStatement(replace(loss, reduction=reduction), terms, **more)
        for reduction in ("mean", "sum", "batchmean")
    ]


def summed_statements() -> Iterator[LossStatement]:
    """State every loss whose row has a formula, with a symbol or 0 for each option.

    The errors y − t are small and large, of both signs, and targets are also 0, so that each branch
    is reached. Each option that is a bool is also True.
    """
    errors = (R(1, 16), R(-1, 16), R(4), R(-4))
    values = (
        *LossStatement.values,
        *((R(1, 5) + e, R(1, 5)) for e in errors),
        (R(1, 5), R(0)),
        (R(1, 5), R(3)),
    )
    signed = tuple((y, R(sign)) for y in (R(1, 16), R(-1, 16), R(9), R(-9)) for sign in (1, -1))
    for name, row in LOSS_ROWS.items():
        if row.statement is None:
            continue
        symbolic = symbolic_options(row)
        factor = symbolic.pop("factor")
        others = [{o: 0} for o in symbolic if 0 in row.options[o].values]
        others += [{o: True} for o, default in row.defaults.items() if default is False]
        for other in ({}, *others):
            options = {**symbolic, **other}
            stated = Options(type=name, **{**row.defaults, **options})
            term = partial(row.statement.value, Symbols, stated)
            points = signed if row.targets == "signs" else values
            loss, terms = LOSSES[name](**options), of_pairs(term)
            yield from _each_reduction(loss, terms, values=points)
        yield LossStatement(replace(loss, factor=factor), terms, values=points)


LOSS_STATEMENTS = (
    *summed_statements(),
    *_each_reduction(
        BCELoss(), of_pairs(lambda y, t: -t * bounded_log(y) - (1 - t) * bounded_log(1 - y))
    ),
    *_each_reduction(
        BCELoss(weight=weights),
        of_columns(
            lambda y, t, k: -weights[k] * (t * bounded_log(y) + (1 - t) * bounded_log(1 - y))
        ),
    ),
    *_each_reduction(BCEWithLogitsLoss(), of_pairs(cross_entropy_of_logit)),
    *_each_reduction(
        BCEWithLogitsLoss(weight=weights),
        of_columns(lambda y, t, k: weights[k] * cross_entropy_of_logit(y, t)),
    ),
    *_each_reduction(
        BCEWithLogitsLoss(weight=weights, pos_weight=pos_weights),
        of_columns(lambda y, t, k: weights[k] * cross_entropy_of_logit(y, t, pos_weights[k])),
    ),
    *_each_reduction(
        MultiLabelSoftMarginLoss(weight=weights),
        of_columns(lambda y, t, k: weights[k] * cross_entropy_of_logit(y, t) / len(weights)),
        divisor=lambda y, _: len(y),
    ),
    *_cross_entropies(),
    *_likelihoods(),
    *_multi_margins(),
    *_multi_label_margins(),
)


class SymbolicRules(UpdateRules):
    """The oracle's statement of the update rules, for one entry of each array as a symbol."""

    def num(self, value: Any) -> Any:
        return value

    def sqrt(self, v: Any) -> Any:
        return sp.sqrt(v)

    def larger(self, a: Any, b: Any) -> Any:
        return sp.Piecewise((a, a > b), (b, True))

    def sign_of(self, v: Any) -> Any:
        return sp.Piecewise((1, v > 0), (-1, v < 0), (0, True))

    def nadam_warmth(self, o: Any, t: int) -> Any:
        """Return 0.96^(t ψ) without rounding."""
        return R(24, 25) ** (t * o.momentum_decay)

    def rmsprop_variance(self, o: Any, v: Any, m: Any) -> Any:
        """Return v − m², but 0 where rounding makes it negative: here torch gives NaN."""
        return self.larger(super().rmsprop_variance(o, v, m), 0)


def oracles_options(rule: Any) -> Options:
    """Return the options of an update rule as the oracle's statements take them."""
    return Options(type=type(rule).__name__, **vars(rule))


RULE_OPTIONS: dict[str, Any] = {
    "lr": lr,
    "momentum": momentum,
    "dampening": dampening,
    "weight_decay": decay,
    "eps": eps,
    "alpha": R(3, 4),
    "rho": R(3, 4),
    "lambd": R(1, 4),
    "t0": R(2),
    "etas": (R(1, 2), R(5, 4)),
    "step_sizes": (R(1, 4), R(3, 8)),
    "momentum_decay": R(2),
    "betas": (R(3, 4), R(7, 8)),
    "lr_decay": R(1, 4),
    "initial_accumulator_value": R(1, 2),
}
"""The value of each option that is not a bool; a rule with another option needs a line here."""


def examples_of(kind: Any) -> Iterator[Any]:
    """Yield the rule without the options that may be 0 or False, with each, and with all of them.

    Where options exclude each other, yield the largest sets of options that the rule accepts.
    """
    values = {f.name: RULE_OPTIONS.get(f.name, f.default) for f in own_fields(kind)}
    if unknown := [
        name for name, v in values.items() if v is not False and name not in RULE_OPTIONS
    ]:
        raise LookupError(
            f"tests/proofs.py has no value of {unknown[0]!r}; add it to RULE_OPTIONS."
        )
    off = {f.name: f.default for f in own_fields(kind) if not f.default} | {"weight_decay": 0}
    off = {name: value for name, value in off.items() if name in values}

    def example(names: tuple[str, ...]) -> Any:
        on = {name: True if off[name] is False else values[name] for name in names}
        try:
            return kind(**{**values, **off, **on})
        except SpecError:
            return None

    yield example(())
    for name in off:
        alone = example((name,))
        pairs = (example(pair) for pair in combinations(off, 2) if name in pair)
        yield alone or next(pair for pair in pairs if pair)
    for size in range(len(off), 1, -1):
        if largest := [e for names in combinations(off, size) if (e := example(names))]:
            yield from largest
            return


RULE_EXAMPLES = (
    *(example for kind in OPTIMIZERS.values() for example in examples_of(kind)),
    SGD(lr, momentum=momentum, dampening=dampening),
)


def with_numbers(description: Any, number: Callable[[Fraction], Any] = float) -> Any:
    """Return a layer, loss or rule with the witness's number for each symbolic option."""

    def numeric(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(numeric, value))
        if not isinstance(value, sp.Expr):
            return value
        value = value.subs(WITNESS)
        return number(Fraction(value.p, value.q))

    changed = {f.name: numeric(getattr(description, f.name)) for f in fields(description)}
    return type(description)(**changed)
