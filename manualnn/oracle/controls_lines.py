"""Lines of mathematics computed in another right way, for the engines in `controls`.

LINES["sigmoid-by-tanh"]     (title, {method of Plain: what takes its place})
"""

import math
from typing import Any

import numpy as np

from manualnn.oracle.protocol.case import Array
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Plain


def _by_reciprocal(e: Plain, o: Options, y: Array, t: Array) -> tuple[Any, Array]:
    D = e.divisor(o, y, t)
    whole = Options(**{**vars(o), "reduction": "sum"})
    share = 1 / np.asarray(D, e.kind)
    return Plain.value(e, whole, y, t) * share, np.asarray(Plain.slope(e, whole, y, t) * share)


def _mean_of_means(e: Plain, o: Options, y: Array, t: Array) -> Any:
    if o.type == "CrossEntropyLoss" or o.reduction != "mean":
        return Plain.value(e, o, y, t)
    whole = Options(**{**vars(o), "reduction": "sum"})
    rows = [Plain.value(e, whole, y[n : n + 1], t[n : n + 1]) for n in range(len(y))]
    return np.sum(np.array(rows, e.kind) / y.shape[1]) / len(y)


def _norm_squared(e: Plain, o: Options, y: Array, t: Array) -> Any:
    if o.type != "MSELoss":
        return Plain.value(e, o, y, t)
    return np.sqrt(e.total((y - t) * (y - t))) ** 2 / e.value_divisor(o, y, t)


def _running_mean(e: Plain, o: Options, y: Array, t: Array) -> Any:
    if o.type != "MSELoss" or o.reduction != "mean" or not y.size:
        return Plain.value(e, o, y, t)
    mean = e.num(0)
    for n, term in enumerate(np.square(y - t).ravel(), 1):
        mean = mean + (term - mean) / e.kind.type(n)
    return mean


def _by_threes(e: Plain, o: Options, y: Array, t: Array) -> list[tuple[Array, Array, Any]]:
    """Return micro-batches, each with its share of all samples."""
    weighted = getattr(o, "weight", None) is not None  # maybe sample by sample
    if weighted or o.type == "CrossEntropyLoss" or o.reduction != "mean" or not y.size:
        return [(y, t, e.kind.type(1))]
    parts = [slice(n, n + 3) for n in range(0, len(y), 3)]
    return [(y[p], t[p], e.kind.type(len(y[p])) / e.kind.type(len(y))) for p in parts]


def _float64_softmax(e: Plain, o: Options, z: Array) -> Array:
    return Plain.softmax(e, o, z.astype(np.float64)).astype(e.kind)


def _huber_slopes(e: Plain, o: Options, y: Array, t: Array) -> Array:
    delta = e.array(o.delta)
    return np.sign(y - t) * (delta + (np.minimum(np.abs(y - t), delta) - delta))


def _huber_terms(e: Plain, o: Options, y: Array, t: Array) -> Array:
    error, delta = np.abs(y - t), e.array(o.delta)
    q = np.minimum(error, delta)
    return q * q / 2 + delta * (error - q)


