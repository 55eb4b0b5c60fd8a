"""The rows of the losses of a margin: their options, properties and formulas."""

from typing import Any

from manualnn.oracle.protocol.losses.common import REDUCTION
from manualnn.oracle.protocol.rows import Loss, Option, Rounding, Statement


def _hinge(m: Any, o: Any, y: Any, t: Any) -> Any:
    """Return the distance where t = 1, and what it lacks of the margin where t = −1."""
    gap = m.where(t > 0, 1, o.margin - y)
    return m.where(t > 0, y, m.where(gap >= 0, gap, 0))


ROWS = (
    Loss(
        name="HingeEmbeddingLoss",
        method="hinge",
        options={**REDUCTION, "margin": Option(1.0, (0.5, 2.0, 0.0))},
        targets="signs",
        has_kink=True,
        kink=lambda o, y, t: (t < 0) & (y == o.margin),
        switches=lambda o: (o.margin,),
        statement=Statement(
            formula=_hinge,
            bounds=lambda o: (1, None, 0),
            value_rounding=Rounding(1),
        ),
    ),
    Loss(
        name="SoftMarginLoss",
        method="soft_margin",
        options=REDUCTION,
        targets="signs",
        statement=Statement(
            formula=lambda m, o, y, t: m.softplus(-(t * y)),
            bounds=lambda o: (1, 1 / 4, 1 / 10),
            value_rounding=Rounding(2, functions=2),
            slope_rounding=Rounding(4, functions=1, size=lambda m, o, y, t: abs(t)),
            slope_forms={
                "−t (1 − σ(ty))": lambda m, o, y, t: -t * (1 - m.sigmoid(t * y)),
            },
        ),
    ),
)
