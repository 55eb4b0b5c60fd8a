"""Settings: families of fresh cases; and conditions, which settings test on both sides.

    setting = Setting(case, (5, 4, 3))           N and widths; the rest is that of the case
    setting.draw(seed)                           a case with ordinary numbers
    setting.fails(judge, seeds)                  True if some case fails, False if all pass
    Condition(text, inside, outside).holds(judge)

A condition holds if every fresh case inside fails and every one outside passes. Outside, other
magnitudes and numbers of samples are tried too, because a rule may only be the shadow of another.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from manualnn.oracle.cases.neighbours import ordinary_case
from manualnn.oracle.diagnosis.conditions.outcome import Judge
from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import LOSS_ROWS

SEEDS = (31, 32, 33)
"""Seeds of the search. A setting fails if it fails with any of them."""
FRESH = (41, 42)
"""Seeds of the test of a condition."""
SCALES = (2.0**6, 2.0**-6)
"""Factors on the numbers outside."""


@dataclass(frozen=True)
class Setting:
    """Cases with the network, loss and options of `case`, and with ordinary numbers."""

    case: Case
    sizes: tuple[int, ...]
    """N, and the width of every segment."""
    change: Callable[[Case], Case] | None = None
    """A last change of the numbers."""
    scale: float = 1.0
    """A factor on x, and on targets that are numbers."""

    def draw(self, seed: int) -> Case:
        """Return the case of a seed."""
        case = ordinary_case(self.case, seed, n=self.sizes[0], widths=self.sizes[1:])
        if self.scale != 1:
            scaled = {"x", "t"} if LOSS_ROWS[case.loss["type"]].targets == "numbers" else {"x"}
            case = case.map(lambda name, a: _times(a, self.scale) if name in scaled else a)
        return self.change(case) if self.change else case

    def fails(self, judge: Judge, seeds: Sequence[int] = SEEDS) -> bool | None:
        """Return True if the case of some seed fails; None if none does and some are unknown."""
        outcomes = []
        for seed in seeds:
            outcomes.append(judge(self.draw(seed)))
            if outcomes[-1]:
                return True
        return None if None in outcomes else False

    def but(self, **changes: object) -> "Setting":
        """Return a setting with other values."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def with_size(self, k: int, size: int) -> "Setting":
        """Return the setting with another size at place k."""
        return self.but(sizes=(*self.sizes[:k], size, *self.sizes[k + 1 :]))


@dataclass(frozen=True)
class Condition:
    """A sentence, settings in which it predicts a failure, and settings in which it does not."""

    text: str
    inside: tuple[Setting, ...]
    outside: tuple[Setting, ...]
    about_sizes: bool = False

    def holds(self, judge: Judge) -> bool:
        """Return True if all fresh cases agree with the sentence, with some on both sides."""
        if not _agree(judge, self.inside, wanted=True):
            return False
        if not _agree(judge, self.outside, wanted=False):
            return False
        others = [s.but(scale=factor) for s in self.outside[:1] for factor in SCALES]
        if not self.about_sizes:
            others += [s.with_size(0, n) for s in self.outside[:2] for n in (1, 4 * s.sizes[0] + 1)]
        return not any(setting.fails(judge, FRESH[:1]) for setting in others)


def _agree(judge: Judge, settings: Iterable[Setting], *, wanted: bool) -> bool:
    """Return True if the outcome is as wanted at least twice, and never another known one."""
    outcomes = [judge(setting.draw(seed)) for setting in settings for seed in FRESH]
    return outcomes.count(wanted) >= len(FRESH) and set(outcomes) <= {wanted, None}


def _times(array: Array, factor: float) -> Array:
    return (array * factor).astype(array.dtype)
