"""Options that several losses have."""

from manualnn.oracle.protocol.rows import REDUCTIONS, Option

REDUCTION = {
    "reduction": Option("mean", REDUCTIONS[1:], is_listed=True),
    "factor": Option(1.0, (0.5, 0.25, 3.0, 0.1), is_listed=True, is_partner=False, is_in_any=False),
}
"""The options of every loss. torch has no factor: its users multiply the loss."""
