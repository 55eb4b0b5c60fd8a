"""Catalogue of known bugs; each one is a wrong engine that runs.

    BUGS["bias-mean-for-sum"]              a `Bug`: title, the wrong line and the right line
    BUGS[…].engines[0](dtype)              an engine with the bug; dtype None: that of each case

The catalogue has two uses. Tests run its engines to show that the oracle finds these bugs. The
diagnosis runs them on a failing case, and names the bug that reproduces an engine's own numbers.
"""

from manualnn.oracle.bugs.activations import rectifiers, slopes, smooth, softmax
from manualnn.oracle.bugs.backward import linear, loops, products, sizes
from manualnn.oracle.bugs.behaviour import aliasing, ignored_options, precision, remembering
from manualnn.oracle.bugs.bug import Bug
from manualnn.oracle.bugs.losses import any_loss, cross_entropy, probabilities, regression
from manualnn.oracle.bugs.optimizers import adam, any_rule, sgd_rmsprop_adagrad, state, steps

TABLES = (
    *(any_loss, regression, probabilities, cross_entropy),
    *(smooth, rectifiers, softmax, slopes, linear, loops, products, sizes),
    *(any_rule, sgd_rmsprop_adagrad, adam, steps, state),
    *(aliasing, remembering, precision, ignored_options),
)

BUGS: dict[str, Bug] = {name: bug for table in TABLES for name, bug in table.BUGS.items()}

__all__ = ["BUGS", "Bug"]
