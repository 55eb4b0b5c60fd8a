"""Measure of the diagnosis: bugs of the catalogue are planted, alone and in pairs, and named.

    cd tests; python -m oracle.pairs --singles 50 --pairs 50 --seed 1
    planted(bugs)              an engine with these bugs, whose claims are few
    outcome_of(bugs)           an Outcome: the names that a run gives, right and wrong

A name is right if it is that of a planted bug, or if its engine gives the same numbers in all
cases of a sample. It is nearly right if both engines give the same numbers in half of the cases
that one of them gets wrong. Every other name is wrong. A pair is left out if one bug hides the
other, so that the engine with both gives the numbers of one.
"""

import argparse
import time
from dataclasses import dataclass, field
from functools import cache, reduce
from unittest import mock

import numpy as np

from manualnn.oracle import check_engine
from manualnn.oracle.bugs import BUGS
from manualnn.oracle.bugs.bug import find_features
from manualnn.oracle.bugs.composite import compose
from manualnn.oracle.cases.catalogue import recipes_for
from manualnn.oracle.cases.choices import Size
from manualnn.oracle.diagnosis import budget
from manualnn.oracle.findings import Outcome as Answer
from manualnn.oracle.profiles import PROFILES, Profile
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.textbook.engine import Textbook

PLANTED = {"planted": Profile(6, Size(), 60)}
ALWAYS = {"layers": ["Linear", "Tanh", "Sigmoid"], "losses": ["MSELoss"], "optimizers": ["SGD"]}
DRAWS = 3
"""Cases of each recipe in the sample."""


@dataclass
class Outcome:
    """The names that a run gives to planted bugs."""

    planted: tuple[str, ...]
    right: set[str] = field(default_factory=set)
    """Planted bugs that are named."""
    among: set[str] = field(default_factory=set)
    """Planted bugs that are one of several alternatives."""
    nearly: set[str] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)
    reasons: set[str] = field(default_factory=set)
    failed: int = 0
    seconds: float = 0.0

    def __str__(self):
        sets = {name: some for name, some in vars(self).items() if isinstance(some, set) and some}
        parts = "; ".join(f"{name} {sorted(some)}" for name, some in sets.items())
        tail = f"[{self.failed} failed, {self.seconds:.0f} s]"
        return f"{' + '.join(self.planted)}: {parts} {tail}"


def claims_for(ids):
    """Return claims of few features, among them those of the bugs."""
    claimed = {kind: list(names) for kind, names in ALWAYS.items()}
    kinds = {"layer": "layers", "loss": "losses", "optimizer": "optimizers"}
    for name in ids:
        patterns = sorted(find_features(BUGS[name].engines) - {""})
        for pattern in patterns[:2]:
            group, feature = pattern.split(":")[0].rstrip("*").split(".")[:2]
            if feature and feature not in claimed[kinds[group]]:
                claimed[kinds[group]].append(feature)
    return {kind: dict.fromkeys(names, "any") for kind, names in claimed.items()}


def planted(ids, engines=None):
    """Return an engine class with these bugs, and the claims of few features."""
    engines = engines or [BUGS[name].engines[0] for name in ids]
    base, claims = reduce(lambda below, above: compose(above, below), engines), claims_for(ids)

    class Planted(base):
        def capabilities(self):
            return super().capabilities() | claims | {"max_steps": 50, "name": " + ".join(ids)}

    return Planted


@cache
def sample(ids):
    """Return cases that an engine with these bugs may get in a run."""
    claims = Capabilities.read(planted(ids)().capabilities())
    cases = []
    for recipe in recipes_for(claims):
        for i in range(DRAWS):
            case = recipe.draw(np.random.default_rng([77, i, *recipe.key(i)]), claims, Size())
            if case is not None:
                cases.append(case)
    return cases


def numbers(engine, case):
    """Return the numbers of an engine for a case, rounded; None if it raises."""
    try:
        with np.errstate(all="ignore"):
            result = Answer(result=engine(np.longdouble).step(case.copy())).quantities()
            rounded = [np.float32(a) + np.float32(0) for a in map(np.asarray, result.values())]
    except Exception:  # noqa: BLE001 - wrong engines may raise anything
        return None
    return b"".join(a.tobytes() for a in rounded)


