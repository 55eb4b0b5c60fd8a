"""The log of a training: a line for each epoch, in CSV or as JSON lines."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from manualnn.training.history import History

__all__ = ["log_epochs"]

COLUMNS = ("epoch", "loss", "validation_loss", "lr", "seconds")


@contextmanager
def log_epochs(path: str) -> Iterator[Callable[[Any, History], None]]:
    """Open a file; yield a callback of `Trainer.fit` that adds a line to it after every epoch.

    A training that goes on from a checkpoint begins with the lines of its epochs before that; only
    their seconds are not known.
    """
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        written = 0
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        is_json = path.endswith((".jsonl", ".json"))
        if not is_json:
            writer.writeheader()

        def write(_: Any, history: History) -> None:
            nonlocal written
            for i in range(written, history.epochs):
                row = {
                    "epoch": i + 1,
                    "loss": history.loss[i],
                    "validation_loss": (history.validation_loss or {i: None})[i],
                    "lr": history.lr[i],
                    "seconds": round(history.seconds, 3) if i == history.epochs - 1 else None,
                }
                if is_json:
                    file.write(json.dumps(row) + "\n")
                else:
                    writer.writerow(row)
            written = history.epochs
            file.flush()

        yield write
