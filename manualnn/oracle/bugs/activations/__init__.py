"""Known bugs of activations and of their slopes."""

from manualnn.oracle.bugs.activations import (
    any_activation,
    batch_norm,
    dropout,
    exponential,
    gated,
    glu,
    hard,
    normalization,
    rectifiers,
    residual,
    shrinks,
    sloped,
    slopes,
    smooth,
    softmax,
)

TABLES = (
    any_activation,
    smooth,
    rectifiers,
    residual,
    sloped,
    glu,
    exponential,
    softmax,
    dropout,
    slopes,
    gated,
    hard,
    normalization,
    batch_norm,
    shrinks,
)
