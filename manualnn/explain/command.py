"""The command `manualnn explain`, a thin layer over `manualnn.explain`."""

import sys
from pathlib import Path

import click

from manualnn.explain import MAX_DECIMALS, MAX_DIGITS
from manualnn.output.console import (
    OUTPUT_FILE,
    end_at_ctrl_c,
    exit_with_2,
    print_text,
    write_stdout,
)
from manualnn.output.files import write_text

__all__ = ["explain"]


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        message = f"expected numbers such as 1,0.5,2, got {text!r}."
        raise click.BadParameter(message) from error


@click.command(short_help="Show one step of backpropagation with its numbers, path by path.")
@click.argument("spec", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--weight", metavar="NAME", help="Parameter to explain, such as '0.weight[1,2]'.")
@click.option(
    "--decimals",
    type=click.IntRange(0, MAX_DECIMALS),
    help="Number of decimals to round to after every operation, as one does by hand.",
)
@click.option(
    "--digits",
    type=click.IntRange(1, MAX_DIGITS),
    default=6,
    help="Number of significant digits to show, where --decimals does not round.",
)
@click.option("--full", is_flag=True, help="Show every parameter path by path, and whole lists.")
@click.option("--epochs", type=click.IntRange(1), default=10, help="Largest number of updates.")
@click.option("--target-loss", type=float, help="Loss at or below which the updates stop.")
@click.option("--lr", type=float, help="Learning rate; default: the one of SPEC.")
@click.option(
    "--loss-factor",
    type=float,
    help="Constant factor of the loss, such as 0.5 for ½ Σ (t − y)²; default: the one of SPEC.",
)
@click.option(
    "--paths", type=click.IntRange(1), default=12, help="Largest number of paths per parameter."
)
@click.option(
    "--dropout-seed",
    type=click.IntRange(0),
    help="Seed of the dropout masks; default: no dropout, as in prediction.",
)
@click.option(
    "--sample-weights",
    "sample_weight",
    metavar="W,W,…",
    callback=lambda _, __, text: text and _numbers(text),
    help="Weight of each sample in the loss, such as 1,0.5,2; default: those of SPEC, or 1.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    help="Form of the output; Markdown has LaTeX formulas, JSON has unrounded numbers.",
)
@click.option(
    "--check",
    "mine",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help='Compare a calculation by hand: a JSON file such as {"a1[0]": 0.6035, "dL/dy": […]}.',
)
@click.option(
    "--html",
    "page",
    **OUTPUT_FILE,
    help="Write the explanation as a page for a browser, and print nothing else.",
)
def explain(
    spec: str | None,
    form: str,
    page: str | None,
    mine: str | None,
    *,
    digits: int,
    full: bool,
    **options: object,
) -> None:
    """Show one step of backpropagation with its numbers, path by path.

    SPEC is a JSON file with the keys "layers", "loss" and "optimizer" as everywhere, the numbers
    "x" and "t", and "parameters" ({"0.weight": [[…], …], …}) or "seed". Without SPEC the command
    explains a small example: 3 inputs, 2 sigmoid neurons, 2 linear outputs.

    Exit codes of --check: 0 no number is wrong; 1 a number is wrong; 2 a file cannot be used; 3
    nothing was compared.
    """
    from manualnn import explain as library
    from manualnn.explain import check

    if page and spec and Path(page).exists() and Path(page).samefile(spec):
        message = f"--html: {page} is the run itself; give the page another name."
        raise click.BadParameter(message)
    if mine is not None:
        if page or full or options["weight"] or form != "text":
            message = "--check compares all numbers: leave out --html, --full, --weight, --format."
            raise click.UsageError(message)
        with exit_with_2(), end_at_ctrl_c():
            names = ("decimals", "epochs", "lr", "loss_factor", "dropout_seed", "sample_weight")
            found = check(mine, spec, **{name: options[name] for name in names})
        write_stdout(found.text().encode())
        sys.exit(found.exit_code)
    with end_at_ctrl_c():
        explanation = library.explain(spec, every=full, **options)  # type: ignore[arg-type]
        if page:
            content = explanation.to_html()
        else:
            shown = {} if form == "json" else {"digits": digits, "full": full}
            content = getattr(explanation, f"to_{form}")(**shown)
    if page:
        write_text(page, content)
        print_text(f"wrote {page}; open it in a browser")
    else:
        write_stdout(content.encode())
