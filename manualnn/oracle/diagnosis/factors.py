"""Whether what is wrong is the truth times a constant, or the truth plus a multiple of something.

    relation = related(trial, "grads.0.weight")      None where there is no such constant
    relation.names                                   what the constant may be: {"N", "2"}
    told(relations)                                  "got = 0.2 × truth; 0.2 is 1/N with N = 5"
    precision(trial)                                 whether a float64 engine is a float32 one

A constant c holds if |got − c truth| is within the bounds at every entry, c times as large where c
is; or at least at every entry that is wrong. One entry has a ratio to anything, so that of one or
two entries, in all cases together, counts only if it has a name.
For parameters it is the update, p_new − p, that is compared. Asked on cases of several sizes, what
a constant is called in all of them is its name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from manualnn.oracle.diagnosis.observation import Observation
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import options_of
from manualnn.oracle.truth.bounded import Precision
from manualnn.oracle.truth.compare import error_bounds, refutes, true_values
from manualnn.oracle.truth.step import truth

MOST_NAMES = 3


@dataclass(frozen=True)
class Relation:
    """got = factor × truth, or got = truth + factor × `of`."""

    factor: float
    names: frozenset[str]
    entries: int
    """So many entries, not 0, say so."""
    sizes: dict[str, int]
    """N and K of the case."""
    of: str = ""
    update: bool = False
    """Of the update of a parameter, in place of the parameter."""
    where_wrong: bool = False
    """Not of the other entries, which are right."""


def related(trial: Observation, name: str) -> Relation | None:
    """Return the constant that makes the truth, or something else, into what the engine got."""
    near = trial.expected[name]
    got, v, e = np.asarray(trial.got[name], np.longdouble), true_values(near), error_bounds(near)
    update = name.startswith("params.") and trial.case.steps == 1
    if update:
        before = np.asarray(trial.case.params[name.partition(".")[2]], np.longdouble)
        got, v = got - before, v - before
    usable = np.isfinite(e) & np.isfinite(got)
    if not usable.any() or not np.isfinite(got).all():
        return None
    wrong = trial.wrong[name] & usable
    for mask in (usable, wrong):
        if mask is wrong:
            summand = _summand(trial, name, (got - v)[usable], e[usable], usable)
            if summand is not None:
                return summand
        factor = _factor(got[mask], v[mask], e[mask])
        if factor is not None:
            known = constants(trial.case)
            return Relation(
                float(factor),
                frozenset(n for n, c in known if _is(c, factor, v[mask], e[mask])),
                int(np.count_nonzero(v[mask])),
                _sizes(trial.case),
                update=update,
                where_wrong=mask is wrong,
            )
    return None


def told(relations: Sequence[Relation | None]) -> str:
    """Return a sentence on what holds in all these trials; empty if nothing does."""
    found = [relation for relation in relations if relation is not None]
    if not found or len(found) < len(relations) or len({relation.of for relation in found}) > 1:
        return ""
    first = found[0]
    names = sorted(frozenset.intersection(*(r.names for r in found)), key=lambda n: (len(n), n))
    agree = len({_shown(relation.factor) for relation in found}) == 1
    if not names and not (agree and sum(relation.entries for relation in found) > 2):
        return ""
    what = "the update" if first.update else "got"
    right = "the right one" if first.update else "truth"
    c = _shown(first.factor)
    said = f"{right} + {c} × {first.of}" if first.of else f"{c} × {right}"
    where = "where it is wrong, " if any(relation.where_wrong for relation in found) else ""
    said = f"{where}{what} = {said}"
    called = " or ".join(names[:MOST_NAMES])
    if not called or called == c:
        return said
    sizes = " and ".join(f"{name} = {n}" for name, n in first.sizes.items() if name in called)
    return f"{said}; {c} is {called}" + (f" with {sizes}" if sizes else "")


def precision(trial: Observation) -> str:
    """Return that a float64 engine's numbers are as good as float32's; empty if they are not."""
    if trial.case.dtype != "float64" or not passes_as_float32(trial):
        return ""
    sizes: list[float] = []
    for name, mask in trial.wrong.items():
        if mask.any():
            largest = np.abs(true_values(trial.expected[name])).max()
            error = np.abs(
                np.asarray(trial.got[name], np.longdouble) - true_values(trial.expected[name])
            )
            sizes.append(float(error.max() / largest) if largest else 0.0)
    # float64's own errors are within float32's bounds too; and where these are wide, much is.
    if not 2**-40 < max(sizes) < 2**-13:
        return ""
    return f"errors of {max(sizes):.0e} of the largest number, within the bounds of float32"


def passes_as_float32(trial: Observation) -> bool:
    """Whether all of the last answer is within the bounds of float32."""
    coarse = truth(trial.case, Precision("float32")).quantities()
    return not any(refutes(coarse[name], array).any() for name, array in trial.got.items())


def constants(case: Case) -> Iterator[tuple[str, float]]:
    """Yield constants that mistakes are made of, with their names."""
    n, k, width = case.n, case.widths[-1], case.widths[0]
    named: list[tuple[str, str, float]] = [
        ("2", "1/2", 2),
        ("4", "1/4", 4),
        ("N", "1/N", n),
        ("K", "1/K", k),
        ("2 N", "1/(2 N)", 2 * n),
        ("2 K", "1/(2 K)", 2 * k),
        ("N/2", "2/N", n / 2),
        ("K/2", "2/K", k / 2),
        ("N K", "1/(N K)", n * k),
        ("N/K", "K/N", n / max(k, 1)),
        ("√N", "1/√N", n**0.5),
        ("√K", "1/√K", k**0.5),
        ("N − 1", "1/(N − 1)", n - 1),
        ("N + 1", "1/(N + 1)", n + 1),
        ("N/(N − 1)", "(N − 1)/N", n / (n - 1) if n > 1 else 0),
        ("K/(K − 1)", "(K − 1)/K", k / (k - 1) if k > 1 else 0),
        ("N/(N + 1)", "(N + 1)/N", n / (n + 1)),
        ("the input width", "1/the input width", width),
        ("ln 2", "1/ln 2", float(np.log(2))),
        ("ln 10", "1/ln 10", float(np.log(10))),
        ("π", "1/π", float(np.pi)),
    ]
    for name, value in _options(case).items():
        simple = name.isalnum() and not name[0].isdigit()
        named.append((name, f"1/{name}" if simple else f"1/({name})", value))
    for name, inverse, value in named:
        if value and value != 1:
            yield name, value
            yield inverse, 1 / value
    yield from (("−1", -1.0), ("−2", -2.0), ("−1/2", -0.5), ("0", 0.0))


def _options(case: Case) -> dict[str, float]:
    named: dict[str, float] = {}
    for _, spec in case.parts():
        options = vars(options_of(spec))
        for option in ("lr", "weight_decay", "delta", "beta", "negative_slope", "eps"):
            if options.get(option):
                named[option] = options[option]
        for option in ("momentum", "dampening", "alpha", "label_smoothing", "p"):
            if options.get(option):
                named[option] = options[option]
                named[f"1 − {option}"] = 1 - options[option]
        for i, beta in enumerate(options.get("betas", ()), 1):
            t = (case.state["step"] if case.state else 0) + case.steps
            named |= {f"β{i}": beta, f"1 − β{i}": 1 - beta, f"1 − β{i}ᵗ": 1 - beta**t}
    if named.get("lr", 1) != 1:
        named |= {"lr N": named["lr"] * case.n, "lr²": named["lr"] ** 2}
    return named


def _factor(got: Array, v: Array, e: Array) -> np.longdouble | None:
    """Return c with got = c v within the bounds."""
    where = v != 0
    if not where.any():
        return None
    sharp = np.where(where, e / np.where(where, np.abs(v), 1), np.inf)
    best = int(np.argmin(sharp))
    if sharp[best] > 2**-7:
        return None
    c = got[best] / v[best]
    room = (e + sharp[best] * np.abs(v)) * max(abs(c), 1)
    return c if bool(np.all(np.abs(got - c * v) <= 2 * room)) else None


def _is(constant: float, factor: np.longdouble, v: Array, e: Array) -> bool:
    """Whether the factor is that constant, as far as the sharpest entry can tell."""
    where = v != 0
    sharp = float(np.min(e[where] / np.abs(v[where])))
    size = max(abs(constant), abs(float(factor)), 1.0)
    return abs(constant - float(factor)) <= 4 * (sharp + 2**-52) * size


def _summand(
    trial: Observation, name: str, rest: Array, e: Array, usable: Array
) -> Relation | None:
    """Return what the difference is a multiple of: parameters, state, an earlier answer."""
    kind, _, key = name.partition(".")
    key = key if kind != "state" else key.partition(".")[2]
    others: dict[str, Array] = {}
    if key in trial.case.params:
        others[f"the parameter {key}"] = trial.case.params[key]
        for state, group in (trial.case.state or {}).items():
            if state != "step":
                others[f"the state {state}.{key}"] = group[key]
    for outcome in trial.outcomes[:-1]:
        other = outcome.quantities().get(name)
        if other is not None and np.shape(other) == np.shape(usable):
            others[f"{name} of the call before"] = other
    for of, other in others.items():
        base = np.asarray(other, np.longdouble)[usable]
        # A multiple of what has one or two entries is no evidence.
        entries = int(np.count_nonzero(base))
        if entries < 3:
            continue
        best = int(np.argmax(np.abs(base)))
        factor = rest[best] / base[best]
        room = e + (e[best] / abs(base[best])) * np.abs(base)
        if factor and bool(np.all(np.abs(rest - factor * base) <= 2 * room)):
            sharp = e[best] / abs(base[best]) + abs(factor) * 2**-52
            known = [("1", 1.0), *constants(trial.case)]
            names = frozenset(n for n, c in known if abs(c - factor) <= 4 * sharp)
            return Relation(float(factor), names, entries, _sizes(trial.case), of)
    return None


def _sizes(case: Case) -> dict[str, int]:
    return {"N": case.n, "K": case.widths[-1]}


def _shown(factor: float) -> str:
    if 0 < abs(factor - 1) < 1e-3:
        return f"(1 {'+' if factor > 1 else '−'} {abs(factor - 1):.3g})"
    return f"{factor:.6g}".replace("-", "−", 1) if factor < 0 else f"{factor:.6g}"
