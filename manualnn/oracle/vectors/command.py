"""The command `manualnn vectors`, a thin layer over the library."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from manualnn.output.console import UnusableError, exit_with_2

__all__ = ["vectors"]


@click.command(short_help="Write cases with their truth, for engines that Python cannot call.")
@click.argument("out", type=click.Path(file_okay=False))
@click.option("--seed", type=click.IntRange(0), default=0, help="Random seed for the cases.")
@click.option(
    "--claims",
    type=click.Path(exists=True, dir_okay=False),
    help="JSON file with the engine's claims, as of `manualnn check --protocol`: all cases fit "
    "them. Without it, the cases cover every feature.",
)
def vectors(out: str, seed: int, claims: str | None) -> None:
    """Write conformance vectors: cases, their truth, and the error bounds of a correct engine.

    The engine reads the cases and writes its answers to files. `manualnn check --answers DIR`
    then checks the answers. OUT/README.md describes the files.
    """
    from manualnn.oracle.vectors.files import write_vectors
    from manualnn.output.progress_bar import find_tqdm

    tqdm = find_tqdm()
    with exit_with_2(), tqdm(unit="case", leave=False) if tqdm else nullcontext() as bar:

        def show(done: int, total: int) -> None:
            if bar is not None:
                bar.total = total
                bar.update(done - bar.n)

        content = None if claims is None else _read_claims(claims)
        count = write_vectors(out, seed=seed, claims=content, progress=show)
    click.echo(f"{count:,} cases written to {out}")


def _read_claims(file: str) -> dict[str, Any]:
    """Return the claims in a JSON file; an engine's first line `hello` is one."""
    try:
        content = json.loads(Path(file).read_bytes())
    except ValueError as error:
        raise UnusableError(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise UnusableError(
            f"{file} holds no JSON object; expected claims such as "
            '{"layers": ["Linear"], "losses": ["MSELoss"]}.'
        )
    return {name: value for name, value in content.items() if name != "type"}
