"""One layer of each kind, for the tests that go through the table of layers."""

from typing import Any

from manualnn import LAYERS, Layer
from manualnn.oracle.protocol.features import fit
from manualnn.spec import from_spec

STILL: dict[str, dict[str, Any]] = {
    "Dropout": {"p": 0.0},
    "AlphaDropout": {"p": 0.0},
    "RReLU": {"lower": 0.25, "upper": 0.25},
}
"""Options of random layers that leave nothing to chance."""


def example(name: str, width: int = 3, **options: Any) -> Layer:
    """Return a layer with that many inputs and as many outputs, if the layer may choose."""
    outputs = {"out_features": width} if name == "Linear" else {}
    spec = fit({"type": name, **outputs, **options}, width)
    return from_spec(spec, LAYERS, "layer")
