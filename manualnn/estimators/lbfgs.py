"""The solver L-BFGS-B of SciPy, which minimises the objective over the vector of all parameters."""

import warnings
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from manualnn.elementary import Array
from manualnn.errors import DivergedError
from manualnn.estimators.objective import as_value_error
from manualnn.training.batches import Samples


def minimise(estimator: Any, samples: Samples) -> tuple[int, float]:
    """Minimise the objective on all samples; return the number of iterations and the objective.

    Warns with ConvergenceWarning if it ends before the gradient is at most `tol`.
    """
    samples = samples._replace(x=samples.x[:])  # dense, because every step needs all rows
    trainer = estimator.trainer_
    theta = trainer.params.vector

    def objective(vector: Array) -> tuple[float, Array]:
        np.copyto(theta, vector, casting="same_kind")
        value, gradient = trainer.value_and_grad(samples)
        return value, gradient.astype(np.float64)

    def report(intermediate_result: Any) -> None:  # the name is SciPy's
        print(f"loss = {intermediate_result.fun:.8f}")  # noqa: T201 - as asked for

    found = minimize(
        objective,
        theta.astype(np.float64),
        method="L-BFGS-B",
        jac=True,
        options={
            "maxfun": estimator.max_fun,
            "maxiter": estimator.max_iter,
            "gtol": estimator.tol,
        },
        callback=report if estimator.verbose else None,
    )
    np.copyto(theta, found.x, casting="same_kind")
    if not np.isfinite(theta).all():
        raise as_value_error(DivergedError("lbfgs found a parameter that is not finite."))
    if found.status:
        message = f"lbfgs has not converged after {found.nit} iterations: {found.message}"
        warnings.warn(message, ConvergenceWarning, stacklevel=5)
    return min(int(found.nit), estimator.max_iter), float(found.fun)
