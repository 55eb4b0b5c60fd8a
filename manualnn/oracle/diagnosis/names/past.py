"""Earlier cases of a run, which may refute a known bug.

    past = Past()
    past.note(observation, …)  remember one call of the engine
    past.related(case)         observations of cases that have the same features and more

Of each set of features, the first MOST right and MOST wrong results are remembered.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from manualnn.oracle.diagnosis.observation import Observation
from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import row_of

MOST = 4
"""Number of observations that are remembered, for each set of features."""
SEVERAL_UPDATES = "updates.several"
"""A trait of cases with several updates, or with a state after some."""
TRIED = 60
"""Largest number of observations that are compared with one case."""

Features = frozenset[str]


@dataclass
class Past:
    """Observations of earlier cases, by their features, and by whether the engine was right."""

    observations: dict[tuple[Features, bool], list[Observation]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def note(self, seen: Observation, *, is_wrong: bool) -> None:
        """Remember an observation of one case."""
        some = self.observations[traits_of(seen.case), is_wrong]
        if len(some) < MOST:
            some.append(seen)

    def related(self, case: Case) -> Iterator[Observation]:
        """Yield observations of cases with all types of this case, right and wrong ones."""
        own = {name for name in traits_of(case) if "." not in name}
        every = [
            seen for (found, _), some in self.observations.items() if own <= found for seen in some
        ]
        yield from every[:: max(1, len(every) // TRIED)]


def traits_of(case: Case) -> Features:
    """Return the types and the options of a case, without the values that are defaults."""
    found = {SEVERAL_UPDATES} if case.steps > 1 or case.state is not None else set()
    for _, spec in case.parts():
        row = row_of(spec["type"])
        found.add(row.name)
        for option, value in spec.items():
            known = row.options.get(option)
            if known is not None and option != "lr" and value != known.default:
                found.add(f"{row.name}.{option}")
    return frozenset(found)
