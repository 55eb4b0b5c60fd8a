"""Right engines of unusual build, which must never be accused.

    CONTROLS["sums-reversed"]              a `Control`: its title and an engine
    CONTROLS[…].engine()                   `Plain` with some lines computed in another right way

Where a build differs by more than the usual bounds allow, its engine says so in its capabilities,
as any engine has to. Sums, products and dtypes are here, single lines in `controls_lines`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from manualnn.oracle.controls_lines import LINES
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import Options
from manualnn.oracle.textbook.engine import Plain


@dataclass(frozen=True)
class Control:
    """A right engine."""

    id: str
    title: str
    engine: Callable[..., Plain]


CONTROLS: dict[str, Control] = {}


def control(
    name: str, title: str, *, base: type[Plain] = Plain, claims: Any = (), **lines: Any
) -> None:
    """Enter a right engine, `Plain` with these lines and these further claims."""
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


class SumsTerms(Plain):
    """Every sum, of products or otherwise, is one of explicit terms by `add`."""

    add: Callable[[Array], Any]

    def matmul(self, a: Array, b: Array) -> Array:
        terms = a.T[:, :, None] * b[:, None, :]
        return np.asarray(self.add(terms), self.kind)

    def total(self, a: Array, axis: int | None = None, *, keepdims: bool = False) -> Any:
        terms = a.ravel() if axis is None else np.moveaxis(a, axis, 0)
        total = np.asarray(self.add(terms), self.kind)
        if keepdims and axis is not None:
            return np.expand_dims(total, axis)
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


class InputsFirst(Plain):
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


class OneSampleAtATime(Plain):
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


class ShardsOfTwo(Plain):
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


class WideInside(Plain):
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


def _narrow(e: Plain, a: Array, b: Array) -> Array:
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


class OnesColumn(Plain):
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


class AsksForLittle(Plain):
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
