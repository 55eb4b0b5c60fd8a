"""Accumulation: the gradient of one step over several batches, which are never in memory together.

With the loss Lᵢ, the gradient gᵢ and the divisor Dᵢ of each batch, the whole has

    L = Σᵢ Dᵢ Lᵢ / Σᵢ Dᵢ        g = Σᵢ Dᵢ gᵢ / Σᵢ Dᵢ        mean and batchmean
    L = Σᵢ Lᵢ                    g = Σᵢ gᵢ                    sum

Dᵢ counts terms, samples, or their weights (see `losses.base`). So batches of different sizes, and
samples with different weights, count as in one batch. A plain mean of the gᵢ would not do that.
"""

import numpy as np

from manualnn.elementary import Array
from manualnn.losses import Loss


class GradientSum:
    """The loss and the gradient of the batches since the last step.

    Parameters
    ----------
    g : array (P,)
        The gradient of each batch, and in the end that of all of them.

    """

    def __init__(self, g: Array) -> None:
        self._g = g
        self._sum = np.zeros_like(g)
        self._scratch = np.empty_like(g)
        self.clear()

    def clear(self) -> None:
        """Forget all batches."""
        self._sum.fill(0)
        self.loss = self.divisor = 0.0

    def add(self, loss: Loss, value: float, divisor: float) -> None:
        """Add a batch, whose gradient is in g. A batch without a counted sample has divisor 0."""
        if loss.reduction == "sum":
            self.divisor = divisor
            self.loss += value
            np.add(self._sum, self._g, self._sum)
        elif divisor:
            # As means, because D g may be larger than the largest number of the dtype.
            self.divisor += divisor
            share = divisor / self.divisor
            self.loss += (value - self.loss) * share
            number = self._g.dtype.type
            np.multiply(self._sum, number(1 - share), self._sum)
            np.add(self._sum, np.multiply(self._g, number(share), self._scratch), self._sum)

    def finish(self) -> tuple[float, float]:
        """Write the gradient of all batches to g; return their loss and their divisor."""
        np.copyto(self._g, self._sum)
        found = self.loss, self.divisor
        self.clear()
        return found
