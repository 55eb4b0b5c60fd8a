"""Cases of the property tests: networks, batches, losses and update rules, drawn at random.

Hypothesis draws the structure, `values` the numbers in it. Everything in LAYERS, LOSSES and
OPTIMIZERS is drawn. The values of an option come from OPTIONS, or from its row in the oracle's
table of features, or from its type.

    networks  layers  losses_for  rules  batches      the parts
    cases                                             a whole training run
    lattice_cases                                     one in which no operation rounds
"""

from dataclasses import MISSING, Field, dataclass, fields, replace
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from toys import AROUND
from values import LAYOUTS, SEEDS, STYLES, Array, Strategy, arrays, targets_for

from manualnn import (
    LAYERS,
    LOSSES,
    MATRIX_RULES,
    OPTIMIZERS,
    Dropout,
    Layer,
    Linear,
    Loss,
    Optimizer,
    Parameters,
    Residual,
    Sequential,
    Sigmoid,
)
from manualnn.oracle.protocol import features
from manualnn.oracle.protocol.features import LOSS_ROWS, names_with, row_of
from manualnn.spec import to_spec

DTYPES = st.sampled_from([np.dtype(np.float32), np.dtype(np.float64)])
DEPTHS = st.integers(0, 5)
WIDTHS = st.one_of(st.integers(1, 9), st.sampled_from([16, 17, 31, 32, 33]))
BATCH_SIZES = st.sampled_from([1, 2, 3, 7, 8, 9, 63, 64, 65, 255, 256, 257])
STEPS = st.sampled_from([1, 2, 3, 7, 13])

OPTIONS: dict[str, Strategy] = {
    "LeakyReLU.negative_slope": st.sampled_from([0.01, 0.3, 0.0, 1.0, 2.5, -0.5]),
    "Softplus.beta": st.sampled_from([1.0, 0.3, 3.0, 20.0]),
    "Softplus.threshold": st.sampled_from([20.0, 1.0, 5.0]),
    "Softmax.dim": st.sampled_from([-1, 1]),
    "LogSoftmax.dim": st.sampled_from([-1, 1]),
    "LayerNorm.eps": st.sampled_from([1e-5, 1e-3, 0.5]),
    "RMSNorm.eps": st.sampled_from([None, 1e-5, 0.5]),
    "BatchNorm1d.eps": st.sampled_from([1e-5, 1e-3, 0.5]),
    "BatchNorm1d.momentum": st.sampled_from([0.1, None, 0.5, 1.0, 0.0]),
    "GroupNorm.eps": st.sampled_from([1e-5, 1e-3, 0.5]),
    "Dropout.p": st.sampled_from([0.5, 0.1, 0.9, 0.0, 1.0]),
    "HuberLoss.delta": st.sampled_from([1.0, 0.1, 7.0]),
    "CrossEntropyLoss.ignore_index": st.sampled_from([-100, -1, 0, 1]),
    "CrossEntropyLoss.label_smoothing": st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    "factor": st.sampled_from([1.0, 1.0, 1.0, 0.5, 0.1]),
    "reduction": st.sampled_from(["mean", "sum", "batchmean"]),
    "lr": st.sampled_from([0.02, 0.1, 1 / 3, 1.0, 7.3, 1e-9, 0.0]),
    "weight_decay": st.sampled_from([0.0, 0.1, 1e-4]),
    "momentum": st.sampled_from([0.0, 0.5, 0.9, 0.999]),
    "dampening": st.sampled_from([0.0, 0.3, 1.0]),
    "ns_coefficients": st.sampled_from([(3.4445, -4.775, 2.0315), (1.5, -0.5, 0.0)]),
    "eps": st.sampled_from([1e-8, 1e-2, 1e-5]),
    "RMSprop.alpha": st.sampled_from([0.99, 0.5, 0.0]),
    "Adagrad.lr_decay": st.sampled_from([0.0, 0.1, 3.0]),
    "Adagrad.initial_accumulator_value": st.sampled_from([0.0, 0.1]),
    "betas": st.sampled_from([(0.9, 0.999), (0.5, 0.7), (0.0, 0.9), (0.9, 0.0), (0.999, 0.9999)]),
}

