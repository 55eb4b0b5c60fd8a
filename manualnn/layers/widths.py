"""Widths of a chain of layers: of its input, and of every output."""

from collections.abc import Sequence

from manualnn.errors import SpecError
from manualnn.layers.base import Layer


def require_order(layers: Sequence[Layer]) -> None:
    """Raise SpecError if a layer that takes indices has a layer before it."""
    for i, layer in enumerate(layers[1:], 1):
        if layer.takes_indices:
            message = f"layer {i}, {layer!r}, takes indices; make it the first layer."
            raise SpecError(message)


def find_in_features(layers: Sequence[Layer]) -> int | None:
    """Return the width of the input. The first layer that knows its own width determines it."""
    for i, layer in enumerate(layers):
        width: int | None = getattr(layer, "in_features", None)
        if width is not None:
            for before in reversed(layers[:i]):
                width = before.inputs(width)
            return width
    return None


def widths_of(layers: Sequence[Layer], in_features: int) -> list[int]:
    """Return the width of the input and of every layer's output. Raises SpecError."""
    widths = [in_features]
    for i, layer in enumerate(layers):
        try:
            widths.append(layer.width(widths[-1]))
        except SpecError as error:
            before = [j for j in range(i) if hasattr(layers[j], "out_features")]
            origin = f"layer {before[-1]}, {layers[before[-1]]!r}" if before else "the input"
            message = f"layer {i}: {error} from {origin}."
            raise SpecError(message) from None
    return widths
