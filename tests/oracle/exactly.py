"""A training step in 200 digits, written from the formulas alone and without a backward pass.

    step(case)      {"loss": …, "grads.0.weight": …, "params.0.weight": …, …} as arrays of mpmath

Gradients are central differences of the loss with h = 1e-60, wrong by h² L‴/6: 120 digits are left.
"""

from functools import partial
from itertools import product

import mpmath
import numpy as np

from manualnn.oracle.protocol.features import (
    LAYER_ROWS,
    LOSS_ROWS,
    Options,
    buffer_of,
    options_of,
    state_of,
)
from manualnn.oracle.protocol.optimizers import UpdateRules
from manualnn.oracle.protocol.rows import MissingEntryError

EXACT = mpmath.MPContext()
EXACT.dps = 200
H = EXACT.mpf(10) ** -60
number = np.frompyfunc(lambda a: EXACT.mpf(float(a)), 1, 1)
exp, log = np.frompyfunc(EXACT.exp, 1, 1), np.frompyfunc(EXACT.log, 1, 1)


def exactly(values):
    """Return an array's own numbers, of a longdouble both halves."""
    values = np.asarray(values)
    with np.errstate(over="ignore", invalid="ignore"):
        high = values.astype(np.float64)
        low = (values - high.astype(values.dtype)).astype(np.float64)
        return np.asarray(number(high) + number(low), object)


class Numbers:
    """The arithmetic of statements, on single numbers of 200 digits."""

    exp, expm1, log, log1p, sqrt, tanh, number = map(
        staticmethod,
        (EXACT.exp, EXACT.expm1, EXACT.log, EXACT.log1p, EXACT.sqrt, EXACT.tanh, EXACT.mpf),
    )
    normal_cdf, normal_pdf = staticmethod(EXACT.ncdf), staticmethod(EXACT.npdf)
    sigmoid = staticmethod(lambda z: 1 / (1 + EXACT.exp(-z)))
    softplus = staticmethod(lambda z: EXACT.log(1 + EXACT.exp(z)))
    where = staticmethod(lambda condition, yes, no: yes if condition else no)


def step(case):
    params = {key: exactly(array) for key, array in case.params.items()}
    optimizer = case.optimizer and options_of(case.optimizer)
    state = {"step": 0}
    if optimizer is not None:
        for array in state_of(optimizer):
            state[array.name] = {
                key: number(
                    np.full(np.shape(a), array.initial_value(RULES.options_for(optimizer, key)))
                )
                for key, a in case.learned.items()
            }
    if case.state is not None:
        state = {
            name: group if name == "step" else {k: exactly(a) for k, a in group.items()}
            for name, group in case.state.items()
        }
    x = exactly(case.x)
    for _ in range(case.steps):
        outputs, loss = evaluate(case, params, x)
        grads = {key: derivative(case, params, x, params[key]) for key in case.learned}
        input_grad = derivative(case, params, x, x)
        moved = tracked(case, params, x) if case.noise is not None else {}
        if optimizer is not None:
            state["step"] += 1
            for key, g in RULES.gradients_of_step(optimizer, params, grads).items():
                own = {name: state[name][key] for name in state if name != "step"}
                o = RULES.options_for(optimizer, key)
                params[key] = RULES.apply_rule(o, params[key], g, own, state["step"])
                for name, array in own.items():
                    state[name][key] = array
        params |= moved
    found = {"outputs": outputs, "loss": loss, "input_grad": input_grad}
    found |= {f"grads.{key}": array for key, array in grads.items()}
    found |= {f"params.{key}": array for key, array in params.items()}
    for name in state:
        if name != "step":
            found |= {f"state.{name}.{key}": array for key, array in state[name].items()}
    return {name: np.asarray(array, object) for name, array in found.items()}


def derivative(case, params, x, array):
    """Return ∂L/∂array, which is one of the parameters or x, and is as before in the end."""
    found = np.empty(array.shape, object)
    for at in np.ndindex(array.shape):
        here = array[at]
        array[at] = here + H
        above = evaluate(case, params, x)[1]
        array[at] = here - H
        below = evaluate(case, params, x)[1]
        array[at] = here
        found[at] = (above - below) / (2 * H)
    return found


def evaluate(case, params, x):
    noise = {key: exactly(array) for key, array in (case.noise or {}).items()}
    layers = [with_eps(layer, case.dtype) for layer in case.layers]
    if case.noise is not None:  # buffers are for prediction
        params = {key: a for key, a in params.items() if buffer_of(key) is None}
    x = forward(layers, params | noise, x)
    loss, t = options_of(case.loss), np.asarray(case.t)
    value = loss_of(loss, x, t)
    if case.sample_weights is not None:
        value = weighted(loss, x, t, exactly(case.sample_weights))
    return x, value * number(loss.factor)


def loss_of(loss, y, t):
    if loss.type in LOSSES:
        return LOSSES[loss.type](loss, y, t)
    statement = statement_of(LOSS_ROWS, loss.type)
    return reduced(loss, entry_by_entry(statement, loss, y, exactly(t)))


