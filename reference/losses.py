"""The losses' twins: one line each.

torch has no `batchmean` for these losses: it is torch's sum, divided by the number of samples. Nor
has it a constant factor, which multiplies its loss.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from reference.tables import twin_of


class SoftMargin(nn.SoftMarginLoss):
    """torch's loss without its overflow: it computes exp(−t y), whose gradient becomes NaN."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Return the mean or the sum of the terms."""
        terms = -functional.logsigmoid(target * input)
        return terms.mean() if self.reduction == "mean" else terms.sum()


class MultiLabelMargin(nn.MultiLabelMarginLoss):
    """torch's loss of targets that are integers of any kind."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Return the mean or the sum of the samples' terms."""
        return super().forward(input, target.long())


LOSSES: dict[str, Callable[..., nn.Module]] = {
    "MSELoss": nn.MSELoss,
    "L1Loss": nn.L1Loss,
    "HuberLoss": nn.HuberLoss,
    "SmoothL1Loss": nn.SmoothL1Loss,
    "BCELoss": nn.BCELoss,
    "BCEWithLogitsLoss": nn.BCEWithLogitsLoss,
    "CrossEntropyLoss": nn.CrossEntropyLoss,
    "NLLLoss": nn.NLLLoss,
    "MultiMarginLoss": nn.MultiMarginLoss,
    "MultiLabelMarginLoss": MultiLabelMargin,
    "MultiLabelSoftMarginLoss": nn.MultiLabelSoftMarginLoss,
    "KLDivLoss": nn.KLDivLoss,
    "PoissonNLLLoss": nn.PoissonNLLLoss,
    "HingeEmbeddingLoss": nn.HingeEmbeddingLoss,
    "SoftMarginLoss": SoftMargin,
}


def build(spec: Mapping[str, Any], dtype: torch.dtype) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss, a function of outputs (N, K) and targets, that its JSON form describes."""
    factor = spec.get("factor", 1.0)
    options = {name: value for name, value in spec.items() if name not in {"type", "factor"}}
    for name in ("weight", "pos_weight"):
        if options.get(name) is not None:
            options[name] = torch.tensor(options[name], dtype=dtype)
    make = twin_of(spec, LOSSES, "losses")
    if options.get("reduction") != "batchmean":
        own = make(**options)
        return own if factor == 1 else lambda y, t: own(y, t) * factor
    total = make(**{**options, "reduction": "sum"})
    return lambda y, t: total(y, t) / len(y) * factor
