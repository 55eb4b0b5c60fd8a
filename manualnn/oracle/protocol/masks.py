"""Dropout masks of a case: every entry is 0 or 1/(1 − p), rounded to the dtype.

    kept_factor(p, dtype)      the entry of a kept number
    with_masks(case)           the case whose masks have these entries, after p or the dtype changed
    find_wrong_mask(case)      a sentence on the first mask with another entry, or ""

An engine may therefore multiply by the mask, or read from it only which numbers are kept.
"""

from typing import Any

import numpy as np

from manualnn.oracle.protocol.case import Array, Case
from manualnn.oracle.protocol.features import options_of


def kept_factor(p: float, dtype: Any) -> Any:
    """Return 1/(1 − p) in that dtype; 0 for p = 1, which keeps nothing."""
    return np.dtype(dtype).type(1 / (1 - p) if p < 1 else 0)


def with_masks(case: Case) -> Case:
    """Return the case with masks for the p of its layers and its dtype, which keep the same."""
    if not case.noise:
        return case
    return case.but(
        noise={
            key: np.where(array != 0, _factor(case, key), 0).astype(case.dtype)
            for key, array in case.noise.items()
        }
    )


def find_wrong_mask(case: Case) -> str:
    """Return a sentence on the first mask with an entry that p does not give; "" if none has."""
    for key, array in (case.noise or {}).items():
        factor = _factor(case, key)
        wrong = np.asarray(array)[(np.asarray(array) != 0) & (np.asarray(array) != factor)]
        if wrong.size:
            return (
                f"the mask {key} contains {wrong.flat[0]:.17g}; every entry has to be 0 or "
                f"1/(1 − p) = {factor:.17g}"
            )
    return ""


def _factor(case: Case, key: str) -> Array:
    layer = options_of(case.layers[int(key.partition(".")[0])])
    return np.asarray(kept_factor(layer.p, case.dtype))
