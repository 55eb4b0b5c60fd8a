"""Models for tables of data: reading, encoding, prediction and scores.

    table = read_table("wine.csv")                        # CSV, TSV, gzip, zstd, Parquet
    model = load_model("model.safetensors")               # from `manualnn train`
    model.predict(table), model.probabilities(table), model.scores(table)
    model.predict([{"alcohol": 13.2, "color": "red"}])    # records, mappings, arrays, data frames

Reading needs DuckDB, and learning an encoding needs scikit-learn (both in the extra data); loading
a model and predicting from Python need NumPy and safetensors alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from manualnn.tabular.column import Column
    from manualnn.tabular.encoder import Encoder
    from manualnn.tabular.model import TableModel, load_model
    from manualnn.tabular.reader import read_batches, read_table
    from manualnn.tabular.table import Table
    from manualnn.tabular.target import Target

__all__ = [
    "Column",
    "Encoder",
    "Table",
    "TableModel",
    "Target",
    "load_model",
    "read_batches",
    "read_table",
]

_MODULES = {
    "Column": "column",
    "Encoder": "encoder",
    "Table": "table",
    "TableModel": "model",
    "Target": "target",
    "load_model": "model",
    "read_batches": "reader",
    "read_table": "reader",
}


def __getattr__(name: str) -> Any:
    """Import a name at its first use, so that `manualnn --help` imports no NumPy."""
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
