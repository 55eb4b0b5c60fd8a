"""Muon, whose step depends on a whole matrix."""

from collections.abc import Callable
from typing import Any

from manualnn.oracle.protocol.optimizers.adam import AdamRules
from manualnn.oracle.protocol.optimizers.lines import RATES, Array, Arrays
from manualnn.oracle.protocol.rows import Optimizer, Option, Options, State


class MatrixRules(AdamRules):
    """Steps along a matrix whose singular values are near 1."""

    norm_of: Callable[..., Any]
    """norm_of(arrays): return the root of the sum of all squares."""

    def muon(self, o: Options, p: Array, g: Array, s: Arrays, t: int) -> Array:
        s["momentum_buffer"] = b = self.muon_buffer(o, s["momentum_buffer"], g)
        x = self.muon_orthogonal(o, self.muon_direction(o, b, g))
        return self.moved(o, self.muon_decayed(o, p), x, self.num(o.lr) * self.muon_scale(o, p))

    def muon_buffer(self, o: Options, b: Array, g: Array) -> Array:
        return self.average(b, g, o.momentum)

    def muon_direction(self, o: Options, b: Array, g: Array) -> Array:
        return self.average(b, g, o.momentum) if o.nesterov else b

    def muon_orthogonal(self, o: Options, u: Array) -> Array:
        """Return X after the iterations of Newton and Schulz."""
        x = self.muon_normalised(o, u)
        for _ in range(o.ns_steps):
            x = self.muon_iterated(o, x)
        return x

    def muon_normalised(self, o: Options, u: Array) -> Array:
        return u / self.larger(self.norm_of([u]), self.num(o.eps))

    def muon_iterated(self, o: Options, x: Array) -> Array:
        rows, columns = x.shape
        if rows > columns:
            return self.muon_iterated(o, x.T).T
        a, b, c = map(self.num, o.ns_coefficients)
        gram = x @ x.T
        return a * x + (b * gram + c * (gram @ gram)) @ x

    def muon_decayed(self, o: Options, p: Array) -> Array:
        return self.adamw_decayed(o, p) if o.weight_decay else p

    def muon_scale(self, o: Options, p: Array) -> Any:
        """Return the factor of the learning rate for a matrix of that shape."""
        rows, columns = p.shape
        if o.adjust_lr_fn == "match_rms_adamw":
            return self.num(0.2) * self.sqrt(self.num(max(rows, columns)))
        return self.sqrt(self.num(max(rows, columns)) / self.num(columns))


ROWS = (
    Optimizer(
        name="Muon",
        method="muon",
        options={
            "lr": Option(0.001, RATES),
            "weight_decay": Option(0.1, (0.0, 0.01, 1.0)),
            "momentum": Option(0.95, (0.5, 0.0, 0.9)),
            "nesterov": Option(default=True, others=(False,)),
            "ns_coefficients": Option(
                (3.4445, -4.775, 2.0315), ([1.5, -0.5, 0.0], [2.0, -1.5, 0.5])
            ),
            "eps": Option(1e-7, (1e-2, 1.0, 100.0)),
            "ns_steps": Option(5, (1, 3)),
            "adjust_lr_fn": Option(None, ("match_rms_adamw", "original")),
        },
        state=(State("momentum_buffer", lambda o, g, s, t: g * (1 - o.momentum**t)),),
        is_entrywise=False,
    ),
)
