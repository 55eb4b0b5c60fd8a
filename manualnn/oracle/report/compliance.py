"""What engines comply with, as a table in Markdown: features are rows, engines are columns.

    to_markdown([report, …])                    the table, with footnotes
    to_markdown([report, …], brief=True)        a row for each group of rows

A layer, loss, optimizer or provocation is judged by the numbers of its own recipe: loss, outputs,
gradients, updates. Every other judgement (a metamorphic relation, memory, determinism) is a row of
its own, over all recipes. A cell is the worst that happened; its footnote tells why. What no engine
claims is no row, but named below.

    ✓   passed                        ✗   wrong numbers, or a promise broken
    –   not claimed                   e   an error, a crash, a hang or garbage
    s   claimed, and every case skipped
"""

from collections.abc import Callable, Iterable, Sequence

from manualnn.oracle.findings import CheckResult, Report
from manualnn.oracle.protocol.features import TABLES
from manualnn.oracle.report.report import engine_name
from manualnn.oracle.report.wording import entry_line
from manualnn.tables import format_markdown

NUMBERS = (
    "outputs",
    "loss",
    "grads",
    "input_grad",
    "params",
    "state",
    "numerical",
    "exact",
    "finite",
    "*",
)
"""Judgements of the numbers themselves; "*" stands for all of them."""
GROUPS = {
    "layer": "Layers",
    "loss": "Losses",
    "optimizer": "Optimizers",
    "provocation": "Provocations",
    "relation": "Relations, memory, determinism",
}
LEGEND = (
    "✓ passed, ✗ wrong numbers or a broken promise, – not claimed, "
    "s every case skipped, e error or crash"
)

Row = tuple[str, str]
"""Its group and its name."""

_WORST = ("e", "✗", "✓", "s", "–")


def to_markdown(reports: Sequence[Report], *, brief: bool = False) -> str:
    """Return the table of one report or several; brief: of groups, with counts of what is wrong."""
    tables = [_grouped(_cells(report)) if brief else _cells(report) for report in reports]
    rows = sorted({row for table in tables for row in table}, key=_place(tables))
    claimed = [row for row in rows if any(_claimed(table.get(row, [])) for table in tables)]
    notes: dict[str, int] = {}
    body: list[list[str]] = []
    group = ""
    for row in claimed:
        if row[0] != group and not brief:
            group = row[0]
            body.append([f"**{GROUPS[group]}**", *[""] * len(reports)])
        cells = [_cell(table.get(row, []), notes, counted=brief) for table in tables]
        body.append([row[1], *cells])
    lines = format_markdown(["", *map(engine_name, reports)], body, "lc", padded=False)
    lines += ["", LEGEND + "."]
    if len(claimed) < len(rows):
        absent = ", ".join(row[1] for row in rows if row not in claimed)
        lines += ["", f"Claimed by none: {absent}."]
    for note, number in notes.items():
        lines += ["", f"{number}. {note}"]
    return "\n".join(lines) + "\n"


def _cells(report: Report) -> dict[Row, list[CheckResult]]:
    """Return the results that belong to each row, rows in the order of the report."""
    cells: dict[Row, list[CheckResult]] = {}
    for result in report.results:
        recipe, _, judgement = result.id.partition(":")
        kind, _, name = recipe.partition(".")
        if judgement not in NUMBERS:
            row = ("relation", judgement)
        elif kind in GROUPS and name:
            row = (kind, name)
        else:
            row = ("provocation", recipe)
        cells.setdefault(row, []).append(result)
    return cells


def _grouped(cells: dict[Row, list[CheckResult]]) -> dict[Row, list[CheckResult]]:
    """Return the same with all rows of a group in one."""
    groups: dict[Row, list[CheckResult]] = {}
    for (group, _), results in cells.items():
        groups.setdefault((group, GROUPS[group]), []).extend(results)
    return groups


def _place(tables: Iterable[Iterable[Row]]) -> Callable[[Row], tuple[int, int, int]]:
    """Return a key that sorts rows by group, features as in the oracle's tables, then as run."""
    order = {row: i for i, row in enumerate(dict.fromkeys(r for table in tables for r in table))}
    features = [name for table in TABLES.values() for name in table]

    def place(row: Row) -> tuple[int, int, int]:
        name = row[1].partition(".")[0]
        known = features.index(name) if name in features else len(features)
        return list(GROUPS).index(row[0]), known, order[row]

    return place


def _claimed(results: Iterable[CheckResult]) -> bool:
    return any(result.status != "not_claimed" for result in results)


def _cell(results: Sequence[CheckResult], notes: dict[str, int], *, counted: bool) -> str:
    marks = [_mark(result) for result in results] or ["–"]
    worst = min(marks, key=_WORST.index)
    if worst not in {"✗", "e"}:
        return worst
    told = dict.fromkeys(_note(r) for r, mark in zip(results, marks, strict=True) if mark == worst)
    numbers = [notes.setdefault(note, len(notes) + 1) for note in told]
    judged = sum(mark not in {"–", "s"} for mark in marks)
    count = f" {marks.count(worst)} of {judged}" if counted else ""
    return f"{worst}{count} <sup>{', '.join(map(str, sorted(numbers)))}</sup>"


def _mark(result: CheckResult) -> str:
    if result.status in {"passed", "unexpected"}:
        return "✓"
    if result.status in {"not_claimed", "skipped"}:
        return "–" if result.status == "not_claimed" else "s"
    faults = [finding.kind for finding in result.findings if finding.kind != "wrong"]
    return "e" if result.status == "errored" or faults else "✗"


def _note(result: CheckResult) -> str:
    """Return why a check failed: the reason for expecting it, the likely cause, or what is seen."""
    if result.status == "expected":
        return _inline(result.reason)
    if not result.findings:
        return _inline(result.reason or result.sentence)
    finding = result.findings[0]
    diagnosis = finding.diagnosis
    if diagnosis is not None and diagnosis.likely:
        cause = " or ".join(f"{cause.title}: `{cause.wrong}`" for cause in diagnosis.likely)
        return _inline(f"{cause} in place of `{diagnosis.likely[0].right}`")
    if finding.kind != "wrong":
        return _inline(f"{finding.kind}: {''.join(finding.message.strip().splitlines()[-1:])}")
    if diagnosis is not None:
        return _inline(" ".join(filter(None, (diagnosis.scope, diagnosis.ratio, diagnosis.when))))
    seen = f"`{entry_line(finding.entries[0])}`" if finding.entries else ""
    return _inline(f"{finding.message or result.sentence} {seen}")


def _inline(text: str) -> str:
    return " ".join(text.split())
