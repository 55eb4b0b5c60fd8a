"""Cases of the benchmark: network, batch size, precision, rule and number of threads.

GRID                the networks and batch sizes
grid(dtypes=…)      the cases of the grid with these precisions, activations, rules, threads

This module does not load NumPy, because `manualnn bench --help` reads GRID.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from typing import Any

GRID: dict[str, tuple[tuple[int, ...], int]] = {
    "3-2-2": ((3, 2, 2), 1),
    "4-16-3": ((4, 16, 3), 32),
    "64-128-64-10": ((64, 128, 64, 10), 64),
    "784-128-10": ((784, 128, 10), 64),
    "784-512-256-10": ((784, 512, 256, 10), 128),
    "1024-1024-1024-1024": ((1024, 1024, 1024, 1024), 256),
}

TABLE = {"num_embeddings": 1000, "embedding_dim": 16}
"""Options of an Embedding."""


@dataclass(frozen=True)
class Case:
    """A training step to time. The last layer is linear; the loss is the mean squared error."""

    widths: tuple[int, ...]
    batch: int
    dtype: str = "float32"
    activation: str = "Sigmoid"
    optimizer: str = "SGD"
    threads: int = 1

    @property
    def network(self) -> str:
        """Return widths and batch size, such as 784-128-10 (64)."""
        return f"{'-'.join(map(str, self.widths))} ({self.batch})"

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.network} {self.dtype} {self.activation} {self.optimizer}, {threads}"

    @property
    def layers(self) -> list[tuple[int, int]]:
        """Return the numbers of inputs and outputs of every linear layer."""
        return list(pairwise(self.widths))

    @property
    def specs(self) -> list[dict[str, Any]]:
        """Return the JSON form of each layer: a Linear and an activation in turn.

        An Embedding comes before them instead, and the activations are Sigmoid.
        """
        from manualnn.oracle.protocol.features import fit, with_all_options

        is_table = self.activation == "Embedding"
        activation = "Sigmoid" if is_table else self.activation
        found: list[dict[str, Any]] = [{"type": "Embedding", **TABLE}] if is_table else []
        for n_in, n_out in self.layers:
            found.append({"type": "Linear", "in_features": n_in, "out_features": n_out})
            found.append(with_all_options(fit({"type": activation}, n_out)))
        return found[:-1]

    @property
    def parameters(self) -> int:
        """Return the number of weights and biases, without those of a table."""
        return sum((n_in + 1) * n_out for n_in, n_out in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Return the multiply-adds of a step: three products for each layer, two for the first."""
        products = [3 * n_in * n_out for n_in, n_out in self.layers]
        return self.batch * (sum(products) - self.widths[0] * self.widths[1])

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Case":
        """Return the case with these fields, as `to_json` returned them."""
        return cls(**fields | {"widths": tuple(fields["widths"])})


def grid(
    *,
    networks: Iterable[str] = tuple(GRID),
    dtypes: Sequence[str] = ("float32",),
    activations: Sequence[str] = ("Sigmoid",),
    optimizers: Sequence[str] = ("SGD", "Adam"),
    threads: Sequence[int] = (1,),
) -> list[Case]:
    """Return every combination; the number of threads changes last, because it needs processes."""
    return [
        Case(*GRID[network], dtype, activation, optimizer, count)
        for count, dtype, activation, network, optimizer in product(
            threads, dtypes, activations, tuple(networks), optimizers
        )
    ]
