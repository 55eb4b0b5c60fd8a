"""What a person reads of a model for tables: what was planned, and how good its predictions are."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from manualnn.elementary import Array
from manualnn.layers import Linear
from manualnn.tabular.csv_table import Table, counted
from manualnn.tabular.model import TableModel
from manualnn.tabular.prepare import Prepared

__all__ = ["by_class", "describe", "grid", "listing", "results", "scores", "trivial_outputs"]

MOST_LISTED = 20
"""Classes beyond which no line is given to each."""


def describe(plan: Prepared, table: Table) -> str:
    """Return what was found in the table and what will be trained, a line for each."""
    columns, trainer = plan.model.columns, plan.model.trainer
    used = {columns.target, *columns.features}
    never = [f for f, scale in zip(columns.features, columns.scale, strict=True) if not scale]
    target, alike = columns.target, ""
    if columns.classes:
        counts = zip(columns.classes, np.bincount(plan.t).tolist(), strict=True)
        shares = _few([f"{name} ({counted(n, 'row')})" for name, n in counts])
        target += f": {len(columns.classes)} classes, {shares}"
        alike = " of every class alike"
    lines = {
        "target": target,
        "task": f"{columns.task}, {plan.reason}",
        "features": f"{len(columns.features)}: {_few(columns.features)}",
        "ignored": _few([c for c in table.columns if c not in used]),
        "constant": never and f"{_few(never)}: without effect",
        "rows": f"{len(plan.train)} to train on, {len(plan.test)} held out{alike}",
        "network": _network(trainer.net.layers, trainer.params.vector.size),
        "training": f"{type(trainer.loss).__name__}, {type(trainer.rule).__name__} with learning "
        f"rate {trainer.lr:g}, {trainer.params.dtype}",
    }
    head = f"{table.name}: {counted(len(table), 'row')}, {counted(len(table.columns), 'column')}"
    return f"{head}\n{listing({name: text for name, text in lines.items() if text})}"


def results(plan: Prepared) -> str:
    """Return the scores on the rows trained on and on those held out, beside a trivial guess."""
    model, columns = plan.model, plan.model.columns
    y = model.trainer.predict(plan.x)
    parts = {"trained on": plan.train} | ({"held out": plan.test} if len(plan.test) else {})
    last, rows = list(parts.items())[-1]
    constant = trivial_outputs(model, plan.t[plan.train], len(rows))
    table = {name: scores(model, y[part], plan.t[part]) for name, part in parts.items()}
    table["no features"] = scores(model, constant, plan.t[rows])
    text = grid([["", *table], *([s, *(t[s] for t in table.values())] for s in table[last])])
    guess = "the shares of the classes" if columns.classes else "the mean of the target"
    text += f"\n  (no features: {last}, where {guess} in training is all that is known)"
    if columns.classes and len(columns.classes) <= MOST_LISTED:
        text += f"\n\n{last}, class by class\n{by_class(model, y[rows], plan.t[rows])}"
    return text


def scores(model: TableModel, y: Array, t: Array) -> dict[str, str]:
    """Return name and value of each score of the outputs y against the targets t.

    Classification: accuracy, the share of rows whose likeliest class is the right one; log-loss,
    the mean of −log(probability of the right class). Regression, with errors e = value − truth in
    the target's unit: RMSE √(mean of e²); MAE, the mean of |e|; R², 1 − Σe² / Σ(truth − its mean)².
    """
    if model.columns.classes:
        right = np.mean(np.argmax(y, axis=1) == t)
        return {"accuracy": f"{right:.1%}", "log-loss": f"{model.trainer.loss.value(y, t):.4f}"}
    truth = model.in_units(t)
    errors = model.in_units(y) - truth
    spread = np.sum((truth - truth.mean()) ** 2)
    return {
        "RMSE": f"{np.sqrt(np.mean(errors**2)):.5g}",
        "MAE": f"{np.mean(np.abs(errors)):.5g}",
        "R²": f"{1 - np.sum(errors**2) / spread:.4f}" if spread else "undefined",
    }


def trivial_outputs(model: TableModel, trained_on: Array, rows: int) -> Array:
    """Return outputs that look at no feature, for so many rows.

    The shares of the classes among the targets trained on, or the mean of those.
    """
    if model.columns.classes:
        always = np.log(np.bincount(trained_on) / len(trained_on))
    else:
        always = trained_on.mean(axis=0)
    return np.tile(always.astype(model.trainer.params.dtype), (rows, 1))


def by_class(model: TableModel, y: Array, t: Array) -> str:
    """Return a line for each class: its rows, how many were found, what the others passed for."""
    names, guesses = model.columns.classes, np.argmax(y, axis=1)
    rows = [["class", "rows", "recall", "taken for"]]
    for i, name in enumerate(names):
        guessed = Counter(guesses[t == i].tolist())
        count = guessed.total()
        wrong = [f"{names[j]} ({n})" for j, n in guessed.most_common() if j != i]
        recall = f"{guessed[i] / count:.1%}" if count else "-"
        rows.append([name, str(count), recall, ", ".join(wrong)])
    return grid(rows, left=(0, 3))


def listing(lines: Mapping[str, str]) -> str:
    """Return a line for each name and its text."""
    return grid(lines.items(), left=(0, 1))


def grid(rows: Iterable[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """Return rows of cells as indented lines, the columns flush right but for those named."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "   ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(f"  {line}".rstrip() for line in lines)


def _network(layers: Sequence[object], parameters: int) -> str:
    """Return the layers with their widths, as in: 4 inputs, Linear 8, Sigmoid, Linear 3."""
    widths = [layer.in_features for layer in layers if isinstance(layer, Linear)]
    names = [
        f"Linear {layer.out_features}" if isinstance(layer, Linear) else type(layer).__name__
        for layer in layers
    ]
    inputs = counted(widths[0], "input")
    return f"{inputs}, {', '.join(names)}; {counted(parameters, 'parameter')}"


def _few(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" * (len(names) > most))
