"""Models for tables of data: reading, encoding, prediction and scores.

    table = read_table("wine.csv")                        # CSV, TSV, gzip, zstd, Parquet
    model = load_model("model.safetensors")               # from `manualnn train`
    model.predict(table), model.probabilities(table), model.scores(table)
    model.predict([{"alcohol": 13.2, "color": "red"}])    # records, mappings, arrays, data frames

Reading needs DuckDB, and learning an encoding needs scikit-learn (both in the extra data); loading
a model and predicting from Python need NumPy and safetensors alone.
"""

from typing import TYPE_CHECKING

from manualnn.lazy import lazy_names

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

__getattr__ = lazy_names(
    __name__,
    {
        "Column": "column",
        "Encoder": "encoder",
        "Table": "table",
        "TableModel": "model",
        "Target": "target",
        "load_model": "model",
        "read_batches": "reader",
        "read_table": "reader",
    },
)
