"""The finite-difference check: a gradient is the slope of the engine's own loss.

An engine whose loss and gradient are both wrong may pass. The comparison with the truth finds it.
"""

import numpy as np

from manualnn.oracle.checks.judgement import check, returning
from manualnn.oracle.checks.trial import Trial, at_first_step
from manualnn.oracle.findings import Finding
from manualnn.oracle.truth.compare import find_wrong, first_entry


@check(
    "numerical",
    "every gradient is the slope of the engine's own loss",
    needs=returning("loss", "grads"),
)
def _numerical(trial: Trial) -> Finding | None:
    """Compare (L(θ + h) − L(θ − h)) / 2h of the engine's own loss with its own gradient.

    The loss is off by e at both ends, so the quotient is off by (e₊ + e₋)/2h. The truth's own
    quotient differs from the slope, and the engine's quotient may differ by that too.
    """
    base = at_first_step(trial.case)
    got, truths = trial.ask(base), trial.truth(base).grads
    trial.require_right(base, got, "outputs" if "outputs" in got else "loss")
    dtype = np.dtype(base.dtype).type
    step = 2.0 ** (-9 if base.dtype == "float32" else -17)
    entries = []
    for key, param in base.learned.items():
        for index in np.ndindex(param.shape):
            ends = []
            for sign in (1, -1):
                moved = param.copy()
                moved[index] = dtype(param[index] + sign * step)
                case = base.but(params={**base.params, key: moved})
                loss = trial.truth(case).loss
                ends.append((np.longdouble(trial.ask(case)["loss"]), loss, moved[index]))
            (up, up_truth, right), (down, down_truth, left) = ends
            h = np.longdouble(right) - np.longdouble(left)
            bound = truths[key].bounds[index]
            bound += (up_truth.bounds + down_truth.bounds) / h
            difference = (up_truth.v - down_truth.v) / h - truths[key].v[index]
            bound += np.longdouble(abs(difference))
            slope, gradient = (up - down) / h, got[f"grads.{key}"][index]
            if find_wrong(gradient, slope, bound):
                wrong = np.zeros(param.shape, bool)
                wrong[index] = True
                entries.append(first_entry(f"grads.{key}", wrong, gradient, slope, bound))
                break
    if not entries:
        return None
    return trial.finding("the gradient is not the slope of the engine's own loss", entries)


CHECKS = (_numerical,)