NEEDS_PROBABILITIES = names_with("losses", "takes_probabilities")
GIVES_PROBABILITIES = ("Sigmoid", "Softmax")
KEEPS_WIDTH = tuple(
    name for name, kind in LAYERS.items() if "out_features" not in {f.name for f in fields(kind)}
)


@dataclass(frozen=True)
class Case:
    """A training run, complete: the same case gives the same numbers."""

    net: Sequential
    params: Parameters
    x: Array
    t: Array
    loss: Loss
    rule: Optimizer
    steps: int = 1
    noise_seed: int | None = None
    """Of what is random in training; None to run the network as in prediction."""

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.params.dtype

    def noise(self, step: int = 0) -> dict[str, Array] | None:
        """Return what is random in a step, as `Sequential.value_and_grad` takes it."""
        if self.noise_seed is None:
            return None
        return dict(self.net.sample(np.random.default_rng([self.noise_seed, step]), self.x))

    def explained(self) -> "Case":
        """Return the case as `explain` takes it: a layer that normalises batches predicts."""
        mixes = [a.refuses(1, is_training=True) for a in self.net.layers]
        assume(not any(a.refuses(1, is_training=False) for a in self.net.layers))
        return replace(self, noise_seed=None) if any(mixes) else self

    def spec(self) -> dict[str, Any]:
        """Return the JSON form of the run."""
        return {
            **self.net.spec(),
            "loss": to_spec(self.loss),
            "optimizer": to_spec(self.rule),
            "dtype": str(self.dtype),
        }


def _option(kind: str, field: Field[Any]) -> Strategy:
    drawn = OPTIONS.get(f"{kind}.{field.name}", OPTIONS.get(field.name))
    if drawn is not None:
        return drawn
    if field.name in AROUND:
        return st.just(field.default)
    if (option := row_of(kind).options.get(field.name)) and option.others:
        return st.sampled_from(option.values)
    if field.default is MISSING:
        message = f"no values to draw for {kind}.{field.name}; add a line to OPTIONS."
        raise KeyError(message)
    return st.booleans() if field.type is bool else st.just(field.default)


@st.composite
def options_of(draw: st.DrawFn, kind: type[Any], known: dict[str, Any]) -> Any:
    """Draw a layer, loss or rule of a kind; `known` are values for its options, where it has them.

    A value may itself be a strategy.
    """
    options = {}
    for field in fields(kind):
        value = known[field.name] if field.name in known else _option(kind.__name__, field)
        options[field.name] = draw(value) if isinstance(value, st.SearchStrategy) else value
    if options.get("nesterov"):  # which needs momentum and no dampening
        options["nesterov"] = options["momentum"] > 0 and not options.get("dampening")
    return kind(**options)


def chains(width: int) -> list[tuple[Layer, ...]]:
    """Return chains of layers with as many outputs as inputs."""
    inner = Residual((Linear(width, width, bias=False),))
    return [
        (Linear(width, width), Sigmoid()),
        (Dropout(0.5), Linear(width, width + 1), Linear(width + 1, width)),
        (inner, Linear(width, width)),
    ]


def layers(
    in_features: int,
    out_features: int | None = None,
    names: tuple[str, ...] = tuple(LAYERS),
    options: dict[str, Any] | None = None,
) -> Strategy:
    """Draw a layer for that many inputs, and that many outputs where it may choose."""
    known = {
        "in_features": in_features,
        "out_features": out_features or in_features,
        "num_features": in_features,
        "layers": st.sampled_from(chains(in_features)),
        "num_parameters": st.sampled_from([1, in_features]),
        "num_channels": in_features,
        "num_groups": st.sampled_from([g for g in range(1, 5) if in_features % g == 0]),
        "normalized_shape": in_features,
        **(options or {}),
    }
    return st.sampled_from(names).flatmap(lambda name: options_of(LAYERS[name], known))


