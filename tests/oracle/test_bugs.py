"""Every bug of the catalogue is noticed, by a check that it names.

The profile nightly runs those checks on every variant. The other profiles run them on the variants
of changed files, and on a share that rotates (see rotation.py).
"""

import re
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from oracle.drawn import corners_of_layers, drawn_case
from rotation import choose, profile, turn

from manualnn.oracle import check_engine, profiles
from manualnn.oracle.bugs import BUGS, TABLES
from manualnn.oracle.bugs.behaviour import partial
from manualnn.oracle.findings import Outcome
from manualnn.oracle.profiles import PROFILES
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.runner import checks_for
from manualnn.oracle.textbook.engine import Textbook

EACH = profile() == "nightly"
FILES = {name: Path(table.__file__) for table in TABLES for name in table.BUGS}
ENGINES = [
    (name, i)
    for name, bug in BUGS.items()
    # The engines of a family differ in a number, or in the condition of a known bug.
    for i in ([turn() % len(bug.engines)] if bug.rank else range(len(bug.engines)))
    # A bug in a part of the cases may be silent in those of one check; another test shows it.
    if name not in partial.BUGS
]
CHOSEN = choose(ENGINES, lambda engine: [FILES[engine[0]]])
IDS = [check for check, _ in checks_for(Capabilities.read(Textbook().capabilities()))]
KINDS = ("losses", "activations", "backward", "optimizers", "memory", "precision")
DRAWN = [drawn_case(np.random.default_rng(i)) for i in range(200)]
CASES = [*DRAWN, *corners_of_layers()]
ENOUGH = 10
"""Cases with a feature in which bugs do not agree by chance."""


@pytest.fixture
def unexplained(monkeypatch):
    """The quick profile without the time for shrinking and explaining."""
    quick = PROFILES["quick"]
    unexplained = profiles.Profile(quick.examples, quick.size, 0)
    monkeypatch.setitem(PROFILES, "unexplained", unexplained)
    return "unexplained"


def numbers(engine, case):
    """Return a digest of all numbers of a result in float32, which distinguishes bugs."""
    arrays = Outcome(result=engine.step(case.copy())).quantities().values()
    with np.errstate(all="ignore"):
        return sha256(b"".join(np.asarray(a, np.float32).tobytes() for a in arrays)).digest()


def types_of(case):
    return {part["type"] for _, part in case.parts()}


class NoticedError(Exception):
    """A check failed, so that the run may end."""


def end_at_first_failure(_done, _total, report):
    if any(result.status in {"failed", "errored"} for result in report.results):
        raise NoticedError


@pytest.mark.parametrize(("name", "i"), CHOSEN, ids=str)
def test_a_bug_is_noticed_by_the_checks_that_it_names(name, i, unexplained):
    bug = BUGS[name]
    with pytest.raises(NoticedError):
        check_engine(
            bug.engines[i],
            profile=unexplained,
            only=[bug.killed_by],
            progress=end_at_first_failure,
        )


def test_the_catalogue_is_large_and_nothing_in_it_is_lost():
    assert len(BUGS) >= 300
    assert len(BUGS) == sum(len(table.BUGS) for table in TABLES)


def test_every_bug_is_described():
    for bug in BUGS.values():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", bug.id)
        assert bug.title.endswith("."), bug.id
        assert bug.wrong != bug.right, bug.id
        assert bug.kind in KINDS, bug.id
        assert any(fnmatchcase(check, bug.killed_by) for check in IDS), bug.id


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__.rpartition("bugs.")[2])
def test_bugs_run_in_extended_precision(table):
    for bug in table.BUGS.values():
        for make in bug.engines:
            engine = make(np.longdouble)
            for case in CASES[:3]:
                for name, array in Outcome(result=engine.step(case.copy())).quantities().items():
                    assert np.asarray(array).dtype == np.longdouble, (bug.id, name)


def changed(engine, case, right):
    """Return the numbers of a bug's engine; the right ones where it cannot run.

    A bug of plain chains need not run in a Residual, or beside a layer that changes the width.
    """
    try:
        return numbers(engine, case)
    except (KeyError, TypeError, ValueError):
        return right


@pytest.mark.parametrize("kinds", [KINDS] if EACH else [(KINDS[turn() % 4],)], ids=str)
def test_no_two_bugs_are_the_same(kinds):
    """No two bugs give the same numbers in all cases, or in all drawn cases with one feature.

    An engine may have no other feature. Bugs of memory and rounding may change no result, and
    others need not change these cases. Bugs that change few cases may agree in them by chance.
    """
    features = {"": (3, range(len(CASES)))} | {
        name: (ENOUGH, [i for i, case in enumerate(DRAWN) if name in types_of(case)])
        for name in sorted(set().union(*map(types_of, CASES)) - {"Linear"})
    }
    right = [numbers(Textbook(np.longdouble), case) for case in CASES]
    seen = {}
    for name, bug in BUGS.items():
        if not bug.exact or bug.kind == "memory" or bug.kind not in kinds:
            continue
        if name in partial.BUGS:  # Its conditions hold in most cases, or in few.
            continue
        for make in bug.engines:
            engine = make(np.longdouble)
            got = [
                changed(engine, case, number) if bug.acts_in(case) else number
                for case, number in zip(CASES, right, strict=True)
            ]
            for feature, (least, chosen) in features.items():
                if sum(got[i] != right[i] for i in chosen) >= least:
                    # A family is named only if no single bug is, so both may have one engine.
                    key = (feature, bug.rank, *(got[i] for i in chosen))
                    assert seen.setdefault(key, name) == name, feature
