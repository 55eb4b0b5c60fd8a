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
    sample_weights,
    smooth_l1,
)

TABLES = (
    any_loss,
    constants,
    regression,
    smooth_l1,
    probabilities,
    logits,
    cross_entropy,
    label_smoothing,
    likelihood,
    margin,
    sample_weights,
)
