"""The commands `manualnn train` and `manualnn predict`, thin layers over `manualnn.tabular`."""

import csv
import io
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from manualnn.errors import DivergedError, TableError
from manualnn.output.console import print_text, require_choice, write_stdout
from manualnn.output.files import require_writable, write_whole

if TYPE_CHECKING:
    from manualnn.tabular.csv_model import TableModel
    from manualnn.tabular.csv_table import Table

__all__ = ["predict", "train"]


def _parse_widths(ctx: Any, param: Any, value: str) -> tuple[int, ...]:  # noqa: ARG001
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


def _parse_delimiter(ctx: Any, param: Any, value: str | None) -> str | None:  # noqa: ARG001
    value = "\t" if value in {"tab", "\\t"} else value
    if value is not None and (len(value) != 1 or value in '"\r\n'):
        message = f"expected one character, or tab; got {value!r}."
        raise click.BadParameter(message)
    return value


def _require_loss(ctx: Any, param: Any, value: float | None) -> float | None:  # noqa: ARG001
    if value is not None and not value >= 0:
        message = f"expected a loss, which is a number of 0 or more; got {value}."
        raise click.BadParameter(message)
    return value


_DATA = click.argument("data", type=click.Path(exists=True, dir_okay=False))
_DELIMITER = click.option(
    "--delimiter",
    callback=_parse_delimiter,
    help="Character between the cells, or tab; default: detected.",
)


@click.command(short_help="Train a classifier or a regressor on a CSV file.")
@_DATA
@click.option("--target", required=True, metavar="COLUMN", help="Column to predict.")
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="Kind of prediction. Default: classification if the target is text, or at most 20 "
    "different whole numbers (and no more than half as many as there are rows).",
)
@click.option(
    "--ignore", multiple=True, metavar="COLUMN", help="Column to leave out; may be repeated."
)
@click.option(
    "--hidden",
    callback=_parse_widths,
    default="32",
    help="Widths of the hidden layers, such as 32,16, or none.",
)
@click.option(
    "--activation",
    metavar="NAME",
    callback=require_choice("manualnn.layers.activations", "__all__"),
    default="Sigmoid",
    help="Layer after each hidden layer, such as Tanh or ReLU; the output layer is linear.",
)
@click.option(
    "--optimizer",
    metavar="NAME",
    callback=require_choice("manualnn.optimizers", "OPTIMIZERS"),
    default="AdamW",
    help="Update rule, such as SGD or Adam.",
)
@click.option("--lr", type=click.FloatRange(0), default=0.005, help="Learning rate.")
@click.option(
    "--epochs", type=click.IntRange(1), default=100, help="Largest number of passes over the rows."
)
@click.option("--batch-size", type=click.IntRange(1), default=32, help="Number of rows per step.")
@click.option(
    "--target-loss",
    type=float,
    callback=_require_loss,
    show_default=False,
    help="Loss at or below which training stops (regression: squared deviation of the target).",
)
@click.option(
    "--test-fraction",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    help="Fraction of the rows to hold out as test rows.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    help="Random seed of the test rows, the initial parameters and the order of the batches.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    default="float64",
    help="Precision of the computation.",
)
@_DELIMITER
@click.option(
    "--output", type=click.Path(), default="model.safetensors", help="File to save the model to."
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

    All columns other than the target and the ignored ones must hold numbers. The test rows are not
    used for training, nor for the means and deviations that standardize the features.

    Ctrl-C ends the training: the model as trained until then is saved, and the exit code is 130.
    """
    from manualnn.optimizers import OPTIMIZERS
    from manualnn.serialization import require_safetensors
    from manualnn.tabular.csv_table import count_noun, read_csv
    from manualnn.tabular.prepare import prepare
    from manualnn.tabular.report import describe, format_items, format_results

    require_safetensors()
    _require_output(output, data)
    table = read_csv(data, delimiter)
    prepared = prepare(table, target, rule=OPTIMIZERS[optimizer](lr=lr), **options)
    print_text(describe(prepared, table))
    try:
        history = prepared.model.trainer.fit(
            prepared.x[prepared.train],
            prepared.t[prepared.train],
            epochs=epochs,
            batch_size=batch_size,
            target_loss=target_loss,
        )
    except DivergedError as error:
        raise click.ClickException(_explain_divergence(error, lr, output)) from error
    prepared.model.save(output)
    ends = {
        "epochs": "as many as --epochs allows",
        "target_loss": f"the loss is at most {target_loss}",
        "interrupted": "Ctrl-C; the model as trained until then is saved",
    }
    loss = f", loss {history.loss[-1]:.4g}" if history.loss else ""
    stopped = (
        f"{count_noun(history.epochs, 'epoch')}, {history.seconds:.2g} s{loss}: "
        f"{ends[history.stopped]}"
    )
    print_text(format_items({"stopped": f"after {stopped}", "saved as": output}))
    print_text(f"\n{format_results(prepared)}")
    if history.stopped == "interrupted":
        sys.exit(130)


@click.command(short_help="Predict the rows of a CSV file with a saved model.")
@click.argument("model", type=click.Path(exists=True, dir_okay=False))
@_DATA
@_DELIMITER
@click.option("--output", type=click.Path(), help="File to write to; default: the standard output.")
def predict(model: str, data: str, delimiter: str | None, output: str | None) -> None:
    """Predict each row of a CSV file with a model that `manualnn train` saved.

    Writes a CSV file with a row for each row of DATA: the prediction, and for a classifier its
    probability. Columns are matched by name in any order; unknown columns are not used. If DATA
    has the target column, the scores are printed on standard error.
    """
    from manualnn.tabular.csv_model import TableModel
    from manualnn.tabular.csv_table import count_noun, read_csv

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
    elif not write_stdout(content):
        return
    _comment(trained, table, y)
    if output is not None:
        click.echo(f"{count_noun(len(table), 'prediction')} written to {output}", err=True)


def _comment(model: "TableModel", table: "Table", y: Any) -> None:
    """Print the unused columns, and the scores if the target is known, on standard error."""
    from manualnn.tabular.report import compute_scores

    columns = model.columns
    extra = [c for c in table.columns if c not in columns.features and c != columns.target]
    if extra:
        names = ", ".join(map(repr, extra))
        click.echo(f"not used, because the model was trained without: {names}", err=True)
    if columns.target not in table.columns:
        return
    try:
        t = columns.targets(table, model.trainer.params.dtype)
    except TableError as error:
        click.echo(f"no scores, because some rows have no usable target: {error}", err=True)
        return
    shown = ", ".join(f"{name} {value}" for name, value in compute_scores(model, y, t).items())
    click.echo(f"against the column {columns.target!r}: {shown}", err=True)
    click.echo("(rows that the model was trained on may be among them)", err=True)


def _explain_divergence(error: DivergedError, lr: float, output: str) -> str:
    known = (
        "" if math.isnan(error.last_loss) else f", the last finite loss was {error.last_loss:.4g}"
    )
    old = f" {output} is still the old one." if Path(output).exists() else ""
    return (
        f"training diverged in epoch {error.epoch}{known}; nothing was saved.{old} "
        f"Try a smaller --lr than {lr:g}, or leave it out."
    )


def _require_output(output: str, *inputs: str) -> None:
    """Raise an error if the output cannot be written, or would replace an input."""
    require_writable(output)
    for path in inputs:
        if Path(output).exists() and Path(output).samefile(path):
            raise click.UsageError(f"--output {output} would replace {path}; give another name.")
