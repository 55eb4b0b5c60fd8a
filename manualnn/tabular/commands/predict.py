"""The commands `manualnn predict` and `manualnn evaluate`."""

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from manualnn.output.console import print_text, write_stdout
from manualnn.output.files import open_whole
from manualnn.tabular.commands.options import (
    DATA,
    MODEL,
    Sections,
    reading_options,
    require_outputs,
    section,
    take_reading,
)

if TYPE_CHECKING:
    from manualnn.tabular.model import TableModel
    from manualnn.tabular.table import Table

__all__ = ["evaluate", "predict"]

_output = section("Output")


@click.command(cls=Sections, short_help="Predict the rows of a table with a saved model.")
@MODEL
@DATA
@reading_options
@_output("--output", type=click.Path(), help="File to write to. Default: the standard output.")
@_output(
    "--keep",
    multiple=True,
    metavar="COLUMN",
    help="Column of DATA to copy to the output as it stands; may be repeated.",
)
@_output(
    "--probabilities",
    is_flag=True,
    help="Write the probability of every class, in columns such as probability_yes.",
)
def predict(
    *,
    model: str,
    data: str,
    output: str | None,
    keep: tuple[str, ...],
    probabilities: bool,
    **options: Any,
) -> None:
    """Predict each row of a table with a model that `manualnn train` saved.

    Writes a CSV file with a row for each row of DATA: the prediction, and for a classifier its
    probability. Columns are matched by name in any order, and others are not used. The rows are
    read and written in parts, so that DATA may be larger than the memory. After Ctrl-C or SIGTERM
    no --output is written; the exit code is 130 or 143.
    """
    from manualnn.tabular.model import load_model
    from manualnn.tabular.reader import read_batches
    from manualnn.tabular.table import count_noun

    require_outputs({"--output": output}, data, model)
    trained = load_model(model)
    if probabilities and not trained.target.classes:
        raise click.UsageError("--probabilities is for classes, but the model predicts numbers.")
    reading = take_reading(options, trained.about.get("missing_values", ()))
    unknown: Counter[str] = Counter()
    rows, is_read = 0, True
    parts: Any = read_batches(data, text=keep, columns=trained.encoder.features, **reading)
    with _name_signal(lambda: rows, output), closing(parts), _open_output(output) as write:
        for batch in parts:
            columns = _predict(trained, batch, probabilities=probabilities)
            if both := columns.keys() & batch.texts.keys():
                message = f"--keep {min(both)} has the name of an output; rename the column."
                raise click.UsageError(message)
            is_read = is_read and write(_format_csv({**batch.texts, **columns}, header=not rows))
            unknown.update(trained.encoder.count_unknown(batch))
            rows += len(batch)
            if not is_read:
                return
    for name, count in unknown.items():
        what = count_noun(count, "value")
        click.echo(f"column {name!r}: {what} of no category that the model knows", err=True)
    if output is not None:
        click.echo(f"{count_noun(rows, 'prediction')} written to {output}", err=True)


@contextmanager
def _name_signal(rows: Callable[[], int], output: str | None) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the command with a message about the rows predicted so far."""
    import signal

    from manualnn.tabular.table import count_noun

    got: list[int] = []

    def end(number: int, _: Any) -> None:
        got.append(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except BaseException:
        if not got:  # a library may raise an error of its own after the signal
            raise
        lost = f"; {output} was not written" if output else ""
        click.echo(f"stopped after {count_noun(rows(), 'row')}{lost}", err=True)
        sys.exit(128 + got[0])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _open_output(path: str | None) -> Iterator[Callable[[bytes], Any]]:
    """Yield a function that writes to the file or standard output.

    It returns a false value when nobody reads the output any more.
    """
    if path is None:
        yield write_stdout
    else:
        with open_whole(path) as file:
            yield file.write


def _predict(model: "TableModel", table: "Table", *, probabilities: bool) -> dict[str, list[Any]]:
    """Return the columns of predictions, by name."""
    y, names = model.outputs(table), model.target.names
    if not model.target.classes:
        heads = ["prediction"] if len(names) == 1 else [f"prediction_{name}" for name in names]
        return dict(zip(heads, model.target.decode(y).T.tolist(), strict=True))
    p = model.probabilities_of(y)
    columns = {"prediction": model.decide(y).tolist(), "probability": p.max(axis=1).tolist()}
    if probabilities:
        heads = [f"probability_{name}" for name in model.target.classes]
        columns |= dict(zip(heads, p.T.tolist(), strict=True))
    return columns


def _format_csv(columns: Mapping[str, Sequence[Any]], *, header: bool) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


@click.command(cls=Sections, short_help="Score a saved model on the rows of a table.")
@MODEL
@DATA
@reading_options
@_output("--json", "as_json", is_flag=True, help="Print the scores as JSON, with every digit.")
def evaluate(*, model: str, data: str, as_json: bool, **options: Any) -> None:
    """Score a model that `manualnn train` saved on the rows of a table that has the target.

    Prints accuracy and log-loss, class by class as well; or RMSE, MAE and R² in the unit of the
    target. Rows without a target are left out and counted. The rows of the training may be among
    them; the scores in the report of `manualnn train` are those of rows that were not.
    """
    import numpy as np

    from manualnn.tabular.model import load_model
    from manualnn.tabular.reader import read_batches
    from manualnn.tabular.report import format_classes, format_scores
    from manualnn.tabular.table import count_noun

    trained = load_model(model)
    reading = take_reading(options, trained.about.get("missing_values", ()))
    columns = [*trained.encoder.features, *trained.target.names]
    outputs, targets, rows = [], [], 0
    for batch in read_batches(data, columns=columns, **reading):
        batch.require(trained.encoder.features, trained.target.names)
        known = batch.take(trained.target.known(batch))
        outputs.append(trained.outputs(known))
        targets.append(trained.target.encode(known, trained.trainer.params.dtype))
        rows += len(batch)
    y, t = np.concatenate(outputs), np.concatenate(targets)
    scores = trained.scores_of(y, t)
    if as_json:
        print_text(json.dumps({"rows": len(t), **scores}))
        return
    print_text(f"{batch.name}: {count_noun(len(t), 'row')} with a target, of {rows}")
    print_text(format_scores({"score": scores}))
    if trained.target.classes:
        print_text(f"\nclass by class\n{format_classes(trained, y, t)}")
