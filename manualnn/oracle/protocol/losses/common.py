"""Options that several losses have."""

from manualnn.oracle.protocol.rows import REDUCTIONS, Option

REDUCTION = {"reduction": Option("mean", REDUCTIONS[1:], is_listed=True)}
