"""The network of an estimator: its outputs, and scikit-learn's names for its arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted, validate_data

from manualnn.elementary import Array
from manualnn.errors import ShapeError
from manualnn.estimators.objective import as_rows
from manualnn.estimators.settings import Settings

CHUNK = 4096
"""Rows that are predicted at a time, so that the memory for them is bounded."""


@dataclass(eq=False, repr=False)
class Network(Settings):
    """An estimator with a trainer, once it is fitted."""

    def _predict_outputs(self, X: Any) -> Array:
        """Return the outputs of the network for X, checked; shape (N, outputs)."""
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse=["csr", "csc"], dtype=self.trainer_.params.dtype, reset=False
        )
        return self._outputs(as_rows(X))

    def _outputs(self, x: Any) -> Array:
        net, params = self.trainer_.net, self.trainer_.params
        return np.concatenate([net.forward(params, x[rows]) for rows in gen_batches(len(x), CHUNK)])

    @property
    def coefs_(self) -> Sequence[Array]:
        """Weights of each layer, (in, out): views. To change them before a fit, assign a list."""
        return self._arrays("weight")

    @coefs_.setter
    def coefs_(self, arrays: Sequence[Array]) -> None:
        self._assign("weight", arrays)

    @property
    def intercepts_(self) -> Sequence[Array]:
        """Biases of each layer, (out,): views, as `coefs_`."""
        return self._arrays("bias")

    @intercepts_.setter
    def intercepts_(self, arrays: Sequence[Array]) -> None:
        self._assign("bias", arrays)

    def _arrays(self, name: str) -> Sequence[Array]:
        if "trainer_" in vars(self):
            params = self.trainer_.params
            return tuple(array.T for key, array in params.items() if key.endswith(name))
        if name in vars(self).get("_initial", {}):
            return self._initial[name]
        message = f"this {type(self).__name__} has no {name}s yet; call fit first."
        raise AttributeError(message)

    def _assign(self, name: str, arrays: Sequence[Array]) -> None:
        """Set the arrays of a fitted network, or those with which the first fit begins."""
        if "trainer_" not in vars(self):
            self._initial = {**vars(self).get("_initial", {}), name: arrays}
            return
        params = self.trainer_.params
        keys = [key for key in params if key.endswith(name)]
        if len(keys) != len(arrays):
            message = f"the network has {len(keys)} {name}s, got {len(arrays)}."
            raise ShapeError(message)
        for key, array in zip(keys, arrays, strict=True):
            params[key] = np.asarray(array).T

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
