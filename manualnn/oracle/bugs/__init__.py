"""Catalogue of known bugs; each one is a wrong engine that runs.

    BUGS["bias-mean-for-sum"]              a `Bug`: title, the wrong line and the right line
    BUGS[…].engines[0](dtype)              an engine with the bug; dtype None: that of each case

The catalogue has two uses. Tests run its engines to show that the oracle finds these bugs. The
diagnosis runs them on a failing case, and names the bug that reproduces an engine's own numbers.
"""

from manualnn.oracle.bugs import activations, backward, behaviour, losses, optimizers
from manualnn.oracle.bugs.bug import Bug

TABLES = (
    *losses.TABLES,
    *activations.TABLES,
    *backward.TABLES,
    *optimizers.TABLES,
    *behaviour.TABLES,
)

BUGS: dict[str, Bug] = {name: bug for table in TABLES for name, bug in table.BUGS.items()}

__all__ = ["BUGS", "Bug"]
