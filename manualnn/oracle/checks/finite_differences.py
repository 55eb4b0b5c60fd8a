"""A gradient as the slope of the engine's own loss: consistent, or loss and gradient disagree.

An engine that is wrong in both may be consistent all the same; it is the truth that tells.
"""

import numpy as np

from manualnn.oracle.checks.metamorphic import bare
from manualnn.oracle.checks.trial import Trial
from manualnn.oracle.findings import Entry, Finding
from manualnn.oracle.protocol.capabilities import Capabilities


def _numerical(trial: Trial) -> Finding | None:
    """(L(θ + h) − L(θ − h)) / 2h of the engine's own loss, against its own gradient.

    The loss is off by e at both ends, so the quotient by (e₊ + e₋)/2h, and it differs from the
    slope by what the truth's own quotient does.
    """
    base = bare(trial.case)
    got, near = trial.ask(base), trial.truth(base)
    dtype = np.dtype(base.dtype).type
    step = 2.0 ** (-9 if base.dtype == "float32" else -17)
    entries = []
    for key, param in base.params.items():
        for index in np.ndindex(param.shape):
            ends = []
            for sign in (1, -1):
                moved = param.copy()
                moved[index] = dtype(param[index] + sign * step)
                case = base.but(params={**base.params, key: moved})
                loss = trial.truth(case).loss
                ends.append((np.longdouble(trial.ask(case)["loss"]), loss, moved[index]))
            (up, up_near, right), (down, down_near, left) = ends
            h = np.longdouble(right) - np.longdouble(left)
            true_slope = near.grads[key].v[index]
            e = near.grads[key].e[index] + (up_near.e + down_near.e) / h
            e = e * near.kind.slack + abs((up_near.v - down_near.v) / h - true_slope)
            slope, gradient = (up - down) / h, got[f"grads.{key}"][index]
            if np.isfinite(e) and not abs(gradient - slope) <= e:
                numbers = (float(gradient), float(slope), float(e))
                entries.append(Entry(f"grads.{key}", index, *numbers, 1, param.size))
                break
    if not entries:
        return None
    return trial.finding("the gradient is not the slope of the engine's own loss", entries)


def _with_both(claims: Capabilities) -> bool:
    return {"loss", "grads"} <= set(claims.returns)


TABLE = (
    (
        "numerical",
        "every gradient is the slope of the engine's own loss",
        _numerical,
        _with_both,
    ),
)
