"""The rows of divergences and likelihoods: their options, properties and formulas."""

from math import log, pi
from typing import Any

from manualnn.oracle.protocol.losses.common import REDUCTION
from manualnn.oracle.protocol.rows import Loss, Option, Rounding, Statement


def _log_or_0(m: Any, t: Any) -> Any:
    """Return log t, and 0 for t = 0, whose product with t is 0."""
    return m.log(m.where(t > 0, t, 1))


def _poisson(m: Any, o: Any, y: Any, t: Any) -> Any:
    """Return the term; with `full` Stirling's formula stands for log t!, where t > 1."""
    term = m.exp(y) - t * y if o.log_input else y - t * m.log(y + o.eps)
    if not o.full:
        return term
    log_t = m.log(m.where(t > 1, t, 1))
    return term + m.where(t > 1, t * log_t - t + (log_t + m.number(log(2 * pi))) / 2, 0)


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
    Loss(
        name="PoissonNLLLoss",
        method="poisson",
        options={
            **REDUCTION,
            "log_input": Option(default=True, others=(False,)),
            "full": Option(default=False, others=(True,)),
            "eps": Option(1e-8, (1e-2, 0.5)),
        },
        takes_probabilities_with={"log_input": False},
        statement=Statement(formula=_poisson),
    ),
)
