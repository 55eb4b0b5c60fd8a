"""Initial values that an engine may claim, each as the distribution of the entries of a weight.

    read_spec({"type": "xavier_uniform", "gain": 2})     all options; raises ClaimError
    entries_of(spec, fan_in, fan_out)                    the `Distribution` of an entry
    alternatives(spec, fan_in, fan_out)                  known mistakes, with what they give

Names, options and defaults are those of torch.nn.init; LeCun's are kaiming's of a linear unit.
Weights of type orthogonal, sparse, eye, constant, ones and zeros have further properties, see
`checks.initialization`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from manualnn.oracle.protocol.claims import ClaimError

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}


@dataclass(frozen=True)
class Distribution:
    """A normal or a uniform distribution, cut off at its ends."""

    kind: str
    center: float
    deviation: float
    low: float = -math.inf
    high: float = math.inf

    def below(self, x: float) -> float:
        """Return the probability of a number of at most x."""
        if self.kind == "uniform":
            share = (x - self.low) / (self.high - self.low)
        else:
            least, most = self._uncut(self.low), self._uncut(self.high)
            share = (self._uncut(x) - least) / (most - least)
        return min(max(share, 0.0), 1.0)

    def median(self) -> float:
        """Return the number that half of all numbers are below."""
        low = max(self.low, self.center - 9 * self.deviation)
        high = min(self.high, self.center + 9 * self.deviation)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.below(middle) < 0.5 else (low, middle)
        return (low + high) / 2

    def _uncut(self, x: float) -> float:
        return math.erfc((self.center - x) / (self.deviation * math.sqrt(2))) / 2


def normal(mean: float, std: float) -> Distribution:
    """Return the normal distribution."""
    return Distribution("normal", mean, std)


def uniform(low: float, high: float) -> Distribution:
    """Return the uniform distribution."""
    return Distribution("uniform", (low + high) / 2, (high - low) / math.sqrt(12), low, high)


Options = Mapping[str, Any]
Formula = Callable[[Options, int, int], Distribution]


def _scaled(kind: str, deviation: Callable[[Options, int, int], float]) -> Formula:
    """Return the formula of a distribution around 0 with a deviation that follows from the fans."""

    def formula(options: Options, fan_in: int, fan_out: int) -> Distribution:
        std = deviation(options, fan_in, fan_out)
        bound = math.sqrt(3) * std
        return normal(0, std) if kind == "normal" else uniform(-bound, bound)

    return formula


def _xavier(options: Options, fan_in: int, fan_out: int) -> float:
    return float(options["gain"]) * math.sqrt(2 / (fan_in + fan_out))


def _kaiming(options: Options, fan_in: int, fan_out: int) -> float:
    name = options["nonlinearity"]
    gain = GAINS.get(name, math.sqrt(2 / (1 + float(options["a"]) ** 2)))
    return gain / math.sqrt(fan_in if options["mode"] == "fan_in" else fan_out)


def _lecun(_: Options, fan_in: int, __: int) -> float:
    return 1 / math.sqrt(fan_in)


_KAIMING = {"a": 0.0, "mode": "fan_in", "nonlinearity": "leaky_relu"}
ROWS: dict[str, tuple[dict[str, Any], Formula | None]] = {
    "uniform": ({"a": 0.0, "b": 1.0}, lambda o, *_: uniform(o["a"], o["b"])),
    "normal": ({"mean": 0.0, "std": 1.0}, lambda o, *_: normal(o["mean"], o["std"])),
    "trunc_normal": (
        {"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0},
        lambda o, *_: Distribution("normal", o["mean"], o["std"], o["a"], o["b"]),
    ),
    "xavier_uniform": ({"gain": 1.0}, _scaled("uniform", _xavier)),
    "xavier_normal": ({"gain": 1.0}, _scaled("normal", _xavier)),
    "kaiming_uniform": (_KAIMING, _scaled("uniform", _kaiming)),
    "kaiming_normal": (_KAIMING, _scaled("normal", _kaiming)),
    "lecun_uniform": ({}, _scaled("uniform", _lecun)),
    "lecun_normal": ({}, _scaled("normal", _lecun)),
    "sparse": ({"sparsity": 0.9, "std": 0.01}, lambda o, *_: normal(0, o["std"])),
    "orthogonal": ({"gain": 1.0}, None),
    "constant": ({"val": 0.0}, None),
    "ones": ({}, None),
    "zeros": ({}, None),
    "eye": ({}, None),
}
"""The options with their defaults, and the distribution of an entry where it is a known one."""


def read_spec(content: Any) -> dict[str, Any]:
    """Return a claimed initialisation with all options; raises ClaimError."""
    given = {"type": content} if isinstance(content, str) else content
    name = given.get("type") if isinstance(given, Mapping) else None
    if name not in ROWS:
        raise ClaimError(
            f"capabilities() claims init {content!r}; it has to be a name, or an object with a "
            f"type, among {', '.join(ROWS)}."
        )
    options = ROWS[str(name)][0]
    for option, value in given.items():
        known = {"type": name, **options}
        if option not in known or isinstance(value, str) != isinstance(known[option], str):
            raise ClaimError(
                f"capabilities() claims init {name} with {option} = {value!r}; its options are "
                f"{options or 'none'}."
            )
    return {"type": name, **options, **given}


def entries_of(spec: Options, fan_in: int, fan_out: int) -> Distribution | None:
    """Return the distribution of an entry, or None if the type has none of its own."""
    formula = ROWS[spec["type"]][1]
    return formula and formula(spec, fan_in, fan_out)


def alternatives(spec: Options, fan_in: int, fan_out: int) -> Iterator[tuple[str, Distribution]]:
    """Yield known mistakes: the id and title of each, and the distribution that it gives."""
    formula = ROWS[spec["type"]][1]
    if formula is None:
        return
    right = formula(spec, fan_in, fan_out)
    center, std = right.center, right.deviation
    if spec["type"] == "trunc_normal":
        yield "init-not-truncated: the bounds are ignored", normal(center, std)
        low, high = center + spec["a"] * std, center + spec["b"] * std
        cut = Distribution("normal", center, std, low, high)
        yield "init-bounds-in-deviations: a and b count deviations from the mean", cut
    if "gain" in spec or "nonlinearity" in spec:
        without = {**spec, "gain": 1.0, "nonlinearity": "linear"}
        yield "init-without-gain: the gain is missing", formula(without, fan_in, fan_out)
    fans = {
        "init-swapped-fans: fan_in and fan_out are exchanged": (fan_out, fan_in),
        "init-fan-in: fan_in in place of both fans": (fan_in, fan_in),
        "init-fan-out: fan_out in place of both fans": (fan_out, fan_out),
    }
    for title, pair in fans.items():
        yield title, formula(spec, *pair)
    yield (
        "init-variance-for-deviation: the variance in place of the deviation",
        (
            Distribution(right.kind, center, std**2)
            if right.kind == "normal"
            else uniform(center - math.sqrt(3) * std**2, center + math.sqrt(3) * std**2)
        ),
    )
    yield (
        "init-deviation-for-bound: the deviation in place of the bound",
        uniform(center - std, center + std),
    )
    yield "init-unscaled-normal: normals of deviation 1", normal(0, 1)
    yield "init-unscaled-uniform: uniform numbers from 0 to 1", uniform(0, 1)
    yield "init-small-normal: normals of deviation 0.01", normal(0, 0.01)
    yield "init-normal-for-uniform: normals of the same deviation", normal(center, std)
    yield (
        "init-uniform-for-normal: uniform numbers of the same deviation",
        uniform(center - math.sqrt(3) * std, center + math.sqrt(3) * std),
    )
    if math.isfinite(right.high):
        yield "init-positive: only the positive half of the range", uniform(0, right.high)
