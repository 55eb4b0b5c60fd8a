"""Made-up features: copies of known rows under new names, to test what a new row changes."""

from contextlib import contextmanager
from dataclasses import replace

from manualnn.oracle.protocol.features import (
    LAYER_ROWS,
    LOSS_ROWS,
    OPTIMIZER_ROWS,
    TABLES,
)
from manualnn.oracle.protocol.rows import Option

COPIES = {"MadeUpLayer": "Tanh", "MadeUpLoss": "HuberLoss", "MadeUpOptimizer": "Adam"}
OPTIONS = ("LeakyReLU.made_up", "HuberLoss.made_up", "SGD.made_up")
KINDS = dict(zip(TABLES, (LAYER_ROWS, LOSS_ROWS, OPTIMIZER_ROWS), strict=True))


@contextmanager
def made_up_features(*, first, options=OPTIONS):
    """Put the made-up rows before or after all others, and give known rows new options."""
    rows_before = {kind: dict(rows) for kind, rows in KINDS.items()}
    tables_before = {kind: dict(table) for kind, table in TABLES.items()}
    try:
        for kind, rows in KINDS.items():
            known = {name: with_option(row, options, first=first) for name, row in rows.items()}
            new = {
                name: replace(rows[copied], name=name, is_partner=False)
                for name, copied in COPIES.items()
                if copied in rows
            }
            refill(rows, {**new, **known} if first else {**known, **new})
            refill(TABLES[kind], {name: row.defaults for name, row in rows.items()})
        yield
    finally:
        for kind, rows in KINDS.items():
            refill(rows, rows_before[kind])
            refill(TABLES[kind], tables_before[kind])


def with_option(row, options, *, first):
    if f"{row.name}.made_up" not in options:
        return row
    option = {"made_up": Option(0.0, (1.0, 2.0), is_partner=False)}
    return replace(row, options={**option, **row.options} if first else {**row.options, **option})


def refill(mapping, content):
    mapping.clear()
    mapping.update(content)


def with_known_features(case):
    """Return a case without made-up features: the original of every copy is in their place."""

    def known(spec):
        options = {k: v for k, v in spec.items() if k != "made_up"}
        return {**options, "type": COPIES.get(spec["type"], spec["type"])}

    return case.but(
        layers=tuple(map(known, case.layers)),
        loss=known(case.loss),
        optimizer=case.optimizer and known(case.optimizer),
    )