@st.composite
def networks(
    draw: st.DrawFn,
    width: int,
    *,
    depth: st.SearchStrategy[int] = DEPTHS,
    widths: st.SearchStrategy[int] = WIDTHS,
    names: tuple[str, ...] = KEEPS_WIDTH,
    last: tuple[str, ...] = (),
    options: dict[str, Any] | None = None,
) -> tuple[Sequential, int]:
    """Draw a network for inputs of that width, and return it with the width of its output.

    It has `depth` Linear layers, none to two layers called one of `names` after each, and at the
    end one of `last`, where given.
    """
    drawn: list[Layer] = []
    others = st.integers(0, 2)

    multiple = max(row_of(name).multiple for name in names) if len(names) == 1 else 1

    def add(some: tuple[str, ...], out: int) -> int:
        """Add one of the layers that such a width admits, and return the width after it."""
        fitting = tuple(name for name in some if not width % row_of(name).multiple)
        if not fitting:
            return width
        drawn.append(draw(layers(width, out, fitting, options)))
        return int(drawn[-1].width(width))

    for _ in range(draw(depth)):
        width = add(("Linear",), multiple * draw(st.one_of(widths, st.just(width))))
        for _ in range(draw(others)):
            width = add(names, width)
    if last:
        width = add(last, width)
    return Sequential(*drawn), width


def losses_for(
    width: int, names: tuple[str, ...] = tuple(LOSSES), options: dict[str, Any] | None = None
) -> Strategy:
    """Draw a loss for outputs of that width."""
    factor = st.sampled_from([1.0, 0.3, 2.5, 0.0])
    factors = st.lists(factor, min_size=width, max_size=width).map(tuple)
    weights = st.one_of(st.none(), factors.filter(any))
    known = {"weight": weights, "pos_weight": weights, **(options or {})}
    return st.sampled_from(names).flatmap(lambda name: options_of(LOSSES[name], known))


def rules(
    names: tuple[str, ...] = tuple(OPTIMIZERS), options: dict[str, Any] | None = None
) -> Strategy:
    """Draw an update rule whose step has a bound.

    A centered RMSprop with alpha=0 has none: v − m² is 0, and torch's root of its rounding is NaN.
    """
    known = OPTIMIZERS | MATRIX_RULES
    drawn = st.sampled_from(names).flatmap(lambda name: options_of(known[name], options or {}))
    return drawn.filter(
        lambda rule: getattr(rule, "alpha", 1) or not getattr(rule, "centered", False)
    )


@st.composite
def parameters(draw: st.DrawFn, net: Sequential, dtype: np.dtype[Any]) -> Parameters:
    """Draw parameters, most often of a size that neither blows a signal up nor lets it vanish."""
    params = Parameters(net.shapes, dtype=dtype)
    styles = ("normal", "normal", "integers", "sparse", "columns")
    params.vector[...] = draw(arrays(params.vector.shape, dtype, styles))
    gain = draw(st.sampled_from([1.0, 0.3, 4.0]))
    for key, view in params.items():
        if view.ndim == 2 and key.endswith("weight"):
            np.multiply(view, gain / np.sqrt(view.shape[1]), out=view)
    rng = np.random.default_rng(draw(SEEDS))
    params.buffers = {
        f"{i}.{buffer.name}": np.asarray(
            buffer.draw(rng, buffer.shape(o, net.widths(net.in_features or 1)[i])),
            np.int64 if buffer.is_count else dtype,
        )
        for i, layer in enumerate(net.layers)
        for o in [features.options_of(to_spec(layer))]
        for buffer in row_of(o.type).buffers(o)  # type: ignore[attr-defined]
    }
    return params


def is_defined(loss: Loss, y: Array, t: Array) -> bool:
    """Return True if the loss is defined: a mean over classes divides by the counted weights."""
    return t.ndim == 2 or loss.reduction != "mean" or loss.divisor(y, t) > 0


