"""The command line: one command a function, each a thin layer over the library."""

import csv
import io
import math
import os
import sys
from pathlib import Path
from typing import Any

import click

import manualnn
from manualnn import explain as explanations
from manualnn.benchmark.command import bench
from manualnn.doctor.command import doctor
from manualnn.errors import DivergedError, ManualNNError, TableError
from manualnn.explain import MAX_DECIMALS
from manualnn.files import require_writable, write_whole
from manualnn.layers import activations
from manualnn.optimizers import OPTIMIZERS
from manualnn.oracle.command import check, vectors
from manualnn.serialization import require_safetensors
from manualnn.tabular.csv_table import Table, counted, read_csv
from manualnn.tabular.model import TableModel
from manualnn.tabular.prepare import prepare
from manualnn.tabular.report import describe, listing, results, scores


class _Commands(click.Group):
    """A group whose commands report manualnn's own errors as a message instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click ends silently where the reader, such as head, has gone
        except (ManualNNError, OSError) as error:
            raise click.ClickException(str(error)) from error
        except MemoryError as error:
            message = f"not enough memory ({error}); make the network or the data smaller."
            raise click.ClickException(message) from error
        except KeyboardInterrupt:
            sys.exit(130)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(manualnn.__version__)
def cli() -> None:
    """Neural networks whose every derivative is written by hand on NumPy."""


for command in (check, vectors, doctor, bench):
    cli.add_command(command)


def _widths(ctx: Any, param: Any, value: str) -> tuple[int, ...]:  # noqa: ARG001
    if value.strip().lower() == "none":
        return ()
    try:
        widths = tuple(map(int, value.split(",")))
    except ValueError:
        widths = (0,)
    if min(widths) < 1:
        message = f"expected widths such as 32 or 32,16, or none; got {value!r}."
        raise click.BadParameter(message)
    return widths


def _delimiter(ctx: Any, param: Any, value: str | None) -> str | None:  # noqa: ARG001
    value = "\t" if value in {"tab", "\\t"} else value
    if value is not None and (len(value) != 1 or value in '"\r\n'):
        message = f"expected one character, or tab; got {value!r}."
        raise click.BadParameter(message)
    return value


def _loss(ctx: Any, param: Any, value: float | None) -> float | None:  # noqa: ARG001
    if value is not None and not value >= 0:
        message = f"expected a loss, which is a number of 0 or more; got {value}."
        raise click.BadParameter(message)
    return value


_DATA = click.argument("data", type=click.Path(exists=True, dir_okay=False))
_DELIMITER = click.option(
    "--delimiter", callback=_delimiter, help="Between the cells; found out if not given."
)


@cli.command(short_help="Train a classifier or a regressor on a CSV file.")
@_DATA
@click.option("--target", required=True, metavar="COLUMN", help="The column to predict.")
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="Classification, if not said, where the target is text or at most 20 different whole "
    "numbers (and no more than half as many as there are rows); else regression.",
)
@click.option("--ignore", multiple=True, metavar="COLUMN", help="No feature; repeatable.")
@click.option(
    "--hidden", callback=_widths, default="32", help="Widths of the hidden layers: 32,16 or none."
)
@click.option(
    "--activation",
    type=click.Choice(activations.__all__),
    default="Sigmoid",
    help="After each hidden layer; the output layer is linear.",
)
@click.option("--optimizer", type=click.Choice(list(OPTIMIZERS)), default="AdamW")
@click.option("--lr", type=click.FloatRange(0), default=0.005, help="Learning rate.")
@click.option("--epochs", type=click.IntRange(1), default=100, help="At most so many passes.")
@click.option("--batch-size", type=click.IntRange(1), default=32, help="Rows a step.")
@click.option(
    "--target-loss",
    type=float,
    callback=_loss,
    show_default=False,
    help="Stop at this loss (of a regression: in squared deviations of the target).",
)
@click.option(
    "--test-fraction",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    help="Share of the rows to hold out.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    help="Of the rows held out, the initial parameters and the order of the batches.",
)
@click.option("--dtype", type=click.Choice(["float32", "float64"]), default="float64")
@_DELIMITER
@click.option(
    "--output", type=click.Path(), default="model.safetensors", help="Where to save the model."
)
def train(
    *,
    data: str,
    target: str,
    delimiter: str | None,
    output: str,
    optimizer: str,
    lr: float,
    epochs: int,
    batch_size: int,
    target_loss: float | None,
    **options: Any,
) -> None:
    """Train a classifier or a regressor on a CSV file, whose first line names the columns.

    Every column but the target, and those to ignore, must hold numbers. A part of the rows is held
    out and not trained on; means and deviations are those of the others.

    Ctrl-C ends the training: what was learnt until then is saved, and the exit code is 130.
    """
    require_safetensors()
    _require_output(output, data)
    table = read_csv(data, delimiter)
    plan = prepare(table, target, rule=OPTIMIZERS[optimizer](lr=lr), **options)
    _tell(describe(plan, table))
    try:
        history = plan.model.trainer.fit(
            plan.x[plan.train],
            plan.t[plan.train],
            epochs=epochs,
            batch_size=batch_size,
            target_loss=target_loss,
        )
    except DivergedError as error:
        raise click.ClickException(_on_divergence(error, lr, output)) from error
    plan.model.save(output)
    ends = {
        "epochs": "as many as --epochs allows",
        "target_loss": f"the loss is at most {target_loss}",
        "interrupted": "Ctrl-C; what was learnt until then is kept",
    }
    loss = f", loss {history.loss[-1]:.4g}" if history.loss else ""
    stopped = (
        f"{counted(history.epochs, 'epoch')}, {history.seconds:.2g} s{loss}: "
        f"{ends[history.stopped]}"
    )
    _tell(listing({"stopped": f"after {stopped}", "saved as": output}))
    _tell(f"\n{results(plan)}")
    if history.stopped == "interrupted":
        sys.exit(130)


@cli.command(short_help="Predict the rows of a CSV file with a saved model.")
@click.argument("model", type=click.Path(exists=True, dir_okay=False))
@_DATA
@_DELIMITER
@click.option("--output", type=click.Path(), help="Where to write; standard output if not given.")
def predict(model: str, data: str, delimiter: str | None, output: str | None) -> None:
    """Predict each row of a CSV file with a model that `manualnn train` saved.

    Writes a CSV of as many rows: prediction, and for a classifier its probability. Columns are
    matched by name, whatever their order; others are left out of account. If the target is among
    them, the scores are told on standard error.
    """
    if output is not None:
        _require_output(output, data, model)
    trained = TableModel.load(model)
    table = read_csv(data, delimiter)
    y = trained.outputs(table)
    columns = trained.interpret(y)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    content = text.getvalue().encode()
    if output is not None:
        write_whole(output, content)
    elif not _printed(content):
        return
    _comment(trained, table, y)
    if output is not None:
        click.echo(f"{counted(len(table), 'prediction')} written to {output}", err=True)


@cli.command()
@click.argument("spec", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--weight", metavar="NAME", help="Explain one parameter, such as '0.weight[1,2]'.")
@click.option(
    "--decimals",
    type=click.IntRange(0, MAX_DECIMALS),
    help="Round to so many decimals after every operation, as one does by hand.",
)
@click.option("--epochs", type=click.IntRange(1), default=10, help="Updates, at most.")
@click.option("--target-loss", type=float, help="Stop at this error or below.")
@click.option("--lr", type=float, help="Learning rate; the one of SPEC if not given.")
@click.option("--paths", type=click.IntRange(1), default=12, help="Paths to show of a parameter.")
@click.option(
    "--dropout-seed", type=click.IntRange(0), help="Draw dropout masks once, as in training."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    help="Markdown has LaTeX formulas, JSON unrounded numbers.",
)
def explain(spec: str | None, form: str, **options: Any) -> None:
    """Show one step of backpropagation with its numbers, path by path.

    SPEC is a JSON file: {"layers": …, "loss": …, "optimizer": …} as everywhere, with the numbers
    "x", "t", and "parameters" ({"0.weight": [[…], …], …}) or "seed". Without it a small example is
    explained: 3 inputs, 2 sigmoid neurons, 2 linear outputs.
    """
    explanation = explanations.explain(spec, **options)
    _printed(getattr(explanation, f"to_{form}")().encode())


def _comment(model: TableModel, table: Table, y: Any) -> None:
    """Say on standard error what was not used, and how good the predictions are if that shows."""
    columns = model.columns
    extra = [c for c in table.columns if c not in columns.features and c != columns.target]
    if extra:
        click.echo(
            f"not used, for the model was trained without: {', '.join(map(repr, extra))}", err=True
        )
    if columns.target not in table.columns:
        return
    try:
        t = columns.targets(table, model.trainer.params.dtype)
    except TableError as error:
        click.echo(f"no scores, for the target is not there in every row: {error}", err=True)
        return
    told = ", ".join(f"{name} {value}" for name, value in scores(model, y, t).items())
    click.echo(f"against the column {columns.target!r}: {told}", err=True)
    click.echo("(rows that the model was trained on may be among them)", err=True)


def _on_divergence(error: DivergedError, lr: float, output: str) -> str:
    known = (
        "" if math.isnan(error.last_loss) else f", the last finite loss was {error.last_loss:.4g}"
    )
    old = f" {output} is still the old one." if Path(output).exists() else ""
    return (
        f"training diverged in epoch {error.epoch}{known}; nothing was saved.{old} "
        f"Try a smaller --lr than {lr:g}, or leave it out."
    )


def _require_output(output: str, *inputs: str) -> None:
    """Raise where the output cannot be written, or would replace what is read."""
    require_writable(output)
    for path in inputs:
        if Path(output).exists() and Path(output).samefile(path):
            raise click.UsageError(f"--output {output} would replace {path}; give another name.")


def _tell(text: str) -> None:
    """Write a text to standard output, and go on if its reader has gone."""
    _printed(f"{text}\n".encode())


def _printed(content: bytes) -> bool:
    """Write to standard output; False if its reader, such as head, has gone."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Else Python would complain once more when it flushes standard output at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
