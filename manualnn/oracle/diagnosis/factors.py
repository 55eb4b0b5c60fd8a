"""Constant factors: got = c · truth, or got = truth + c · another array.

    factor = find_factor(observation, "grads.0.weight")    a Factor; None if there is none
    factor.names                                           possible names of c, such as {"N", "2"}
    describe_factors(factors)         "got = 0.2 × truth; 0.2 is 1/N with N = 5"
    describe_precision(observation)   a sentence if a float64 engine computes in float32

Accept c if |got − c · truth| ≤ max(1, |c|) · bound for all entries, or for all wrong entries. With
fewer than three entries any ratio fits by chance, so report c only if it equals a known constant
such as 1/N. For parameters, the update p_new − p is compared. The observations have several sizes,
and c gets the name that is right for all of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from manualnn.oracle.diagnosis.observation import Observation
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import options_of
from manualnn.oracle.truth.bounded import Precision
from manualnn.oracle.truth.compare import refutes, true_values
from manualnn.oracle.truth.step import truth

MOST_NAMES = 3
FIXED: dict[str, float] = {"2": 2, "4": 4, "ln 2": np.log(2), "ln 10": np.log(10), "π": np.pi}
FIXED |= {f"1/({n})" if " " in n else f"1/{n}": 1 / value for n, value in FIXED.items()}
FIXED |= {"−1": -1.0, "−2": -2.0, "−1/2": -0.5, "0": 0.0}
"""Factors that depend on no case."""
VISIBLE = 16
"""A factor is stated only if its effect is so many times larger than the error bound."""


@dataclass(frozen=True)
class Factor:
    """got = factor × truth, or got = truth + factor × `of`."""

    factor: float
    names: frozenset[str]
    entries: int
    """Number of entries, other than 0, that agree."""
    sizes: dict[str, int]
    """N and K of the case."""
    of: str = ""
    is_update: bool = False
    """True if the factor is that of a parameter's update."""
    only_wrong: bool = False
    """True if the factor holds for the wrong entries only."""


def find_factor(observation: Observation, name: str) -> Factor | None:
    """Return the constant factor of a quantity of the last result."""
    near = observation.expected[name]
    got, v, e = observation.got[name].astype(np.longdouble), true_values(near), near.bounds
    is_update = name.startswith("params.") and observation.case.steps == 1
    if is_update:
        before = np.asarray(observation.case.params[name.partition(".")[2]], np.longdouble)
        got, v = got - before, v - before
    usable = np.isfinite(e) & np.isfinite(got)
    if not usable.any() or not np.isfinite(got).all():
        return None

    def constant_factor(mask: Array, *, only_wrong: bool) -> Factor | None:
        c = _ratio(got[mask], v[mask], e[mask])
        if c is None:
            return None
        known = constants(observation.case)
        names = frozenset(n for n, k in known if _is_equal(k, c, v[mask], e[mask]))
        entries, sizes = int(np.count_nonzero(v[mask])), _sizes(observation.case)
        return Factor(float(c), names, entries, sizes, is_update=is_update, only_wrong=only_wrong)

    return (
        constant_factor(usable, only_wrong=False)
        or _summand(observation, name, (got - v)[usable], e[usable], usable)
        or constant_factor(observation.wrong[name] & usable, only_wrong=True)
    )


def describe_factors(factors: Sequence[Factor | None]) -> str:
    """Return a sentence on the factor that all observations share; empty if there is none."""
    found = [factor for factor in factors if factor is not None]
    if not found or len(found) < len(factors) or len({factor.of for factor in found}) > 1:
        return ""
    first = found[0]
    agree = len({_rounded(factor.factor) for factor in found}) == 1
    names = frozenset.intersection(*(factor.names for factor in found))
    if agree:
        # A factor that never varied shows no dependence on a size or on a usual option.
        names = frozenset(name for name in names if name in FIXED or _is_telling(name, first))
    elif not names:
        return ""
    if not names and sum(factor.entries for factor in found) < 3:
        return ""
    what, right = ("the update", "the right one") if first.is_update else ("got", "truth")
    where = "where it is wrong, " if any(factor.only_wrong for factor in found) else ""
    if "0" in names and not first.of:
        return f"{where}{what} is 0"
    c = _rounded(first.factor)
    formula = f"{right} + {c} × {first.of}" if first.of else f"{c} × {right}"
    sentence = f"{where}{what} = {formula}"
    chosen = sorted(names, key=lambda n: (len(n), n))[:MOST_NAMES]
    name = " or ".join(chosen)
    if not name or name == c:
        return sentence
    sizes = " and ".join(f"{size} = {n}" for size, n in first.sizes.items() if size in name)
    return f"{sentence}; {c} is {name}" + (f" with {sizes}" if sizes else "")


def _is_telling(name: str, factor: Factor) -> bool:
    """Return True if the name is of an option whose value is no usual number, such as 0.0137."""
    return not any(size in name for size in ("N", "K", "width")) and (
        f"{abs(factor.factor):.12g}" not in {f"{k / 20:.12g}" for k in range(201)}
    )


