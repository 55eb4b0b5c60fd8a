"""Tables of the benchmark in Markdown, with aligned columns.

step_tables(rows)              a table for each rule, precision, activation and number of threads
value_table(rows, …)           a table of times and ratios, for other tasks than a step
reasons(rows)                  the peers that were skipped, with the reasons
write_markdown(path, lines)    writes a new file, or the marked part of a file
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from manualnn.benchmark.timing import Row
from manualnn.errors import TableError
from manualnn.output.files import write_whole
from manualnn.output.tables import format_markdown

OURS, LIMIT = "manualnn", "products"
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"


def step_tables(rows: Sequence[Row]) -> list[str]:
    """Return the lines of all tables: our time in µs, ours ÷ products, every other peer ÷ ours."""
    lines: list[str] = []
    for kind in dict.fromkeys(map(_kind, rows)):
        members = [row for row in rows if _kind(row) == kind]
        threads, dtype, activation, optimizer = kind
        others = _others(members)
        heads = ["network (batch)", "ours, µs", "ours ÷ products", *(f"{p} ÷ ours" for p in others)]
        body = [
            [
                row.case.network,
                _format_value(row, OURS, microseconds),
                _format_ratio(row, OURS, LIMIT),
                *(_format_ratio(row, peer, OURS) for peer in others),
            ]
            for row in members
        ]
        title = f"{optimizer}, {dtype}, {activation}, {threads} thread{'s' * (threads > 1)}"
        lines += [f"**{title}**", "", *format_markdown(heads, body, "lr"), ""]
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
    """Return a table of every peer's value, and its ratio to the value of `base`.

    `first` is the title of the first column, `label` its cell; `show` formats a value of that unit.
    """
    rows = list(rows)
    peers = [OURS, LIMIT, *_others(rows)]
    peers = [peer for peer in peers if any(peer in row.turns for row in rows)]
    heads = [first, *(f"{peer}, {unit}" for peer in peers)]
    named = "ours" if base == OURS else base
    heads += [f"{peer} ÷ {named}" for peer in peers if peer != base]
    body = [
        [
            label(row),
            *(_format_value(row, peer, show) for peer in peers),
            *(_format_ratio(row, peer, base) for peer in peers if peer != base),
        ]
        for row in rows
    ]
    return format_markdown(heads, body, "lr")


def reasons(rows: Iterable[Row]) -> list[str]:
    """Return a line for every peer that was skipped: the networks, and the reason."""
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


def write_markdown(path: str | Path, lines: Sequence[str]) -> None:
    """Write lines to a new file, or between the two marks of an existing file.

    Raises TableError if an existing file lacks the marks, because it may be somebody's own.
    """
    path = Path(path)
    before, after = "", ""
    if path.exists():
        before, found, rest = path.read_text(encoding="utf-8").partition(BEGIN)
        _, ended, after = rest.partition(END)
        if not (found and ended):
            message = (
                f"{path} exists, but lacks the marks {BEGIN} and {END}, between which the tables "
                "belong; add them, or name a new file."
            )
            raise TableError(message)
    text = "\n".join([BEGIN, "", *lines, "", END])
    write_whole(path, f"{before}{text}{after or chr(10)}".encode())


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


def _format_value(row: Row, peer: str, show: Callable[[float], str]) -> str:
    value = row.value(peer)
    return "–" if value is None else show(value)


def _format_ratio(row: Row, above: str, below: str) -> str:
    ratio = row.ratio(above, below)
    return "–" if ratio is None else f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}"
