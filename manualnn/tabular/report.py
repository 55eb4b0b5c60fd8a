"""Text about a model for tables: what it is, its preparation, and its scores."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from manualnn.elementary import Array
from manualnn.layers import Dropout, Linear
from manualnn.output.tables import align_columns
from manualnn.tabular.table import Table, count_noun, shorten
from manualnn.training.trainer import Trainer

if TYPE_CHECKING:
    from manualnn.tabular.model import TableModel
    from manualnn.tabular.prepare import Prepared  # which loads scikit-learn

__all__ = [
    "as_html",
    "compute_scores",
    "describe",
    "describe_model",
    "describe_trainer",
    "format_classes",
    "format_items",
    "format_results",
    "format_scores",
]

MOST_LISTED = 20
"""With more classes than this, the table class by class is left out."""

WELL = 0.9
"""A network that predicts well has at most this share of the baseline's loss."""

Scores = Mapping[str, float | None]


def describe(prepared: "Prepared", table: Table) -> str:
    """Return lines about the table and about the network that will be trained."""
    model, roles = prepared.model, prepared.roles
    target = model.target

    def named(role: str) -> str:
        return shorten([name for name, found in roles.items() if found == role])

    parts = {
        "to train on": prepared.train,
        "to watch for early stopping": prepared.validation,
        "held out": prepared.test,
    }
    lines = describe_model(model) | {"task": f"{target.task}, {target.reason}"}
    if target.classes:
        counts = zip(target.classes, np.bincount(prepared.t).tolist(), strict=True)
        shares = shorten([f"{name} ({count_noun(n, 'row')})" for name, n in counts])
        lines["target"] = f"{named('target')}: {len(target.classes)} classes, {shares}"
    lines |= {
        "ignored": named("ignored"),
        "constant": shorten(model.encoder.left_out),
        "missing": _describe_missing(table, model.encoder.features),
        "weights": named("sample weight"),
        "rows": ", ".join(f"{len(rows)} {what}" for what, rows in parts.items() if len(rows)),
    }
    size = f"{count_noun(len(table), 'row')}, {count_noun(len(table.columns), 'column')}"
    remarks = [f"  {remark}" for remark in (*table.remarks, *prepared.remarks)]
    shown = {name: text for name, text in lines.items() if text}
    return "\n".join([f"{table.name}: {size}", *remarks, format_items(shown)])


def describe_model(model: "TableModel") -> dict[str, str]:
    """Return what a model predicts, and from what, with which network."""
    target, encoder = model.target, model.encoder
    classes = (
        f": {len(target.classes)} classes, {shorten(target.classes)}" if target.classes else ""
    )
    texts = len(encoder.features) - len(encoder.numbers)
    of_text = f"; {texts} of text" if texts else ""
    return {
        "target": shorten(target.names) + classes,
        "task": target.task,
        "features": f"{len(encoder.features)}: {shorten(encoder.features)}{of_text}",
        **describe_trainer(model.trainer, "" if target.classes else " of the standardised target"),
    }


def describe_trainer(trainer: Trainer, of_what: str = "") -> dict[str, str]:
    """Return the layers with their widths, and how they are trained; `of_what` the loss is."""
    layers = trainer.net.layers
    widths = [layer.in_features for layer in layers if isinstance(layer, Linear)]
    inputs = [count_noun(widths[0], "input")] if widths else []
    names = [
        f"Linear {layer.out_features}"
        if isinstance(layer, Linear)
        else repr(layer).removesuffix("()")
        for layer in layers
    ]
    parameters = count_noun(trainer.params.vector.size, "parameter")
    loss = f"{type(trainer.loss).__name__}{of_what}"
    return {
        "network": f"{', '.join(inputs + names)}; {parameters}",
        "training": f"{loss}, {type(trainer.rule).__name__} with learning rate {trainer.lr:g}, "
        f"{trainer.params.dtype}",
    }


def as_html(model: "TableModel") -> str:
    """Return tables for a notebook: what a model predicts, and the scores kept in its notes."""
    from manualnn.page.notebook import heading, table

    text = heading("TableModel", "") + table(describe_model(model).items())
    scores = model.about.get("scores")
    if not isinstance(scores, Mapping) or not scores:
        return text
    names = dict.fromkeys(name for part in scores.values() for name in part)
    rows = [
        [name, *(_format_score(name, part.get(name)) for part in scores.values())] for name in names
    ]
    return text + table(rows, ["", *scores], alignment="lr")


