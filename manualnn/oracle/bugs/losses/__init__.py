"""Known bugs of losses and of their gradients."""

from manualnn.oracle.bugs.losses import (
    any_loss,
    constants,
    cross_entropy,
    label_smoothing,
    likelihood,
    logits,
    margin,
    probabilities,
    regression,
)

TABLES = (
    any_loss,
    constants,
    regression,
    probabilities,
    logits,
    cross_entropy,
    label_smoothing,
    likelihood,
    margin,
)
