"""Controls: correct engines of unusual build, which must pass every check.

    CONTROLS["sums-reversed"]              a `Control`: its title and an engine
    CONTROLS[…].engine()                   `Textbook` with some lines computed in another right way

If a build needs wider bounds than usual, its engine claims so in its capabilities, as any engine
has to.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from oracle.rule_orders import INSIDE, ORDERS

from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import LAYER_ROWS, LOSS_ROWS, OPTIMIZER_ROWS, Options
from manualnn.oracle.textbook.engine import Textbook


def _by_reciprocal(e: Textbook, o: Options, y: Array, t: Array) -> tuple[Any, Array]:
    D = e.divisor(o, y, t)
    whole = Options(**{**vars(o), "reduction": "sum"})
    share = 1 / np.asarray(D, e.kind)
    return Textbook.value(e, whole, y, t) * share, np.asarray(
        Textbook.slope(e, whole, y, t) * share
    )


def _mean_of_means(e: Textbook, o: Options, y: Array, t: Array) -> Any:
    row = LOSS_ROWS[o.type]
    weighted = row.has_mean_of_weights or e.weights is not None
    if weighted or row.is_per_sample or o.reduction != "mean":
        return Textbook.value(e, o, y, t)
    whole = Options(**{**vars(o), "reduction": "sum"})
    rows = [Textbook.value(e, whole, y[n : n + 1], t[n : n + 1]) for n in range(len(y))]
    return np.sum(np.array(rows, e.kind) / y.shape[1]) / len(y)


def _norm_squared(e: Textbook, o: Options, y: Array, t: Array) -> Any:
    if o.type != "MSELoss" or e.weights is not None:
        return Textbook.value(e, o, y, t)
    return np.sqrt(e.total((y - t) * (y - t))) ** 2 / e.value_divisor(o, y, t)


def _running_mean(e: Textbook, o: Options, y: Array, t: Array) -> Any:
    weighted = e.weights is not None
    if weighted or o.type != "MSELoss" or o.reduction != "mean" or not y.size:
        return Textbook.value(e, o, y, t)
    mean = e.num(0)
    for n, term in enumerate(np.square(y - t).ravel(), 1):
        mean = mean + (term - mean) / e.kind.type(n)
    return mean


def _by_threes(e: Textbook, o: Options, y: Array, t: Array) -> list[tuple[Array, Array, Any]]:
    """Return micro-batches, each with its share of all samples."""
    weighted = getattr(o, "weight", None) is not None  # maybe sample by sample
    weighted |= LOSS_ROWS[o.type].has_mean_of_weights or e.weights is not None
    if weighted or o.reduction != "mean" or not y.size:
        return [(y, t, e.kind.type(1))]
    parts = [slice(n, n + 3) for n in range(0, len(y), 3)]
    return [(y[p], t[p], e.kind.type(len(y[p])) / e.kind.type(len(y))) for p in parts]


def _float64_softmax(e: Textbook, o: Options, z: Array) -> Array:
    return Textbook.softmax(e, o, z.astype(np.float64)).astype(e.kind)


def _huber_slopes(e: Textbook, o: Options, y: Array, t: Array) -> Array:
    delta = e.array(o.delta)
    return np.sign(y - t) * (delta + (np.minimum(np.abs(y - t), delta) - delta))


def _huber_terms(e: Textbook, o: Options, y: Array, t: Array) -> Array:
    error, delta = np.abs(y - t), e.array(o.delta)
    q = np.minimum(error, delta)
    return q * q / 2 + delta * (error - q)


def _textbook(e: Textbook, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
    if o.momentum or not o.weight_decay:
        return Textbook.sgd(e, o, p, g, s, t)
    lr = e.num(o.lr)
    return p * (1 - lr * e.num(o.weight_decay)) - lr * e.uphill(o, g)


def _rate_first(e: Textbook, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
    s["exp_avg"] = m = e.adam_mean(o, s["exp_avg"], g, t)
    s["exp_avg_sq"] = v = e.adam_square(o, s["exp_avg_sq"], g, t)
    if o.amsgrad:
        s["max_exp_avg_sq"] = v = e.adam_maximum(o, s["max_exp_avg_sq"], v, t)
    root = np.sqrt(v) / e.adam_correction2(o, t) ** 0.5 + e.num(o.eps)
    return p - e.num(o.lr) / e.adam_correction1(o, t) * m / root


def _one_rate(e: Textbook, o: Options, p: Array, g: Array, s: dict[str, Array], t: int) -> Array:
    s["exp_avg"] = m = e.adam_mean(o, s["exp_avg"], g, t)
    s["exp_avg_sq"] = v = e.adam_square(o, s["exp_avg_sq"], g, t)
    if o.amsgrad:
        s["max_exp_avg_sq"] = v = e.adam_maximum(o, s["max_exp_avg_sq"], v, t)
    root = math.sqrt(e.adam_correction2(o, t))
    rate = e.num(o.lr) * root / e.adam_correction1(o, t)
    return p - rate * m / (np.sqrt(v) + e.num(o.eps) * root)


def _scaled_mask(e: Textbook, o: Options) -> Array | None:
    mask = Textbook.mask(e, o)
    if mask is None or o.p == 1:
        return mask
    return np.asarray((mask != 0) / (e.array(1) - e.array(o.p)))


def _update_at_once(e: Textbook, rule: Options) -> None:
    keys = list(e.learned())
    if not keys or not OPTIMIZER_ROWS[rule.type].is_entrywise:
        Textbook.update(e, rule)
        return

    def flat(arrays: dict[str, Array]) -> Array:
        return np.concatenate([arrays[key].ravel() for key in keys])

    def apart(vector: Array) -> dict[str, Array]:
        ends = np.cumsum([e.params[key].size for key in keys])[:-1]
        parts = zip(keys, np.split(vector, ends), strict=True)
        return {key: part.reshape(e.params[key].shape) for key, part in parts}

    s = {name: flat(group) for name, group in e.state.items()}
    p = e.updated(rule, "", flat(e.params), flat(e.grads), s)
    e.params, e.state = {**e.params, **apart(p)}, {name: apart(a) for name, a in s.items()}


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
                share * Textbook.value(e, o, *part) for *part, share in _by_threes(e, o, y, t)
            ),
            "slope": lambda e, o, y, t: np.concatenate(
                [share * Textbook.slope(e, o, *part) for *part, share in _by_threes(e, o, y, t)]
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
    "masks-scaled-itself": (
        "A mask says only which numbers are kept; the factor is 1 / (1 − p), by the layer's own p.",
        {"mask": _scaled_mask},
    ),
    "one-vector": (
        "All parameters are updated as one vector.",
        {"update": _update_at_once},
    ),
}


@dataclass(frozen=True)
class Control:
    """A right engine."""

    id: str
    title: str
    engine: Callable[..., Textbook]


CONTROLS: dict[str, Control] = {}


def control(
    name: str, title: str, *, base: type[Textbook] = Textbook, claims: Any = (), **lines: Any
) -> None:
    """Enter a right engine, `Textbook` with these lines and these further claims."""
    if claims:
        lines["capabilities"] = lambda e: {**base.capabilities(e), **dict(claims)}
    title_case = "".join(word.capitalize() for word in name.split("-"))
    CONTROLS[name] = Control(name, title, type(title_case, (base,), lines))


def _one_by_one(terms: Array) -> Any:
    """Add rows one after another."""
    total = np.zeros_like(terms[0]) if len(terms) else np.zeros(terms.shape[1:], terms.dtype)
    for term in terms:
        total = total + term
    return total


def _kahan(terms: Array) -> Any:
    total = lost = np.zeros(terms.shape[1:], terms.dtype)
    for term in terms:
        corrected = term - lost
        after = total + corrected
        lost = np.where(np.isfinite(after), (after - total) - corrected, 0)
        total = after
    return total


def _pairwise(terms: Array) -> Any:
    if len(terms) < 2:
        return _one_by_one(terms)
    middle = len(terms) // 2
    return _pairwise(terms[:middle]) + _pairwise(terms[middle:])


def _shuffled(terms: Array) -> Any:
    return _one_by_one(terms[np.random.default_rng(len(terms)).permutation(len(terms))])


def _exactly(terms: Array) -> Any:
    columns = terms.reshape(len(terms), math.prod(terms.shape[1:])).T
    return np.array([_fsum(c) for c in columns], terms.dtype).reshape(terms.shape[1:])


def _fsum(numbers: Array) -> float:
    try:
        return math.fsum(numbers)
    except (OverflowError, ValueError):  # beyond the largest number, or inf − inf
        return float(np.sum(numbers))


class SumsTerms(Textbook):
    """Every sum, of products or otherwise, is one of explicit terms by `add`."""

    add: Callable[[Array], Any]

    def matmul(self, a: Array, b: Array) -> Array:
        terms = a.T[:, :, None] * b[:, None, :]
        return np.asarray(self.add(terms), self.kind)

    def total(self, a: Array, axis: int | None = None, *, keepdims: bool = False) -> Any:
        terms = a.ravel() if axis is None else np.moveaxis(a, axis, 0)
        total = np.asarray(self.add(terms), self.kind)
        if keepdims:
            return np.expand_dims(total, tuple(range(a.ndim)) if axis is None else axis)
        return total if total.ndim else total[()]


for name, title, add in (
    ("sums-reversed", "Sums run from the last term to the first.", lambda v: _one_by_one(v[::-1])),
    ("sums-one-by-one", "Sums run from the first term to the last.", _one_by_one),
    ("sums-shuffled", "Sums run in an order drawn at random.", _shuffled),
    ("sums-pairwise", "Sums halve their terms recursively.", _pairwise),
    ("sums-kahan", "Sums carry the error of every addition along (Kahan 1965).", _kahan),
    ("sums-exact", "Sums of products are rounded once (math.fsum).", _exactly),
):
    control(name, title, base=SumsTerms, add=staticmethod(add))

control(
    "transposed",
    "Products are the transposes of the transposes' products.",
    matmul=lambda e, a, b: np.ascontiguousarray((b.T @ a.T).T),
)
control(
    "einsum",
    "Products are written with einsum.",
    matmul=lambda e, a, b: np.einsum("ij,jk->ik", a, b),
)
control(
    "fortran-weights",
    "Arrays are stored column by column.",
    matmul=lambda e, a, b: np.asfortranarray(a) @ np.asfortranarray(b),
)


class InputsFirst(Textbook):
    """Weights are (in, out), as Keras and JAX have them."""

    def weight(self, o: Options) -> Array:
        return super().weight(o).T

    def linear_dW(self, o: Options, x: Array, dz: Array) -> Array:
        return self.matmul(x.T, dz)


control(
    "weights-in-out",
    "Weights are stored as (in, out), and the engine says so.",
    base=InputsFirst,
    claims={"weight_layout": "in,out"},
)


class OneSampleAtATime(Textbook):
    """Loops over samples, and adds up what each contributes."""

    def linear(self, o: Options, x: Array) -> Array:
        rows = [super(OneSampleAtATime, self).linear(o, row[None]) for row in x]
        return np.concatenate(rows) if rows else super().linear(o, x)

    def linear_dW(self, o: Options, x: Array, dz: Array) -> Array:
        total = np.zeros_like(self.weight(o))
        for row, drow in zip(x, dz, strict=True):
            total += np.outer(drow, row)
        return total

    def linear_db(self, o: Options, dz: Array) -> Array:
        total = np.zeros(o.out_features, self.kind)
        for row in dz:
            total += row
        return total


control("samples-one-by-one", "A loop over samples adds up gradients.", base=OneSampleAtATime)


class ShardsOfTwo(Textbook):
    """Gradients of shards of two samples are added, as over several devices."""

    def linear_dW(self, o: Options, x: Array, dz: Array) -> Array:
        total = np.zeros_like(self.weight(o))
        for n in range(0, len(x), 2):
            total += self.matmul(dz[n : n + 2].T, x[n : n + 2])
        return total


control("shards", "Gradients of shards of the batch are added.", base=ShardsOfTwo)


def _wide(dtype: Any) -> Any:
    return np.longdouble if dtype == np.float64 else np.float64


control(
    "fused-products",
    "Products are accumulated in more digits and rounded once, as fused operations do.",
    matmul=lambda e, a, b: (a.astype(_wide(e.kind)) @ b.astype(_wide(e.kind))).astype(e.kind),
)


class WideInside(Textbook):
    """Computes in a wider dtype throughout, and rounds what it returns."""

    wide: Any

    def load(self, case: Case) -> None:
        self.dtype = np.dtype(self.wide)
        super().load(case)

    def result(self, value: Any, dx: Array) -> dict[str, Any]:
        dtype = np.dtype(self.case.dtype)

        def rounded(v: Any) -> Any:
            if isinstance(v, dict):
                return {k: a if k == "step" else rounded(a) for k, a in v.items()}
            return np.asarray(v).astype(dtype)

        return {name: rounded(v) for name, v in super().result(value, dx).items()}


control(
    "float64-inside",
    "An engine of float32 computes in float64 and rounds its results.",
    base=WideInside,
    wide=np.float64,
)
control(
    "float64-inside-whole-runs",
    "The same of an engine that takes no state, and so keeps all digits from step to step.",
    base=WideInside,
    wide=np.float64,
    claims={"accepts_state": False, "max_steps": 200},
)
control(
    "longdouble-inside",
    "Everything is computed in extended precision and rounded once.",
    base=WideInside,
    wide=np.longdouble,
)


def _narrow(e: Textbook, a: Array, b: Array) -> Array:
    """Multiply in the engine's dtype, and add in float32."""
    if e.kind != np.float64:
        return np.asarray(a @ b)
    with np.errstate(all="ignore"):
        terms = (a.T[:, :, None] * b[:, None, :]).astype(np.float32)
    return np.asarray(_one_by_one(terms).astype(e.kind))


