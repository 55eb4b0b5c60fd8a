"""Known bugs of memory, history, precision and ignored options."""

from manualnn.oracle.bugs.behaviour import (
    aliasing,
    ignored_options,
    partial,
    precision,
    remembering,
)

TABLES = (aliasing, remembering, precision, ignored_options, partial)