def weighted(loss, y, t, weights):
    """Return Σ wₙ lₙ / D: the losses of single samples, added, and what each adds to D."""
    total = divisor = EXACT.zero
    for i, w in enumerate(weights):
        own = Options(**{**vars(loss), "reduction": "sum"})
        if np.ndim(getattr(loss, "weight", None)) == 2:
            own.weight = np.asarray(loss.weight)[i : i + 1]
        total += w * loss_of(own, y[i : i + 1], t[i : i + 1])
        divisor += w * part_of_divisor(loss, y.shape[1], t[i])
    return total if loss.reduction == "sum" else total / divisor


def part_of_divisor(loss, width, target):
    """Return what a sample adds to the divisor of a mean."""
    row = LOSS_ROWS[loss.type]
    if loss.reduction == "batchmean":
        return 1
    if row.has_mean_of_weights and np.ndim(target) == 0:
        is_ignored = target == loss.ignore_index
        return 0 if is_ignored else weight_of(loss.weight, np.full(width, EXACT.one))[target]
    return 1 if row.has_mean_of_weights or row.is_per_sample else width


def forward(layers, arrays, x):
    """Return the outputs of layers, whose parameters and random arrays have the keys of a case."""
    for i, spec in enumerate(layers):
        here = f"{i}."
        own = {key.removeprefix(here): a for key, a in arrays.items() if key.startswith(here)}
        layer = options_of(spec)
        if layer.type in LAYERS:
            x = LAYERS[layer.type](layer, own, x)
        else:
            x = entry_by_entry(statement_of(LAYER_ROWS, layer.type), layer, x)
    return x


def softmax(x):
    return exp(x) / exp(x).sum(axis=1, keepdims=True)


def glu(u, v):
    return u / (1 + exp(-v))


def alpha_dropout(layer, mask, x):
    p, alpha = EXACT.mpf(layer.p), EXACT.mpf(1.7580993408473766)
    if p == 1:
        return 0 * x
    c = 1 / EXACT.sqrt((alpha * alpha * p + 1) * (1 - p))
    return c * (mask * x + alpha * (mask - 1 + p))


def mean_slope(layer):
    return (EXACT.mpf(layer.lower) + EXACT.mpf(layer.upper)) / 2


def with_eps(spec, dtype):
    """Return the description of a layer with the ε that its dtype gives."""
    is_open = spec["type"] == "RMSNorm" and spec.get("eps") is None
    return {**spec, "eps": float(np.finfo(dtype).eps)} if is_open else spec