def likeness(name, engine, ids):
    """Return the largest share of equal numbers of a bug and an engine, where one is wrong."""
    cases = sample(ids)
    truth, own = ([numbers(e, case) for case in cases] for e in (Textbook, engine))
    best = 0.0
    for other in BUGS[name].engines:
        its = [numbers(other, case) for case in cases]
        differing = [i for i in range(len(cases)) if its[i] != truth[i] or own[i] != truth[i]]
        same = sum(its[i] == own[i] for i in differing)
        best = max(best, same / max(len(differing), 1))
    return best


def hides(ids):
    """Return True if the engine with both bugs gives the numbers of one of them."""
    cases = sample(ids)
    both = [numbers(planted(ids), case) for case in cases]
    return any([numbers(BUGS[name].engines[0], case) for case in cases] == both for name in ids)


def outcome_of(ids):
    """Run the checks on an engine with these bugs, and compare its names with them."""
    began = time.process_time()
    with mock.patch.dict(PROFILES, PLANTED):
        report = check_engine(planted(ids), profile="planted")
    found = Outcome(ids, seconds=time.process_time() - began)
    for result in report.results:
        found.failed += result.status in {"failed", "errored"}
        for finding in result.findings:
            diagnosis = finding.diagnosis
            if diagnosis is None or not diagnosis.likely:
                found.reasons.add(diagnosis.unknown if diagnosis else "not diagnosed")
                continue
            names = [cause.bug for cause in diagnosis.likely]
            clear = len(names) == 1 or diagnosis.together
            verdicts = {name: verdict_of(name, ids) for name in names}
            for name, (verdict, which) in verdicts.items():
                if verdict == "right":
                    (found.right if clear else found.among).add(which)
                elif clear or not any(v == "right" for v, _ in verdicts.values()):
                    (found.nearly if verdict == "nearly" else found.wrong).add(name)
    found.among -= found.right
    return found


@cache
def verdict_of(name, ids):
    """Return "right", "nearly" or "wrong" for a name, and the planted bug that it means."""
    if name in ids:
        return "right", name
    shares = {own: likeness(name, BUGS[own].engines[0], ids) for own in ids}
    shares[" + ".join(ids)] = likeness(name, planted(ids), ids)
    which = max(shares, key=shares.get)
    return "right" if shares[which] == 1 else "nearly" if shares[which] >= 0.5 else "wrong", which


def drawn_pairs(rng, count):
    """Return pairs of bugs that do not hide each other."""
    names = [name for name, bug in BUGS.items() if bug.kind != "memory"]
    pairs = []
    while len(pairs) < count:
        ids = tuple(str(name) for name in rng.choice(names, 2, replace=False))
        if not hides(ids):
            pairs.append(ids)
    return pairs


def main():
    budget.PATIENCE = 1e6  # Other work on the machine does not count.
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--singles", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("names", nargs="*", help="bugs to plant together")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    planned = [tuple(given.names)] if given.names else []
    singles = [name for name, bug in BUGS.items()]
    planned += [(str(n),) for n in rng.permutation(singles)[: given.singles]]
    planned += drawn_pairs(rng, given.pairs)
    outcomes = []
    for ids in planned:
        outcomes.append(outcome_of(ids))
        print(outcomes[-1], flush=True)  # noqa: T201 - the figures are the purpose
    for size in (1, 2):
        some = [o for o in outcomes if len(o.planted) == size]
        if some:
            print(  # noqa: T201
                f"{len(some)} engines of {size} bugs: all named in "
                f"{sum(set(o.planted) <= o.right for o in some)}, or among alternatives in "
                f"{sum(set(o.planted) <= o.right | o.among for o in some)}; nearly right names in "
                f"{sum(bool(o.nearly) for o in some)}; wrong names in "
                f"{sum(bool(o.wrong) for o in some)}; no failure in "
                f"{sum(not o.failed for o in some)}"
            )


if __name__ == "__main__":
    main()
