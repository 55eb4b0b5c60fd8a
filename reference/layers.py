"""The layers' twins: one line each, a function from the layer's options to a torch module."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, group_norm, nn
from torch.nn import functional

from reference.tables import twin_of


class Random(nn.Module):
    """Base of layers whose random array somebody else drew; in prediction they have none.

    torch's own layers draw it in the forward pass, from a generator that no other library has.
    """

    drawn: Tensor | None = None


class GivenDropout(Random):
    """Dropout with a given mask; the input itself while there is none."""

    def forward(self, x: Tensor) -> Tensor:
        """Return mask ⊙ x."""
        return x if self.drawn is None else self.drawn * x


class GivenRReLU(Random):
    """RReLU with given slopes; torch's in prediction while there are none."""

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3) -> None:
        super().__init__()
        self.mean = nn.RReLU(lower, upper).eval()

    def forward(self, x: Tensor) -> Tensor:
        """Return x where x > 0, and slope ⊙ x elsewhere."""
        return self.mean(x) if self.drawn is None else torch.where(x > 0, x, self.drawn * x)


class DoubleCELU(nn.Module):
    """CELU by ELU. torch's own gradient has α in float32, also where all else is float64."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """Return α ELU(x / α)."""
        return self.alpha * functional.elu(x / self.alpha)


class GivenAlphaDropout(Random):
    """AlphaDropout with a given mask, by the formula of torch's documentation."""

    ALPHA = 1.7580993408473766

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return c (mask ⊙ x + (mask − 1) α + α p)."""
        if self.drawn is None:
            return x
        if self.p == 1:
            return 0 * x
        alpha, p = self.ALPHA, self.p
        c = 1 / ((alpha * alpha * p + 1) * (1 - p)) ** 0.5
        return x * (c * self.drawn) + ((self.drawn - 1) * (alpha * c) + alpha * c * p)


class AnyGroupNorm(nn.GroupNorm):
    """GroupNorm of one sample with groups of one channel, too, which torch refuses."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised groups."""
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class Residual(nn.Sequential):
    """The input plus the output of the chain."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x + f(x)."""
        y: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return x + y


class DoubleHardsigmoid(nn.Module):
    """Hardsigmoid by ReLU6. torch's own gradient has 1 / 6 in float32 where all else is float64."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU6(x + 3) / 6."""
        return functional.relu6(x + 3) / 6


class FlatEmbedding(nn.Embedding):
    """Embedding of indices in floating-point numbers, all vectors of a sample in one row."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, K D)."""
        return super().forward(x.long()).flatten(1)


LAYERS: dict[str, Callable[..., nn.Module]] = {
    "Linear": nn.Linear,
    "Identity": nn.Identity,
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "ReLU": nn.ReLU,
    "LeakyReLU": nn.LeakyReLU,
    "Softplus": nn.Softplus,
    "Softsign": nn.Softsign,
    "LogSigmoid": nn.LogSigmoid,
    "Tanhshrink": nn.Tanhshrink,
    "ELU": nn.ELU,
    "SELU": nn.SELU,
    "CELU": DoubleCELU,
    "SiLU": nn.SiLU,
    "Mish": nn.Mish,
    "GELU": nn.GELU,
    "Hardtanh": nn.Hardtanh,
    "ReLU6": nn.ReLU6,
    "Hardsigmoid": DoubleHardsigmoid,
    "Hardswish": nn.Hardswish,
    "Softshrink": nn.Softshrink,
    "Hardshrink": nn.Hardshrink,
    "Threshold": nn.Threshold,
    "Softmax": lambda dim=-1: nn.Softmax(dim),
    "Softmin": lambda dim=-1: nn.Softmin(dim),
    "LogSoftmax": lambda dim=-1: nn.LogSoftmax(dim),
    "LayerNorm": nn.LayerNorm,
    "RMSNorm": nn.RMSNorm,
    "GroupNorm": AnyGroupNorm,
    "BatchNorm1d": nn.BatchNorm1d,
    "PReLU": nn.PReLU,
    "RReLU": GivenRReLU,
    "GLU": nn.GLU,
    "AlphaDropout": GivenAlphaDropout,
    "Flatten": nn.Flatten,
    "Residual": lambda layers: Residual(*build(layers)),
    "Dropout": lambda p=0.5: GivenDropout(),  # noqa: ARG005 - the mask says it all
}


INDEX_LAYERS: dict[str, Callable[..., nn.Module]] = {"Embedding": FlatEmbedding}


def build(layers: list[Mapping[str, Any]]) -> nn.Sequential:
    """Return the network that the JSON forms of its layers describe."""
    twins = ((twin_of(layer, LAYERS | INDEX_LAYERS, "layers"), _options(layer)) for layer in layers)
    return nn.Sequential(*(make(**options) for make, options in twins))


def _options(layer: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in layer.items() if name != "type"}
