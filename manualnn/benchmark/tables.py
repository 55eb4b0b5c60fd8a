"""Ratios as tables: Markdown whose columns are aligned, so that it reads well as it is.

step_tables(rows)              for each rule, precision, activation and number of threads
value_table(rows, …)           one value and its ratios, for a task of another kind
reasons(rows)                  who was left out where, and why
write_markdown(path, text)     a new file, or the marked part of one
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from manualnn.benchmark.timing import Row
from manualnn.errors import TableError

OURS, LIMIT = "manualnn", "products"
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"


def step_tables(rows: Sequence[Row]) -> list[str]:
    """Return the lines of all tables: ours in µs, ours ÷ products, every other peer ÷ ours."""
    lines: list[str] = []
    for kind in dict.fromkeys(map(_kind, rows)):
        members = [row for row in rows if _kind(row) == kind]
        threads, dtype, activation, optimizer = kind
        columns = [
            ("ours, µs", _microseconds),
            ("ours ÷ products", _over(OURS, LIMIT)),
            *((f"{peer} ÷ ours", _over(peer, OURS)) for peer in _others(members)),
        ]
        heads = ["network (batch)", *(head for head, _ in columns)]
        body = [[row.case.network, *(told(row) for _, told in columns)] for row in members]
        title = f"{optimizer}, {dtype}, {activation}, {threads} thread{'s' * (threads > 1)}"
        lines += [f"**{title}**", "", *markdown(heads, body), ""]
    return lines


def value_table(
    rows: Iterable[Row],
    first: str,
    label: Callable[[Row], str],
    *,
    show: Callable[[float], str],
    unit: str,
    base: str = OURS,
) -> list[str]:
    """Return a table of every peer's value, and of its ratio to the base's."""
    rows = list(rows)
    peers = [OURS, LIMIT, *_others(rows)]
    peers = [peer for peer in peers if any(peer in row.turns for row in rows)]
    heads = [first, *(f"{peer}, {unit}" for peer in peers)]
    named = "ours" if base == OURS else base
    heads += [f"{peer} ÷ {named}" for peer in peers if peer != base]
    body = []
    for row in rows:
        values = [row.value(peer) for peer in peers]
        shown = ["–" if value is None else show(value) for value in values]
        ratios = [_over(peer, base)(row) for peer in peers if peer != base]
        body.append([label(row), *shown, *ratios])
    return markdown(heads, body)


def reasons(rows: Iterable[Row]) -> list[str]:
    """Return a line for every peer that was left out somewhere: where, and why."""
    rows = list(rows)
    everywhere = {row.case.network for row in rows}
    where: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for peer, reason in row.skipped.items():
            where.setdefault((peer, reason), []).append(row.case.network)
    lines = []
    for (peer, reason), networks in where.items():
        names = list(dict.fromkeys(networks))
        places = "" if set(names) == everywhere else f" of {', '.join(names)}"
        lines.append(f"{peer} is left out{places}: {reason}")
    return lines


def markdown(heads: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Return a table whose columns are aligned; all but the first to the right."""
    widths = [max(3, *(len(line[i]) for line in [heads, *body])) for i in range(len(heads))]

    def aligned(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [aligned(heads), aligned(rule), *map(aligned, body)]


def write_markdown(path: str | Path, lines: Sequence[str]) -> None:
    """Write a new file; or, into one that has the two marks, what stands between them.

    Raises TableError where there is a file without them, for it is somebody's.
    """
    path = Path(path)
    before, after = "", ""
    if path.exists():
        before, found, rest = path.read_text(encoding="utf-8").partition(BEGIN)
        _, ended, after = rest.partition(END)
        if not (found and ended):
            message = (
                f"{path} is there, and has no marks {BEGIN} and {END} between which the tables "
                "could stand; add them, or name a new file."
            )
            raise TableError(message)
    text = "\n".join([BEGIN, "", *lines, "", END])
    path.write_text(f"{before}{text}{after or chr(10)}", encoding="utf-8")


def microseconds(seconds: float) -> str:
    """Return three digits or more, in µs."""
    value = seconds * 1e6
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _kind(row: Row) -> tuple[int, str, str, str]:
    case = row.case
    return case.threads, case.dtype, case.activation, case.optimizer


def _others(rows: Iterable[Row]) -> list[str]:
    there = dict.fromkeys(peer for row in rows for peer in row.turns)
    return [peer for peer in there if peer not in {OURS, LIMIT}]


def _microseconds(row: Row) -> str:
    value = row.value(OURS)
    return "–" if value is None else microseconds(value)


def _over(above: str, below: str) -> Callable[[Row], str]:
    def told(row: Row) -> str:
        value = row.ratio(above, below)
        return "–" if value is None else f"{value:.2f}" if value < 100 else f"{value:,.0f}"

    return told