control(
    "float32-accumulation",
    "An engine of float64 adds products in float32, and says so.",
    claims={"accumulate_dtype": "float32"},
    matmul=_narrow,
)


def _flushed(a: Array) -> Array:
    return np.where(np.abs(a) < np.finfo(a.dtype).tiny, np.zeros_like(a), a)


control(
    "subnormals-flushed",
    "Products and sums below the smallest normal number become 0, and the engine says so.",
    claims={"subnormals": "flushed"},
    matmul=lambda e, a, b: _flushed(_flushed(a) @ _flushed(b)),
)
for name, (title, lines) in LINES.items():
    control(name, title, **lines)


class OnesColumn(Textbook):
    """A bias is the weight of an input that is always 1."""

    def linear(self, o: Options, x: Array) -> Array:
        if not o.bias:
            return super().linear(o, x)
        whole = np.column_stack([self.weight(o), self.params[f"{o.i}.bias"]])
        return self.matmul(_with_ones(x), whole.T)

    def linear_grads(self, o: Options, x: Array, dz: Array) -> dict[str, Array]:
        if not o.bias:
            return super().linear_grads(o, x, dz)
        whole = self.linear_dW(o, _with_ones(x), dz)
        return {f"{o.i}.weight": whole[:, :-1].copy(), f"{o.i}.bias": whole[:, -1].copy()}


