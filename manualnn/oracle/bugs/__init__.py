"""The catalogue of known mistakes, each one a wrong engine that runs.

    BUGS["bias-mean-for-sum"]              a `Bug`: title, the wrong line and the right one
    BUGS[…].engines[0](dtype)              an engine that makes it; dtype None: that of each case

They have two uses. As planted mistakes they show that the oracle notices them; as hypotheses they
are run on a failing case, and the one that reproduces an engine's own numbers is named.
"""

from manualnn.oracle.bugs import (
    activations,
    adam,
    backward,
    classes,
    cross_entropy,
    defaults,
    history,
    loops,
    losses,
    memory,
    moments,
    precision,
    products,
    rectifiers,
    regression,
    rules,
    sizes,
    slopes,
    softmax,
    state,
    updates,
)
from manualnn.oracle.bugs.bug import Bug

TABLES = (
    *(losses, regression, classes, cross_entropy),
    *(activations, rectifiers, softmax, slopes, backward, loops, products, sizes),
    *(updates, rules, adam, moments, state),
    *(memory, history, precision, defaults),
)

BUGS: dict[str, Bug] = {name: bug for table in TABLES for name, bug in table.BUGS.items()}

__all__ = ["BUGS", "Bug"]
