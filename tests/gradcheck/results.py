"""The benchmark's page: what each checker catches, misses, and calls wrong though it is right."""

from importlib.metadata import version
from statistics import median
from typing import Any

import mpmath
from gradcheck.faults import FAULTS, RELEASES, truth
from gradcheck.functions.entry import Function, Wrong

MISSED_OF_100 = 2
"""Largest number of wrong functions of 100 that ours may miss."""
CAUGHT = {"wrong", "error"}
"""Verdicts by which a user notices that a function is wrong: an exception is one of them."""
SILENT = {"error", "none", "timeout", "crash"}

Verdicts = dict[str, list[Any]]

HEAD = """\
# What checkers of gradients catch

`tox -e gradcheck` writes this page. It runs each checker on {wrong} wrong and {right} right
functions; they are in `tests/gradcheck/functions`. A function is wrong if its derivative is, or if
it fails in a second call, with strided arrays, or for second derivatives. The forward pass is right
in all of them. The other checkers run as their users run them: with their default settings, in
float64, at one point of normal numbers that are moved into the domain of each input. Functions of
another framework come to a checker through NumPy.

- **Caught**: the checker fails the wrong function, or the function raises an error in it.
- **False alarm**: the checker fails a right function. `faults.py` lists the alarms that
  are no false ones, because the released function is wrong.
- **No answer**: the checker raises another error, crashes, or needs more than 60 s.

Versions: {versions}. Times are those of the processor, without imports.
"""


def to_markdown(chosen: dict[str, Function], verdicts: dict[str, Verdicts]) -> str:
    """Return the page."""
    wrong, right = _split(chosen)
    packages = ("torch", "jax", "numdifftools", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    lines = [
        HEAD.format(wrong=len(wrong), right=len(right), versions=versions),
        (
            f"| checker | caught of {len(wrong)} wrong | false alarms on {len(right)} right | "
            "faults of releases found | no answer | median time | longest time |"
        ),
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for peer, of in verdicts.items():
        alarms = [name for name in right if of[name][0] == "wrong"]
        silent = [n for n in chosen if of[n][0] in SILENT and not (n in wrong and _caught(of, n))]
        seconds = [of[name][1] for name in chosen]
        lines.append(
            f"| {peer} | {sum(_caught(of, name) for name in wrong)} "
            f"| {sum(name not in FAULTS for name in alarms)} "
            f"| {sum(name in FAULTS for name in alarms)} "
            f"| {len(silent)} | {median(seconds):.2g} s | {max(seconds):.2g} s |"
        )
    return (
        "\n".join([*lines, *_missed(wrong, verdicts), *_alarms(right, verdicts), *_releases()])
        + "\n"
    )


def ours_is_good(chosen: dict[str, Function], ours: Verdicts) -> bool:
    """Return True if few wrong functions are missed, and no right one is called wrong."""
    wrong, right = _split(chosen)
    missed = [name for name in wrong if ours[name][0] != "wrong"]
    alarms = [name for name in right if ours[name][0] == "wrong" and name not in FAULTS]
    return len(missed) * 100 <= MISSED_OF_100 * len(wrong) and not alarms


def _split(chosen: dict[str, Function]) -> tuple[dict[str, Wrong], dict[str, Function]]:
    wrong = {name: f for name, f in chosen.items() if isinstance(f, Wrong)}
    return wrong, {name: f for name, f in chosen.items() if name not in wrong}


def _caught(of: Verdicts, name: str) -> bool:
    return of[name][0] in CAUGHT


def _missed(wrong: dict[str, Wrong], verdicts: dict[str, Verdicts]) -> list[str]:
    """Return the table of the wrong functions that a checker misses."""
    lines = [
        "\n## Wrong functions that a checker misses\n",
        f"| function | what is wrong | where | size | {' | '.join(verdicts)} |",
        "|---|---|---|---|" + ":-:|" * len(verdicts),
    ]
    for name, function in wrong.items():
        marks = ["caught" if _caught(of, name) else "**missed**" for of in verdicts.values()]
        if "**missed**" in marks:
            cells = [f"`{name}`", function.mistake, function.region, function.size, *marks]
            lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return lines


def _alarms(right: dict[str, Function], verdicts: dict[str, Verdicts]) -> list[str]:
    """Return the table of the alarms on right functions."""
    lines = [
        "\n## Alarms on right functions\n",
        "| function | alarm of | who is right |",
        "|---|---|---|",
    ]
    for name in right:
        peers = [peer for peer, of in verdicts.items() if of[name][0] == "wrong"]
        if peers:
            who = FAULTS.get(name, "the function")
            lines.append(f"| `{name}` | {', '.join(peers)} | {_cell(who)} |")
    return lines


def _releases() -> list[str]:
    """Return the table of the faults of releases."""
    lines = [
        "\n## Faults of releases\n",
        "Derivatives of released functions, found while the right functions were collected. c is a",
        "constant equal to x. `test_faults.py` computes all of them again.\n",
        "| library | function | dtype | x | derivative of the library | truth | report |",
        "|---|---|---|--:|--:|--:|---|",
    ]
    for fault in RELEASES:
        right = mpmath.nstr(truth(fault), 17)
        cells = [f"`{fault.function}`", fault.dtype, f"{fault.x:g}", f"{fault.got:g}", right]
        lines.append(f"| {' | '.join([fault.library, *map(_cell, cells), fault.report])} |")
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