def _with_ones(x: Array) -> Array:
    return np.column_stack([x, np.ones(len(x), x.dtype)])


control("bias-as-weight", "Inputs have a column of ones, weights the bias.", base=OnesColumn)


class AsksForLittle(Textbook):
    """A course's engine: few layers, no options, no state of its own to hand out."""

    def capabilities(self) -> dict[str, Any]:
        return {
            "name": "course",
            "layers": ["Linear", "Sigmoid", "Tanh", "ReLU"],
            "losses": {"MSELoss": {"reduction": ["mean", "sum"]}},
            "optimizers": ["SGD"],
        }

    def result(self, value: Any, dx: Array) -> dict[str, Any]:
        whole = super().result(value, dx)
        return {name: whole[name] for name in ("loss", "grads", "params")}


control("few-claims", "An engine that claims little is judged by that.", base=AsksForLittle)


def _two_quotients(e: Textbook, o: Options, y: Array, t: Array) -> Array:
    """Return the derivative of the limited logarithms, whose slope beyond the limit is 0."""
    rest, least = 1 - y, np.exp(e.array(-100))
    yes = np.divide(t, y, out=np.zeros_like(y), where=y > least)
    no = np.divide(1 - t, rest, out=np.zeros_like(y), where=rest > least)
    return np.asarray(e.sample_weight(o) * (no - yes))


