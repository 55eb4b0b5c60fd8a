"""The rows of the losses for regression: their options, properties and formulas."""

from typing import Any

from manualnn.oracle.protocol.losses.common import REDUCTION
from manualnn.oracle.protocol.rows import Loss, Option, Rounding, Statement


def _smaller(m: Any, a: Any, b: Any) -> Any:
    return m.where(a < b, a, b)


def _signed(m: Any, e: Any, size: Any) -> Any:
    """Return the number of that size with the sign of e."""
    return m.where(e < 0, -size, size)


ROWS = (
    Loss(
        name="MSELoss",
        method="mse",
        options=REDUCTION,
        statement=Statement(
            formula=lambda m, o, y, t: (y - t) * (y - t),
            bounds=lambda o: (None, 2, 0),
            value_rounding=Rounding(3),
            slope_rounding=Rounding(2),
        ),
        is_partner=True,
        is_exact=True,
    ),
    Loss(
        name="L1Loss",
        method="l1",
        options=REDUCTION,
        statement=Statement(
            formula=lambda m, o, y, t: abs(y - t),
            bounds=lambda o: (1, None, 0),
            value_rounding=Rounding(1),
        ),
        is_partner=True,
        has_kink=True,
        is_exact=True,
    ),
    Loss(
        name="HuberLoss",
        method="huber",
        options={**REDUCTION, "delta": Option(1.0, (0.1, 0.5, 3.0), exact=(1.0, 2.0, 0.5))},
        switches=lambda o: (o.delta,),
        statement=Statement(
            formula=lambda m, o, y, t: m.where(
                abs(y - t) <= o.delta, (y - t) * (y - t) / 2, o.delta * (abs(y - t) - o.delta / 2)
            ),
            bounds=lambda o: (o.delta, 1, 0),
            value_rounding=Rounding(
                5, size=lambda m, o, y, t: _smaller(m, abs(y - t), o.delta) * abs(y - t)
            ),
            slope_rounding=Rounding(2, size=lambda m, o, y, t: o.delta),
            value_forms={
                "q²/2 + δ (|e| − q), q = min(|e|, δ)": lambda m, o, y, t: (
                    _smaller(m, abs(y - t), o.delta) * _smaller(m, abs(y - t), o.delta) / 2
                    + o.delta * (abs(y - t) - _smaller(m, abs(y - t), o.delta))
                ),
            },
            slope_forms={
                "δ + (q − δ), the derivative of that": lambda m, o, y, t: _signed(
                    m, y - t, o.delta + (_smaller(m, abs(y - t), o.delta) - o.delta)
                ),
            },
        ),
        is_partner=True,
        is_exact=True,
    ),
    Loss(
        name="SmoothL1Loss",
        method="smooth_l1",
        options={**REDUCTION, "beta": Option(1.0, (0.1, 0.5, 3.0, 0.0), exact=(1.0, 2.0, 0.5))},
        switches=lambda o: (o.beta,),
        statement=Statement(
            formula=lambda m, o, y, t: m.where(
                abs(y - t) < o.beta,
                (y - t) * (y - t) / 2 / (o.beta or 1),
                abs(y - t) - o.beta / 2,
            ),
            bounds=lambda o: (1, 1 / o.beta if o.beta else None, 0),
            value_rounding=Rounding(
                5, size=lambda m, o, y, t: m.where(abs(y - t) < o.beta, 0, abs(y - t))
            ),
            slope_rounding=Rounding(2),
        ),
        is_exact=True,
    ),
)
