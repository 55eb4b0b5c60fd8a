"""Helpers for tests of the commands for tables: running them, and tables to run them on."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

from manualnn.cli import cli


def run(*arguments: Any, text: Any = None) -> Result:
    """Run a command in this process, with text or bytes as its standard input."""
    return CliRunner().invoke(cli, list(map(str, arguments)), input=text)


def train(data: Path, *options: Any, output: Path | None = None) -> Result:
    """Train on a file whose target is y, with success."""
    output = output or data.with_suffix(".safetensors")
    result = run("train", data, "--target=y", "--output", output, *options)
    assert result.exit_code == 0, result.output
    return result


def predict(*arguments: Any, text: Any = None) -> list[dict[str, str]]:
    """Return the rows that `manualnn predict` prints."""
    result = run("predict", *arguments, text=text)
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


def evaluate(*arguments: Any) -> dict[str, float | None]:
    """Return the scores of `manualnn evaluate --json`."""
    result = run("evaluate", *arguments, "--json")
    assert result.exit_code == 0, result.output
    scores: dict[str, float | None] = json.loads(result.stdout)
    return scores


def info(model: Path) -> dict[str, Any]:
    """Return the facts of `manualnn info --json`."""
    facts: dict[str, Any] = json.loads(run("info", model, "--json").stdout)
    return facts


def write(path: Path, columns: dict[str, Any]) -> Path:
    """Write columns as a CSV file; numbers are written so that they are read back exactly."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(np.asarray(c).tolist() for c in columns.values()), strict=True))
    return path


def write_dataset(path: Path, data: Any) -> Path:
    """Write a data set of scikit-learn with the target as the column y."""
    target = data.target_names[data.target] if "target_names" in data else data.target
    return write(path, {**dict(zip(data.feature_names, data.data.T, strict=True)), "y": target})


def blobs(n: int = 60, classes: int = 2, seed: int = 0) -> dict[str, Any]:
    """Return a table of two features whose class y is easy to tell."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.normal(size=(n, 2)) + 4 * y[:, None]
    return {"a": x[:, 0], "b": x[:, 1], "y": np.array(["no", "yes", "maybe"])[y]}
