"""The command `manualnn bench`, a thin layer over `manualnn.benchmark`."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from manualnn.benchmark.cases import GRID
from manualnn.output.files import write_text

__all__ = ["bench"]

_NETWORKS = tuple(GRID)

_Function = TypeVar("_Function", bound=Callable[..., Any])
_FILE = click.Path(dir_okay=False, writable=True)


def _several(
    name: str, values: tuple[str, ...], default: tuple[str, ...], subject: str
) -> Callable[[_Function], _Function]:
    kind = click.Choice(values)
    return click.option(
        f"--{name}",
        f"{name}s",
        multiple=True,
        type=kind,
        default=default,
        help=f"{subject}; may be repeated.",
    )


@click.command(short_help="Compare training steps with their bare matrix products.")
@_several("network", _NETWORKS, _NETWORKS, "Widths of a network")
@_several("dtype", ("float32", "float64"), ("float32",), "Precision")
@_several("activation", ("Sigmoid", "ReLU"), ("Sigmoid",), "Layer after each hidden layer")
@_several("optimizer", ("SGD", "Adam"), ("SGD", "Adam"), "Update rule")
@click.option(
    "--threads",
    multiple=True,
    type=click.Choice(["one", "all"]),
    default=("one",),
    help="Number of threads; may be repeated.",
)
@click.option(
    "--full",
    is_flag=True,
    help="Measure both precisions, both activations and both numbers of threads.",
)
@click.option("--rounds", type=click.IntRange(1), default=7, help="Number of turns per library.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=0.05,
    help="Length of a turn, in seconds.",
)
@click.option(
    "--json", "json_file", type=_FILE, metavar="FILE", help="File for all turns, as JSON."
)
@click.option(
    "--markdown",
    "markdown_file",
    type=_FILE,
    metavar="FILE",
    help="File for the tables: a new one, or one with the marks between which they belong.",
)
def bench(
    *,
    full: bool,
    threads: tuple[str, ...],
    rounds: int,
    seconds: float,
    json_file: str | None,
    markdown_file: str | None,
    **options: Any,
) -> None:
    """Compare the time of a training step with that of the bare matrix products of the same shapes.

    The products, manualnn, and torch if installed, run in processes of their own and take turns.
    Ratios are medians over the turns. The default (six networks in float32 with sigmoid, SGD and
    Adam, on one thread) takes half a minute.
    """
    from manualnn.benchmark import cases, peers, tables, timing
    from manualnn.doctor.processes import usable_cores
    from manualnn.doctor.report import examine

    if full:
        options |= {"dtypes": ("float32", "float64"), "activations": ("Sigmoid", "ReLU")}
        threads = ("one", "all")
    counts = list(dict.fromkeys({"one": 1, "all": usable_cores()}[word] for word in threads))
    about = examine()
    head = [*about.brief(), *peers.versions(peers.PEERS)]
    click.echo("\n".join(head) + "\n")
    rows: list[timing.Row] = []
    chosen = cases.grid(threads=counts, **options)
    for row in timing.compare(peers.PEERS, chosen, rounds=rounds, seconds=seconds):
        click.echo(f"{len(rows) + 1}/{len(chosen)}  {row.case}", err=True)
        rows.append(row)
    lines = [*tables.step_tables(rows), *tables.reasons(rows)]
    click.echo("\n".join(lines).rstrip())
    if markdown_file:
        tables.write_markdown(markdown_file, [*quoted(head), "", *lines])
    if json_file:
        kept = {"machine": about.to_json(), "step": [row.to_json() for row in rows]}
        write_text(json_file, json.dumps(kept, indent=1) + "\n")


def quoted(lines: list[str]) -> list[str]:
    """Return the lines as a code block of Markdown."""
    return ["```text", *lines, "```"]
