"""The command `manualnn bench`, a thin layer over `manualnn.benchmark`, loaded when it runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["bench"]

NETWORKS = (
    "3-2-2",
    "4-16-3",
    "64-128-64-10",
    "784-128-10",
    "784-512-256-10",
    "1024-1024-1024-1024",
)
"""Those of `cases.GRID`, which would bring NumPy to every `--help`."""

_Function = TypeVar("_Function", bound=Callable[..., Any])
_FILE = click.Path(dir_okay=False, writable=True)


def _several(
    name: str, values: tuple[str, ...], default: tuple[str, ...], told: str
) -> Callable[[_Function], _Function]:
    kind = click.Choice(values)
    return click.option(
        f"--{name}", f"{name}s", multiple=True, type=kind, default=default, help=told
    )


@click.command(short_help="Time training steps beside their bare matrix products.")
@_several("network", NETWORKS, NETWORKS, "Repeatable; all if none is given.")
@_several("dtype", ("float32", "float64"), ("float32",), "Repeatable.")
@_several("activation", ("Sigmoid", "ReLU"), ("Sigmoid",), "Of the hidden layers; repeatable.")
@_several("optimizer", ("SGD", "Adam"), ("SGD", "Adam"), "Repeatable.")
@click.option(
    "--threads",
    multiple=True,
    type=click.Choice(["one", "all"]),
    default=("one",),
    help="Of every peer; repeatable.",
)
@click.option("--full", is_flag=True, help="Both precisions, activations and numbers of threads.")
@click.option("--rounds", type=click.IntRange(1), default=7, help="Turns of each peer.")
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), default=0.05, help="Length of a turn."
)
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Write every turn there.")
@click.option(
    "--markdown",
    "markdown_file",
    type=_FILE,
    metavar="FILE",
    help="Write the tables to a new file, or between the marks that an old one has.",
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
    """Time a training step of ours beside the bare matrix products of the same shapes.

    The products, manualnn, and torch where it is installed, run in processes of their own, taken
    turn about; ratios are medians over the turns. The six networks in float32 with sigmoid, SGD and
    Adam, on one thread, take half a minute.
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
        Path(json_file).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def quoted(lines: list[str]) -> list[str]:
    """Return lines as they are, for Markdown."""
    return ["```text", *lines, "```"]
