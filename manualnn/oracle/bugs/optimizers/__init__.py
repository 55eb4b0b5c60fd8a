"""Known bugs of update rules and of their state."""

from manualnn.oracle.bugs.optimizers import adam, any_rule, sgd_rmsprop_adagrad, state, steps

TABLES = (any_rule, sgd_rmsprop_adagrad, adam, steps, state)
