"""Known bugs of update rules and of their state."""

from manualnn.oracle.bugs.optimizers import (
    adadelta,
    adam,
    adamax,
    any_rule,
    around,
    constants,
    decay,
    muon,
    nadam_radam,
    rprop_lion,
    sgd_rmsprop_adagrad,
    state,
    steps,
    stored,
)

TABLES = (
    *(any_rule, decay, constants, sgd_rmsprop_adagrad, adam, adamax, adadelta, nadam_radam),
    *(rprop_lion, muon, steps, state, stored, around),
)
