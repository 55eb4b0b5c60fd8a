"""Layers, and the table `LAYERS` in which all other modules find them."""

from manualnn.layers import (
    activations,
    batch_norm,
    dropout,
    embedding,
    linear,
    normalization,
    residual,
    structure,
)
from manualnn.layers.activations.exponential import *
from manualnn.layers.activations.gated import *
from manualnn.layers.activations.glu import *
from manualnn.layers.activations.hard import *
from manualnn.layers.activations.piecewise import *
from manualnn.layers.activations.rectifiers import *
from manualnn.layers.activations.rows import *
from manualnn.layers.activations.shrinks import *
from manualnn.layers.activations.smooth import *
from manualnn.layers.base import Layer
from manualnn.layers.batch_norm import *
from manualnn.layers.dropout import *
from manualnn.layers.embedding import *
from manualnn.layers.linear import *
from manualnn.layers.normalization import *
from manualnn.layers.residual import *
from manualnn.layers.structure import *

__all__ = ["INDEX_LAYERS", "LAYERS", "Layer", "all_layers"]
__all__ += activations.__all__
__all__ += batch_norm.__all__
__all__ += dropout.__all__
__all__ += embedding.__all__
__all__ += linear.__all__
__all__ += normalization.__all__
__all__ += structure.__all__
__all__ += residual.__all__

LAYERS: dict[str, type[Layer]] = {
    name: vars(module)[name]
    for module in (linear, activations, dropout, structure, normalization, batch_norm, residual)
    for name in module.__all__
}

INDEX_LAYERS: dict[str, type[Layer]] = {name: vars(embedding)[name] for name in embedding.__all__}
"""Layers whose inputs are indices; they come first in a network."""


def all_layers() -> dict[str, type[Layer]]:
    """Return the layers, those of the user and of indices included."""
    return LAYERS | INDEX_LAYERS
