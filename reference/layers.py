"""The layers' twins: one line each, a function from the layer's options to a torch module."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from reference.tables import twin_of


class GivenDropout(nn.Module):
    """Dropout with a mask that somebody else drew; the input itself while there is none.

    torch.nn.Dropout draws its mask in the forward pass, from a generator that no other library has.
    """

    mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return mask ⊙ x."""
        return x if self.mask is None else self.mask * x


LAYERS: dict[str, Callable[..., nn.Module]] = {
    "Linear": nn.Linear,
    "Identity": nn.Identity,
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "ReLU": nn.ReLU,
    "LeakyReLU": nn.LeakyReLU,
    "Softplus": nn.Softplus,
    "Softsign": nn.Softsign,
    "ELU": nn.ELU,
    "Softmax": lambda dim=-1: nn.Softmax(dim),
    "LogSoftmax": lambda dim=-1: nn.LogSoftmax(dim),
    "Dropout": lambda p=0.5: GivenDropout(),  # noqa: ARG005 - the mask says it all
}


def build(layers: list[Mapping[str, Any]]) -> nn.Sequential:
    """Return the network that the JSON forms of its layers describe."""
    twins = ((twin_of(layer, LAYERS, "layers"), _options(layer)) for layer in layers)
    return nn.Sequential(*(make(**options) for make, options in twins))


def _options(layer: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in layer.items() if name != "type"}
