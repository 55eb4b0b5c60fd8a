"""Choose the examples of an expensive test: those of changed files, and a share that rotates.

    choose(MISTAKES, files_of)              all of them in the profile nightly, otherwise a part
    choose(PROOFS, files_of, parts=3)       a third, and those of changed files
    share(CONTROLS, 16)                     all of them in nightly, otherwise a sixteenth

Planting a bug costs seconds, and there are hundreds. A push plants the bugs of the files that it
changes, at most CHANGED of them, and every SHARE-th of the rest. The share moves on by one with
each commit, so that SHARE commits plant everything once. The choice depends on the repository
alone, because all workers of a run must choose the same.

The environment variable MANUALNN_BASE names the commit with which files are compared. Without it,
that is the parent of the last commit. Without git, the first share runs.
"""

import inspect
import os
import subprocess
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar

from hypothesis import settings

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
SHARE = {"ci": 128, "dev": 192}
"""The profile's share is one of so many examples; a profile below dev takes dev's."""
CHANGED = {"ci": 4, "dev": 4}
"""The most examples that are chosen because their file has changed."""


def profile() -> str:
    """Return the profile that decides: nightly, ci or dev, by the number of Hypothesis examples."""
    for name in ("nightly", "ci"):
        if settings().max_examples >= settings.get_profile(name).max_examples:
            return name
    return "dev"


def choose(
    examples: Iterable[T],
    files_of: Callable[[T], Iterable[Path]],
    *,
    parts: int | None = None,
    most: int | None = None,
) -> list[T]:
    """Return the examples of this run, in their order; `files_of` gives an example's files.

    One of `parts` examples comes in its turn, SHARE by default; and `most` at most come because
    one of their files has changed, CHANGED by default.
    """
    known = list(examples)
    if profile() == "nightly":
        return known
    parts, most = parts or SHARE[profile()], most or CHANGED[profile()]
    changed = [i for i, e in enumerate(known) if not changed_files().isdisjoint(files_of(e))]
    spread = changed[:: -(-len(changed) // most)] if changed else []
    return [known[i] for i in sorted({*spread, *range(turn() % parts, len(known), parts)})]


def share(examples: Iterable[T], parts: int) -> list[T]:
    """Return one of so many parts of the examples, in turn; all of them in the profile nightly."""
    return list(examples) if profile() == "nightly" else list(examples)[turn() % parts :: parts]


def file_of(thing: object) -> Path:
    """Return the file of a class, or of an object's class."""
    return Path(inspect.getfile(thing if isinstance(thing, type) else type(thing)))


@cache
def changed_files() -> frozenset[Path]:
    """Return the files that differ from the base commit, uncommitted changes included."""
    base = os.environ.get("MANUALNN_BASE") or "HEAD~1"
    return frozenset(ROOT / name for name in _git("diff", "--name-only", base).splitlines())


@cache
def turn() -> int:
    """Return the number of commits so far."""
    return int(_git("rev-list", "--count", "HEAD") or 0)


def _git(*words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            ["git", *words],  # noqa: S607 - git is wherever the machine has it
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""
