"""Numbers that tie, and the derivative of the outputs as all of them move together."""

from collections.abc import Sequence

import numpy as np

from manualnn.gradcheck.data import Array
from manualnn.gradcheck.functions.base import FunctionFailed
from manualnn.gradcheck.judge.places import Places
from manualnn.gradcheck.reference.estimate import Estimate
from manualnn.gradcheck.reference.jacobian import Reference

Groups = list[tuple[Array, Estimate]]
"""Parameters of one value, and the derivatives of all outputs along their common direction."""

MOST_GROUPS = 2


def find_groups(reference: Reference, places: Places, arrays: Sequence[Array]) -> Groups:
    """Return the largest groups of equal parameters that are neither alone nor all there are."""
    values, inverse, counts = np.unique(places.parameters, return_inverse=True, return_counts=True)
    groups: Groups = []
    for value in np.argsort(-counts, kind="stable")[:MOST_GROUPS]:
        if counts[value] < 2 or values.size == 0:
            break
        columns = np.flatnonzero(inverse == value)
        if places.at_an_end[columns].any():
            continue  # there the slope of one side alone is known
        v = np.zeros(inverse.size)
        v[columns] = 1
        try:
            groups.append((columns, reference.directional(arrays, v)))
        except FunctionFailed:
            break
    return groups
