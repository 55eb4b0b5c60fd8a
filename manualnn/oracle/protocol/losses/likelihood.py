"""The rows of divergences and likelihoods: their options, properties and formulas."""

from typing import Any

from manualnn.oracle.protocol.losses.common import REDUCTION
from manualnn.oracle.protocol.rows import Loss, Option, Rounding, Statement


def _log_or_0(m: Any, t: Any) -> Any:
    """Return log t, and 0 for t = 0, whose product with t is 0."""
    return m.log(m.where(t > 0, t, 1))


ROWS = (
    Loss(
        name="KLDivLoss",
        method="kl_div",
        options={**REDUCTION, "log_target": Option(default=False, others=(True,))},
        targets="probabilities",
        statement=Statement(
            formula=lambda m, o, y, t: (
                m.exp(t) * (t - y) if o.log_target else t * (_log_or_0(m, t) - y)
            ),
            bounds=lambda o: (None, 0, 0),
            value_rounding=Rounding(
                3,
                functions=1,
                size=lambda m, o, y, t: (
                    m.exp(t) * (abs(t) + abs(y))
                    if o.log_target
                    else t * (abs(_log_or_0(m, t)) + abs(y))
                ),
            ),
            slope_rounding=Rounding(functions=1),
        ),
    ),
)
