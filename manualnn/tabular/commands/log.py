"""The log of a training: a line for each epoch, in CSV or as JSON lines."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from manualnn.tabular.table import count_noun
from manualnn.training.history import History

__all__ = ["log_epochs"]

COLUMNS = ("epoch", "loss", "validation_loss", "lr", "seconds")


@contextmanager
def log_epochs(path: str) -> Iterator[Callable[[Any, History], None]]:
    """Yield a callback of `Trainer.fit` that adds a line to a file after every epoch.

    An old file is replaced at the first call. A training that goes on from a checkpoint begins with
    the lines of its epochs before that; only their seconds are not known. If the file cannot be
    written, such as on a full disk, a message says so and the log ends; the training is worth more.
    """
    is_json = path.endswith((".jsonl", ".json"))
    written, size, is_over = 0, 0, False
    with ExitStack() as stack:
        file: Any = None

        def write(history: History) -> None:
            nonlocal file, written, size
            if file is None:
                file = stack.enter_context(Path(path).open("w", encoding="utf-8", newline=""))
                file.write("" if is_json else ",".join(COLUMNS) + "\n")
            for i in range(written, history.epochs):
                validation = history.validation_loss[i] if history.validation_loss else None
                seconds = round(history.seconds, 3) if i == history.epochs - 1 else None
                row = (i + 1, history.loss[i], validation, history.lr[i], seconds)
                if is_json:
                    file.write(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n")
                else:
                    csv.writer(file, lineterminator="\n").writerow(row)
            file.flush()
            written, size = history.epochs, file.tell()

        def log(_: Any, history: History) -> None:
            nonlocal is_over
            if is_over:
                return
            try:
                write(history)
            except OSError as error:
                is_over = True
                if file:
                    with suppress(OSError):  # it flushes once more
                        file.close()
                    with suppress(OSError):
                        os.truncate(path, size)  # to whole lines
                what = f"the log ends after {count_noun(written, 'epoch')}; the training goes on"
                click.echo(f"cannot write to {path}: {error.strerror}; {what}.", err=True)

        yield log