@st.composite
def batches(
    draw: st.DrawFn,
    loss: Loss,
    n: int,
    in_features: int,
    out_features: int,
    *,
    dtype: np.dtype[Any],
    styles: tuple[str, ...] = tuple(STYLES),
) -> tuple[Array, Array]:
    """Draw n inputs and targets, each in some memory layout."""
    layouts = st.sampled_from(list(LAYOUTS.values()))
    x = draw(layouts)(draw(arrays((n, in_features), dtype, styles)))
    t = draw(layouts)(draw(targets_for(loss, (n, out_features), dtype)))
    assume(is_defined(loss, np.zeros((n, out_features), dtype), t))
    return x, t


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    dtypes: st.SearchStrategy[np.dtype[Any]] = DTYPES,
    sizes: st.SearchStrategy[int] = BATCH_SIZES,
    widths: st.SearchStrategy[int] = WIDTHS,
    depth: st.SearchStrategy[int] = DEPTHS,
    steps: st.SearchStrategy[int] = STEPS,
    layer_names: tuple[str, ...] = KEEPS_WIDTH,
    loss_names: tuple[str, ...] = tuple(LOSSES),
    rule_names: tuple[str, ...] = tuple(OPTIMIZERS),
    styles: tuple[str, ...] = tuple(STYLES),
    options: dict[str, Any] | None = None,
) -> Case:
    """Draw a training run of anything that there is; every argument narrows it.

    `options` are values, or strategies, for the options of that name, in place of OPTIONS.
    """
    dtype = draw(dtypes)
    n = draw(sizes)
    width = draw(st.one_of(widths, st.just(min(n, 33))))
    loss_name = draw(st.sampled_from(loss_names))
    limits = LOSS_ROWS[loss_name].takes_probabilities_with
    closes = loss_name in NEEDS_PROBABILITIES or (limits and draw(st.booleans()))
    last = GIVES_PROBABILITIES if closes else ()
    net, out = draw(
        networks(width, depth=depth, widths=widths, names=layer_names, last=last, options=options)
    )
    loss = draw(losses_for(out, (loss_name,), options))
    if limits and not closes:
        loss = replace(loss, **{name: LOSS_ROWS[loss_name].defaults[name] for name in limits})
    rule = draw(rules(rule_names, options))
    x, t = draw(batches(loss, n, width, out, dtype=dtype, styles=styles))
    params = draw(parameters(net, dtype))
    noise_seed = draw(st.one_of(st.none(), SEEDS))
    refused = [
        any(a.refuses(n, is_training=trains) for a in net.layers) for trains in (True, False)
    ]
    assume(not refused[noise_seed is None])
    return Case(net, params, x, t, loss, rule, draw(steps), noise_seed)


POWERS = st.sampled_from([1, 2, 4])
RULE_ALONE: dict[str, Any] = {"l1": 0.0, "l2": 0.0, "clip_value": None, "max_norm": None}
"""Options of a rule without penalties and clipping."""


@st.composite
def lattice_cases(
    draw: st.DrawFn,
    dtypes: st.SearchStrategy[np.dtype[Any]] = DTYPES,
    *,
    layer_names: tuple[str, ...] = tuple(n for n in KEEPS_WIDTH if row_of(n).is_exact),
    loss_names: tuple[str, ...] = tuple(n for n in LOSSES if row_of(n).is_exact),
) -> Case:
    """Draw one step in which no operation rounds, in any order: two correct engines are equal.

    All numbers are small integers or multiples of a small power of two. The longest sums are those
    of the gradients: |x| ≤ 2, |W| ≤ 1, and at most two layers 4 wide and 8 samples keep them at 16
    significant bits, of which float32 has 24.
    """
    dtype = draw(dtypes)
    n, width = draw(st.sampled_from([1, 2, 4, 8])), draw(POWERS)
    options = {
        "factor": st.sampled_from([1.0, 0.5]),
        "negative_slope": 0.5,
        "p": st.sampled_from([0.0, 0.5, 1.0]),
        "delta": st.sampled_from([0.5, 1.0, 2.0]),
        "beta": st.sampled_from([0.5, 1.0, 2.0]),
        "lambd": st.sampled_from([0.5, 1.0]),
        "min_val": st.sampled_from([-1.0, -0.5]),
        "max_val": st.sampled_from([1.0, 0.5]),
        "lr": st.sampled_from([0.0, 0.25, 0.5, 1.0]),
        "momentum": st.sampled_from([0.0, 0.5]),
        "dampening": st.sampled_from([0.0, 0.5]),
        "weight_decay": st.sampled_from([0.0, 0.5]),
        **RULE_ALONE,
    }
    net, out = draw(
        networks(width, depth=st.integers(1, 2), widths=POWERS, names=layer_names, options=options)
    )
    loss = draw(losses_for(out, loss_names, options))
    rng = np.random.default_rng(draw(SEEDS))
    params = Parameters(net.shapes, dtype=dtype)
    params.vector[...] = rng.integers(-1, 2, params.vector.shape)
    x = rng.integers(-2, 3, (n, width)).astype(dtype)
    t = rng.integers(-2, 3, (n, out)).astype(dtype)
    noise_seed = draw(st.one_of(st.none(), SEEDS))
    return Case(net, params, x, t, loss, draw(rules(("SGD",), options)), 1, noise_seed)
