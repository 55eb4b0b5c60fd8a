"""The log of a training: a line for each epoch, in CSV or as JSON lines."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from manualnn.training.history import History

__all__ = ["log_epochs"]

COLUMNS = ("epoch", "loss", "validation_loss", "lr", "seconds")


@contextmanager
def log_epochs(path: str) -> Iterator[Callable[[Any, History], None]]:
    """Yield a callback of `Trainer.fit` that adds a line to a file after every epoch.

    An old file is replaced at the first call. A training that goes on from a checkpoint begins with
    the lines of its epochs before that; only their seconds are not known.
    """
    is_json = path.endswith((".jsonl", ".json"))
    written = 0
    with ExitStack() as stack:
        file: Any = None

        def write(_: Any, history: History) -> None:
            nonlocal file, written
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
            written = history.epochs
            file.flush()

        yield write
