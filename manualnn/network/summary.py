"""The table of a network's layers, for notebooks."""

from math import prod
from typing import Any


def as_html(net: Any) -> str:
    """Return a table: each layer, the number of its outputs and of its parameters."""
    # Here, because a network needs no HTML.
    from manualnn.page.notebook import heading, table

    counts = [sum(map(prod, layer.shapes().values())) for layer in net.layers]
    widths = net.widths(net.in_features)[1:] if net.in_features else ["any"] * len(net.layers)
    rows = [
        (i, repr(layer), width, f"{count:,}" if count else "")
        for i, (layer, width, count) in enumerate(zip(net.layers, widths, counts, strict=True))
    ]
    inputs = net.in_features or "any number of"
    head = heading("Sequential", f"{inputs} inputs, {sum(counts):,} parameters")
    return head + table(rows, ("", "layer", "outputs", "parameters"), alignment="rlr")
