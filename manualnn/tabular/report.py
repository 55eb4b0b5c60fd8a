"""Text about a model for tables: the prepared training, and the scores of its predictions."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from manualnn.elementary import Array
from manualnn.layers import Linear
from manualnn.output.tables import align_columns
from manualnn.tabular.csv_model import TableModel
from manualnn.tabular.csv_table import Table, count_noun
from manualnn.tabular.prepare import Prepared

__all__ = ["compute_scores", "describe", "format_items", "format_results"]

MOST_LISTED = 20
"""With more classes than this, the table class by class is left out."""


def describe(prepared: Prepared, table: Table) -> str:
    """Return lines about the table and about the network that will be trained."""
    columns, trainer = prepared.model.columns, prepared.model.trainer
    used = {columns.target, *columns.features}
    constant = [f for f, scale in zip(columns.features, columns.scale, strict=True) if not scale]
    target, of_each = columns.target, ""
    if columns.classes:
        counts = zip(columns.classes, np.bincount(prepared.t).tolist(), strict=True)
        shares = _shorten([f"{name} ({count_noun(n, 'row')})" for name, n in counts])
        target += f": {len(columns.classes)} classes, {shares}"
        of_each = ", the same share of each class"
    lines = {
        "target": target,
        "task": f"{columns.task}, {prepared.reason}",
        "features": f"{len(columns.features)}: {_shorten(columns.features)}",
        "ignored": _shorten([c for c in table.columns if c not in used]),
        "constant": constant and f"{_shorten(constant)}: without effect",
        "rows": f"{len(prepared.train)} to train on, {len(prepared.test)} held out{of_each}",
        "network": _describe_network(trainer.net.layers, trainer.params.vector.size),
        "training": f"{type(trainer.loss).__name__}, {type(trainer.rule).__name__} with learning "
        f"rate {trainer.lr:g}, {trainer.params.dtype}",
    }
    head = (
        f"{table.name}: {count_noun(len(table), 'row')}, {count_noun(len(table.columns), 'column')}"
    )
    return f"{head}\n{format_items({name: text for name, text in lines.items() if text})}"


def format_results(prepared: Prepared) -> str:
    """Return the scores on training rows and test rows, next to a baseline without features."""
    model, columns = prepared.model, prepared.model.columns
    y = model.trainer.predict(prepared.x)
    parts = {"trained on": prepared.train} | (
        {"held out": prepared.test} if len(prepared.test) else {}
    )
    last, rows = list(parts.items())[-1]
    baseline = _baseline_outputs(model, prepared.t[prepared.train], len(rows))
    table = {name: compute_scores(model, y[part], prepared.t[part]) for name, part in parts.items()}
    table["no features"] = compute_scores(model, baseline, prepared.t[rows])
    rows_of_scores = [[s, *(column[s] for column in table.values())] for s in table[last]]
    text = _format_rows([["", *table], *rows_of_scores], "lr")
    guess = "the shares of the classes" if columns.classes else "the mean of the target"
    text += f"\n  (no features: {last}, predicted as {guess} in training)"
    if columns.classes and len(columns.classes) <= MOST_LISTED:
        text += f"\n\n{last}, class by class\n{_format_classes(model, y[rows], prepared.t[rows])}"
    return text


def compute_scores(model: TableModel, y: Array, t: Array) -> dict[str, str]:
    """Return name and value of each score of the outputs y against the targets t.

    Classification: accuracy, the fraction of rows whose likeliest class is correct; log-loss, the
    mean of −log(probability of the correct class). Regression, with errors e = value − truth in
    the target's unit: RMSE √(mean of e²); MAE, the mean of |e|; R², 1 − Σe² / Σ(truth − its mean)².
    """
    if model.columns.classes:
        accuracy = np.mean(np.argmax(y, axis=1) == t)
        return {"accuracy": f"{accuracy:.1%}", "log-loss": f"{model.trainer.loss.value(y, t):.4f}"}
    truth = model.in_units(t)
    errors = model.in_units(y) - truth
    spread = np.sum((truth - truth.mean()) ** 2)
    return {
        "RMSE": f"{np.sqrt(np.mean(errors**2)):.5g}",
        "MAE": f"{np.mean(np.abs(errors)):.5g}",
        "R²": f"{1 - np.sum(errors**2) / spread:.4f}" if spread else "undefined",
    }


def _baseline_outputs(model: TableModel, trained_on: Array, rows: int) -> Array:
    """Return outputs that ignore the features, the same for each of the rows.

    They are the shares of the classes among the training targets, or the mean of these targets.
    """
    if model.columns.classes:
        output = np.log(np.bincount(trained_on) / len(trained_on))
    else:
        output = trained_on.mean(axis=0)
    return np.tile(output.astype(model.trainer.params.dtype), (rows, 1))


def _format_classes(model: TableModel, y: Array, t: Array) -> str:
    """Return a line for each class: number of rows, recall, and the predictions that are wrong."""
    names, predicted = model.columns.classes, np.argmax(y, axis=1)
    rows = [["class", "rows", "recall", "predicted as"]]
    for i, name in enumerate(names):
        counts = Counter(predicted[t == i].tolist())
        count = counts.total()
        wrong = [f"{names[j]} ({n})" for j, n in counts.most_common() if j != i]
        recall = f"{counts[i] / count:.1%}" if count else "-"
        rows.append([name, str(count), recall, ", ".join(wrong)])
    return _format_rows(rows, "lrrl")


def format_items(lines: Mapping[str, str]) -> str:
    """Return an indented line for each name and its text."""
    return _format_rows(lines.items(), "l")


def _format_rows(rows: Iterable[Sequence[str]], alignment: str) -> str:
    return "\n".join(f"  {line}" for line in align_columns(rows, alignment))


def _describe_network(layers: Sequence[object], parameters: int) -> str:
    """Return the layers with their widths, such as "4 inputs, Linear 8, Sigmoid, Linear 3"."""
    widths = [layer.in_features for layer in layers if isinstance(layer, Linear)]
    names = [
        f"Linear {layer.out_features}" if isinstance(layer, Linear) else type(layer).__name__
        for layer in layers
    ]
    inputs = count_noun(widths[0], "input")
    return f"{inputs}, {', '.join(names)}; {count_noun(parameters, 'parameter')}"


def _shorten(names: Sequence[str], most: int = 6) -> str:
    """Return the first names, and the number of the others."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" * (len(names) > most))