def _textbook(e: Plain, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
    if o.momentum or not o.weight_decay:
        return Plain.sgd(e, o, p, g, s, t)
    lr = e.num(o.lr)
    return p * (1 - lr * e.num(o.weight_decay)) - lr * e.uphill(o, g)


def _rate_first(e: Plain, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
    s["exp_avg"] = m = e.adam_mean(o, s["exp_avg"], g, t)
    s["exp_avg_sq"] = v = e.adam_square(o, s["exp_avg_sq"], g, t)
    if o.amsgrad:
        s["max_exp_avg_sq"] = v = e.adam_maximum(o, s["max_exp_avg_sq"], v, t)
    root = np.sqrt(v) / e.adam_correction2(o, t) ** 0.5 + e.num(o.eps)
    return p - e.num(o.lr) / e.adam_correction1(o, t) * m / root


def _one_rate(e: Plain, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
    s["exp_avg"] = m = e.adam_mean(o, s["exp_avg"], g, t)
    s["exp_avg_sq"] = v = e.adam_square(o, s["exp_avg_sq"], g, t)
    if o.amsgrad:
        s["max_exp_avg_sq"] = v = e.adam_maximum(o, s["max_exp_avg_sq"], v, t)
    root = math.sqrt(e.adam_correction2(o, t))
    rate = e.num(o.lr) * root / e.adam_correction1(o, t)
    return p - rate * m / (np.sqrt(v) + e.num(o.eps) * root)


def _update_at_once(e: Plain, rule: Options) -> None:
    keys = list(e.params)
    if not keys:
        return

    def flat(arrays: dict[str, Array]) -> Array:
        return np.concatenate([arrays[key].ravel() for key in keys])

    def apart(vector: Array) -> dict[str, Array]:
        ends = np.cumsum([e.params[key].size for key in keys])[:-1]
        parts = zip(keys, np.split(vector, ends), strict=True)
        return {key: part.reshape(e.params[key].shape) for key, part in parts}

    s = {name: flat(group) for name, group in e.state.items()}
    p = e.updated(rule, "", flat(e.params), flat(e.grads), s)
    e.params, e.state = apart(p), {name: apart(a) for name, a in s.items()}


LINES: dict[str, tuple[str, dict[str, Any]]] = {
    "options-rounded": (
        "Options are rounded to the dtype before anything is computed of them.",
        {"num": lambda e, value: e.kind.type(value)},
    ),
    "sigmoid-by-tanh": (
        "The sigmoid is ½ (1 + tanh(z/2)): right to the last digit of 1.",
        {"sigmoid": lambda e, o, z: (1 + np.tanh(z / 2)) / 2},
    ),
    "sigmoid-plain": (
        "The sigmoid is 1 / (1 + exp(−z)), which overflows to the right limit.",
        {"sigmoid": lambda e, o, z: 1 / (1 + np.exp(-z))},
    ),
    "softmax-by-logarithm": (
        "The softmax is the exponential of the log-softmax.",
        {"softmax": lambda e, o, z: np.exp(e.log_shares(z))},
    ),
    "softmax-in-float64": (
        "The softmax is computed in float64 and rounded.",
        {"softmax": _float64_softmax},
    ),
    "logarithms-of-sums": (
        "Softplus and log-softmax are logaddexp's.",
        {
            "softplus_of": lambda e, v: np.logaddexp(np.zeros_like(v), v),
            "log_shares": lambda e, v: v - np.logaddexp.reduce(v, axis=1, keepdims=True),
        },
    ),
    "slopes-otherwise": (
        "Slopes are multiplied out: da a − da a², da − da a², a da − a Σ da a.",
        {
            "sigmoid_slope": lambda e, o, z, a: a - a * a,
            "tanh_backward": lambda e, o, z, a, da: da - da * (a * a),
            "softmax_backward": lambda e, o, z, a, da: (
                a * da - a * e.total(da * a, axis=1, keepdims=True)
            ),
        },
    ),
    "huber-by-parts": (
        "Huber's term is ½q² + δ(|e| − q), q = min(|e|, δ), and differentiated like that.",
        {"huber_terms": _huber_terms, "huber_slopes": _huber_slopes},
    ),
    "mean-by-reciprocal": (
        "The mean multiplies by 1/D, computed beforehand.",
        {
            "value": lambda e, o, y, t: _by_reciprocal(e, o, y, t)[0],
            "slope": lambda e, o, y, t: _by_reciprocal(e, o, y, t)[1],
        },
    ),
    "mean-of-means": (
        "The loss is the mean over samples of the mean over outputs.",
        {"value": _mean_of_means},
    ),
    "loss-by-norm": (
        "The squared error is the square of a norm: ‖y − t‖² / D.",
        {"value": _norm_squared},
    ),
    "loss-running-mean": (
        "The mean is carried along, m + (q − m) / n (Welford 1962).",
        {"value": _running_mean},
    ),
    "micro-batches": (
        "A batch is taken three samples at a time, each mean with its share of the samples.",
        {
            "value": lambda e, o, y, t: sum(
                share * Plain.value(e, o, *part) for *part, share in _by_threes(e, o, y, t)
            ),
            "slope": lambda e, o, y, t: np.concatenate(
                [share * Plain.slope(e, o, *part) for *part, share in _by_threes(e, o, y, t)]
            ),
        },
    ),
    "moments-by-interpolation": (
        "Moving averages are written m + (1 − β) (g − m).",
        {
            "adam_mean": lambda e, o, m, g, t: m + (1 - e.num(o.betas[0])) * (g - m),
            "rmsprop_mean": lambda e, o, m, g: m + (1 - e.num(o.alpha)) * (g - m),
        },
    ),
    "updates-by-addition": (
        "The update is p + (−lr) d.",
        {"moved": lambda e, o, p, d, lr: p + (-lr) * d},
    ),
    "textbook-decay": (
        "Weights decay by a factor, as textbooks have it: (1 − lr λ) p − lr g.",
        {"sgd": _textbook},
    ),
    "rate-first": (
        "Adaptive steps multiply by the rate before they divide: p − lr m / (√v + ε).",
        {"adam_step": _rate_first},
    ),
    "one-rate": (
        "Adam's corrections are one factor of the rate (Kingma & Ba 2015, section 2), and of ε.",
        {"adam_step": _one_rate},
    ),
    "one-vector": (
        "All parameters are updated as one vector.",
        {"update": _update_at_once},
    ),
}