def _least_denominator(e: Textbook, o: Options, y: Array, t: Array) -> Array:
    room = np.maximum(y * (1 - y), np.finfo(e.kind).tiny)
    return np.asarray(e.sample_weight(o) * ((y - t) / room))


control(
    "bce-by-quotients",
    "The gradient of BCE is −t/y + (1 − t)/(1 − y), by calculus.",
    bce_slopes=_two_quotients,
)
control(
    "bce-by-calculus",
    "The gradient of BCE is (y − t) / (y (1 − y)), by calculus.",
    bce_slopes=_least_denominator,
)
control(
    "softplus-without-threshold",
    "Softplus is log(exp(0) + exp(β z)) / β for every z.",
    claims={"layers": {**dict.fromkeys(LAYER_ROWS, "any"), "Softplus": {"beta": "any"}}},
    softplus=lambda e, o, z: np.logaddexp(0, z * e.num(o.beta)) / e.num(o.beta),
    softplus_slope=lambda e, o, z, a: e.sigma(z * e.num(o.beta)),
)


def _order(line: str, name: str) -> Any:
    return ORDERS[line][name]


control(
    "updates-of-other-programs",
    "Updates are grouped as TensorFlow, Optax and PyTorch's fused steps have them.",
    sgd=_order("sgd", "p − lr g − lr μ b"),
    adam_step=_order("adam_step", "PyTorch: m / (√v / (√c₂ rate) + ε / rate)"),
    adamw=_order("adamw", "Optax: p − lr (u + λ p)"),
    adamax=_order("adamax", "lr m / (c₁ u)"),
    moved_by_quotient=_order("moved_by_quotient", "p − lr (d (1 / root))"),
)


