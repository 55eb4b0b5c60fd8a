"""The command `manualnn doctor`, a thin layer over `manualnn.doctor`, loaded when it runs."""

import json
from pathlib import Path

import click

__all__ = ["doctor"]


@click.command(short_help="Tell what speed and accuracy depend on here.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, writable=True),
    metavar="FILE",
    help="Write everything that was found there, too.",
)
def doctor(json_file: str | None) -> None:
    """Tell what speed and accuracy depend on here: NumPy, its BLAS, the processor, the extras.

    The BLAS's products are measured with each of its kernels that the processor can run, in
    processes of their own; if others are faster, it says what to set. Nothing is changed.
    """
    from manualnn.doctor.report import examine

    report = examine()
    click.echo(report.text())
    if json_file:
        text = json.dumps(report.to_json(), indent=1, ensure_ascii=False)
        Path(json_file).write_text(text + "\n", encoding="utf-8")
