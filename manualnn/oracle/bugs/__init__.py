"""The catalogue of known mistakes, each one a wrong engine that runs.

    BUGS["bias-mean-for-sum"]              a `Bug`: title, the wrong line and the right one
    BUGS[…].engines[0](dtype)              an engine that makes it; dtype None: that of each case

They have two uses. As planted mistakes they show that the oracle notices them; as hypotheses they
are run on a failing case, and the one that reproduces an engine's own numbers is named.
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
