"""Bugs of divergences and negative log-likelihoods."""

import numpy as np

from manualnn.oracle.bugs.bug import Table, bug
from manualnn.oracle.textbook.engine import Textbook

BUGS = Table("losses")

BUGS["kl-zero-times-log-zero"] = bug(
    "The divergence of a target of 0 is 0 log 0, which is NaN.",
    lines=("term = t (log t − y) = NaN for t = 0", "term = 0 for t = 0"),
    source="torchmetrics #1029, optax #473",
    kl_div_terms=lambda e, o, y, t: (
        Textbook.kl_div_terms(e, o, y, t) if o.log_target else t * (np.log(t) - y)
    ),
)
BUGS["kl-log-of-output"] = bug(
    "The divergence takes the logarithm of outputs that are logarithms already.",
    lines=("term = t (log t − log |y|)", "term = t (log t − y)"),
    kl_div_terms=lambda e, o, y, t: Textbook.kl_div_terms(e, o, np.log(np.abs(y)), t),
)
BUGS["kl-cross-entropy"] = bug(
    "The divergence lacks the target's own entropy, t log t.",
    lines=("term = −t y", "term = t (log t − y)"),
    kl_div_terms=lambda e, o, y, t: -np.exp(t) * y if o.log_target else -t * y,
)
