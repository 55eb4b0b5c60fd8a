"""What scikit-learn learns of columns, and which columns are refused."""

import shlex
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from manualnn.errors import MissingExtraError, TableError
from manualnn.tabular.column import Column
from manualnn.tabular.table import Table, count_noun, shorten

__all__ = ["is_constant", "learn_categories", "learn_numbers", "refuse_missing", "refuse_unusable"]


def learn_numbers(table: Table, names: list[str]) -> dict[str, Any]:
    """Return the fields of the encoder for columns of numbers."""
    if not names:
        return {}
    impute, preprocessing = _import_sklearn()
    values = np.column_stack([table.numbers(name) for name in names])
    imputer = impute.SimpleImputer(strategy="median", add_indicator=True)
    with np.errstate(over="ignore", invalid="ignore"):
        scaler = preprocessing.StandardScaler().fit(imputer.fit_transform(values))
    for name, *found in zip(names, scaler.mean_, scaler.var_, strict=False):
        if not np.isfinite(found).all():
            table.refuse(name, "the numbers are too large to be scaled; use a larger unit")
    return {
        "numbers": tuple(names),
        "medians": tuple(imputer.statistics_.tolist()),
        "indicated": tuple(imputer.indicator_.features_.tolist()),
        "mean": tuple(scaler.mean_.tolist()),
        "scale": tuple(scaler.scale_.tolist()),
    }


def learn_categories(table: Table, names: Collection[str]) -> tuple[Any, ...]:
    """Return for each column of text its name and the labels of its categories."""
    if not names:
        return ()
    _, preprocessing = _import_sklearn()
    labels = np.column_stack([table.columns[name].labels() for name in names])
    encoder = preprocessing.OneHotEncoder().fit(labels)
    return tuple(
        (name, tuple(found.tolist()))
        for name, found in zip(names, encoder.categories_, strict=True)
    )


def is_constant(table: Table, name: str) -> bool:
    """Return True if all cells of a column are equal, or all are missing."""
    column = table.columns[name]
    values = column.values[~column.missing]
    if values.dtype == float and len(values):
        different = 1 + bool(values.min() < values.max())
    else:
        different = len({*Column(values).labels().tolist()})
    return different + bool(column.missing.any()) < 2


def refuse_missing(table: Table, names: Iterable[str]) -> None:
    """Raise TableError if a cell of one of the columns is missing."""
    found = [name for name in names if table.columns[name].missing.any()]
    if found:
        column = table.columns[found[0]]
        others = f"; so have {shorten(found[1:])}" if found[1:] else ""
        cells = count_noun(int(column.missing.sum()), "missing value")
        what = f"the value is missing ({cells} in the column{others}); fill it or remove the row"
        table.refuse(found[0], what, int(np.argmax(column.missing)))


def refuse_unusable(table: Table, columns: Mapping[str, Column], most: int) -> None:
    """Raise TableError for columns of dates, or of more different texts than `most`.

    So many rows that each have another text are refused as well, because the texts name the rows.
    The columns have all rows of the file, `table` only those to learn from.
    """
    found = {}
    for name, column in columns.items():
        cells = table.columns[name].distinct
        if column.kind == "date":
            found[name] = f"dates, such as {min(cells)!r} (make numbers: year, month, days)"
        elif len(cells) == len(table) > 20:
            found[name] = column.remark or "a different text in every row"
        elif len(cells) > most:
            is_repeated = 5 * len(cells) <= len(table)
            remedy = f"max-categories {len(cells)}" if is_repeated else f"hash {shlex.quote(name)}"
            what = f"{len(cells)} different texts, more than {most} (encode with --{remedy})"
            found[name] = column.remark or what
    if found:
        ignore = " ".join(f"--ignore {shlex.quote(name)}" for name in found)
        message = (
            f"{table.name}: {count_noun(len(found), 'column')} cannot be used as a feature (leave "
            f"out with {ignore}): {'; '.join([f'{n!r} has {w}' for n, w in found.items()][:10])}."
        )
        raise TableError(message)


def _import_sklearn() -> tuple[Any, Any]:
    try:
        from sklearn import impute, preprocessing
    except ImportError:
        message = "learning from tables needs scikit-learn; pip install 'manualnn[data]'."
        raise MissingExtraError(message) from None
    return impute, preprocessing
