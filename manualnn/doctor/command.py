"""The command `manualnn doctor`, a thin layer over `manualnn.doctor`."""

import json

import click

from manualnn.output.files import write_text

__all__ = ["doctor"]


@click.command(short_help="Examine what speed and accuracy depend on.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, writable=True),
    metavar="FILE",
    help="File for the whole report, as JSON.",
)
def doctor(json_file: str | None) -> None:
    """Examine what speed and accuracy depend on: NumPy, its BLAS, the processor, the extras.

    The matrix products of the BLAS are measured with each of its kernels that the processor can
    run, in processes of their own. If another kernel is faster, the report says what to set. The
    command changes nothing.
    """
    from manualnn.doctor.report import examine

    report = examine()
    click.echo(report.text())
    if json_file:
        text = json.dumps(report.to_json(), indent=1, ensure_ascii=False)
        write_text(json_file, text + "\n")