def normalized(o, own, x):
    """Return x̂ W + b, where every group of entries of x̂ has the mean square 1."""
    groups = x.reshape(-1, x.shape[1] // getattr(o, "num_groups", 1))
    if o.type != "RMSNorm":
        groups = groups - groups.mean(axis=1, keepdims=True)
    square = (groups * groups).mean(axis=1, keepdims=True) + EXACT.mpf(o.eps)
    normal = (groups / np.frompyfunc(EXACT.sqrt, 1, 1)(square)).reshape(x.shape)
    return normal * own.get("weight", 1) + own.get("bias", 0)


def batch_normalized(o, own, x):
    """Return x̂ W + b, where each column is normalised by the batch, or by running averages."""
    mean, variance = own.get("running_mean"), own.get("running_var")
    if mean is None:
        mean = x.sum(axis=0) / len(x)
        variance = ((x - mean) * (x - mean)).sum(axis=0) / len(x)
    root = np.frompyfunc(EXACT.sqrt, 1, 1)(variance + EXACT.mpf(o.eps))
    return (x - mean) / root * own.get("weight", 1) + own.get("bias", 0)


def tracked(case, params, x):
    """Return the buffers after a step of training."""
    found, n = {}, len(x)
    for i, spec in enumerate(case.layers):
        if f"{i}.running_mean" in params:
            learned = {key: a for key, a in params.items() if buffer_of(key) is None}
            noise = {key: exactly(array) for key, array in (case.noise or {}).items()}
            z, o = forward(case.layers[:i], learned | noise, x), options_of(spec)
            mean = z.sum(axis=0) / n
            variance = ((z - mean) * (z - mean)).sum(axis=0) / (n - 1)
            count = params[f"{i}.num_batches_tracked"] + 1
            share = 1 / count if o.momentum is None else EXACT.mpf(o.momentum)
            for name, new in (("running_mean", mean), ("running_var", variance)):
                key = f"{i}.{name}"
                found[key] = params[key] * (1 - share) + new * share
            found[f"{i}.num_batches_tracked"] = count
    return found


LAYERS = {
    "BatchNorm1d": batch_normalized,
    **dict.fromkeys(("LayerNorm", "RMSNorm", "GroupNorm"), normalized),
    "Linear": lambda o, own, x: x @ own["weight"].T + (own["bias"] if o.bias else 0),
    "Dropout": lambda _, own, x: x * own.get("mask", 1),
    "Softmax": lambda _, __, x: softmax(x),
    "Softmin": lambda _, __, x: softmax(-x),
    "LogSoftmax": lambda _, __, x: log(softmax(x)),
    "PReLU": lambda _, own, x: np.where(x > 0, x, own["weight"] * x),
    "Residual": lambda o, own, x: x + forward(o.layers, own, x),
    "GLU": lambda _, __, x: glu(*np.split(x, 2, axis=1)),
    "AlphaDropout": lambda o, own, x: alpha_dropout(o, own["mask"], x) if own else x,
    "RReLU": lambda o, own, x: np.where(x > 0, x, own.get("slope", mean_slope(o)) * x),
}


def entry_by_entry(statement, o, *arrays):
    value = partial(statement.value, Numbers, o)
    return np.frompyfunc(value, len(arrays), 1)(*arrays)


def statement_of(rows, name):
    if rows[name].statement is None:
        raise MissingEntryError(f"tests/oracle/exactly.py has no formula of {name!r}; add it.")
    return rows[name].statement


def reduced(loss, terms):
    total, row = terms.sum(), LOSS_ROWS[loss.type]
    mean = len(terms) if row.is_per_sample else terms.size
    return total / {"mean": mean, "batchmean": len(terms), "sum": 1}[loss.reduction]


def weight_of(values, default=1):
    return default if values is None else number(np.asarray(values))


def cross_entropy(loss, y, t):
    smooth = EXACT.mpf(loss.label_smoothing)
    return likelihood(loss, log(exp(y) / exp(y).sum(axis=1, keepdims=True)), t, smooth)


def likelihood(loss, log_p, t, smooth=EXACT.zero):
    n, classes = log_p.shape
    w = weight_of(loss.weight, np.full(classes, EXACT.one))
    total = divisor = EXACT.zero
    for i in range(n):
        if t.ndim == 1 and t[i] == loss.ignore_index:
            continue
        q = number(t[i]) if t.ndim == 2 else number(np.arange(classes) == t[i])
        q = q * (1 - smooth) + smooth / classes
        total -= (w * q * log_p[i]).sum()
        divisor += w[t[i]] if t.ndim == 1 else 1
    if loss.reduction == "sum":
        return total
    return total / (divisor if loss.reduction == "mean" else n)


def multi_margin(loss, y, t):
    terms = np.full(y.shape, EXACT.zero)
    w = weight_of(loss.weight, np.full(y.shape[1], EXACT.one))
    for i, k in np.ndindex(*y.shape):
        if k != t[i]:
            excess = EXACT.mpf(loss.margin) - y[i, t[i]] + y[i, k]
            terms[i, k] = w[t[i]] * max(EXACT.zero, excess) ** loss.p / y.shape[1]
    return reduced(loss, terms)


def multi_label_margin(loss, y, t):
    terms = np.full(y.shape, EXACT.zero)
    for i, row in enumerate(t.tolist()):
        labels = row[: [*row, -1].index(-1)]
        for own, k in product(labels, range(len(row))):
            if k not in labels:
                terms[i, k] += max(EXACT.zero, 1 - y[i, own] + y[i, k]) / len(row)
    return reduced(loss, terms)


def stopped(y):
    """Return log y, −100 at least, as torch has it."""
    return np.maximum(log(y), -100)


LOSSES = {
    "BCELoss": lambda o, y, t: reduced(
        o,
        -weight_of(o.weight) * (exactly(t) * stopped(y) + (1 - exactly(t)) * stopped(1 - y)),
    ),
    "BCEWithLogitsLoss": lambda o, y, t: reduced(
        o,
        weight_of(o.weight)
        * (
            weight_of(o.pos_weight) * exactly(t) * log(1 + exp(-y))
            + (1 - exactly(t)) * log(1 + exp(y))
        ),
    ),
    "MultiLabelSoftMarginLoss": lambda o, y, t: reduced(
        o,
        weight_of(o.weight)
        * (exactly(t) * log(1 + exp(-y)) + (1 - exactly(t)) * log(1 + exp(y)))
        / y.shape[1],
    ),
    "CrossEntropyLoss": cross_entropy,
    "NLLLoss": likelihood,
    "MultiLabelMarginLoss": multi_label_margin,
    "MultiMarginLoss": multi_margin,
}


class ExactRules(UpdateRules):
    """The update rules in 200 digits."""

    def num(self, value):
        return EXACT.mpf(value)

    def sqrt(self, v):
        return np.frompyfunc(EXACT.sqrt, 1, 1)(v)

    def larger(self, a, b):
        return np.maximum(a, b)

    def sign_of(self, v):
        return np.frompyfunc(EXACT.sign, 1, 1)(v)

    def clamp(self, g, c):
        return np.maximum(np.minimum(g, c), -c)

    def smaller(self, a, b):
        return min(a, b)

    def norm_of(self, arrays):
        return EXACT.sqrt(sum((a * a).sum() for a in arrays))


RULES = ExactRules()