def compute_scores(prepared: "Prepared") -> dict[str, Scores]:
    """Return the scores of the training rows, of the test rows, and of a baseline.

    The baseline predicts the test rows, or else the training rows, without features.
    """
    model, t = prepared.model, prepared.t
    y = prepared.predict()
    parts = {"trained on": prepared.train, "held out": prepared.test}
    scores = {name: model.scores_of(y[r], t[r]) for name, r in parts.items() if len(r)}
    rows = prepared.reported
    baseline = np.broadcast_to(_baseline(prepared), (len(rows), y.shape[1]))
    return {**scores, "no features": model.scores_of(baseline, t[rows])}


def format_results(prepared: "Prepared", scores: Mapping[str, Scores]) -> str:
    """Return the scores, remarks on them, and the classes one by one."""
    target, rows = prepared.model.target, prepared.reported
    last = "held out" if "held out" in scores else "trained on"
    guess = "the shares of the classes" if target.classes else "the mean of the target"
    text = f"{format_scores(scores)}\n  (no features: {last}, predicted as {guess} in training)"
    # Balanced classes are paid for by the scores of all rows.
    if last == "held out" and not getattr(prepared.estimator, "class_weight", None):
        text += _warn_if_useless(scores, _list_remedies(prepared))
    if target.classes and len(target.classes) <= MOST_LISTED:
        classes = format_classes(prepared.model, prepared.predict()[rows], prepared.t[rows])
        text += f"\n\n{last}, class by class\n{classes}"
    return text


def format_scores(columns: Mapping[str, Scores]) -> str:
    """Return a table of scores, with a column for each of the mappings."""
    rows = [[score, *(_format_score(score, column[score]) for column in columns.values())]
            for score in next(iter(columns.values()))]  # fmt: skip
    return _format_rows([["", *columns], *rows], "lr")


def _format_score(name: str, value: float | None) -> str:
    if value is None:
        return "undefined"
    if name == "accuracy":
        return f"{value:.1%}"
    return f"{value:.4f}" if name.startswith(("log-loss", "R²")) else f"{value:.5g}"


def _baseline(prepared: "Prepared") -> Array:
    """Return the network's output that ignores the features and suits the training rows best.

    It gives the shares of the classes, or the mean of the targets.
    """
    t, target = prepared.t[prepared.train], prepared.model.target
    if not target.classes:
        return t.mean(axis=0)
    with np.errstate(divide="ignore"):
        return np.log(np.bincount(t, minlength=len(target.classes)) / len(t))


def _list_remedies(prepared: "Prepared") -> str:
    """Return what helps against learning by heart and was not done yet."""
    layers = prepared.model.trainer.net.layers
    found = ["more --weight-decay"]
    if not len(prepared.validation):
        found.insert(0, "--early-stopping")
    if sum(isinstance(layer, Linear) for layer in layers) > 1:
        has_dropout = any(isinstance(layer, Dropout) for layer in layers)
        found += ["more --dropout" if has_dropout else "--dropout", "a smaller --hidden"]
    return " or ".join(filter(None, [", ".join(found[:-1]), found[-1]]))


def _warn_if_useless(scores: Mapping[str, Scores], remedies: str) -> str:
    """Return a remark if held-out rows are predicted worse than without features."""
    trained, held_out, baseline = scores.values()
    losses = [name for name in held_out if name.startswith(("log-loss", "RMSE"))]
    worse = [name for name in losses if (held_out[name] or 0) > (baseline[name] or 0)]
    if not worse:
        return ""
    if all((trained[name] or 0) > WELL * (baseline[name] or 0) for name in worse):
        why = "Training rows are hardly predicted better. Try more --epochs or another --lr"
    else:
        why = f"The network has learnt what holds for the training rows only. Try {remedies}"
    return (
        f"\n  Held-out rows are predicted worse than without features ({shorten(worse)})."
        f"\n  {why}; or the features do not tell the target."
    )


def format_classes(model: "TableModel", y: Array, t: Array) -> str:
    """Return a line for each class: number of rows, recall, and the predictions that are wrong."""
    names, predicted = model.target.classes, np.argmax(model.probabilities_of(y), axis=1)
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


def _describe_missing(table: Table, features: Iterable[str]) -> str:
    """Return the number of missing values of each feature that has some, most of them first."""
    counts = Counter({name: int(table.columns[name].missing.sum()) for name in features})
    found = [f"{name} ({count})" for name, count in counts.most_common() if count]
    cells = count_noun(counts.total(), "value")
    return f"{cells} in {count_noun(len(found), 'feature')}: {shorten(found)}" if found else ""
