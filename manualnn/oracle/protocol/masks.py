"""Random arrays of a case, which its layers draw in training: see `Noise` in `rows`.

    noises_of(case)            the options and the `Noise` of every random array, by its key
    with_masks(case)           the case whose arrays fit its options and its dtype
    find_wrong_mask(case)      a sentence on the first array that does not fit, or ""

Every entry of a Dropout mask is 0 or 1/(1 − p), rounded to the dtype. An engine may therefore
multiply by the mask, or read from it only which numbers are kept.
"""

from collections.abc import Mapping

import numpy as np

from manualnn.oracle.protocol.case import Case
from manualnn.oracle.protocol.features import LAYER_ROWS, options_of
from manualnn.oracle.protocol.rows import Noise, Options


def noises_of(case: Case) -> Mapping[str, tuple[Options, Noise]]:
    """Return the layer's options and the `Noise` of every random array that a case may have."""
    found = {}
    for i, spec in enumerate(case.layers):
        noise = LAYER_ROWS[spec["type"]].noise
        if noise is not None:
            found[f"{i}.{noise.name}"] = options_of(spec), noise
    return found


def with_masks(case: Case) -> Case:
    """Return the case with the arrays nearest to its own that its options and dtype admit."""
    if not case.noise:
        return case
    known = noises_of(case)
    changed = {}
    for key, array in case.noise.items():
        o, noise = known[key]
        changed[key] = noise.admitted(o, array, case.dtype).astype(case.dtype)
    return case.but(noise=changed)


def find_wrong_mask(case: Case) -> str:
    """Return a sentence on the first array with an entry that no draw gives; "" if none has."""
    known = noises_of(case)
    for key, given in (case.noise or {}).items():
        o, noise = known[key]
        array = np.asarray(given)
        wrong = array[array != noise.admitted(o, array, case.dtype).astype(case.dtype)]
        if wrong.size:
            return (
                f"the {noise.name} {key} contains {wrong.flat[0]:.17g}; every entry has to be "
                f"{noise.sentence(o, case.dtype)}"
            )
    return ""
