"""Table of compliance in Markdown: one row for each feature, one column for each engine.

    to_markdown([report, …])                    the table, with footnotes
    to_markdown([report, …], brief=True)        one row for each group of rows
    compare([report, …])                        the same as data

The row of a layer, loss, optimizer or provocation shows the checks of numbers in its own recipe:
loss, outputs, gradients, updates. Every other assertion (a metamorphic relation, memory,
determinism) has its own row, over all recipes. A cell shows the worst status of its checks, and its
footnote gives the reason. Features that no engine claims, and the conventions of each engine, are
listed below the table.

    ✓   passed                        ✗   wrong numbers, or another assertion failed
    –   not claimed                   e   an error, a crash, a hang or garbage
    s   claimed, but every case skipped    ?   not judged, because another feature fails
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from manualnn.oracle.findings import CheckResult, Finding
from manualnn.oracle.protocol.features import TABLES
from manualnn.oracle.report.wording import entry_line
from manualnn.output.tables import format_markdown

if TYPE_CHECKING:
    from manualnn.oracle.report.report import Report

QUANTITIES = ("outputs", "loss", "grads", "input_grad", "params", "state")
NUMBERS = (*QUANTITIES, "numerical", "exact", "finite", "overflow", "*")
"""Assertions about numbers; "*" stands for all of them."""
GROUPS = {
    "layer": "Layers",
    "loss": "Losses",
    "optimizer": "Optimizers",
    "provocation": "Provocations",
    "relation": "Relations, memory, determinism",
}
LEGEND = (
    "✓ passed, ✗ wrong numbers or a failed assertion, – not claimed, "
    "s every case skipped, e error or crash, ? not judged because another feature fails"
)

Row = tuple[str, str]
"""Group and name of a row."""

_WORST = ("e", "✗", "?", "✓", "s", "–")


Cell = tuple[str, list[int]]
"""A mark, and the numbers of its footnotes."""


@dataclass
class Comparison:
    """The table of several engines."""

    engines: list[str]
    rows: list[tuple[str, list[Cell]]]
    """A name, and a cell for each engine; a row without cells is the title of a group."""
    remarks: list[str]
    """Sentences on the marks, on what no engine claims, and on conventions."""
    notes: list[str]
    """The footnotes: note 1, note 2, …"""


def compare(reports: Sequence["Report"], *, brief: bool = False) -> Comparison:
    """Return the table of the reports; `brief`: one row a group, with counts of failed checks."""
    tables = [_grouped(_cells(report)) if brief else _cells(report) for report in reports]
    rows = sorted({row for table in tables for row in table}, key=_sort_key(tables))
    claimed = [
        row
        for row in rows
        if any(r.status != "not_claimed" for table in tables for r in table.get(row, []))
    ]
    notes: dict[str, int] = {}
    body: list[tuple[str, list[Cell]]] = []
    group = ""
    for row in claimed:
        if row[0] != group and not brief:
            group = row[0]
            body.append((GROUPS[group], []))
        cells = [_cell(table.get(row, []), notes, counted=brief) for table in tables]
        body.append((row[1], cells))
    remarks = [LEGEND + "."]
    if len(claimed) < len(rows):
        absent = ", ".join(row[1] for row in rows if row not in claimed)
        remarks.append(f"Claimed by none: {absent}.")
    remarks += (
        f"Convention of {report.engine_name}: {convention}."
        for report in reports
        for convention in report.capabilities.described_conventions()
    )
    return Comparison([report.engine_name for report in reports], body, remarks, [*notes])


def to_markdown(reports: Sequence["Report"], *, brief: bool = False) -> str:
    """Return the table of the reports in Markdown, with footnotes."""
    table = compare(reports, brief=brief)
    body = [
        [name, *map(_with_notes, cells)] if cells else [f"**{name}**", *[""] * len(reports)]
        for name, cells in table.rows
    ]
    lines = format_markdown(["", *table.engines], body, "lc", padded=False)
    for remark in table.remarks:
        lines += ["", remark]
    for number, note in enumerate(table.notes, 1):
        lines += ["", f"{number}. {note}"]
    return "\n".join(lines) + "\n"


def _cells(report: "Report") -> dict[Row, list[CheckResult]]:
    """Return the results of each row, rows in the order of the report."""
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
    """Return the results of each group."""
    groups: dict[Row, list[CheckResult]] = {}
    for (group, _), results in cells.items():
        groups.setdefault((group, GROUPS[group]), []).extend(results)
    return groups


def _sort_key(tables: Iterable[Iterable[Row]]) -> Callable[[Row], tuple[int, int, int]]:
    """Return a key that sorts rows by group, then features by table, then by time of the run."""
    order = {row: i for i, row in enumerate(dict.fromkeys(r for table in tables for r in table))}
    features = [name for table in TABLES.values() for name in table]

    def key(row: Row) -> tuple[int, int, int]:
        name = row[1].partition(".")[0]
        known = features.index(name) if name in features else len(features)
        return list(GROUPS).index(row[0]), known, order[row]

    return key


def _cell(results: Sequence[CheckResult], notes: dict[str, int], *, counted: bool) -> Cell:
    marks = [_mark(result) for result in results] or ["–"]
    worst = min(marks, key=_WORST.index)
    if worst not in {"✗", "e", "?"}:
        return worst, []
    texts = [_reason_or_note(r) for r, mark in zip(results, marks, strict=True) if mark == worst]
    numbers = {notes.setdefault(" ".join(text.split()), len(notes) + 1) for text in texts}
    judged = sum(mark not in {"–", "s", "?"} for mark in marks)
    count = f" {marks.count(worst)} of {judged}" if counted else ""
    return f"{worst}{count}", sorted(numbers)


def _with_notes(cell: Cell) -> str:
    mark, notes = cell
    return f"{mark} <sup>{', '.join(map(str, notes))}</sup>" if notes else mark


def _mark(result: CheckResult) -> str:
    marks = {"passed": "✓", "unexpected": "✓", "not_claimed": "–", "skipped": "s"}
    marks |= {"errored": "e", "not_judged": "?"}
    if result.findings and all(_blames_another(result.id, f) for f in result.findings):
        return "?"
    has_fault = any(finding.kind != "wrong" for finding in result.findings)
    return marks.get(result.status, "e" if has_fault else "✗")


def _blames_another(check: str, finding: Finding) -> bool:
    """Return True if a finding in the recipe of a feature blames only other features."""
    kind, _, name = check.partition(":")[0].partition(".")
    own = name.partition(".")[0] if kind in {"layer", "loss", "optimizer"} else ""
    return bool(own and finding.blamed) and own not in finding.blamed


def _reason_or_note(result: CheckResult) -> str:
    """Return the reason of a check that is not judged, or the note of a failure."""
    if _mark(result) == "?" and result.findings:
        return f"{' and '.join(result.findings[0].blamed)} fails"
    return _note(result)


def _note(result: CheckResult) -> str:
    """Return the reason of a failure: the expected one, the likely cause, or the wrong numbers."""
    if result.status in {"expected", "not_judged"}:
        return result.reason
    if not result.findings:
        return result.reason or result.sentence
    finding = result.findings[0]
    diagnosis = finding.diagnosis
    if diagnosis is not None and diagnosis.likely:
        cause = " or ".join(f"{cause.title}: `{cause.wrong}`" for cause in diagnosis.likely)
        return f"{cause} instead of `{diagnosis.likely[0].right}`"
    if finding.kind != "wrong":
        return f"{finding.kind}: {''.join(finding.message.strip().splitlines()[-1:])}"
    if diagnosis is not None:
        return f"{diagnosis.scope} {diagnosis.ratio} {diagnosis.when}"
    numbers = f"`{entry_line(finding.entries[0])}`" if finding.entries else ""
    return f"{finding.message or result.sentence} {numbers}"