class RateInBuffers(Textbook):
    """Keras: buffers contain the rate, so that they are not the protocol's state."""

    def capabilities(self) -> dict[str, Any]:
        known = super().capabilities()
        returns = [name for name in known["returns"] if name != "state"]
        return {**known, "returns": returns, "accepts_state": False, "max_steps": 100}

    def result(self, value: Any, dx: Array) -> dict[str, Any]:
        whole = super().result(value, dx)
        return {name: whole[name] for name in whole if name != "state"}


control(
    "rate-in-buffers",
    "Momentum is a velocity with the rate inside, and Nesterov's step two additions, as in Keras.",
    base=RateInBuffers,
    sgd=INSIDE["rate inside, Keras: p + μ v − lr g, two additions"][1],
    rmsprop=INSIDE["Keras: b = μ b + lr g / root"][1],
)


def _complex_step(e: Textbook, o: Options, y: Array, t: Array) -> Array:
    """Return ∂(y − t)²/∂y as Im((y + ih − t)²) / h. Its numbers round where products do not."""
    if o.type != "MSELoss" or e.weights is not None:
        return Textbook.slope(e, o, y, t)
    kind, h = np.result_type(y, np.complex64), y.dtype.type(1e-10)
    error = (y - t).astype(kind) + kind.type(1j) * h
    return np.asarray((error * error).imag / h / e.slope_divisor(o, y, t), y.dtype)


control("complex-step", "The loss is differentiated by a complex step.", slope=_complex_step)
