"""The solver L-BFGS-B of SciPy, which minimises the objective over the vector of all parameters."""

import warnings
from typing import Any

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from manualnn.elementary import Array
from manualnn.estimators.objective import ObjectiveTrainer, SparseRows
from manualnn.training.batches import Samples


def minimise(
    trainer: ObjectiveTrainer, samples: Samples, *, tol: float, max_iter: int, max_fun: int
) -> tuple[int, float]:
    """Minimise the objective on all samples; return the number of iterations and the objective.

    Warns with ConvergenceWarning if it ends before the gradient is at most tol.
    """
    if isinstance(samples.x, SparseRows):  # every step needs all rows
        samples = samples._replace(x=samples.x[:])
    theta = trainer.params.vector

    def objective(vector: Array) -> tuple[float, Array]:
        np.copyto(theta, vector, casting="same_kind")
        value, gradient = trainer.value_and_grad(samples)
        return value, gradient.astype(np.float64)

    options: dict[str, Any] = {"maxfun": max_fun, "maxiter": max_iter, "gtol": tol}
    found = minimize(
        objective, theta.astype(np.float64), method="L-BFGS-B", jac=True, options=options
    )
    np.copyto(theta, found.x, casting="same_kind")
    if found.status:
        message = f"lbfgs has not converged after {found.nit} iterations: {found.message}"
        warnings.warn(message, ConvergenceWarning, stacklevel=3)
    return min(int(found.nit), max_iter), float(found.fun)