def describe_precision(observation: Observation) -> str:
    """Return a sentence if a float64 engine's numbers are as exact as float32's; else empty."""
    if observation.case.dtype != "float64" or not passes_as_float32(observation):
        return ""
    sizes: list[float] = []
    for name, mask in observation.wrong.items():
        if mask.any():
            v = true_values(observation.expected[name])
            error, largest = np.abs(observation.got[name] - v).max(), np.abs(v).max()
            sizes.append(float(error / largest) if largest else 0.0)
    # A number that was rounded to float32 once is off by up to 2⁻²⁴, and seldom by an eighth of it.
    # Where float32's bounds are wide, larger errors prove nothing.
    if not 2**-27 < max(sizes) < 2**-13:
        return ""
    return f"errors of {max(sizes):.0e} of the largest number, within the bounds of float32"


def passes_as_float32(observation: Observation) -> bool:
    """Return True if the whole last result is within the bounds of float32."""
    own = observation.truths[-1].kind
    kind = Precision("float32", conventions=own.conventions)
    coarse = truth(observation.case, kind).quantities()
    return not any(refutes(coarse[name], array).any() for name, array in observation.got.items())


def constants(case: Case) -> Iterator[tuple[str, float]]:
    """Yield the constants that bugs are made of, with their names."""
    n, k, width = case.n, case.widths[-1], case.widths[0]
    named: dict[str, float] = {"N": n, "K": k, "2 N": 2 * n, "2 K": 2 * k, "N K": n * k}
    named |= {"N/2": n / 2, "K/2": k / 2, "N/K": n / max(k, 1), "√N": n**0.5, "√K": k**0.5}
    named |= {"N − 1": n - 1, "N + 1": n + 1, "the input width": width}
    named |= {
        "N/(N − 1)": n / max(n - 1, 1),
        "K/(K − 1)": k / max(k - 1, 1),
        "N/(N + 1)": n / (n + 1),
        **_options(case),
    }
    yield from FIXED.items()
    for name, value in named.items():
        if value and value != 1:
            over, _, under = name.partition("/")
            inverse = f"{under}/{over}" if under else f"1/({name})" if " " in name else f"1/{name}"
            yield name, float(value)
            yield inverse, 1 / float(value)


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


def _ratio(got: Array, v: Array, e: Array) -> np.longdouble | None:
    """Return c with got = c v within the bounds; None if there is no such c."""
    where = v != 0
    if not where.any():
        return None
    sharp = np.where(where, e / np.where(where, np.abs(v), 1), np.inf)
    best = int(np.argmin(sharp))
    if sharp[best] > 2**-7:
        return None
    c = got[best] / v[best]
    if abs(c - 1) <= VISIBLE * sharp[best]:
        return None
    room = (e + sharp[best] * np.abs(v)) * max(abs(c), 1)
    return c if bool(np.all(np.abs(got - c * v) <= 2 * room)) else None


def _is_equal(constant: float, factor: np.longdouble, v: Array, e: Array) -> bool:
    """Return True if the factor equals a constant, to within the bound of the sharpest entry."""
    where = v != 0
    sharp = float(np.min(e[where] / np.abs(v[where])))
    size = max(abs(constant), abs(float(factor)), 1.0)
    return abs(constant - float(factor)) <= 4 * (sharp + 2**-52) * size


def _summand(
    observation: Observation, name: str, rest: Array, e: Array, usable: Array
) -> Factor | None:
    """Return the factor if the error is a multiple of parameters, state or an earlier result."""
    kind, _, key = name.partition(".")
    key = key if kind != "state" else key.partition(".")[2]
    others: dict[str, Array] = {}
    if key in observation.case.params:
        others[f"the parameter {key}"] = observation.case.params[key]
        for state, group in (observation.case.state or {}).items():
            if state != "step":
                others[f"the state {state}.{key}"] = group[key]
    for outcome in observation.outcomes[:-1]:
        other = outcome.quantities().get(name)
        if other is not None and np.shape(other) == np.shape(usable):
            others[f"{name} of the call before"] = other
    for of, other in others.items():
        base = np.asarray(other, np.longdouble)[usable]
        # With one or two entries any multiple fits.
        entries = int(np.count_nonzero(base))
        if entries < 3:
            continue
        best = int(np.argmax(np.abs(base)))
        factor = rest[best] / base[best]
        room = e + (e[best] / abs(base[best])) * np.abs(base)
        visible = abs(factor * base[best]) > VISIBLE * e[best]
        if visible and bool(np.all(np.abs(rest - factor * base) <= 2 * room)):
            sharp = e[best] / abs(base[best]) + abs(factor) * 2**-52
            known = [("1", 1.0), *constants(observation.case)]
            names = frozenset(n for n, c in known if abs(c - factor) <= 4 * sharp)
            return Factor(float(factor), names, entries, _sizes(observation.case), of)
    return None


def _sizes(case: Case) -> dict[str, int]:
    return {"N": case.n, "K": case.widths[-1]}


def _rounded(factor: float) -> str:
    if 0 < abs(factor - 1) < 1e-3:
        return f"(1 {'+' if factor > 1 else '−'} {abs(factor - 1):.3g})"
    return f"{factor:.6g}".replace("-", "−", 1) if factor < 0 else f"{factor:.6g}"
